//! Saved model folders.

use std::path::Path;

use bert_qa::{ModelCard, Pretrained};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use squad_data::QaTokenizer;
use test_support::temp_dir;

use crate::common::{Value, by_name, copy_of, cpu, file_names, fixture, read_tensors, tiny};

const FILES: [&str; 4] = [
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
];

fn encoder() -> Pretrained {
    Pretrained::load(&fixture("tiny-bert-encoder"), 5, &cpu()).unwrap()
}

fn save(Pretrained { model, assets, .. }: &Pretrained, folder: &Path) -> Result<(), String> {
    assets
        .save(model, folder)
        .map_err(|error| error.to_string())
}

#[test]
fn a_saved_model_loads_unchanged() {
    let parent = temp_dir();
    let folder = parent.path().join("runs/1/model");
    let whole = encoder();
    save(&whole, &folder).unwrap();
    assert_eq!(file_names(&folder), FILES);

    let again = Pretrained::load(&folder, 6, &cpu()).unwrap();
    assert!(
        again.report.missing.is_empty(),
        "the head was saved: {:?}",
        again.report
    );
    // The same bits. With another seed, so that a head that was not loaded differs.
    assert_eq!(by_name(&again.model, Value), by_name(&whole.model, Value));
    // The file has transformers' names and layout.
    assert_eq!(
        read_tensors(&folder.join("model.safetensors")),
        by_name(&whole.model, Value)
    );

    let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(
        config["architectures"],
        serde_json::json!(["BertForQuestionAnswering"])
    );
    assert_eq!(
        config["transformers_version"], "5.23.0",
        "unknown keys are kept"
    );

    let encode = |tokenizer: &QaTokenizer| tokenizer.encode("who ate it?").unwrap();
    assert_eq!(
        encode(&again.assets.tokenizer),
        encode(&whole.assets.tokenizer)
    );
}

#[test]
fn tokenizer_config_is_kept_or_made() {
    let parent = temp_dir();
    let settings = |model: &Pretrained| {
        let folder = parent.path().join("model");
        save(model, &folder).unwrap();
        std::fs::read_to_string(folder.join("tokenizer_config.json")).unwrap()
    };
    let original = fixture("tiny-bert/tokenizer_config.json");
    assert_eq!(
        settings(&tiny()),
        std::fs::read_to_string(original).unwrap()
    );
    let made: serde_json::Value = serde_json::from_str(&settings(&encoder())).unwrap();
    assert_eq!(made["model_max_length"], 40);
    // Otherwise transformers passes no token types.
    let inputs = made["model_input_names"].as_array().unwrap();
    assert!(inputs.contains(&"token_type_ids".into()), "{inputs:?}");
    // Nor does this class of transformers 5.
    let folder = copy_of("tiny-bert");
    let albert = r#"{"tokenizer_class": "AlbertTokenizer"}"#;
    std::fs::write(folder.path().join("tokenizer_config.json"), albert).unwrap();
    let albert = Pretrained::load(folder.path(), 0, &cpu()).unwrap();
    let kept: serde_json::Value = serde_json::from_str(&settings(&albert)).unwrap();
    assert_eq!(kept["model_input_names"], made["model_input_names"]);
}

#[test]
fn the_tokenizers_limit_is_the_windows_default() {
    let folder = copy_of("tiny-bert");
    let file = folder.path().join("tokenizer_config.json");
    let window = || {
        let model = Pretrained::load(folder.path(), 0, &cpu()).unwrap();
        let config = model.assets.qa_config_or_default();
        (config.max_seq_length, config.doc_stride)
    };
    assert_eq!(window(), (40, 20));
    for (config, expected) in [
        (r#"{"model_max_length": 24}"#, (24, 12)),
        (r#"{"max_len": 24}"#, (24, 12)),
        (r#"{"model_max_length": 512}"#, (40, 20)),
        (r#"{"model_max_length": 0}"#, (40, 20)),
        (
            r#"{"model_max_length": 1000000000000000019884624838656}"#,
            (40, 20),
        ),
    ] {
        std::fs::write(&file, config).unwrap();
        assert_eq!(window(), expected, "{config}");
    }
}

#[test]
fn saving_again_replaces_the_folder() {
    let parent = temp_dir();
    let folder = parent.path().join("model");
    save(&encoder(), &folder).unwrap();
    let model = tiny();
    save(&model, &folder).unwrap();
    assert_eq!(file_names(parent.path()), ["model"]);
    assert_eq!(file_names(&folder), FILES);
    assert_eq!(
        read_tensors(&folder.join("model.safetensors")),
        by_name(&model.model, Value)
    );
}

#[test]
fn equal_models_give_equal_bytes() {
    let parent = temp_dir();
    let bytes = |name: &str| -> Vec<_> {
        let folder = parent.path().join(name);
        save(&tiny(), &folder).unwrap();
        let read = |file| std::fs::read(folder.join(file)).unwrap();
        FILES.map(read).into()
    };
    let first = bytes("a");
    assert!((0..5).all(|_| bytes("b") == first));
    // The one entry of the metadata that transformers needs.
    let header = String::from_utf8_lossy(&first[1][8..]);
    assert!(
        header.starts_with(r#"{"__metadata__":{"format":"pt"},"#),
        "{header:.60}"
    );
}

#[cfg(unix)]
#[test]
fn all_files_have_the_same_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let parent = temp_dir();
    let folder = parent.path().join("model");
    save(&tiny(), &folder).unwrap();
    let modes = FILES.map(|file| {
        let metadata = std::fs::metadata(folder.join(file)).unwrap();
        metadata.permissions().mode()
    });
    assert_eq!(modes, [modes[0]; 4]);
}

#[test]
fn save_with_card_writes_a_readme_and_what_its_example_reads() {
    let parent = temp_dir();
    let folder = parent.path().join("model");
    let card = ModelCard {
        title: "A small model".into(),
        ..ModelCard::default()
    };
    let Pretrained { model, assets, .. } = tiny();
    assets.save_with_card(&model, &folder, &card).unwrap();
    let mut expected = [&["README.md", "qa_config.json"], &FILES[..]].concat();
    expected.sort_unstable();
    assert_eq!(file_names(&folder), expected);
    let text = std::fs::read_to_string(folder.join("README.md")).unwrap();
    assert_eq!(text, card.to_markdown());
}

#[test]
fn a_failed_save_leaves_nothing_behind() {
    let parent = temp_dir();
    let file = parent.path().join("notes.txt");
    std::fs::write(&file, "mine").unwrap();
    // Below a file, and in the place of a file.
    for folder in [file.join("model"), file.clone()] {
        let error = save(&tiny(), &folder).unwrap_err();
        assert!(
            error.contains("notes.txt") && !error.contains('\n'),
            "{error}"
        );
        assert_eq!(file_names(parent.path()), ["notes.txt"]);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    }
}

/// Adds a number to each parameter.
struct Add(f32);

impl ModuleMapper for Add {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|values| values.add_scalar(self.0))
    }
}

#[test]
fn weights_that_are_not_finite_are_not_saved() {
    for value in [f32::NAN, f32::INFINITY] {
        let mut tiny = tiny();
        let parent = temp_dir();
        let folder = parent.path().join("model");
        save(&tiny, &folder).unwrap();
        let before = std::fs::read(folder.join("model.safetensors")).unwrap();
        tiny.model = tiny.model.map(&mut Add(value));
        let error = save(&tiny, &folder).unwrap_err();
        let said = format!("holds {value} at [0");
        assert!(
            error.contains(&said) && error.ends_with("diverged and is not saved"),
            "{error}"
        );
        let after = std::fs::read(folder.join("model.safetensors")).unwrap();
        assert!(before == after);
        assert_eq!(file_names(parent.path()), ["model"]);
    }
}
