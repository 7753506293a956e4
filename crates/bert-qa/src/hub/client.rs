use download::{Client, DownloadEvent, Head, redacted};

use super::cache::is_safe_name;
use super::settings::Hub;

/// Asks the Hub for files of one repository at one revision.
pub(super) struct HubClient<'a> {
    pub(super) hub: &'a Hub,
    name: &'a str,
    revision: &'a str,
    pub(super) http: Client,
}

/// What the Hub says of a file.
pub(super) struct FileMetadata {
    /// The commit that the revision is.
    pub(super) commit: String,
    /// Names the contents.
    pub(super) etag: String,
    /// Whether the file is served by the Hub itself, with that tag, and not by a storage behind it.
    pub(super) is_direct: bool,
    /// Length in bytes, if known.
    pub(super) size: Option<u64>,
}

impl FileMetadata {
    /// The tag of a large file is the SHA-256 of its contents.
    pub(super) fn sha256(&self) -> Option<&str> {
        let is_sha256 =
            self.etag.len() == 64 && self.etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_sha256.then_some(&*self.etag)
    }
}

/// Redirections that are followed to the Hub's headers.
const REDIRECTIONS: usize = 8;

impl<'a> HubClient<'a> {
    pub(super) fn new(hub: &'a Hub, name: &'a str, revision: &'a str) -> Self {
        Self {
            hub,
            name,
            revision,
            http: Client::new(hub.requests.clone()),
        }
    }

    /// The URL of a file at a commit, or at the client's revision.
    pub(super) fn url(&self, file: &str, commit: Option<&str>) -> String {
        let revision = commit.unwrap_or(self.revision).replace('/', "%2F");
        let endpoint = &self.hub.endpoint;
        format!("{endpoint}/{}/resolve/{revision}/{file}", self.name)
    }

    /// What the Hub says of a file; `None` if the repository has no such file.
    ///
    /// Large files stand elsewhere: the Hub's headers stand in the redirection.
    pub(super) fn metadata(
        &self,
        file: &str,
        commit: Option<&str>,
        on_event: &mut dyn FnMut(DownloadEvent<'_>),
    ) -> Result<Option<FileMetadata>, String> {
        let mut url = self.url(file, commit);
        let (mut commit, mut linked_etag, mut linked_size) = (None, None, None);
        for _ in 0..REDIRECTIONS {
            // The token is for the Hub alone, not for where it redirects to.
            let rest = url.strip_prefix(&self.hub.endpoint);
            let is_hub = rest.is_some_and(|rest| rest.starts_with('/'));
            let token = self.hub.token.as_deref().filter(|_| is_hub);
            let head = self.http.head(&url, token, on_event);
            let head = head.map_err(|error| error.to_string())?;
            let text = |name| head.header(name).map(str::to_owned);
            commit = commit.or_else(|| text("x-repo-commit"));
            linked_etag = linked_etag.or_else(|| text("x-linked-etag"));
            linked_size = linked_size.or_else(|| head.header("x-linked-size")?.parse().ok());
            let is_redirection = (300..400).contains(&head.status);
            if is_redirection && (commit.is_none() || linked_etag.is_none()) {
                url = head.redirection().ok_or("the Hub redirects to nowhere")?;
                continue;
            }
            if !is_redirection && head.status != 200 {
                return self.refusal(&head);
            }
            let length = head.header("content-length").filter(|_| !is_redirection);
            let length = length.and_then(|length| length.parse().ok());
            let is_direct = linked_etag.is_none();
            let etag = linked_etag.or_else(|| text("etag"));
            let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_owned());
            return Ok(Some(FileMetadata {
                commit: self.safe_name(commit, "X-Repo-Commit")?,
                etag: self.safe_name(etag, "ETag")?,
                is_direct,
                size: linked_size.or(length),
            }));
        }
        Err("the Hub redirects in a circle".into())
    }

    /// A header's value, which becomes a name in the cache.
    fn safe_name(&self, value: Option<String>, header: &str) -> Result<String, String> {
        value.filter(|name| is_safe_name(name)).ok_or_else(|| {
            let endpoint = redacted(&self.hub.endpoint);
            format!(
                "a response with no {header} that can be used: is {endpoint} a Hugging Face Hub?"
            )
        })
    }

    /// What a status other than success means; the Hub may say more in `X-Error-Code`.
    fn refusal(&self, head: &Head) -> Result<Option<FileMetadata>, String> {
        let Self { name, revision, .. } = self;
        let endpoint = redacted(&self.hub.endpoint);
        Err(match (head.status, head.header("x-error-code")) {
            (status, Some("GatedRepo")) | (status @ 403, _) => format!(
                "no access ({status}): accept the model's conditions at {endpoint}/{name}, and set HF_TOKEN to a token that may read it"
            ),
            (404, Some("RevisionNotFound")) => {
                format!("no revision \"{revision}\" of {name} (404)")
            }
            (404, Some("RepoNotFound")) => self.no_model(),
            (404, _) => return Ok(None),
            (401, _) if self.hub.token.is_some() => {
                "the Hub does not accept the token, or there is no such model (401): check HF_TOKEN and the name".into()
            }
            (401, _) => {
                "there is no such model, or it is private or gated (401): check the name, or set HF_TOKEN".into()
            }
            (status, _) => format!("unexpected HTTP status {status} from {endpoint}"),
        })
    }

    /// No model of this name, or at this revision.
    pub(super) fn no_model(&self) -> String {
        let Self { name, revision, .. } = self;
        let endpoint = redacted(&self.hub.endpoint);
        format!("no model {name} with a config.json at revision \"{revision}\" on {endpoint} (404)")
    }
}
