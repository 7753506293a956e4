//! What one builds with `cargo run` and what one tests must resolve every package they share to the same features, or each
//! compiles a Burn of its own, minutes long.

use std::collections::{BTreeMap, BTreeSet};

use crate::cargo_tree;

/// Commands that run, and those whose build they share.
const PAIRS: [[&str; 2]; 3] = [
    ["run -p trainer --features cpu", "test --workspace"],
    [
        "run -p trainer --features libtorch",
        "test --workspace --features libtorch",
    ],
    // `cuda` is a feature of `trainer` alone: Burn is that of `libtorch`.
    [
        "run -p trainer --features cuda",
        "test --workspace --features libtorch",
    ],
];

pub(crate) fn complaints() -> Vec<String> {
    let pairs = PAIRS.iter().flat_map(|[run, test]| {
        let trees = [run, test].map(|command| tree(command));
        let [ran, tested] = trees.each_ref().map(|lines| variants(lines));
        differences([run, test], &ran, &tested)
    });
    pairs.collect()
}

/// The packages that a command builds, with their features.
fn tree(command: &str) -> Vec<String> {
    let (verb, arguments) = command.split_once(' ').expect("a command has arguments");
    let edges = match verb {
        "run" => "normal,build",
        _ => "normal,build,dev",
    };
    cargo_tree(&format!("{arguments} --edges={edges}"), "{p}|{f}")
}

/// The feature sets of each package: more than one where it is compiled for build scripts as well.
type Variants<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

fn variants(lines: &[String]) -> Variants<'_> {
    let mut variants = Variants::new();
    for (package, features) in lines.iter().filter_map(|line| line.split_once('|')) {
        variants.entry(package).or_default().insert(features);
    }
    variants
}

fn differences([run, test]: [&str; 2], ran: &Variants, tested: &Variants) -> Vec<String> {
    let mut complaints = Vec::new();
    // `trainer` itself is small, and has `cuda` in one of two.
    for (package, features) in ran.iter().filter(|(name, _)| !name.starts_with("trainer ")) {
        let tested = tested.get(package).cloned().unwrap_or_default();
        for features in features.difference(&tested) {
            complaints.push(format!(
                "{package}: `cargo {run}` has {features:?}, `cargo {test}` {tested:?}; each would build its own"
            ));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_features_are_told_and_further_packages_are_not() {
        let lines = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        let run = lines("burn|std syn|full syn|");
        let same = lines("syn| burn|std syn|full proptest|");
        let compare =
            |test: &[String]| differences(["run", "test"], &variants(&run), &variants(test));
        assert_eq!(compare(&same), [""; 0]);
        let more = lines("burn|std,test syn|full syn|");
        let complaints = compare(&more);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].starts_with("burn: "), "{complaints:?}");
    }
}
