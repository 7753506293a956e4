//! Every public item but fields has an example, which `cargo test --doc` compiles and runs; and the span metrics read
//! from the device in one place.

const SOURCES: [(&str, &str); 10] = [
    ("answer.rs", include_str!("../../src/answer.rs")),
    ("error.rs", include_str!("../../src/error.rs")),
    ("evaluation.rs", include_str!("../../src/evaluation.rs")),
    ("na_probs.rs", include_str!("../../src/na_probs.rs")),
    ("normalize.rs", include_str!("../../src/normalize.rs")),
    ("scores.rs", include_str!("../../src/scores.rs")),
    ("span.rs", include_str!("../../src/span.rs")),
    ("span_tensor.rs", include_str!("../../src/span_tensor.rs")),
    ("v1.rs", include_str!("../../src/v1.rs")),
    ("v2.rs", include_str!("../../src/v2.rs")),
];

/// The public items of a source whose documentation has no example, and how many have one.
fn without_example(source: &str) -> (Vec<&str>, usize) {
    let (mut missing, mut documented, mut has_example) = (Vec::new(), 0, false);
    for line in source.lines().map(str::trim_start) {
        if line.starts_with("///") {
            has_example |= line.starts_with("/// ```");
        } else if !line.starts_with("#[") {
            let kinds = ["fn ", "struct ", "enum ", "trait ", "const ", "type "];
            let item = line
                .strip_prefix("pub ")
                .filter(|item| kinds.iter().any(|kind| item.starts_with(kind)));
            match item {
                Some(item) if !has_example => missing.push(item),
                Some(_) => documented += 1,
                None => {}
            }
            has_example = false;
        }
    }
    (missing, documented)
}

#[test]
fn every_public_item_has_an_example() {
    let mut count = 0;
    for (file, source) in SOURCES {
        let (missing, documented) = without_example(source);
        assert!(missing.is_empty(), "{file}: {missing:?}");
        count += documented;
    }
    assert!(count >= 25, "{count} items");
    // The control.
    assert_eq!(without_example("/// A.\npub fn a() {}\n").0, ["fn a() {}"]);
    assert_eq!(
        without_example("/// ```\npub fn a() {}\npub struct B;\n").0,
        ["struct B;"]
    );
    assert_eq!(
        without_example("/// ```\n#[derive(Debug)]\npub struct B {\n    pub c: u32,\n").1,
        1
    );
}

#[test]
fn every_module_with_public_items_is_looked_at() {
    let lists = include_str!("../../src/lib.rs");
    let modules = lists
        .lines()
        .filter_map(|line| line.strip_prefix("pub use ")?.split_once("::"));
    let mut count = 0;
    for (module, _) in modules {
        let file = format!("{module}.rs");
        assert!(
            SOURCES.iter().any(|(name, _)| *name == file),
            "{file} is not in the list"
        );
        count += 1;
    }
    assert_eq!(count, SOURCES.len());
}

#[test]
fn span_metrics_are_copied_to_the_host_by_sums_alone() {
    let (_, source) = SOURCES
        .iter()
        .find(|(name, _)| *name == "span_tensor.rs")
        .unwrap();
    let code: Vec<&str> = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let readers = [
        "into_data",
        "to_data",
        "into_scalar",
        "into_vec",
        "try_into_vec",
        "into_bool",
    ];
    let reads: Vec<&&str> = code
        .iter()
        .filter(|line| readers.iter().any(|reader| line.contains(reader)))
        .collect();
    assert_eq!(reads.len(), 1, "{reads:?}");
    let of = code
        .iter()
        .position(|line| line.contains("fn sums"))
        .unwrap();
    assert!(code[of..].contains(reads[0]));
}
