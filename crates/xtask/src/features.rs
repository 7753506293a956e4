//! `cargo run -p trainer --features cpu` and `cargo test --workspace` must resolve every package
//! they share to the same features, or each compiles a Burn of its own, minutes long.

use std::collections::{BTreeMap, BTreeSet};

use crate::cargo_tree;

pub(crate) fn complaints() -> Vec<String> {
    let run = "-p=trainer --features=cpu --edges=normal,build";
    let test = "--workspace --edges=normal,build,dev";
    let [run, test] = [run, test].map(|arguments| cargo_tree(arguments, "{p}|{f}"));
    differences(&variants(&run), &variants(&test))
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

fn differences(run: &Variants, test: &Variants) -> Vec<String> {
    let mut complaints = Vec::new();
    for (package, features) in run {
        let tested = test.get(package).cloned().unwrap_or_default();
        for features in features.difference(&tested) {
            complaints.push(format!(
                "{package}: `cargo run -p trainer --features cpu` has {features:?}, `cargo test --workspace` \
                 {tested:?}; each would build its own"
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
        assert_eq!(differences(&variants(&run), &variants(&same)), [""; 0]);
        let more = lines("burn|std,test syn|full syn|");
        let complaints = differences(&variants(&run), &variants(&more));
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].starts_with("burn: "), "{complaints:?}");
    }
}
