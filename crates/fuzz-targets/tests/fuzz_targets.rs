//! Replays the seeds and every input that once failed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fuzz_targets::{TARGETS, Target};
use test_support::{files_below, workspace_path};

/// For one input of a few kilobytes, in a build without optimisation on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// Calls each target with the files of its folder; the number of files.
fn replay(folder: &str, targets: &[(&str, Target)]) -> usize {
    let folder = workspace_path("crates/fuzz-targets").join(folder);
    let mut replayed = 0;
    for (name, target) in targets
        .iter()
        .filter(|(name, _)| folder.join(name).is_dir())
    {
        for file in files_below(folder.join(name)) {
            let bytes = std::fs::read(folder.join(name).join(&file)).unwrap();
            let started = Instant::now();
            target(&bytes);
            assert!(started.elapsed() < LIMIT, "{name}: {file} takes long");
            replayed += 1;
        }
    }
    replayed
}

#[test]
fn every_target_reads_its_seeds() {
    let seeds = workspace_path("crates/fuzz-targets/seeds");
    let folders = std::fs::read_dir(seeds).unwrap();
    let folders: BTreeSet<_> = folders
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let names: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(folders, names);
    assert!(replay("seeds", TARGETS) >= names.len());
}

#[test]
fn inputs_that_once_failed_are_read() {
    assert!(replay("regressions", TARGETS) > 0);
}

#[test]
#[should_panic(expected = "target that fails")]
fn a_target_that_panics_fails_the_replay() {
    let target: Target = |_| panic!("target that fails");
    replay("seeds", &[("manifest", target)]);
}
