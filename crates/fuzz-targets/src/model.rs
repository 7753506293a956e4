use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use bert_qa::{BertConfig, BertForQuestionAnswering, Pretrained};
use squad_data::QaTokenizer;

use crate::sandbox;

macro_rules! tiny_bert {
    ($file:literal) => {
        include_bytes!(concat!("../../bert-qa/tests/fixtures/tiny-bert/", $file))
    };
}

const CONFIG: &[u8] = tiny_bert!("config.json");
const TOKENIZER: &[u8] = tiny_bert!("tokenizer.json");
const WEIGHTS: &[u8] = tiny_bert!("model.safetensors");

/// Loads the tiny model with one file replaced.
fn load(folder: &Path, file: &str, bytes: &[u8]) {
    std::fs::write(folder.join(file), bytes).expect("a temporary file can be written");
    let (_, device) = trainer::device("ndarray").expect("this build has ndarray");
    if let Ok(pretrained) = Pretrained::load(folder, 0, &device) {
        drop(pretrained);
    }
}

pub(crate) fn config(bytes: &[u8]) {
    let path = sandbox::write("config.json", bytes);
    if let Ok(config) = BertConfig::read(&path) {
        let text = config.to_json();
        let again = BertConfig::read(&sandbox::write("again.json", text.as_bytes()));
        assert_eq!(again.expect("what is written can be read").to_json(), text);
    }
}

pub(crate) fn tokenizer(bytes: &[u8]) {
    if let Ok(tokenizer) = QaTokenizer::from_bytes("tokenizer.json", bytes) {
        for text in [
            "",
            "What do bees collect?",
            "Zürich: 東京 \u{1F41D}\u{0301}…",
        ] {
            let Ok(encoding) = tokenizer.encode(text) else {
                continue;
            };
            drop(encoding);
        }
    }
}

pub(crate) fn tokenizer_config(bytes: &[u8]) {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let files = [
            ("config.json", CONFIG),
            ("tokenizer.json", TOKENIZER),
            ("model.safetensors", WEIGHTS),
        ];
        sandbox::folder("tokenizer-config", &files)
    });
    load(&FOLDER, "tokenizer_config.json", bytes);
}

pub(crate) fn safetensors(bytes: &[u8]) {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let files = [("config.json", CONFIG), ("tokenizer.json", TOKENIZER)];
        sandbox::folder("safetensors", &files)
    });
    load(&FOLDER, "model.safetensors", bytes);
}

pub(crate) fn safetensors_index(bytes: &[u8]) {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let files = [
            ("config.json", CONFIG),
            ("tokenizer.json", TOKENIZER),
            ("model-00001-of-00001.safetensors", WEIGHTS),
        ];
        sandbox::folder("index", &files)
    });
    load(&FOLDER, "model.safetensors.index.json", bytes);
}

pub(crate) fn pytorch_bin(bytes: &[u8]) {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let files = [("config.json", CONFIG), ("tokenizer.json", TOKENIZER)];
        sandbox::folder("bin", &files)
    });
    load(&FOLDER, "pytorch_model.bin", bytes);
}

/// The tiny model, on a device with autodiff.
pub(crate) fn tiny_bert() -> BertForQuestionAnswering {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let files = [
            ("config.json", CONFIG),
            ("tokenizer.json", TOKENIZER),
            ("model.safetensors", WEIGHTS),
        ];
        sandbox::folder("tiny-bert", &files)
    });
    thread_local! {
        static MODEL: BertForQuestionAnswering = {
            let (_, device) = trainer::device("ndarray").expect("this build has ndarray");
            let pretrained = Pretrained::load(&FOLDER, 0, &device.autodiff());
            pretrained.expect("the fixture can be loaded").model
        };
    }
    MODEL.with(Clone::clone)
}
