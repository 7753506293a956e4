//! How much faster several processes train, and what they wait for.

use std::fs;

use serde_json::Value;

use super::figures::median;
use super::flops::Windows;
use super::machine::Circumstances;
use super::nodes::Nodes;
use super::options::Options;
use super::place::{Place, cargo, read, target};
use super::ranks::{Sizes, WAYS};
use super::table::markdown;
use super::work::{self, figure};
use super::{clusters, doc, process};
use crate::root;

const STEPS: usize = 10;

/// Where the processes are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    One,
    /// Half of them on each of two network namespaces, with TCP between.
    Two,
}

/// A run's figures.
#[derive(Clone, Copy)]
struct Run {
    windows_per_second: f64,
    /// The share of the training's time in which rank 0 waited for others.
    waiting: f64,
    /// Bytes that the first node sent in a step.
    sent: Option<f64>,
}

/// Runs of one kind.
struct Row {
    way: &'static str,
    settings: &'static [&'static str],
    processes: usize,
    nodes: On,
    runs: Vec<Run>,
}

/// `cargo xtask bench speedup`.
pub(super) fn run(options: &Options) -> Result<(), String> {
    let circumstances = Circumstances::now();
    process::run(cargo().args(["build", "-p", "trainer", "--features", "mpi"]))?;
    let options = Options {
        trainer: Some(target().join("debug/trainer")),
        ..options.clone()
    };
    let place = Place::find(&options, "train-v1.1-random-paragraphs.json", "train.json")?;
    let mut rows = rows();
    let nodes = Nodes::up();
    if let Err(error) = &nodes {
        eprintln!("without two nodes: {error}");
        rows.retain(|row| row.nodes == On::One);
    }
    for round in 0..options.rounds {
        let mut order: Vec<_> = rows.iter_mut().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for row in order {
            eprintln!("{}, {} processes", row.way, row.processes);
            row.runs.push(measure(row, &place, &options)?);
        }
    }
    drop(nodes);
    let parameters = Sizes::of(&place.config).all * f64::from(1 << 20);
    let what = format!(
        "Shape {} on ndarray, {} windows and one thread to a process, {STEPS} steps, {} rounds of each in alternation.",
        options.shape, options.batch, options.rounds
    );
    let text = format!(
        "{}\n{}",
        table(&rows, parameters),
        circumstances.markdown(&what)
    );
    doc::publish_in("docs/distributed.md", "speedup", &text, options.doc)?;
    let (count, tokens) = work::our_windows(&place, &options)?;
    let windows = Windows {
        count,
        tokens,
        squared_tokens: tokens * tokens / count,
    };
    doc::publish_in(
        "docs/distributed.md",
        "model",
        &clusters::text(&windows)?,
        options.doc,
    )
}

/// One process, two and four, and two on each of two nodes.
fn rows() -> Vec<Row> {
    let row = |(way, settings), processes, nodes| Row {
        way,
        settings,
        processes,
        nodes,
        runs: Vec::new(),
    };
    let mut rows = vec![row(WAYS[0], 1, On::One)];
    for (processes, nodes) in [(2, On::One), (4, On::One), (4, On::Two)] {
        rows.extend(WAYS.map(|way| row(way, processes, nodes)));
    }
    rows
}

fn measure(row: &Row, place: &Place, options: &Options) -> Result<Run, String> {
    let run_dir = place.scratch.join("run");
    let (mut command, before) = match row.nodes {
        On::One => (process::mpirun(row.processes), None),
        On::Two => (Nodes::mpirun(row.processes), Nodes::sent()),
    };
    command.arg(&place.trainer).arg("--config");
    command.arg(root().join("configs/minilm-squad1.toml"));
    command.arg("--run-dir").arg(&run_dir);
    command.args(settings(row, place, options));
    process::run(command.current_dir(root()))?;
    let sent = before.and_then(|before| Some((Nodes::sent()? - before) / STEPS as f64));
    let metrics = read(&run_dir.join("metrics.json"))?;
    fs::remove_dir_all(&run_dir).map_err(|error| format!("{}: {error}", run_dir.display()))?;
    of_metrics(&metrics, sent)
}

fn settings(row: &Row, place: &Place, options: &Options) -> Vec<String> {
    let mut settings = Vec::from(place.settings());
    settings.push(format!(
        "train.per_device_train_batch_size={}",
        options.batch
    ));
    settings.push(format!("train.max_steps={STEPS}"));
    let fixed = [
        "eval.max_eval_samples=1",
        "eval.every_epochs=0",
        "checkpoints.every_epochs=0",
        "run.device=ndarray",
        "run.threads=1",
    ];
    settings.extend(fixed.iter().chain(row.settings).map(ToString::to_string));
    settings
}

fn of_metrics(metrics: &Value, sent: Option<f64>) -> Result<Run, String> {
    // One process waits for nobody, and says nothing of it.
    let waited = metrics["communication_seconds"].as_f64().unwrap_or(0.0);
    Ok(Run {
        windows_per_second: figure(metrics, "features_per_second")?,
        waiting: waited / figure(metrics, "training_seconds")?,
        sent,
    })
}

/// Against one process with a core of its own; processes on fewer cores can have no more than these. `parameters` is in
/// bytes.
fn table(rows: &[Row], parameters: f64) -> String {
    let head = [
        "strategy",
        "processes",
        "windows/s by round",
        "speedup",
        "efficiency",
        "of its cores",
        "waiting for others",
        "MB sent by a node in a step",
        "least of a rank",
    ];
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let middle =
        |row: &Row, of: fn(&Run) -> f64| median(&row.runs.iter().map(of).collect::<Vec<_>>());
    let rate = |row: &Row| middle(row, |run| run.windows_per_second);
    let alone = rows.first().map_or(f64::NAN, rate);
    let mut lines = vec![head.map(String::from).to_vec()];
    for row in rows {
        let rates = row
            .runs
            .iter()
            .map(|run| format!("{:.1}", run.windows_per_second));
        let processes = row.processes as f64;
        let speedup = rate(row) / alone;
        let sent = row.runs.iter().find_map(|run| run.sent);
        // How often a rank must send (n - 1) / n of the parameters.
        let passes = if row.way == "fsdp, full" { 3.0 } else { 2.0 };
        let least = passes * (processes - 1.0) / processes * parameters;
        let name = match row.processes {
            1 => "none",
            _ => row.way,
        };
        let place = match row.nodes {
            On::One => row.processes.to_string(),
            On::Two => format!("2 nodes x {}", row.processes / 2),
        };
        lines.push(vec![
            name.into(),
            place,
            rates.collect::<Vec<_>>().join(", "),
            format!("{speedup:.2}"),
            format!("{:.0} %", 100.0 * speedup / processes),
            format!("{:.0} %", 100.0 * speedup / row.processes.min(cores) as f64),
            format!("{:.0} %", 100.0 * middle(row, |run| run.waiting)),
            sent.map_or_else(String::new, |bytes| format!("{:.0}", bytes / 1e6)),
            format!("{:.0}", least / 1e6),
        ]);
    }
    markdown(&lines)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_tells_speedup_and_the_share_of_waiting() {
        let figures = |rate: f64, seconds: f64, waited| json!({"features_per_second": rate, "training_seconds": seconds, "communication_seconds": waited});
        let (alone, two) = (figures(10.0, 8.0, None), figures(16.0, 10.0, Some(2.5)));
        let mut rows = rows();
        rows.truncate(2);
        rows[0].runs = vec![of_metrics(&alone, None).unwrap()];
        rows[1].runs = vec![of_metrics(&two, Some(50e6)).unwrap()];
        let text = table(&rows, 90e6);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[2],
            "| none | 1 | 10.0 | 1.00 | 100 % | 100 % | 0 % |  | 0 |"
        );
        assert!(
            lines[3].starts_with("| ddp | 2 | 16.0 | 1.60 | 80 % |"),
            "{}",
            lines[3]
        );
        assert!(lines[3].ends_with("| 25 % | 50 | 90 |"), "{}", lines[3]);
        assert!(of_metrics(&json!({}), None).is_err());
    }
}
