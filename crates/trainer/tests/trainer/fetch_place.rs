//! A folder to fetch a file into, and what must be there afterwards.

use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use trainer::{DatasetFile, FetchEvent, FetchOptions, fetch_file};

use crate::file_server::FileServer;

const SIZE: usize = 300_000;

/// No two stretches of it are the same.
pub(crate) fn content() -> Vec<u8> {
    (0..SIZE as u32 / 4)
        .flat_map(|number| number.wrapping_mul(0x9e37_79b9).to_le_bytes())
        .collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The folder, and the lines that were told.
pub(crate) struct Place {
    folder: TempDir,
    pub(crate) lines: Vec<String>,
    retries: u32,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            lines: Vec::new(),
            retries: 2,
        }
    }

    /// With what an earlier download left.
    pub(crate) fn with_part(part: &[u8]) -> Self {
        let place = Self::new();
        std::fs::write(place.path("file.bin.part"), part).unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    pub(crate) fn fetch(&mut self, server: &FileServer) -> Result<PathBuf, String> {
        self.fetch_with_mirrors(server, &[])
    }

    pub(crate) fn fetch_with_mirrors(
        &mut self,
        server: &FileServer,
        mirrors: &[&FileServer],
    ) -> Result<PathBuf, String> {
        let file = DatasetFile {
            dataset: "test".into(),
            name: "file.bin".into(),
            url: format!("{}/file.bin", server.address),
            licence: "MIT".into(),
            size: SIZE as u64,
            sha256: sha256(&content()),
        };
        let options = FetchOptions {
            mirrors: mirrors
                .iter()
                .map(|mirror| mirror.address.clone())
                .collect(),
            last_mirrors: Vec::new(),
            retries: self.retries,
            first_wait: Duration::from_millis(1),
            patience: Duration::from_millis(300),
        };
        let (target, was_there) = (self.path("file.bin"), self.path("file.bin").exists());
        let lines = &mut self.lines;
        let mut tell = |event: FetchEvent<'_>| match event {
            FetchEvent::Progress { .. } => assert!(was_there || !target.exists()),
            FetchEvent::Notice(line) => lines.push(line),
        };
        fetch_file(&file, self.folder.path(), &options, &mut tell).map_err(|e| e.to_string())
    }

    /// The file is whole under its name, and nothing else is there.
    pub(crate) fn assert_whole(&self, fetched: Result<PathBuf, String>) {
        assert_eq!(fetched.unwrap(), self.path("file.bin"));
        assert!(std::fs::read(self.path("file.bin")).unwrap() == content());
        assert_eq!(self.names(), ["file.bin"]);
        assert!(
            self.lines.iter().all(|line| !line.contains('\n')),
            "{:?}",
            self.lines
        );
    }

    /// One line that says `why` and what to do; nothing is left but a part of so many bytes.
    pub(crate) fn assert_failed(&self, fetched: Result<PathBuf, String>, why: &str, part: usize) {
        let message = fetched.unwrap_err();
        for text in [why, "file.bin", "mirror", &sha256(&content())] {
            assert!(message.contains(text), "{text} is not in {message}");
        }
        assert_eq!(message.lines().count(), 1, "{message}");
        match part {
            0 => assert!(self.names().is_empty(), "{:?}", self.names()),
            _ => {
                assert_eq!(self.names(), ["file.bin.part"]);
                let left = std::fs::read(self.path("file.bin.part")).unwrap();
                assert!(left == content()[..part], "{} bytes left", left.len());
            }
        }
    }
}
