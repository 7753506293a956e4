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

const CONFIG: (&str, &[u8]) = ("config.json", tiny_bert!("config.json"));
const TOKENIZER: (&str, &[u8]) = ("tokenizer.json", tiny_bert!("tokenizer.json"));
const WEIGHTS: (&str, &[u8]) = ("model.safetensors", tiny_bert!("model.safetensors"));

/// Loads the tiny model with one file replaced.
fn load(folder: &Path, file: &str, bytes: &[u8]) {
    std::fs::write(folder.join(file), bytes).expect("a temporary file can be written");
    let (_, device) = trainer::device("ndarray").expect("this build has ndarray");
    let _ = Pretrained::load(folder, 0, &device);
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
        use_tokenizer(&tokenizer);
    }
}

/// Tokenizes, saves and reads again.
fn use_tokenizer(tokenizer: &QaTokenizer) {
    const TEXTS: [&str; 4] = [
        "",
        "What do bees collect?",
        "Zürich: 東京 \u{1F41D}\u{0301}…",
        " \u{a0}\t[SEP]<s>##a\u{0}",
    ];
    let encode = |tokenizer: &QaTokenizer| TEXTS.map(|text| tokenizer.encode(text).ok());
    let encodings = encode(tokenizer);
    for (text, encoding) in TEXTS.iter().zip(&encodings) {
        let ends = encoding.iter().flat_map(|encoding| &encoding.offsets);
        let length = text.chars().count();
        for &(start, end) in ends {
            assert!(
                start <= end && end as usize <= length,
                "{text:?}: {start}..{end}"
            );
        }
    }
    let path = sandbox::path("saved-tokenizer.json");
    tokenizer
        .save(&path)
        .expect("a temporary file can be written");
    let saved = QaTokenizer::from_file(&path).expect("what is written can be read");
    assert_eq!(encode(&saved), encodings);
}

/// A folder with these files, as far as the input has parts, which a byte 0xff separates.
fn tokenizer_folder(name: &str, files: &[&str], bytes: &[u8]) {
    let parts = bytes.split(|byte| *byte == 0xff);
    let files: Vec<(&str, &[u8])> = files.iter().copied().zip(parts).collect();
    let folder = sandbox::folder(name, &files);
    if let Ok(tokenizer) = QaTokenizer::from_file(&folder) {
        use_tokenizer(&tokenizer);
    }
    sandbox::remove(&folder);
}

pub(crate) fn vocab_txt(bytes: &[u8]) {
    let files = [
        "vocab.txt",
        "tokenizer_config.json",
        "special_tokens_map.json",
    ];
    tokenizer_folder("vocab-txt", &files, bytes);
}

pub(crate) fn bpe(bytes: &[u8]) {
    let files = ["vocab.json", "merges.txt", "tokenizer_config.json"];
    tokenizer_folder("bpe", &files, bytes);
}

/// The input is a SentencePiece model, read by the rules of each type.
pub(crate) fn sentencepiece(bytes: &[u8]) {
    for (model_type, file) in [
        ("albert", "spiece.model"),
        ("camembert", "sentencepiece.bpe.model"),
        ("deberta-v2", "spm.model"),
        ("xlm-roberta", "sentencepiece.bpe.model"),
    ] {
        let config = format!("{{\"model_type\": \"{model_type}\"}}");
        let files = [("config.json", config.as_bytes()), (file, bytes)];
        let folder = sandbox::folder("sentencepiece", &files);
        if let Ok(tokenizer) = QaTokenizer::from_file(&folder) {
            use_tokenizer(&tokenizer);
        }
        sandbox::remove(&folder);
    }
}

pub(crate) fn tokenizer_config(bytes: &[u8]) {
    static FOLDER: LazyLock<PathBuf> =
        LazyLock::new(|| sandbox::folder("tokenizer-config", &[CONFIG, TOKENIZER, WEIGHTS]));
    load(&FOLDER, "tokenizer_config.json", bytes);
}

pub(crate) fn safetensors(bytes: &[u8]) {
    static FOLDER: LazyLock<PathBuf> =
        LazyLock::new(|| sandbox::folder("safetensors", &[CONFIG, TOKENIZER]));
    load(&FOLDER, "model.safetensors", bytes);
}

pub(crate) fn safetensors_index(bytes: &[u8]) {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let shard = ("model-00001-of-00001.safetensors", WEIGHTS.1);
        sandbox::folder("index", &[CONFIG, TOKENIZER, shard])
    });
    load(&FOLDER, "model.safetensors.index.json", bytes);
}

pub(crate) fn pytorch_bin(bytes: &[u8]) {
    static FOLDER: LazyLock<PathBuf> =
        LazyLock::new(|| sandbox::folder("bin", &[CONFIG, TOKENIZER]));
    load(&FOLDER, "pytorch_model.bin", bytes);
}

/// The tiny model, on a device with autodiff.
pub(crate) fn tiny_bert() -> BertForQuestionAnswering {
    static FOLDER: LazyLock<PathBuf> =
        LazyLock::new(|| sandbox::folder("tiny-bert", &[CONFIG, TOKENIZER, WEIGHTS]));
    thread_local! {
        static MODEL: BertForQuestionAnswering = {
            let (_, device) = trainer::device("ndarray").expect("this build has ndarray");
            let pretrained = Pretrained::load(&FOLDER, 0, &device.autodiff());
            pretrained.expect("the fixture can be loaded").model
        };
    }
    MODEL.with(Clone::clone)
}
