//! A Hub of our own: the answers of Hugging Face's `resolve` addresses, and accidents.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::common::{file_names, fixture};

/// The commit that `main` is.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// The first byte, if not all of the file was asked for.
    pub(crate) from: Option<usize>,
    pub(crate) token: Option<String>,
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// The connection is closed after as many bytes of the body.
    pub(crate) dropped_after: usize,
}

impl Reply {
    pub(crate) fn status(status: u16, headers: &[(&'static str, &str)]) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        Self {
            status,
            headers: headers.collect(),
            body: Vec::new(),
            dropped_after: usize::MAX,
        }
    }

    /// Contents, or the part of them that was asked for.
    pub(crate) fn contents(
        request: &Request,
        contents: &[u8],
        headers: &[(&'static str, &str)],
    ) -> Self {
        let Some(from) = request.from else {
            let body = contents.to_vec();
            return Self {
                body,
                ..Self::status(200, headers)
            };
        };
        let range = format!("bytes {from}-{}/{}", contents.len() - 1, contents.len());
        let mut reply = Self::status(206, headers);
        reply.headers.push(("Content-Range", range));
        reply.body = contents[from..].to_vec();
        reply
    }
}

/// Listens until the test ends.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn start(mut answer: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = read_request(&stream);
                log.lock().unwrap().push(request.clone());
                // A client that hangs up early is its own affair.
                let _ = write_reply(&mut stream, &answer(&request));
            }
        });
        Self { endpoint, asked }
    }

    /// What was asked for since the last time.
    pub(crate) fn asked(&self) -> Vec<Request> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// Names of the files that were asked for since the last time.
    pub(crate) fn asked_files(&self) -> Vec<String> {
        let name = |request: Request| request.path.rsplit('/').next().unwrap().to_owned();
        self.asked().into_iter().map(name).collect()
    }
}

fn read_request(stream: &TcpStream) -> Request {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let mut request = Request {
        path: first.split(' ').nth(1).unwrap_or_default().to_owned(),
        ..Request::default()
    };
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap_or_default();
        match name.to_lowercase().as_str() {
            "range" => {
                let from = value.trim_start_matches("bytes=").split('-').next();
                request.from = from.and_then(|from| from.parse().ok());
            }
            "authorization" => request.token = Some(value.to_owned()),
            _ => {}
        }
    }
    request
}

fn write_reply(stream: &mut TcpStream, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Status\r\n", reply.status);
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!(
        "Content-Length: {}\r\nConnection: close\r\n\r\n",
        reply.body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&reply.body[..reply.body.len().min(reply.dropped_after)])
}

/// The files of a repository.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A model of the fixtures.
pub(crate) fn files(name: &str) -> Files {
    let contents = |file: &String| std::fs::read(fixture(name).join(file)).unwrap();
    let names = file_names(&fixture(name));
    names
        .into_iter()
        .map(|file| (file.clone(), contents(&file)))
        .collect()
}

/// Answers for `owner/tiny` as the Hub does for small files, at `main`, `v1` and its commit.
pub(crate) fn answer(files: &Files, request: &Request) -> Reply {
    let path = request.path.strip_prefix("/owner/tiny/resolve/");
    let Some((revision, file)) = path.and_then(|path| path.split_once('/')) else {
        return Reply::status(404, &[("X-Error-Code", "RepoNotFound")]);
    };
    if !["main", "v1", COMMIT].contains(&revision) {
        return Reply::status(404, &[("X-Error-Code", "RevisionNotFound")]);
    }
    match files.get(file) {
        None => Reply::status(
            404,
            &[("X-Error-Code", "EntryNotFound"), ("X-Repo-Commit", COMMIT)],
        ),
        Some(contents) => {
            let etag = format!("\"{}\"", etag(file));
            Reply::contents(
                request,
                contents,
                &[("ETag", &etag), ("X-Repo-Commit", COMMIT)],
            )
        }
    }
}

/// The tag of a small file.
pub(crate) fn etag(file: &str) -> String {
    format!("tag-of-{file}")
}
