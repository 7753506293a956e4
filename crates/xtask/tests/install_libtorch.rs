//! Runs `scripts/install-libtorch.sh` with its own workspace, cache and PATH. Nothing is downloaded.
#![cfg(unix)]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

struct Machine {
    folder: TempDir,
}

impl Machine {
    /// A PATH with the tools that the script uses, without Python.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let machine = Self { folder };
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/install-libtorch.sh");
        std::fs::create_dir_all(machine.path("workspace/scripts")).unwrap();
        std::fs::copy(
            script,
            machine.path("workspace/scripts/install-libtorch.sh"),
        )
        .unwrap();
        std::fs::create_dir(machine.path("bin")).unwrap();
        for tool in [
            "awk", "bash", "cat", "dirname", "ln", "mkdir", "paste", "readlink", "rm", "sed",
        ] {
            let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(tool));
            let found = found.iter().find(|path| path.exists()).expect(tool);
            symlink(found, machine.path("bin").join(tool)).unwrap();
        }
        machine.free_gb(100);
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn program(&self, name: &str, script: &str) {
        self.write(name, &format!("#!/usr/bin/env bash\n{script}\n"));
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.path(name), mode).unwrap();
    }

    fn free_gb(&self, gigabytes: usize) {
        let line = format!("disk 0 0 {gigabytes}000000 0% /");
        self.program("bin/df", &format!("echo header; echo '{line}'"));
    }

    /// The files of libtorch that the script checks.
    fn libtorch(&self, folder: &str, minor: usize) {
        let header = format!(
            "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR {minor}\n#define TORCH_VERSION_PATCH 1\n"
        );
        let place = if minor < 10 {
            "include/torch/csrc/api/include/torch/version.h"
        } else {
            "include/torch/headeronly/version.h"
        };
        self.write(&format!("{folder}/{place}"), &header);
        self.write(&format!("{folder}/lib/libtorch_cpu.so"), "");
    }

    fn install(&self, libtorch: &str) -> Output {
        self.install_with(&[], libtorch)
    }

    fn install_with(&self, arguments: &[&str], libtorch: &str) -> Output {
        Command::new("bash")
            .arg(self.path("workspace/scripts/install-libtorch.sh"))
            .args(arguments)
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("HOME", self.path("."))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("TMPDIR", self.path("."))
            .env("LIBTORCH", libtorch)
            .output()
            .unwrap()
    }

    /// Asserts exit 2, a message that contains all `parts`, and no files left.
    fn refuses(&self, libtorch: &str, parts: &[&str]) {
        self.refuses_with(&[], libtorch, parts);
    }

    fn refuses_with(&self, arguments: &[&str], libtorch: &str, parts: &[&str]) {
        let output = self.install_with(arguments, libtorch);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        let last = stderr.lines().last().unwrap();
        assert!(last.starts_with("error: "), "{stderr}");
        for part in parts {
            assert!(last.contains(part), "{part:?} is not in {stderr}");
        }
        assert!(!self.path("workspace/.libtorch").exists());
        assert!(!self.path("cache/squad-burn/venv").exists());
    }
}

const TORCH: &str = "cache/squad-burn/venv/lib/python3.12/site-packages/torch";

#[test]
fn an_existing_environment_is_linked_and_a_second_run_changes_nothing() {
    let machine = Machine::new();
    machine.libtorch(TORCH, 9);
    for _ in 0..2 {
        let output = machine.install("");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        assert!(
            said.contains("cargo run -p trainer --features libtorch"),
            "{said}"
        );
        assert!(said.contains("no CUDA"), "{said}");
        let link = machine.path("workspace/.libtorch").canonicalize().unwrap();
        assert_eq!(link, machine.path(TORCH).canonicalize().unwrap());
    }
}

#[test]
fn builds_with_another_libtorch_are_removed() {
    let machine = Machine::new();
    let calls = machine.path("calls");
    machine.program("bin/cargo", &format!("echo \"$@\" >>{}", calls.display()));
    for minor in [9, 9, 11] {
        let _ = std::fs::remove_dir_all(machine.path(TORCH));
        machine.libtorch(TORCH, minor);
        assert!(machine.install("").status.success());
        // The links before and after differ only with the version.
        assert_eq!(calls.exists(), minor == 11);
    }
    let calls = std::fs::read_to_string(calls).unwrap();
    assert_eq!(calls, "clean --quiet -p torch-sys -p torch-shim\n");
}

#[test]
fn a_given_libtorch_is_checked_and_nothing_is_installed() {
    let machine = Machine::new();
    machine.libtorch("own", 11);
    machine.libtorch("old", 8);
    let path = |name: &str| machine.path(name).to_str().unwrap().to_owned();
    assert!(machine.install(&path("own")).status.success());
    assert!(!machine.path("workspace/.libtorch").exists());
    machine.refuses(&path("old"), &["LIBTORCH", "2.8.1", "2.9 2.10 2.11"]);
    machine.refuses(&path("nowhere"), &["LIBTORCH", "no libtorch in"]);
    std::fs::remove_file(machine.path("own/lib/libtorch_cpu.so")).unwrap();
    machine.refuses(&path("own"), &["libtorch_cpu.so"]);
}

/// A Python is asked where its torch is; here it is a program that prints it.
#[test]
fn the_torch_of_a_python_is_checked_and_linked() {
    let machine = Machine::new();
    machine.libtorch("theirs/torch", 10);
    machine.libtorch("new/torch", 15);
    let path = |name: &str| machine.path(name).to_str().unwrap().to_owned();
    let python = |name: &str, prints: &str| {
        machine.program(name, &format!("echo '{prints}'"));
        path(name)
    };
    let with = |python: &str| ["--python".to_owned(), python.to_owned()];
    let refuses = |python: &str, libtorch: &str, parts: &[&str]| {
        let arguments = with(python);
        machine.refuses_with(&arguments.each_ref().map(String::as_str), libtorch, parts);
    };
    let without = python("bin/without", "");
    refuses(&without, "", &[&without, "no torch", "2.9 2.10 2.11"]);
    let new = python("bin/new", &path("new/torch"));
    refuses(&new, "", &[&new, "2.15.1", "2.9 2.10 2.11"]);
    refuses("/no/python", "", &["no program /no/python"]);
    machine.program("bin/broken", "exit 1");
    refuses(&path("bin/broken"), "", &["broken"]);
    let theirs = python("bin/theirs", &path("theirs/torch"));
    refuses(&theirs, &path("theirs/torch"), &["LIBTORCH is set"]);
    machine.refuses_with(&["--help"], "", &["usage", "--python PATH"]);
    let arguments = with(&theirs);
    let output = machine.install_with(&arguments.each_ref().map(String::as_str), "");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(said.contains("libtorch 2.10.1"), "{said}");
    let link = machine.path("workspace/.libtorch").canonicalize().unwrap();
    assert_eq!(link, machine.path("theirs/torch").canonicalize().unwrap());
    assert!(!machine.path("cache").exists());
}

#[test]
fn a_missing_program_or_package_is_named() {
    let machine = Machine::new();
    machine.refuses("", &["python3 is missing"]);
    // A Python without the module venv.
    machine.program("bin/python3", "mkdir \"$3\"; exit 1");
    machine.refuses("", &["virtual environment", "python3-venv"]);
    // A Python whose pip cannot download.
    let fails = "mkdir -p \"$3/bin\"; for name in pip python; do ln -s \"$(dirname \"$0\")/fails\" \"$3/bin/$name\"; done";
    machine.program("bin/python3", fails);
    machine.program("bin/fails", "exit 1");
    machine.refuses("", &["pip could not install torch 2.11.0", "network"]);
    machine.free_gb(7);
    machine.refuses("", &["8 GB", "7 GB are free"]);
}

/// Installation with a pip that only links a prepared wheel.
#[test]
fn the_installed_wheel_is_linked() {
    let machine = Machine::new();
    machine.libtorch("wheel", 9);
    machine.program("bin/installs", "mkdir -p $VENV/lib/python3.12/site-packages; ln -s $WHEEL $VENV/lib/python3.12/site-packages/torch");
    let text = std::fs::read_to_string(machine.path("bin/installs")).unwrap();
    let path = |name: &str| machine.path(name).to_str().unwrap().to_owned();
    let text = text
        .replace("$VENV", &path("cache/squad-burn/venv"))
        .replace("$WHEEL", &path("wheel"));
    machine.write("bin/installs", &text);
    let makes = "mkdir -p \"$3/bin\"; for name in pip python; do ln -s \"$(dirname \"$0\")/installs\" \"$3/bin/$name\"; done";
    machine.program("bin/python3", makes);
    let output = machine.install("");
    assert!(output.status.success(), "{output:?}");
    assert!(
        machine
            .path("workspace/.libtorch/lib/libtorch_cpu.so")
            .exists()
    );
}
