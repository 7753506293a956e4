//! `trainer serve` over plain sockets, with a model whose answers are known.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_support::Random;

use crate::pointer_model;
use crate::support::{Sandbox, signal};

const CONTEXT: &str = "A quagga – of “old” Zanzibar – is 🦓 here.";
const ANSWER: &str = "quagga – of “old” Zanzibar";

/// A server, which is killed where a test fails.
struct Served {
    child: Option<Child>,
    address: SocketAddr,
    sandbox: Sandbox,
}

impl Served {
    fn new(options: &[&str]) -> Self {
        let sandbox = Sandbox::new();
        pointer_model::write(&sandbox.path("pointer"));
        let mut arguments = [&["serve", "--model=pointer"], options].concat();
        if !options.iter().any(|option| option.starts_with("--listen")) {
            arguments.push("--listen=127.0.0.1:0");
        }
        let mut child = sandbox.start(&arguments);
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().strip_prefix("http://").expect("an address");
        Self {
            child: Some(child),
            address: address.parse().unwrap(),
            sandbox,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream
    }

    /// Sends bytes and reads one response.
    fn send(&self, bytes: impl AsRef<[u8]>) -> Reply {
        let mut stream = self.connect();
        stream.write_all(bytes.as_ref()).unwrap();
        Reply::read(&mut stream)
    }

    fn get(&self, path: &str) -> Reply {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    fn post(&self, body: &str) -> Reply {
        self.send(post(body))
    }

    fn ask(&self, context: &str, questions: &[&str]) -> Value {
        let reply = self.post(&json!({ "context": context, "questions": questions }).to_string());
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    fn wait(mut self) -> Output {
        self.child.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn read(stream: &mut TcpStream) -> Self {
        Self::try_read(stream).expect("a response")
    }

    /// `None` if the connection is closed without one.
    fn try_read(stream: &mut TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return None,
                Err(e) => panic!("{e}"),
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length = header(&head, "Content-Length").map_or(0, |length| length.parse().unwrap());
        let mut body = bytes.split_off(end);
        while body.len() < length {
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the body is cut");
            body.extend_from_slice(&buffer[..count]);
        }
        Some(Self {
            status: head[9..12].parse().unwrap(),
            head,
            body: String::from_utf8(body).unwrap(),
        })
    }

    /// Reads a response byte by byte, so that the next one stays in the socket.
    fn read_one(stream: &mut TcpStream) -> Self {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let length = header(&head, "Content-Length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        Self {
            status: head[9..12].parse().unwrap(),
            body: String::from_utf8(body).unwrap(),
            head,
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Asserts a refusal as JSON whose message has `part`.
    fn refusal(&self, status: u16, part: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let message = self.json()["error"].as_str().unwrap().to_owned();
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn post(body: &str) -> String {
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

#[test]
fn answers_are_those_of_predict() {
    let served = Served::new(&[]);
    let found = served.ask(CONTEXT, &["What?", "Where?"]);
    assert_eq!(found["model"], "pointer");
    let answers = found["answers"].as_array().unwrap();
    let questions: Vec<_> = answers.iter().map(|answer| &answer["question"]).collect();
    assert_eq!(questions, ["What?", "Where?"]);
    served.sandbox.write("context.txt", CONTEXT);
    let predict = [
        "predict",
        "--model=pointer",
        "--context-file=context.txt",
        "--json",
        "--top-k=3",
    ];
    for answer in answers {
        let question = format!("--question={}", answer["question"].as_str().unwrap());
        let mut predicted = served
            .sandbox
            .command(&[&predict[..], &[&question]].concat())
            .json();
        assert_eq!(predicted["answer"], ANSWER);
        predicted["question"] = answer["question"].clone();
        assert_eq!(answer, &predicted);
    }
    // Two words that no answer begins or ends with.
    let none = served.ask("Nothing here.", &["What?"]);
    assert_eq!(none["answers"][0]["answer"], "");
    assert_eq!(none["answers"][0]["offsets"], json!([0, 0]));
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let served = Served::new(&[]);
    for (path, part) in [
        ("/", "<textarea"),
        ("/page.css", "mark"),
        ("/page.js?1", "use strict"),
        ("/info", "pointer"),
    ] {
        let reply = served.get(path);
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(reply.body.contains(part), "{path}");
        let addresses = ["http:", "https:", "//www", "url(", "innerHTML", "@import"];
        assert!(
            !addresses.iter().any(|address| reply.body.contains(address)),
            "{path}"
        );
        assert_eq!(
            header(&reply.head, "X-Content-Type-Options"),
            Some("nosniff")
        );
        let policy = header(&reply.head, "Content-Security-Policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none';") && !policy.contains("unsafe"),
            "{policy}"
        );
    }
    let mut stream = served.connect();
    stream
        .write_all(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut head = [0; 4096];
    let count = stream.read(&mut head).unwrap();
    let head = String::from_utf8_lossy(&head[..count]);
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
}

#[test]
fn a_connection_takes_several_requests() {
    let served = Served::new(&[]);
    let mut stream = served.connect();
    let body = json!({ "context": CONTEXT, "questions": ["What?"] }).to_string();
    // Two at once, then one in pieces.
    stream.write_all(post(&body).repeat(2).as_bytes()).unwrap();
    let replies = [Reply::read_one(&mut stream), Reply::read_one(&mut stream)];
    for byte in post(&body).as_bytes().chunks(7) {
        stream.write_all(byte).unwrap();
    }
    let last = Reply::read_one(&mut stream);
    for reply in replies.iter().chain([&last]) {
        assert_eq!(reply.json()["answers"][0]["answer"], ANSWER);
        assert_eq!(header(&reply.head, "Connection"), Some("keep-alive"));
    }
    let old = served.send("GET /info HTTP/1.0\r\n\r\n");
    assert_eq!(
        (old.status, header(&old.head, "Connection")),
        (200, Some("close"))
    );
    let continued = format!(
        "Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream
        .write_all(
            post("")
                .replace("Content-Length: 0\r\n\r\n", &continued)
                .as_bytes(),
        )
        .unwrap();
    assert_eq!(Reply::read_one(&mut stream).status, 100);
    stream.write_all(body.as_bytes()).unwrap();
    assert_eq!(
        Reply::read_one(&mut stream).json()["answers"][0]["answer"],
        ANSWER
    );
}

#[test]
fn each_refusal_is_a_clear_json_error() {
    let served = Served::new(&["--max-body-bytes=2000", "--max-questions=3"]);
    let object = |changes: Value| {
        let mut object = json!({ "context": CONTEXT, "questions": ["What?"] });
        let changes = changes.as_object().unwrap().clone();
        object.as_object_mut().unwrap().extend(changes);
        object.to_string()
    };
    for (body, status, part) in [
        ("{".to_owned(), 400, "line 1 column 1"),
        ("[]".to_owned(), 400, "invalid"),
        (
            "{\"context\": \"\\ud800\", \"questions\": []}".to_owned(),
            400,
            "hex escape",
        ),
        (object(json!({ "topk": 3 })), 400, "unknown field `topk`"),
        (
            object(json!({ "questions": "What?" })),
            400,
            "expected a sequence",
        ),
        (object(json!({ "top_k": -1 })), 400, "invalid value"),
        (object(json!({ "questions": [] })), 422, "no question"),
        (
            object(json!({ "questions": ["What?", " \n"] })),
            422,
            "questions[1] is empty",
        ),
        (object(json!({ "context": "\t" })), 422, "context is empty"),
        (object(json!({ "top_k": 0 })), 422, "top_k is 0"),
        (object(json!({ "top_k": 21 })), 422, "1 to 20"),
        (
            object(json!({ "questions": ["a", "b", "c", "d"] })),
            413,
            "4 questions, at most 3",
        ),
        (
            object(json!({ "questions": ["What? ".repeat(250)] })),
            422,
            "questions[0]",
        ),
    ] {
        served.post(&body).refusal(status, part);
    }
    let deep = "[".repeat(1900);
    served.post(&deep).refusal(400, "invalid type");
    let get = "GET / HTTP/1.1\r\nHost: localhost\r\n";
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    for (request, status, part) in [
        (
            format!("{head}Content-Length: 2001\r\n\r\n{}", "x".repeat(2001)),
            413,
            "2001 bytes, at most 2000",
        ),
        (
            format!("{head}Content-Length: 99999999999999999999999\r\n\r\n"),
            413,
            "at most 2000",
        ),
        (
            format!("{head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}"),
            400,
            "not one number",
        ),
        (
            format!("{head}Content-Length: -2\r\n\r\n{{}}"),
            400,
            "not one number",
        ),
        (
            format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"),
            411,
            "Content-Length",
        ),
        (format!("{head}Expect: coffee\r\n\r\n"), 417, "100-continue"),
        (format!("{head}\r\n"), 400, "the body: empty"),
        (
            post("{}").replace("application/json", "text/plain"),
            415,
            "application/json",
        ),
        (
            post("{}").replace("Content-Type: application/json\r\n", ""),
            415,
            "application/json",
        ),
        (post("{}").replace("localhost", "evil.example"), 421, "Host"),
        (
            post("{}").replace("Host: localhost\r\n", ""),
            400,
            "no Host",
        ),
        (
            get.replace("GET /", "GET /etc/passwd") + "\r\n",
            404,
            "/info",
        ),
        (get.replace("GET", "DELETE") + "\r\n", 405, "POST answers"),
        (get.replace("GET /", "POST /info") + "\r\n", 405, "only GET"),
        (
            get.replace("HTTP/1.1", "HTTP/2.0") + "\r\n",
            505,
            "HTTP/1.1",
        ),
        (
            get.replace("Host: ", "Host : ") + "\r\n",
            400,
            "not an HTTP request",
        ),
        (
            "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n".into(),
            400,
            "not an HTTP request",
        ),
        (
            format!("{get}{}\r\n", "A: b\r\n".repeat(65)),
            431,
            "64 headers",
        ),
        (
            format!("{get}A: {}\r\n\r\n", "b".repeat(17_000)),
            431,
            "16384 bytes",
        ),
    ] {
        served.send(request).refusal(status, part);
    }
    let allowed = served.send(get.replace("GET", "PUT") + "\r\n");
    assert_eq!(header(&allowed.head, "Allow"), Some("GET, HEAD, POST"));
    for host in ["127.0.0.1", "127.0.0.1:80", "[::1]:8080", "LOCALHOST:1"] {
        assert_eq!(
            served.send(get.replace("localhost", host) + "\r\n").status,
            200,
            "{host}"
        );
    }
    assert_eq!(
        served.ask(CONTEXT, &["What?"])["answers"][0]["answer"],
        ANSWER
    );
}

#[test]
fn all_pairs_of_question_and_text_are_limited() {
    let served = Served::new(&[]);
    let context = "word ".repeat(5000);
    let questions = vec!["What?"; 21];
    let body = json!({ "context": context, "questions": questions }).to_string();
    served.post(&body).refusal(413, "at most 500000");
}

#[test]
fn requests_beyond_the_rate_are_refused() {
    let served = Served::new(&["--max-rate=2"]);
    let replies: Vec<_> = (0..6).map(|_| served.get("/info")).collect();
    assert_eq!((replies[0].status, replies[1].status), (200, 200));
    let refused = replies.iter().find(|reply| reply.status == 429);
    let refused = refused.unwrap_or_else(|| panic!("{replies:?}"));
    refused.refusal(429, "2 requests per second");
    assert_eq!(header(&refused.head, "Retry-After"), Some("1"));
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(served.get("/info").status, 200);
}

#[test]
fn clients_at_once_get_their_own_answers_or_hear_that_the_queue_is_full() {
    let served = Served::new(&["--max-queue=2", "--max-rate=0"]);
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let client = |number: usize| {
            let context = format!("{} quagga {number} Zanzibar", "word ".repeat(number % 7));
            let body = json!({ "context": context, "questions": ["What?"] }).to_string();
            let served = &served;
            scope.spawn(move || {
                let reply = served.post(&body);
                if reply.status == 200 {
                    let answer = format!("quagga {number} Zanzibar");
                    assert_eq!(reply.json()["answers"][0]["answer"], answer);
                } else {
                    reply.refusal(503, "too many requests wait");
                }
                reply
            })
        };
        let clients: Vec<_> = (0..60).map(client).collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    assert!(replies.iter().any(|reply| reply.status == 200));
}

/// Sixty connections that say nothing, and one that sends a header every second, keep nobody else waiting.
#[test]
fn slow_clients_are_cut_off_and_keep_nobody_waiting() {
    let served = Served::new(&[]);
    let idle: Vec<_> = (0..60).map(|_| served.connect()).collect();
    let mut slow = served.connect();
    slow.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let started = Instant::now();
    assert_eq!(
        served.ask(CONTEXT, &["What?"])["answers"][0]["answer"],
        ANSWER
    );
    let waited = started.elapsed();
    assert!(waited < Duration::from_secs(5), "{waited:?}");
    slow.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut reply = [0; 4096];
    let count = loop {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "still connected"
        );
        let _ = slow.write_all(b"A: b\r\n");
        match slow.read(&mut reply) {
            Ok(count) => break count,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => panic!("{e}"),
        }
    };
    let reply = String::from_utf8_lossy(&reply[..count]);
    assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
    for mut stream in idle {
        assert!(Reply::try_read(&mut stream).is_none());
    }
}

/// Noise, and requests with a byte changed or cut off: whatever is sent, the server goes on.
#[test]
fn no_request_stops_the_server() {
    let served = Served::new(&["--max-rate=0"]);
    let body = json!({ "context": CONTEXT, "questions": ["What?"], "top_k": 2 }).to_string();
    let request = post(&body).into_bytes();
    let mut random = Random::new(1);
    for case in 0..400 {
        let mut bytes = request.clone();
        match case % 3 {
            0 => (0..4).for_each(|_| bytes[random.below(request.len())] = random.below(256) as u8),
            1 => bytes.truncate(random.below(request.len())),
            _ => {
                bytes = (0..random.below(300))
                    .map(|_| random.below(256) as u8)
                    .collect()
            }
        }
        let mut stream = served.connect();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        if let Some(reply) = Reply::try_read(&mut stream) {
            assert!((200..600).contains(&reply.status), "{reply:?}");
            assert!(reply.status != 500, "{reply:?}");
        }
    }
    assert_eq!(
        served.ask(CONTEXT, &["What?"])["answers"][0]["answer"],
        ANSWER
    );
}

#[test]
#[cfg(unix)]
fn a_signal_stops_the_server_after_the_requests_that_wait() {
    for name in ["TERM", "INT"] {
        let served = Served::new(&[]);
        let idle = served.connect();
        let words = "word ".repeat(20_000);
        let body = json!({ "context": format!("{words} {CONTEXT}"), "questions": ["What?"] });
        let mut stream = served.connect();
        stream
            .write_all(post(&body.to_string()).as_bytes())
            .unwrap();
        // The server has read the request.
        std::thread::sleep(Duration::from_millis(300));
        signal(served.child.as_ref().unwrap().id(), name);
        let reply = Reply::read(&mut stream);
        assert_eq!(reply.json()["answers"][0]["answer"], ANSWER);
        let output = served.wait();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("panicked"), "{stderr}");
        drop(idle);
    }
}

#[test]
fn an_address_that_cannot_be_used_is_a_mistake() {
    let sandbox = Sandbox::new();
    pointer_model::write(&sandbox.path("pointer"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (listen, parts) in [
        ("0.0.0.0:0", ["0.0.0.0:0", "--allow-remote"]),
        ("[::]:0", ["[::]:0", "--allow-remote"]),
        ("192.0.2.1:80", ["192.0.2.1:80", "--allow-remote"]),
        (taken.as_str(), ["cannot listen", taken.as_str()]),
    ] {
        let listen = format!("--listen={listen}");
        sandbox
            .command(&["serve", "--model=pointer", &listen])
            .mistake(&parts);
    }
    let served = Served::new(&["--listen=0.0.0.0:0", "--allow-remote"]);
    let mut stream = TcpStream::connect(("127.0.0.1", served.address.port())).unwrap();
    stream
        .write_all(b"GET /info HTTP/1.1\r\nHost: gpu7.example\r\n\r\n")
        .unwrap();
    assert_eq!(Reply::read(&mut stream).status, 200);
}

#[test]
fn a_limit_that_lets_no_request_pass_is_a_mistake() {
    let sandbox = Sandbox::new();
    pointer_model::write(&sandbox.path("pointer"));
    for (option, name) in [
        ("--max-queue=0", "max_queue is 0"),
        ("--max-questions=0", "max_questions is 0"),
        ("--max-body-bytes=0", "max_body_bytes is 0"),
    ] {
        sandbox
            .command(&["serve", "--model=pointer", "--listen=127.0.0.1:0", option])
            .mistake(&[name, "every request would be refused"]);
    }
}

/// A browser asks, marks the answers, escapes what is asked, and shows errors.
#[test]
#[ignore = "needs Chromium, and Playwright in $REFERENCE_PYTHON"]
fn a_browser_shows_the_answers() {
    let served = Served::new(&[]);
    let address = format!("http://{}", served.address);
    test_support::run_python("scripts/serve/drive_page.py", [&*address, CONTEXT, ANSWER]);
}
