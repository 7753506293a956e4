//! Quotes inside the cells of a table: doubled, as RFC 4180 has them, or behind a backslash, as MySQL and Spark write them.

use std::io::{self, Read};

use crate::read::unquoted::{Quoting, Undecided, Unquoted};

/// What to do with a table in which both occur.
const MIXED: &str = "quotes inside cells are escaped by a backslash in one place and not in another; write them doubled, as \
                     RFC 4180 has them";
const BEHIND: &str = "text behind a closing quote; a cell that begins with a quote ends with one, and quotes inside it are \
                      doubled";
const OPEN: &str = "the file ends inside a quoted cell; is the download complete?";

/// A table's text in which quotes inside cells are doubled.
///
/// Inside a quoted cell, a quote behind a backslash that neither ends the cell nor is doubled cannot be RFC 4180's: from there
/// on `\"` is a quote and `\\` a backslash. It is an error if text before was read by the other rule.
///
/// So are text behind a closing quote, and a quoted cell without one: the `csv` crate would read both without a word. Between
/// tabs they show that the text has no quoting, if its lines are as long as the header: its cells that begin with a quote are
/// then quoted.
pub(super) struct DoubledQuotes<R> {
    source: R,
    text_kind: TextKind,
    /// Whether cells in quotes may have none around them.
    is_unclear: bool,
    /// Of the source.
    chunk: Vec<u8>,
    /// `text[next..]` is to be returned, then the error.
    text: Vec<u8>,
    next: usize,
    fault: Option<&'static str>,
}

const CHUNK: usize = 1 << 13;

impl<R: Read> DoubledQuotes<R> {
    /// The text of a table with this delimiter. `skips_blanks` leaves out blanks before cells and behind quoted ones.
    pub(super) fn new(source: R, delimiter: u8, skips_blanks: bool) -> Self {
        Self {
            source,
            text_kind: TextKind::new(delimiter, skips_blanks),
            is_unclear: false,
            chunk: vec![0; CHUNK],
            text: Vec::with_capacity(CHUNK),
            next: 0,
            fault: None,
        }
    }

    /// Whether the text, as far as it has been read, can be read with quoting and without, with other cells. It was read with
    /// quoting.
    pub(super) fn is_unclear(&self) -> bool {
        self.is_unclear
    }

    fn pass(&mut self, count: usize) -> Result<(), &'static str> {
        for at in 0..count {
            let byte = self.chunk[at];
            match &mut self.text_kind {
                TextKind::Quoted(cells) => cells.pass(byte, &mut self.text)?,
                TextKind::Unquoted(cells) => cells.pass(byte, &mut self.text),
                TextKind::Undecided(cells) => {
                    if let Some(quoting) = cells.pass(byte, &mut self.text)? {
                        self.decide(quoting);
                    }
                }
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), &'static str> {
        if let TextKind::Undecided(cells) = &mut self.text_kind {
            let quoting = cells.end()?;
            self.decide(quoting);
        }
        match &mut self.text_kind {
            TextKind::Quoted(cells) => cells.end(&mut self.text)?,
            TextKind::Unquoted(cells) => cells.end(&mut self.text),
            TextKind::Undecided(_) => {}
        }
        Ok(())
    }

    /// Writes the text that waits for the decision.
    fn decide(&mut self, quoting: Quoting) {
        let TextKind::Undecided(undecided) = &mut self.text_kind else {
            return;
        };
        self.is_unclear = quoting == Quoting::Unclear;
        self.text_kind = if quoting == Quoting::Unquoted {
            TextKind::Unquoted(undecided.take_unquoted(&mut self.text))
        } else {
            TextKind::Quoted(undecided.take_quoted(&mut self.text))
        };
    }
}

/// What is known of the quoting of a text.
enum TextKind {
    Quoted(Cells),
    Unquoted(Unquoted),
    Undecided(Box<Undecided>),
}

impl TextKind {
    /// At the start of a text. Tables between tabs are written without quoting, too.
    fn new(delimiter: u8, skips_blanks: bool) -> Self {
        let cells = Cells {
            skips_blanks,
            ..Cells::new(delimiter)
        };
        if delimiter == b'\t' {
            Self::Undecided(Box::new(Undecided::new(cells)))
        } else {
            Self::Quoted(cells)
        }
    }
}

impl<R: Read> Read for DoubledQuotes<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.next == self.text.len() {
            if let Some(fault) = self.fault {
                return Err(io::Error::other(fault));
            }
            self.text.clear();
            self.next = 0;
            let count = self.source.read(&mut self.chunk)?;
            self.fault = self.pass(count).err();
            if count == 0 {
                self.fault = self.end().err();
                if self.text.is_empty() && self.fault.is_none() {
                    return Ok(0);
                }
            }
        }
        let count = out.len().min(self.text.len() - self.next);
        out[..count].copy_from_slice(&self.text[self.next..self.next + count]);
        self.next += count;
        Ok(count)
    }
}

/// Follows the cells of a table.
pub(super) struct Cells {
    pub(super) delimiter: u8,
    pub(super) place: Place,
    pub(super) escape: Escape,
    /// Whether blanks before cells and behind quoted ones are left out.
    skips_blanks: bool,
    /// Whether the cell has `\""`, which was read as a backslash and a doubled quote and not as the cell's end.
    is_doubtful: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
    CellStart,
    /// In a cell without quotes.
    Plain,
    Quoted,
    /// Behind a backslash in a quoted cell, which is not written yet. So are the quotes of the next two.
    Backslash,
    BackslashQuote,
    /// Behind a quote in a quoted cell.
    Quote,
    /// In the blanks behind a quoted cell.
    Blank,
}

/// What quotes inside cells are known by.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Escape {
    /// Both rules have read the same text so far.
    Unknown,
    Doubling,
    Backslash,
}

impl Cells {
    pub(super) fn new(delimiter: u8) -> Self {
        Self {
            delimiter,
            place: Place::CellStart,
            escape: Escape::Unknown,
            skips_blanks: false,
            is_doubtful: false,
        }
    }

    /// Passes over a byte and writes what is decided. An error says which rule is broken.
    pub(super) fn pass(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let is_end = byte == self.delimiter || matches!(byte, b'\n' | b'\r');
        match (self.place, byte) {
            (Place::CellStart, b' ') if self.skips_blanks => {}
            (Place::CellStart, b'"') => {
                out.push(byte);
                self.place = Place::Quoted;
            }
            (Place::CellStart | Place::Plain, _) => {
                out.push(byte);
                self.place = if is_end {
                    Place::CellStart
                } else {
                    Place::Plain
                };
            }
            (Place::Quoted, b'"') => self.place = Place::Quote,
            (Place::Quoted, b'\\') => self.place = Place::Backslash,
            (Place::Quoted, _) => out.push(byte),
            (Place::Backslash, b'"') => self.place = Place::BackslashQuote,
            // MySQL escapes line ends, too.
            (Place::Backslash, b'\n' | b'\r') if self.escape == Escape::Backslash => {
                self.place = Place::Quoted;
                out.push(byte);
            }
            (Place::Backslash, _) => {
                self.place = Place::Quoted;
                if byte != b'\\' {
                    out.push(b'\\');
                } else if self.escape != Escape::Backslash {
                    self.escape = Escape::Doubling;
                    out.push(b'\\');
                }
                out.push(byte);
            }
            (Place::BackslashQuote, _) => return self.pass_backslash_quote(byte, out),
            (Place::Quote, b'"') => {
                if self.escape == Escape::Backslash {
                    return Err(MIXED);
                }
                self.escape = Escape::Doubling;
                self.place = Place::Quoted;
                out.extend(b"\"\"");
            }
            (Place::Quote | Place::Blank, _) => {
                if self.place == Place::Quote {
                    out.push(b'"');
                }
                // Other text than blanks: the quote is not the closing one, as in `"Who" built it?`.
                self.place = match byte {
                    _ if is_end => Place::CellStart,
                    b' ' | b'\t' => Place::Blank,
                    _ if self.is_doubtful => return Err(MIXED),
                    _ => return Err(BEHIND),
                };
                self.is_doubtful &= !is_end;
                if byte != b' ' || !self.skips_blanks {
                    out.push(byte);
                }
            }
        }
        Ok(())
    }

    /// [`Cells::pass`] behind `\"`.
    fn pass_backslash_quote(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let may_be_doubling = byte == self.delimiter || matches!(byte, b'\n' | b'\r' | b'"');
        if self.escape != Escape::Backslash && may_be_doubling {
            self.escape = Escape::Doubling;
            self.is_doubtful |= byte == b'"';
            self.place = Place::Quote;
            out.push(b'\\');
            return self.pass(byte, out);
        }
        if self.escape == Escape::Doubling {
            return Err(MIXED);
        }
        self.escape = Escape::Backslash;
        out.extend(b"\"\"");
        self.place = Place::Quoted;
        self.pass(byte, out)
    }

    /// Writes what waits for another byte. An error as from [`Cells::pass`].
    pub(super) fn end(&mut self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        match std::mem::replace(&mut self.place, Place::Plain) {
            // `\"` closes the cell at the end of a text in which backslashes escape nothing.
            Place::BackslashQuote if self.escape != Escape::Backslash => out.extend(b"\\\""),
            Place::Quote => out.push(b'"'),
            Place::CellStart | Place::Plain | Place::Blank => {}
            Place::Quoted if self.is_doubtful => return Err(MIXED),
            Place::Quoted | Place::Backslash | Place::BackslashQuote => return Err(OPEN),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a text, in whatever pieces it comes.
    fn doubled(text: &str) -> Result<String, String> {
        let read = |mut source: &mut dyn Read| {
            let mut out = String::new();
            let read = DoubledQuotes::new(&mut source, b',', false).read_to_string(&mut out);
            read.map(|_| out).map_err(|error| error.to_string())
        };
        let whole = read(&mut text.as_bytes());
        let (first, second) = text.split_at(text.len() / 2);
        assert_eq!(read(&mut first.as_bytes().chain(second.as_bytes())), whole);
        whole
    }

    #[test]
    fn escaped_quotes_are_doubled() {
        for (text, expected) in [
            (r#""a \"b\" c",d"#, r#""a ""b"" c",d"#),
            (r#""\"b\"","\"c\"","d\\""#, r#""""b""","""c""","d\""#),
            (
                r#""\"b, c\", d\n \\n \" e",\"x\",\\"#,
                r#""""b, c"", d\n \n "" e",\"x\",\\"#,
            ),
            ("\"\\\"b\\\"\\\nc\",d", "\"\"\"b\"\"\nc\",d"),
            (
                "\"\\\"b\",\"c\\\"\"\n\"\",\"d\\\"\"",
                "\"\"\"b\",\"c\"\"\"\n\"\",\"d\"\"\"",
            ),
        ] {
            assert_eq!(doubled(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_table_between_tabs_is_decided_on_within_bounds() {
        let read = |rows: String| {
            let text = format!("a\tb\n{rows}");
            let mut source = DoubledQuotes::new(text.as_bytes(), b'\t', false);
            let mut out = String::new();
            let is_read = source.read_to_string(&mut out).is_ok();
            (is_read, source.is_unclear(), out.len().abs_diff(text.len()))
        };
        let unclear = "\"x\"\ty\n".repeat(3 << 20);
        assert_eq!(read(unclear.clone()), (true, true, 0));
        let (is_read, ..) = read(unclear.clone() + "\"x\" z\ty\n");
        assert!(!is_read);
        // The control: with less text before, the same row says that there is no quoting.
        assert_eq!(read("\"x\" z\ty\n".to_owned()), (true, false, 4));
        // A quotation mark that nothing closes.
        let open = format!("\"x\ty\n{}", "x\ty\n".repeat(5 << 20));
        assert_eq!(read(open), (true, false, 3));
    }

    #[test]
    fn texts_of_rfc_4180_stay() {
        for text in [
            "",
            r#"a\"b\",\"c\\"#,
            r#""a ""b"" \ c","C:\","\\d","\""e"" \f""#,
            r#""C:\",a"#,
            "\"C:\\\"\r\n\"a\\\"\"b\"\n\\",
            "\"a\" ,\"\"\t\r\n5\" pipe,a \"b\", \"c\"\n\"d\" ",
            "\"a\\\"",
        ] {
            assert_eq!(doubled(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn two_rules_in_one_text_are_an_error() {
        for text in [
            r#""a ""b""","c \"d\" e""#,
            r#""a \"b\"","c ""d"" e""#,
            r#""C:\","c \"d\" e""#,
            r#""\\alpha","c \"d\" e""#,
            r#""6'2\"","c \"d\" e""#,
            r#""6'2\"",c,"""#,
            r#"a,"6'2\"""#,
        ] {
            assert_eq!(doubled(text), Err(MIXED.to_owned()), "{text}");
        }
    }

    #[test]
    fn text_behind_a_closing_quote_and_an_open_cell_are_errors() {
        for text in [
            r#""Who" built it?,a"#,
            r#"a,"mill" by Ane"#,
            r#""Where,a\n"stop" b"#,
            r#""a"b"#,
            r#"""a"""#,
            r#""a""b"c""#,
        ] {
            assert_eq!(doubled(text), Err(BEHIND.to_owned()), "{text}");
        }
        for text in [
            "a,\"",
            "a,\"b\n",
            "\"a \"\"",
            "\"a\\",
            r#""a \"b\" c","d\""#,
        ] {
            assert_eq!(doubled(text), Err(OPEN.to_owned()), "{text}");
        }
    }
}
