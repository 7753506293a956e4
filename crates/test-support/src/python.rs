use std::ffi::OsStr;
use std::process::Command;

use crate::workspace_path;

/// Runs a Python script of the workspace with `$REFERENCE_PYTHON`, or `python3`; its standard output.
///
/// # Panics
/// If it fails, with what it printed.
pub fn run_python<A: AsRef<OsStr>>(script: &str, args: impl IntoIterator<Item = A>) -> String {
    let python = std::env::var_os("REFERENCE_PYTHON").unwrap_or("python3".into());
    let output = Command::new(python)
        .arg(workspace_path(script))
        .args(args)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{script}: {stdout}{stderr}");
    stdout
}
