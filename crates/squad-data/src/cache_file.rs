//! Windows as a safetensors file with a checksum over all its bytes.
//!
//! | tensor | type, shape | what |
//! |---|---|---|
//! | `windows` | u64 `[windows, 8]` | example, length, `context`, `max_context` and labels, each pair as two numbers |
//! | `input_ids` | u32 `[tokens]` | of all windows, one after the other |
//! | `offsets` | u32 `[context tokens, 2]` | of all windows, one after the other |
//!
//! The header's metadata hold the key and `sha256`: of the whole file, with zeros in place of these 64 digits.

use std::collections::HashMap;
use std::io::{Error, ErrorKind};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};

use crate::feature::Feature;

const COLUMNS: usize = 8;
const NO_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

pub(crate) fn encode(features: &[Feature], key: &str) -> std::io::Result<Vec<u8>> {
    let rows: Vec<u8> = features
        .iter()
        .flat_map(row)
        .flat_map(u64::to_le_bytes)
        .collect();
    let ids = features.iter().flat_map(|feature| &feature.input_ids);
    let ids: Vec<u8> = ids.flat_map(|id| id.to_le_bytes()).collect();
    let offsets = features.iter().flat_map(|feature| &feature.offsets);
    let offsets: Vec<u8> = offsets
        .flat_map(|&(start, end)| [start, end])
        .flat_map(u32::to_le_bytes)
        .collect();
    let tensors = [
        ("windows", Dtype::U64, vec![features.len(), COLUMNS], &rows),
        ("input_ids", Dtype::U32, vec![ids.len() / 4], &ids),
        ("offsets", Dtype::U32, vec![offsets.len() / 8, 2], &offsets),
    ];
    let wrong = |error| Error::new(ErrorKind::InvalidData, error);
    let mut views = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        views.push((name, TensorView::new(dtype, shape, bytes).map_err(wrong)?));
    }
    let metadata = [("key", key), ("sha256", NO_DIGEST)];
    let metadata = metadata.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut file = safetensors::serialize(views, Some(HashMap::from(metadata))).map_err(wrong)?;
    let digest = digest(&file, NO_DIGEST).ok_or(ErrorKind::InvalidData)?;
    file[digest.at..digest.at + NO_DIGEST.len()].copy_from_slice(digest.hex.as_bytes());
    Ok(file)
}

/// The windows in a file, or what is wrong with it. `num_examples` is how many questions they may belong to.
pub(crate) fn decode(file: &[u8], key: &str, num_examples: usize) -> Result<Vec<Feature>, String> {
    let damaged = || "it is damaged".to_owned();
    let tensors = SafeTensors::deserialize(file).map_err(|error| error.to_string())?;
    let (_, metadata) = SafeTensors::read_metadata(file).map_err(|error| error.to_string())?;
    let metadata = metadata.metadata().as_ref().ok_or_else(damaged)?;
    let written = metadata.get("sha256").ok_or_else(damaged)?;
    let digest = digest(file, written).ok_or_else(damaged)?;
    if *written != digest.hex {
        return Err("its checksum is not its content's".to_owned());
    }
    if metadata.get("key").is_none_or(|found| found != key) {
        return Err("it holds other windows".to_owned());
    }
    read(&tensors, num_examples).ok_or_else(damaged)
}

fn row(feature: &Feature) -> [u64; COLUMNS] {
    [
        feature.example,
        feature.len(),
        feature.context.start,
        feature.context.end,
        feature.max_context.start,
        feature.max_context.end,
        feature.start_position,
        feature.end_position,
    ]
    .map(|number| number as u64)
}

/// The tensors as windows, or `None` where they contradict each other.
fn read(tensors: &SafeTensors<'_>, num_examples: usize) -> Option<Vec<Feature>> {
    let data = |name, dtype| {
        let tensor = tensors.tensor(name).ok()?;
        (tensor.dtype() == dtype).then(|| tensor.data())
    };
    let mut ids = numbers(data("input_ids", Dtype::U32)?);
    let mut offsets = numbers(data("offsets", Dtype::U32)?);
    let rows = data("windows", Dtype::U64)?.chunks_exact(8 * COLUMNS);
    let mut features = Vec::with_capacity(rows.len());
    for row in rows {
        let mut columns = [0; COLUMNS];
        for (column, bytes) in columns.iter_mut().zip(row.chunks_exact(8)) {
            *column = usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()?;
        }
        let [
            example,
            length,
            from,
            to,
            max_from,
            max_to,
            start_position,
            end_position,
        ] = columns;
        let ordered = [from, max_from, max_to, to, length].is_sorted();
        if !ordered || example >= num_examples || start_position.max(end_position) >= length {
            return None;
        }
        let pairs: Vec<u32> = take(&mut offsets, 2 * (to - from))?;
        features.push(Feature {
            example,
            input_ids: take(&mut ids, length)?,
            context: from..to,
            max_context: max_from..max_to,
            offsets: pairs
                .chunks_exact(2)
                .map(|pair| (pair[0], pair[1]))
                .collect(),
            start_position,
            end_position,
        });
    }
    (ids.next().is_none() && offsets.next().is_none()).then_some(features)
}

fn numbers(bytes: &[u8]) -> impl ExactSizeIterator<Item = u32> {
    let number = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    bytes.chunks_exact(4).map(number)
}

fn take(numbers: &mut impl ExactSizeIterator<Item = u32>, count: usize) -> Option<Vec<u32>> {
    (count <= numbers.len()).then(|| numbers.take(count).collect())
}

struct FileDigest {
    /// The first byte of the digits in the file.
    at: usize,
    hex: String,
}

/// The digest of a file in which `written` stands for it; `None` where that is not in the file's header.
fn digest(file: &[u8], written: &str) -> Option<FileDigest> {
    let header = 8 + usize::try_from(u64::from_le_bytes(*file.first_chunk()?)).ok()?;
    if written.len() != NO_DIGEST.len() {
        return None;
    }
    let quoted = format!("\"sha256\":\"{written}\"");
    let quoted = quoted.as_bytes();
    let found = file
        .get(..header)?
        .windows(quoted.len())
        .position(|part| part == quoted)?;
    let at = found + "\"sha256\":\"".len();
    let mut hash = Sha256::new();
    hash.update(&file[..at]);
    hash.update(NO_DIGEST);
    hash.update(&file[at + NO_DIGEST.len()..]);
    let hex = hex(&hash.finalize());
    Some(FileDigest { at, hex })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
