//! A Hub with the one repository `owner/tiny`: the responses of Hugging Face's `resolve` URLs.

use std::collections::BTreeMap;

use test_support::{HttpServer, Reply, Request};

use crate::common::{file_names, fixture};

/// The commit that `main` is.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The files of a repository.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A model of the fixtures.
pub(crate) fn files(name: &str) -> Files {
    let contents = |file: &String| std::fs::read(fixture(name).join(file)).unwrap();
    let names = file_names(&fixture(name));
    let files = names
        .into_iter()
        .map(|file| (file.clone(), contents(&file)));
    files.collect()
}

/// A Hub that serves these files.
pub(crate) fn serve(files: Files) -> HttpServer {
    HttpServer::start(move |request| answer(&files, request))
}

/// The Hub's response for small files, at `main`, `v1` and the commit.
pub(crate) fn answer(files: &Files, request: &Request) -> Reply {
    let path = request.path.strip_prefix("/owner/tiny/resolve/");
    let Some((revision, file)) = path.and_then(|path| path.split_once('/')) else {
        return Reply::status(404).header("X-Error-Code", "RepoNotFound");
    };
    if !["main", "v1", COMMIT].contains(&revision) {
        return Reply::status(404).header("X-Error-Code", "RevisionNotFound");
    }
    let reply = match files.get(file) {
        None => Reply::status(404).header("X-Error-Code", "EntryNotFound"),
        Some(contents) => {
            let etag = format!("\"{}\"", etag(file));
            Reply::tagged_file(request, contents, &etag)
        }
    };
    reply.header("X-Repo-Commit", COMMIT)
}

/// The tag of a small file.
pub(crate) fn etag(file: &str) -> String {
    format!("tag-of-{file}")
}

/// The files that were asked for since the last call, each once.
pub(crate) fn asked_files(server: &HttpServer) -> Vec<String> {
    let requests = server.requests().into_iter();
    let mut files: Vec<_> = requests
        .map(|request| request.path.rsplit('/').next().unwrap().to_owned())
        .collect();
    files.dedup();
    files
}
