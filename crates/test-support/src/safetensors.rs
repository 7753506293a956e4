use serde_json::{Map, Value, json};

/// A safetensors file of `f32` tensors, each with its name, shape and values: the length of the header, the header in JSON,
/// the values.
pub fn safetensors_file(
    tensors: impl IntoIterator<Item = (String, Vec<usize>, Vec<f32>)>,
) -> Vec<u8> {
    let (mut header, mut bytes) = (Map::new(), Vec::new());
    for (name, shape, values) in tensors {
        let start = bytes.len();
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let offsets = [start, bytes.len()];
        let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": offsets});
        header.insert(name, entry);
    }
    let mut header = Value::Object(header).to_string();
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes(), &bytes].concat()
}
