use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

/// Why a weights file cannot be read, by what it begins with: the usual accidents by name, else
/// `error`, the reader's own words. One line that ends with what to do.
pub(crate) fn explain(path: &Path, error: &str) -> String {
    let is_safetensors = path
        .extension()
        .is_some_and(|extension| extension == "safetensors");
    let (start, length) = match beginning(path) {
        Ok(read) => read,
        Err(error) => return format!("cannot be read: {error}"),
    };
    if let Some(what) = accident(&start, length, is_safetensors) {
        return what;
    }
    if is_safetensors && let Some(what) = header_fault(&start, length) {
        return what;
    }
    let error = error.lines().next().unwrap_or_default();
    let error: String = error.chars().take(200).collect();
    format!("damaged, cut off, or of another kind ({error}): fetch it again")
}

/// A header of 100 million bytes is the most that safetensors allows; no real one comes near this.
const MOST_READ: u64 = 16 << 20;

fn beginning(path: &Path) -> std::io::Result<(Vec<u8>, u64)> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut start = Vec::new();
    file.take(MOST_READ).read_to_end(&mut start)?;
    Ok((start, length))
}

fn accident(start: &[u8], length: u64, is_safetensors: bool) -> Option<String> {
    let text: String = start
        .iter()
        .take(200)
        .map(|&byte| char::from(byte).to_ascii_lowercase())
        .collect();
    let text = text.trim_start();
    let like_safetensors = start.get(8) == Some(&b'{') && start[3..8] == [0; 5];
    if length == 0 {
        Some("empty: fetch it again".into())
    } else if text.starts_with("version https://git-lfs") {
        Some(
            "a Git LFS pointer, not the weights: run `git lfs pull` in the model's folder, or fetch the file itself"
                .into(),
        )
    } else if ["<!doctype", "<html", "<?xml"]
        .iter()
        .any(|tag| text.starts_with(tag))
    {
        Some("a web page, not weights: the download went wrong; fetch the file itself".into())
    } else if text.starts_with('{') {
        Some("JSON text, not weights: the download went wrong; fetch the file itself".into())
    } else if is_safetensors && (start.starts_with(b"PK\x03\x04") || start.starts_with(b"\x80\x02"))
    {
        Some("a PyTorch file under a safetensors name: call it pytorch_model.bin".into())
    } else if !is_safetensors && like_safetensors {
        Some("a safetensors file under a PyTorch name: call it model.safetensors".into())
    } else {
        None
    }
}

/// What the header of a safetensors file says against the file, as far as it can be read.
fn header_fault(start: &[u8], length: u64) -> Option<String> {
    let header_length = u64::from_le_bytes(*start.first_chunk::<8>()?);
    let data = 8 + u128::from(header_length);
    let cut_off = |described: u128| {
        let what = "cut off or damaged: it has";
        format!("{what} {length} bytes, its header describes {described}; fetch it again")
    };
    if data > u128::from(length) {
        return Some(cut_off(data));
    }
    let header = start.get(8..usize::try_from(data).ok()?)?;
    let header: Map<String, Value> = serde_json::from_slice(header).ok()?;
    let ends = header.values();
    let ends = ends.filter_map(|tensor| tensor["data_offsets"][1].as_u64());
    let described = data + u128::from(ends.max().unwrap_or(0));
    if described > u128::from(length) {
        return Some(cut_off(described));
    }
    header.iter().find_map(|(name, tensor)| {
        let dtype = tensor["dtype"].as_str().filter(|dtype| !READ.contains(dtype))?;
        Some(format!(
            "tensor \"{name}\" holds {dtype}, which is not read here: weights are f32, f16, bf16 or f64"
        ))
    })
}

/// What Burn's reader knows.
const READ: [&str; 12] = [
    "F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U8", "BOOL",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accidents_are_told_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes, said) in [
            ("a.safetensors", &b""[..], "empty"),
            (
                "a.bin",
                b"version https://git-lfs.github.com/spec/v1\n",
                "git lfs pull",
            ),
            (
                "a.safetensors",
                b"version https://git-lfs.github.com/spec/v1\n",
                "git lfs pull",
            ),
            ("a.bin", b"\n<!DOCTYPE html><html>", "a web page"),
            ("a.bin", b"{\"error\": \"not found\"}", "JSON text"),
            ("a.safetensors", b"PK\x03\x04....", "pytorch_model.bin"),
            (
                "a.bin",
                b"\x10\0\0\0\0\0\0\0{\"a\":{}}        ",
                "model.safetensors",
            ),
            (
                "a.safetensors",
                b"\xff\xff\xff\xff\xff\xff\xff\xff{}",
                "cut off",
            ),
            (
                "a.safetensors",
                b"\x1c\0\0\0\0\0\0\0{\"a\":{\"data_offsets\":[0,9]}}12345678",
                "44 bytes, its header describes 45",
            ),
            (
                "a.safetensors",
                b"\x2e\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F4\",\"data_offsets\":[0,1]}}     1",
                "tensor \"a\" holds F4",
            ),
            ("a.bin", b"PK\x03\x04....", "another kind (why): fetch"),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let explained = explain(&path, "why\nand more");
            assert!(
                explained.contains(said) && !explained.contains('\n'),
                "{explained}"
            );
        }
    }
}
