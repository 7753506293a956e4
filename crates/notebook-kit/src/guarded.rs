//! Programs that a notebook starts.

use std::io::{BufRead, BufReader, Error};
#[cfg(unix)]
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Ends the program where its standard input ends: when its [`Guarded`] is dropped, and when the kernel is gone. A
/// kernel that is interrupted is killed, and does nothing more for what it started.
const GUARD: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- & program=$!
{ read -r _; kill "$program"; } <&3 3<&- >/dev/null 2>&1 & guard=$!
wait "$program"; code=$?
kill "$guard"
exit "$code"
"#;

/// A program that does not outlive the kernel, nor this.
pub(crate) struct Guarded(Child);

impl Guarded {
    /// Starts it; what it prints on standard output is for nobody.
    pub(crate) fn start(program: &Command) -> Result<Self, Error> {
        let mut shell = Command::new("sh");
        shell.args(["-c", GUARD, "sh"]);
        shell.arg(program.get_program()).args(program.get_args());
        if let Some(folder) = program.get_current_dir() {
            shell.current_dir(folder);
        }
        // Whoever kills the kernel with its process group leaves the guard alive.
        #[cfg(unix)]
        shell.process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::null());
        shell.stderr(Stdio::piped()).spawn().map(Self)
    }

    /// Tells each line on its standard error as it comes, and how it ended.
    pub(crate) fn follow(mut self, told: &mut dyn FnMut(&str)) -> Result<ExitStatus, Error> {
        if let Some(pipe) = self.0.stderr.take() {
            for line in BufReader::new(pipe).split(b'\n') {
                told(String::from_utf8_lossy(&line?).trim_end());
            }
        }
        self.0.wait()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Closes its standard input first. What cannot be waited for has ended.
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Guarded {
        Guarded::start(Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn lines_come_in_order_and_the_status_is_the_programs() {
        let mut lines = Vec::new();
        let mut told = |line: &str| lines.push(line.to_owned());
        let script = "echo one >&2; echo nobody; printf 'two \\n' >&2; exit 7";
        let status = shell(script).follow(&mut told).unwrap();
        assert_eq!(
            (lines, status.code()),
            (vec!["one".into(), "two".into()], Some(7))
        );
    }

    #[test]
    fn a_program_ends_with_its_guard() {
        let mut guarded = shell("echo $$ >&2; exec sleep 1000");
        let mut line = String::new();
        let pipe = guarded.0.stderr.as_mut().unwrap();
        BufReader::new(pipe).read_line(&mut line).unwrap();
        let lives = || {
            let mut asked = Command::new("kill");
            asked.args(["-0", line.trim()]).stderr(Stdio::null());
            asked.status().unwrap().success()
        };
        assert!(lives(), "{line}");
        drop(guarded);
        assert!(!lives(), "{line}");
    }
}
