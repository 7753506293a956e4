//! What loading reports and initializes.

use bert_qa::Pretrained;

use crate::common::{
    Tensors, Value, batch, by_name, copy_of, cpu, edit, fixture, largest_difference, logits,
    read_tensors, rename_tensor, rewrite_weights, tiny,
};
use crate::parity::Expected;

const HEAD: [&str; 2] = ["qa_outputs.bias", "qa_outputs.weight"];

fn encoder(seed: u64) -> Pretrained {
    Pretrained::load(&fixture("tiny-bert-encoder"), seed, &cpu()).unwrap()
}

fn split(parameters: Tensors) -> (Tensors, Tensors) {
    parameters
        .into_iter()
        .partition(|(name, _)| HEAD.contains(&name.as_str()))
}

#[test]
fn a_complete_file_loads_without_remainder() {
    let file = read_tensors(&fixture("tiny-bert/model.safetensors"));
    let Pretrained { model, report, .. } = tiny();
    assert!(report.loaded.iter().eq(file.keys()), "{:?}", report.loaded);
    assert_eq!(
        (report.missing.as_slice(), report.unexpected.as_slice()),
        (&[][..], &[][..])
    );
    assert_eq!(by_name(&model, Value), file);
}

#[test]
fn an_encoder_lacks_the_head_and_has_a_pooler() {
    let whole = read_tensors(&fixture("tiny-bert/model.safetensors"));
    let report = encoder(0).report;
    let expected: Vec<_> = whole
        .keys()
        .filter(|name| !HEAD.contains(&name.as_str()))
        .cloned()
        .collect();
    assert_eq!(report.loaded, expected);
    assert_eq!(report.missing, HEAD);
    assert_eq!(
        report.unexpected,
        ["bert.pooler.dense.bias", "bert.pooler.dense.weight"]
    );
    assert_eq!(
        report.to_string(),
        "loaded 37 tensors from model.safetensors; newly initialized: qa_outputs.bias, qa_outputs.weight; \
         not used: bert.pooler.dense.bias, bert.pooler.dense.weight"
    );
}

#[test]
fn the_seed_changes_only_the_head() {
    let parameters = |seed| split(by_name(&encoder(seed).model, Value));
    let (head, loaded) = parameters(1);
    let (_, whole) = split(by_name(&tiny().model, Value));
    assert_eq!(loaded, whole);
    assert_eq!(parameters(1), (head.clone(), loaded.clone()));
    let (other, same) = parameters(2);
    assert_eq!(same, loaded);
    assert_ne!(other["qa_outputs.weight"], head["qa_outputs.weight"]);
    assert_eq!(other["qa_outputs.bias"], [0.0, 0.0]);
}

/// Old versions of transformers saved this buffer with the weights.
#[test]
fn the_buffer_of_positions_is_not_reported() {
    let folder = copy_of("tiny-bert-encoder");
    let file = folder.path().join("model.safetensors");
    rename_tensor(&file, "pooler.dense.bias", "embeddings.position_ids");
    let report = Pretrained::load(folder.path(), 0, &cpu()).unwrap().report;
    assert_eq!(report.unexpected, ["bert.pooler.dense.weight"]);
}

/// Parameters are `f32`, whatever the file's type.
#[test]
fn half_precision_weights_become_f32() {
    let folder = copy_of("tiny-bert");
    edit(
        &folder.path().join("config.json"),
        "\"dtype\": \"float32\"",
        "\"dtype\": \"bfloat16\"",
    );
    rewrite_weights(&folder.path().join("model.safetensors"), |header, data| {
        for (_, tensor) in header
            .iter_mut()
            .filter(|(name, _)| *name != "__metadata__")
        {
            tensor["dtype"] = "BF16".into();
            for offset in tensor["data_offsets"].as_array_mut().unwrap() {
                *offset = (offset.as_u64().unwrap() / 2).into();
            }
        }
        // A bfloat16 is the upper half of a float32.
        *data = data
            .chunks(4)
            .flat_map(|bytes| [bytes[2], bytes[3]])
            .collect();
    });
    let half = Pretrained::load(folder.path(), 0, &cpu()).unwrap();
    let batch = batch(&Expected::read().windows());
    let logits = |model| logits(model, &batch, None);
    let difference = largest_difference(&logits(&half.model), &logits(&tiny().model));
    // A bfloat16 keeps 8 bits: a weight changes by up to 1/128 of itself, and logits of 1 to 10 by about as much. Far
    // below that, nothing would have been cut off.
    assert!(difference < 0.1 && difference > 1e-3, "{difference}");
    // What is saved is single precision, and says so: transformers loads a model as its configuration says.
    let saved = folder.path().join("saved");
    half.assets.save(&half.model, &saved).unwrap();
    assert!(
        std::fs::read_to_string(saved.join("config.json"))
            .unwrap()
            .contains("\"float32\"")
    );
    assert_eq!(
        read_tensors(&saved.join("model.safetensors")),
        by_name(&half.model, Value)
    );
}
