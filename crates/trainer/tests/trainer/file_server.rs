//! A server of one file that behaves as badly as it is told to.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a request gets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// The rest that was asked for, or the whole.
    Good,
    /// So many bytes of that, then the connection ends.
    Drop(usize),
    /// So many bytes of that, then silence for longer than a client waits.
    Stall(usize),
    /// The whole file as status 200, whatever was asked for.
    Whole,
    /// As much of the whole, and then the connection ends.
    DropWhole(usize),
    /// The rest from a byte so much earlier than the one asked for, and told so.
    Earlier(usize),
    /// Partial content that does not say which part.
    Unsaid,
    /// The right number of other bytes.
    OtherBytes,
    /// The whole, so many bytes shorter, with that length told.
    Shorter(usize),
    /// The whole and more, without a length.
    Longer,
    /// A part of what is said to be a longer file.
    OfLonger,
    /// Nothing but a status.
    Status(&'static str),
    /// Not HTTP.
    Noise,
}

/// Replies in order, the last one again and again; remembers where each request wanted to begin.
pub(crate) struct FileServer {
    /// `http://…` without a path.
    pub(crate) address: String,
    requests: Arc<Mutex<Vec<Option<usize>>>>,
}

impl FileServer {
    pub(crate) fn start(content: &[u8], replies: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (content, replies, seen) = (content.to_vec(), replies.to_vec(), requests.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let start = requested_start(&stream);
                let number = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(start);
                    seen.len() - 1
                };
                let reply = replies[number.min(replies.len() - 1)];
                // A client that hangs up early is its own affair.
                let _ = stream.write_all(&bytes(reply, &content, start));
                if let Reply::Stall(_) = reply {
                    // Held open beside the next requests.
                    std::thread::spawn(move || {
                        std::thread::sleep(Duration::from_secs(20));
                        drop(stream);
                    });
                }
            }
        });
        Self { address, requests }
    }

    /// The first bytes that were asked for; `None` for a whole file.
    pub(crate) fn requests(&self) -> Vec<Option<usize>> {
        self.requests.lock().unwrap().clone()
    }
}

fn requested_start(stream: &TcpStream) -> Option<usize> {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let mut headers = lines.take_while(|line| !line.is_empty());
    // All headers are read: closing a socket with unread bytes would reset the connection.
    headers.by_ref().fold(None, |start, line| {
        let line = line.to_lowercase();
        let range = line
            .strip_prefix("range: bytes=")
            .and_then(|range| range.split('-').next());
        start.or(range.and_then(|first| first.parse().ok()))
    })
}

fn bytes(reply: Reply, content: &[u8], start: Option<usize>) -> Vec<u8> {
    let size = content.len();
    let good = |first: usize, of: usize| {
        let body = &content[first.min(size)..];
        let range = format!("Content-Range: bytes {first}-{}/{of}\r\n", of - 1);
        match start {
            Some(_) => answer("206 Partial Content", &range, Some(body.len()), body),
            None => answer("200 OK", "", Some(size), content),
        }
    };
    let first = start.unwrap_or(0);
    let cut = |mut bytes: Vec<u8>, of_body: usize, sent: usize| {
        bytes.truncate(bytes.len() - (of_body - sent.min(of_body)));
        bytes
    };
    match reply {
        Reply::Good if first >= size => answer("416 Range Not Satisfiable", "", Some(0), b""),
        Reply::Good => good(first, size),
        Reply::Drop(sent) | Reply::Stall(sent) => cut(good(first, size), size - first, sent),
        Reply::Whole => answer("200 OK", "", Some(size), content),
        Reply::DropWhole(sent) => cut(answer("200 OK", "", Some(size), content), size, sent),
        Reply::Earlier(by) => good(first.saturating_sub(by), size),
        Reply::Unsaid => answer(
            "206 Partial Content",
            "",
            Some(size - first),
            &content[first..],
        ),
        Reply::OtherBytes => {
            let other: Vec<u8> = content.iter().map(|byte| !byte).collect();
            bytes(Reply::Good, &other, start)
        }
        Reply::Shorter(by) => answer("200 OK", "", Some(size - by), &content[by..]),
        Reply::Longer => answer("200 OK", "", None, &[content, b"and more"].concat()),
        Reply::OfLonger => good(first, size + 5),
        Reply::Status(status) => answer(status, "", Some(0), b""),
        Reply::Noise => b"\x00\x01 no status line\r\n\r\n".to_vec(),
    }
}

fn answer(status: &str, headers: &str, length: Option<usize>, body: &[u8]) -> Vec<u8> {
    let length = length.map_or(String::new(), |length| {
        format!("Content-Length: {length}\r\n")
    });
    let head = format!("HTTP/1.1 {status}\r\n{length}{headers}Connection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}
