//! HTTP/1.1 over a socket. Whatever the client sends or receives has a deadline and a limit.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Bytes of a request's line and headers.
const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// From the first wait for a request to the end of its headers, so also the time for which a connection may be idle.
const HEAD_TIME: Duration = Duration::from_secs(10);
const BODY_TIME: Duration = Duration::from_secs(20);
const RESPONSE_TIME: Duration = Duration::from_secs(20);
/// How long a refused request's body is read, so that its sender reads the refusal.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// A request whose body has been read.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    pub(super) host: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) body: Vec<u8>,
    keep_alive: bool,
}

/// A response whose body is in memory.
#[derive(Debug)]
pub(super) struct Response {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    /// Further headers, each with its line end.
    headers: String,
}

impl Response {
    pub(super) fn new(content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            content_type,
            body: body.into(),
            headers: String::new(),
        }
    }

    pub(super) fn json(value: &Value) -> Self {
        Self::new("application/json", format!("{value}\n"))
    }

    /// `{"error": MESSAGE}` with a status of 400 or more.
    pub(super) fn error(status: u16, message: impl AsRef<str>) -> Self {
        let mut response = Self::json(&json!({ "error": message.as_ref() }));
        response.status = status;
        response
    }

    pub(super) fn header(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        let _ = write!(self.headers, "{name}: {value}\r\n");
        self
    }

    fn head(&self, keep_alive: bool) -> String {
        format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}; charset=utf-8\r\nContent-Length: {}\r\n{}\
             Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
             Cross-Origin-Opener-Policy: same-origin\r\nCross-Origin-Resource-Policy: same-origin\r\n\
             Referrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n\
             Cache-Control: no-store\r\nConnection: {}\r\n\r\n",
            self.status,
            reason(self.status),
            self.content_type,
            self.body.len(),
            self.headers,
            if keep_alive { "keep-alive" } else { "close" },
        )
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

/// Why there is no request.
enum NoRequest {
    /// The connection is closed, idle or broken.
    Gone,
    /// The request is refused, and the connection with it.
    Refused(Response),
}

impl From<io::Error> for NoRequest {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

fn refused(status: u16, message: impl AsRef<str>) -> NoRequest {
    NoRequest::Refused(Response::error(status, message))
}

/// A request without its body, and what its head says about the body.
struct Head {
    request: Request,
    /// Bytes of the head.
    length: usize,
    /// Content-Length.
    body_length: Option<usize>,
    expects_continue: bool,
}

/// Refuses a connection without reading from it.
pub(super) fn refuse_connection(stream: &TcpStream, response: &Response) {
    let _ = stream.set_nonblocking(true);
    let mut stream = stream;
    let _ = stream.write_all(response.head(false).as_bytes());
    let _ = stream.write_all(&response.body);
    let _ = stream.shutdown(Shutdown::Write);
}

/// A connection, whose requests come one after the other.
pub(super) struct Connection<'a> {
    stream: &'a TcpStream,
    /// Bytes that are read and not used.
    unread: Vec<u8>,
}

impl<'a> Connection<'a> {
    pub(super) fn new(stream: &'a TcpStream) -> Self {
        // A small response is sent at once.
        let _ = stream.set_nodelay(true);
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// The next request; `None` at the end of the connection. Refuses an invalid request, which ends the connection.
    pub(super) fn next_request(&mut self, max_body: usize) -> Option<Request> {
        match self.read_request(max_body) {
            Ok(request) => Some(request),
            Err(NoRequest::Gone) => None,
            Err(NoRequest::Refused(response)) => {
                if self.write(&response, true, false).is_ok() {
                    self.drain();
                }
                None
            }
        }
    }

    /// Sends the response to a request. Returns whether the connection can have another one.
    pub(super) fn send(&self, request: &Request, response: &Response, keep_alive: bool) -> bool {
        let keep_alive = keep_alive && request.keep_alive;
        let with_body = request.method != "HEAD";
        self.write(response, with_body, keep_alive).is_ok() && keep_alive
    }

    fn read_request(&mut self, max_body: usize) -> Result<Request, NoRequest> {
        let deadline = Instant::now() + HEAD_TIME;
        let head = loop {
            if let Some(head) = parse_head(&self.unread)? {
                break head;
            }
            if self.unread.len() >= MAX_HEAD {
                return Err(refused(
                    431,
                    format!("a request's headers have more than {MAX_HEAD} bytes"),
                ));
            }
            match self.read_some(deadline, MAX_HEAD) {
                Ok(()) => {}
                Err(e) if is_timeout(&e) && !self.unread.is_empty() => {
                    let seconds = HEAD_TIME.as_secs();
                    return Err(refused(
                        408,
                        format!("the request's headers took more than {seconds} s"),
                    ));
                }
                Err(_) => return Err(NoRequest::Gone),
            }
        };
        let length = head.body_length();
        if length > max_body {
            return Err(refused(
                413,
                format!("the body has {length} bytes, at most {max_body} are taken"),
            ));
        }
        self.unread.drain(..head.length);
        if head.expects_continue && self.unread.len() < length {
            self.write_bytes(
                b"HTTP/1.1 100 Continue\r\n\r\n",
                Instant::now() + RESPONSE_TIME,
            )?;
        }
        self.read_body(head)
    }

    fn read_body(&mut self, head: Head) -> Result<Request, NoRequest> {
        let deadline = Instant::now() + BODY_TIME;
        let length = head.body_length();
        while self.unread.len() < length {
            match self.read_some(deadline, length) {
                Ok(()) => {}
                Err(e) if is_timeout(&e) => {
                    let seconds = BODY_TIME.as_secs();
                    return Err(refused(
                        408,
                        format!("the request's body took more than {seconds} s"),
                    ));
                }
                Err(_) => return Err(NoRequest::Gone),
            }
        }
        let rest = self.unread.split_off(length);
        let body = std::mem::replace(&mut self.unread, rest);
        Ok(Request {
            body,
            ..head.request
        })
    }

    /// Reads what is there, up to `limit` unread bytes.
    fn read_some(&mut self, deadline: Instant, limit: usize) -> io::Result<()> {
        let mut buffer = [0; 8 << 10];
        let room = buffer.len().min(limit - self.unread.len());
        loop {
            self.stream.set_read_timeout(Some(time_left(deadline)?))?;
            match self.stream.read(&mut buffer[..room]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.unread.extend_from_slice(&buffer[..count]);
                    return Ok(());
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn write(&self, response: &Response, with_body: bool, keep_alive: bool) -> io::Result<()> {
        let mut bytes = response.head(keep_alive).into_bytes();
        if with_body {
            bytes.extend_from_slice(&response.body);
        }
        self.write_bytes(&bytes, Instant::now() + RESPONSE_TIME)
    }

    fn write_bytes(&self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        let mut stream = self.stream;
        while !bytes.is_empty() {
            stream.set_write_timeout(Some(time_left(deadline)?))?;
            match stream.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Reads what the client still sends: closing a socket with unread bytes would discard the response.
    fn drain(&mut self) {
        let deadline = Instant::now() + DRAIN_TIME;
        let _ = self.stream.shutdown(Shutdown::Write);
        loop {
            self.unread.clear();
            if self.read_some(deadline, usize::MAX).is_err() {
                return;
            }
        }
    }
}

fn time_left(deadline: Instant) -> io::Result<Duration> {
    match deadline.checked_duration_since(Instant::now()) {
        Some(left) if !left.is_zero() => Ok(left),
        _ => Err(ErrorKind::TimedOut.into()),
    }
}

/// A read or write timeout is `WouldBlock` on Unix.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

/// The body of a request that is in memory, or the status of the refusal.
pub(super) fn body(bytes: &[u8]) -> Result<&[u8], u16> {
    match parse_head(bytes) {
        Ok(Some(head)) => {
            let rest = &bytes[head.length..];
            Ok(&rest[..rest.len().min(head.body_length())])
        }
        Ok(None) | Err(NoRequest::Gone) => Err(400),
        Err(NoRequest::Refused(response)) => Err(response.status),
    }
}

/// `None` if the head is not whole.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>, NoRequest> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(refused(
                431,
                format!("a request has more than {MAX_HEADERS} headers"),
            ));
        }
        Err(httparse::Error::Version) => {
            return Err(refused(505, "HTTP/1.1 and HTTP/1.0 are spoken"));
        }
        Err(e) => return Err(refused(400, format!("not an HTTP request: {e}"))),
    };
    let target = parsed.path.unwrap_or_default();
    let is_http_1_1 = parsed.version == Some(1);
    let mut head = Head {
        request: Request {
            method: parsed.method.unwrap_or_default().into(),
            path: target.split('?').next().unwrap_or_default().into(),
            host: None,
            content_type: None,
            body: Vec::new(),
            keep_alive: is_http_1_1,
        },
        length,
        body_length: None,
        expects_continue: false,
    };
    for header in parsed.headers.iter() {
        let value = String::from_utf8_lossy(header.value);
        head.add(&header.name.to_ascii_lowercase(), value.trim())?;
    }
    if is_http_1_1 && head.request.host.is_none() {
        return Err(refused(400, "no Host header"));
    }
    head.expects_continue &= is_http_1_1;
    Ok(Some(head))
}

impl Head {
    /// Takes over a header; its name is in lower case.
    fn add(&mut self, name: &str, value: &str) -> Result<(), NoRequest> {
        match name {
            "host" if self.request.host.is_some() => return Err(refused(400, "two Host headers")),
            "host" => self.request.host = Some(value.into()),
            "content-type" => self.request.content_type = Some(value.into()),
            "connection" => {
                let mut words = value.split(',').map(str::trim);
                self.request.keep_alive &= !words.any(|word| word.eq_ignore_ascii_case("close"));
            }
            "content-length" => {
                let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                // A number that is too large for its type is refused as too many bytes.
                let length = value.parse().unwrap_or(usize::MAX);
                if !digits || self.body_length.is_some_and(|other| other != length) {
                    return Err(refused(400, "Content-Length is not one number"));
                }
                self.body_length = Some(length);
            }
            "transfer-encoding" => {
                return Err(refused(
                    411,
                    "send the body with Content-Length, not in chunks",
                ));
            }
            "expect" if value.eq_ignore_ascii_case("100-continue") => self.expects_continue = true,
            "expect" => return Err(refused(417, "100-continue is the one known expectation")),
            _ => {}
        }
        Ok(())
    }

    /// Bytes of the body; 0 without Content-Length.
    fn body_length(&self) -> usize {
        self.body_length.unwrap_or(0)
    }
}
