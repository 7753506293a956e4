//! Models from a Hub, into Hugging Face's cache and out of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bert_qa::{Hub, ModelSource, Pretrained, Watch};
use sha2::{Digest, Sha256};

use crate::common::{Value, by_name, cpu, file_names, fixture, tiny};
use crate::hub_server::{COMMIT, Files, Reply, Server, answer, etag, files};

/// A port of this machine where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:1";

pub(crate) fn hub(cache: &Path, endpoint: &str) -> Hub {
    Hub {
        cache: cache.into(),
        endpoint: endpoint.into(),
        token: None,
        offline: false,
    }
}

/// The model's folder, or the one line of the error.
pub(crate) fn fetch(hub: &Hub, model: &str) -> Result<PathBuf, String> {
    let watch = Watch {
        notice: &|_| {},
        progress: &|_, _, _| {},
    };
    let wheels = hub.cache.join("wheels");
    let source = ModelSource::parse(model).unwrap();
    source.resolve_with(hub, &wheels, &watch).map_err(|error| {
        let message = error.to_string();
        assert!(
            !message.contains('\n') && message.contains(model),
            "{message}"
        );
        message
    })
}

fn is_tiny(folder: &Path) -> bool {
    let loaded = Pretrained::load(folder, 0, &cpu()).unwrap();
    by_name(&loaded.model, Value) == by_name(&tiny().model, Value)
}

fn serve(files: Files) -> Server {
    Server::start(move |request| answer(&files, request))
}

#[test]
fn a_model_is_fetched_once_and_then_needs_no_network() {
    let cache = tempfile::tempdir().unwrap();
    let server = serve(files("tiny-bert"));
    let online = hub(cache.path(), &server.endpoint);
    let folder = fetch(&online, "owner/tiny").unwrap();
    assert!(is_tiny(&folder));
    let asked = [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
    ];
    assert_eq!(server.asked_files(), asked, "a request for each file");

    assert_eq!(fetch(&online, "owner/tiny").unwrap(), folder);
    assert!(server.asked().is_empty());
    let offline = Hub {
        offline: true,
        ..hub(cache.path(), NOWHERE)
    };
    assert_eq!(fetch(&offline, "owner/tiny").unwrap(), folder);
    assert_eq!(
        fetch(&offline, &format!("owner/tiny@{COMMIT}")).unwrap(),
        folder
    );
    let message = fetch(&offline, "owner/tiny@v1").unwrap_err();
    assert!(
        message.contains("HF_HUB_OFFLINE") && message.contains("models--owner--tiny"),
        "{message}"
    );
}

/// As `huggingface_hub` lays it out: Python finds what we fetched.
#[test]
fn the_cache_is_laid_out_as_pythons() {
    let cache = tempfile::tempdir().unwrap();
    let server = serve(files("tiny-bert"));
    let folder = fetch(&hub(cache.path(), &server.endpoint), "owner/tiny").unwrap();
    let repo = cache.path().join("models--owner--tiny");
    assert_eq!(folder, repo.join("snapshots").join(COMMIT));
    assert_eq!(
        std::fs::read_to_string(repo.join("refs/main")).unwrap(),
        COMMIT
    );
    assert_eq!(file_names(&folder), file_names(&fixture("tiny-bert")));
    for file in file_names(&folder) {
        let link = std::fs::read_link(folder.join(&file)).unwrap();
        assert_eq!(link, Path::new("../../blobs").join(etag(&file)));
    }
    assert_eq!(file_names(&repo), ["blobs", "refs", "snapshots"]);
    let blobs = file_names(&repo.join("blobs"));
    assert_eq!(blobs.len(), 4, "nothing incomplete: {blobs:?}");
}

/// We find what Python fetched.
#[test]
fn a_cache_filled_by_python_is_used() {
    let cache = tempfile::tempdir().unwrap();
    let repo = cache.path().join("models--owner--tiny");
    let snapshot = repo.join("snapshots").join(COMMIT);
    for folder in [&snapshot, &repo.join("blobs"), &repo.join("refs")] {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::write(repo.join("refs/main"), COMMIT).unwrap();
    for (file, contents) in files("tiny-bert") {
        std::fs::write(repo.join("blobs").join(etag(&file)), contents).unwrap();
        let target = Path::new("../../blobs").join(etag(&file));
        std::os::unix::fs::symlink(target, snapshot.join(file)).unwrap();
    }
    let offline = Hub {
        offline: true,
        ..hub(cache.path(), NOWHERE)
    };
    assert!(is_tiny(&fetch(&offline, "owner/tiny").unwrap()));

    // What it lacks is fetched, and nothing else.
    std::fs::remove_file(snapshot.join("tokenizer.json")).unwrap();
    assert!(fetch(&offline, "owner/tiny").is_err());
    let server = serve(files("tiny-bert"));
    assert!(is_tiny(
        &fetch(&hub(cache.path(), &server.endpoint), "owner/tiny").unwrap()
    ));
    assert_eq!(server.asked_files(), ["tokenizer.json"]);
}

#[test]
fn revisions_are_branches_tags_and_commits() {
    let cache = tempfile::tempdir().unwrap();
    let server = serve(files("tiny-bert"));
    let online = hub(cache.path(), &server.endpoint);
    for revision in ["v1", COMMIT] {
        let model = format!("owner/tiny@{revision}");
        assert!(is_tiny(&fetch(&online, &model).unwrap()));
        let path = format!("/owner/tiny/resolve/{revision}/config.json");
        // The commit's files are there already.
        assert_eq!(
            server.asked().first().map(|r| r.path == path),
            (revision == "v1").then_some(true)
        );
    }
    assert_eq!(
        file_names(&cache.path().join("models--owner--tiny/refs")),
        ["v1"]
    );
    let message = fetch(&online, "owner/tiny@v2").unwrap_err();
    assert!(message.contains("no revision \"v2\""), "{message}");
}

/// Large files stand elsewhere: the Hub tells their length and SHA-256 and redirects.
#[test]
fn the_token_is_for_the_hub_alone() {
    let cache = tempfile::tempdir().unwrap();
    let weights = files("tiny-bert")["model.safetensors"].clone();
    let (length, sha256) = (weights.len().to_string(), sha256(&weights));
    let storage =
        Server::start(move |request| Reply::contents(request, &weights, &[("ETag", "\"other\"")]));
    let address = format!("{}/some/where", storage.endpoint);
    let all = files("tiny-bert");
    let tag = sha256.clone();
    let server = Server::start(move |request| match &*request.path {
        "/owner/tiny/resolve/main/model.safetensors" => Reply::status(
            302,
            &[
                ("Location", &address),
                ("X-Repo-Commit", COMMIT),
                ("X-Linked-ETag", &format!("\"{tag}\"")),
                ("X-Linked-Size", &length),
            ],
        ),
        // Small files are redirected within the Hub.
        "/owner/tiny/resolve/main/config.json" => {
            Reply::status(307, &[("Location", "/owner/tiny/resolve/v1/config.json")])
        }
        _ => answer(&all, request),
    });
    let token = Some("secret".to_owned());
    let online = Hub {
        token,
        ..hub(cache.path(), &server.endpoint)
    };
    assert!(is_tiny(&fetch(&online, "owner/tiny").unwrap()));
    let bearer = Some("Bearer secret");
    assert!(
        server
            .asked()
            .iter()
            .all(|request| request.token.as_deref() == bearer)
    );
    assert!(
        storage
            .asked()
            .iter()
            .all(|request| request.token.is_none())
    );
    assert!(
        cache
            .path()
            .join("models--owner--tiny/blobs")
            .join(sha256)
            .is_file()
    );
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn weights_come_in_the_form_that_the_repository_has() {
    let folder = crate::common::copy_of("tiny-bert");
    crate::weight_files::divide(folder.path(), 2);
    let read = |file: String| {
        (
            file.clone(),
            std::fs::read(folder.path().join(file)).unwrap(),
        )
    };
    let sharded: Files = file_names(folder.path()).into_iter().map(read).collect();
    let mut bin = files("tiny-bert");
    bin.remove("model.safetensors");
    let contents = std::fs::read(fixture("tiny-bert-bin/pytorch_model.bin")).unwrap();
    bin.insert("pytorch_model.bin".into(), contents);
    for (all, asked) in [(sharded, 7), (bin, 6)] {
        let cache = tempfile::tempdir().unwrap();
        let server = serve(all);
        assert!(is_tiny(
            &fetch(&hub(cache.path(), &server.endpoint), "owner/tiny").unwrap()
        ));
        assert_eq!(server.asked().len(), asked);
        let offline = Hub {
            offline: true,
            ..hub(cache.path(), NOWHERE)
        };
        assert!(is_tiny(&fetch(&offline, "owner/tiny").unwrap()));
    }
}

/// All files are of the commit that the first one was of, also when the branch moves on meanwhile.
#[test]
fn files_of_two_commits_are_not_mixed() {
    let cache = tempfile::tempdir().unwrap();
    let all = files("tiny-bert");
    let server = Server::start(move |request| {
        let moved = request.path.contains("/main/") && !request.path.ends_with("config.json");
        match moved {
            true => Reply::contents(
                request,
                b"newer",
                &[("ETag", "newer"), ("X-Repo-Commit", "newer")],
            ),
            false => answer(&all, request),
        }
    });
    assert!(is_tiny(
        &fetch(&hub(cache.path(), &server.endpoint), "owner/tiny").unwrap()
    ));
    let path = format!("/owner/tiny/resolve/{COMMIT}/model.safetensors");
    assert!(server.asked().iter().any(|request| request.path == path));
}

#[test]
fn progress_is_told() {
    let cache = tempfile::tempdir().unwrap();
    let server = serve(files("tiny-bert"));
    let told = Arc::new(Mutex::new(Vec::new()));
    let watch = Watch {
        notice: &|_| {},
        progress: &|file, arrived, size| {
            told.lock().unwrap().push((file.to_owned(), arrived, size))
        },
    };
    let source = ModelSource::parse("owner/tiny").unwrap();
    let online = hub(cache.path(), &server.endpoint);
    source.resolve_with(&online, cache.path(), &watch).unwrap();
    let size = files("tiny-bert")["model.safetensors"].len() as u64;
    let file = "model.safetensors".to_owned();
    let told = told.lock().unwrap();
    assert!(told.contains(&(file.clone(), 0, size)) && told.contains(&(file, size, size)));
}
