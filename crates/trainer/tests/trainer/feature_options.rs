//! How texts are cut: the keys and arguments.

use squad_data::{FeatureOptions, StrideKind};

use crate::support::Sandbox;

#[test]
fn settings_become_feature_options() {
    let sandbox = Sandbox::new();
    let usual = sandbox.config(&[]).features.options();
    assert_eq!(usual, FeatureOptions::default());
    let settings = ["features.stride=step", "features.max_query_length=64"];
    let expected = FeatureOptions {
        stride: StrideKind::Step,
        max_query_length: Some(64),
        ..usual
    };
    let config = sandbox.config(&settings);
    assert_eq!(config.features.options(), expected);
    assert!(config.to_toml().contains("stride = \"step\""));
}

#[test]
fn invalid_feature_options_are_listed() {
    let sandbox = Sandbox::new();
    let train =
        |setting: &str| sandbox.command(&["--config=config.toml", "--run-dir=run", setting]);
    train("features.stride=steps").mistake(&["features.stride", "`overlap` or `step`", "steps"]);
    train("features.stride=1").mistake(&["features.stride", "`overlap` or `step`", "`1`"]);
    let step = "features.stride=step";
    let zero = [
        "--config=config.toml",
        "--run-dir=run",
        step,
        "features.doc_stride=0",
    ];
    sandbox.command(&zero).mistake(&["doc_stride = 0", "step"]);
    train("features.max_query_length=1").mistake(&["max_query_length is 1"]);
    let inspect = ["inspect", "--tokenizer=encoder", "--dataset=train.json"];
    let inspect = |more: &[&str]| sandbox.command(&[&inspect, more].concat());
    inspect(&["--stride=step", "--doc-stride=381"]).mistake(&["doc_stride = 381", "380 tokens"]);
    // `inspect` lists what training refuses.
    let long = inspect(&["--max-query-length=1", "--json"]).json();
    assert_eq!(long["long_questions"], long["questions"]);
}

#[test]
fn doc_stride_counts_overlap_or_step() {
    let sandbox = Sandbox::new();
    let features = |stride: &str, doc_stride: &str| {
        let fixed = [
            "inspect",
            "--tokenizer=encoder",
            "--dataset=train.json",
            "--json",
        ];
        let more = [
            "--max-seq-length=80",
            "--doc-stride",
            doc_stride,
            "--stride",
            stride,
        ];
        sandbox.command(&[&fixed[..], &more[..]].concat()).json()["features"]
            .as_u64()
            .unwrap()
    };
    // A larger overlap makes more features, a larger step fewer.
    assert!(features("overlap", "40") > features("overlap", "10"));
    assert!(features("step", "40") < features("step", "10"));
}
