//! `cargo xtask tidy`: invariants of ARCHITECTURE.md that the compiler does not check.

use std::path::Path;

use crate::{cargo_tree, notebooks, root};

/// The crates of this workspace that each may depend on.
const ARROWS: [(&str, &str); 16] = [
    ("atomic-fs", ""),
    ("test-support", ""),
    ("qa-metrics", ""),
    ("squad-data", "atomic-fs qa-metrics"),
    ("torch-shim", ""),
    ("process-group", "torch-shim"),
    ("fused-ops", "torch-shim"),
    ("download", "atomic-fs"),
    ("bert-qa", "squad-data fused-ops atomic-fs download"),
    ("plots", ""),
    ("run-log", ""),
    ("report", "run-log plots qa-metrics squad-data atomic-fs"),
    (
        "trainer",
        "bert-qa squad-data qa-metrics fused-ops process-group torch-shim atomic-fs download run-log report",
    ),
    (
        "notebook-kit",
        "trainer bert-qa squad-data qa-metrics fused-ops process-group run-log report plots",
    ),
    (
        "fuzz-targets",
        "trainer bert-qa squad-data qa-metrics run-log report",
    ),
    ("xtask", "atomic-fs plots run-log test-support"),
];

/// Words that code may have in some places only.
const WORDS: [(&str, &str); 2] = [
    (
        "NdArray Flex LibTorch Device::ndarray Device::flex Device::libtorch Device::libtorch_cuda burn_ndarray burn_tch tch torch_shim torch_sys",
        "crates/trainer/src/device/ crates/trainer/src/distributed/nccl crates/process-group/src/nccl/tensor.rs \
         crates/fused-ops/src/backend/ /libtorch.rs crates/fused-ops/src/attention/padded.rs crates/torch-shim/ /tests/ /tests.rs /benches/",
    ),
    (
        "unsafe",
        "crates/fused-ops/src/kernels/ crates/fused-ops/src/attention/kernel.rs crates/fused-ops/src/linear/kernel.rs \
         crates/fused-ops/src/backend/libtorch.rs crates/fused-ops/src/linear/libtorch.rs \
         crates/torch-shim/src/ crates/trainer/src/device/ \
         crates/process-group/src/mpi/ffi.rs crates/process-group/src/nccl/ffi.rs \
         crates/process-group/src/nccl/buffer.rs crates/process-group/src/nccl/tensor.rs \
         crates/process-group/tests/process_group/nccl.rs \
         crates/fuzz-targets/src/main.rs",
    ),
];

const MANIFEST: [&str; 4] = [
    "\ndescription = \"",
    "\nlicense.workspace = true\n",
    "\nrust-version.workspace = true\n",
    "\n[lints]\nworkspace = true\n",
];

/// The page of error messages.
const TROUBLESHOOTING: &str = "docs/troubleshooting.md";
/// Headers that fail a build without libtorch.
const LIBTORCH_MISSING: &str = "scripts/libtorch-missing";
/// Of sources and manifests.
const ENDINGS: [&str; 4] = [".rs", ".cpp", ".h", "/Cargo.toml"];

pub(crate) fn complaints() -> Vec<String> {
    let mut complaints = Vec::new();
    let mut sources = Vec::new();
    walk(&root(), Path::new("crates"), &mut |path, text| {
        if prints(path) {
            sources.push(literals(text));
        }
        if path.ends_with(".rs") {
            complaints.extend(source(path, text));
        } else if let Some(folder) = path.strip_suffix("/Cargo.toml") {
            let name = folder.rsplit('/').next().unwrap_or_default();
            complaints.extend(manifest(path, text));
            let edges = "--all-features --edges=normal,build --depth=1";
            let packages = cargo_tree(&format!("-p={name} {edges}"), "{p}");
            complaints.extend(arrows(name, &packages));
        }
    });
    complaints.extend(notebooks::complaints());
    walk(&root(), Path::new(LIBTORCH_MISSING), &mut |_, text| {
        sources.push(literals(text));
    });
    let page = std::fs::read_to_string(root().join(TROUBLESHOOTING)).expect("the page is there");
    complaints.extend(messages(&page, &sources));
    let squad_data = |features: &str| {
        let edges = "--edges=normal,build";
        let arguments =
            format!("-p=squad-data --no-default-features --features={features} {edges}");
        cargo_tree(&arguments, "{p}")
    };
    complaints.extend(without_burn(&squad_data("parquet")));
    // Negative control: the same search must find Burn where it is.
    if without_burn(&squad_data("burn")).is_empty() {
        complaints
            .push("squad-data has no Burn with its feature `burn`: is the check blind?".into());
    }
    complaints
}

/// Whether a file may have messages of the program or of its build.
fn prints(path: &str) -> bool {
    let is_source = path.contains("/src/") || path.ends_with("/build.rs");
    is_source && !path.ends_with("/Cargo.toml") && !path.contains("crates/xtask/")
}

/// Calls `see` with the path (from `root`) and text of every source and manifest below a folder.
fn walk(root: &Path, folder: &Path, see: &mut dyn FnMut(&str, &str)) {
    for entry in std::fs::read_dir(root.join(folder)).expect("a folder can be listed") {
        let entry = entry.expect("a folder can be listed");
        let path = folder.join(entry.file_name());
        let name = path.to_string_lossy().replace('\\', "/");
        if entry.path().is_dir() {
            walk(root, &path, see);
        } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            let text = std::fs::read_to_string(entry.path()).expect("a source is text");
            see(&name, &text);
        }
    }
}

fn source(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (words, places) in WORDS {
        // The rules above contain the words.
        let mut places = places.split(' ').chain(["crates/xtask/"]);
        if places.any(|place| path.contains(place)) {
            continue;
        }
        // Unit tests stand at the end of a file and may use any backend.
        let code = text.lines().take_while(|line| *line != "#[cfg(test)]");
        for (number, line) in (1..).zip(code) {
            let line = line.split("//").next().unwrap_or_default();
            for word in words.split(' ').filter(|word| has_word(line, word)) {
                complaints.push(format!(
                    "{path}:{number}: `{word}` is not allowed in this file"
                ));
            }
        }
    }
    complaints
}

/// A source in which a text is written as it is printed: without escapes and continued lines.
fn literals(source: &str) -> String {
    let mut text = String::new();
    for line in source.lines() {
        match line.strip_suffix('\\') {
            Some(start) => text += start.trim_start(),
            None => {
                text += line.trim_start();
                text.push('\n');
            }
        }
    }
    text.replace("\\\"", "\"")
        .replace("{{", "{")
        .replace("}}", "}")
}

/// Checks that the first column of a page's tables quotes messages of the program, one or several; `…` stands for any text.
fn messages(page: &str, sources: &[String]) -> Vec<String> {
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let quoted: Vec<_> = rows
        .flat_map(|(messages, _)| messages.split("`, `"))
        .collect();
    let is_there = |message: &str| {
        let mut parts = message.split('…').map(str::trim);
        sources
            .iter()
            .any(|source| parts.clone().all(|part| source.contains(part)))
            && parts.any(|part| part.contains(char::is_alphabetic))
    };
    let unknown = quoted.iter().filter(|message| !is_there(message));
    let mut complaints: Vec<_> = unknown
        .map(|message| format!("{TROUBLESHOOTING}: no source has the message `{message}`"))
        .collect();
    if quoted.is_empty() {
        complaints.push(format!(
            "{TROUBLESHOOTING}: no message found: is the check blind?"
        ));
    }
    complaints
}

/// Whether `line` has `word` as a whole identifier, outside quotes.
fn has_word(line: &str, word: &str) -> bool {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(|c| in_name(c) || c == '"')
            && !line[at + word.len()..].starts_with(in_name)
    })
}

fn manifest(path: &str, text: &str) -> impl Iterator<Item = String> {
    let missing = MANIFEST.into_iter().filter(|part| !text.contains(part));
    missing.map(move |part| format!("{path}: no `{}`", part.trim()))
}

/// Checks `packages`, a crate and its dependencies as `cargo tree` prints them; those of this workspace have a path.
fn arrows(name: &str, packages: &[String]) -> Vec<String> {
    let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
        return vec![format!("{name} is not in the list of crates, {}", file!())];
    };
    let ours = packages.iter().filter(|line| line.contains("/crates/"));
    ours.filter_map(|line| line.split(' ').next())
        .filter(|used| *used != name && !allowed.split(' ').any(|allowed| allowed == *used))
        .map(|used| format!("{name} may not depend on {used}"))
        .collect()
}

/// Checks that `packages`, the dependencies of `squad-data` without its feature `burn`, have no Burn.
fn without_burn(packages: &[String]) -> Vec<String> {
    let burn = packages.iter().filter(|line| line.starts_with("burn"));
    burn.map(|package| format!("squad-data depends on {package} without its feature `burn`"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restricted_words_are_found_in_code_only() {
        for (path, text, complaints) in [
            ("crates/a/src/lib.rs", "unsafe { f() }", 1),
            ("crates/a/src/lib.rs", "deny(unsafe_code) // unsafe", 0),
            ("crates/trainer/src/device/memory.rs", "unsafe { f() }", 0),
            ("crates/fused-ops/src/backend.rs", "unsafe { f() }", 1),
            ("crates/fused-ops/src/backend.rs", "tch::Tensor::new()", 1),
            (
                "crates/fused-ops/src/a/libtorch.rs",
                "tch::Tensor::new()",
                0,
            ),
            ("crates/a/src/lib.rs", "#[cfg(feature = \"tch\")]", 0),
            ("crates/a/src/lib.rs", "\nf(Device::ndarray());", 1),
            ("crates/a/src/lib.rs", "#[cfg(test)]\nuse NdArray;", 0),
            ("crates/a/tests/a.rs", "f(Device::ndarray());", 0),
        ] {
            assert_eq!(source(path, text).len(), complaints, "{path}: {text}");
        }
    }

    #[test]
    fn messages_are_found_in_the_sources() {
        let sources = [literals(
            "f(\n    \"no {file} in \\\n     \\\"{folder}\\\": use {{}}\",\n)",
        )];
        let check = |page: &str| messages(page, &sources).len();
        assert_eq!(
            check("| `no … in \"…\": use {}` | do it |"),
            0,
            "{sources:?}"
        );
        assert_eq!(check("| `no … at all` | do it |\n| `no … in` | this |"), 1);
        assert_eq!(check("| `no … in`, `no … at all`, `use {}` | do it |"), 1);
        assert_eq!(check("| `… …` | says nothing |"), 1);
        assert_eq!(check("| message | what to do |"), 1);
    }

    #[test]
    fn manifests_inherit_from_the_workspace() {
        assert_eq!(manifest("a", &MANIFEST.concat()).count(), 0);
        let found: Vec<_> = manifest("a", "[package]\ndescription = \"d\"\n").collect();
        assert_eq!(
            (found.len(), &*found[0]),
            (3, "a: no `license.workspace = true`")
        );
    }

    #[test]
    fn burn_is_found_among_dependencies() {
        let lines = |text: &str| text.split(", ").map(String::from).collect::<Vec<_>>();
        let without = lines("squad-data v0.1.0 (/w/crates/squad-data), rayon v1.12.0");
        assert_eq!(without_burn(&without), [""; 0]);
        let with = lines("rayon v1.12.0, burn v0.22.1, burn-dataset v0.22.1");
        assert_eq!(without_burn(&with).len(), 2);
    }

    #[test]
    fn undeclared_dependencies_are_found() {
        for (name, used, complaints) in [
            ("bert-qa", "squad-data", 0),
            ("squad-data", "bert-qa", 1),
            ("new", "new", 1),
        ] {
            let lines = [name, used].map(|name| format!("{name} v0.1.0 (/w/crates/{name})"));
            assert_eq!(arrows(name, &lines).len(), complaints, "{name}");
        }
    }
}
