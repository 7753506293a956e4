//! What a run leaves: compared bit by bit, without times.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// The content of each file that counts; `None` for a file of which only the name counts.
#[derive(Default)]
pub(super) struct RunFiles(BTreeMap<String, Option<Vec<u8>>>);

/// The name of the newest complete checkpoint.
pub(super) fn newest_checkpoint(run: &Path) -> Option<String> {
    let entries = std::fs::read_dir(run.join(run_log::CHECKPOINTS_DIR)).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with("step-")).max()
}

fn walk(
    folder: &Path,
    prefix: &str,
    files: &mut BTreeMap<String, Option<Vec<u8>>>,
) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if name == run_log::TENSORBOARD_DIR {
            // Each process writes a file of its own.
            continue;
        }
        if entry.path().is_dir() {
            walk(&entry.path(), &format!("{name}/"), files)?;
        } else {
            let content = match &*name {
                run_log::METRICS_LOG => Some(without_times(&std::fs::read(entry.path())?)),
                // They hold times, paths and the date.
                run_log::METRICS | run_log::CONFIG | run_log::REPORT => None,
                name if name.ends_with("state.json") || name.ends_with("README.md") => None,
                _ => Some(std::fs::read(entry.path())?),
            };
            files.insert(name, content);
        }
    }
    Ok(())
}

/// The lines of `metrics.jsonl` without what depends on the clock or on the process.
fn without_times(text: &[u8]) -> Vec<u8> {
    let mut kept = String::new();
    for line in String::from_utf8_lossy(text).lines() {
        match serde_json::from_str::<Value>(line) {
            Ok(Value::Object(mut record)) => {
                record.retain(|key, _| !key.ends_with("per_second") && !key.ends_with("_seconds"));
                kept.push_str(&Value::Object(record).to_string());
            }
            _ => kept.push_str(line),
        }
        kept.push('\n');
    }
    kept.into_bytes()
}

impl RunFiles {
    pub(super) fn read(run: &Path) -> Result<Self, String> {
        let mut files = BTreeMap::new();
        walk(run, "", &mut files).map_err(|e| format!("{}: {e}", run.display()))?;
        Ok(Self(files))
    }

    pub(super) fn compare(&self, other: &Self) -> Result<(), String> {
        let missing = self.0.keys().find(|name| !other.0.contains_key(*name));
        if let Some(name) = missing {
            return Err(format!("{name} is missing"));
        }
        for (name, content) in &other.0 {
            match self.0.get(name) {
                None => return Err(format!("{name} was left over")),
                Some(expected) if expected != content => return Err(format!("{name} differs")),
                Some(_) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_a_missing_and_an_additional_file_are_seen() {
        let folder = |files: &[(&str, &str)]| {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in files {
                std::fs::write(folder.path().join(name), text).unwrap();
            }
            RunFiles::read(folder.path()).unwrap()
        };
        let line = |seconds: u32| format!("{{\"step\":1,\"train/step_seconds\":{seconds}}}");
        let whole = folder(&[("a", "1"), ("metrics.jsonl", &line(1))]);
        assert_eq!(
            whole.compare(&folder(&[("a", "1"), ("metrics.jsonl", &line(2))])),
            Ok(())
        );
        for other in [
            &[("a", "2"), ("metrics.jsonl", &*line(1))][..],
            &[("a", "1")],
            &[("a", "1"), ("b", ""), ("metrics.jsonl", &line(1))],
            &[("a", "1"), ("metrics.jsonl", "{\"step\":2}")],
        ] {
            assert!(whole.compare(&folder(other)).is_err(), "{other:?}");
        }
    }
}
