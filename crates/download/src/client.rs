use std::io::ErrorKind;
use std::time::Duration;

use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::{Agent, Body};

use crate::url::{check_url, origin, redacted, redirected};
use crate::{DownloadEvent, Error};

/// Retries and timeouts.
#[derive(Clone, Debug, PartialEq)]
pub struct DownloadOptions {
    /// How often in a row a URL may fail without one more byte of the file before it is given up:
    /// dropped connections, silent servers, and the statuses 408, 429 and 5xx. Default 4.
    pub retries: u32,
    /// The wait after the first failure; it doubles after each further one, up to two minutes.
    /// A server's `Retry-After` in seconds goes first. Default 1 s.
    pub first_wait: Duration,
    /// How long a server may be silent. Default 30 s.
    pub timeout: Duration,
}

impl Default for DownloadOptions {
    fn default() -> Self {
        Self {
            retries: 4,
            first_wait: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
        }
    }
}

/// The longest wait before a retry. A server that asks for more is given up.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// Redirections that a request follows.
const REDIRECTIONS: usize = 8;

/// Sends requests; [`Client::download`] fetches a file.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    pub(crate) options: DownloadOptions,
}

/// A response without its body.
#[derive(Debug)]
pub struct Head {
    /// The URL that was asked.
    pub url: String,
    /// The status.
    pub status: u16,
    headers: HeaderMap,
}

impl Head {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        text(&self.headers, name)
    }

    /// Where a redirection leads; `None` if the response is none, or leads nowhere.
    pub fn redirection(&self) -> Option<String> {
        let is_redirection = StatusCode::from_u16(self.status).is_ok_and(|s| s.is_redirection());
        let location = self.header("location").filter(|_| is_redirection)?;
        redirected(&self.url, location)
    }
}

/// Why a request did not bring what was asked for.
pub(crate) enum Failure {
    /// The next request may succeed, after a wait that the server may have asked for.
    Retry(String, Option<Duration>),
    /// What is in the part file, or what the server made of it, is of no use.
    StartOver(String),
    /// This URL does not have the file.
    GiveUp(String),
    /// The file cannot be written.
    Local(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Local(error)
    }
}

impl Client {
    /// A client; it asks nothing yet.
    pub fn new(options: DownloadOptions) -> Self {
        let timeout = Some(options.timeout);
        let config = Agent::config_builder()
            .user_agent(concat!("squad-burn/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            // Followed here, because a token is for one origin alone.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Compressed, a file has other bytes and another length.
            .accept_encoding("identity")
            .timeout_resolve(timeout)
            .timeout_connect(timeout)
            .timeout_recv_response(timeout)
            // Not of the whole body: a slow line is no failure, a silent one is.
            .timeout_per_read(timeout)
            .build();
        Self {
            agent: config.new_agent(),
            options,
        }
    }

    /// The response to a `HEAD` request, whatever its status, except that failures which may pass are
    /// retried. Redirections are not followed. `token` is sent as a bearer token.
    ///
    /// # Errors
    /// If the URL is none, or no response arrives after all retries.
    pub fn head(
        &self,
        url: &str,
        token: Option<&str>,
        on_event: &mut dyn FnMut(DownloadEvent<'_>),
    ) -> Result<Head, Error> {
        check_url(url)?;
        let mut retries = Retries::new(self, url);
        loop {
            let failure = match self.try_head(url, token) {
                Ok(head) => return Ok(head),
                Err(failure) => failure,
            };
            let message = match failure {
                Failure::Retry(message, after) => retries.wait(message, after, on_event).err(),
                Failure::StartOver(message) | Failure::GiveUp(message) => Some(message),
                Failure::Local(error) => return Err(error),
            };
            if let Some(message) = message {
                let attempts = vec![format!("{}: {message}", redacted(url))];
                return Err(Error::Unavailable { attempts });
            }
        }
    }

    fn try_head(&self, url: &str, token: Option<&str>) -> Result<Head, Failure> {
        let mut request = self.agent.head(url);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = request.call().map_err(|e| self.request_failure(url, e))?;
        if let Some(failure) = retryable(&response) {
            return Err(failure);
        }
        Ok(Head {
            url: url.into(),
            status: response.status().as_u16(),
            headers: response.headers().clone(),
        })
    }

    /// The response to a `GET` request after redirections; the token goes to the URL's own origin.
    pub(crate) fn get(
        &self,
        url: &str,
        token: Option<&str>,
        headers: &[(header::HeaderName, String)],
    ) -> Result<Response<Body>, Failure> {
        let mut at = url.to_owned();
        for _ in 0..=REDIRECTIONS {
            let mut request = self.agent.get(&at);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            if let Some(token) = token.filter(|_| origin(&at) == origin(url)) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = request.call().map_err(|e| self.request_failure(&at, e))?;
            if let Some(failure) = retryable(&response) {
                return Err(failure);
            }
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let location = text(response.headers(), "location");
            at = location
                .and_then(|location| redirected(&at, location))
                .ok_or_else(|| Failure::GiveUp("redirects to nowhere".into()))?;
        }
        Err(Failure::GiveUp("redirects in a circle".into()))
    }

    /// What an error of a request means, with the proxy, which may be what cannot be reached.
    fn request_failure(&self, url: &str, error: ureq::Error) -> Failure {
        let through = |message| match self.proxy(url) {
            Some(proxy) => format!("{message} (through the proxy {proxy})"),
            None => message,
        };
        match self.failure(error) {
            Failure::Retry(message, after) => Failure::Retry(through(message), after),
            Failure::GiveUp(message) => Failure::GiveUp(through(message)),
            other => other,
        }
    }

    /// Host and port of the proxy that is asked for a URL.
    fn proxy(&self, url: &str) -> Option<String> {
        let proxy = self.agent.config().proxy()?;
        let is_asked = !proxy.is_no_proxy(&url.parse().ok()?);
        is_asked.then(|| format!("{}:{}", proxy.host(), proxy.port()))
    }

    /// What an error of a request or of its body means.
    pub(crate) fn failure(&self, error: ureq::Error) -> Failure {
        let retry = |message| Failure::Retry(message, None);
        match error {
            ureq::Error::Timeout(_) => {
                let seconds = self.options.timeout.as_secs_f64();
                retry(format!("sent nothing for {seconds} s"))
            }
            ureq::Error::HostNotFound => Failure::GiveUp("no such host".into()),
            // The standard library has no kind for it.
            ureq::Error::Io(error) if error.to_string().starts_with("failed to lookup") => {
                Failure::GiveUp(format!("no such host: {error}"))
            }
            ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
                Failure::GiveUp(format!("connection failed: {error}"))
            }
            ureq::Error::Io(error) => retry(format!("connection failed: {error}")),
            ureq::Error::ConnectionFailed => retry("connection failed".into()),
            ureq::Error::Protocol(error) => retry(format!("sent no valid HTTP: {error}")),
            // Its text has the URL in it.
            ureq::Error::BadUri(_) => Failure::GiveUp("is not a valid URL".into()),
            other => {
                let text = other.to_string();
                Failure::GiveUp(text.split_whitespace().collect::<Vec<_>>().join(" "))
            }
        }
    }
}

/// Counts failures in a row and waits between them.
pub(crate) struct Retries<'a> {
    options: &'a DownloadOptions,
    url: String,
    failures: u32,
    /// Whether bytes have arrived since the last failure: the next one does not count.
    has_progressed: bool,
}

impl<'a> Retries<'a> {
    pub(crate) fn new(client: &'a Client, url: &str) -> Self {
        Self {
            options: &client.options,
            url: redacted(url),
            failures: 0,
            has_progressed: false,
        }
    }

    /// Bytes have arrived.
    pub(crate) fn reset(&mut self) {
        (self.failures, self.has_progressed) = (0, true);
    }

    /// Waits, or says why there is no further try.
    pub(crate) fn wait(
        &mut self,
        message: String,
        after: Option<Duration>,
        on_event: &mut dyn FnMut(DownloadEvent<'_>),
    ) -> Result<(), String> {
        if self.failures == self.options.retries {
            let times = self.failures + 1;
            return Err(format!("{message} ({times} times in a row)"));
        }
        if let Some(after) = after.filter(|after| *after > LONGEST_WAIT) {
            let seconds = after.as_secs();
            return Err(format!("{message} and asks to wait {seconds} s"));
        }
        let factor = 2_u32.saturating_pow(self.failures);
        let wait = self.options.first_wait.saturating_mul(factor);
        let wait = after.unwrap_or(wait.min(LONGEST_WAIT));
        self.failures += u32::from(!std::mem::take(&mut self.has_progressed));
        let (url, seconds) = (&self.url, wait.as_secs_f64());
        let line = format!("{url}: {message}: trying again in {seconds} s");
        on_event(DownloadEvent::Message(&line));
        std::thread::sleep(wait);
        Ok(())
    }
}

/// The failure that a status stands for, if the same request may succeed later.
fn retryable(response: &Response<Body>) -> Option<Failure> {
    let status = response.status();
    if !status.is_server_error() && ![408, 429].contains(&status.as_u16()) {
        return None;
    }
    let after = text(response.headers(), "retry-after");
    let after = after.and_then(|seconds| seconds.parse().ok());
    let message = format!("answered {status}");
    Some(Failure::Retry(message, after.map(Duration::from_secs)))
}

pub(crate) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}
