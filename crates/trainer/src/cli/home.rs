//! `~` in paths. A shell replaces it where it begins a word, and not behind the `=` of `--run-dir=~/runs` or
//! `train.files=~/train.json`; a folder called `~` is in nobody's mind.

use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, StringValueParser, TypedValueParser};
use trainer::Config;

/// For arguments that are paths.
pub(super) fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().map(|path| expand(&path))
}

/// For arguments that name a model: a path among others.
pub(super) fn model() -> impl TypedValueParser<Value = String> {
    StringValueParser::new().map(|name| expand_text(&name))
}

/// In the paths of a configuration.
pub(super) fn expand_in(config: &mut Config) {
    config.model.source = expand_text(&config.model.source);
    let files = config.train.files.iter_mut().chain([&mut config.eval.file]);
    files.for_each(|file| *file = expand(file));
}

fn expand_text(text: &str) -> String {
    let path = expand(text.as_ref()).into_os_string();
    path.into_string().unwrap_or_else(|_| text.to_owned())
}

fn expand(path: &Path) -> PathBuf {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_is_the_home_folder_at_the_beginning_alone() {
        let home = std::env::home_dir().unwrap();
        assert_eq!(expand("~/runs/a".as_ref()), home.join("runs/a"));
        assert_eq!(expand("~".as_ref()), home);
        for other in ["", "a/~/b", "./~/a", "~user/a", "a~", "owner/name"] {
            assert_eq!(expand(other.as_ref()), Path::new(other));
        }
        assert_eq!(expand_text("owner/name@main"), "owner/name@main");
    }
}
