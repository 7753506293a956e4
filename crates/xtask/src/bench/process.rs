//! Programs that are measured from outside.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// What a program that ended well left behind.
pub(super) struct Finished {
    pub(super) stdout: String,
    /// The highest resident size of its process, in bytes.
    pub(super) peak_memory: u64,
}

impl Finished {
    /// The last line of what it printed.
    pub(super) fn json(&self) -> Result<Value, String> {
        let line = self.stdout.trim().lines().last().unwrap_or_default();
        serde_json::from_str(line).map_err(|error| format!("not JSON ({error}): {line}"))
    }
}

/// Open MPI's launcher of so many processes on this machine, which may have fewer cores.
pub(super) fn mpirun(processes: usize) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["--allow-run-as-root", "--oversubscribe", "-n"]);
    command.arg(processes.to_string());
    command
}

/// # Errors
/// If it cannot be started or fails: the end of what it wrote to standard error.
pub(super) fn run(command: &mut Command) -> Result<Finished, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|error| format!("{program}: {error}"))?;
    let [stdout, stderr] = [
        child
            .stdout
            .take()
            .map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        child
            .stderr
            .take()
            .map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
    ]
    .map(|pipe| thread::spawn(move || text(pipe)));
    let mut peak_memory = 0;
    let status = loop {
        // The kernel keeps the highest value itself, so that nothing is missed in between.
        peak_memory = resident_peak(child.id()).unwrap_or(0).max(peak_memory);
        if let Some(status) = child
            .try_wait()
            .map_err(|error| format!("{program}: {error}"))?
        {
            break status;
        }
        thread::sleep(Duration::from_millis(20));
    };
    let [stdout, stderr] = [stdout, stderr].map(|reader| reader.join().unwrap_or_default());
    if !status.success() {
        let lines: Vec<_> = stderr.trim().lines().collect();
        let end = lines[lines.len().saturating_sub(5)..].join("\n");
        return Err(format!("{program}: {status}\n{end}"));
    }
    Ok(Finished {
        stdout,
        peak_memory,
    })
}

fn text(pipe: Option<Box<dyn Read + Send>>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // What cannot be read is missing in a message at worst.
        let _ = pipe.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn resident_peak(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Finished, String> {
        run(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn the_last_line_is_the_result() {
        let finished = shell("echo noise; echo '{\"a\": 3}'; echo much >&2; sleep 0.1").unwrap();
        assert_eq!(finished.json().unwrap()["a"], 3);
        let kib = finished.peak_memory >> 10;
        assert!((100..1 << 20).contains(&kib), "a shell of {kib} KiB");
        assert!(shell("echo nothing").unwrap().json().is_err());
    }

    #[test]
    fn a_failure_is_told_with_its_last_words() {
        let error = shell("echo why >&2; exit 3").err().unwrap();
        assert!(error.contains("why") && error.contains('3'), "{error}");
        assert!(run(&mut Command::new("no-such-program")).is_err());
    }
}
