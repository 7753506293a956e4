//! `run.float32_matmul_precision` and `run.bf16`.

mod host_memory {
    use std::process::Command;

    use crate::checkpoints::stopped;
    use crate::support::{HOST_DEVICE, Sandbox};

    const SETTINGS: &[&str] = &[
        HOST_DEVICE,
        "train.max_steps=4",
        "train.learning_rate=1e-3",
        "train.warmup_ratio=0",
        "eval.max_eval_samples=1",
    ];

    /// Losses of the steps of a run, and its weights.
    fn train(sandbox: &Sandbox, run: &str, settings: &[&str]) -> (Vec<f64>, Vec<u8>) {
        sandbox.train(run, &[SETTINGS, settings].concat());
        let lines = sandbox.json_lines(&format!("{run}/metrics.jsonl"));
        let losses = lines.iter().filter_map(|line| line["train/loss"].as_f64());
        (losses.collect(), sandbox.weights(run))
    }

    fn has_bf16() -> bool {
        bert_qa::Precision::Bf16.is_available()
    }

    #[test]
    fn high_is_an_error() {
        let sandbox = Sandbox::new();
        let arguments = [
            "--config=config.toml",
            "--run-dir=run",
            HOST_DEVICE,
            "run.float32_matmul_precision=high",
        ];
        sandbox
            .command(&arguments)
            .mistake(&["run.float32_matmul_precision", "needs a GPU"]);
        assert!(!sandbox.path("run").exists());
    }

    #[test]
    fn bf16_is_close_to_f32() {
        let sandbox = Sandbox::new();
        let (highest, weights) = train(&sandbox, "highest", &[]);
        let (bf16, _) = train(&sandbox, "bf16", &["run.bf16=true"]);
        let (medium, _) = train(&sandbox, "medium", &["run.float32_matmul_precision=medium"]);
        assert_eq!(bf16, medium);
        let pairs = highest.iter().zip(&bf16);
        let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        if has_bf16() {
            // Losses are below 6; the 8 bits of what is multiplied move them by some 1e-3.
            assert!((1e-6..5e-2).contains(&difference), "{difference}");
        } else {
            assert_eq!(difference, 0.0);
        }
        // A run in f32 after one in bf16 is as before.
        assert!(train(&sandbox, "again", &[]).1 == weights);
    }

    #[test]
    #[ignore = "needs qemu-x86_64 (Debian's qemu-user): emulates a processor that has AVX2 alone"]
    fn a_processor_without_bf16_says_so_and_stays_in_f32() {
        const WARNING: &str = "this processor has no AVX512-BF16: matmuls stay in f32";
        let sandbox = Sandbox::new();
        let emulate = |arguments: &[&str]| {
            let mut command = Command::new("qemu-x86_64");
            let trainer = env!("CARGO_BIN_EXE_trainer");
            command.args(["-cpu", "Haswell", trainer]).args(arguments);
            let finished = sandbox.finish(&mut command);
            finished.success();
            finished.stderr.contains(WARNING)
        };
        let train = |run: &str, bf16: &str| {
            let run_dir = format!("--run-dir={run}");
            let config = ["--config=config.toml", &run_dir, "run.device=ndarray"];
            let settings = ["train.max_steps=1", "eval.max_eval_samples=1", bf16];
            let warns = emulate(&[&["train"][..], &config, &settings].concat());
            (warns, sandbox.weights(run))
        };
        let (warns, weights) = train("f32", "run.bf16=false");
        assert!(!warns);
        let (warns, in_bf16) = train("bf16", "run.bf16=true");
        assert!(warns && in_bf16 == weights);

        let answers = |precision: &str| {
            let out = format!("{precision}.jsonl");
            let files = ["--model=f32/model", "--dataset=eight.json", "--out", &out];
            let device = ["--device=ndarray", "--precision", precision];
            let warns = emulate(&[&["predict"][..], &files, &device].concat());
            (warns, sandbox.text(&out))
        };
        let (warns, in_f32) = answers("f32");
        assert!(!warns);
        assert_eq!(answers("bf16"), (true, in_f32.clone()));
        // By AVX2: other scores.
        let (warns, in_int8) = answers("int8");
        assert!(!warns && in_int8 != in_f32);
    }

    #[test]
    fn a_bf16_run_depends_on_no_thread_and_resumes_bit_identically() {
        let sandbox = Sandbox::new();
        let (_, whole) = train(&sandbox, "whole", &["run.bf16=true", "run.threads=1"]);
        let (_, threads) = train(&sandbox, "threads", &["run.bf16=true", "run.threads=3"]);
        assert!(whole == threads, "threads change the weights");
        let settings = [SETTINGS, &["run.bf16=true", "run.threads=1"]].concat();
        stopped(&sandbox, "stopped", &settings, 2);
        sandbox.resume("stopped", &settings);
        assert!(
            whole == sandbox.weights("stopped"),
            "the resumed weights differ"
        );
    }
}

#[cfg(feature = "libtorch")]
mod libtorch {
    use safetensors::{Dtype, SafeTensors};

    use crate::support::Sandbox;

    const SETTINGS: &[&str] = &[
        "train.max_steps=4",
        "train.learning_rate=1e-3",
        "train.warmup_ratio=0",
        "eval.max_eval_samples=1",
        "checkpoints.every_steps=4",
    ];

    /// Losses of the steps of a run in this process.
    fn losses(sandbox: &Sandbox, run: &str, settings: &[&str]) -> Vec<f64> {
        let device = ["run.device=libtorch"];
        sandbox.train(run, &[SETTINGS, &device, settings].concat());
        let lines = sandbox.json_lines(&format!("{run}/metrics.jsonl"));
        let losses: Vec<_> = lines
            .iter()
            .filter_map(|line| line["train/loss"].as_f64())
            .collect();
        assert_eq!(losses.len(), 4);
        losses
    }

    fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
        let pairs = a.iter().zip(b);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    /// oneDNN computes `f32` matmuls in `bf16` where the processor has AMX; AVX512-BF16 alone is not enough.
    fn processor_has_amx_bf16() -> bool {
        let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        processor.contains("amx_bf16")
    }

    fn types(path: std::path::PathBuf) -> Vec<Dtype> {
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let types: Vec<_> = file
            .tensors()
            .iter()
            .map(|(_, tensor)| tensor.dtype())
            .collect();
        assert!(!types.is_empty());
        types
    }

    /// A precision is the process's, so each run must set its own. Losses are below 6; 8 bits of what goes into products
    /// move them by some 1e-3, the 24 of `f32` by 1e-6.
    #[test]
    fn each_run_has_its_configured_precision() {
        let sandbox = Sandbox::with_model(&test_support::TinyModel {
            hidden_size: 128,
            ..Default::default()
        });
        let highest = losses(&sandbox, "highest", &[]);
        let medium = losses(&sandbox, "medium", &["run.float32_matmul_precision=medium"]);
        let again = losses(&sandbox, "again", &[]);
        assert_eq!(highest, again);
        let bf16 = losses(&sandbox, "bf16", &["run.bf16=true"]);
        let difference = largest_difference(&highest, &bf16);
        assert!((1e-5..5e-2).contains(&difference), "bf16: {difference}");
        let difference = largest_difference(&highest, &medium);
        if processor_has_amx_bf16() {
            assert!((1e-5..5e-2).contains(&difference), "medium: {difference}");
            assert_ne!(medium, bf16);
        } else {
            // Another `f32` kernel may serve it: rounding alone.
            assert!(difference < 1e-5, "medium: {difference}");
        }
    }

    #[test]
    fn a_bf16_run_saves_f32() {
        let sandbox = Sandbox::new();
        losses(&sandbox, "run", &["run.bf16=true"]);
        let kept = sandbox.files("run/checkpoints");
        let kept = kept.iter().filter(|name| name.ends_with(".safetensors"));
        let kept = kept.map(|name| format!("run/checkpoints/{name}"));
        let files: Vec<_> = kept
            .chain(["run/model/model.safetensors".to_owned()])
            .collect();
        assert!(files.len() >= 3, "{files:?}");
        for file in files {
            let types = types(sandbox.path(&file));
            assert!(
                types.iter().all(|dtype| *dtype == Dtype::F32),
                "{file}: {types:?}"
            );
        }
    }
}
