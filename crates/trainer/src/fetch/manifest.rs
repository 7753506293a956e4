//! The list of files that can be fetched: URLs, sizes, SHA-256.

use std::path::Path;

use serde::Deserialize;

use crate::Error;

/// The datasets that can be fetched, `manifest.toml` as a value.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// URLs of folders that hold copies under the same names, asked after a file's own URL.
    #[serde(default)]
    pub mirrors: Vec<String>,
    /// The files.
    #[serde(rename = "file")]
    pub files: Vec<DatasetFile>,
}

/// One file of a dataset.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetFile {
    /// The dataset that it belongs to.
    pub dataset: String,
    /// Its name, a plain file name.
    pub name: String,
    /// Its own URL.
    pub url: String,
    /// Its licence, as SPDX names it.
    pub licence: String,
    /// Its length in bytes.
    pub size: u64,
    /// SHA-256 of its bytes, in lower-case hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// The official SQuAD files; the manifest is compiled in.
    ///
    /// ```
    /// let names: Vec<_> = trainer::Manifest::official().files.into_iter().map(|file| file.name).collect();
    /// assert!(names.contains(&"dev-v1.1.json".to_owned()));
    /// ```
    pub fn official() -> Self {
        let text = include_str!("manifest.toml");
        Self::parse(Path::new("manifest.toml"), text)
            .expect("a test reads the manifest that is compiled in")
    }

    /// Reads a manifest from a file.
    ///
    /// # Errors
    /// If the file cannot be read, is no manifest, or has an entry that cannot be fetched.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = atomic_fs::read_text(path)?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let manifest: Self = toml::from_str(text).map_err(|e| Error::toml(path, text, &e))?;
        for mirror in &manifest.mirrors {
            download::check_url(mirror).map_err(|e| Error::file(path, e))?;
        }
        for file in &manifest.files {
            file.check().map_err(|message| Error::file(path, message))?;
        }
        Ok(manifest)
    }

    /// The files of a dataset, or the one file of that name.
    ///
    /// # Errors
    /// If there is neither; the message lists all names.
    pub fn find(&self, name: &str) -> Result<Vec<&DatasetFile>, Error> {
        let called = |file: &&DatasetFile| file.dataset == name || file.name == name;
        let found: Vec<_> = self.files.iter().filter(called).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let mut known: Vec<&str> = self.files.iter().map(|file| &*file.dataset).collect();
        known.dedup();
        known.extend(self.files.iter().map(|file| &*file.name));
        let known = known.join(", ");
        Err(Error::config(format!(
            "no dataset is called {name} (known: {known})"
        )))
    }
}

impl DatasetFile {
    /// Checks that the entry can be fetched, and that its file lands in the folder asked for.
    fn check(&self) -> Result<(), String> {
        let name = &self.name;
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', ':']) {
            return Err(format!("name = {name:?} is not a plain file name"));
        }
        let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if self.sha256.len() != 64 || !self.sha256.chars().all(is_hex) {
            return Err(format!(
                "{name}: sha256 is not 64 lower-case hexadecimal digits"
            ));
        }
        if self.size == 0 {
            return Err(format!("{name}: size = 0"));
        }
        download::check_url(&self.url).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_compiled_in_has_two_files_of_each_version() {
        let manifest = Manifest::official();
        for (dataset, train, dev) in [
            ("squad1", "train-v1.1.json", "dev-v1.1.json"),
            ("squad2", "train-v2.0.json", "dev-v2.0.json"),
        ] {
            let names: Vec<_> = manifest
                .find(dataset)
                .unwrap()
                .iter()
                .map(|file| &*file.name)
                .collect();
            assert_eq!(names, [train, dev]);
            assert_eq!(manifest.find(dev).unwrap()[0].dataset, dataset);
        }
        let error = manifest.find("squad3").unwrap_err().to_string();
        assert!(
            error.contains("squad3") && error.contains("squad1, squad2, train-v1.1.json"),
            "{error}"
        );
    }

    #[test]
    fn an_entry_that_cannot_be_fetched_is_an_error_that_names_the_manifest() {
        let entry = |change: &[(&str, &str)]| {
            let mut text =
                "[[file]]\ndataset = \"d\"\nname = \"a.json\"\nurl = \"http://h/a.json\"\n\
                            licence = \"MIT\"\nsize = 3\nsha256 = \"X\"\n"
                    .replace('X', &"0f".repeat(32));
            for (from, to) in change {
                assert!(text.contains(from), "{from}");
                text = text.replace(from, to);
            }
            Manifest::parse(Path::new("m.toml"), &text)
        };
        assert_eq!(entry(&[]).unwrap().files.len(), 1);
        for (from, to, part) in [
            ("a.json\"\nurl", "../a\"\nurl", "plain file name"),
            ("a.json\"\nurl", ".a\"\nurl", "plain file name"),
            ("0f0f", "0F0F", "sha256"),
            ("0f0f", "0f", "sha256"),
            ("size = 3", "size = 0", "size"),
            ("size = 3", "size = -3", "line 6"),
            ("size = 3", "length = 3", "line 6"),
            ("http://h", "ftp://h", "http://"),
            ("http://h", "http:///h", "http://"),
            ("[[file]]", "mirrors = [\"/here\"]\n[[file]]", "\"/here\""),
        ] {
            let error = entry(&[(from, to)]).unwrap_err().to_string();
            assert!(
                error.starts_with("m.toml: ") && error.contains(part),
                "{error}"
            );
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}
