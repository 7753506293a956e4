use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The head of an HTTP request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET` or `HEAD`.
    pub method: String,
    /// The path with its query.
    pub path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// The value of a header, whose name is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The first byte of a `Range` header; `None` asks for the whole file.
    pub fn range_start(&self) -> Option<usize> {
        let range = self.header("range")?.strip_prefix("bytes=")?;
        range.split('-').next()?.parse().ok()
    }

    fn read(stream: &TcpStream) -> Option<Self> {
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let first = lines.next()?;
        let mut words = first.split(' ').map(str::to_owned);
        let (method, path) = (words.next()?, words.next()?);
        // All headers are read: closing a socket with unread bytes resets the connection.
        let headers = lines.take_while(|line| !line.is_empty());
        let headers = headers.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_lowercase(), value.trim().to_owned()))
        });
        Some(Self {
            method,
            path,
            headers: headers.collect(),
        })
    }
}

/// An HTTP response, and how its transmission fails.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// The value of `Content-Length`; `None` sends no such header.
    length: Option<usize>,
    /// How many bytes of the body are sent.
    sent: usize,
    /// Whether the connection then stays open and silent.
    stalls: bool,
    /// Sent instead of all of the above.
    raw: Option<Vec<u8>>,
}

impl Reply {
    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            length: Some(0),
            sent: usize::MAX,
            stalls: false,
            raw: None,
        }
    }

    /// Status 200 with a body.
    pub fn whole(body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self {
            length: Some(body.len()),
            body,
            ..Self::status(200)
        }
    }

    /// Status 206 with the bytes of `content` from `start` on, as part of a file of `total` bytes.
    pub fn part(content: &[u8], start: usize, total: usize) -> Self {
        let range = format!("bytes {start}-{}/{total}", total - 1);
        let mut reply = Self::whole(&content[start..]).header("Content-Range", &range);
        reply.status = 206;
        reply
    }

    /// A file as a server with ranges sends it: the part that was asked for (416 if there is none),
    /// or the whole.
    pub fn file(request: &Request, content: &[u8]) -> Self {
        match request.range_start() {
            None => Self::whole(content),
            Some(start) if start < content.len() => Self::part(content, start, content.len()),
            Some(_) => {
                let range = format!("bytes */{}", content.len());
                Self::status(416).header("Content-Range", &range)
            }
        }
    }

    /// [`file`](Self::file) with an `ETag`; the whole where `If-Range` names another one.
    pub fn tagged_file(request: &Request, content: &[u8], etag: &str) -> Self {
        let is_same = request.header("if-range").is_none_or(|tag| tag == etag);
        let reply = if is_same {
            Self::file(request, content)
        } else {
            Self::whole(content)
        };
        reply.header("ETag", etag)
    }

    /// Bytes that are not HTTP.
    pub fn noise() -> Self {
        Self {
            raw: Some(b"\x00\x01 no status line\r\n\r\n".to_vec()),
            ..Self::status(200)
        }
    }

    /// Replaces the status.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sends no `Content-Length`: the body ends with the connection.
    pub fn without_length(mut self) -> Self {
        self.length = None;
        self
    }

    /// Closes the connection after `sent` bytes of the body.
    pub fn cut(mut self, sent: usize) -> Self {
        self.sent = sent;
        self
    }

    /// Sends `sent` bytes of the body and then nothing for longer than a client waits.
    pub fn stall(mut self, sent: usize) -> Self {
        self.stalls = true;
        self.cut(sent)
    }

    fn write(&self, stream: &mut TcpStream, has_body: bool) -> std::io::Result<()> {
        if let Some(raw) = &self.raw {
            return stream.write_all(raw);
        }
        let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", self.status);
        if let Some(length) = self.length {
            head += &format!("Content-Length: {length}\r\n");
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all((head + "\r\n").as_bytes())?;
        let sent = if has_body { self.sent } else { 0 };
        stream.write_all(&self.body[..sent.min(self.body.len())])
    }
}

/// One reply of a script: made from the request and the file's content.
pub type Step = fn(&Request, &[u8]) -> Reply;

/// An HTTP server on a free port of this machine, which runs until the process ends.
#[derive(Debug)]
pub struct HttpServer {
    /// `http://127.0.0.1:PORT`.
    pub address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl HttpServer {
    /// A server that answers each request by `answer`.
    pub fn start(mut answer: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = requests.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let Some(request) = Request::read(&stream) else {
                    continue;
                };
                log.lock().unwrap().push(request.clone());
                let reply = answer(&request);
                // A client may hang up early.
                let _ = reply.write(&mut stream, request.method != "HEAD");
                if reply.stalls {
                    std::thread::spawn(move || {
                        std::thread::sleep(Duration::from_secs(60));
                        drop(stream);
                    });
                }
            }
        });
        Self { address, requests }
    }

    /// A server of one file that answers by the steps in order and repeats the last one.
    pub fn script(content: &[u8], steps: &[Step]) -> Self {
        let (content, steps) = (content.to_vec(), steps.to_vec());
        let mut number = 0;
        Self::start(move |request| {
            let step = steps[number.min(steps.len() - 1)];
            number += 1;
            step(request, &content)
        })
    }

    /// The requests since the last call.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    /// The first bytes that `GET` requests asked for since the last call; `None` for a whole file.
    pub fn range_starts(&self) -> Vec<Option<usize>> {
        let requests = self.requests().into_iter();
        requests
            .filter(|request| request.method == "GET")
            .map(|request| request.range_start())
            .collect()
    }
}
