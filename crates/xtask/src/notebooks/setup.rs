//! `cargo xtask notebooks setup` installs the kernel, JupyterLab and the sources of the standard library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::home::{Home, NO_RUSTUP};
use super::{first, succeed};
use crate::{print_line, root};

const EVCXR: &str = "0.22.0";

/// Installs what is missing.
pub(super) fn setup() -> Result<(), String> {
    let home = Home::find()?;
    evcxr(&home)?;
    let sources = standard_library(&home)?;
    python(&home)?;
    kernel(&home, &sources)?;
    print_line(
        "running a first cell: compiles Burn and this workspace, which takes minutes the first time",
    );
    succeed(home.python("run.py")?.arg("--first-cell").arg(first()?))?;
    print_line(
        "\nThe notebooks are ready. To open them in JupyterLab:\n\n    cargo xtask notebooks lab\n",
    );
    Ok(())
}

fn evcxr(home: &Home) -> Result<(), String> {
    // evcxr_jupyter does not print its version; Cargo's list of installed programs has it.
    let installed = fs::read_to_string(home.join("evcxr/.crates.toml")).unwrap_or_default();
    let is_there = installed.contains(&format!("\"evcxr_jupyter {EVCXR} "));
    if is_there && home.join("evcxr/bin/evcxr_jupyter").is_file() {
        print_line(&format!("evcxr_jupyter {EVCXR} is installed"));
        return Ok(());
    }
    print_line(&format!(
        "compiling evcxr_jupyter {EVCXR}, 20 to 25 minutes of processor time"
    ));
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut install = Command::new(cargo);
    install.args([
        "install",
        "evcxr_jupyter",
        "--locked",
        "--force",
        "--version",
        EVCXR,
        "--root",
    ]);
    // Builds in a temporary folder instead of the workspace's target folder.
    install
        .arg(home.join("evcxr"))
        .env_remove("CARGO_TARGET_DIR")
        .envs(NO_RUSTUP);
    succeed(&mut install)
}

/// Finds or installs the sources of the standard library. Without them evcxr cannot infer the type of `vec![1]`.
fn standard_library(home: &Home) -> Result<PathBuf, String> {
    if let Some(found) = find_sources() {
        print_line(&format!("standard-library sources: {}", found.display()));
        return Ok(found);
    }
    let named = std::env::var_os("RUST_SRC_PATH").map(PathBuf::from);
    if let Some(named) = named {
        return Err(format!(
            "RUST_SRC_PATH: {} has no core/src/lib.rs",
            named.display()
        ));
    }
    if Path::new("/etc/debian_version").is_file() {
        print_line(
            "installing Debian's rust-web-src, which has the sources of the standard library",
        );
        for arguments in [
            ["update", "-q"].as_slice(),
            &["install", "-y", "-q", "rust-web-src"],
        ] {
            let mut apt = Command::new(if is_root() { "apt-get" } else { "sudo" });
            if !is_root() {
                apt.arg("apt-get");
            }
            apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
            succeed(
                apt.stdout(fs::File::create(home.join("apt.log")).map_err(|e| e.to_string())?),
            )?;
        }
    }
    find_sources().ok_or_else(|| {
        "no sources of the standard library: install your system's package of them (Debian: rust-web-src, Fedora: \
         rust-src), or `rustup component add rust-src`, or set RUST_SRC_PATH to a folder that holds core/, alloc/ and std/"
            .into()
    })
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Looks in `RUST_SRC_PATH`, the toolchain and Debian's package.
fn find_sources() -> Option<PathBuf> {
    let has_core = |folder: &PathBuf| folder.join("core/src/lib.rs").is_file();
    if let Some(named) = std::env::var_os("RUST_SRC_PATH") {
        return Some(PathBuf::from(named)).filter(has_core);
    }
    let sysroot = Command::new("rustc")
        .arg("--print=sysroot")
        .envs(NO_RUSTUP)
        .output()
        .ok()?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    let packages = fs::read_dir("/usr/src").into_iter().flatten().flatten();
    let mut packages: Vec<_> = packages.map(|entry| entry.path().join("library")).collect();
    packages.sort();
    let toolchain = sysroot.join("lib/rustlib/src/rust/library");
    [toolchain]
        .into_iter()
        .chain(packages.into_iter().rev())
        .find(has_core)
}

fn python(home: &Home) -> Result<(), String> {
    let wanted = fs::read_to_string(tools("requirements.txt")).map_err(|e| e.to_string())?;
    let installed = home.join("python/requirements.txt");
    if fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
        print_line("JupyterLab is there");
        return Ok(());
    }
    print_line("installing JupyterLab");
    succeed(
        Command::new("python3")
            .args(["-m", "venv"])
            .arg(home.join("python")),
    )?;
    let mut pip = Command::new(home.join("python/bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--requirement",
    ]);
    succeed(pip.arg(tools("requirements.txt")))?;
    write(&installed, &wanted)
}

/// Writes the kernel's Jupyter specification and the files that it starts.
fn kernel(home: &Home, sources: &Path) -> Result<(), String> {
    for (script, place) in [
        ("kernel.py", "kernel.py"),
        ("cargo.sh", "bin/cargo"),
        ("rustup.sh", "bin/rustup"),
    ] {
        let text = fs::read_to_string(tools(script)).map_err(|e| format!("{script}: {e}"))?;
        write(&home.join(place), &text)?;
        executable(&home.join(place))?;
    }
    let manifest =
        fs::read_to_string(root().join("Cargo.toml")).map_err(|e| format!("Cargo.toml: {e}"))?;
    write(&home.join("build/.cargo/config.toml"), &profiles(&manifest))?;
    let python = home.join("python/bin/python");
    let mut environment = json!({ "RUST_SRC_PATH": sources });
    for (name, value) in NO_RUSTUP {
        environment[name] = json!(value);
    }
    let kernel = json!({
        "argv": [python, home.join("kernel.py"), "{connection_file}"],
        "display_name": "Rust (squad-burn)",
        "language": "rust",
        "interrupt_mode": "message",
        "env": environment,
    });
    write(
        &home.join("python/share/jupyter/kernels/squad-burn/kernel.json"),
        &format!("{kernel:#}\n"),
    )
}

/// The workspace's profiles as Cargo settings. evcxr's own profile would compile the dependencies unoptimized. Cells need no line
/// tables.
fn profiles(manifest: &str) -> String {
    let mut kept = String::new();
    let mut in_profile = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_profile = line.starts_with("[profile.dev");
        }
        if in_profile && !line.starts_with('#') && !line.trim().is_empty() {
            kept.push_str(&line.replace("\"line-tables-only\"", "false"));
            kept.push('\n');
        }
    }
    kept
}

fn tools(name: &str) -> PathBuf {
    root().join("scripts/notebooks").join(name)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let with_path = |e: std::io::Error| format!("{}: {e}", path.display());
    if fs::read_to_string(path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(with_path)?;
    }
    atomic_fs::write_file(path, text).map_err(|e| e.to_string())
}

#[cfg(unix)]
fn executable(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(not(unix))]
fn executable(_: &Path) -> Result<(), String> {
    Err("the notebooks' kernel needs a Unix system".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_profiles_are_taken_from_the_manifest() {
        let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
        let profiles = profiles(&manifest);
        assert!(
            profiles.starts_with("[profile.dev]\nopt-level = "),
            "{profiles}"
        );
        assert!(
            profiles.contains("[profile.dev.package.fused-ops]\nopt-level = 3\n"),
            "{profiles}"
        );
        assert!(
            !profiles.contains("line-tables") && !profiles.contains("workspace"),
            "{profiles}"
        );
    }
}
