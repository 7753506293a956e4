//! Downloads from servers that drop connections, stall, send other bytes and fail.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use download::{Client, Download, DownloadEvent, DownloadOptions, Size, sha256_of_file};
use test_support::{HttpServer, Random, Reply, Request, Step, TempDir, files_below, temp_dir};

const SIZE: usize = 300_000;
const GOOD: Step = |request, content| Reply::file(request, content);

fn content() -> Vec<u8> {
    let mut random = Random::new(1);
    let bytes = (0..SIZE / 8).flat_map(|_| random.next_u64().to_le_bytes());
    bytes.collect()
}

/// A folder to fetch `file.bin` into, and what is known of that file.
struct Folder {
    folder: TempDir,
    messages: Vec<String>,
    size: Size,
    sha256: Option<String>,
    etag: Option<&'static str>,
    token: Option<&'static str>,
    timeout: Duration,
}

impl Folder {
    fn new() -> Self {
        let folder = temp_dir();
        let whole = folder.path().join("whole");
        std::fs::write(&whole, content()).unwrap();
        let sha256 = sha256_of_file(&whole).unwrap();
        std::fs::remove_file(whole).unwrap();
        Self {
            folder,
            messages: Vec::new(),
            size: Size::Exactly(SIZE as u64),
            sha256: Some(sha256),
            etag: None,
            token: None,
            timeout: Duration::from_secs(20),
        }
    }

    /// With what an earlier download left.
    fn with_part(part: &[u8]) -> Self {
        let folder = Self::new();
        std::fs::write(folder.path("file.part"), part).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn fetch(&mut self, server: &HttpServer) -> Result<(), String> {
        self.fetch_from(&[server])
    }

    fn fetch_from(&mut self, servers: &[&HttpServer]) -> Result<(), String> {
        let urls = servers.iter().map(|server| &server.address);
        let urls: Vec<_> = urls.map(|address| format!("{address}/file.bin")).collect();
        self.fetch_urls(&urls)
    }

    fn fetch_urls(&mut self, urls: &[String]) -> Result<(), String> {
        let client = Client::new(DownloadOptions {
            retries: 2,
            first_wait: Duration::from_millis(1),
            timeout: self.timeout,
        });
        let target = self.path("file.bin");
        let download = Download {
            name: "file.bin",
            urls,
            token: self.token,
            size: self.size,
            sha256: self.sha256.as_deref(),
            etag: self.etag,
            part: self.path("file.part"),
            target: target.clone(),
        };
        let messages = &mut self.messages;
        let result = client.download(&download, &mut |event| match event {
            DownloadEvent::Bytes { file, bytes, size } => {
                assert!(file == "file.bin" && size.is_none_or(|size| bytes <= size));
                assert!(!target.exists(), "the file appears when it is whole");
            }
            DownloadEvent::Message(line) => {
                assert!(!line.contains('\n'), "{line}");
                messages.push(line.to_owned());
            }
        });
        result.map_err(|e| e.to_string())
    }

    /// The file is whole under its name, and nothing else is there.
    fn assert_whole(&self, result: Result<(), String>) {
        result.unwrap();
        assert!(std::fs::read(self.path("file.bin")).unwrap() == content());
        assert_eq!(files_below(&self.folder), ["file.bin"]);
    }

    /// The error is one line with `why` in it; a part of `part` bytes is left.
    fn assert_failed(&self, result: Result<(), String>, why: &str, part: usize) {
        let message = result.unwrap_err();
        assert!(message.contains(why), "{why:?} is not in {message}");
        assert!(message.contains("/file.bin: ") && message.lines().count() == 1);
        if part == 0 {
            assert_eq!(files_below(&self.folder), [""; 0]);
        } else {
            assert_eq!(files_below(&self.folder), ["file.part"]);
            let left = std::fs::read(self.path("file.part")).unwrap();
            assert!(left == content()[..part], "{} bytes are left", left.len());
        }
    }
}

#[test]
fn a_dropped_connection_is_resumed() {
    let server = HttpServer::script(
        &content(),
        &[
            |r, c| Reply::file(r, c).cut(1000),
            |r, c| Reply::file(r, c).cut(0),
            |r, c| Reply::file(r, c).cut(70_000),
            |r, c| Reply::file(r, c).cut(1),
            GOOD,
        ],
    );
    let mut folder = Folder::new();
    let result = folder.fetch(&server);
    folder.assert_whole(result);
    let starts = [None, Some(1000), Some(1000), Some(71_000), Some(71_001)];
    assert_eq!(server.range_starts(), starts);
    assert_eq!(folder.messages.len(), 4, "{:?}", folder.messages);
}

#[test]
fn the_next_call_resumes_what_is_left() {
    let broken = HttpServer::script(
        &content(),
        &[
            |r, c| Reply::file(r, c).cut(5000),
            |r, c| Reply::file(r, c).cut(0),
        ],
    );
    let mut folder = Folder::new();
    let result = folder.fetch(&broken);
    folder.assert_failed(result, "3 times in a row", 5000);
    assert_eq!(
        broken.requests().len(),
        4,
        "one with progress, three without"
    );
    let good = HttpServer::script(&content(), &[GOOD]);
    let result = folder.fetch(&good);
    folder.assert_whole(result);
    assert_eq!(good.range_starts(), [Some(5000)]);
}

#[test]
fn a_silent_server_is_asked_again() {
    let stalled: [(Step, _); 2] = [
        (|r, c| Reply::file(r, c).stall(4000), Some(4000)),
        (|r, c| Reply::file(r, c).stall(0), None),
    ];
    for (stall, start) in stalled {
        let server = HttpServer::script(&content(), &[stall, GOOD]);
        let mut folder = Folder::new();
        folder.timeout = Duration::from_secs(1);
        let result = folder.fetch(&server);
        folder.assert_whole(result);
        assert_eq!(server.range_starts(), [None, start]);
        let message = &folder.messages[0];
        assert!(message.contains("sent nothing for 1 s"), "{message}");
    }
}

#[test]
fn statuses_that_pass_are_retried_and_others_are_not() {
    let passing: [Step; 4] = [
        |_, _| Reply::status(500),
        |_, _| Reply::status(503),
        |_, _| Reply::status(408),
        |_, _| Reply::status(429),
    ];
    for status in passing {
        let drop: Step = |r, c| Reply::file(r, c).cut(9);
        let server = HttpServer::script(&content(), &[status, drop, status, GOOD]);
        let mut folder = Folder::new();
        let result = folder.fetch(&server);
        folder.assert_whole(result);
        assert_eq!(server.range_starts(), [None, None, Some(9), Some(9)]);
    }
    let failing: [(Step, usize, &str); 7] = [
        (|_, _| Reply::status(500), 3, "answered 500"),
        (|_, _| Reply::noise(), 3, "no valid HTTP"),
        (|_, _| Reply::status(404), 1, "answered 404"),
        (|_, _| Reply::status(403), 1, "answered 403"),
        (|_, _| Reply::status(204), 1, "answered 204"),
        (|_, _| Reply::status(302), 1, "redirects to nowhere"),
        (
            |_, _| Reply::status(302).header("Location", "/file.bin"),
            9,
            "redirects in a circle",
        ),
    ];
    for (step, requests, why) in failing {
        let server = HttpServer::script(&content(), &[step]);
        let mut folder = Folder::with_part(&content()[..77]);
        let result = folder.fetch(&server);
        folder.assert_failed(result, why, 77);
        assert_eq!(server.requests().len(), requests, "{why}");
        let mut folder = Folder::new();
        let result = folder.fetch(&server);
        folder.assert_failed(result, why, 0);
    }
    let mut folder = Folder::new();
    let nobody = ["http://127.0.0.1:1/file.bin".to_owned()];
    let result = folder.fetch_urls(&nobody);
    folder.assert_failed(result, "connection failed", 0);
    assert_eq!(
        folder.messages, [""; 0],
        "a refused connection is not retried"
    );
}

#[test]
fn retry_after_sets_the_wait() {
    let steps: [Step; 2] = [|_, _| Reply::status(503).header("Retry-After", "1"), GOOD];
    let server = HttpServer::script(&content(), &steps);
    let mut folder = Folder::new();
    let result = folder.fetch(&server);
    folder.assert_whole(result);
    let message = &folder.messages[0];
    assert!(message.contains("answered 503"), "{message}");
    assert!(message.ends_with("trying again in 1 s"), "{message}");

    let steps: [Step; 1] = [|_, _| Reply::status(429).header("Retry-After", "3600")];
    let server = HttpServer::script(&content(), &steps);
    let mut folder = Folder::new();
    let result = folder.fetch(&server);
    folder.assert_failed(result, "asks to wait 3600 s", 0);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_server_without_ranges_is_read_from_the_beginning() {
    let cut: Step = |_, c| Reply::whole(c).cut(4000);
    let server = HttpServer::script(&content(), &[cut, |_, c| Reply::whole(c)]);
    let mut folder = Folder::new();
    let result = folder.fetch(&server);
    folder.assert_whole(result);
    assert_eq!(server.range_starts(), [None, Some(4000)]);
    // One that gets no further than before is given up.
    let server = HttpServer::script(&content(), &[cut]);
    let mut folder = Folder::new();
    let result = folder.fetch(&server);
    let why = "after 4000 of 300000 bytes (3 times in a row)";
    folder.assert_failed(result, why, 4000);
}

#[test]
fn another_part_than_the_one_asked_for_is_refused() {
    let earlier: Step = |r, c| match r.range_start() {
        Some(start) => Reply::part(c, start - 10, c.len()),
        None => Reply::file(r, c).cut(60),
    };
    let unsaid: Step = |_, c| Reply::whole(&c[50..]).with_status(206);
    let no_range: Step = |_, _| Reply::status(416);
    for bad in [earlier, unsaid, no_range] {
        let server = HttpServer::script(&content(), &[bad, GOOD]);
        let mut folder = Folder::with_part(&content()[..50]);
        let result = folder.fetch(&server);
        folder.assert_whole(result);
        assert_eq!(server.range_starts(), [Some(50), None]);
        let message = &folder.messages[0];
        assert!(message.contains("starting over"), "{message}");
    }
    let server = HttpServer::script(&content(), &[earlier]);
    let mut folder = Folder::with_part(&content()[..50]);
    let result = folder.fetch(&server);
    folder.assert_failed(result, "bytes from 50 on where those from 60 on", 0);
    assert_eq!(server.range_starts(), [Some(50), None, Some(60)]);
}

#[test]
fn other_bytes_and_other_lengths_are_refused() {
    let other_bytes: Step = |r, c| {
        let other: Vec<u8> = c.iter().map(|byte| !byte).collect();
        Reply::file(r, &other)
    };
    let longer: Step = |_, c| Reply::whole([c, b"and more"].concat()).without_length();
    let shorter: Step = |_, c| Reply::whole(&c[1..]);
    let of_longer: Step = |r, c| Reply::part(c, r.range_start().unwrap_or(0), c.len() + 5);
    for (step, requests, why) in [
        (other_bytes, 2, "other content"),
        (longer, 1, "more than 300000 bytes"),
        (shorter, 1, "a file of 299999 bytes, not of 300000"),
    ] {
        let server = HttpServer::script(&content(), &[step]);
        let mut folder = Folder::new();
        let result = folder.fetch(&server);
        folder.assert_failed(result, why, 0);
        assert_eq!(server.requests().len(), requests, "{why}");
    }
    // The part may be good: another URL can go on from it.
    for step in [shorter, of_longer] {
        let server = HttpServer::script(&content(), &[step]);
        let mut folder = Folder::with_part(&content()[..50]);
        let result = folder.fetch(&server);
        folder.assert_failed(result, "not of 300000", 50);
    }
    let server = HttpServer::script(&content(), &[other_bytes, GOOD]);
    let mut folder = Folder::new();
    let result = folder.fetch(&server);
    folder.assert_whole(result);
}

#[test]
fn a_part_of_another_file_is_thrown_away_once() {
    let mut other = content();
    other[7] ^= 1;
    for (part, starts) in [
        (&other[..100], &[Some(100), None][..]),
        (&other[..], &[None]),
        (&[content(), vec![0]].concat(), &[None]),
    ] {
        let server = HttpServer::script(&content(), &[GOOD]);
        let mut folder = Folder::with_part(part);
        let result = folder.fetch(&server);
        folder.assert_whole(result);
        assert_eq!(server.range_starts(), starts);
        assert_eq!(folder.messages.len(), 1, "{:?}", folder.messages);
    }
    // A whole part needs no server.
    let server = HttpServer::script(&content(), &[|_, _| Reply::status(404)]);
    let mut folder = Folder::with_part(&content());
    let result = folder.fetch(&server);
    folder.assert_whole(result);
    assert_eq!(server.range_starts(), []);
}

#[test]
fn urls_are_asked_in_order_and_resume_each_others_parts() {
    let missing = HttpServer::script(&content(), &[|_, _| Reply::status(404)]);
    let broken = HttpServer::script(
        &content(),
        &[
            |r, c| Reply::tagged_file(r, c, "\"broken's\"").cut(800),
            |r, c| Reply::file(r, c).cut(0),
        ],
    );
    let good = HttpServer::script(&content(), &[|r, c| Reply::tagged_file(r, c, "\"good's\"")]);
    let mut folder = Folder::new();
    let result = folder.fetch_from(&[&missing, &broken, &good]);
    folder.assert_whole(result);
    assert_eq!(missing.range_starts(), [None]);
    let starts = [None, Some(800), Some(800), Some(800)];
    assert_eq!(broken.range_starts(), starts);
    assert_eq!(good.range_starts(), [Some(800)]);
    // Where all fail, the error says what came of each.
    let mut folder = Folder::new();
    let message = folder.fetch_from(&[&missing, &broken]).unwrap_err();
    assert!(message.contains("answered 404") && message.contains(" after 0 of "));
}

#[test]
fn a_file_that_has_changed_on_the_server_is_read_from_the_beginning() {
    let old: Step = |r, c| Reply::tagged_file(r, &c[1..], "\"old\"").cut(4000);
    let new: Step = |r, c| Reply::tagged_file(r, c, "\"new\"");
    // A server that looks at `If-Range`, and one that does not.
    let careless: Step = |r, c| Reply::file(r, c).header("ETag", "\"new\"");
    for (new, starts) in [
        (new, &[None, Some(4000)][..]),
        (careless, &[None, Some(4000), None]),
    ] {
        let server = HttpServer::script(&content(), &[old, new]);
        let mut folder = Folder::new();
        (folder.size, folder.sha256) = (Size::AtMost(1 << 20), None);
        let result = folder.fetch(&server);
        folder.assert_whole(result);
        assert_eq!(server.range_starts(), starts);
    }
}

#[test]
fn without_sha256_a_part_is_resumed_by_its_tag_alone() {
    for (etag, start) in [(Some("\"tag\""), Some(50)), (None, None)] {
        let server =
            HttpServer::start(|request| Reply::tagged_file(request, &content(), "\"tag\""));
        let mut folder = Folder::with_part(&content()[..50]);
        (folder.sha256, folder.etag) = (None, etag);
        let result = folder.fetch(&server);
        folder.assert_whole(result);
        let requests = server.requests();
        assert_eq!(requests[0].range_start(), start);
        assert_eq!(requests[0].header("if-range"), etag);
    }
    // A server that has no more than the part of a longer file.
    let shorter: Step = |_, _| Reply::status(416).header("Content-Range", "bytes */50");
    let server = HttpServer::script(&content(), &[shorter]);
    let mut folder = Folder::with_part(&content()[..50]);
    (folder.sha256, folder.etag) = (None, Some("\"tag\""));
    let result = folder.fetch(&server);
    folder.assert_failed(result, "a file of 50 bytes, not of 300000", 50);
    // A server without tags: what was dropped is not resumed.
    let server = HttpServer::script(&content(), &[|r, c| Reply::file(r, c).cut(9), GOOD]);
    let mut folder = Folder::new();
    folder.sha256 = None;
    let result = folder.fetch(&server);
    folder.assert_whole(result);
    assert_eq!(server.range_starts(), [None, None]);
}

#[test]
fn a_file_of_unknown_length_is_fetched_up_to_a_limit() {
    let unsaid: Step = |_, c| Reply::whole(c).without_length();
    let server = HttpServer::script(&content(), &[unsaid]);
    let mut folder = Folder::new();
    folder.size = Size::AtMost(SIZE as u64);
    let result = folder.fetch(&server);
    folder.assert_whole(result);
    for (step, why) in [
        (unsaid, "sent more than 299999 bytes"),
        (GOOD, "a file of 300000 bytes, more than 299999"),
    ] {
        let server = HttpServer::script(&content(), &[step]);
        let mut folder = Folder::new();
        (folder.size, folder.sha256) = (Size::AtMost(SIZE as u64 - 1), None);
        let result = folder.fetch(&server);
        folder.assert_failed(result, why, 0);
        assert_eq!(server.requests().len(), 1, "{why}");
    }
    // A part that turns out to be whole.
    let server = HttpServer::script(&content(), &[GOOD]);
    let mut folder = Folder::with_part(&content());
    folder.size = Size::AtMost(1 << 20);
    let result = folder.fetch(&server);
    folder.assert_whole(result);
    assert_eq!(server.range_starts(), [Some(SIZE)]);
}

#[test]
fn compressed_bytes_are_refused() {
    let server = HttpServer::script(
        &content(),
        &[|r, c| {
            assert_eq!(r.header("accept-encoding"), Some("identity"));
            Reply::file(r, c).header("Content-Encoding", "gzip")
        }],
    );
    let mut folder = Folder::new();
    let result = folder.fetch(&server);
    folder.assert_failed(result, "sent gzip", 0);
}

#[test]
fn a_token_goes_to_its_origin_alone_and_secrets_are_not_shown() {
    let storage = HttpServer::script(&content(), &[GOOD]);
    let location = format!("{}/elsewhere?signature=secret", storage.address);
    let hub = HttpServer::start(move |request| {
        assert_eq!(request.header("authorization"), Some("Bearer secret"));
        let location = if request.path == "/file.bin" {
            "/moved"
        } else {
            &location
        };
        Reply::status(302).header("Location", location)
    });
    let mut folder = Folder::new();
    folder.token = Some("secret");
    let result = folder.fetch(&hub);
    folder.assert_whole(result);
    assert_eq!(hub.requests().len(), 2);
    let asked: Vec<Request> = storage.requests();
    assert!(asked.len() == 1 && asked[0].header("authorization").is_none());

    let missing = HttpServer::script(&content(), &[|_, _| Reply::status(404)]);
    let host = missing.address.strip_prefix("http://").unwrap();
    let url = format!("http://me:secret@{host}/file.bin?key=secret");
    let message = Folder::new().fetch_urls(&[url]).unwrap_err();
    assert!(message.contains("/file.bin?...: answered 404"), "{message}");
    assert!(!message.contains("secret"), "{message}");
}

#[test]
fn two_downloads_do_not_write_one_part() {
    let server = HttpServer::script(&content(), &[GOOD]);
    let mut folder = Folder::with_part(&content()[..10]);
    let other = File::open(folder.path("file.part")).unwrap();
    other.lock().unwrap();
    let message = folder.fetch(&server).unwrap_err();
    assert!(
        message.contains("another download is writing it"),
        "{message}"
    );
    assert_eq!(server.range_starts(), []);
    drop(other);
    let result = folder.fetch(&server);
    folder.assert_whole(result);
}

#[test]
fn a_head_request_is_retried_and_follows_nothing() {
    let steps: [Step; 2] = [
        |_, _| Reply::status(503),
        |_, _| Reply::status(302).header("Location", "/b"),
    ];
    let server = HttpServer::script(&content(), &steps);
    let client = Client::new(DownloadOptions {
        first_wait: Duration::from_millis(1),
        ..DownloadOptions::default()
    });
    let url = format!("{}/a", server.address);
    let head = client.head(&url, Some("token"), &mut |_| {}).unwrap();
    assert_eq!(head.status, 302);
    let target = format!("{}/b", server.address);
    assert_eq!(head.redirection().as_deref(), Some(&*target));
    for request in server.requests() {
        assert_eq!((&*request.method, &*request.path), ("HEAD", "/a"));
        assert_eq!(request.header("authorization"), Some("Bearer token"));
    }
    let message = client.head("file:///a", None, &mut |_| {}).unwrap_err();
    assert!(message.to_string().contains("is not a URL"), "{message}");
}
