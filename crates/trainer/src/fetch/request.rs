//! One request for a file or for the rest of it, and what its answer means.

use std::io::Read;
use std::time::Duration;

use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use crate::Error;

/// Why a request did not bring the rest of the file.
pub(super) enum Failure {
    /// It may come the next time: go on from there.
    Retry(String),
    /// What is there, or what the server made of the request to go on from it, is of no use.
    StartOver(String),
    /// This address does not have the file.
    GiveUp(String),
    /// This machine does not take it.
    Local(Error),
}

/// A body that begins at `start`.
pub(super) struct Answer {
    pub(super) start: u64,
    body: Box<dyn Read>,
    patience: Duration,
}

pub(super) fn agent(patience: Duration) -> Agent {
    let config = Agent::config_builder()
        .user_agent(concat!("squad-burn-trainer/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .timeout_resolve(Some(patience))
        .timeout_connect(Some(patience))
        .timeout_recv_response(Some(patience))
        // Not of the whole body: a slow line is no mistake, a silent one is.
        .timeout_per_read(Some(patience))
        .build();
    Agent::new_with_config(config)
}

/// Asks for the file from byte `start` on, `size` bytes in all; the answer may begin earlier.
pub(super) fn request(
    agent: &Agent,
    url: &str,
    start: u64,
    size: u64,
    patience: Duration,
) -> Result<Answer, Failure> {
    // Compressed, the file would have other bytes and another length.
    let mut request = agent.get(url).header(header::ACCEPT_ENCODING, "identity");
    if start > 0 {
        request = request.header(header::RANGE, format!("bytes={start}-"));
    }
    let response = request.call().map_err(|e| failure(e, patience))?;
    let start = match response.status() {
        StatusCode::OK => whole(&response, size)?,
        StatusCode::PARTIAL_CONTENT => rest(&response, start, size)?,
        StatusCode::RANGE_NOT_SATISFIABLE => {
            return Err(Failure::StartOver(format!(
                "has no byte {start} to go on from"
            )));
        }
        status if status.is_server_error() || [408, 429].contains(&status.as_u16()) => {
            return Err(Failure::Retry(format!("answered {status}")));
        }
        status => return Err(Failure::GiveUp(format!("answered {status}"))),
    };
    let body = Box::new(response.into_body().into_reader());
    Ok(Answer {
        start,
        body,
        patience,
    })
}

/// The whole file, where its length is the right one or not told.
fn whole(response: &Response<Body>, size: u64) -> Result<u64, Failure> {
    match response.body().content_length() {
        Some(length) if length != size => Err(Failure::GiveUp(format!(
            "has a file of {length} bytes, not of {size}"
        ))),
        _ => Ok(0),
    }
}

/// Partial content, where it begins at the byte asked for.
fn rest(response: &Response<Body>, start: u64, size: u64) -> Result<u64, Failure> {
    let told = response
        .headers()
        .get(header::CONTENT_RANGE)
        .and_then(|value| value.to_str().ok());
    let (first, length) = told
        .and_then(content_range)
        .ok_or_else(|| Failure::StartOver("sent a part without saying which".to_owned()))?;
    match length {
        Some(length) if length != size => Err(Failure::GiveUp(format!(
            "has a file of {length} bytes, not of {size}"
        ))),
        _ if first != start => Err(Failure::StartOver(format!(
            "sent bytes from {first} on where those from {start} on were asked for"
        ))),
        _ => Ok(start),
    }
}

/// The first byte and the whole length, `None` for `*`, of `bytes 5-9/10`.
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, length) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let first = range.split_once('-')?.0.trim().parse().ok()?;
    match length.trim() {
        "*" => Some((first, None)),
        length => Some((first, Some(length.parse().ok()?))),
    }
}

impl Answer {
    /// The next bytes; none at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        self.body
            .read(buffer)
            .map_err(|e| failure(e.into(), self.patience))
    }
}

fn failure(error: ureq::Error, patience: Duration) -> Failure {
    match error {
        ureq::Error::Timeout(_) => {
            Failure::Retry(format!("sent nothing for {} s", patience.as_secs_f64()))
        }
        // The standard library has no kind for it.
        ureq::Error::Io(error) if error.to_string().starts_with("failed to lookup") => {
            Failure::GiveUp(format!("no such host: {error}"))
        }
        ureq::Error::Io(error) => Failure::Retry(format!("no connection: {error}")),
        ureq::Error::ConnectionFailed => Failure::Retry("could not be connected to".to_owned()),
        ureq::Error::Protocol(error) => Failure::Retry(format!("sent no proper HTTP: {error}")),
        ureq::Error::HostNotFound => Failure::GiveUp("no such host".to_owned()),
        other => Failure::GiveUp(one_line(&other.to_string())),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 0-0/*"), Some((0, None)));
        for wrong in [
            "",
            "5-9/10",
            "bytes */10",
            "bytes 5-9",
            "bytes x-9/10",
            "bytes 5-9/x",
            "bytes -5/10",
        ] {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
    }
}
