//! The tokenizer of an encoder.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize as _;
use serde_json::{Map, Value};
use tokenizers::Tokenizer;

use crate::error::{Error, one_line, quote};
use crate::features::added_token::ADDED_TOKENS;
use crate::features::model_file::json_problem;
use crate::features::pair_template::PairTemplate;
use crate::features::tokenizer_folder::{self, ClsToken, Found, options_of};
use crate::features::tokenizer_json::TokenizerJson;

/// The name of the thread on which a `tokenizer.json` becomes a tokenizer.
///
/// The `tokenizers` crate panics on some damaged files. The panic ends that thread alone and is returned as
/// [`Error::Tokenizer`], but the process's panic hook runs first, and the default hook prints. A program that wants no
/// such output installs a hook that ignores the thread of this name.
pub const TOKENIZER_THREAD: &str = "squad-data-tokenizer";

/// The tokenizer of an encoder, loaded from its `tokenizer.json`.
///
/// Its post-processor says which special tokens stand around a question and its context ([`PairTemplate`]).
///
/// Truncation and padding are switched off, also in the file that [`QaTokenizer::save`] writes: features need the whole
/// text, and sentence-embedding models ship a `tokenizer.json` that truncates to 128 tokens and pads.
///
/// ```
/// use std::path::Path;
/// use squad_data::QaTokenizer;
///
/// # let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tokenizer.json"));
/// let tokenizer = QaTokenizer::from_file(path)?;
/// let tokens = tokenizer.encode("a naïve 🙂")?;
/// assert_eq!(tokens.ids.len(), tokens.offsets.len());
/// assert_eq!(tokens.offsets[1].0, 2); // the second token starts at the third character
/// # Ok::<(), squad_data::Error>(())
/// ```
#[derive(Clone)]
pub struct QaTokenizer {
    tokenizer: Tokenizer,
    /// How ids become text again, as the file has it.
    decoder: Value,
    /// Keys of `tokenizer_config.json` that agree with the tokenizer.
    options: Map<String, Value>,
    /// Texts of special tokens, by their keys in `tokenizer_config.json`.
    special_tokens: Vec<(&'static str, String)>,
    warnings: Vec<String>,
    name: String,
    template: Arc<PairTemplate>,
    begins_with_cls: bool,
    cuts_from_end: bool,
    vocab_size: usize,
    /// The number of embeddings of the model, where some tokens have none.
    num_embeddings: Option<usize>,
    /// Whether a text may be cut before white space and its pieces tokenized one after the other.
    has_pieces: bool,
}

/// The tokenizers library needs some 300 bytes for each byte of a text, which is then cut into pieces of about this size.
const BYTES_PER_PIECE: usize = 1 << 16;

/// The most tokens that a warning names.
const SHOWN_TOKENS: usize = 8;

/// A tokenized text, without special tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Vocabulary ids, `[tokens]`.
    pub ids: Vec<u32>,
    /// For each token its range in the text in Unicode code points, `[tokens]`.
    pub offsets: Vec<(u32, u32)>,
    /// For each token whether it begins a word of the pre-tokenizer, `[tokens]`.
    pub word_starts: Vec<bool>,
}

impl QaTokenizer {
    /// The file of a tokenizer, or those that make one together. Of a folder the first that it has are read.
    pub const FILES: [&[&str]; 6] = tokenizer_folder::FILES;
    /// Files that say how the vocabulary of a tokenizer without a `tokenizer.json` is used. A folder may lack them.
    pub const CONFIG_FILES: [&str; 3] = [
        tokenizer_folder::SPECIAL_TOKENS_MAP,
        tokenizer_folder::TOKENIZER_CONFIG,
        ADDED_TOKENS,
    ];

    /// Loads a `tokenizer.json`, or the tokenizer of a model folder.
    ///
    /// A folder without `tokenizer.json` may have `vocab.txt` (BERT's), `vocab.json` with `merges.txt` (RoBERTa's), or the
    /// SentencePiece model of a DeBERTa-v2 or v3, XLM-RoBERTa, CamemBERT or ALBERT.
    /// Its `tokenizer_config.json` names special tokens and options of these. Where `do_lower_case`, `strip_accents` or
    /// `tokenize_chinese_chars` contradict `tokenizer.json`, they are followed, as transformers does, and
    /// [`QaTokenizer::warnings`] says so.
    ///
    /// # Errors
    ///
    /// A file cannot be read, is no tokenizer, or its post-processor is missing or not supported.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let Found {
            name,
            json,
            warnings,
            without_types,
            cls_token,
            split_special_tokens,
            cuts_from_end,
        } = tokenizer_folder::read(path)?;
        let mut tokenizer = Self::from_json(&name, json)?;
        tokenizer.warnings = warnings;
        tokenizer.cuts_from_end = cuts_from_end;
        tokenizer
            .tokenizer
            .set_encode_special_tokens(split_special_tokens);
        tokenizer.begins_with_cls = match cls_token {
            ClsToken::Default => true,
            ClsToken::Named(named) => {
                let [first, _] = tokenizer.template.end_ids();
                tokenizer.token(first) == Some(named)
            }
            ClsToken::None => false,
        };
        if without_types {
            tokenizer.template = Arc::new(tokenizer.template.without_types());
        }
        Ok(tokenizer)
    }

    /// Loads a `tokenizer.json` from memory. Messages call it `name`.
    ///
    /// # Errors
    ///
    /// The bytes are no tokenizer, or its post-processor is missing or not supported.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        let json = serde_json::from_slice(bytes).map_err(|error| Error::Tokenizer {
            file: name.to_owned(),
            problem: json_problem(&String::from_utf8_lossy(bytes), &error),
        })?;
        Self::from_json(name, json)
    }

    fn from_json(name: &str, json: Value) -> Result<Self, Error> {
        Self::build(name, json).map_err(|problem| Error::Tokenizer {
            file: name.to_owned(),
            problem,
        })
    }

    fn build(name: &str, json: Value) -> Result<Self, String> {
        let TokenizerJson {
            encoder,
            decoder,
            post_processor,
        } = TokenizerJson::check(json)?;
        let options = options_of(&encoder);
        let special_tokens = special_tokens(&encoder);
        let has_pieces = has_pieces(&encoder);
        let template = PairTemplate::from_post_processor(&post_processor)?;
        let tokenizer = build(encoder)?;
        let unknown = template
            .special_ids()
            .find(|&id| tokenizer.id_to_token(id).is_none());
        if let Some(id) = unknown {
            return Err(format!(
                "post_processor has the id {id}, which the vocabulary does not have"
            ));
        }
        let vocab_size = tokenizer.get_vocab_size(true);
        Ok(Self {
            tokenizer,
            decoder,
            options,
            special_tokens,
            warnings: Vec::new(),
            name: name.to_owned(),
            template: Arc::new(template),
            begins_with_cls: true,
            cuts_from_end: false,
            vocab_size,
            num_embeddings: None,
            has_pieces,
        })
    }

    /// The tokenizer for a model with this number of embeddings. Added tokens may have none: as with transformers, texts
    /// without them are tokenized; with one of them, [`QaTokenizer::encode`] fails.
    ///
    /// # Errors
    ///
    /// The vocabulary itself, or the special tokens around a question and its context, have ids that are too large.
    pub fn with_num_embeddings(mut self, num_embeddings: usize) -> Result<Self, Error> {
        let mut without: Vec<(u32, String)> = self
            .tokenizer
            .get_vocab(true)
            .into_iter()
            // No text has the token of an empty line in a vocabulary.
            .filter(|(token, id)| *id as usize >= num_embeddings && !token.is_empty())
            .map(|(token, id)| (id, token))
            .collect();
        if without.is_empty() {
            return Ok(self);
        }
        without.sort_unstable();
        let vocab = self.tokenizer.get_vocab(false);
        let is_needed = without.iter().any(|(_, token)| vocab.contains_key(token));
        let largest_special = self.template.special_ids().max().unwrap_or_default();
        if is_needed || largest_special as usize >= num_embeddings {
            return Err(self.error(format!(
                "this tokenizer needs {} embeddings, the model has {num_embeddings}: they do not belong together",
                self.num_ids()
            )));
        }
        let shown = without.iter().take(SHOWN_TOKENS);
        let shown: Vec<String> = shown.map(|(_, token)| quote(token)).collect();
        let more = match without.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        self.warnings.push(format!(
            "{}: the model has {num_embeddings} embeddings and none for {}{more}: a text with such a token cannot be used",
            self.name,
            shown.join(", ")
        ));
        self.num_embeddings = Some(num_embeddings);
        Ok(self)
    }

    /// The name that messages use: the file it was loaded from.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was found in the folder and a user should know, each a line: settings that contradict each other.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The keys of a `tokenizer_config.json` with which transformers tokenizes as this tokenizer does: its special
    /// tokens, and `do_lower_case`, `strip_accents` and `tokenize_chinese_chars` if it has a `BertNormalizer`.
    pub fn config(&self) -> Map<String, Value> {
        let mut config = self.options.clone();
        let ids = self.template.end_ids();
        for (key, id) in [("cls_token", ids[0]), ("sep_token", ids[1])] {
            if let Some(token) = self.token(id) {
                config.insert(key.to_owned(), token.into());
            }
        }
        for (key, token) in &self.special_tokens {
            config.insert((*key).to_owned(), token.as_str().into());
        }
        config
    }

    /// Number of entries in the vocabulary, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Number of rows that a word embedding needs: the largest id plus one. More than [`QaTokenizer::vocab_size`] if the
    /// vocabulary skips ids.
    pub fn num_ids(&self) -> usize {
        let largest = self.tokenizer.get_vocab(true).into_values().max();
        largest.map_or(0, |id| id as usize + 1)
    }

    /// The special tokens around a question and its context.
    pub fn pair_template(&self) -> &Arc<PairTemplate> {
        &self.template
    }

    /// Whether a feature begins with the token that transformers knows as the tokenizer's `cls_token`: where it knows none, or
    /// another, its pipeline has no score of "no answer".
    pub fn begins_with_cls(&self) -> bool {
        self.begins_with_cls
    }

    /// Whether a long context is cut into features from its end on.
    pub(crate) fn cuts_from_end(&self) -> bool {
        self.cuts_from_end
    }

    /// The vocabulary entry with this id.
    pub fn token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// Tokenizes a text, without special tokens and truncation.
    ///
    /// # Errors
    ///
    /// The vocabulary cannot express a word and has no unknown token.
    pub fn encode(&self, text: &str) -> Result<Encoding, Error> {
        if !self.has_pieces || text.len() <= BYTES_PER_PIECE {
            return self.encode_piece(text);
        }
        let mut whole = Encoding::default();
        let mut before = 0;
        for piece in pieces(text, BYTES_PER_PIECE) {
            let encoding = self.encode_piece(piece)?;
            let shift = |(start, end): (u32, u32)| {
                (start.saturating_add(before), end.saturating_add(before))
            };
            whole.ids.extend(encoding.ids);
            whole
                .offsets
                .extend(encoding.offsets.into_iter().map(shift));
            whole.word_starts.extend(encoding.word_starts);
            before = before.saturating_add(saturating_u32(piece.chars().count()));
        }
        Ok(whole)
    }

    fn encode_piece(&self, text: &str) -> Result<Encoding, Error> {
        let encoding = self
            .tokenizer
            .encode_char_offsets(text, false)
            .map_err(|error| self.error(format!("cannot tokenize a text: {}", one_line(&error))))?;
        self.check_embeddings(encoding.get_ids())?;
        let offsets = encoding.get_offsets().iter();
        let words = encoding.get_word_ids();
        let begins =
            |token: usize| token == 0 || words[token].is_none() || words[token] != words[token - 1];
        Ok(Encoding {
            ids: encoding.get_ids().to_vec(),
            offsets: offsets
                .map(|&(start, end)| (saturating_u32(start), saturating_u32(end)))
                .collect(),
            word_starts: (0..words.len()).map(begins).collect(),
        })
    }

    /// Refuses ids for which the model has no embedding.
    fn check_embeddings(&self, ids: &[u32]) -> Result<(), Error> {
        let Some(num_embeddings) = self.num_embeddings else {
            return Ok(());
        };
        let without = ids.iter().find(|&&id| id as usize >= num_embeddings);
        without.map_or(Ok(()), |&id| {
            let token = quote(&self.token(id).unwrap_or_default());
            Err(self.error(format!(
                "the token {token} has the id {id}, and the model {num_embeddings} embeddings"
            )))
        })
    }

    /// Writes the tokenizer as `tokenizer.json` in Hugging Face's format, without truncation and padding.
    ///
    /// `path` is the file, or a directory that gets a `tokenizer.json`. The file appears whole or not at all.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let path = if path.is_dir() {
            path.join("tokenizer.json")
        } else {
            path.to_owned()
        };
        let json = self.tokenizer.to_string(true).map_err(|error| {
            let problem = format!("cannot be written as JSON: {}", one_line(&error));
            self.error(problem)
        })?;
        let json = self.with_decoder(&json);
        atomic_fs::write_file(&path, json).map_err(|error| Error::write(&path, error.source))
    }

    /// Puts the decoder back, in the place where the `tokenizers` crate writes it.
    fn with_decoder(&self, json: &str) -> String {
        let decoder = format!("{:#}", self.decoder).replace('\n', "\n  ");
        // Line breaks inside texts are escaped, so this line is the file's own.
        let [none, some] = ["null", &decoder].map(|value| format!("\n  \"decoder\": {value},\n"));
        json.replacen(&none, &some, 1)
    }

    fn error(&self, problem: String) -> Error {
        Error::Tokenizer {
            file: self.name.clone(),
            problem,
        }
    }
}

/// Whether white space separates words whatever stands around it: so it is with BERT's normalizer and pre-tokenizer, unless
/// an added token has white space in it.
fn has_pieces(json: &Value) -> bool {
    let is = |part: &str, kind: &str| json[part]["type"] == kind;
    let added = json["added_tokens"].as_array();
    let mut added = added.into_iter().flatten();
    is("normalizer", "BertNormalizer")
        && is("pre_tokenizer", "BertPreTokenizer")
        && added.all(|token| {
            let content = token["content"].as_str();
            content.is_some_and(|content| !content.contains(char::is_whitespace))
        })
}

/// Cuts a text before white space, where that is possible, into pieces of about `bytes`.
fn pieces(text: &str, bytes: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let from = rest.ceil_char_boundary(bytes.min(rest.len()));
        // ASCII alone: whatever the normalizer makes of other white space, a line without any is one piece.
        let cut = rest[from..]
            .find([' ', '\n'])
            .map_or(rest.len(), |at| from + at);
        let (piece, others) = rest.split_at(cut);
        rest = others;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The unknown, padding and mask tokens of a `tokenizer.json`.
fn special_tokens(json: &Value) -> Vec<(&'static str, String)> {
    let unknown = json["model"]["unk_token"].as_str();
    let mut tokens: Vec<(&str, String)> = unknown
        .map(|token| ("unk_token", token.to_owned()))
        .into_iter()
        .collect();
    let added = json["added_tokens"].as_array();
    for token in added.into_iter().flatten() {
        let content = token["content"].as_str().unwrap_or_default();
        match content.trim_matches(['[', ']', '<', '>']) {
            "PAD" | "pad" => tokens.push(("pad_token", content.to_owned())),
            "MASK" | "mask" => tokens.push(("mask_token", content.to_owned())),
            _ => {}
        }
    }
    tokens
}

/// Makes the tokenizer on a thread of its own, whose panics become errors.
fn build(encoder: Value) -> Result<Tokenizer, String> {
    let thread = std::thread::Builder::new().name(TOKENIZER_THREAD.to_owned());
    let thread = thread
        .spawn(|| Tokenizer::deserialize(encoder).map_err(|error| one_line(&error)))
        .map_err(|error| format!("cannot start a thread to read it: {error}"))?;
    let built = thread.join();
    let built = built.unwrap_or_else(|_| Err("its parts contradict each other".to_owned()));
    built.map_err(|problem| format!("not a tokenizer.json of the `tokenizers` library: {problem}"))
}

impl std::fmt::Debug for QaTokenizer {
    /// Leaves out the vocabulary, which is long.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QaTokenizer")
            .field("name", &self.name)
            .field("vocab_size", &self.vocab_size)
            .finish_non_exhaustive()
    }
}

/// Offsets fit: [`crate::Dataset`] rejects contexts of 4 GiB, and no feature reaches that far into other texts.
fn saturating_u32(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer() -> QaTokenizer {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizer.json");
        QaTokenizer::from_file(&folder).unwrap()
    }

    #[test]
    fn pieces_are_the_text_and_begin_at_white_space() {
        let text = "the café\n🙂 ate 漢字 ".repeat(50);
        for bytes in [1, 7, 64, 10_000] {
            let found: Vec<&str> = pieces(&text, bytes).collect();
            assert_eq!(found.concat(), text);
            let begin = |piece: &&str| piece.starts_with([' ', '\n']);
            assert!(found[1..].iter().all(begin), "{found:?}");
        }
        assert_eq!(pieces("", 4).count(), 0);
        assert_eq!(pieces(&"x".repeat(99), 4).count(), 1);
    }

    #[test]
    fn a_long_text_is_tokenized_as_its_pieces_together() {
        let tokenizer = tokenizer();
        assert!(tokenizer.has_pieces);
        let text =
            "Zoë’s café, 1,250 chairs; (old) bread\r\n\t and 漢字 e\u{301} in\u{a0}it [MASK] . "
                .repeat(4000);
        assert!(text.len() > 4 * BYTES_PER_PIECE);
        let whole = tokenizer.encode_piece(&text).unwrap();
        assert_eq!(tokenizer.encode(&text).unwrap(), whole);
        // The control: a cut inside a word makes other tokens.
        let cut = text.find("bread").unwrap() + 2;
        let [first, second] =
            [&text[..cut], &text[cut..]].map(|t| tokenizer.encode_piece(t).unwrap());
        assert_ne!([first.ids, second.ids].concat(), whole.ids);
    }
}
