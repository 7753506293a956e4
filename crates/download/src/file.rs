use std::io::Read;
use std::path::PathBuf;

use ureq::Body;
use ureq::http::{Response, StatusCode, header};

use crate::client::{Client, Failure, Retries, text};
use crate::part::PartFile;
use crate::url::{check_url, redacted};
use crate::{DownloadEvent, Error};

/// A file to fetch, and how to know it.
#[derive(Clone, Debug)]
pub struct Download<'a> {
    /// The file's name in messages.
    pub name: &'a str,
    /// URLs of the same file, asked in this order.
    pub urls: &'a [String],
    /// A bearer token, sent to the origin of the URL and to no other host.
    pub token: Option<&'a str>,
    /// How long the file is.
    pub size: Size,
    /// SHA-256 of the file, as hexadecimal digits.
    pub sha256: Option<&'a str>,
    /// The strong `ETag`, with its quotes, that the first URL gives this file. A part file that an
    /// earlier call left is used only where this or `sha256` is known.
    pub etag: Option<&'a str>,
    /// Where bytes are collected.
    pub part: PathBuf,
    /// What the part file becomes.
    pub target: PathBuf,
}

/// How long a file is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    /// Exactly this number of bytes.
    Exactly(u64),
    /// Unknown; at most this number of bytes, so that a response without end cannot fill the disk.
    AtMost(u64),
}

impl Size {
    fn exact(self) -> Option<u64> {
        match self {
            Self::Exactly(size) => Some(size),
            Self::AtMost(_) => None,
        }
    }
}

impl Client {
    /// Fetches a file and gives it its name when size and SHA-256 are right.
    ///
    /// A part file that leads to other content is emptied, once for each URL. A part that is whole
    /// needs no request.
    ///
    /// # Errors
    /// If no URL has the file, if another process writes the part file, or if the file cannot be
    /// written. What has arrived stays in the part file.
    pub fn download(
        &self,
        download: &Download<'_>,
        on_event: &mut dyn FnMut(DownloadEvent<'_>),
    ) -> Result<(), Error> {
        for url in download.urls {
            check_url(url)?;
        }
        let mut part = PartFile::open(&download.part)?;
        if download.sha256.is_none() && download.etag.is_none() {
            part.clear()?;
        }
        let mut transfer = Transfer {
            client: self,
            download,
            part,
            etag: download.etag.map(str::to_owned),
            size: download.size.exact(),
            on_event,
        };
        let mut attempts = Vec::new();
        for (number, url) in (1..).zip(download.urls) {
            match transfer.fetch(url) {
                Ok(()) => return transfer.part.finish(&download.target),
                Err(Failure::Local(error)) => return Err(error),
                Err(
                    Failure::Retry(reason, _)
                    | Failure::StartOver(reason)
                    | Failure::GiveUp(reason),
                ) => {
                    let attempt = format!("{}: {reason}", redacted(url));
                    if number < download.urls.len() {
                        transfer.message(&format!("{attempt}: asking the next URL"));
                    }
                    attempts.push(attempt);
                    // Another server has other tags and perhaps another length.
                    (transfer.etag, transfer.size) = (None, download.size.exact());
                }
            }
        }
        Err(Error::Unavailable { attempts })
    }
}

struct Transfer<'a> {
    client: &'a Client,
    download: &'a Download<'a>,
    part: PartFile,
    /// The tag of the content that the part is of.
    etag: Option<String>,
    /// The whole file's length, once it is known.
    size: Option<u64>,
    on_event: &'a mut dyn FnMut(DownloadEvent<'_>),
}

impl Transfer<'_> {
    /// Leaves the whole file in the part, or says why this URL cannot.
    fn fetch(&mut self, url: &str) -> Result<(), Failure> {
        let mut retries = Retries::new(self.client, url);
        let (mut furthest, mut started_over) = (self.part.len(), false);
        loop {
            let result = self.receive_rest(url);
            if self.part.len() > furthest {
                retries.reset();
                furthest = self.part.len();
            }
            match result.and_then(|()| self.check()) {
                Err(Failure::Retry(message, after)) => {
                    retries
                        .wait(message, after, self.on_event)
                        .map_err(Failure::GiveUp)?;
                }
                Err(Failure::StartOver(message)) if !started_over => {
                    self.start_over()?;
                    (started_over, furthest) = (true, 0);
                    self.message(&format!("{}: {message}: starting over", redacted(url)));
                }
                Err(Failure::StartOver(message)) => {
                    self.start_over()?;
                    return Err(Failure::GiveUp(message));
                }
                result => return result,
            }
        }
    }

    fn start_over(&mut self) -> Result<(), Error> {
        (self.etag, self.size) = (None, self.download.size.exact());
        self.part.clear()
    }

    /// One request for the bytes that are missing, if any are.
    fn receive_rest(&mut self, url: &str) -> Result<(), Failure> {
        if self.size.is_some_and(|size| self.part.len() >= size) {
            return Ok(());
        }
        if self.download.sha256.is_none() && self.etag.is_none() {
            self.part.clear()?;
        }
        let have = self.part.len();
        let mut headers = Vec::new();
        if have > 0 {
            headers.push((header::RANGE, format!("bytes={have}-")));
            headers.extend(self.etag.clone().map(|etag| (header::IF_RANGE, etag)));
        }
        let response = self.client.get(url, self.download.token, &headers)?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            let range = text(response.headers(), "content-range");
            let total = range.and_then(|range| range.strip_prefix("bytes */")?.parse().ok());
            return match total {
                Some(total) if total == have => self.check_total(total),
                _ => Err(Failure::StartOver(format!(
                    "has no byte {have} to go on from"
                ))),
            };
        }
        if self.first_byte(&response, have)? != have {
            self.message(&format!(
                "{}: sends the whole file: starting over",
                redacted(url)
            ));
            self.part.clear()?;
        }
        self.receive_body(response)
    }

    /// The first byte of a response's body: the one that was asked for, or 0.
    fn first_byte(&mut self, response: &Response<Body>, have: u64) -> Result<u64, Failure> {
        let headers = response.headers();
        let encoding = text(headers, "content-encoding").unwrap_or("identity");
        if encoding != "identity" {
            return Err(Failure::GiveUp(format!(
                "sent {encoding} where the plain file was asked for"
            )));
        }
        let (first, total) =
            match response.status() {
                StatusCode::OK => (0, response.body().content_length()),
                StatusCode::PARTIAL_CONTENT => text(headers, "content-range")
                    .and_then(content_range)
                    .ok_or_else(|| Failure::StartOver("sent a part without saying which".into()))?,
                status => return Err(Failure::GiveUp(format!("answered {status}"))),
            };
        if let Some(total) = total {
            self.check_total(total)?;
        }
        let etag = text(headers, "etag").filter(|etag| etag.starts_with('"'));
        if first == 0 {
            self.etag = etag.map(str::to_owned);
            return Ok(0);
        }
        if first != have {
            return Err(Failure::StartOver(format!(
                "sent bytes from {first} on where those from {have} on were asked for"
            )));
        }
        match (&self.etag, etag) {
            (Some(old), Some(new)) if old != new => Err(Failure::StartOver(
                "has another version of the file now".into(),
            )),
            _ => Ok(first),
        }
    }

    /// Compares the length that a server gives the whole file with what is known of it.
    fn check_total(&mut self, total: u64) -> Result<(), Failure> {
        match self.download.size {
            Size::Exactly(size) if total != size => Err(Failure::GiveUp(format!(
                "has a file of {total} bytes, not of {size}"
            ))),
            Size::AtMost(limit) if total > limit => Err(Failure::GiveUp(format!(
                "has a file of {total} bytes, more than {limit}"
            ))),
            _ => {
                self.size = Some(total);
                Ok(())
            }
        }
    }

    fn receive_body(&mut self, response: Response<Body>) -> Result<(), Failure> {
        let (Size::Exactly(limit) | Size::AtMost(limit)) = self.download.size;
        let (limit, start) = (self.size.unwrap_or(limit), self.part.len());
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 16];
        self.progress();
        loop {
            let count =
                body.read(&mut buffer)
                    .map_err(|e| match self.client.failure(e.into()) {
                        Failure::Retry(message, after) => {
                            Failure::Retry(format!("{message} after {}", self.so_far()), after)
                        }
                        other => other,
                    })?;
            if count == 0 {
                break;
            }
            if self.part.len() + count as u64 > limit {
                let message = format!("sent more than {limit} bytes");
                if start > 0 {
                    return Err(Failure::StartOver(message));
                }
                self.start_over()?;
                return Err(Failure::GiveUp(message));
            }
            self.part.append(&buffer[..count])?;
            self.progress();
        }
        if self.size.is_some_and(|size| self.part.len() < size) {
            return Err(Failure::Retry(
                format!("ended after {}", self.so_far()),
                None,
            ));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Failure> {
        let len = self.part.len();
        if let Some(size) = self.size.filter(|size| len > *size) {
            return Err(Failure::StartOver(format!(
                "cannot go on from {len} bytes of {size}"
            )));
        }
        let Some(expected) = self.download.sha256 else {
            return Ok(());
        };
        let sha256 = self.part.sha256()?;
        if sha256.eq_ignore_ascii_case(expected) {
            return Ok(());
        }
        Err(Failure::StartOver(format!(
            "sent other content (sha256 {sha256}, not {expected})"
        )))
    }

    /// `5 of 10 bytes`.
    fn so_far(&self) -> String {
        let of = self
            .size
            .map_or(String::new(), |size| format!(" of {size}"));
        format!("{}{of} bytes", self.part.len())
    }

    fn progress(&mut self) {
        (self.on_event)(DownloadEvent::Bytes {
            file: self.download.name,
            bytes: self.part.len(),
            size: self.size,
        });
    }

    fn message(&mut self, line: &str) {
        (self.on_event)(DownloadEvent::Message(line));
    }
}

/// The first byte and the whole length, `None` for `*`, of `bytes 5-9/10`.
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let first = range.split_once('-')?.0.trim().parse().ok()?;
    match total.trim() {
        "*" => Some((first, None)),
        total => Some((first, Some(total.parse().ok()?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_have_a_first_byte_and_perhaps_a_length() {
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
