use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};
use squad_data::instead_of_file;

/// Explains why a weights file cannot be read, and what to do, in one line. Recognizes common
/// mistakes by the file's first bytes; otherwise quotes the reader's `error`.
pub(super) fn explain(path: &Path, error: &str) -> String {
    let is_safetensors = is_safetensors(path);
    let (start, length) = match beginning(path) {
        Ok(read) => read,
        Err(error) => return format!("cannot be read: {error}"),
    };
    if let Some(problem) = wrong_kind(&start, is_safetensors) {
        return problem.into();
    }
    if is_safetensors && let Some(problem) = header_problem(&start, length) {
        return problem;
    }
    // `torch.QInt8Storage` and its like.
    if error.contains("'torch.Q") {
        return "quantized weights, which are not supported: take the model's full-precision version".into();
    }
    let is_other = OTHER_OBJECTS.iter().any(|words| error.contains(words));
    let error = error.lines().next().unwrap_or_default();
    let error: String = error.chars().take(200).collect();
    if is_other {
        return format!(
            "damaged, or holds more than named tensors ({error}): download it again, or load it in PyTorch and save its \
             weights with torch.save(model.state_dict(), FILE)"
        );
    }
    format!("damaged, truncated, or not a weights file ({error}): download it again")
}

/// Whether a weights file is safetensors, by its name; else it is PyTorch's.
pub(super) fn is_safetensors(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "safetensors")
}

/// What Burn's reader says of a pickle with objects that it does not know: containers such as `deque` or `defaultdict`
/// with items, keys that are neither text nor numbers, TorchScript, quantized tensors, and whole modules in the old
/// format, whose storages have four fields.
const OTHER_OBJECTS: [&str; 7] = [
    "unexpected pickle opcode",
    "dict key must be",
    "unsupported Python type",
    "Expected a dictionary at the root",
    "persistent id has 4 fields",
    // Pickle's protocol 0.
    "persistent id must be a tuple",
    // Tensors that pickle wrote, and not torch.save.
    "expected a storage",
];

/// Enough for any real header, although safetensors allows 100 million bytes.
const MAX_READ: u64 = 16 << 20;

fn beginning(path: &Path) -> std::io::Result<(Vec<u8>, u64)> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut start = Vec::new();
    file.take(MAX_READ).read_to_end(&mut start)?;
    Ok((start, length))
}

/// Names a file that is empty or of another kind than its extension says.
fn wrong_kind(start: &[u8], is_safetensors: bool) -> Option<&'static str> {
    // Its first bytes, the header's length, may look like the beginning of a text.
    let like_safetensors = start.get(8) == Some(&b'{') && start[3..8] == [0; 5];
    if let Some(problem) = instead_of_file(start).filter(|_| !like_safetensors) {
        Some(problem)
    } else if start.trim_ascii_start().starts_with(b"{") && !like_safetensors {
        Some("JSON, not weights: download the file itself")
    } else if is_safetensors && (start.starts_with(b"PK\x03\x04") || start.starts_with(b"\x80\x02"))
    {
        Some("a PyTorch file with a safetensors name: rename it to pytorch_model.bin")
    } else if !is_safetensors && like_safetensors {
        Some("a safetensors file with a PyTorch name: rename it to model.safetensors")
    } else if start.get(257..).is_some_and(|at| at.starts_with(b"ustar")) {
        Some("a tar archive: unpack it")
    } else if start.starts_with(b"\x89HDF") {
        Some(
            "weights of TensorFlow or Keras (HDF5): convert them with transformers 4, from_tf=True",
        )
    } else if start.starts_with(b"GGUF") {
        Some("llama.cpp's GGUF, which is not read: take the model from which it was converted")
    } else {
        None
    }
}

/// The first problem in the header of a safetensors file: it describes more bytes than the file has, or
/// a tensor of an unsupported type.
fn header_problem(start: &[u8], length: u64) -> Option<String> {
    let header_length = u64::from_le_bytes(*start.first_chunk::<8>()?);
    let data = 8 + u128::from(header_length);
    let truncated = |described: u128| {
        format!(
            "truncated or damaged: it has {length} bytes, its header describes {described}; download it again"
        )
    };
    if data > u128::from(length) {
        return Some(truncated(data));
    }
    let header = start.get(8..usize::try_from(data).ok()?)?;
    let header: Map<String, Value> = serde_json::from_slice(header).ok()?;
    let ends = header.values();
    let ends = ends.filter_map(|tensor| tensor["data_offsets"][1].as_u64());
    let described = data + u128::from(ends.max().unwrap_or(0));
    if described > u128::from(length) {
        return Some(truncated(described));
    }
    let mut tensors = header.iter().filter(|(name, _)| *name != "__metadata__");
    tensors.find_map(|(name, tensor)| {
        let dtype = tensor["dtype"].as_str().filter(|dtype| !DTYPES.contains(dtype))?;
        Some(format!(
            "tensor \"{name}\" holds {dtype}, which is not supported: weights are f32, f16, bf16 or f64"
        ))
    })
}

/// Types that Burn's reader supports. The loader then refuses integers.
const DTYPES: [&str; 12] = [
    "F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U8", "BOOL",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_that_are_no_tensors_are_explained() {
        let folder = test_support::temp_dir();
        let path = folder.path().join("a.pt");
        std::fs::write(&path, b"PK\x03\x04....").unwrap();
        for error in [
            "pickle: unexpected pickle opcode SetItem in current context",
            "pickle: invalid data in pickle file: dict key must be a str or int, got tuple",
            "invalid PyTorch file format: Expected a dictionary at the root of the PyTorch file, found list",
        ] {
            let explained = explain(&path, error);
            assert!(explained.contains("state_dict()"), "{explained}");
            assert!(explained.contains(error), "{explained}");
        }
        let quantized = explain(
            &path,
            "pickle: unsupported Python type 'torch.QInt8Storage'.",
        );
        assert!(quantized.starts_with("quantized weights"), "{quantized}");
    }

    #[test]
    fn common_mistakes_are_explained() {
        let folder = test_support::temp_dir();
        for (name, bytes, expected) in [
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
            ("a.bin", b"{\"error\": \"not found\"}", "a server's message"),
            ("a.bin", b"{\"a\": 1}", "JSON, not weights"),
            ("a.bin", b"\x1f\x8b\x08", "unpack it"),
            ("a.bin", b"\x89HDF\r\n", "TensorFlow or Keras"),
            ("a.safetensors", b"PK\x03\x04....", "pytorch_model.bin"),
            (
                "a.bin",
                b"\x10\0\0\0\0\0\0\0{\"a\":{}}        ",
                "model.safetensors",
            ),
            (
                "a.safetensors",
                b"\xff\xff\xff\xff\xff\xff\xff\xff{}",
                "truncated",
            ),
            (
                "a.safetensors",
                b"\x1c\0\0\0\0\0\0\0{\"a\":{\"data_offsets\":[0,9]}}12345678",
                "44 bytes, its header describes 45",
            ),
            // The length 123 is a brace.
            (
                "a.safetensors",
                b"{\0\0\0\0\0\0\0{\"a\":",
                "13 bytes, its header describes 131",
            ),
            (
                "a.safetensors",
                b"\x2e\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F4\",\"data_offsets\":[0,1]}}     1",
                "tensor \"a\" holds F4",
            ),
            // Metadata is text of any kind.
            (
                "a.safetensors",
                b"\x2c\0\0\0\0\0\0\0{\"__metadata__\":{\"dtype\":\"int4\"},\"a\":{}}    ",
                "not a weights file (why): download",
            ),
            (
                "a.bin",
                b"PK\x03\x04....",
                "not a weights file (why): download",
            ),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let explained = explain(&path, "why\nand more");
            assert!(
                explained.contains(expected) && !explained.contains('\n'),
                "{explained}"
            );
        }
    }
}
