//! What else ranks must do as one does, and what makes them differ.

use crate::distributed::{DDP, EXACT, FSDP, GRAD_OP, difference, sandbox, train};
use crate::support::Sandbox;

fn equal(sandbox: &Sandbox, more: &[&str], [of_one, of_two]: [&str; 2]) {
    train(sandbox, "one", 1, &[EXACT, more, &[of_one]]);
    let dev = |run: &str| sandbox.json(&format!("{run}/metrics.json"))["dev"].clone();
    for strategy in [DDP, FSDP, GRAD_OP] {
        let run = strategy.concat();
        train(sandbox, &run, 2, &[EXACT, more, &[of_two], strategy]);
        let error = difference(sandbox, "one", &run);
        assert!(error < 1e-6, "{run}: {error}");
        // Each window was answered, once.
        let (expected, found) = (dev("one"), dev(&run));
        for figure in ["exact", "f1", "total"] {
            assert_eq!(expected[figure], found[figure], "{run}");
        }
        let loss = |dev: &serde_json::Value| dev["loss"].as_f64().unwrap();
        assert!((loss(&expected) - loss(&found)).abs() < 1e-4, "{run}");
    }
}

#[test]
fn frozen_units_stay_as_they_are() {
    for freeze in [
        &["train.freeze_layers=1"][..],
        &["train.freeze_layers=1", "train.freeze_embeddings=true"],
        &["train.freeze_layers=2", "train.freeze_embeddings=true"],
    ] {
        let sandbox = sandbox();
        let more = [freeze, &["train.layerwise_lr_decay=0.5"]].concat();
        equal(
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
fn batches_by_tokens_are_of_all_ranks_too() {
    equal(
        &sandbox(),
        &[],
        [
            "train.max_tokens_per_batch=600",
            "train.max_tokens_per_batch=300",
        ],
    );
}

/// A window per rank, and both are the same: without dropout, two ranks do what one does with one window.
/// With it they would as well, if their masks were the same.
#[test]
fn each_rank_draws_its_own_masks() {
    let sandbox = sandbox();
    let mut twins = sandbox.json("eight.json");
    let questions = twins["data"][0]["paragraphs"][0]["qas"]
        .as_array_mut()
        .unwrap();
    questions.truncate(1);
    let mut twin = questions[0].clone();
    sandbox.write("one.json", &only_first(&twins).to_string());
    twin["id"] = "twin".into();
    twins["data"][0]["paragraphs"][0]["qas"]
        .as_array_mut()
        .unwrap()
        .push(twin);
    sandbox.write("two.json", &only_first(&twins).to_string());
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

/// The first paragraph alone.
fn only_first(dataset: &serde_json::Value) -> serde_json::Value {
    let mut dataset = dataset.clone();
    let articles = dataset["data"].as_array_mut().unwrap();
    articles.truncate(1);
    articles[0]["paragraphs"]
        .as_array_mut()
        .unwrap()
        .truncate(1);
    dataset
}
