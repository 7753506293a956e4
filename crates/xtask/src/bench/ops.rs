//! Each fused operation against its reference and PyTorch's. `crates/fused-ops/benches/stopwatch`
//! and `tools/reference/time_ops.py` run the operations, each in a process of its own; criterion
//! asks them for so many iterations (`benches/ops.rs` of this crate, so that Burn never meets
//! criterion's features) and finds the medians.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::machine::Circumstances;
use super::options::Options;
use super::place::{cargo, has_libtorch, read, target};
use super::table::markdown;
use super::{doc, process};
use crate::root;

/// Nanoseconds by operation (`OP WIDTH PASS`) and side.
type Medians = BTreeMap<String, BTreeMap<String, f64>>;

const PYTORCH: &str = "pytorch";

/// `cargo xtask bench ops`.
pub(super) fn run(options: &Options) -> Result<(), String> {
    let circumstances = Circumstances::now();
    let results = target().join("bench/criterion");
    let _ = fs::remove_dir_all(&results);
    let stopwatch = build_stopwatch()?;
    let threads = options.threads.to_string();
    let mut bench = cargo();
    bench.args([
        "bench",
        "--profile=dev",
        "-p=xtask",
        "--features=criterion",
        "--bench=ops",
    ]);
    bench
        .env("STOPWATCH", stopwatch)
        .env("CRITERION_HOME", &results)
        .env("THREADS", threads);
    bench.env("TIME_OPS", root().join("tools/reference/time_ops.py"));
    // Standard output is for the table.
    let status = bench
        .stdout(std::io::stderr())
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err(format!("cargo bench: {status}"));
    }
    let mut medians = Medians::new();
    collect(&results, &mut medians)?;
    let what = format!(
        "Milliseconds, criterion's medians; 8 windows, 1400 tokens, {} threads.",
        options.threads
    );
    doc::publish(
        "ops",
        &format!("{}\n{}", table(&medians), circumstances.markdown(&what)),
        options.doc,
    )
}

fn build_stopwatch() -> Result<String, String> {
    eprintln!("building the stopwatch");
    let mut command = cargo();
    command.args([
        "build",
        "--workspace",
        "--bench=stopwatch",
        "--message-format=json",
    ]);
    if has_libtorch() {
        command.arg("--features=libtorch");
    }
    let messages = process::run(&mut command)?.stdout;
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut built = messages.filter(|message| message["target"]["name"] == "stopwatch");
    let executable = built.find_map(|message| message["executable"].as_str().map(String::from));
    executable.ok_or("cargo built no stopwatch".into())
}

/// Reads what criterion left below `folder`.
fn collect(folder: &Path, medians: &mut Medians) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for path in entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
    {
        if !path.ends_with("new") {
            collect(&path, medians)?;
            continue;
        }
        let [benchmark, estimates] =
            ["benchmark.json", "estimates.json"].map(|file| read(&path.join(file)));
        let (benchmark, estimates) = (benchmark?, estimates?);
        let name = |key: &str| benchmark[key].as_str().unwrap_or_default().to_owned();
        let median = estimates["median"]["point_estimate"].as_f64();
        let median = median.ok_or(format!("{}: no median", path.display()))?;
        medians
            .entry(name("group_id"))
            .or_default()
            .insert(name("function_id"), median);
    }
    Ok(())
}

/// A row for each operation; of each of our sides its time, and how many times as long PyTorch takes.
fn table(medians: &Medians) -> String {
    let sides: BTreeSet<&String> = medians
        .values()
        .flat_map(BTreeMap::keys)
        .filter(|side| *side != PYTORCH)
        .collect();
    let head = ["operation".to_owned(), "PyTorch".into()]
        .into_iter()
        .chain(sides.iter().map(ToString::to_string));
    let mut rows = vec![head.collect::<Vec<_>>()];
    let milliseconds = |nanoseconds: f64| format!("{:.3}", nanoseconds / 1e6);
    for (operation, times) in medians {
        let pytorch = times.get(PYTORCH);
        let mut row = vec![
            operation.clone(),
            pytorch.map_or("".into(), |time| milliseconds(*time)),
        ];
        row.extend(sides.iter().map(|side| match (times.get(*side), pytorch) {
            (Some(time), Some(pytorch)) => {
                format!("{} ({:.2} x)", milliseconds(*time), pytorch / time)
            }
            (Some(time), None) => milliseconds(*time),
            (None, _) => "".into(),
        }));
        rows.push(row);
    }
    markdown(&rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::place::write;
    use super::*;

    #[test]
    fn what_criterion_leaves_becomes_a_table() {
        let folder = std::env::temp_dir().join(format!("xtask-ops-{}", std::process::id()));
        for (side, nanoseconds) in [("pytorch", 6e6), ("ndarray fused", 2e6)] {
            let new = folder
                .join("attention_minilm_forward")
                .join(side)
                .join("new");
            fs::create_dir_all(&new).unwrap();
            let names = json!({"group_id": "attention minilm forward", "function_id": side});
            write(&new.join("benchmark.json"), &names).unwrap();
            write(
                &new.join("estimates.json"),
                &json!({"median": {"point_estimate": nanoseconds}}),
            )
            .unwrap();
        }
        let mut medians = Medians::new();
        collect(&folder, &mut medians).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        medians.insert(
            "span_loss minilm forward".into(),
            [("libtorch fused".into(), 1e6)].into(),
        );
        let text = table(&medians);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "| operation | PyTorch | libtorch fused | ndarray fused |"
        );
        assert_eq!(
            lines[2],
            "| attention minilm forward | 6.000 |  | 2.000 (3.00 x) |"
        );
        assert_eq!(lines[3], "| span_loss minilm forward |  | 1.000 |  |");
    }
}
