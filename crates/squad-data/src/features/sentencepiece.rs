//! Makes a `tokenizer.json` of a SentencePiece model, with the rules of transformers 4's converters.
//!
//! The model is a protobuf message, SentencePiece's `ModelProto`: pieces with scores, how they were trained, and compiled
//! normalization rules.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use crate::features::added_token::{ADDITIONAL, AddedToken, DECODER};
use crate::features::charsmap::encode_base64;
use crate::features::model_file::instead_of_file;
use crate::features::tokenizer_folder::{Built, MAKE_TOKENIZER, flag};
use crate::varint::varint;

/// XLM-V has 901,629.
const MAX_PIECES: usize = 4_000_000;

const DAMAGED: &str = "damaged, or no SentencePiece model: download it again";

/// A field of a protobuf message.
enum Field<'a> {
    Varint(u64),
    Fixed32([u8; 4]),
    /// A text, bytes or a message.
    Bytes(&'a [u8]),
    /// Of a type that SentencePiece does not use.
    Fixed64,
}

/// Takes a field and its number from the front. `None` if the bytes are no protobuf message.
fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let key = varint(bytes)?;
    let field = match key & 7 {
        0 => Field::Varint(varint(bytes)?),
        1 => {
            *bytes = bytes.get(8..)?;
            Field::Fixed64
        }
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            let (content, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            Field::Bytes(content)
        }
        5 => {
            let (content, rest) = bytes.split_first_chunk()?;
            *bytes = rest;
            Field::Fixed32(*content)
        }
        _ => return None,
    };
    Some((key >> 3, field))
}

/// Calls `visit` with each field of a message.
fn visit_fields<'a>(
    mut bytes: &'a [u8],
    mut visit: impl FnMut(u64, Field<'a>) -> Result<(), String>,
) -> Result<(), String> {
    while !bytes.is_empty() {
        let (number, field) = field(&mut bytes).ok_or(DAMAGED)?;
        visit(number, field)?;
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Piece<'a> {
    text: &'a str,
    score: f32,
    /// 1 is a normal piece.
    kind: u64,
}

/// Such a piece is a special token.
const CONTROL: u64 = 3;
/// Such a piece is found in a text before anything else.
const USER_DEFINED: u64 = 4;

/// What transformers uses of a `ModelProto`.
#[derive(Debug, PartialEq)]
struct Model<'a> {
    pieces: Vec<Piece<'a>>,
    /// 1 is Unigram.
    algorithm: u64,
    unk_id: u64,
    byte_fallback: bool,
    charsmap: &'a [u8],
}

impl<'a> Model<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        if let Some(problem) = instead_of_file(bytes) {
            return Err(problem.to_owned());
        }
        let mut model = Self {
            pieces: Vec::new(),
            algorithm: 1,
            unk_id: 0,
            byte_fallback: false,
            charsmap: &[],
        };
        visit_fields(bytes, |number, field| {
            match (number, field) {
                (1, Field::Bytes(piece)) => {
                    if model.pieces.len() == MAX_PIECES {
                        return Err(format!("more than {MAX_PIECES} pieces"));
                    }
                    let piece = piece_of(piece, model.pieces.len())?;
                    model.pieces.push(piece);
                }
                (2, Field::Bytes(trainer)) => visit_fields(trainer, |number, field| {
                    match (number, field) {
                        (3, Field::Varint(value)) => model.algorithm = value,
                        (35, Field::Varint(value)) => model.byte_fallback = value != 0,
                        (40, Field::Varint(value)) => model.unk_id = value,
                        _ => {}
                    }
                    Ok(())
                })?,
                (3, Field::Bytes(normalizer)) => visit_fields(normalizer, |number, field| {
                    if let (2, Field::Bytes(charsmap)) = (number, field) {
                        model.charsmap = charsmap;
                    }
                    Ok(())
                })?,
                _ => {}
            }
            Ok(())
        })?;
        if model.pieces.is_empty() {
            return Err(DAMAGED.to_owned());
        }
        let mut texts = HashSet::with_capacity(model.pieces.len());
        let twice = model.pieces.iter().find(|piece| !texts.insert(piece.text));
        if let Some(piece) = twice {
            return Err(format!("has the piece {:?} twice", piece.text));
        }
        Ok(model)
    }
}

fn piece_of(message: &[u8], id: usize) -> Result<Piece<'_>, String> {
    let mut text: &[u8] = &[];
    let mut score = 0.0;
    let mut kind = 1;
    visit_fields(message, |number, field| {
        match (number, field) {
            (1, Field::Bytes(bytes)) => text = bytes,
            (2, Field::Fixed32(bytes)) => score = f32::from_le_bytes(bytes),
            (3, Field::Varint(value)) => kind = value,
            _ => {}
        }
        Ok(())
    })?;
    let text = std::str::from_utf8(text).map_err(|_| DAMAGED)?;
    if text.is_empty() {
        return Err(format!("piece {id} has no text: {DAMAGED}"));
    }
    if !score.is_finite() {
        return Err(format!(
            "piece {id} ({text:?}) has the score {score}: {DAMAGED}"
        ));
    }
    Ok(Piece { text, score, kind })
}

/// Whose rules a model follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Albert,
    Camembert,
    DebertaV2,
    XlmRoberta,
}

impl Kind {
    /// Of the tokenizer's class, else of the model's type.
    fn of(config: &Map<String, Value>) -> Result<Self, String> {
        let named = ["tokenizer_class", "model_type"].map(|key| config.get(key));
        let named = named.into_iter().flatten().find_map(Value::as_str);
        let name = named.unwrap_or_default().replace(['-', '_'], "");
        let name = name.to_ascii_lowercase();
        for (prefix, kind) in [
            ("albert", Self::Albert),
            ("camembert", Self::Camembert),
            ("debertav2", Self::DebertaV2),
            ("xlmroberta", Self::XlmRoberta),
        ] {
            if name.starts_with(prefix) {
                return Ok(kind);
            }
        }
        let whose = named.map_or_else(
            || "neither tokenizer_class nor model_type says whose rules this SentencePiece model follows".to_owned(),
            |name| format!("SentencePiece models of {name} are not supported"),
        );
        Err(format!("{whose}; {MAKE_TOKENIZER}"))
    }

    /// Whether the vocabulary is fairseq's, with special tokens of its own before the pieces.
    fn is_fairseq(self) -> bool {
        matches!(self, Self::Camembert | Self::XlmRoberta)
    }

    fn vocab(self, pieces: &[Piece<'_>]) -> Vec<(String, f64)> {
        let (special, skipped): (&[(&str, f64)], _) = match self {
            Self::Albert | Self::DebertaV2 => (&[], 0),
            Self::Camembert => (
                &[
                    ("<s>NOTUSED", 0.0),
                    ("<pad>", 0.0),
                    ("</s>NOTUSED", 0.0),
                    ("<unk>", 0.0),
                    ("<unk>NOTUSED", -100.0),
                ],
                1,
            ),
            Self::XlmRoberta => (
                &[("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)],
                3,
            ),
        };
        let special = special
            .iter()
            .map(|&(text, score)| (text.to_owned(), score));
        let pieces = pieces.iter().skip(skipped).map(|piece| {
            // ALBERT tokenizes a number and the comma after it apart.
            let penalty = if self == Self::Albert && ends_with_digit_and_comma(piece.text) {
                100.0
            } else {
                0.0
            };
            (piece.text.to_owned(), f64::from(piece.score) - penalty)
        });
        let mask = self.is_fairseq().then(|| ("<mask>".to_owned(), 0.0));
        special.chain(pieces).chain(mask).collect()
    }

    fn normalizer(self, charsmap: &[u8], config: &Map<String, Value>) -> Value {
        let replace = |pattern: Value, content: &str| json!({"type": "Replace", "pattern": pattern, "content": content});
        let strip = |left| json!({"type": "Strip", "strip_left": left, "strip_right": true});
        let kind = |kind: &str| json!({"type": kind});
        let spaces = json!({"Regex": " {2,}"});
        let precompiled = (!charsmap.is_empty()).then(
            || json!({"type": "Precompiled", "precompiled_charsmap": encode_base64(charsmap)}),
        );
        let mut steps = Vec::new();
        match self {
            Self::Albert => {
                steps.extend(["``", "''"].map(|quote| replace(json!({"String": quote}), "\"")));
                if !flag(config, "keep_accents", false) {
                    steps.extend(["NFKD", "StripAccents"].map(kind));
                }
                if flag(config, "do_lower_case", true) {
                    steps.push(kind("Lowercase"));
                }
                steps.extend(precompiled);
                steps.push(replace(spaces, " "));
            }
            Self::DebertaV2 => {
                if flag(config, "do_lower_case", false) {
                    steps.push(kind("Lowercase"));
                }
                steps.push(strip(true));
                steps.extend(precompiled);
                steps.push(replace(spaces, " "));
            }
            Self::Camembert | Self::XlmRoberta => {
                steps.extend(precompiled);
                steps.push(strip(false));
                steps.push(replace(spaces, "▁"));
            }
        }
        json!({"type": "Sequence", "normalizers": steps})
    }

    /// The special tokens that a folder need not name.
    fn default_tokens(self) -> Vec<(&'static str, &'static str)> {
        let [cls, sep, unk, pad, mask] = match self {
            Self::Albert => ["[CLS]", "[SEP]", "<unk>", "<pad>", "[MASK]"],
            Self::DebertaV2 => ["[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]"],
            Self::Camembert | Self::XlmRoberta => ["<s>", "</s>", "<unk>", "<pad>", "<mask>"],
        };
        vec![
            ("bos_token", cls),
            ("eos_token", sep),
            ("unk_token", unk),
            ("sep_token", sep),
            ("pad_token", pad),
            ("cls_token", cls),
            ("mask_token", mask),
        ]
    }
}

/// Python's `isdigit`: Rust's `is_numeric` has fractions and Roman numerals too, which normalization takes apart.
fn ends_with_digit_and_comma(piece: &str) -> bool {
    let mut letters = piece.chars().rev();
    letters.next() == Some(',') && letters.next().is_some_and(char::is_numeric)
}

/// A special token: by its text alone, or with how it behaves.
enum Named {
    Text(String),
    Token(AddedToken),
}

impl Named {
    fn of(value: &Value) -> Option<Self> {
        match value.as_str() {
            Some(text) => Some(Self::Text(text.to_owned())),
            None => AddedToken::from_object(value, true).map(Self::Token),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Token(token) => &token.text,
        }
    }
}

/// The special tokens of a folder, in transformers' order, each text once.
fn special_tokens(kind: Kind, config: &Map<String, Value>, saved: &[AddedToken]) -> Vec<Named> {
    // `added_tokens_decoder` also says how a token behaves that another key names.
    let saved = if config.contains_key(DECODER) {
        saved
    } else {
        &[]
    };
    let mut tokens = Vec::new();
    for (key, default) in kind.default_tokens() {
        let named = match config.get(key) {
            None => Some(Named::Text(default.to_owned())),
            Some(value) => Named::of(value).map(|named| {
                let saved = saved.iter().find(|token| token.text == named.text());
                saved.map_or(named, |token| Named::Token(token.clone()))
            }),
        };
        tokens.extend(named.map(|named| match (named, key) {
            // Else as the class of the tokenizer has it.
            (Named::Text(text), "mask_token") if kind != Kind::DebertaV2 => {
                Named::Token(AddedToken {
                    lstrip: true,
                    ..AddedToken::new(&text, false, true)
                })
            }
            (Named::Text(text), "unk_token") if kind == Kind::DebertaV2 => {
                Named::Token(AddedToken::new(&text, true, true))
            }
            (named, _) => named,
        }));
    }
    match config.get(ADDITIONAL).and_then(Value::as_array) {
        Some(additional) => tokens.extend(additional.iter().filter_map(Named::of)),
        None if kind == Kind::Camembert => {
            let unused = ["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"];
            tokens.extend(unused.map(|text| Named::Text(text.to_owned())));
        }
        None => {}
    }
    let mut texts = HashSet::new();
    tokens.retain(|named| texts.insert(named.text().to_owned()));
    tokens
}

/// Ids of texts, and the added tokens among them.
struct AddedTokens<'a> {
    vocab: HashMap<&'a str, usize>,
    num_ids: usize,
    /// With their ids, each text once.
    tokens: Vec<(usize, AddedToken)>,
    /// Places in `tokens`.
    places: HashMap<String, usize>,
}

impl<'a> AddedTokens<'a> {
    fn new(vocab: &'a [(String, f64)]) -> Self {
        let ids = vocab.iter().enumerate();
        Self {
            vocab: ids.map(|(id, (text, _))| (text.as_str(), id)).collect(),
            num_ids: vocab.len(),
            tokens: Vec::new(),
            places: HashMap::new(),
        }
    }

    /// Gives a text that has no id the next one, whatever the files say, and replaces an earlier token of the same text.
    fn add(&mut self, token: AddedToken) {
        if token.text.is_empty() {
            return;
        }
        if let Some(&place) = self.places.get(&token.text) {
            self.tokens[place].1 = token;
            return;
        }
        let known = self.vocab.get(token.text.as_str()).copied();
        let id = known.unwrap_or(self.num_ids);
        self.num_ids += usize::from(known.is_none());
        self.places.insert(token.text.clone(), self.tokens.len());
        self.tokens.push((id, token));
    }

    fn id(&self, text: &str) -> Option<usize> {
        let added = self.places.get(text).map(|&place| self.tokens[place].0);
        added.or_else(|| self.vocab.get(text).copied())
    }

    fn to_json(&self) -> Vec<Value> {
        let tokens = self.tokens.iter();
        tokens.map(|(id, token)| token.to_json(*id)).collect()
    }
}

/// The tokenizer of a SentencePiece model with the configuration of its folder, and the tokens beside its vocabulary in the
/// order of their ids.
pub(super) fn unigram(bytes: &[u8], config: &Map<String, Value>, saved: Vec<AddedToken>) -> Built {
    let kind = Kind::of(config)?;
    let model = Model::parse(bytes)?;
    if model.algorithm != 1 {
        let algorithm = match model.algorithm {
            2 => "BPE",
            3 => "words",
            4 => "characters",
            _ => "an unknown algorithm",
        };
        return Err(format!(
            "a SentencePiece model of {algorithm}, and only Unigram is read; {MAKE_TOKENIZER}"
        ));
    }
    let vocab = kind.vocab(&model.pieces);
    let unk_id = if kind.is_fairseq() { 3 } else { model.unk_id };
    if usize::try_from(unk_id).map_or(true, |id| id >= vocab.len()) {
        return Err(format!("has no piece with its unk_id {unk_id}: {DAMAGED}"));
    }

    let specials = special_tokens(kind, config, &saved);
    let mut added = AddedTokens::new(&vocab);
    for piece in &model.pieces {
        if matches!(piece.kind, CONTROL | USER_DEFINED) {
            added.add(AddedToken::new(piece.text, false, piece.kind == CONTROL));
        }
    }
    for mut token in saved {
        token.special |= specials.iter().any(|named| named.text() == token.text);
        added.add(token);
    }
    for named in specials {
        match named {
            Named::Token(token) => added.add(AddedToken {
                special: true,
                ..token
            }),
            Named::Text(text) if !added.places.contains_key(&text) => {
                added.add(AddedToken::new(&text, false, true));
            }
            Named::Text(_) => {}
        }
    }

    let metaspace =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    let pre_tokenizer = if kind == Kind::DebertaV2 && flag(config, "split_by_punct", false) {
        let punctuation = json!({"type": "Punctuation", "behavior": "Isolated"});
        json!({"type": "Sequence", "pretokenizers": [punctuation, metaspace]})
    } else {
        metaspace.clone()
    };
    let json = json!({
        "version": "1.0",
        "added_tokens": added.to_json(),
        "normalizer": kind.normalizer(model.charsmap, config),
        "pre_tokenizer": pre_tokenizer,
        "post_processor": post_processor(kind, &added)?,
        "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": unk_id, "byte_fallback": false, "vocab": vocab},
    });
    let warning = model.byte_fallback.then(|| {
        "this model writes unknown letters as bytes; here they are unknown tokens, as with transformers".to_owned()
    });
    Ok((json, warning))
}

/// Whatever `cls_token` and `sep_token` are, as transformers has it.
fn post_processor(kind: Kind, added: &AddedTokens<'_>) -> Result<Value, String> {
    let [cls, sep] = if kind.is_fairseq() {
        ["<s>", "</s>"]
    } else {
        ["[CLS]", "[SEP]"]
    };
    let mut special_tokens = Map::new();
    for text in [cls, sep] {
        let id = added.id(text).ok_or_else(|| {
            format!("has no {text:?}, which stands around questions and contexts of this type")
        })?;
        special_tokens.insert(
            text.to_owned(),
            json!({"id": text, "ids": [id], "tokens": [text]}),
        );
    }
    let piece =
        |text: &str, type_id: u32| json!({"SpecialToken": {"id": text, "type_id": type_id}});
    let sequence = |id: &str, type_id: u32| json!({"Sequence": {"id": id, "type_id": type_id}});
    let single = vec![piece(cls, 0), sequence("A", 0), piece(sep, 0)];
    let mut pair = single.clone();
    if kind.is_fairseq() {
        pair.extend([piece(sep, 0), sequence("B", 0), piece(sep, 0)]);
    } else {
        pair.extend([sequence("B", 1), piece(sep, 1)]);
    }
    Ok(
        json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special_tokens}),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value > 0x7f {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    /// A field with a number.
    fn integer(field: u64, value: u64) -> Vec<u8> {
        [number(field << 3), number(value)].concat()
    }

    /// A field with bytes.
    fn content(field: u64, bytes: &[u8]) -> Vec<u8> {
        let length = number(bytes.len() as u64);
        [&number(field << 3 | 2), &length, bytes].concat()
    }

    fn piece(text: &str, score: f32, kind: u64) -> Vec<u8> {
        let score = [&[2 << 3 | 5], &score.to_le_bytes()[..]].concat();
        let message = [content(1, text.as_bytes()), score, integer(3, kind)].concat();
        content(1, &message)
    }

    /// A small ALBERT's.
    fn albert() -> Vec<u8> {
        let pieces = [
            piece("<pad>", 0.0, 3),
            piece("<unk>", 0.0, 2),
            piece("[CLS]", 0.0, 3),
            piece("[SEP]", 0.0, 3),
            piece("▁1,", -2.5, 1),
            piece("a", -1.5, 1),
        ];
        let trainer = [integer(3, 1), integer(40, 1)].concat();
        [pieces.concat(), content(2, &trainer)].concat()
    }

    fn build(bytes: &[u8]) -> Result<Value, String> {
        let config = json!({"model_type": "albert"});
        let built = unigram(bytes, config.as_object().unwrap(), Vec::new());
        built.map(|(json, _)| json)
    }

    fn error(bytes: &[u8]) -> String {
        build(bytes).unwrap_err()
    }

    #[test]
    fn pieces_and_options_are_read() {
        let json = build(&albert()).unwrap();
        let vocab = &json["model"]["vocab"];
        assert_eq!(vocab[5], json!(["a", -1.5]));
        // ALBERT's penalty.
        assert_eq!(vocab[4], json!(["▁1,", -102.5]));
        assert_eq!(json["model"]["unk_id"], 1);
        let added = json["added_tokens"].as_array().unwrap();
        let ids: Vec<_> = added.iter().filter_map(|t| t["id"].as_u64()).collect();
        // The mask token is new, and the unknown token comes from the configuration's defaults.
        assert_eq!(ids, [0, 2, 3, 1, 6]);
        // A later message of the same field adds to the first, as protobuf has it.
        let bytes = [albert(), content(2, &integer(35, 1))].concat();
        assert!(Model::parse(&bytes).unwrap().byte_fallback);
        assert_eq!(Model::parse(&bytes).unwrap().unk_id, 1);
        // Fields of other versions are skipped.
        let fixed64 = [number(97 << 3 | 1), vec![0; 8]].concat();
        let other = [albert(), integer(99, u64::MAX), content(98, b"x"), fixed64].concat();
        assert_eq!(
            Model::parse(&other).unwrap(),
            Model::parse(&albert()).unwrap()
        );
    }

    #[test]
    fn what_is_no_unigram_model_is_refused() {
        for (algorithm, name) in [
            (2, "of BPE"),
            (3, "of words"),
            (4, "of char"),
            (7, "unknown"),
        ] {
            let bytes = [albert(), content(2, &integer(3, algorithm))].concat();
            let message = error(&bytes);
            assert!(
                message.contains(name) && message.contains("AutoTokenizer"),
                "{message}"
            );
        }
        for unk_id in [6, 1 << 31, u64::MAX] {
            let bytes = [albert(), content(2, &integer(40, unk_id))].concat();
            assert!(error(&bytes).contains("unk_id"));
        }
        for score in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(error(&[albert(), piece("b", score, 1)].concat()).contains("piece 6 (\"b\")"));
        }
        assert!(error(&[albert(), piece("", 0.0, 1)].concat()).contains("no text"));
        assert!(error(&[albert(), piece("a", 0.0, 1)].concat()).contains("\"a\" twice"));
        let not_utf8 = content(1, &content(1, b"\xff\xfe"));
        assert!(error(&[albert(), not_utf8].concat()).contains("damaged"));
        // A special token that the vocabulary lacks is added, unless the configuration names another in its place.
        assert!(build(&piece("a", 0.0, 2)).is_ok());
        let config = json!({"model_type": "albert", "cls_token": "<c>", "bos_token": "<c>"});
        let config = config.as_object().unwrap();
        let message = unigram(&piece("a", 0.0, 2), config, Vec::new()).unwrap_err();
        assert!(message.starts_with("has no \"[CLS]\""), "{message}");
    }

    #[test]
    fn hostile_bytes_are_errors() {
        let overflow = [&[0x08][..], &[0xff; 9], &[0x02]].concat();
        let endless = [&[0x08][..], &[0x80; 40]].concat();
        let beyond = [number(1 << 3 | 2), number(1 << 31)].concat();
        let longest = [number(1 << 3 | 2), number(u64::MAX)].concat();
        for bytes in [
            &b"x"[..],
            b"<!DOCTYPE html>",
            b"\x0b",
            b"\x0c",
            b"\x0f",
            b"\x0d\0\0",
            b"\x09\0\0\0",
            &overflow,
            &endless,
            &beyond,
            &longest,
        ] {
            assert!(
                Model::parse(&[&albert(), bytes].concat()).is_err(),
                "{bytes:?}"
            );
        }
        assert!(error(b"").contains("empty"));
        let good = albert();
        for length in 0..good.len() {
            let _ = build(&good[..length]);
        }
        for index in 0..good.len() {
            for byte in 0..=255 {
                let mut bytes = good.clone();
                bytes[index] = byte;
                let _ = build(&bytes);
            }
        }
    }

    #[test]
    fn too_many_pieces_are_refused() {
        let one = piece("a", 0.0, 1);
        let bytes = one.repeat(MAX_PIECES + 1);
        let message = Model::parse(&bytes).unwrap_err();
        assert_eq!(message, "more than 4000000 pieces");
    }
}
