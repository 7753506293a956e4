use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::{Error, Record};

/// The records of a `metrics.jsonl`, read one line at a time.
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    file: BufReader<File>,
    line: usize,
}

/// Opens a `metrics.jsonl`.
///
/// # Errors
/// If the file cannot be opened.
pub fn read_records(path: &Path) -> Result<Records, Error> {
    let file = File::open(path).map_err(|source| Error::Io {
        path: path.into(),
        source,
    })?;
    Ok(Records {
        path: path.into(),
        file: BufReader::new(file),
        line: 0,
    })
}

/// A damaged line is an error, after which the next line can be read. A last line without a line
/// break that is not JSON is skipped: a process that writes, or was killed, leaves half a line.
impl Iterator for Records {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut text = Vec::new();
        match self.file.read_until(b'\n', &mut text) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(source) => {
                return Some(Err(Error::Io {
                    path: self.path.clone(),
                    source,
                }));
            }
        }
        self.line += 1;
        // Editors of some systems put a byte order mark at the beginning.
        let json = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
        // Else an error in a string that is cut off would be on a second line.
        let json = json.trim_ascii_end();
        match serde_json::from_slice(json) {
            Ok(record) => Some(Ok(record)),
            Err(_) if !text.ends_with(b"\n") => None,
            Err(error) => {
                // serde_json counts lines within this one.
                let message = error.to_string().replace(" at line 1 column", " at column");
                Some(Err(Error::Line {
                    path: self.path.clone(),
                    line: self.line,
                    message,
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<u32, String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        std::fs::write(&path, text).unwrap();
        let records = read_records(&path).unwrap();
        records
            .map(|record| record.map(|r| r.step).map_err(|e| e.to_string()))
            .collect()
    }

    #[test]
    fn half_a_last_line_is_skipped() {
        assert_eq!(read("{\"step\":1}\n{\"step\":2}\n{\"ste"), [Ok(1), Ok(2)]);
        assert_eq!(read("{\"step\":1}\n{\"step\":2}"), [Ok(1), Ok(2)]);
        assert_eq!(read(""), []);
    }

    #[test]
    fn errors_name_file_line_and_cause() {
        for (line, cause) in [
            ("{", "EOF"),
            (
                r#"{"step": 1, "tra"#,
                "EOF while parsing a string at column",
            ),
            ("[1]", "invalid type: sequence"),
            ("", "EOF"),
            ("{}", "missing field `step`"),
            (r#"{"step": -1}"#, "invalid value: integer `-1`"),
            (r#"{"step": 1, "train/loss": "x"}"#, "invalid type: string"),
        ] {
            let records = read(&format!("{{\"step\":1}}\n{line}\n{{\"step\":3}}\n"));
            assert_eq!((&records[0], &records[2]), (&Ok(1), &Ok(3)), "{line}");
            let error = records[1].as_ref().unwrap_err();
            assert!(error.contains("metrics.jsonl: line 2: "), "{error}");
            assert!(error.contains(cause), "{line}: {error}");
        }
    }

    #[test]
    fn a_missing_file_is_an_error_with_its_path() {
        let error = read_records(Path::new("none/metrics.jsonl"))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("none/metrics.jsonl: "), "{error}");
    }
}
