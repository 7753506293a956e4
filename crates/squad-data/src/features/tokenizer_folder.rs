//! Finds a model folder's tokenizer, and makes a `tokenizer.json` where there are only vocabulary files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::features::tokenizer_json::MAX_BYTES;

const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

/// The options of `tokenizer_config.json` that change how a text becomes tokens, and their names in a `BertNormalizer`.
const NORMALIZER_OPTIONS: [(&str, &str); 3] = [
    ("do_lower_case", "lowercase"),
    ("strip_accents", "strip_accents"),
    ("tokenize_chinese_chars", "handle_chinese_chars"),
];

/// What is known of a tokenizer before it is built.
pub(super) struct Found {
    /// The file, for messages.
    pub(super) name: String,
    /// A whole `tokenizer.json`.
    pub(super) json: Value,
    /// What the user should know, each a line.
    pub(super) warnings: Vec<String>,
}

/// Reads `path`: a `tokenizer.json`, or a folder with one, with `vocab.txt`, or with `vocab.json` and `merges.txt`.
pub(super) fn read(path: &Path) -> Result<Found, Error> {
    if !path.is_dir() {
        return Ok(Found {
            name: path.display().to_string(),
            json: read_json(path)?,
            warnings: Vec::new(),
        });
    }
    let config = read_config(path)?;
    let file = path.join(TOKENIZER);
    if file.is_file() {
        let mut json = read_json(&file)?;
        let warnings = apply_options(&config, &mut json);
        let name = file.display().to_string();
        return Ok(Found {
            name: name.clone(),
            json,
            warnings: warnings.map_or_else(Vec::new, |warning| vec![format!("{name}: {warning}")]),
        });
    }
    let [vocab_txt, vocab_json, merges] =
        ["vocab.txt", "vocab.json", "merges.txt"].map(|name| path.join(name));
    let (file, built) = if vocab_json.is_file() && merges.is_file() {
        let vocab = read_json(&vocab_json)?;
        let merges = read_text(&merges)?;
        (vocab_json, byte_level_bpe(vocab, &merges, &config))
    } else if vocab_txt.is_file() {
        let text = read_text(&vocab_txt)?;
        (vocab_txt, word_piece(&text, &config))
    } else {
        let message = format!(
            "no {TOKENIZER}, no vocab.txt, and no vocab.json with merges.txt; make a {TOKENIZER} with transformers, \
             AutoTokenizer.from_pretrained(FROM).save_pretrained(FOLDER)"
        );
        let source = std::io::Error::new(std::io::ErrorKind::NotFound, message);
        return Err(Error::read(path, source));
    };
    let name = file.display().to_string();
    let (json, warning) = built.map_err(|problem| Error::Tokenizer {
        file: name.clone(),
        problem,
    })?;
    let warnings = warning.map_or_else(Vec::new, |warning| vec![format!("{name}: {warning}")]);
    Ok(Found {
        name,
        json,
        warnings,
    })
}

fn read_text(path: &Path) -> Result<String, Error> {
    let read = |error| Error::read(path, error);
    let mut bytes = Vec::new();
    // Devices and pipes do not say how long they are.
    let file = File::open(path).map_err(read)?;
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(read)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::Tokenizer {
            file: path.display().to_string(),
            problem: format!("too long for a tokenizer: at most {MAX_BYTES} bytes"),
        });
    }
    let text = String::from_utf8(bytes).map_err(|_| Error::Tokenizer {
        file: path.display().to_string(),
        problem: "not UTF-8, so it is no tokenizer; download it again".to_owned(),
    })?;
    Ok(atomic_fs::without_bom(&text).to_owned())
}

fn read_json(path: &Path) -> Result<Value, Error> {
    let text = read_text(path)?;
    serde_json::from_str(&text).map_err(|error| Error::Tokenizer {
        file: path.display().to_string(),
        problem: format!("not JSON: {error}; is the download complete?"),
    })
}

/// `tokenizer_config.json`, `special_tokens_map.json` and the model's type, as far as they exist.
fn read_config(folder: &Path) -> Result<Map<String, Value>, Error> {
    let mut config = Map::new();
    for name in ["special_tokens_map.json", TOKENIZER_CONFIG] {
        let path = folder.join(name);
        if path.is_file() {
            match read_json(&path)? {
                Value::Object(map) => config.extend(map),
                _ => {
                    return Err(Error::Tokenizer {
                        file: path.display().to_string(),
                        problem: "not a tokenizer's configuration: it is no JSON object".to_owned(),
                    });
                }
            }
        }
    }
    // Only to know the class of a tokenizer that does not name it; the model's reader checks this file.
    let path = folder.join("config.json");
    let model = path.is_file().then(|| read_text(&path));
    let model = model.and_then(Result::ok).unwrap_or_default();
    let model: Value = serde_json::from_str(&model).unwrap_or_default();
    if let Some(kind) = model["model_type"].as_str() {
        config.insert("model_type".to_owned(), kind.into());
    }
    Ok(config)
}

/// Lays the options of `tokenizer_config.json` over a `BertNormalizer`, as transformers does. Returns a warning if they
/// contradict each other.
fn apply_options(config: &Map<String, Value>, json: &mut Value) -> Option<String> {
    // Of these classes transformers leaves `tokenizer.json` as it is.
    let class = config.get("tokenizer_class").and_then(Value::as_str);
    if class.is_some_and(|class| matches!(class, "PreTrainedTokenizerFast" | "TokenizersBackend")) {
        return None;
    }
    let normalizer = json.get_mut("normalizer")?.as_object_mut()?;
    if normalizer.get("type")?.as_str() != Some("BertNormalizer") {
        return None;
    }
    let mut changes = Vec::new();
    for (option, key) in NORMALIZER_OPTIONS {
        let Some(value) = config.get(option) else {
            continue;
        };
        let usable = value.is_boolean() || (key == "strip_accents" && value.is_null());
        let file = normalizer.get(key).cloned().unwrap_or(Value::Null);
        if usable && file != *value {
            normalizer.insert(key.to_owned(), value.clone());
            changes.push(format!("{option} is {value}, the tokenizer has {file}"));
        }
    }
    (!changes.is_empty()).then(|| {
        format!(
            "{TOKENIZER_CONFIG} contradicts this file and is followed, as transformers does: {}",
            changes.join("; ")
        )
    })
}

/// The keys of `tokenizer_config.json` that agree with this tokenizer.
pub(super) fn options_of(normalizer: &Value) -> Map<String, Value> {
    let mut options = Map::new();
    if normalizer["type"] == "BertNormalizer" {
        for (option, key) in NORMALIZER_OPTIONS {
            options.insert(option.to_owned(), normalizer[key].clone());
        }
    }
    options
}

/// The keys of special tokens in a tokenizer's configuration.
const SPECIAL_TOKENS: [&str; 5] = [
    "cls_token",
    "sep_token",
    "pad_token",
    "unk_token",
    "mask_token",
];

/// The texts of [`SPECIAL_TOKENS`]: those that the configuration names, else `defaults`.
fn special_tokens<'a>(config: &'a Map<String, Value>, defaults: [&'a str; 5]) -> [&'a str; 5] {
    std::array::from_fn(|index| {
        let named = config.get(SPECIAL_TOKENS[index]);
        let text = named.and_then(|named| named.as_str().or_else(|| named["content"].as_str()));
        text.unwrap_or(defaults[index])
    })
}

/// The `added_tokens` of a `tokenizer.json`: the special tokens that the vocabulary has, in the order of their ids. With
/// `mask_lstrip` the mask token takes the white space before it.
fn added_tokens(vocab: &Map<String, Value>, names: &[&str; 5], mask_lstrip: bool) -> Vec<Value> {
    let [.., mask] = names;
    let token = |name: &&str| {
        let id = vocab.get(*name)?;
        let lstrip = mask_lstrip && name == mask;
        let token = json!({"id": id, "content": name, "single_word": false, "lstrip": lstrip,
            "rstrip": false, "normalized": false, "special": true});
        Some(token)
    };
    let mut added: Vec<Value> = names.iter().filter_map(token).collect();
    added.sort_by_key(|token| token["id"].as_u64());
    added.dedup();
    added
}

fn flag(config: &Map<String, Value>, key: &str, default: bool) -> bool {
    config.get(key).and_then(Value::as_bool).unwrap_or(default)
}

/// Whether the folder is one of this kind, from the tokenizer's class or the model's type.
fn is_kind(config: &Map<String, Value>, kind: &str) -> bool {
    let class = config.get("tokenizer_class").and_then(Value::as_str);
    match class {
        Some(class) => class.to_ascii_lowercase().starts_with(kind),
        None => config.get("model_type").and_then(Value::as_str) == Some(kind),
    }
}

/// Not the same as [`char::is_uppercase`]: "ℝ" is a capital letter and has no small one.
fn is_changed_by_lowercasing(letter: char) -> bool {
    !letter.to_lowercase().eq([letter])
}

/// A built `tokenizer.json`, and a warning.
type Built = Result<(Value, Option<String>), String>;

/// BERT's tokenizer, or MPNet's, from a `vocab.txt`: a token per line.
fn word_piece(text: &str, config: &Map<String, Value>) -> Built {
    let mut vocab = Map::new();
    for (id, token) in text.lines().enumerate() {
        vocab.insert(token.to_owned(), id.into());
    }
    let mpnet = is_kind(config, "mpnet");
    let defaults = if mpnet {
        ["<s>", "</s>", "<pad>", "[UNK]", "<mask>"]
    } else {
        ["[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"]
    };
    let names = special_tokens(config, defaults);
    let [cls, sep, _, unk, _] = names;
    for (key, name) in [("cls_token", cls), ("sep_token", sep), ("unk_token", unk)] {
        if !vocab.contains_key(name) {
            return Err(format!(
                "has no {name:?}, the {key}: is this a vocab.txt? {TOKENIZER_CONFIG} can name another token"
            ));
        }
    }
    let lowercase = flag(config, "do_lower_case", true);
    let mut is_cased = vocab.keys().filter(|token| !token.starts_with(['[', '<']));
    let warning = (lowercase
        && !config.contains_key("do_lower_case")
        && is_cased.any(|token| token.chars().any(is_changed_by_lowercasing)))
    .then(|| {
        format!(
            "texts are lowercased, as transformers does without {TOKENIZER_CONFIG}, but the vocabulary has capital \
             letters: if the model is cased, write {{\"do_lower_case\": false}} into {TOKENIZER_CONFIG}"
        )
    });
    let strip_accents = config
        .get("strip_accents")
        .filter(|value| value.is_boolean());
    let json = json!({
        "version": "1.0",
        "added_tokens": added_tokens(&vocab, &names, mpnet),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": flag(config, "tokenize_chinese_chars", true),
            "strip_accents": strip_accents,
            "lowercase": lowercase,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": template_processing(&vocab, cls, sep, if mpnet { 2 } else { 1 }),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {
            "type": "WordPiece",
            "unk_token": unk,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocab,
        },
    });
    Ok((json, warning))
}

/// The post-processor of [`word_piece`], with this number of `sep` between question and context.
fn template_processing(
    vocab: &Map<String, Value>,
    cls: &str,
    sep: &str,
    num_between: usize,
) -> Value {
    let piece =
        |name: &str, type_id: u32| json!({"SpecialToken": {"id": name, "type_id": type_id}});
    let sequence = |id: &str, type_id: u32| json!({"Sequence": {"id": id, "type_id": type_id}});
    let mut pair = vec![piece(cls, 0), sequence("A", 0)];
    pair.extend(std::iter::repeat_n(piece(sep, 0), num_between));
    pair.extend([sequence("B", 1), piece(sep, 1)]);
    let token = |name: &str| json!({"id": name, "ids": [vocab[name]], "tokens": [name]});
    json!({
        "type": "TemplateProcessing",
        "single": [piece(cls, 0), sequence("A", 0), piece(sep, 0)],
        "pair": pair,
        "special_tokens": {cls: token(cls), sep: token(sep)},
    })
}

/// RoBERTa's tokenizer from `vocab.json` (token to id) and `merges.txt` (a pair per line).
fn byte_level_bpe(vocab: Value, merges: &str, config: &Map<String, Value>) -> Built {
    let Value::Object(vocab) = vocab else {
        return Err("not a vocabulary: it is no JSON object".to_owned());
    };
    let mut pairs = Vec::new();
    for (number, line) in merges.lines().enumerate() {
        if line.is_empty() || (number == 0 && line.starts_with("#version")) {
            continue;
        }
        let Some((first, second)) = line.split_once(' ').filter(|(_, b)| !b.contains(' ')) else {
            return Err(format!(
                "merges.txt: line {}: not two tokens with a space between them",
                number + 1
            ));
        };
        pairs.push(json!([first, second]));
    }
    let names = special_tokens(config, ["<s>", "</s>", "<pad>", "<unk>", "<mask>"]);
    let [cls, sep, _, unk, _] = names;
    for (key, name) in [("cls_token", cls), ("sep_token", sep)] {
        if !vocab.contains_key(name) {
            return Err(format!(
                "has no {name:?}, the {key}; {TOKENIZER_CONFIG} can name another token"
            ));
        }
    }
    let add_prefix_space = flag(config, "add_prefix_space", false);
    let trim_offsets = flag(config, "trim_offsets", true);
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": add_prefix_space,
        "trim_offsets": trim_offsets, "use_regex": true});
    let json = json!({
        "version": "1.0",
        "added_tokens": added_tokens(&vocab, &names, true),
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": [sep, vocab[sep]],
            "cls": [cls, vocab[cls]],
            "trim_offsets": trim_offsets,
            "add_prefix_space": add_prefix_space,
        },
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": vocab.contains_key(unk).then_some(unk),
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": false,
            "byte_fallback": false,
            "vocab": vocab,
            "merges": pairs,
        },
    });
    Ok((json, None))
}
