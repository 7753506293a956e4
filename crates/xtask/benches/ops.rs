//! Criterion's part of `cargo xtask bench ops`: it decides how often an operation runs and finds its median; two other
//! programs run it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use criterion::Criterion;

const OPERATIONS: [&str; 5] = [
    "linear_gelu",
    "attention",
    "dropout_add_layer_norm",
    "adamw",
    "span_loss",
];
const WIDTHS: [&str; 2] = ["minilm", "bert-base"];
const PASSES: [&str; 2] = ["forward", "training"];

fn main() {
    let variable = |name: &str| {
        std::env::var_os(name).unwrap_or_else(|| panic!("{name}: see cargo xtask bench ops"))
    };
    let mut ours = Stopwatch::start(Command::new(variable("STOPWATCH")).arg("serve"));
    let python = std::env::var_os("REFERENCE_PYTHON").unwrap_or("python3".into());
    let mut pytorch = Stopwatch::start(Command::new(python).arg(variable("TIME_OPS")));
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1000))
        .configure_from_args();
    for (operation, width, pass) in cases() {
        let case = format!("{operation} {width} {pass}");
        let mut group = criterion.benchmark_group(&case);
        for device in ours.devices.clone() {
            for form in ["fused", "reference"] {
                let request = format!("{device} {form} {case}");
                group.bench_function(format!("{device} {form}"), |bencher| {
                    bencher.iter_custom(|iterations| ours.time(&request, iterations));
                });
            }
        }
        let request = format!("pytorch its {case}");
        group.bench_function("pytorch", |bencher| {
            bencher.iter_custom(|iterations| pytorch.time(&request, iterations));
        });
        group.finish();
    }
    criterion.final_summary();
}

fn cases() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let all = OPERATIONS.into_iter().flat_map(|operation| {
        WIDTHS
            .into_iter()
            .flat_map(move |width| PASSES.map(|pass| (operation, width, pass)))
    });
    // The optimizer has one pass, and the loss no width.
    all.filter(|case| {
        !matches!(
            case,
            ("adamw", _, "forward") | ("span_loss", "bert-base", _)
        )
    })
}

/// A program that runs operations for us.
struct Stopwatch {
    devices: Vec<String>,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    child: Child,
}

impl Stopwatch {
    fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let requests = child.stdin.take().expect("piped above");
        let mut answers = BufReader::new(child.stdout.take().expect("piped above"));
        let devices = line(&mut answers).split(' ').map(String::from).collect();
        Self {
            devices,
            requests,
            answers,
            child,
        }
    }

    fn time(&mut self, request: &str, iterations: u64) -> Duration {
        // Where it has ended, there is no answer either.
        let _ = writeln!(self.requests, "{request} {iterations}");
        match line(&mut self.answers).parse() {
            Ok(nanoseconds) => Duration::from_nanos(nanoseconds),
            Err(_) => panic!("{request}: no answer, {:?}", self.child.wait()),
        }
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        // Nothing is lost with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("a pipe of text");
    line.trim().to_owned()
}
