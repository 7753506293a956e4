//! `cargo xtask soak`: a long run whose memory must not grow.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use plots::{Axis, Lines};

use crate::arguments::Arguments;
use crate::{print_line, root, target_folder, tiny};

const USAGE: &str = "\
cargo xtask soak [--steps N] [--device NAME] [--program FILE] [--plot FILE.svg]

Trains a tiny encoder for N steps (default 5000) with evaluations, checkpoints and a report, and measures its resident memory, which
must stay within 1 % over the second half. The program is target/debug/trainer: build it first.";

/// The largest spread over the second half, as a share of its mean.
const FLAT: f64 = 0.01;

const EVERY: Duration = Duration::from_millis(200);

/// Whether memory stays the same.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    let mut arguments = Arguments::new(arguments, USAGE);
    let steps: u32 = arguments.number("--steps", 5000)?;
    let device = arguments.text("--device")?.unwrap_or("auto".into());
    let program = arguments.text("--program")?.map(PathBuf::from);
    let program = program.unwrap_or_else(|| target_folder().join("debug/trainer"));
    let plot = arguments.text("--plot")?.map(PathBuf::from);
    arguments.end()?;
    // One folder name, whatever the user gives: what is there is removed.
    let folder = target_folder().join("soak");
    let folder = folder.join(device.replace(['/', '\\', '.'], "_"));
    let _ = std::fs::remove_dir_all(&folder);
    tiny::write(&folder)?;
    let run = folder.join("run");
    let samples = train(&program, &device, steps, &folder, &run)?;
    let report = Command::new(&program)
        .arg("report")
        .arg(&run)
        .stdout(Stdio::null())
        .status();
    if !report.map_err(|e| e.to_string())?.success() {
        return Err(format!("{}: the report cannot be made", run.display()));
    }
    let spread = spread(&samples).ok_or("the run was too short to measure")?;
    let megabytes = samples
        .last()
        .map_or(0.0, |(_, bytes)| bytes / f64::from(1 << 20));
    print_line(&format!(
        "{device}: {steps} steps, {megabytes:.1} MiB at the end, spread of the second half {:.2} %",
        100.0 * spread
    ));
    if let Some(plot) = plot {
        let points = samples
            .iter()
            .map(|(step, bytes)| (*step, bytes / f64::from(1 << 20)));
        let title = format!("Resident memory over {steps} steps on {device}");
        let chart = Lines::new(&title, "optimizer step", "MiB").axes(Axis::Tight, Axis::Amount);
        let svg = chart.line(&device, points).draw();
        std::fs::write(&plot, svg.as_str()).map_err(|e| format!("{}: {e}", plot.display()))?;
    }
    Ok(spread <= FLAT)
}

/// Trains, and returns resident bytes by step.
fn train(
    program: &Path,
    device: &str,
    steps: u32,
    folder: &Path,
    run: &Path,
) -> Result<Vec<(f64, f64)>, String> {
    let log = File::create(folder.join("log.txt")).map_err(|e| e.to_string())?;
    let mut child = Command::new(program)
        .arg("--config")
        .arg(folder.join("config.toml"))
        .arg("--run-dir")
        .arg(run)
        .args(["--device", device])
        .args([
            &format!("train.max_steps={steps}"),
            &format!("train.num_train_epochs={steps}"),
            "train.learning_rate=1e-3",
            "train.max_train_samples=64",
        ])
        .args([
            "eval.every_epochs=0",
            "eval.every_steps=250",
            "eval.max_eval_samples=16",
            "eval.metric_for_best_model=f1",
        ])
        .args([
            "checkpoints.every_epochs=0",
            "checkpoints.every_steps=250",
            "checkpoints.save_total_limit=2",
        ])
        .current_dir(root())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|e| format!("{}: {e}", program.display()))?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut samples = Vec::new();
    let started = Instant::now();
    let ended = loop {
        if let Some(ended) = child.try_wait().map_err(|e| e.to_string())? {
            break ended;
        }
        if let (Some(bytes), Some(step)) = (
            resident(&status),
            last_step(&run.join(run_log::METRICS_LOG)),
        ) {
            samples.push((step, bytes));
        }
        std::thread::sleep(EVERY);
    };
    // After the last step the process ends, and libtorch's libraries come into memory to end too.
    samples.retain(|(step, _)| *step < f64::from(steps));
    if !ended.success() {
        return Err(format!(
            "the run ended with {ended} after {} s: {}",
            started.elapsed().as_secs(),
            folder.join("log.txt").display()
        ));
    }
    Ok(samples)
}

/// The resident bytes of a process.
fn resident(status: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

/// The step of the last line of a run's log.
fn last_step(log: &Path) -> Option<f64> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(4096)))
        .ok()?;
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let mut lines = text
        .lines()
        .rev()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines.find_map(|line| line["step"].as_f64())
}

/// How far resident memory spreads over the second half of the steps, as a share of its mean.
fn spread(samples: &[(f64, f64)]) -> Option<f64> {
    let half = samples.last()?.0 / 2.0;
    let second: Vec<f64> = samples
        .iter()
        .filter(|(step, _)| *step > half)
        .map(|(_, bytes)| *bytes)
        .collect();
    if second.len() < 10 {
        return None;
    }
    let least = second.iter().copied().fold(f64::INFINITY, f64::min);
    let most = second.iter().copied().fold(0.0, f64::max);
    Some((most - least) / (second.iter().sum::<f64>() / second.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_in_the_second_half_is_seen_and_in_the_first_is_not() {
        let samples = |bytes: &dyn Fn(f64) -> f64| -> Vec<_> {
            (0..100)
                .map(|step| (f64::from(step), bytes(f64::from(step))))
                .collect()
        };
        assert_eq!(spread(&samples(&|_| 1e8)), Some(0.0));
        assert_eq!(
            spread(&samples(&|step| 1e8 + 1e7 * step.min(40.0))),
            Some(0.0)
        );
        assert!(spread(&samples(&|step| 1e8 + 5e4 * step)).unwrap() > FLAT);
        assert_eq!(spread(&[(1.0, 1e8)]), None);
    }
}
