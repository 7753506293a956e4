//! A cell of a table that holds a list or an object: JSON, or what Python's `repr` and numpy write.
//!
//! pandas writes `{'text': array(['Ane Holm'], dtype=object), 'answer_start': array([33], dtype=int32)}` for the
//! `answers` of the Hub's datasets, `datasets` writes `{'text': ['Ane Holm'], 'answer_start': [33]}`, and DuckDB leaves
//! out the quotes of plain texts: `{'text': [Ane Holm], 'answer_start': [33]}`.

use serde_json::{Map, Number, Value};

/// Lists and objects inside one another.
const MAX_DEPTH: usize = 32;

/// Words that are no texts.
const KEYWORDS: [&str; 10] = [
    "None", "nan", "NaN", "null", "NULL", "NaT", "True", "true", "False", "false",
];

/// Reads JSON or a Python literal.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    let mut parser = Parser {
        rest: text,
        not_bare: usize::MAX,
    };
    let value = parser.value(0)?;
    parser.space();
    if parser.rest.is_empty() {
        Ok(value)
    } else {
        Err(parser.wrong("the end"))
    }
}

/// The text of what Python's `str` makes of bytes, such as `b'Ane Holm'`, which tables of TFDS have in their cells.
pub(super) fn of_bytes(text: &str) -> Option<String> {
    let quote = text.strip_prefix('b')?.chars().next()?;
    if !matches!(quote, '\'' | '"') || text.len() < 3 || !text.ends_with(quote) {
        return None;
    }
    let mut parser = Parser {
        rest: text,
        not_bare: usize::MAX,
    };
    match parser.value(0).ok()? {
        Value::String(text) if parser.rest.is_empty() => Some(text),
        _ => None,
    }
}

struct Parser<'a> {
    rest: &'a str,
    /// `bare_text` has found that no text without quotes begins while the rest is longer than this. So it looks at each
    /// character once, however many values stand before the next mark.
    not_bare: usize,
}

impl Parser<'_> {
    fn wrong(&self, expected: &str) -> String {
        let found: String = self.rest.chars().take(12).collect();
        format!(
            "neither JSON nor a Python literal: {expected} is missing before {found:?}; \
             write the column with json.dumps, or the file as JSON Lines or Parquet"
        )
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err("lists and objects are nested too deeply".to_owned());
        }
        self.space();
        match self.rest.chars().next() {
            Some('{') => self.object(depth),
            Some('[') => self.list("[", "]", depth),
            Some('(') => self.list("(", ")", depth),
            Some('\'' | '"') => self.string().map(Value::String),
            Some(c) => match self.bare_text(depth) {
                Some(text) => Ok(Value::String(text)),
                None if c.is_ascii_alphabetic() => self.word(depth),
                None => self.number(),
            },
            None => Err(self.wrong("a value")),
        }
    }

    /// A text without quotes, in a list or an object.
    fn bare_text(&mut self, depth: usize) -> Option<String> {
        const MARKS: [char; 12] = [',', ']', '}', '[', '{', '(', ')', '\'', '"', ':', '=', '\\'];
        if depth == 0 || self.rest.len() > self.not_bare {
            return None;
        }
        let end = self.rest.find(MARKS).unwrap_or(self.rest.len());
        let (text, behind) = self.rest.split_at(end);
        // numpy separates values with white space alone.
        let is_value = |word: &str| KEYWORDS.contains(&word) || is_number(word);
        if !behind.starts_with([',', ']', '}']) || text.split_whitespace().all(is_value) {
            self.not_bare = behind.len();
            return None;
        }
        self.rest = behind;
        Some(text.trim_end().to_owned())
    }

    fn list(&mut self, open: &str, close: &str, depth: usize) -> Result<Value, String> {
        self.eat(open);
        let mut list = Vec::new();
        while !self.eat(close) {
            if self.rest.starts_with("...") {
                return Err("numpy shortened the list with \"...\", so values are lost; write the file as JSON Lines or Parquet".to_owned());
            }
            list.push(self.value(depth + 1)?);
            // numpy separates the elements of a list with white space alone when it prints one by itself.
            if !self.eat(",") && self.rest.is_empty() {
                return Err(self.wrong(close));
            }
        }
        Ok(Value::Array(list))
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        self.eat("{");
        let mut object = Map::new();
        while !self.eat("}") {
            let key = match self.value(depth + 1)? {
                Value::String(key) => key,
                other => other.to_string(),
            };
            if !self.eat(":") {
                return Err(self.wrong("\":\""));
            }
            let value = self.value(depth + 1)?;
            object.insert(key, value);
            if !self.eat(",") && !self.rest.starts_with('}') {
                return Err(self.wrong("\",\" or \"}\""));
            }
        }
        Ok(Value::Object(object))
    }

    /// `None`, `True`, `nan`, or a call such as `array([33], dtype=int32)` and `np.int64(33)`, which is its first argument.
    fn word(&mut self, depth: usize) -> Result<Value, String> {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.');
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        match word {
            "True" | "true" | "False" | "false" => {
                self.rest = rest;
                return Ok(Value::Bool(matches!(word, "True" | "true")));
            }
            word if KEYWORDS.contains(&word) => {
                self.rest = rest;
                return Ok(Value::Null);
            }
            // Strings with a prefix.
            "u" | "b" | "r" if rest.starts_with(['\'', '"']) => {
                self.rest = rest;
                let text = self.string()?;
                return Ok(Value::String(if word == "b" {
                    of_utf8(text)
                } else {
                    text
                }));
            }
            _ => {}
        }
        if !rest.starts_with('(') {
            return Err(self.wrong("a value"));
        }
        self.rest = &rest[1..];
        let value = self.value(depth + 1)?;
        // Further arguments, for example `dtype=object`.
        while self.eat(",") {
            let end = self.rest.find([',', ')']).unwrap_or(self.rest.len());
            self.rest = &self.rest[end..];
        }
        if self.eat(")") {
            Ok(value)
        } else {
            Err(self.wrong("\")\""))
        }
    }

    fn number(&mut self) -> Result<Value, String> {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_digit() && !matches!(c, '+' | '-' | '.' | 'e' | 'E' | '_'))
            .unwrap_or(self.rest.len());
        let digits = self.rest[..end].replace('_', "");
        let number = match digits.parse::<i64>() {
            Ok(number) => Some(Number::from(number)),
            Err(_) => digits.parse().ok().and_then(Number::from_f64),
        };
        let number = number.ok_or_else(|| self.wrong("a value"))?;
        self.rest = &self.rest[end..];
        Ok(Value::Number(number))
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = self.rest.chars().next().unwrap_or('\'');
        let triple = quote.to_string().repeat(3);
        let close = if self.rest.starts_with(&triple) {
            triple
        } else {
            quote.to_string()
        };
        let mut rest = &self.rest[close.len()..];
        let mut text = String::new();
        loop {
            if let Some(after) = rest.strip_prefix(close.as_str()) {
                self.rest = after;
                return Ok(text);
            }
            let Some(c) = rest.chars().next() else {
                return Err(format!(
                    "neither JSON nor a Python literal: the {close} that ends a text is missing"
                ));
            };
            rest = &rest[c.len_utf8()..];
            if c == '\\' {
                rest = escape(rest, &mut text)
                    .ok_or("neither JSON nor a Python literal: a wrong escape in a text")?;
            } else {
                text.push(c);
            }
        }
    }
}

/// The text whose bytes in UTF-8 stand in `text` as characters, if they do.
fn of_utf8(text: String) -> String {
    let bytes: Option<Vec<u8>> = text
        .chars()
        .map(|c| u8::try_from(u32::from(c)).ok())
        .collect();
    let decoded = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.unwrap_or(text)
}

/// Whether a word is a number as Python and numpy write it: `33`, `0.5`, `33.`, but not `007` or `1.50`.
fn is_number(word: &str) -> bool {
    let digits = word.trim_start_matches(['+', '-']);
    let has_digits = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let is_padded = digits.strip_prefix('0').is_some_and(has_digits)
        || digits.contains('.') && digits.ends_with('0') && digits != "0.0";
    has_digits(digits) && !is_padded && word.parse::<f64>().is_ok()
}

/// The text behind a backslash; returns what follows the escape.
fn escape<'a>(rest: &'a str, text: &mut String) -> Option<&'a str> {
    let c = rest.chars().next()?;
    let after = &rest[c.len_utf8()..];
    let digits = match c {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => 0,
    };
    if digits > 0 {
        let code = u32::from_str_radix(after.get(..digits)?, 16).ok()?;
        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        return Some(&after[digits..]);
    }
    match c {
        'n' => text.push('\n'),
        't' => text.push('\t'),
        'r' => text.push('\r'),
        'a' => text.push('\u{7}'),
        'b' => text.push('\u{8}'),
        'f' => text.push('\u{c}'),
        'v' => text.push('\u{b}'),
        '0' => text.push('\0'),
        '\n' => {}
        '\\' | '\'' | '"' => text.push(c),
        other => text.extend(['\\', other]),
    }
    Some(after)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_pandas_and_datasets_write() {
        let expected = json!({"text": ["Ane Holm", "it's"], "answer_start": [33, 4]});
        for text in [
            r#"{"text": ["Ane Holm", "it's"], "answer_start": [33, 4]}"#,
            r#"{'text': ['Ane Holm', "it's"], 'answer_start': [33, 4]}"#,
            "{'text': array(['Ane Holm', \"it's\"], dtype=object), 'answer_start': array([33,  4], dtype=int32)}",
            "{'text': array(['Ane Holm', \"it's\"],\n      dtype=object), 'answer_start': array([33,  4])}",
            "{'text': ['Ane Holm' \"it's\"], 'answer_start': [33 4]}",
            "{'text': ('Ane Holm', 'it\\'s',), 'answer_start': [np.int64(33), np.int32(4)]}",
            "{'text': [Ane Holm, 'it\\'s'], 'answer_start': [33, 4]}",
        ] {
            assert_eq!(parse(text), Ok(expected.clone()), "{text}");
        }
        let odd = r"[{'text': 'Zo\xeb \u2019\n', 'answer_start': None, 'x': -1.5, 'y': True}]";
        assert_eq!(
            parse(odd),
            Ok(json!([{"text": "Zoë ’\n", "answer_start": null, "x": -1.5, "y": true}]))
        );
    }

    #[test]
    fn bytes_are_utf_8() {
        let text = r#"[b'Zo\xc3\xab \xe2\x80\x99', b'\xff', b"it's"]"#;
        assert_eq!(parse(text), Ok(json!(["Zoë ’", "ÿ", "it's"])));
        assert_eq!(of_bytes(r"b'Zo\xc3\xab'").as_deref(), Some("Zoë"));
        for text in ["b", "b'", "b'a' or 'b'", "b'a", "by 'a'", "'a'", "b''c''"] {
            assert_eq!(of_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn texts_without_quotes() {
        for (text, expected) in [
            (
                "[{'text': 3 May, 'x': NULL}]",
                json!([{"text": "3 May", "x": null}]),
            ),
            (
                "[007, 1.50, None of them]",
                json!(["007", "1.50", "None of them"]),
            ),
            ("[1911 1938, Ø]", json!([1911, 1938, "Ø"])),
            ("[33. 0.5 -1]", json!([33.0, 0.5, -1])),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_long_list_is_read_once() {
        // With a look to the end at each value this would take many minutes.
        for element in ["1 ", "1 'a' ", "None "] {
            let list = parse(&format!("[{}]", element.repeat(500_000))).unwrap();
            let count = element.split_whitespace().count();
            assert_eq!(list.as_array().map(Vec::len), Some(500_000 * count));
        }
        assert!(parse(&format!("[{}", "1 ".repeat(500_000))).is_err());
    }

    #[test]
    fn what_is_no_literal() {
        for (text, expected) in [
            ("{'text': ['a'", "is missing"),
            ("{'text' ['a']}", "\":\" is missing"),
            ("['a", "that ends a text"),
            ("array([0, 1, ..., 8, 9])", "shortened the list"),
            ("[1] 2", "the end is missing"),
            ("{1: os.system()}", "a value is missing"),
            ("{1: }", "a value is missing"),
            (&"[".repeat(100_000), "nested too deeply"),
            (&"array(".repeat(100_000), "nested too deeply"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}
