//! A page to ask a model questions, and the same as JSON.
//!
//! A thread for each connection reads requests and queues them; the caller's thread answers those in the queue, together.

mod http;
mod questions;
mod queue;
mod rate_limiter;
mod routes;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bert_qa::QuestionAnswerer;
use serde_json::{Value, json};
use squad_data::Example;

use crate::{Error, StopFlag};
use http::{Connection, Response};
use questions::Questions;
use queue::{Job, Queue};
use rate_limiter::RateLimiter;

/// Characters of all pairs of question and text of a request: about 125,000 tokens.
const MAX_CHARACTERS: usize = 500_000;
/// Characters of all requests that wait.
const MAX_WAITING_CHARACTERS: usize = 4 * MAX_CHARACTERS;
/// Open connections, each with a thread.
const MAX_CONNECTIONS: usize = 128;
/// Bytes for the stack of a connection's thread.
const STACK: usize = 512 << 10;
/// How often a server without requests looks at its stop flag.
const IDLE_TIME: Duration = Duration::from_millis(100);
/// How long a server that stops waits for its responses to be sent.
const STOP_TIME: Duration = Duration::from_secs(5);

/// What a server accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeLimits {
    /// Bytes of a request's body. Default 262,144.
    pub max_body_bytes: usize,
    /// Questions of a request. Default 64.
    pub max_questions: usize,
    /// Requests that wait for the model. Default 64.
    pub max_queue: usize,
    /// Requests per second from one address. Default 100; 0: no limit.
    pub max_rate: u32,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            max_body_bytes: 256 << 10,
            max_questions: 64,
            max_queue: 64,
            max_rate: 100,
        }
    }
}

impl ServeLimits {
    /// Checks that some request can be answered: 0 is "no limit" of `max_rate` alone.
    fn check(&self) -> Result<(), Error> {
        let limits = [
            ("max_body_bytes", self.max_body_bytes),
            ("max_questions", self.max_questions),
            ("max_queue", self.max_queue),
        ];
        match limits.iter().find(|(_, limit)| *limit == 0) {
            Some((name, _)) => Err(Error::config(format!(
                "{name} is 0, so every request would be refused: give at least 1"
            ))),
            None => Ok(()),
        }
    }
}

/// A web page and a JSON service that answer questions, on one address.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: ServeLimits,
}

impl Server {
    /// Binds an address; port 0 is any free one.
    ///
    /// # Errors
    /// If the address is taken or not one of this machine, or is not a loopback address without `allow_remote`; or if a limit
    /// lets no request pass.
    pub fn bind(
        address: SocketAddr,
        allow_remote: bool,
        limits: ServeLimits,
    ) -> Result<Self, Error> {
        limits.check()?;
        if !address.ip().to_canonical().is_loopback() && !allow_remote {
            let message = format!(
                "{address} can be reached from other machines: give --allow-remote if that is meant"
            );
            return Err(Error::config(message));
        }
        let cannot = |e| Error::config(format!("cannot listen on {address}: {e}"));
        let listener = TcpListener::bind(address).map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        Ok(Self {
            listener,
            address,
            limits,
        })
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests on this thread until `stop` is set, then those that wait. `model` is the name that the page
    /// shows.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn run(
        self,
        answerer: &QuestionAnswerer,
        model: &str,
        stop: &StopFlag,
    ) -> Result<(), Error> {
        let shared = Arc::new(Shared {
            queue: Queue::new(self.limits.max_queue, MAX_WAITING_CHARACTERS),
            rates: Mutex::new(RateLimiter::new(self.limits.max_rate)),
            connections: AtomicUsize::new(0),
            responses: AtomicUsize::new(0),
            is_local: self.address.ip().to_canonical().is_loopback(),
            info: info(model, &self.limits),
            limits: self.limits,
            stop: stop.clone(),
        });
        let (address, acceptor) = (self.address, shared.clone());
        let acceptor = std::thread::Builder::new()
            .name("accept".into())
            .spawn(move || accept(&self.listener, &acceptor))
            .map_err(|e| Error::Device(format!("cannot start a thread: {e}")))?;
        loop {
            let jobs = shared.queue.take(IDLE_TIME);
            if jobs.is_empty() && stop.is_set() {
                break;
            }
            answer(answerer, jobs);
        }
        // Wakes the thread that accepts connections, which then ends.
        if TcpStream::connect_timeout(&own_address(address), STOP_TIME).is_ok() {
            let _ = acceptor.join();
        }
        let deadline = Instant::now() + STOP_TIME;
        while shared.responses.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
            answer(answerer, shared.queue.take(Duration::from_millis(1)));
        }
        Ok(())
    }
}

/// Reads a request as a connection does; for the fuzz targets.
///
/// # Errors
/// The status of the refusal.
#[doc(hidden)]
pub fn check_serve_request(bytes: &[u8]) -> Result<(), u16> {
    let limits = ServeLimits::default();
    let body = http::body(bytes)?;
    let questions = Questions::parse(body, limits.max_questions, MAX_CHARACTERS);
    questions.map(drop).map_err(|(status, _)| status)
}

/// What `/info` says.
fn info(model: &str, limits: &ServeLimits) -> Value {
    json!({
        "model": model,
        "version": env!("CARGO_PKG_VERSION"),
        "limits": {
            "body_bytes": limits.max_body_bytes,
            "questions": limits.max_questions,
            "characters": MAX_CHARACTERS,
            "requests_per_second": limits.max_rate,
            "waiting_requests": limits.max_queue,
        },
    })
}

/// The address under which a process reaches its own listener.
fn own_address(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

/// Answers requests together; if that fails, one by one, so that each gets its own error.
fn answer(answerer: &QuestionAnswerer, jobs: Vec<Job>) {
    if jobs.len() > 1 {
        let examples: Vec<Example> = jobs.iter().flat_map(|job| job.examples.clone()).collect();
        if let Ok(mut predictions) = answerer.answer_all(&examples) {
            for job in &jobs {
                let rest = predictions.split_off(job.examples.len());
                job.reply(Ok(std::mem::replace(&mut predictions, rest)));
            }
            return;
        }
    }
    for job in jobs {
        job.reply(answerer.answer_all(&job.examples));
    }
}

/// What the threads of the connections share.
#[derive(Debug)]
struct Shared {
    queue: Queue,
    rates: Mutex<RateLimiter>,
    /// Open connections.
    connections: AtomicUsize,
    /// Requests that are read and not yet answered.
    responses: AtomicUsize,
    /// Whether the listener is on a loopback address.
    is_local: bool,
    info: Value,
    limits: ServeLimits,
    stop: StopFlag,
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stop.is_set() {
            return;
        }
        // A connection that was closed before it was accepted, or no file handle: others may follow.
        let Ok(stream) = stream else {
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        let busy =
            || Response::error(503, "too many connections: try again").header("Retry-After", 1);
        let Some(open) = Count::below(shared, |shared| &shared.connections, MAX_CONNECTIONS) else {
            http::refuse_connection(&stream, &busy());
            continue;
        };
        let thread = std::thread::Builder::new()
            .name("connection".into())
            .stack_size(STACK);
        // Without a thread the connection is closed.
        let _ = thread.spawn(move || {
            let open = open;
            serve(&stream, &open.shared);
        });
    }
}

/// Counts a connection or a response until it is dropped.
struct Count {
    shared: Arc<Shared>,
    counter: fn(&Shared) -> &AtomicUsize,
}

impl Count {
    fn below(
        shared: &Arc<Shared>,
        counter: fn(&Shared) -> &AtomicUsize,
        limit: usize,
    ) -> Option<Self> {
        let count = Self {
            shared: shared.clone(),
            counter,
        };
        (counter(shared).fetch_add(1, Ordering::SeqCst) < limit).then_some(count)
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        (self.counter)(&self.shared).fetch_sub(1, Ordering::SeqCst);
    }
}

fn serve(stream: &TcpStream, shared: &Arc<Shared>) {
    let Ok(peer) = stream.peer_addr() else {
        return;
    };
    let mut connection = Connection::new(stream);
    while let Some(request) = connection.next_request(shared.limits.max_body_bytes) {
        let _unsent = Count::below(shared, |shared| &shared.responses, usize::MAX);
        let response = shared.respond(&request, peer.ip());
        if !connection.send(&request, &response, !shared.stop.is_set()) {
            return;
        }
    }
}
