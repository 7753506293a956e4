//! The answers so far, from which an interrupted run resumes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::Error;
use crate::artifacts::predictions::{
    Layout, PredictionFormat, PredictionRecord, PredictionWriter, write_predictions,
};

/// `OUT.partial`: the run's settings on its first line and a record on each other line.
pub(super) struct Journal {
    /// The files of answers.
    parts: Vec<(PathBuf, Layout)>,
    /// `OUT.partial`.
    path: PathBuf,
    file: File,
    /// Number of records.
    len: usize,
}

impl Journal {
    /// Opens `OUT.partial`. Keeps the records of an earlier run with the same settings, in multiples of `chunk`.
    pub(super) fn open(
        out: &Path,
        format: PredictionFormat,
        settings: &Value,
        chunk: usize,
    ) -> Result<Self, Error> {
        let path = partial(out);
        let failed = |error: io::Error| Error::file(&path, error);
        let parts = format.parts(out);
        if let Some((folder, _)) = parts.iter().find(|(file, _)| file.is_dir()) {
            return Err(Error::file(folder, "is a folder; --out names a file"));
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        // Some network file systems do not support locks.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(Error::file(&path, "another process is writing this file"));
        }
        let mut journal = Self {
            parts,
            path: path.clone(),
            file,
            len: 0,
        };
        journal.resume(settings, chunk)?;
        Ok(journal)
    }

    fn resume(&mut self, settings: &Value, chunk: usize) -> Result<(), Error> {
        let failed = |error: io::Error| Error::file(&self.path, error);
        let mut reader = BufReader::new(&self.file);
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).map_err(failed)?;
        let mut end = line.len() as u64;
        let before: Value = serde_json::from_slice(&line).unwrap_or_default();
        if before != *settings || !line.ends_with(b"\n") {
            if !is_first_line(&line, settings) {
                let message = "was not begun by this command: move it away, or give another --out";
                return Err(Error::file(&self.path, message));
            }
            if !reader.fill_buf().map_err(failed)?.is_empty() {
                return Err(Error::file(&self.path, other_settings(&before, settings)));
            }
            // Without answers there is nothing to lose.
            end = 0;
        }
        let mut kept = 0;
        let (mut count, mut position) = (0, end);
        while end > 0 {
            line.clear();
            reader.read_until(b'\n', &mut line).map_err(failed)?;
            if !line.ends_with(b"\n") {
                break;
            }
            // A power failure may damage any line.
            if serde_json::from_slice::<PredictionRecord>(&line).is_err() {
                break;
            }
            position += line.len() as u64;
            count += 1;
            if count % chunk == 0 {
                (kept, end) = (count, position);
            }
        }
        self.len = kept;
        self.file.set_len(end).map_err(failed)?;
        self.file.seek(SeekFrom::End(0)).map_err(failed)?;
        if end == 0 {
            writeln!(self.file, "{settings}").map_err(failed)?;
        }
        Ok(())
    }

    /// Number of records that are kept.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a chunk's records.
    pub(super) fn append(&mut self, records: &[PredictionRecord]) -> Result<(), Error> {
        let write = || -> io::Result<()> {
            let mut writer = PredictionWriter::new(Vec::new(), Layout::Lines, false);
            records.iter().try_for_each(|record| writer.write(record))?;
            let lines = writer.finish()?;
            (&self.file).write_all(&lines)
        };
        write().map_err(|error| Error::file(&self.path, error))?;
        self.len += records.len();
        Ok(())
    }

    /// Writes the files of answers and removes the journal.
    pub(super) fn finish(self, is_first_part: bool) -> Result<(), Error> {
        for (file, layout) in &self.parts {
            self.write(file, *layout, is_first_part)?;
        }
        std::fs::remove_file(&self.path).map_err(|error| Error::file(&self.path, error))
    }

    fn write(&self, path: &Path, layout: Layout, is_first_part: bool) -> Result<(), Error> {
        let read_failed = |error: io::Error| Error::file(&self.path, error);
        let journal = File::open(&self.path).map_err(read_failed)?;
        let lines = BufReader::new(journal).lines().skip(1);
        let records = lines.map(|line| Ok(serde_json::from_str(&line?)?));
        write_predictions(path, layout, is_first_part, records)
    }
}

/// Resumes from a journal whose records are `lines`; for the fuzz targets.
///
/// # Errors
/// If a record cannot be used.
#[doc(hidden)]
pub fn check_prediction_journal(out: &Path, lines: &[u8]) -> Result<(), Error> {
    let path = partial(out);
    let text = [b"null\n", lines].concat();
    std::fs::write(&path, text).map_err(|error| Error::file(&path, error))?;
    let journal = Journal::open(out, PredictionFormat::Squad, &Value::Null, 1)?;
    journal.finish(true)
}

/// `OUT.partial`.
fn partial(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Whether a line may be the first of a journal: the settings of some run, or the beginning of these if a kill cut it off.
/// That of a new file is empty.
fn is_first_line(line: &[u8], settings: &Value) -> bool {
    if !line.ends_with(b"\n") {
        return settings.to_string().as_bytes().starts_with(line);
    }
    let before: Option<Map<String, Value>> = serde_json::from_slice(line).ok();
    before
        .zip(settings.as_object())
        .is_some_and(|(before, now)| before.keys().eq(now.keys()))
}

/// Which settings differ.
fn other_settings(before: &Value, now: &Value) -> String {
    let mut names = Vec::new();
    for (key, value) in now.as_object().into_iter().flatten() {
        if before.get(key) != Some(value) {
            names.push(key.as_str());
        }
    }
    format!(
        "was begun with another {}: remove it, or give another --out",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_journal_without_answers_is_begun_again() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let settings = json!({"model": "a", "dataset": "b"});
        let first_line = format!("{settings}\n");
        let open = |text: &str| {
            std::fs::write(partial(&out), text).unwrap();
            let opened = Journal::open(&out, PredictionFormat::Jsonl, &settings, 1);
            let opened = opened.map(|journal| journal.len());
            let left = std::fs::read_to_string(partial(&out)).unwrap();
            (opened.map_err(|error| error.to_string()), left)
        };
        let other = first_line.replace("\"b\"", "\"c\"");
        for text in ["", &first_line[..5], &first_line, &other] {
            assert_eq!(open(text), (Ok(0), first_line.clone()), "{text}");
        }
        // A file of other answers, or of something else, stays as it is.
        let with_answer = other.clone() + "{}\n";
        for (text, part) in [
            (r#"{"data": []}"#, "was not begun by this command"),
            ("{\"data\": []}\n", "was not begun by this command"),
            ("one\ntwo\n", "was not begun by this command"),
            (with_answer.as_str(), "was begun with another dataset"),
        ] {
            let (opened, left) = open(text);
            let error = opened.unwrap_err();
            assert!(error.contains(part), "{error}");
            assert_eq!(left, text);
        }
    }
}
