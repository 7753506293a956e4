//! Checks a `tokenizer.json` before the `tokenizers` crate sees it.
//!
//! That crate trusts the file: some damaged files make it panic, some small ones make texts grow without bound. Only
//! what encoders use is let through.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::features::charsmap;

/// The largest known tokenizer of an encoder has 17 MB.
pub(super) const MAX_BYTES: u64 = 256 << 20;
/// The most that normalizers and pre-tokenizers together may make of one byte. Those of DeBERTa come to 132.
const MAX_GROWTH: usize = 512;
/// Normalizers and pre-tokenizers. Known tokenizers have at most eight.
const MAX_STEPS: usize = 32;
/// Characters of a pattern. Known patterns have at most 300.
const MAX_PATTERN: usize = 2048;
/// WordPiece's time grows with the square of a word's length. Known tokenizers have 100 and 200.
const MAX_CHARS_PER_WORD: u64 = 1000;

/// The largest id of a vocabulary: to save one takes time and memory for each id below it. The largest known vocabulary of an
/// encoder has 901,629 tokens.
const MAX_ID: u64 = (4 << 20) - 1;

/// A `tokenizer.json` in parts.
pub(super) struct TokenizerJson {
    /// What the `tokenizers` crate reads: without decoder, truncation and padding.
    pub(super) encoder: Value,
    /// How ids become text again. It is only kept, for the file that is saved.
    pub(super) decoder: Value,
    pub(super) post_processor: Value,
}

impl TokenizerJson {
    /// Checks a file. The error is what is wrong with it.
    pub(super) fn check(file: Value) -> Result<Self, String> {
        let Value::Object(mut file) = file else {
            return Err("not a tokenizer.json: it is no JSON object".to_owned());
        };
        let mut take = |key| file.remove(key).unwrap_or(Value::Null);
        let decoder = take("decoder");
        let post_processor = take("post_processor");
        let model = take("model");
        if !model.is_object() {
            return Err("not a tokenizer.json: it has no model".to_owned());
        }
        check_model(&model)?;
        let mut steps = Steps {
            count: 0,
            growth: 1,
        };
        let mut encoder = Map::new();
        for (key, children, check) in [
            ("normalizer", "normalizers", check_normalizer as Check),
            ("pre_tokenizer", "pretokenizers", check_pre_tokenizer),
        ] {
            let step = take(key);
            if !step.is_null() {
                steps.check(key, children, &step, check)?;
            }
            encoder.insert(key.to_owned(), step);
        }
        let version = take("version");
        if !version.is_null() {
            encoder.insert("version".to_owned(), version);
        }
        let mut added = take("added_tokens");
        check_added_tokens(&mut added)?;
        encoder.insert("added_tokens".to_owned(), added);
        encoder.insert("post_processor".to_owned(), post_processor.clone());
        encoder.insert("model".to_owned(), model);
        Ok(Self {
            encoder: Value::Object(encoder),
            decoder,
            post_processor,
        })
    }
}

fn kind(step: &Value) -> &str {
    step["type"].as_str().unwrap_or_default()
}

fn check_model(model: &Value) -> Result<(), String> {
    const SUPPORTED: [&str; 4] = ["WordPiece", "BPE", "Unigram", "WordLevel"];
    // Old files have no type; the `tokenizers` crate then knows the model by its keys.
    if let Some(kind) = model.get("type")
        && !kind.as_str().is_some_and(|kind| SUPPORTED.contains(&kind))
    {
        return Err(format!(
            "model.type {kind} is not supported: use {}",
            SUPPORTED.join(", ")
        ));
    }
    let vocab = &model["vocab"];
    let empty = match vocab {
        Value::Object(vocab) => vocab.is_empty(),
        Value::Array(vocab) => vocab.is_empty(),
        _ => return Err("model.vocab is missing".to_owned()),
    };
    if empty {
        return Err("model.vocab is empty".to_owned());
    }
    if let Value::Object(vocab) = vocab {
        check_ids(vocab)?;
    }
    let dropout = model["dropout"].as_f64().unwrap_or(0.0);
    if dropout != 0.0 {
        return Err(format!(
            "model.dropout {dropout} tokenizes at random: set it to null"
        ));
    }
    if let Some(limit) = model["max_input_chars_per_word"].as_u64()
        && limit > MAX_CHARS_PER_WORD
    {
        return Err(format!(
            "model.max_input_chars_per_word {limit} is too large: use at most {MAX_CHARS_PER_WORD}"
        ));
    }
    Ok(())
}

fn check_ids(vocab: &Map<String, Value>) -> Result<(), String> {
    let mut tokens = HashMap::with_capacity(vocab.len());
    for (token, id) in vocab {
        // The `tokenizers` crate refuses what is no id.
        let Some(id) = id.as_u64() else { continue };
        if id > MAX_ID {
            return Err(format!(
                "model.vocab gives {token:?} the id {id}, which is too large: use at most {MAX_ID}"
            ));
        }
        if let Some(other) = tokens.insert(id, token) {
            return Err(format!(
                "model.vocab gives {other:?} and {token:?} the same id: one of them would be lost when it is saved"
            ));
        }
    }
    Ok(())
}

/// Added tokens with an empty text mean nothing; the rest must be texts.
fn check_added_tokens(added: &mut Value) -> Result<(), String> {
    match added {
        Value::Null => *added = Value::Array(Vec::new()),
        Value::Array(tokens) => {
            let wrong = tokens
                .iter()
                .position(|token| !token["content"].is_string());
            if let Some(index) = wrong {
                return Err(format!("added_tokens[{index}] has no content"));
            }
        }
        _ => return Err("added_tokens is no list".to_owned()),
    }
    Ok(())
}

/// The growth of one step, or what is wrong with it.
type Check = fn(&Value) -> Result<usize, String>;

/// Normalizers and pre-tokenizers so far.
struct Steps {
    count: usize,
    growth: usize,
}

impl Steps {
    fn check(
        &mut self,
        at: &str,
        children: &str,
        step: &Value,
        check: Check,
    ) -> Result<(), String> {
        if kind(step) == "Sequence" {
            let steps = step[children].as_array();
            let steps = steps.ok_or_else(|| format!("{at}.{children} is no list"))?;
            for (index, step) in steps.iter().enumerate() {
                self.check(&format!("{at}.{children}[{index}]"), children, step, check)?;
            }
            return Ok(());
        }
        self.count += 1;
        if self.count > MAX_STEPS {
            return Err(format!(
                "{at}: more than {MAX_STEPS} normalizers and pre-tokenizers"
            ));
        }
        let growth = check(step).map_err(|problem| format!("{at}: {problem}"))?;
        self.growth = self.growth.saturating_mul(growth);
        if self.growth > MAX_GROWTH {
            return Err(format!(
                "{at}: texts may grow more than {MAX_GROWTH} times, which no tokenizer of an encoder needs"
            ));
        }
        Ok(())
    }
}

fn check_normalizer(step: &Value) -> Result<usize, String> {
    match kind(step) {
        // Composed and decomposed forms grow once, by 11 at most, whatever is repeated.
        "BertNormalizer" | "Strip" | "StripAccents" | "NFC" | "NFD" | "NFKC" | "NFKD"
        | "Lowercase" | "Nmt" => Ok(1),
        "ByteLevel" => Ok(2),
        "Prepend" => text(step, "prepend").map(|text| 1 + text.len()),
        "Replace" => {
            let content = text(step, "content")?.len();
            Ok(match pattern(step)? {
                Pattern::Text(pattern) => content.div_ceil(pattern).max(1),
                // A match may be empty.
                Pattern::Regex => content + 1,
            })
        }
        "Precompiled" => charsmap::growth(text(step, "precompiled_charsmap")?)
            .map_err(|problem| format!("precompiled_charsmap {problem}")),
        other => Err(format!("type {other:?} is not supported")),
    }
}

fn check_pre_tokenizer(step: &Value) -> Result<usize, String> {
    match kind(step) {
        "BertPreTokenizer" | "Whitespace" | "WhitespaceSplit" | "Digits" | "Punctuation"
        | "UnicodeScripts" | "CharDelimiterSplit" => Ok(1),
        "ByteLevel" => Ok(2),
        // A space becomes "▁", three bytes.
        "Metaspace" => Ok(3),
        "Split" => pattern(step).map(|_| 1),
        other => Err(format!("type {other:?} is not supported")),
    }
}

fn text<'a>(step: &'a Value, key: &str) -> Result<&'a str, String> {
    step[key]
        .as_str()
        .ok_or_else(|| format!("{key} is no text"))
}

enum Pattern {
    /// Its length in bytes.
    Text(usize),
    Regex,
}

fn pattern(step: &Value) -> Result<Pattern, String> {
    let pattern = &step["pattern"];
    let (text, regex) = match (pattern["String"].as_str(), pattern["Regex"].as_str()) {
        (Some(text), None) => (text, false),
        (None, Some(text)) => (text, true),
        _ => return Err("pattern is neither a String nor a Regex".to_owned()),
    };
    if text.len() > MAX_PATTERN {
        return Err(format!("pattern has more than {MAX_PATTERN} bytes"));
    }
    if regex {
        // The numbers of `{…}` decide how large a compiled pattern is.
        let large = text.split('{').skip(1).any(|rest| {
            let count = rest.split('}').next().unwrap_or_default();
            let mut numbers = count.split(',').map(|n| n.trim().parse::<u64>());
            numbers.any(|number| number.is_ok_and(|number| number > 100))
        });
        if large {
            return Err("pattern repeats a part more than 100 times".to_owned());
        }
        return Ok(Pattern::Regex);
    }
    if text.is_empty() {
        return Ok(Pattern::Regex);
    }
    Ok(Pattern::Text(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(key: &str, value: Value) -> Value {
        let mut file = json!({
            "version": "1.0",
            "model": {"type": "WordPiece", "vocab": {"a": 0}, "max_input_chars_per_word": 100},
        });
        file[key] = value;
        file
    }

    fn error(key: &str, value: Value) -> String {
        match TokenizerJson::check(with(key, value)) {
            Ok(_) => "accepted".to_owned(),
            Err(problem) => problem,
        }
    }

    #[test]
    fn what_grows_without_bound_is_refused() {
        let double = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
        let sequence = |steps: Vec<Value>| json!({"type": "Sequence", "normalizers": steps});
        let doubled = |times| error("normalizer", sequence(vec![double.clone(); times]));
        assert_eq!(doubled(9), "accepted");
        assert!(doubled(10).starts_with("normalizer.normalizers[9]: texts may grow"));
        assert!(doubled(40).contains("grow"));
        let nested = sequence(vec![
            sequence(vec![double; 8]),
            json!({"type": "ByteLevel"}),
        ]);
        assert_eq!(error("normalizer", nested.clone()), "accepted");
        let both = sequence(vec![nested.clone(), nested]);
        assert!(error("normalizer", both).contains("grow"));
        let bytes =
            json!({"type": "Sequence", "pretokenizers": vec![json!({"type": "ByteLevel"}); 12]});
        assert!(error("pre_tokenizer", bytes).contains("grow"));
        let empty =
            json!({"type": "Replace", "pattern": {"Regex": "x*"}, "content": "y".repeat(600)});
        assert!(error("normalizer", empty).contains("grow"));
        let nothing =
            json!({"type": "Replace", "pattern": {"String": ""}, "content": "y".repeat(600)});
        assert!(error("normalizer", nothing).contains("grow"));
        let many = sequence(vec![json!({"type": "NFC"}); 40]);
        assert!(error("normalizer", many).contains("more than 32"));
        let prepend = json!({"type": "Prepend", "prepend": "x".repeat(600)});
        assert!(error("normalizer", prepend).contains("grow"));
    }

    #[test]
    fn what_encoders_do_not_use_is_refused_by_name() {
        for (key, value, named) in [
            (
                "normalizer",
                json!({"type": "Custom"}),
                "normalizer: type \"Custom\"",
            ),
            ("normalizer", json!("NFC"), "normalizer: type \"\""),
            (
                "normalizer",
                json!({"type": "Sequence"}),
                "normalizer.normalizers is no list",
            ),
            (
                "normalizer",
                json!({"type": "Replace", "content": ""}),
                "pattern is neither",
            ),
            (
                "normalizer",
                json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
                "ends before",
            ),
            (
                "normalizer",
                json!({"type": "Precompiled"}),
                "precompiled_charsmap is no text",
            ),
            (
                "pre_tokenizer",
                json!({"type": "FixedLength", "length": 0}),
                "FixedLength",
            ),
            (
                "pre_tokenizer",
                json!({"type": "Split", "pattern": {"Regex": "(a{99}){9999}"}}),
                "repeats",
            ),
            (
                "pre_tokenizer",
                json!({"type": "Split", "pattern": {"Regex": "a".repeat(3000)}}),
                "2048 bytes",
            ),
            (
                "added_tokens",
                json!([{"id": 1}]),
                "added_tokens[0] has no content",
            ),
            ("added_tokens", json!(1), "added_tokens is no list"),
            (
                "model",
                json!({"type": "Foo", "vocab": {"a": 1}}),
                "model.type \"Foo\"",
            ),
            (
                "model",
                json!({"type": "WordPiece", "vocab": {"a": 1, "b": 2, "c": 1}}),
                "gives \"a\" and \"c\" the same id",
            ),
            (
                "model",
                json!({"type": "BPE", "vocab": {"a": 0, "b": 2_888_888_884_u64}}),
                "gives \"b\" the id 2888888884, which is too large",
            ),
            (
                "model",
                json!({"type": "WordLevel", "vocab": {"a": 4_194_304}}),
                "use at most 4194303",
            ),
            (
                "model",
                json!({"type": "BPE", "vocab": {}}),
                "model.vocab is empty",
            ),
            ("model", json!({"type": "BPE"}), "model.vocab is missing"),
            ("model", json!([]), "no model"),
            (
                "model",
                json!({"type": "BPE", "dropout": 0.1, "vocab": {"a": 1}}),
                "at random",
            ),
            (
                "model",
                json!({"type": "WordPiece", "vocab": {"a": 1}, "max_input_chars_per_word": 1e9 as u64}),
                "max_input_chars_per_word",
            ),
        ] {
            let message = error(key, value);
            assert!(message.contains(named), "{message}");
        }
    }
}
