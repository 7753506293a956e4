use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use download::{DownloadOptions, redacted};

/// The Hub's address, the user's token, and the cache of its files.
#[derive(Clone)]
pub struct Hub {
    /// Hugging Face's cache, shared with Python: `models--OWNER--NAME/{blobs,refs,snapshots}`.
    pub cache: PathBuf,
    /// The Hub's address, without a slash at the end.
    pub endpoint: String,
    /// Sent to the endpoint and to no other host.
    pub token: Option<String>,
    /// Whether only the cache is used and nothing is asked of the network.
    pub offline: bool,
    /// Retries and timeouts.
    pub requests: DownloadOptions,
}

impl Hub {
    /// Reads the environment variables of Hugging Face's own libraries:
    ///
    /// - the cache: `HF_HUB_CACHE` (formerly `HUGGINGFACE_HUB_CACHE`), else `TRANSFORMERS_CACHE` of transformers 4, else
    ///   `hub` in `HF_HOME`, else in `XDG_CACHE_HOME/huggingface`, else in `~/.cache/huggingface`;
    /// - the endpoint: `HF_ENDPOINT`;
    /// - the token: `HF_TOKEN` (formerly `HUGGING_FACE_HUB_TOKEN`), else the file `HF_TOKEN_PATH`, else `token` in
    ///   `HF_HOME`;
    /// - offline: `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE` is 1, on, yes or true.
    ///
    /// In paths `~` is the home folder, and `$NAME` and `${NAME}` are variables.
    pub fn from_env() -> Self {
        Self::from(&|name| std::env::var(name).ok(), std::env::home_dir())
    }

    fn from(variable: &dyn Fn(&str) -> Option<String>, home: Option<PathBuf>) -> Self {
        let text = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let first = |names: &[&str]| names.iter().find_map(|name| text(name));
        let home = home.unwrap_or_else(std::env::temp_dir);
        let path = |value: String| match Path::new(&value).strip_prefix("~") {
            Ok(rest) => PathBuf::from(expand_variables(
                &home.join(rest).to_string_lossy(),
                variable,
            )),
            Err(_) => PathBuf::from(expand_variables(&value, variable)),
        };
        let hf_home = text("HF_HOME").map(path).unwrap_or_else(|| {
            let caches = text("XDG_CACHE_HOME").map(path);
            caches
                .unwrap_or_else(|| home.join(".cache"))
                .join("huggingface")
        });
        let token_file = text("HF_TOKEN_PATH").map(path);
        let token_file = token_file.unwrap_or_else(|| hf_home.join("token"));
        let token = first(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])
            .or_else(|| std::fs::read_to_string(token_file).ok())
            .map(|token| token.trim().to_owned());
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let offline = first(&["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]).unwrap_or_default();
        Self {
            cache: first(&[
                "HF_HUB_CACHE",
                "HUGGINGFACE_HUB_CACHE",
                "TRANSFORMERS_CACHE",
            ])
            .map_or_else(|| hf_home.join("hub"), path),
            endpoint: endpoint.trim().trim_end_matches('/').to_owned(),
            token: token.filter(|token| !token.is_empty()),
            requests: DownloadOptions {
                retries: 3,
                timeout: Duration::from_secs(20),
                ..DownloadOptions::default()
            },
            offline: ["1", "on", "yes", "true"].contains(&offline.trim().to_lowercase().as_str()),
        }
    }
}

/// Replaces `$NAME` and `${NAME}` by variables, as Python's `os.path.expandvars` does: one that is not set stays as it is.
fn expand_variables(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let in_braces = after
            .strip_prefix('{')
            .and_then(|after| after.split_once('}'));
        let (name, behind) = in_braces.unwrap_or_else(|| {
            let end = after.find(|letter| !is_name(letter));
            after.split_at(end.unwrap_or(after.len()))
        });
        match variable(name) {
            Some(value) => expanded.push_str(&value),
            None => expanded.push_str(&rest[before.len()..rest.len() - behind.len()]),
        }
        rest = behind;
    }
    expanded.push_str(rest);
    expanded
}

/// Without the token.
impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("cache", &self.cache)
            .field("endpoint", &redacted(&self.endpoint))
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("offline", &self.offline)
            .field("requests", &self.requests)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Hub {
        let variable = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Hub::from(&variable, Some("/home/me".into()))
    }

    #[test]
    fn the_variables_are_those_of_hugging_faces_libraries() {
        let hub = from(&[]);
        assert_eq!(hub.cache, Path::new("/home/me/.cache/huggingface/hub"));
        assert_eq!(hub.endpoint, "https://huggingface.co");
        assert!(!hub.offline && hub.token.is_none());
        for (variables, cache) in [
            (&[("XDG_CACHE_HOME", "/x")][..], "/x/huggingface/hub"),
            (
                &[("HF_HOME", "~/hf"), ("XDG_CACHE_HOME", "/x")],
                "/home/me/hf/hub",
            ),
            (&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/h")], "/c"),
            (&[("HF_HOME", "")], "/home/me/.cache/huggingface/hub"),
            (&[("HF_HOME", "~")], "/home/me/hub"),
            (&[("HF_HOME", "~you/hf")], "~you/hf/hub"),
            (
                &[("HF_HOME", "$X/hf"), ("X", "/scratch")],
                "/scratch/hf/hub",
            ),
            (&[("HF_HUB_CACHE", "${X}_1/$Y/$"), ("X", "/a")], "/a_1/$Y/$"),
            (&[("TRANSFORMERS_CACHE", "/t"), ("HF_HOME", "/h")], "/t"),
            (
                &[
                    ("TRANSFORMERS_CACHE", "/t"),
                    ("HUGGINGFACE_HUB_CACHE", "/c"),
                ],
                "/c",
            ),
        ] {
            assert_eq!(from(variables).cache, Path::new(cache));
        }
        let hub = from(&[("HF_ENDPOINT", "http://mirror/"), ("HF_TOKEN", " t ")]);
        assert_eq!(
            (&*hub.endpoint, hub.token.as_deref()),
            ("http://mirror", Some("t"))
        );
        assert!(!format!("{:?}", from(&[("HF_TOKEN", "secret")])).contains("secret"));
        for (value, offline) in [("1", true), ("TRUE", true), ("0", false), ("", false)] {
            assert_eq!(
                from(&[("HF_HUB_OFFLINE", value)]).offline,
                offline,
                "{value}"
            );
        }
    }

    #[test]
    fn the_token_may_stand_in_a_file() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("token"), "from the file\n").unwrap();
        let home = home.path().to_str().unwrap();
        assert_eq!(
            from(&[("HF_HOME", home)]).token.as_deref(),
            Some("from the file")
        );
        let both = from(&[("HF_HOME", home), ("HF_TOKEN", "set")]);
        assert_eq!(both.token.as_deref(), Some("set"));
    }
}
