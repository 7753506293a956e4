//! Checkpoints that other tools wrote, and configurations that lack what Hugging Face's have.

use std::path::PathBuf;

use bert_qa::{BertConfig, Pretrained};
use test_support::TempDir;

use crate::common::{
    Value, assert_says, by_name, copy_of, cpu, fixture, read_tensors, refusal, rename_tensor,
    rewrite_weights, tiny,
};
use crate::weight_files::with_bin;

fn prefixed(prefix: &str) -> TempDir {
    let folder = copy_of("tiny-bert");
    let file = folder.path().join("model.safetensors");
    for name in read_tensors(&file).into_keys() {
        rename_tensor(&file, &name, &format!("{prefix}{name}"));
    }
    folder
}

/// Names that are in front of one of two models stay.
fn with_two_models() -> TempDir {
    let folder = prefixed("another.");
    let file = folder.path().join("model.safetensors");
    rename_tensor(
        &file,
        "another.qa_outputs.bias",
        "teacher.embeddings.word_embeddings.weight",
    );
    folder
}

#[test]
fn names_of_wrappers_are_taken_off() {
    let expected = by_name(&tiny().model, Value);
    for prefix in [
        "module.",
        "model.",
        "state_dict.model.",
        "model.module.",
        "_orig_mod.",
        "_forward_module.model.",
        "bert.",
        "another.",
    ] {
        let folder = prefixed(prefix);
        let loaded = Pretrained::load(folder.path(), 0, &cpu()).unwrap();
        assert_eq!(loaded.report.missing, [""; 0], "{prefix}");
        assert_eq!(by_name(&loaded.model, Value), expected, "{prefix}");
    }
    let message = refusal(with_two_models().path());
    assert_says(&message, &["not used: another.bert."]);
}

#[test]
fn a_single_file_of_another_name_is_the_checkpoint() {
    let folder = copy_of("tiny-bert");
    let old = folder.path().join("model.safetensors");
    std::fs::rename(old, folder.path().join("epoch=2.safetensors")).unwrap();
    std::fs::write(folder.path().join("training_args.bin"), "x").unwrap();
    std::fs::write(folder.path().join("optimizer.pt"), "x").unwrap();
    let loaded = Pretrained::load(folder.path(), 0, &cpu()).unwrap();
    assert_eq!(loaded.report.files, ["epoch=2.safetensors"]);
    std::fs::write(folder.path().join("last.ckpt"), "x").unwrap();
    let message = refusal(folder.path());
    assert_says(&message, &["epoch=2.safetensors, last.ckpt may each be"]);
}

#[test]
fn a_missing_model_type_comes_from_classes_or_names() {
    let remove = |folder: &std::path::Path, keys: &[&str]| {
        let file = folder.join("config.json");
        let text = std::fs::read_to_string(&file).unwrap();
        let mut config: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&text).unwrap();
        for key in keys {
            config.remove(*key);
        }
        std::fs::write(&file, serde_json::to_string(&config).unwrap()).unwrap();
    };
    for keys in [&["model_type"][..], &["model_type", "architectures"]] {
        let folder = copy_of("tiny-bert");
        remove(folder.path(), keys);
        // Without the weights' names, classes alone can tell.
        let config = BertConfig::read(&folder.path().join("config.json"));
        assert_eq!(config.is_ok(), keys == ["model_type"]);
        let loaded = Pretrained::load(folder.path(), 0, &cpu()).unwrap();
        assert_eq!(by_name(&loaded.model, Value), by_name(&tiny().model, Value));
        assert!(
            loaded
                .assets
                .config
                .to_json()
                .contains("\"model_type\": \"bert\"")
        );
    }
    let folder = with_two_models();
    remove(folder.path(), &["model_type", "architectures"]);
    assert_says(&refusal(folder.path()), &["no model_type"]);
}

/// The file's embedding has more rows than `vocab_size`: 64, the next multiple of 8, or 61, which is none.
#[test]
fn a_padded_vocabulary_stays_padded() {
    const NAME: &str = "bert.embeddings.word_embeddings.weight";
    let load = |rows: usize| {
        let folder = copy_of("tiny-bert");
        rewrite_weights(&folder.path().join("model.safetensors"), |header, data| {
            let mut padded = Vec::new();
            for (name, tensor) in header
                .iter_mut()
                .filter(|(name, _)| *name != "__metadata__")
            {
                let at = |end: usize| tensor["data_offsets"][end].as_u64().unwrap() as usize;
                let begin = padded.len();
                padded.extend_from_slice(&data[at(0)..at(1)]);
                if name == NAME {
                    let width = tensor["shape"][1].as_u64().unwrap() as usize;
                    padded.resize(begin + 4 * width * rows, 0);
                    tensor["shape"][0] = rows.into();
                }
                tensor["data_offsets"] = serde_json::json!([begin, padded.len()]);
            }
            *data = padded;
        });
        Pretrained::load(folder.path(), 0, &cpu())
    };
    let loaded = load(64).unwrap();
    assert_eq!(loaded.assets.config.vocab_size, 64);
    assert!(
        loaded
            .assets
            .config
            .to_json()
            .contains("\"vocab_size\": 64")
    );
    let old = &by_name(&tiny().model, Value)[NAME];
    assert_eq!(by_name(&loaded.model, Value)[NAME][..old.len()], old[..]);
    let message = load(61).unwrap_err().to_string();
    assert!(message.contains("has shape [61, "), "{message}");
}

/// FARM has names of its own for configuration and weights.
#[test]
fn farms_folder_is_read() {
    let folder = with_bin("pytorch_model.bin");
    for (file, farms) in [
        ("config.json", "language_model_config.json"),
        ("pytorch_model.bin", "language_model.bin"),
    ] {
        std::fs::rename(folder.path().join(file), folder.path().join(farms)).unwrap();
    }
    let loaded = Pretrained::load(folder.path(), 0, &cpu()).unwrap();
    assert_eq!(by_name(&loaded.model, Value), by_name(&tiny().model, Value));
}

/// Made by the tools themselves where that is possible, else by their saving code.
#[test]
#[ignore = "needs pip, and Python with torch and transformers: $REFERENCE_PYTHON or python3"]
fn checkpoints_of_other_tools_load() {
    let folder = test_support::temp_dir();
    let script = "scripts/reference/make_checkpoints.py";
    test_support::run_python(script, [folder.path(), &fixture("tiny-bert")]);

    let folders = |kind: &str| {
        let entries = std::fs::read_dir(folder.path().join(kind)).unwrap();
        let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths
    };
    let expected = read_tensors(&folder.path().join("expected.safetensors"));
    let usable = folders("usable");
    assert_eq!(usable.len(), 13);
    for path in usable {
        let loaded = Pretrained::load(&path, 0, &cpu());
        let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.report.missing, [""; 0], "{path:?}");
        assert_eq!(by_name(&loaded.model, Value), expected, "{path:?}");
    }
    for (name, parts) in [
        ("no-tensors", &["model.pt", "no tensor", "state_dict()"][..]),
        (
            "gpt2",
            &[
                "pytorch_model.bin",
                "no tensor \"bert.",
                "transformer.h.0.attn.c_attn.weight",
            ],
        ),
        (
            "two-models",
            &["model.pt", "no tensor \"bert.", "student.bert."],
        ),
    ] {
        let path = folder.path().join("unusable").join(name);
        assert_says(&refusal(&path), parts);
    }
}
