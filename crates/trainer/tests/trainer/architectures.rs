//! Every architecture trains, distributes, resumes and answers.

use serde_json::{Value, json};

use crate::checkpoints::stopped;
use crate::distributed::{DDP, EXACT, FSDP, GRAD_OP, difference, train};
use crate::resume::{SETTINGS, assert_equal};
use crate::support::Sandbox;

/// Keys of `config.json` besides the tiny encoder's own.
fn architectures() -> Vec<Value> {
    let roberta = |model_type: &str| {
        json!({"model_type": model_type, "max_position_embeddings": 386, "pad_token_id": 1,
               "type_vocab_size": 1, "layer_norm_eps": 1e-5})
    };
    vec![
        roberta("roberta"),
        roberta("camembert"),
        roberta("xlm-roberta"),
        json!({"model_type": "electra", "embedding_size": 16}),
        json!({"model_type": "albert", "embedding_size": 16, "num_hidden_layers": 3}),
        json!({"model_type": "albert", "embedding_size": 32, "num_hidden_layers": 4,
               "num_hidden_groups": 2, "hidden_dropout_prob": 0.1}),
        json!({"model_type": "mpnet", "max_position_embeddings": 386, "layer_norm_eps": 1e-5}),
        // Version 2: projections of positions of their own, a row for each distance.
        json!({"model_type": "deberta-v2", "relative_attention": true,
               "pos_att_type": ["p2c", "c2p"], "share_att_key": false, "max_relative_positions": 24,
               "position_biased_input": true, "type_vocab_size": 2}),
        // Version 3: shared projections, rows for buckets of distances, no positions in the input.
        json!({"model_type": "deberta-v2", "relative_attention": true,
               "pos_att_type": "p2c|c2p", "share_att_key": true, "max_relative_positions": -1,
               "position_buckets": 16, "norm_rel_ebd": "layer_norm",
               "position_biased_input": false, "type_vocab_size": 0}),
        // Version 2's large models: the same, and a convolution.
        json!({"model_type": "deberta-v2", "relative_attention": true,
               "pos_att_type": "p2c|c2p", "share_att_key": true, "max_relative_positions": -1,
               "position_buckets": 16, "norm_rel_ebd": "layer_norm", "conv_kernel_size": 3,
               "conv_act": "gelu", "position_biased_input": false, "type_vocab_size": 0}),
        json!({"model_type": "modernbert", "num_hidden_layers": 4, "local_attention": 16,
               "embedding_dropout": 0.1, "attention_dropout": 0.1, "mlp_dropout": 0.1,
               "classifier_dropout": 0.1, "pad_token_id": 0}),
    ]
}

/// Weights drawn from the seed.
const RANDOM: &str = "model.init=random";

/// A sandbox whose encoder has no weights and another architecture.
fn sandbox(architecture: &Value) -> Sandbox {
    let sandbox = Sandbox::new();
    let mut config = sandbox.json("encoder/config.json");
    config["num_hidden_layers"] = 2.into();
    let keys = architecture.as_object().unwrap().clone();
    config.as_object_mut().unwrap().extend(keys);
    sandbox.write("encoder/config.json", &config.to_string());
    std::fs::remove_file(sandbox.path("encoder/model.safetensors")).unwrap();
    sandbox
}

/// Parameters of the first layer change, unless they are frozen: then embeddings alone do.
#[test]
fn two_ranks_equal_one_by_every_strategy() {
    for architecture in architectures() {
        let sandbox = sandbox(&architecture);
        for freeze in ["train.freeze_layers=0", "train.freeze_layers=1"] {
            let more = [
                "train.max_steps=6",
                "train.layerwise_lr_decay=0.5",
                RANDOM,
                freeze,
            ];
            let one = format!("one-{freeze}");
            let four = ["train.per_device_train_batch_size=4"];
            train(&sandbox, &one, 1, &[EXACT, &more, &four]);
            for strategy in [DDP, FSDP, GRAD_OP] {
                let run = format!("{}-{freeze}", strategy.concat());
                let two = ["train.per_device_train_batch_size=2"];
                train(&sandbox, &run, 2, &[EXACT, &more, strategy, &two]);
                let error = difference(&sandbox, &one, &run);
                assert!(error < 1e-6, "{architecture} {run}: {error}");
            }
            // Negative control: another batch size.
            let other = format!("other-{freeze}");
            let three = ["train.per_device_train_batch_size=3"];
            train(&sandbox, &other, 1, &[EXACT, &more, &three]);
            let error = difference(&sandbox, &one, &other);
            assert!(error > 1e-5, "{architecture}: {error}");
        }
    }
}

#[test]
fn a_stopped_run_resumes_bit_identically() {
    for architecture in architectures() {
        let sandbox = sandbox(&architecture);
        let settings = [SETTINGS, &[RANDOM]].concat();
        sandbox.train("whole", &settings);
        stopped(&sandbox, "stopped", &settings, 3);
        sandbox.resume("stopped", &settings);
        assert_equal(&sandbox, "whole", "stopped");
    }
}

/// By the command, with a configuration; and the saved model by the library.
#[test]
fn the_command_trains_evaluates_and_answers() {
    for architecture in architectures() {
        let sandbox = sandbox(&architecture);
        let trained = sandbox.command(&[
            "train",
            "--config=config.toml",
            "--run-dir=run",
            RANDOM,
            "train.max_steps=4",
            "eval.max_eval_samples=4",
        ]);
        assert_eq!(trained.code, Some(0), "{architecture}: {}", trained.stderr);
        let evaluated = sandbox.command(&[
            "evaluate",
            "--model=run/model",
            "--dataset=dev.json",
            "--json",
        ]);
        assert_eq!(evaluated.json()["total"], 8, "{architecture}");
        let context = "Bees collect nectar.";
        let question = [
            "predict",
            "--model=run/model",
            "--question=What do bees collect?",
            "--json",
        ];
        let answer = sandbox
            .command(&[&question[..], &["--context", context]].concat())
            .json();
        assert!(
            context.contains(answer["answer"].as_str().unwrap()),
            "{answer}"
        );

        let (_, device) = trainer::device("auto").unwrap();
        let folder = sandbox.path("run/model");
        let answerer =
            bert_qa::QuestionAnswerer::from_pretrained(folder.to_str().unwrap(), &device);
        let prediction = answerer
            .unwrap()
            .answer("What do bees collect?", context)
            .unwrap();
        assert_eq!(answer["answer"], prediction.text.as_str(), "{architecture}");
    }
}
