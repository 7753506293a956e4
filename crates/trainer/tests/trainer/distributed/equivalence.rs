//! Several ranks train the same model as one rank with their batches together.

use trainer::Trainer;

use crate::distributed::{DDP, EXACT, FSDP, GRAD_OP, difference, sandbox, train};
use crate::support::Sandbox;

/// Checks that an epoch has five batches of four features and one of one, which leaves most ranks without any.
fn check_last_batch(sandbox: &Sandbox) {
    let config = sandbox.config(
        &[
            EXACT,
            &["train.per_device_train_batch_size=4", "train.max_steps=6"],
        ]
        .concat(),
    );
    let mut features = Vec::new();
    let trainer = Trainer::new(config).unwrap().run_dir(sandbox.path("tail"));
    let outcome = trainer.on_step(|step| features.push(step.features)).fit();
    outcome.unwrap();
    assert_eq!(features, [4, 4, 4, 4, 4, 1]);
}

/// Twenty steps of two and four ranks, each with its share of batches of four features, equal those of one rank.
fn equals_one_rank(strategy: &[&str]) {
    let sandbox = sandbox();
    check_last_batch(&sandbox);
    for accumulation in [
        "train.gradient_accumulation_steps=1",
        "train.gradient_accumulation_steps=3",
    ] {
        let one = format!("one-{accumulation}");
        let more = [accumulation];
        train(
            &sandbox,
            &one,
            1,
            &[EXACT, &more, &["train.per_device_train_batch_size=4"]],
        );
        for (ranks, batch_size) in [
            (2, "train.per_device_train_batch_size=2"),
            (4, "train.per_device_train_batch_size=1"),
        ] {
            let run = format!("{ranks}-{accumulation}");
            train(
                &sandbox,
                &run,
                ranks,
                &[EXACT, &more, &[batch_size], strategy],
            );
            let error = difference(&sandbox, &one, &run);
            assert!(error < 1e-6, "{run}: {error}");
            let losses = |run: &str| -> Vec<f64> {
                let lines = sandbox.json_lines(&format!("{run}/metrics.jsonl"));
                lines
                    .iter()
                    .filter_map(|line| line["train/loss"].as_f64())
                    .collect()
            };
            let (expected, found) = (losses(&one), losses(&run));
            assert_eq!(expected.len(), 20);
            for (expected, found) in expected.iter().zip(&found) {
                assert!((expected - found).abs() < 1e-5, "{expected} {found}");
            }
        }
        // Negative control: other batches differ by far more than the tolerance.
        let other = format!("other-{accumulation}");
        train(
            &sandbox,
            &other,
            2,
            &[
                EXACT,
                &more,
                &["train.per_device_train_batch_size=3"],
                strategy,
            ],
        );
        let error = difference(&sandbox, &one, &other);
        assert!(error > 1e-4, "{error}");
    }
}

#[test]
fn ddp_equals_one_rank() {
    equals_one_rank(&[DDP, &["distributed.bucket_cap_mb=0.02"]].concat());
}

#[test]
fn fsdp_full_shard_equals_one_rank() {
    equals_one_rank(FSDP);
}

#[test]
fn fsdp_shard_grad_op_equals_one_rank() {
    equals_one_rank(GRAD_OP);
}

/// Two ranks by every strategy equal one rank, evaluation included.
fn two_ranks_equal_one(sandbox: &Sandbox, more: &[&str], [of_one, of_two]: [&str; 2]) {
    train(sandbox, "one", 1, &[EXACT, more, &[of_one]]);
    let eval = |run: &str| sandbox.json(&format!("{run}/metrics.json"))["eval"].clone();
    for strategy in [DDP, FSDP, GRAD_OP] {
        let run = strategy.concat();
        train(sandbox, &run, 2, &[EXACT, more, &[of_two], strategy]);
        let error = difference(sandbox, "one", &run);
        assert!(error < 1e-6, "{run}: {error}");
        // Every feature was evaluated once.
        let (expected, found) = (eval("one"), eval(&run));
        for figure in ["exact", "f1", "total"] {
            assert_eq!(expected[figure], found[figure], "{run}");
        }
        let loss = |eval: &serde_json::Value| eval["loss"].as_f64().unwrap();
        assert!((loss(&expected) - loss(&found)).abs() < 1e-4, "{run}");
    }
}

#[test]
fn frozen_layers_equal_one_rank_and_stay_unchanged() {
    for freeze in [
        &["train.freeze_layers=1"][..],
        &["train.freeze_layers=1", "train.freeze_embeddings=true"],
        &["train.freeze_layers=2", "train.freeze_embeddings=true"],
    ] {
        let sandbox = sandbox();
        let more = [freeze, &["train.layerwise_lr_decay=0.5"]].concat();
        two_ranks_equal_one(
            &sandbox,
            &more,
            [
                "train.per_device_train_batch_size=4",
                "train.per_device_train_batch_size=2",
            ],
        );
        let layer = "bert.encoder.layer.0.output.dense.weight";
        let parameters = |run: &str| crate::distributed::parameters(&sandbox, run)[layer].clone();
        train(
            &sandbox,
            "trained",
            1,
            &[EXACT, &["train.per_device_train_batch_size=4"]],
        );
        let frozen = parameters(&DDP.concat());
        assert_eq!(frozen, parameters("one"));
        assert_ne!(frozen, parameters("trained"));
    }
}

#[test]
fn batches_by_tokens_equal_one_rank() {
    two_ranks_equal_one(
        &sandbox(),
        &[],
        [
            "train.max_tokens_per_batch=600",
            "train.max_tokens_per_batch=300",
        ],
    );
}

/// Both ranks have the same feature. Without dropout they make the steps of one rank with that feature; with dropout they
/// would too if they drew the same masks.
#[test]
fn each_rank_draws_its_own_dropout_masks() {
    let sandbox = sandbox();
    let mut twins = sandbox.json("eight.json");
    let questions = twins["data"][0]["paragraphs"][0]["qas"]
        .as_array_mut()
        .unwrap();
    questions.truncate(1);
    let mut twin = questions[0].clone();
    sandbox.write("one.json", &first_paragraph(&twins).to_string());
    twin["id"] = "twin".into();
    twins["data"][0]["paragraphs"][0]["qas"]
        .as_array_mut()
        .unwrap()
        .push(twin);
    sandbox.write("two.json", &first_paragraph(&twins).to_string());
    let file = |name: &str| format!("train.files={}", sandbox.path(name).display());
    let (one, two) = (file("one.json"), file("two.json"));
    for (dropout, strategy) in [(false, DDP), (true, DDP), (false, FSDP), (true, FSDP)] {
        let of = |file| -> Vec<String> {
            vec![
                file,
                format!("train.dropout={dropout}"),
                "train.max_steps=3".into(),
                "train.per_device_train_batch_size=1".into(),
            ]
        };
        let runs = [
            format!("one-{dropout}-{}", strategy[0]),
            format!("two-{dropout}-{}", strategy[0]),
        ];
        for (run, (ranks, file)) in runs.iter().zip([(1, one.clone()), (2, two.clone())]) {
            let settings = of(file);
            let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
            train(&sandbox, run, ranks, &[EXACT, strategy, &settings]);
        }
        let error = difference(&sandbox, &runs[0], &runs[1]);
        assert_eq!(error > 1e-5, dropout, "{error}");
    }
}

/// The dataset with its first paragraph only.
fn first_paragraph(dataset: &serde_json::Value) -> serde_json::Value {
    let mut dataset = dataset.clone();
    let articles = dataset["data"].as_array_mut().unwrap();
    articles.truncate(1);
    articles[0]["paragraphs"]
        .as_array_mut()
        .unwrap()
        .truncate(1);
    dataset
}
