//! Finds a model folder's tokenizer, and makes a `tokenizer.json` where there are only vocabulary files.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::{Error, quote};
use crate::features::added_token::{ADDED_TOKENS, ADDITIONAL, AddedToken, DECODER};
use crate::features::model_file::{instead_of_file, json_problem};
use crate::features::sentencepiece;
use crate::features::tokenizer_json::MAX_BYTES;

pub(super) const TOKENIZER: &str = "tokenizer.json";
pub(super) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
pub(super) const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
const VOCAB_TXT: &str = "vocab.txt";
/// The file of a tokenizer, or those that make one together. Of a folder the first that it has are read. The last three are
/// SentencePiece models: DeBERTa's, XLM-RoBERTa's and CamemBERT's, ALBERT's.
pub(super) const FILES: [&[&str]; 6] = [
    &[TOKENIZER],
    &["vocab.json", "merges.txt"],
    &[VOCAB_TXT],
    &["spm.model"],
    &["sentencepiece.bpe.model"],
    &["spiece.model"],
];
/// What to do with a tokenizer in a form that is not read.
pub(super) const MAKE_TOKENIZER: &str = "make a tokenizer.json with transformers, \
    AutoTokenizer.from_pretrained(FROM).save_pretrained(FOLDER)";

/// The options of `tokenizer_config.json` that change how a text becomes tokens, their names in a `BertNormalizer`, and
/// what transformers takes without them.
const NORMALIZER_OPTIONS: [(&str, &str, Option<bool>); 3] = [
    ("do_lower_case", "lowercase", Some(true)),
    ("strip_accents", "strip_accents", None),
    ("tokenize_chinese_chars", "handle_chinese_chars", Some(true)),
];

/// What is known of a tokenizer before it is built.
pub(super) struct Found {
    /// The file, for messages.
    pub(super) name: String,
    /// A whole `tokenizer.json`.
    pub(super) json: Value,
    /// What the user should know, each a line.
    pub(super) warnings: Vec<String>,
    /// Whether `model_input_names` leaves the token types out: then transformers gives the model none, and all are 0.
    pub(super) without_types: bool,
    pub(super) cls_token: ClsToken,
    /// Whether special tokens that a text spells out are tokenized as any other text.
    pub(super) split_special_tokens: bool,
    /// Whether `truncation_side` is left.
    pub(super) cuts_from_end: bool,
}

/// What transformers knows as the tokenizer's `cls_token`.
pub(super) enum ClsToken {
    /// That of the tokenizer's class, or there is no configuration.
    Default,
    /// The configuration names it.
    Named(String),
    /// The class has none, and the configuration names none.
    None,
}

impl ClsToken {
    fn of(config: &Map<String, Value>) -> Self {
        if let Some(named) = config.get("cls_token").and_then(token_text) {
            return Self::Named(named.to_owned());
        }
        let class = class(config);
        if class.is_some_and(is_plain_class) {
            Self::None
        } else {
            Self::Default
        }
    }
}

/// Tokens beside a vocabulary, by their ids.
type SavedTokens = BTreeMap<u64, AddedToken>;

/// Reads `path`: a `tokenizer.json`, or a folder with one, with `vocab.txt`, with `vocab.json` and `merges.txt`, or with a
/// SentencePiece model.
pub(super) fn read(path: &Path) -> Result<Found, Error> {
    if !path.is_dir() {
        refuse_part(path)?;
        return Ok(Found {
            name: path.display().to_string(),
            json: read_json(path)?,
            warnings: Vec::new(),
            without_types: false,
            cls_token: ClsToken::Default,
            split_special_tokens: false,
            cuts_from_end: false,
        });
    }
    let config = read_config(path)?;
    let names = config.get("model_input_names").and_then(Value::as_array);
    let without_types = match names {
        Some(names) => !names.contains(&"token_type_ids".into()),
        None => class(&config) == Some("TokenizersBackend") || is_albert_of_version_5(&config),
    };
    let types = (names.is_none() && is_albert_of_version_5(&config)).then(|| {
        let file = path.join(TOKENIZER_CONFIG);
        format!(
            "{}: transformers 5 has saved it, whose AlbertTokenizer gives the model no token types: all are 0 here too. If \
             the model was trained with them, write {{\"model_input_names\": [\"input_ids\", \"token_type_ids\", \
             \"attention_mask\"]}} into it",
            file.display()
        )
    });
    let is_left = |side: &str| config.get(side) == Some(&"left".into());
    let side = is_left("padding_side").then(|| {
        let file = path.join(TOKENIZER_CONFIG);
        format!(
            "{}: padding_side is left, for which transformers' scripts put the context in front of the question; here \
             the question is first",
            file.display()
        )
    });
    let is_there = |name: &&str| path.join(name).is_file();
    let Some(files) = FILES.into_iter().find(|files| files.iter().all(is_there)) else {
        return Err(no_tokenizer(path));
    };
    let file = path.join(files[0]);
    let name = file.display().to_string();
    let (json, warnings) = if *files == [TOKENIZER] {
        let mut json = read_json(&file)?;
        let warnings = apply_options(&config, &mut json);
        (json, warnings)
    } else {
        refuse_other_classes(path, &config)?;
        let (json, warning) = build(path, files, &config)?;
        (json, warning.into_iter().collect())
    };
    let warnings = warnings.into_iter();
    let warnings = warnings.map(|warning| format!("{name}: {warning}"));
    Ok(Found {
        warnings: warnings.chain(side).chain(types).collect(),
        name,
        json,
        without_types,
        cls_token: ClsToken::of(&config),
        split_special_tokens: flag(&config, "split_special_tokens", false),
        cuts_from_end: is_left("truncation_side"),
    })
}

fn class(config: &Map<String, Value>) -> Option<&str> {
    config.get("tokenizer_class").and_then(Value::as_str)
}

/// Version 4 of this class names token types of its own accord, version 5 does not. Only version 5 writes a `backend`.
fn is_albert_of_version_5(config: &Map<String, Value>) -> bool {
    class(config) == Some("AlbertTokenizer") && config.contains_key("backend")
}

/// Refuses a vocabulary: other files of its folder say how it is used.
fn refuse_part(path: &Path) -> Result<(), Error> {
    let is_named = |name: &&str| *name != TOKENIZER && path.ends_with(name);
    let is_vocabulary = FILES.into_iter().flatten().any(is_named);
    let is_sentencepiece = path.extension().is_some_and(|ending| ending == "model");
    if path.is_file() && (is_vocabulary || is_sentencepiece) {
        let problem = "other files of its folder say how it is used: name the folder";
        return Err(wrong(path, problem));
    }
    Ok(())
}

fn no_tokenizer(folder: &Path) -> Error {
    let forms = FILES.map(|files| files.join(" with "));
    let message = format!("none of {}; {MAKE_TOKENIZER}", forms.join(", "));
    let source = std::io::Error::new(std::io::ErrorKind::NotFound, message);
    Error::read(folder, source)
}

/// Makes a `tokenizer.json` of these files of a folder, with a warning.
fn build(
    folder: &Path,
    files: &[&str],
    config: &Map<String, Value>,
) -> Result<(Value, Option<String>), Error> {
    let file = folder.join(files[0]);
    let saved = saved_tokens(folder, config)?;
    let built = match files {
        [_, merges] => {
            let vocab = read_json(&file)?;
            let merges = read_text(&folder.join(merges))?;
            byte_level_bpe(vocab, &merges, config, &saved)
        }
        [VOCAB_TXT] => word_piece(&read_text(&file)?, config, &saved),
        _ => sentencepiece::unigram(&read_bytes(&file)?, config, saved.into_values().collect()),
    };
    built.map_err(|problem| wrong(&file, problem))
}

fn wrong(file: &Path, problem: impl Into<String>) -> Error {
    Error::Tokenizer {
        file: file.display().to_string(),
        problem: problem.into(),
    }
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, Error> {
    let read = |error| Error::read(path, error);
    let mut bytes = Vec::new();
    // Devices and pipes do not say how long they are.
    let file = File::open(path).map_err(read)?;
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(read)?;
    if bytes.len() as u64 > MAX_BYTES {
        let problem = format!("too long for a tokenizer: at most {MAX_BYTES} bytes");
        return Err(wrong(path, problem));
    }
    Ok(bytes)
}

fn read_text(path: &Path) -> Result<String, Error> {
    let bytes = read_bytes(path)?;
    // An empty merges.txt merges nothing; the readers of other kinds report an empty file.
    if let Some(problem) = instead_of_file(&bytes).filter(|_| !bytes.is_empty()) {
        return Err(wrong(path, problem));
    }
    atomic_fs::read_text_from(&bytes[..])
        .map_err(|error| wrong(path, format!("{error}, or download it again")))
}

fn read_json(path: &Path) -> Result<Value, Error> {
    let text = read_text(path)?;
    serde_json::from_str(&text).map_err(|error| wrong(path, json_problem(&text, &error)))
}

/// The object in a file of a tokenizer's configuration, if there is one.
fn read_object(path: &Path) -> Result<Option<Map<String, Value>>, Error> {
    if !path.is_file() {
        return Ok(None);
    }
    match read_json(path)? {
        Value::Object(map) => Ok(Some(map)),
        _ => Err(wrong(
            path,
            "not a tokenizer's configuration: it is no JSON object",
        )),
    }
}

/// `tokenizer_config.json`, `special_tokens_map.json` and the model's type, as far as they exist.
fn read_config(folder: &Path) -> Result<Map<String, Value>, Error> {
    let mut config = read_object(&folder.join(TOKENIZER_CONFIG))?.unwrap_or_default();
    let special = read_object(&folder.join(SPECIAL_TOKENS_MAP))?.unwrap_or_default();
    // As transformers does: a configuration with its added tokens needs no other file.
    if !config.contains_key(DECODER) {
        for (key, value) in special {
            let listed = config.get(&key).and_then(Value::as_array);
            match (listed, value) {
                (Some(listed), Value::Array(more)) if key == ADDITIONAL => {
                    let mut all = listed.clone();
                    all.extend(more.into_iter().filter(|token| !listed.contains(token)));
                    config.insert(key, all.into());
                }
                (_, value) => {
                    config.insert(key, value);
                }
            }
        }
    }
    // Only to know the class of a tokenizer that does not name it; the model's reader checks this file.
    let path = ["config.json", "language_model_config.json"].map(|name| folder.join(name));
    let path = path.into_iter().find(|path| path.is_file());
    let model = path.and_then(|path| read_text(&path).ok());
    let model: Value = serde_json::from_str(&model.unwrap_or_default()).unwrap_or_default();
    let named = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(kind) = named(&model["model_type"]).or_else(|| named(&model["architectures"][0])) {
        config.insert("model_type".to_owned(), kind.into());
    }
    if let Some(class) = named(&model["tokenizer_class"]) {
        config.entry("tokenizer_class").or_insert(class.into());
    }
    Ok(config)
}

/// Tokenizers of transformers whose `vocab.txt`, or `vocab.json` with `merges.txt`, is used in another way than BERT's and
/// RoBERTa's: texts are first cut by MeCab, by Moses, or at white space alone.
const OTHER_CLASSES: [&str; 6] = [
    "BertJapaneseTokenizer",
    "BertweetTokenizer",
    "FlaubertTokenizer",
    "HerbertTokenizer",
    "PhobertTokenizer",
    "XLMTokenizer",
];

fn refuse_other_classes(folder: &Path, config: &Map<String, Value>) -> Result<(), Error> {
    let class = class(config);
    let class = class.filter(|class| OTHER_CLASSES.contains(&class.trim_end_matches("Fast")));
    class.map_or(Ok(()), |class| {
        let problem = format!(
            "tokenizer_class {class} cuts texts in a way of its own, which is not supported without a {TOKENIZER}"
        );
        Err(wrong(folder, problem))
    })
}

/// The tokens beside the vocabulary, by their ids: from `added_tokens_decoder` of `tokenizer_config.json`, else from
/// `added_tokens.json`.
fn saved_tokens(folder: &Path, config: &Map<String, Value>) -> Result<SavedTokens, Error> {
    if let Some(saved) = config.get(DECODER) {
        let wrong = |problem| wrong(&folder.join(TOKENIZER_CONFIG), problem);
        let saved = saved.as_object();
        let saved = saved.ok_or_else(|| wrong(format!("{DECODER} is no object")))?;
        let token = |(id, token): (&String, &Value)| {
            let id_of = id.parse::<u64>().ok();
            let entry = id_of.zip(AddedToken::from_object(token, false));
            entry.ok_or_else(|| wrong(format!("{DECODER}: {id:?} is no id of a token")))
        };
        return saved.iter().map(token).collect();
    }
    let named = config.iter().filter(|(key, _)| key.ends_with("_token"));
    let additional = config.get(ADDITIONAL).and_then(Value::as_array);
    let named = named.map(|(_, token)| token);
    let named = named.chain(additional.into_iter().flatten());
    let special: HashSet<&str> = named.filter_map(token_text).collect();
    let file = folder.join(ADDED_TOKENS);
    let saved = read_object(&file)?.unwrap_or_default();
    let token = |(text, id): (&String, &Value)| {
        let id = id.as_u64();
        let id = id.ok_or_else(|| wrong(&file, format!("{text:?} has no id")))?;
        let special = special.contains(text.as_str());
        Ok((id, AddedToken::new(text, !special, special)))
    };
    saved.iter().map(token).collect()
}

/// Lays the options of `tokenizer_config.json` over a `BertNormalizer`, or over RoBERTa's parts, as transformers does.
/// Returns a warning if they contradict each other, and one if transformers would not take a value as it is.
fn apply_options(config: &Map<String, Value>, json: &mut Value) -> Vec<String> {
    let class = class(config);
    if class.is_some_and(is_plain_class) {
        return version_4_differs(config, json).into_iter().collect();
    }
    let mut options = Options {
        config,
        changed: Vec::new(),
        unconfirmed: Vec::new(),
    };
    let is_roberta = is_kind(config, "roberta");
    if (is_roberta || class.is_some())
        && let Some(file) = byte_level_prefix(json)
    {
        options.lay_over("add_prefix_space", file, Some(false.into()));
    }
    if is_roberta {
        for (part, option, default) in [
            ("post_processor", "add_prefix_space", false),
            ("post_processor", "trim_offsets", true),
        ] {
            let file = json.get_mut(part).and_then(|part| part.get_mut(option));
            if let Some(file) = file {
                options.lay_over(option, file, Some(default.into()));
            }
        }
        return options.warnings();
    }
    let Some(normalizer) = json.get_mut("normalizer").and_then(Value::as_object_mut) else {
        return Vec::new();
    };
    if normalizer.get("type").and_then(Value::as_str) == Some("BertNormalizer") {
        let is_berts = ["bert", "distilbert", "electra", "mpnet"];
        let is_berts = is_berts.iter().any(|kind| is_kind(config, kind));
        for (option, key, default) in NORMALIZER_OPTIONS {
            let file = normalizer.entry(key).or_insert(Value::Null);
            options.lay_over(option, file, is_berts.then(|| default.into()));
        }
    }
    options.warnings()
}

/// Whether transformers 5 takes `tokenizer.json` as it is for this class.
fn is_plain_class(class: &str) -> bool {
    matches!(class, "PreTrainedTokenizerFast" | "TokenizersBackend")
}

/// `add_prefix_space` of a byte-level pre-tokenizer. transformers 4 sets it for every class, to false without the key.
fn byte_level_prefix(json: &mut Value) -> Option<&mut Value> {
    let pre_tokenizer = json.get_mut("pre_tokenizer")?;
    let is_byte_level = pre_tokenizer["type"] == "ByteLevel";
    let prefix = pre_tokenizer.get_mut("add_prefix_space")?;
    is_byte_level.then_some(prefix)
}

/// A warning where transformers 4 tokenizes in another way than `tokenizer.json` says.
fn version_4_differs(config: &Map<String, Value>, json: &mut Value) -> Option<String> {
    let file = byte_level_prefix(json)?;
    let version_4 = flag(config, "add_prefix_space", false);
    (*file != version_4).then(|| {
        format!(
            "this file is followed, as transformers 5 does; transformers 4 takes add_prefix_space as {version_4}, not {file}"
        )
    })
}

/// The options of a `tokenizer_config.json`, and what they say of a `tokenizer.json`.
struct Options<'a> {
    config: &'a Map<String, Value>,
    /// Values that are replaced.
    changed: Vec<String>,
    /// Values that stay, in whose place transformers takes a default.
    unconfirmed: Vec<String>,
}

impl Options<'_> {
    /// Replaces a value of the file by that of an option. `default` is what transformers takes without the option.
    fn lay_over(&mut self, option: &str, file: &mut Value, default: Option<Value>) {
        let Some(value) = self.config.get(option) else {
            if let Some(default) = default.filter(|default| default != file) {
                note(
                    &mut self.unconfirmed,
                    format!("{option} as {default}, not {file}"),
                );
            }
            return;
        };
        let usable = value.is_boolean() || (option == "strip_accents" && value.is_null());
        if usable && file != value {
            note(
                &mut self.changed,
                format!("{option} is {value}, the tokenizer has {file}"),
            );
            *file = value.clone();
        }
    }

    fn warnings(self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.changed.is_empty() {
            warnings.push(format!(
                "{TOKENIZER_CONFIG} contradicts this file and is followed, as transformers does: {}",
                self.changed.join("; ")
            ));
        }
        if !self.unconfirmed.is_empty() {
            warnings.push(format!(
                "this file is followed; without the key in {TOKENIZER_CONFIG} transformers takes {}",
                self.unconfirmed.join("; ")
            ));
        }
        warnings
    }
}

/// Adds a line once.
fn note(lines: &mut Vec<String>, line: String) {
    if !lines.contains(&line) {
        lines.push(line);
    }
}

/// The keys of `tokenizer_config.json` that agree with this `tokenizer.json`. Of `add_prefix_space` and `trim_offsets`
/// those that are not as transformers takes them without the key.
pub(super) fn options_of(json: &Value) -> Map<String, Value> {
    let mut options = Map::new();
    let pre_tokenizer = &json["pre_tokenizer"];
    if pre_tokenizer["type"] == "ByteLevel" && pre_tokenizer["add_prefix_space"] == true {
        options.insert("add_prefix_space".to_owned(), true.into());
    }
    if json["post_processor"]["trim_offsets"] == false {
        options.insert("trim_offsets".to_owned(), false.into());
    }
    let normalizer = &json["normalizer"];
    if normalizer["type"] == "BertNormalizer" {
        for (option, key, _) in NORMALIZER_OPTIONS {
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
        named.and_then(token_text).unwrap_or(defaults[index])
    })
}

/// The text of a token, which is a text or an object with its `content`.
fn token_text(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token["content"].as_str())
}

/// The `added_tokens` of a `tokenizer.json`: the special tokens that the vocabulary has and those that were saved, each text
/// once, in the order of their ids. With `mask_lstrip` the mask token takes the white space before it.
fn added_tokens(
    vocab: &Map<String, Value>,
    names: &[&str; 5],
    mask_lstrip: bool,
    saved: &SavedTokens,
) -> Vec<Value> {
    let [.., mask] = names;
    let token = |name: &&str| {
        let id = vocab.get(*name)?;
        let token = AddedToken {
            lstrip: mask_lstrip && name == mask,
            ..AddedToken::new(name, false, true)
        };
        Some(token.to_json(id.clone()))
    };
    let special = names.iter().filter_map(token);
    let saved = saved.iter().map(|(id, token)| token.to_json(*id));
    let mut texts = HashSet::new();
    let mut added: Vec<Value> = special.chain(saved).collect();
    added.retain(|token| texts.insert(token["content"].clone()));
    added.sort_by_key(|token| token["id"].as_u64());
    added
}

pub(super) fn flag(config: &Map<String, Value>, key: &str, default: bool) -> bool {
    config.get(key).and_then(Value::as_bool).unwrap_or(default)
}

/// Whether the folder is one of this kind, from the tokenizer's class or the model's type.
fn is_kind(config: &Map<String, Value>, kind: &str) -> bool {
    let class = class(config);
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
pub(super) type Built = Result<(Value, Option<String>), String>;

/// BERT's tokenizer, or MPNet's, from a `vocab.txt`: a token per line.
fn word_piece(text: &str, config: &Map<String, Value>, saved: &SavedTokens) -> Built {
    let mut vocab = Map::new();
    // An empty line is no token, as at the end of a file that an editor has saved.
    for (id, token) in text
        .lines()
        .enumerate()
        .filter(|(_, token)| !token.is_empty())
    {
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
        "added_tokens": added_tokens(&vocab, &names, mpnet, saved),
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
fn byte_level_bpe(
    vocab: Value,
    merges: &str,
    config: &Map<String, Value>,
    saved: &SavedTokens,
) -> Built {
    let Value::Object(vocab) = vocab else {
        return Err("not a vocabulary: it is no JSON object".to_owned());
    };
    let (pairs, warning) = merge_pairs(merges)?;
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
        "added_tokens": added_tokens(&vocab, &names, true, saved),
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
    Ok((json, warning))
}

/// The pairs of a `merges.txt`. As with transformers 4, its first line is the version whatever it says, and what stands
/// behind the last line end is none; a warning names pairs that are lost so.
fn merge_pairs(text: &str) -> Result<(Vec<[&str; 2]>, Option<String>), String> {
    let mut lines: Vec<&str> = text.split('\n').collect();
    let last = lines.pop();
    let first = lines.first().copied();
    let lost: Vec<String> = [first.filter(|line| !line.starts_with("#version")), last]
        .into_iter()
        .flatten()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(quote)
        .collect();
    let mut pairs = Vec::new();
    for (number, line) in (1..).zip(lines).skip(1) {
        if line.trim().is_empty() {
            continue;
        }
        let tokens: Vec<&str> = line.split_whitespace().collect();
        let pair = <[&str; 2]>::try_from(tokens).map_err(|_| {
            format!("merges.txt: line {number}: not two tokens with a space between them")
        })?;
        pairs.push(pair);
    }
    let warning = (!lost.is_empty()).then(|| {
        format!(
            "merges.txt: {} passed over, as transformers 4 does: the first line is always the #version, and the last one \
             needs a line end",
            lost.join(" and ")
        )
    });
    Ok((pairs, warning))
}
