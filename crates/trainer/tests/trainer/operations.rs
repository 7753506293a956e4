//! A training step by the operations that a GPU gets, on libtorch's CPU device: how many they are, and that the numbers stay.
//! The switch is one for the process, so these tests run in a process of their own.

use std::collections::BTreeMap;
use std::io::Write;

use trainer::Trainer;

use crate::checkpoints::stopped;
use crate::support::Sandbox;
use test_support::TinyModel;

const CHILD: &str = "SQUAD_BURN_TEST_CHILD";

/// Whether this is the process that runs the test; else starts it and asserts that it succeeds.
fn in_own_process(test: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--include-ignored", "--nocapture"]);
    let output = child.env(CHILD, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    std::io::stdout().write_all(&output.stdout).unwrap();
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{output:?}"
    );
    false
}

/// Losses and gradient norms of a run.
fn train(sandbox: &Sandbox, run: &str, steps: u32, settings: &[&str]) -> Vec<[f32; 2]> {
    let steps = format!("train.max_steps={steps}");
    let settings = [
        &[
            "run.device=libtorch",
            "train.num_train_epochs=50",
            "eval.every_epochs=0",
            &steps,
        ],
        settings,
    ]
    .concat();
    let mut numbers = Vec::new();
    let trainer = Trainer::new(sandbox.config(&settings)).unwrap();
    let trainer = trainer.on_step(|step| numbers.push([step.loss, step.grad_norm]));
    let outcome = trainer.run_dir(sandbox.path(run)).fit().unwrap();
    outcome.finished().expect("nobody asked the run to stop");
    numbers
}

/// The operations of one step of BERT base's depth, by name: the difference between runs of two lengths.
fn operations(sandbox: &Sandbox, name: &str, settings: &[&str]) -> BTreeMap<String, i64> {
    let [short, long] = [2, 4].map(|steps| {
        let run = format!("{name}-{steps}");
        let count = torch_shim::count_operations(|| train(sandbox, &run, steps, settings));
        count.unwrap().1
    });
    let of =
        |counts: &BTreeMap<String, usize>, name: &str| counts.get(name).map_or(0, |n| *n as i64);
    let names = long.keys().chain(short.keys()).cloned();
    names
        .map(|name| {
            let of_two = of(&long, &name) - of(&short, &name);
            (name, of_two / 2)
        })
        .collect()
}

#[test]
fn a_step_launches_few_operations() {
    if !in_own_process("operations::a_step_launches_few_operations") {
        return;
    }
    fused_ops::run_operations_of_gpu(true);
    let sandbox = Sandbox::with_model(&TinyModel {
        num_hidden_layers: 12,
        ..TinyModel::default()
    });
    // Attention's kernels are not counted: one operation forward and one backward in each layer.
    for (name, limit, settings) in [
        ("f32", 560, ["run.bf16=false", "checkpoints.every_epochs=0"]),
        ("bf16", 800, ["run.bf16=true", "checkpoints.every_epochs=0"]),
    ] {
        let operations = operations(&sandbox, name, &settings);
        let total: i64 = operations.values().sum();
        println!("{name}: {total} operations a step, attention's not counted: {operations:?}");
        assert!((200..limit).contains(&total), "{total}");
        // Host waits: only for loss and norm, whose copies have arrived.
        assert_eq!(operations["aten::_local_scalar_dense"], 2);
    }
}

/// A step casts its weights, and puts those of a layer side by side, once for all of its micro-batches; and nothing holds
/// them when it updates them in place.
#[test]
fn weights_are_cast_once_a_step() {
    if !in_own_process("operations::weights_are_cast_once_a_step") {
        return;
    }
    fused_ops::run_operations_of_gpu(true);
    let sandbox = Sandbox::with_model(&TinyModel {
        num_hidden_layers: 3,
        ..TinyModel::default()
    });
    let of = |operations: &BTreeMap<String, i64>, name: &str| {
        operations.get(name).copied().unwrap_or_default()
    };
    for bf16 in ["run.bf16=false", "run.bf16=true"] {
        let [one, three] = [1, 3].map(|micro_batches| {
            let accumulation = format!("train.gradient_accumulation_steps={micro_batches}");
            let settings = [
                bf16,
                "train.per_device_train_batch_size=2",
                "checkpoints.every_epochs=0",
                &accumulation,
            ];
            operations(&sandbox, &format!("{bf16}-{micro_batches}"), &settings)
        });
        let is_bf16 = i64::from(bf16.ends_with("true"));
        for operations in [&one, &three] {
            assert_eq!(
                of(operations, "aten::_foreach_copy_"),
                is_bf16,
                "{operations:?}"
            );
        }
        // Two more micro-batches of three layers would put 12 weights and biases together.
        let more = of(&three, "aten::cat") - of(&one, "aten::cat");
        assert!(of(&one, "aten::cat") > 6 && more < 6, "{more} {three:?}");
        // Nothing holds a parameter or a moment when it is updated: 165 copies would be seen.
        let copies = of(&one, "aten::copy_");
        println!("{bf16}: {copies} copies a step, {more} more cats in three micro-batches");
        assert!(copies < 100, "{one:?}");
    }
}

/// Losses and norms are those of this project's kernels, are reported for every step, and a resumed run has the bits of an
/// uninterrupted one.
#[test]
fn a_step_gives_the_numbers_of_the_kernels() {
    if !in_own_process("operations::a_step_gives_the_numbers_of_the_kernels") {
        return;
    }
    let sandbox = Sandbox::new();
    let settings = ["train.dropout=false", "train.max_grad_norm=0.5"];
    let kernels = train(&sandbox, "kernels", 9, &settings);
    let faster = [&settings[..], &["train.learning_rate=1e-3"]].concat();
    let changed = train(&sandbox, "changed", 9, &faster);
    fused_ops::run_operations_of_gpu(true);
    let operations = train(&sandbox, "operations", 9, &settings);
    assert_eq!(operations.len(), 9);
    let distance = |other: &[[f32; 2]]| {
        let pairs = kernels.as_flattened().iter().zip(other.as_flattened());
        pairs.fold(0.0f32, |most, (a, b)| {
            most.max((a - b).abs() / a.abs().max(1.0))
        })
    };
    // Sums in another order, over nine steps.
    assert!(distance(&operations) < 1e-4, "{}", distance(&operations));
    // Negative control: another learning rate.
    assert!(distance(&changed) > 1e-3, "{}", distance(&changed));

    let settings = [
        "train.num_train_epochs=3",
        "checkpoints.every_steps=2",
        "run.device=libtorch",
    ];
    let whole = sandbox.train("whole", &settings);
    assert!(whole.metrics["steps"].as_u64() > Some(5));
    stopped(&sandbox, "stopped", &settings, 3);
    sandbox.resume("stopped", &settings);
    assert_eq!(sandbox.weights("stopped"), sandbox.weights("whole"));
    let losses = |run: &str| -> Vec<_> {
        let lines = sandbox.json_lines(&format!("{run}/metrics.jsonl"));
        let losses = lines.into_iter().map(|line| line["train/loss"].clone());
        losses.filter(|loss| !loss.is_null()).collect()
    };
    assert_eq!(losses("stopped"), losses("whole"));
}

/// The step is undone on the device before the host knows of it.
#[test]
fn a_step_that_diverges_is_named_and_changes_nothing() {
    if !in_own_process("operations::a_step_that_diverges_is_named_and_changes_nothing") {
        return;
    }
    fused_ops::run_operations_of_gpu(true);
    let sandbox = Sandbox::new();
    let settings = [
        "run.device=libtorch",
        "train.learning_rate=1e30",
        "train.warmup_ratio=0",
    ];
    let trainer = Trainer::new(sandbox.config(&settings)).unwrap();
    let error = trainer.run_dir(sandbox.path("run")).fit().unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let line = error.to_string();
    assert!(line.contains("in step 2: try a lower"), "{line}");
    assert_eq!(sandbox.reports("run"), 1);
}
