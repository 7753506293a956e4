//! What the tests share.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use safetensors::SafeTensors;
use serde_json::{Value, json};
use tempfile::TempDir;
use trainer::{Config, Trained, Trainer};

use test_support::{TinyModel, files_below};

pub(crate) use test_support::workspace_path as workspace;

/// The setting for the device in host memory: flex in a build that has it, else ndarray.
pub(crate) const HOST_DEVICE: &str = if cfg!(feature = "flex") {
    "run.device=flex"
} else {
    "run.device=ndarray"
};

/// A folder with a model of random weights, slices of the sample's questions and a configuration.
pub(crate) struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self::with_model(&TinyModel::default())
    }

    pub(crate) fn with_model(model: &TinyModel) -> Self {
        let sandbox = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let texts = std::fs::read_to_string(workspace("datasets/sample/train.json")).unwrap();
        model.write(&sandbox.path("encoder"), &texts).unwrap();
        let answerable = |question: &Value| question["answers"] != json!([]);
        sandbox.slice("train.json", "train.json", 24, |_| true);
        sandbox.slice("dev.json", "dev.json", 8, |_| true);
        sandbox.slice("train.json", "eight.json", 8, answerable);
        let config = format!(
            "model.source = {:?}\ntrain.files = [{:?}]\neval.file = {:?}\n",
            sandbox.path("encoder"),
            sandbox.path("train.json"),
            sandbox.path("dev.json")
        );
        sandbox.write("config.toml", &config);
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap()
    }

    /// The values of a file of JSON lines.
    pub(crate) fn json_lines(&self, name: &str) -> Vec<Value> {
        self.text(name)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes the first `count` of the sample's questions that are wanted as a dataset.
    fn slice(&self, from: &str, to: &str, count: usize, wanted: impl Fn(&Value) -> bool) {
        let path = workspace("datasets/sample").join(from);
        let mut dataset: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let mut left = count;
        for article in dataset["data"].as_array_mut().unwrap() {
            for paragraph in article["paragraphs"].as_array_mut().unwrap() {
                paragraph["qas"].as_array_mut().unwrap().retain(|question| {
                    let keep = left > 0 && wanted(question);
                    left -= usize::from(keep);
                    keep
                });
            }
        }
        assert_eq!(left, 0);
        self.write(to, &dataset.to_string());
    }

    /// The configuration with some settings.
    pub(crate) fn config(&self, settings: &[&str]) -> Config {
        let settings: Vec<String> = settings.iter().map(|s| s.to_string()).collect();
        Config::resolve(&self.path("config.toml"), &settings).unwrap()
    }

    /// A whole run through the library, into the folder `run`.
    pub(crate) fn train(&self, run: &str, settings: &[&str]) -> Trained {
        let trainer = Trainer::new(self.config(settings)).unwrap();
        let outcome = trainer.run_dir(self.path(run)).fit().unwrap();
        outcome.finished().expect("nobody asked the run to stop")
    }

    /// Resumes a run through the library, to its end.
    pub(crate) fn resume(&self, run: &str, settings: &[&str]) -> Trained {
        let trainer = Trainer::new(self.config(settings)).unwrap();
        let outcome = trainer.resume(self.path(run)).fit().unwrap();
        outcome.finished().expect("nobody asked the run to stop")
    }

    /// The names of all files below a folder, sorted; folders appear by what is in them.
    pub(crate) fn files(&self, name: &str) -> Vec<String> {
        files_below(self.path(name))
    }

    /// Copies all files below a folder into another one.
    pub(crate) fn copy(&self, from: &str, to: &str) {
        for file in self.files(from) {
            let target = self.path(to).join(&file);
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::copy(self.path(from).join(&file), target).unwrap();
        }
    }

    /// The bytes of a run's saved weights; equal models have equal ones.
    pub(crate) fn weights(&self, run: &str) -> Vec<u8> {
        std::fs::read(self.path(run).join("model/model.safetensors")).unwrap()
    }

    /// Starts the command with this folder as working directory, and does not wait for its end.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.spawn(arguments, Stdio::inherit())
    }

    /// As [`Sandbox::start`], with a standard input to write to.
    pub(crate) fn start_with_input(&self, arguments: &[&str]) -> Child {
        self.spawn(arguments, Stdio::piped())
    }

    fn spawn(&self, arguments: &[&str], stdin: Stdio) -> Child {
        trainer_as_in_a_terminal()
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Lines that a run has written into `metrics.jsonl` so far.
    pub(crate) fn reports(&self, run: &str) -> usize {
        let text = std::fs::read_to_string(self.path(run).join("metrics.jsonl"));
        text.map_or(0, |text| text.lines().count())
    }

    /// Runs the command with this folder as working directory.
    pub(crate) fn command(&self, arguments: &[&str]) -> Finished {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        self.finish(command.args(arguments))
    }

    /// Runs the command with these bytes as its standard input.
    pub(crate) fn command_with_input(&self, arguments: &[&str], input: &[u8]) -> Finished {
        let mut child = self.start_with_input(arguments);
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap().into()
    }

    pub(crate) fn finish(&self, command: &mut Command) -> Finished {
        let output = command.current_dir(self.folder.path()).output();
        output.unwrap().into()
    }
}

/// The command in a process that ignores no signal. Tests in the background of a script ignore SIGINT, and so would it.
fn trainer_as_in_a_terminal() -> Command {
    let trainer = env!("CARGO_BIN_EXE_trainer");
    if cfg!(not(target_os = "linux")) {
        return Command::new(trainer);
    }
    let mut command = Command::new("env");
    command.args(["--default-signal", trainer]);
    command
}

/// The parameters in a model folder, by name.
pub(crate) fn parameters(model: &Path) -> BTreeMap<String, Vec<f32>> {
    let bytes = std::fs::read(model.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.tensors().into_iter();
    tensors
        .map(|(name, tensor)| (name, floats(tensor.data())))
        .collect()
}

/// The numbers of `f32` in little-endian bytes.
pub(crate) fn floats(bytes: &[u8]) -> Vec<f32> {
    let (numbers, _) = bytes.as_chunks();
    let numbers = numbers.iter().map(|number| f32::from_le_bytes(*number));
    numbers.collect()
}

/// Sends a signal to a process, by its name without `SIG`.
pub(crate) fn signal(process: u32, name: &str) {
    let arguments = [format!("-{name}"), process.to_string()];
    let status = Command::new("kill").args(arguments).status();
    assert!(status.unwrap().success());
}

/// Waits for what a process does, two minutes at most.
pub(crate) fn wait_for(what: &str, is_there: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_there() {
        let waited = started.elapsed();
        assert!(waited < Duration::from_secs(120), "no {what} in {waited:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What a command left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Finished {
    /// Standard output of a command that succeeded.
    pub(crate) fn success(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:?}");
        &self.stdout
    }

    /// The one JSON object on standard output.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        let value: Value = serde_json::from_str(&self.stdout).expect("one JSON value");
        assert!(value.is_object(), "{value}");
        value
    }

    /// Asserts one line on standard error with all `parts`, and exit code 2.
    pub(crate) fn mistake(&self, parts: &[&str]) {
        let lines: Vec<_> = self
            .stderr
            .lines()
            .filter(|line| !line.starts_with("warning: "))
            .collect();
        assert_eq!(self.code, Some(2), "{self:?}");
        assert!(
            lines.len() == 1 && lines[0].starts_with("error: "),
            "{self:?}"
        );
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        assert_eq!(self.stdout, "");
        for part in parts {
            assert!(lines[0].contains(part), "{part:?} is not in {:?}", lines[0]);
        }
    }
}
