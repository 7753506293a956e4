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

/// Where the `Location` header of a response to `from` leads: a URL, one of the same scheme (`//host/path`), a path of the
/// same origin, or one that starts at the folder of `from`.
pub(crate) fn redirected(from: &str, location: &str) -> Option<String> {
    if check_url(location).is_ok() {
        return Some(location.to_owned());
    }
    let scheme = from.split("//").next().unwrap_or_default();
    let is_relative = !location.is_empty()
        && !location.starts_with(['?', '#'])
        && !location
            .split(['/', '?'])
            .next()
            .is_some_and(|first| first.contains(':'));
    let to = match location.strip_prefix('/') {
        Some(rest) if rest.starts_with('/') => format!("{scheme}{location}"),
        Some(_) => format!("{}{location}", origin(from)),
        None if is_relative => format!("{}/{location}", folder(from)),
        None => return None,
    };
    check_url(&to).is_ok().then_some(to)
}

/// The URL up to the last slash of its path, without the slash.
fn folder(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let start = origin(path).len();
    let end = path[start..].rfind('/').unwrap_or(path.len() - start);
    &path[..start + end]
}

/// The URL of the file `name` in the folder at `folder`: letters that a URL cannot have are written as `%` and their
/// hexadecimal digits.
pub fn url_in_folder(folder: &str, name: &str) -> String {
    let mut url = format!("{}/", folder.trim_end_matches('/'));
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(byte.into());
        } else {
            url += &format!("%{byte:02X}");
        }
    }
    url
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
            ("//other/x", Some("http://other/x")),
            ("c?d=/e", Some("http://host:80/a/resolve/main/c?d=/e")),
            ("../c", Some("http://host:80/a/resolve/main/../c")),
            ("ftp://x", None),
            ("file:///etc/passwd", None),
            ("mailto:a", None),
            ("///x", None),
            ("?x", None),
            ("", None),
        ] {
            assert_eq!(redirected(from, location).as_deref(), to);
        }
        assert_eq!(origin("http://host:80?x"), "http://host:80");
        for (from, to) in [
            ("http://host", "http://host/b"),
            ("http://host/a", "http://host/b"),
            ("http://host/a/?c=/d", "http://host/a/b"),
        ] {
            assert_eq!(redirected(from, "b").as_deref(), Some(to));
        }
    }

    #[test]
    fn names_of_files_are_encoded() {
        for (folder, name, url) in [
            (
                "http://host/a/",
                "dev-v1.1.json",
                "http://host/a/dev-v1.1.json",
            ),
            (
                "http://host",
                "my file ü.json",
                "http://host/my%20file%20%C3%BC.json",
            ),
            ("http://host", "50%?#.json", "http://host/50%25%3F%23.json"),
        ] {
            assert_eq!(url_in_folder(folder, name), url);
        }
    }
}
