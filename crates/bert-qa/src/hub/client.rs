use std::time::Duration;

use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::{Agent, Body};

use super::Hub;
use super::cache::is_word;

/// Asks for files of one repository at one revision.
pub(super) struct Client<'a> {
    hub: &'a Hub,
    name: &'a str,
    pub(super) revision: &'a str,
    agent: Agent,
}

/// A file, from some byte on.
pub(super) struct Reply {
    /// The commit that the revision is.
    pub(super) commit: String,
    /// Names the contents; of a large file it is the SHA-256.
    pub(super) etag: String,
    /// The whole file's length, if it was told.
    pub(super) size: Option<u64>,
    /// Which byte the body begins with.
    pub(super) first_byte: u64,
    pub(super) body: Body,
}

pub(super) enum Failure {
    /// The repository has no such file.
    NoSuchFile,
    /// Trying again may help.
    Passing {
        message: String,
        /// Whether a part of the file arrived before.
        arrived: bool,
    },
    /// Trying again will not help.
    Lasting(String),
}

/// A redirection of a redirection of …
const MOST_REDIRECTIONS: usize = 8;

impl<'a> Client<'a> {
    pub(super) fn new(hub: &'a Hub, name: &'a str, revision: &'a str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // The Hub's own headers stand in the redirection, and the token is for the Hub alone.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("bert-qa/", env!("CARGO_PKG_VERSION")))
            // What is counted and kept is the file itself.
            .accept_encoding("identity")
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .timeout_per_read(Some(Duration::from_secs(60)))
            .build();
        Self {
            hub,
            name,
            revision,
            agent: config.new_agent(),
        }
    }

    /// Asks for a file from `first_byte` on, at the revision or another commit.
    pub(super) fn ask(
        &self,
        file: &str,
        commit: Option<&str>,
        first_byte: u64,
    ) -> Result<Reply, Failure> {
        let endpoint = &self.hub.endpoint;
        let revision = commit.unwrap_or(self.revision).replace('/', "%2F");
        let mut url = format!("{endpoint}/{}/resolve/{revision}/{file}", self.name);
        let (mut commit, mut etag, mut size) = (None, None, None);
        for _ in 0..MOST_REDIRECTIONS {
            let response = self.get(&url, first_byte)?;
            let headers = response.headers();
            // What the Hub says of a file is more than what the storage behind it says.
            commit = commit.or_else(|| text(headers, "x-repo-commit"));
            etag = etag.or_else(|| text(headers, "x-linked-etag"));
            size = size.or_else(|| text(headers, "x-linked-size")?.parse().ok());
            if !response.status().is_redirection() {
                return self.reply(response, first_byte, commit, etag, size);
            }
            url = text(headers, "location")
                .and_then(|location| absolute(&url, &location))
                .ok_or_else(|| Failure::Lasting("the Hub redirects to nowhere".into()))?;
        }
        Err(Failure::Lasting("the Hub redirects in a circle".into()))
    }

    fn get(&self, url: &str, first_byte: u64) -> Result<Response<Body>, Failure> {
        let mut request = self.agent.get(url);
        if first_byte > 0 {
            request = request.header("Range", format!("bytes={first_byte}-"));
        }
        // Only the Hub itself may see the token, not where it redirects to.
        let rest = url.strip_prefix(&self.hub.endpoint);
        if let Some(token) = &self.hub.token
            && rest.is_some_and(|rest| rest.starts_with('/'))
        {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        request.call().map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let text = error.to_string();
        let text = text.lines().next().unwrap_or_default();
        let message = format!("no answer from {} ({text})", self.hub.endpoint);
        match error {
            ureq::Error::Io(e) if e.kind() != std::io::ErrorKind::ConnectionRefused => {
                Failure::Passing {
                    message,
                    arrived: false,
                }
            }
            ureq::Error::Timeout(_) => Failure::Passing {
                message,
                arrived: false,
            },
            _ => Failure::Lasting(message),
        }
    }

    fn reply(
        &self,
        response: Response<Body>,
        asked: u64,
        commit: Option<String>,
        etag: Option<String>,
        size: Option<u64>,
    ) -> Result<Reply, Failure> {
        let status = response.status();
        let headers = response.headers();
        let (first_byte, sent) = match status {
            StatusCode::OK => (0, response.body().content_length()),
            StatusCode::PARTIAL_CONTENT => text(headers, "content-range")
                .and_then(|range| parse_range(&range))
                .filter(|(first_byte, _)| *first_byte == asked)
                .ok_or_else(|| {
                    Failure::Lasting(format!(
                        "asked for byte {asked}, the server sends another part"
                    ))
                })?,
            _ => return Err(self.refusal(status, text(headers, "x-error-code").as_deref())),
        };
        if let (Some(told), Some(sent)) = (size, sent)
            && told != sent
        {
            return Err(Failure::Lasting(format!(
                "the Hub tells a length of {told} bytes, the server {sent}"
            )));
        }
        let etag = etag.or_else(|| text(headers, "etag"));
        let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_owned());
        let word = |value: Option<String>, what: &str| {
            value.filter(|word| is_word(word)).ok_or_else(|| {
                let endpoint = &self.hub.endpoint;
                Failure::Lasting(format!(
                    "an answer without a usable {what}: is {endpoint} a Hugging Face Hub?"
                ))
            })
        };
        Ok(Reply {
            commit: word(commit, "X-Repo-Commit")?,
            etag: word(etag, "ETag")?,
            size: size.or(sent),
            first_byte,
            body: response.into_body(),
        })
    }

    /// What a status other than success means, by the Hub's own word for it where there is one.
    fn refusal(&self, status: StatusCode, code: Option<&str>) -> Failure {
        let Self { name, revision, .. } = self;
        let status = status.as_u16();
        Failure::Lasting(match (status, code) {
            (_, Some("GatedRepo")) | (403, _) => format!(
                "no access ({status}): accept the model's conditions at {}/{name}, and set HF_TOKEN to a token that may read it",
                self.hub.endpoint
            ),
            (404, Some("RevisionNotFound")) => format!("no revision \"{revision}\" of {name} (404)"),
            (404, Some("RepoNotFound")) => self.no_model(),
            (404, _) => return Failure::NoSuchFile,
            (401, _) if self.hub.token.is_some() => {
                "the Hub does not accept the token, or there is no such model (401): look at HF_TOKEN and the name".into()
            }
            (401, _) => {
                "there is no such model, or it is private or gated (401): look at the name, or set HF_TOKEN".into()
            }
            (429 | 500..=599, _) => {
                let message = format!("the Hub is in trouble (status {status})");
                let arrived = false;
                return Failure::Passing { message, arrived };
            }
            _ => format!("an answer that means nothing here (status {status})"),
        })
    }

    /// No model of this name, or at this revision.
    pub(super) fn no_model(&self) -> String {
        let Self {
            name,
            revision,
            hub,
            ..
        } = self;
        format!(
            "no model {name} with a config.json at revision \"{revision}\" on {} (404)",
            hub.endpoint
        )
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.trim().to_owned())
}

/// The first byte and the whole length of `bytes FIRST-LAST/WHOLE`.
fn parse_range(range: &str) -> Option<(u64, Option<u64>)> {
    let (range, whole) = range.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.parse().ok()?, whole.parse().ok()))
}

/// Where a redirection leads: to another address, or to a path of the same host.
fn absolute(from: &str, location: &str) -> Option<String> {
    if location.starts_with("http://") || location.starts_with("https://") {
        return Some(location.to_owned());
    }
    let (scheme, rest) = from.split_once("://")?;
    let host = rest.split('/').next()?;
    let path = location.strip_prefix('/')?;
    (!path.starts_with('/')).then(|| format!("{scheme}://{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections_lead_to_addresses_and_paths() {
        let from = "http://host:80/a/resolve/main/b";
        for (location, to) in [
            ("https://cdn/x?y", Some("https://cdn/x?y")),
            ("/api/z", Some("http://host:80/api/z")),
            ("//other/x", None),
            ("ftp://x", None),
        ] {
            assert_eq!(absolute(from, location).as_deref(), to);
        }
    }

    #[test]
    fn ranges_are_read() {
        assert_eq!(parse_range("bytes 3-9/10"), Some((3, Some(10))));
        assert_eq!(parse_range("bytes 0-0/*"), Some((0, None)));
        assert_eq!(parse_range("bytes */10"), None);
    }
}
