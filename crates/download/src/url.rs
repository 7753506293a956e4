use crate::Error;

/// Checks that a text is a URL that can be asked: http or https, with a host.
///
/// # Errors
/// [`Error::Url`].
pub fn check_url(url: &str) -> Result<(), Error> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') => Ok(()),
        _ => Err(Error::Url(redacted(url))),
    }
}

/// The URL without what may be secret: user name, password and query.
pub fn redacted(url: &str) -> String {
    let (rest, query) = match url.split_once(['?', '#']) {
        Some((rest, _)) => (rest, "?..."),
        None => (url, ""),
    };
    let host = rest.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = rest.split_at(host);
    let path = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path);
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}{host}{path}{query}")
}

/// Scheme, host and port: a token for one origin is sent to no other.
pub(crate) fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?', '#']);
    end.map_or(url, |end| &url[..start + end])
}

/// Where the `Location` header of a response to `from` leads: a URL, or a path of the same origin.
pub(crate) fn redirected(from: &str, location: &str) -> Option<String> {
    if check_url(location).is_ok() {
        return Some(location.to_owned());
    }
    let path = location.strip_prefix('/')?;
    (!path.starts_with('/')).then(|| format!("{}/{path}", origin(from)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_begin_with_http_and_a_host() {
        for url in ["http://host", "https://host/path"] {
            assert!(check_url(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "/path",
            "ftp://host",
            "http://",
            "http:///path",
            "host/path",
        ] {
            let message = check_url(url).unwrap_err().to_string();
            assert!(message.contains(&format!("{url:?}")), "{message}");
        }
    }

    #[test]
    fn secrets_are_left_out() {
        for (url, shown) in [
            ("https://host:1/a/b", "https://host:1/a/b"),
            ("https://me:secret@host/a@b", "https://host/a@b"),
            ("https://host/a?token=secret", "https://host/a?..."),
            ("https://host", "https://host"),
            ("ftp://me:secret@host", "ftp://host"),
            ("/mnt/data", "/mnt/data"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }

    #[test]
    fn redirections_lead_to_urls_and_paths() {
        let from = "http://host:80/a/resolve/main/b";
        for (location, to) in [
            ("https://cdn/x?y", Some("https://cdn/x?y")),
            ("/api/z", Some("http://host:80/api/z")),
            ("//other/x", None),
            ("ftp://x", None),
        ] {
            assert_eq!(redirected(from, location).as_deref(), to);
        }
        assert_eq!(origin("http://host:80?x"), "http://host:80");
    }
}
