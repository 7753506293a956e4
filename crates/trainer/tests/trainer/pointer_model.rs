//! A model whose answers are known: it begins them at one word and ends them at another.

use std::path::Path;

use serde_json::Value;

use test_support::{TinyModel, safetensors_file};

/// The word that an answer begins with.
pub(crate) const START: &str = "quagga";
/// The word that it ends with.
pub(crate) const END: &str = "zanzibar";

const WIDTH: usize = 32;

/// Every token has the score 0 but the two words, 4 as a start or an end, and `[CLS]`, 2.83 as both.
/// So the span from the one word to the other beats "no answer" by 2.34, and any other loses by
/// 1.66 or more.
pub(crate) fn write(folder: &Path) {
    TinyModel::default()
        .write(folder, &format!("{START} {END}"))
        .unwrap();
    let read = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
    };
    let vocabulary = read("tokenizer.json")["model"]["vocab"]
        .as_object()
        .unwrap()
        .clone();
    let positions = read("config.json")["max_position_embeddings"]
        .as_u64()
        .unwrap() as usize;
    // LayerNorm makes any row of one 1 and one -1 a row of one 4 and one -4: the mean stays 0, the
    // variance becomes 1. Every other weight is 0, so that layers add nothing.
    let mut rows = vec![0.0_f32; vocabulary.len() * WIDTH];
    for (token, id) in &vocabulary {
        let row = &mut rows[id.as_u64().unwrap() as usize * WIDTH..][..WIDTH];
        let ones: &[usize] = match token.as_str() {
            START => &[2],
            END => &[4],
            "[CLS]" => &[2, 4],
            _ => &[0],
        };
        for &one in ones {
            (row[one], row[one + 1]) = (1.0, -1.0);
        }
    }
    let mut outputs = vec![0.0; 2 * WIDTH];
    (outputs[2], outputs[WIDTH + 4]) = (1.0, 1.0);
    let mut tensors = vec![
        ("qa_outputs.weight".to_owned(), vec![2, WIDTH], outputs),
        ("qa_outputs.bias".to_owned(), vec![2], vec![0.0; 2]),
    ];
    let embedding = |name: &str| format!("bert.embeddings.{name}_embeddings.weight");
    tensors.push((embedding("word"), vec![vocabulary.len(), WIDTH], rows));
    for (name, count) in [("position", positions), ("token_type", 2)] {
        tensors.push((
            embedding(name),
            vec![count, WIDTH],
            vec![0.0; count * WIDTH],
        ));
    }
    let layer = "bert.encoder.layer.0";
    for (name, output, input) in [
        ("attention.self.query", WIDTH, WIDTH),
        ("attention.self.key", WIDTH, WIDTH),
        ("attention.self.value", WIDTH, WIDTH),
        ("attention.output.dense", WIDTH, WIDTH),
        ("intermediate.dense", 2 * WIDTH, WIDTH),
        ("output.dense", WIDTH, 2 * WIDTH),
    ] {
        let zeros = vec![0.0; output * input];
        tensors.push((format!("{layer}.{name}.weight"), vec![output, input], zeros));
        tensors.push((
            format!("{layer}.{name}.bias"),
            vec![output],
            vec![0.0; output],
        ));
    }
    let norms = ["bert.embeddings.LayerNorm".to_owned()]
        .into_iter()
        .chain(["attention.output", "output"].map(|part| format!("{layer}.{part}.LayerNorm")));
    for norm in norms {
        tensors.push((format!("{norm}.weight"), vec![WIDTH], vec![1.0; WIDTH]));
        tensors.push((format!("{norm}.bias"), vec![WIDTH], vec![0.0; WIDTH]));
    }
    std::fs::write(folder.join("model.safetensors"), safetensors_file(tensors)).unwrap();
}
