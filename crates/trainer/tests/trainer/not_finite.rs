//! Models and figures that are no numbers: nothing of them is saved, and the error is one line.

use crate::support::Sandbox;

const RATE: &str = "train.learning_rate=1e300";

#[test]
fn weights_that_are_not_finite_are_never_saved() {
    let sandbox = Sandbox::new();
    for (run, settings) in [
        // The evaluation at the end comes first.
        ("end", &["train.max_steps=1"][..]),
        (
            "checkpoint",
            &["train.max_steps=9", "checkpoints.every_steps=1"],
        ),
    ] {
        let run_dir = format!("--run-dir={run}");
        let arguments = [
            "--config=config.toml",
            &run_dir,
            RATE,
            "train.warmup_ratio=0",
        ];
        let finished = sandbox.command(&[&arguments, settings].concat());
        assert_eq!(finished.code, Some(1), "{finished:?}");
        let last = finished.stderr.lines().last().unwrap();
        assert!(
            last.starts_with("error: ") && last.contains("; try a lower train.learning_rate"),
            "{finished:?}"
        );
        let files = sandbox.files(run);
        let saved = |name: &&String| name.contains("safetensors") || name.contains("writing");
        assert_eq!(files.iter().find(saved), None, "{files:?}");
    }
}

/// A trained model whose weights are all finite but so large that its logits are not.
fn with_huge_weights() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.train("run", &["train.max_steps=1", "eval.max_eval_samples=2"]);
    let path = sandbox.path("run/model/model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let numbers = &mut bytes[8 + header..];
    for (number, index) in numbers.chunks_exact_mut(4).zip(0_u32..) {
        let sign = if index % 3 == 0 { -1.0 } else { 1.0 };
        number.copy_from_slice(&(sign * 1e38_f32).to_le_bytes());
    }
    std::fs::write(&path, bytes).unwrap();
    sandbox
}

#[test]
fn logits_that_are_not_finite_are_an_error_with_the_questions() {
    let sandbox = with_huge_weights();
    let dev = sandbox.json("dev.json");
    let id = dev["data"][0]["paragraphs"][0]["qas"][0]["id"].as_str();
    let evaluate = [
        "evaluate",
        "--model=run/model",
        "--dataset=dev.json",
        "--out=out",
    ];
    for json in [&[][..], &["--json"]] {
        let finished = sandbox.command(&[&evaluate, json].concat());
        finished.mistake(&["error: run/model: ", "logits are not finite", id.unwrap()]);
    }
    assert_eq!(sandbox.files("out"), [""; 0]);
    let predict = [
        "predict",
        "--model=run/model",
        "--question=What?",
        "--context=This one.",
    ];
    for json in [&[][..], &["--json"]] {
        let finished = sandbox.command(&[&predict, json].concat());
        finished.mistake(&["error: run/model: ", "logits are not finite", "question"]);
    }
    let predict = ["predict", "--model=run/model", "--dataset=dev.json"];
    for out in [&[][..], &["--out=answers.json"]] {
        let finished = sandbox.command(&[&predict, out].concat());
        finished.mistake(&["error: run/model: ", "logits are not finite", id.unwrap()]);
    }
    assert!(!sandbox.path("answers.json").exists());
}

#[test]
fn thresholds_that_are_nan_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("none.json", "{}");
    let score = [
        "score",
        "--dataset=dev.json",
        "--predictions=none.json",
        "--na-probs=none.json",
    ];
    let predict = [
        "predict",
        "--model=encoder",
        "--question=What?",
        "--context=This.",
    ];
    let evaluate = ["evaluate", "--model=encoder", "--dataset=dev.json"];
    for arguments in [
        [&score[..], &["--na-prob-thresh=NaN"]].concat(),
        [&predict[..], &["--null-score-diff-threshold=nan"]].concat(),
        [&evaluate[..], &["--null-score-diff-threshold=-NaN"]].concat(),
        [
            "--config=config.toml",
            "answers.null_score_diff_threshold=nan",
        ]
        .to_vec(),
    ] {
        let finished = sandbox.command(&arguments);
        finished.mistake(&["number"]);
    }
}
