//! What can go wrong with a Hub: what can be mended is mended, the rest is one clear line.

use std::path::Path;

use bert_qa::{Hub, Pretrained};

use crate::common::cpu;
use crate::hub::{fetch, hub};
use crate::hub_server::{COMMIT, Reply, Request, Server, answer, files};

const WEIGHTS: &str = "/owner/tiny/resolve/main/model.safetensors";

/// A Hub that answers as it should, but for the weights.
fn server(mut weights: impl FnMut(&Request, Reply) -> Reply + Send + 'static) -> Server {
    let all = files("tiny-bert");
    Server::start(move |request| match request.path == WEIGHTS {
        true => weights(request, answer(&all, request)),
        false => answer(&all, request),
    })
}

fn asked_from(server: &Server) -> Vec<usize> {
    let of_weights = server
        .asked()
        .into_iter()
        .filter(|request| request.path == WEIGHTS);
    of_weights.filter_map(|request| request.from).collect()
}

fn incomplete(cache: &Path) -> u64 {
    let blob = "models--owner--tiny/blobs/tag-of-model.safetensors.incomplete";
    std::fs::metadata(cache.join(blob)).map_or(0, |metadata| metadata.len())
}

fn loads(folder: &Path) -> bool {
    Pretrained::load(folder, 0, &cpu()).is_ok()
}

#[test]
fn a_lost_connection_is_taken_up_where_it_broke() {
    let cache = tempfile::tempdir().unwrap();
    let server = server(|_, reply| Reply {
        dropped_after: 5000,
        ..reply
    });
    let folder = fetch(&hub(cache.path(), &server.endpoint), "owner/tiny").unwrap();
    assert!(loads(&folder));
    assert_eq!(asked_from(&server), [5000, 10_000, 15_000]);
}

#[test]
fn what_has_arrived_is_kept_for_the_next_time() {
    let cache = tempfile::tempdir().unwrap();
    let broken = server(|request, reply| {
        let dropped_after = if request.from.is_some() { 0 } else { 7000 };
        Reply {
            dropped_after,
            ..reply
        }
    });
    let message = fetch(&hub(cache.path(), &broken.endpoint), "owner/tiny").unwrap_err();
    for part in [
        "model.safetensors",
        "lost after 7000 of 18664 bytes",
        "try again later",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(incomplete(cache.path()), 7000);
    let healthy = server(|_, reply| reply);
    let folder = fetch(&hub(cache.path(), &healthy.endpoint), "owner/tiny").unwrap();
    assert_eq!(asked_from(&healthy), [7000]);
    assert!(loads(&folder) && incomplete(cache.path()) == 0);
}

#[test]
fn a_server_without_ranges_sends_all_of_it_again() {
    let cache = tempfile::tempdir().unwrap();
    let all = files("tiny-bert");
    let mut times = 0;
    let server = server(move |request, _| {
        times += 1;
        let whole = Request {
            from: None,
            ..request.clone()
        };
        let dropped_after = if times == 1 { 9000 } else { usize::MAX };
        Reply {
            dropped_after,
            ..answer(&all, &whole)
        }
    });
    assert!(loads(
        &fetch(&hub(cache.path(), &server.endpoint), "owner/tiny").unwrap()
    ));
}

#[test]
fn a_hub_in_trouble_is_asked_again() {
    let cache = tempfile::tempdir().unwrap();
    let mut times = 0;
    let passing = server(move |_, reply| {
        times += 1;
        if times < 3 {
            Reply::status(503, &[])
        } else {
            reply
        }
    });
    assert!(loads(
        &fetch(&hub(cache.path(), &passing.endpoint), "owner/tiny").unwrap()
    ));

    let cache = tempfile::tempdir().unwrap();
    let lasting = Server::start(|_| Reply::status(500, &[]));
    let message = fetch(&hub(cache.path(), &lasting.endpoint), "owner/tiny").unwrap_err();
    assert!(
        message.contains("500") && message.contains("try again later"),
        "{message}"
    );
    assert_eq!(lasting.asked().len(), 4);
}

#[test]
fn another_length_or_other_contents_are_not_kept() {
    let cache = tempfile::tempdir().unwrap();
    let length = server(|_, mut reply| {
        reply.headers.push(("X-Linked-Size", "18665".into()));
        reply
    });
    let message = fetch(&hub(cache.path(), &length.endpoint), "owner/tiny").unwrap_err();
    assert!(
        message.contains("18665 bytes, the server 18664"),
        "{message}"
    );

    let sha256 = "0".repeat(64);
    let tag = sha256.clone();
    let contents = server(move |_, mut reply| {
        reply.headers.push(("X-Linked-ETag", tag.clone()));
        reply
    });
    let message = fetch(&hub(cache.path(), &contents.endpoint), "owner/tiny").unwrap_err();
    assert!(
        message.contains("sha256") && message.contains(&sha256),
        "{message}"
    );
    let blobs = cache.path().join("models--owner--tiny/blobs");
    let blobs = crate::common::file_names(&blobs);
    assert_eq!(blobs.len(), 3, "config and tokenizer alone: {blobs:?}");
}

#[test]
fn refusals_say_what_to_do() {
    let cache = tempfile::tempdir().unwrap();
    let gated = [("X-Error-Code", "GatedRepo")];
    for (status, headers, token, said) in [
        (401, &[][..], None, &["401", "set HF_TOKEN"][..]),
        (
            401,
            &[],
            Some("wrong"),
            &["401", "does not accept the token"],
        ),
        (
            401,
            &gated,
            None,
            &["accept the model's conditions", "HF_TOKEN"],
        ),
        (
            403,
            &gated,
            Some("t"),
            &["403", "accept the model's conditions", "/owner/tiny"],
        ),
        (404, &[], None, &["404", "no model owner/tiny", "main"]),
        (
            404,
            &[("X-Error-Code", "RepoNotFound")],
            None,
            &["no model owner/tiny"],
        ),
        (418, &[], None, &["418"]),
        (302, &[], None, &["redirects to nowhere"]),
        (302, &[("Location", "/again")], None, &["in a circle"]),
        (
            200,
            &[("X-Repo-Commit", "a")],
            None,
            &["without a usable ETag", "a Hugging Face Hub?"],
        ),
        (
            200,
            &[("ETag", "a")],
            None,
            &["without a usable X-Repo-Commit"],
        ),
        (
            200,
            &[("ETag", "../../x"), ("X-Repo-Commit", "a")],
            None,
            &["usable ETag"],
        ),
        (
            200,
            &[("ETag", "a"), ("X-Repo-Commit", "../x")],
            None,
            &["usable X-Repo-Commit"],
        ),
    ] {
        let headers = headers.to_vec();
        let server = Server::start(move |_| Reply::status(status, &headers));
        let token = token.map(str::to_owned);
        let hub = Hub {
            token,
            ..hub(cache.path(), &server.endpoint)
        };
        let message = fetch(&hub, "owner/tiny").unwrap_err();
        for part in said {
            assert!(message.contains(part), "{part:?} in {message}");
        }
    }
    let message = fetch(&hub(cache.path(), "http://127.0.0.1:1"), "owner/tiny").unwrap_err();
    assert!(
        message.contains("no answer from http://127.0.0.1:1"),
        "{message}"
    );
    assert!(message.contains("folder"), "{message}");
}

#[test]
fn a_model_that_we_cannot_run_is_refused_before_its_weights_are_fetched() {
    let cache = tempfile::tempdir().unwrap();
    let mut all = files("tiny-bert");
    all.insert(
        "config.json".into(),
        b"{\"model_type\": \"roberta\"}".to_vec(),
    );
    let server = Server::start(move |request| answer(&all, request));
    let message = fetch(&hub(cache.path(), &server.endpoint), "owner/tiny").unwrap_err();
    assert!(message.contains("\"roberta\""), "{message}");
    assert_eq!(server.asked_files(), ["config.json"]);
}

#[test]
fn a_repository_that_lacks_something_is_told() {
    for (file, said) in [
        ("tokenizer.json", "save_pretrained"),
        ("model.safetensors", "pytorch_model.bin"),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let mut all = files("tiny-bert");
        all.remove(file);
        let server = Server::start(move |request| answer(&all, request));
        let message = fetch(&hub(cache.path(), &server.endpoint), "owner/tiny").unwrap_err();
        assert!(
            message.contains(file) && message.contains(said),
            "{message}"
        );
    }
    let cache = tempfile::tempdir().unwrap();
    let mut all = files("tiny-bert");
    all.remove("model.safetensors");
    let index = "{\"weight_map\": {\"a\": \"gone.safetensors\"}}";
    all.insert("model.safetensors.index.json".into(), index.into());
    let server = Server::start(move |request| answer(&all, request));
    let message = fetch(&hub(cache.path(), &server.endpoint), "owner/tiny").unwrap_err();
    assert!(message.contains("gone.safetensors"), "{message}");
}

/// Two at a time: the second waits for the first, and fetches nothing twice.
#[test]
fn two_processes_do_not_write_the_same_file() {
    let cache = tempfile::tempdir().unwrap();
    let server = server(|_, reply| reply);
    let fetched: Vec<_> = std::thread::scope(|scope| {
        let both = [(); 2]
            .map(|()| scope.spawn(|| fetch(&hub(cache.path(), &server.endpoint), "owner/tiny")));
        both.map(|thread| thread.join().unwrap().unwrap()).into()
    });
    assert_eq!(fetched[0], fetched[1]);
    assert!(loads(&fetched[0]) && fetched[0].ends_with(COMMIT));
}
