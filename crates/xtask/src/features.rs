//! `cargo xtask check`: the documented commands resolve the packages that they share to the same features. Otherwise each
//! command compiles its own Burn, which takes minutes.

use std::collections::{BTreeMap, BTreeSet};

use crate::cargo_tree;

/// Pairs of commands that must share one build.
const PAIRS: [[&str; 2]; 4] = [
    ["run -p trainer --features cpu", "test --workspace"],
    [
        "run -p trainer --features libtorch",
        "test --workspace --features libtorch",
    ],
    [
        "run -p trainer --features flex",
        "test --workspace --features flex",
    ],
    // `cuda` is a feature of `trainer` alone and uses the Burn of `libtorch`.
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

/// The packages that a command builds, each with its features.
fn tree(command: &str) -> Vec<String> {
    let (verb, arguments) = command.split_once(' ').expect("a command has arguments");
    let edges = match verb {
        "run" => "normal,build",
        _ => "normal,build,dev",
    };
    cargo_tree(&format!("{arguments} --edges={edges}"), "{p}|{f}")
}

/// The feature sets of each package. A package that build scripts use as well has more than one.
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
    // `trainer` is small and has `cuda` in one of the two commands.
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
    fn different_features_are_reported_and_additional_packages_are_not() {
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
