use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use burn::store::bridge;
use burn::store::burn_pack::{Error as PackError, Tensor};
use burn::tensor::{BoolStore, DType, Shape, TensorData};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

/// The longest header that the format allows.
const MAX_HEADER: u64 = 100_000_000;

/// The tensors of a safetensors file. Reads the header only: a tensor's values are read when they
/// are used.
///
/// The file is not mapped into memory: the system kills a process that reads a mapped file beyond
/// its end, and a file can become shorter while it is read.
pub(super) fn tensors(path: &Path) -> Result<Vec<Tensor>, String> {
    let mut file = File::open(path).map_err(|e| e.to_string())?;
    let length = file.metadata().map_err(|e| e.to_string())?.len();
    let mut start = [0; 8];
    file.read_exact(&mut start).map_err(|e| e.to_string())?;
    let header_length = u64::from_le_bytes(start);
    let data = 8 + u128::from(header_length);
    if header_length > MAX_HEADER || data > length.into() {
        return Err(format!("its header has {header_length} bytes"));
    }
    let mut header = vec![0; header_length as usize];
    file.read_exact(&mut header).map_err(|e| e.to_string())?;
    // Checks shapes, types and offsets against each other.
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|e| e.to_string())?;
    let described = data + metadata.data_len() as u128;
    if described != length.into() {
        return Err(format!(
            "it has {length} bytes, its header describes {described}"
        ));
    }
    let file = Arc::new(Mutex::new(file));
    let tensors = metadata.tensors().into_iter();
    tensors
        .map(|(name, info)| deferred(name, info, 8 + header_length, &file))
        .collect()
}

fn deferred(
    name: String,
    info: &TensorInfo,
    data: u64,
    file: &Arc<Mutex<File>>,
) -> Result<Tensor, String> {
    let (begin, end) = info.data_offsets;
    let (offset, length) = (data + begin as u64, end - begin);
    let dtype = dtype(info.dtype).ok_or_else(|| format!("tensor of type {:?}", info.dtype))?;
    let shape = Shape::from(info.shape.clone());
    let (file, declared) = (Arc::clone(file), shape.clone());
    Ok(bridge::deferred(name, dtype, shape, None, move || {
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = vec![0; length];
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|e| PackError::IoError(e.to_string()))?;
        Ok(TensorData::from_bytes_vec(bytes, declared.clone(), dtype))
    }))
}

fn dtype(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U64 => DType::U64,
        Dtype::U32 => DType::U32,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool(BoolStore::Native),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One `f32` tensor of this many numbers, and room for its header.
    fn write(path: &Path, numbers: usize) {
        let bytes = 4 * numbers;
        let header = format!(
            "{{\"a\":{{\"dtype\":\"F32\",\"shape\":[{numbers}],\"data_offsets\":[0,{bytes}]}}}}"
        );
        let length = (header.len() as u64).to_le_bytes();
        let all = [&length, header.as_bytes(), &vec![0; bytes]].concat();
        std::fs::write(path, all).unwrap();
    }

    #[test]
    fn a_file_that_becomes_shorter_is_an_error() {
        let folder = test_support::temp_dir();
        let path = folder.path().join("model.safetensors");
        write(&path, 1 << 16);
        let found = tensors(&path).unwrap();
        let data = bridge::to_data(&found[0]).unwrap();
        assert_eq!(data.shape().to_vec(), [1 << 16]);
        // With a mapped file the system would kill this process here.
        File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_len(200))
            .unwrap();
        let error = bridge::to_data(&found[0]).unwrap_err().to_string();
        assert!(error.contains("fill whole buffer"), "{error}");
        let error = tensors(&path).unwrap_err();
        assert!(error.contains("200 bytes, its header describes"), "{error}");
    }
}
