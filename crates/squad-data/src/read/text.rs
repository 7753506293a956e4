//! Opens a data file, recognizes its content, and reads its text: decompressed, as UTF-8, with positions.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::rc::Rc;

use crate::error::{Error, one_line};
use crate::memory::check_text_size;
use crate::read::foreign::Foreign;
use crate::read::gzip::Gzip;
use crate::read::utf16::{ByteOrder, Utf16Reader};

const GZIP: &[u8] = &[0x1f, 0x8b];
const PARQUET: &[u8] = b"PAR1";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const CHUNK: usize = 1 << 16;
/// Bytes of a packed Parquet file between two looks at its size.
#[cfg(feature = "parquet")]
const UNPACKED_AT_ONCE: u64 = 1 << 24;
/// Enough to recognize a tar archive and the header of a table with many columns.
const HEAD: usize = 1 << 12;

/// An open data file.
pub(super) enum DataFile {
    /// Text, decompressed and decoded while it is read.
    Text(Box<TextReader<'static>>),
    /// Parquet, which needs random access.
    #[cfg_attr(not(feature = "parquet"), expect(dead_code))]
    Parquet(File),
}

/// Opens a file.
///
/// The first bytes decide what it is. The extensions `.gz` and `.parquet` are believed too, so that a file with a damaged
/// start is not read as text.
pub(super) fn open(path: &Path) -> Result<DataFile, Error> {
    let failed = |error| Error::read(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let head = head(&mut file, HEAD).map_err(failed)?;
    let named = |extension: &str| {
        path.extension()
            .is_some_and(|ours| ours.eq_ignore_ascii_case(extension))
    };
    let is_gzip = head.starts_with(GZIP);
    if head.starts_with(PARQUET) || (named("parquet") && !is_gzip) {
        return Ok(DataFile::Parquet(file));
    }
    let name = path.display().to_string();
    if !is_gzip && !named("gz") {
        let text = TextReader::new(name, &head, Box::new(file), None)?;
        return Ok(DataFile::Text(Box::new(text)));
    }
    if !is_gzip && is_json(&head) {
        let problem = "it is not compressed; take .gz from its name".to_owned();
        return Err(Error::Form {
            file: name,
            problem,
        });
    }
    let mut unpacked = Gzip::new(Cursor::new(head).chain(file));
    let head = self::head(&mut unpacked, HEAD).map_err(|error| gzip_error(&name, error))?;
    if head.starts_with(GZIP) {
        let problem = "it is compressed twice; unpack it once".to_owned();
        return Err(Error::Form {
            file: name,
            problem,
        });
    }
    if head.starts_with(PARQUET) {
        let mut bytes = Cursor::new(head).chain(unpacked);
        return unpack(&mut bytes, &name).map(DataFile::Parquet);
    }
    let text = TextReader::new(name, &head, Box::new(unpacked), Some("gzip"))?;
    Ok(DataFile::Text(Box::new(text)))
}

/// Reads a stream as its text comes: it never waits for more than one line. gzip is unpacked.
pub(super) fn stream<'a>(name: &str, mut source: impl Read + 'a) -> Result<TextReader<'a>, Error> {
    /// Enough for any byte order mark.
    const LEAST: usize = 4;
    // A table is recognized by its whole first line, JSON by its first character.
    let is_enough = |start: &[u8]| {
        let has_line = is_json(start) || start.starts_with(GZIP) || start.contains(&b'\n');
        start.len() >= HEAD || start.len() >= LEAST && has_line
    };
    let failed = |error| Error::read(Path::new(name), error);
    let mut start = vec![0; HEAD];
    let mut length = 0;
    while !is_enough(&start[..length]) {
        match source.read(&mut start[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    start.truncate(length);
    if start.starts_with(PARQUET) {
        return Err(Error::Parquet {
            file: name.to_owned(),
            problem: "Parquet needs a file; name the file itself".to_owned(),
        });
    }
    if !start.starts_with(GZIP) {
        return TextReader::new(name.to_owned(), &start, Box::new(source), None);
    }
    let mut unpacked = Gzip::new(Cursor::new(start).chain(source));
    let start = head(&mut unpacked, HEAD).map_err(|error| gzip_error(name, error))?;
    TextReader::new(name.to_owned(), &start, Box::new(unpacked), Some("gzip"))
}

/// A file without a name, with random access, that holds these bytes.
#[cfg(feature = "parquet")]
fn unpack(bytes: &mut dyn Read, name: &str) -> Result<File, Error> {
    // Of the temporary folder, which may be missing or full.
    let failed = |source| Error::Io {
        action: "unpack",
        path: name.into(),
        source,
    };
    let mut file = tempfile::tempfile().map_err(failed)?;
    let mut unpacked = 0;
    loop {
        let copied = io::copy(&mut (&mut *bytes).take(UNPACKED_AT_ONCE), &mut file);
        let copied = copied.map_err(|error| match gzip_error(name, error) {
            Error::Io { source, .. } => failed(source),
            damaged => damaged,
        })?;
        if copied == 0 {
            return Ok(file);
        }
        unpacked += copied;
        // A few bytes of gzip can hold a file that fills the disk.
        check_text_size(unpacked).map_err(|problem| Error::TooLarge {
            file: name.to_owned(),
            problem,
        })?;
    }
}

#[cfg(not(feature = "parquet"))]
fn unpack(_: &mut dyn Read, name: &str) -> Result<File, Error> {
    Err(Error::without_feature(name, "Parquet", "parquet"))
}

fn gzip_error(name: &str, error: io::Error) -> Error {
    read_error(name, Some("gzip"), error)
}

/// The first `length` bytes, or fewer at the end of the source.
fn head(source: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(length);
    source.take(length as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// A position in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Line ends before it.
    pub(crate) lines: usize,
    /// Bytes of its line before it.
    pub(crate) bytes: usize,
    /// Characters of its line before it.
    pub(crate) chars: usize,
}

impl Position {
    /// Line and column, from 1, of an error in the JSON value that begins here. Columns count bytes.
    pub(crate) fn of_error(self, error: &serde_json::Error) -> (usize, usize) {
        // The deserializer counts from the start of the value.
        let before = if error.line() <= 1 { self.bytes } else { 0 };
        let (line, column) = (error.line().max(1), error.column().max(1));
        (self.lines + line, before + column)
    }

    fn pass(&mut self, text: &[u8]) {
        // Counting is faster than looking for the last one, of which a document may have none.
        let lines = count(text, |byte| byte == b'\n');
        let mut line = text;
        if lines > 0 {
            self.lines += lines;
            (self.bytes, self.chars) = (0, 0);
            line = text.rsplit(|&byte| byte == b'\n').next().unwrap_or(text);
        }
        self.bytes += line.len();
        // Continuation bytes of a character begin with the bits 10.
        self.chars += count(line, |byte| byte & 0xc0 != 0x80);
    }
}

/// The number of bytes that are wanted. The sum of a part fits into a byte, so the compiler can vectorize it.
fn count(text: &[u8], is_wanted: impl Fn(u8) -> bool) -> usize {
    const PART: usize = 128;
    let sum = |part: &[u8]| {
        let wanted = part.iter().map(|&byte| u8::from(is_wanted(byte)));
        usize::from(wanted.fold(0, u8::wrapping_add))
    };
    text.chunks(PART).map(sum).sum()
}

/// Reads UTF-8 text in chunks and skips a byte order mark at its start.
///
/// It never returns bytes that are not UTF-8. It keeps the error that stopped it, because `serde_json` turns an
/// `io::Error` into a message without the position.
pub(crate) struct TextReader<'a> {
    name: String,
    source: Box<dyn Read + 'a>,
    /// The source's compression, for messages.
    compression: Option<&'static str>,
    buffer: Vec<u8>,
    /// `buffer[next..valid]` is text to be returned; `buffer[valid..end]` is an incomplete or an invalid character.
    next: usize,
    valid: usize,
    end: usize,
    /// The position of `buffer[counted]`.
    position: Position,
    counted: usize,
    length: u64,
    /// As [`TextReader::text_bytes`].
    text_bytes: Rc<Cell<u64>>,
    fault: Option<Error>,
}

impl<'a> TextReader<'a> {
    /// Reads a text that begins with `start`.
    fn new(
        name: String,
        start: &[u8],
        mut source: Box<dyn Read + 'a>,
        compression: Option<&'static str>,
    ) -> Result<Self, Error> {
        if let Some(foreign) = Foreign::of_bytes(start) {
            return Err(Error::foreign(&name, &foreign));
        }
        if start.starts_with(&[0xff, 0xfe, 0, 0]) || start.starts_with(&[0, 0, 0xfe, 0xff]) {
            let problem =
                "UTF-32; convert the file to UTF-8, for example with iconv -f UTF-32 -t UTF-8";
            return Err(Error::encoding(&name, Position::default(), problem));
        }
        let order = ByteOrder::of(start);
        let start = start
            .strip_prefix(BYTE_ORDER_MARK)
            .unwrap_or(start)
            .to_vec();
        source = Box::new(Cursor::new(start).chain(source));
        if let Some(order) = order {
            source = Box::new(Utf16Reader::new(source, order));
        }
        Ok(Self {
            name,
            source,
            compression,
            buffer: vec![0; CHUNK],
            next: 0,
            valid: 0,
            end: 0,
            position: Position::default(),
            counted: 0,
            length: 0,
            text_bytes: Rc::default(),
            fault: None,
        })
    }

    /// The text that comes next, as far as it is in memory: at least one character, unless the text is at its end.
    pub(crate) fn peek(&mut self) -> Result<&str, Error> {
        if self.next == self.valid {
            self.fill()?;
        }
        let text = std::str::from_utf8(&self.buffer[self.next..self.valid]);
        // A reader of JSON stops between characters.
        Ok(text.unwrap_or_default())
    }

    /// Passes over the line `sep=;` with which tables for Excel name what stands between their cells.
    #[cfg(feature = "csv")]
    pub(super) fn skip_separator_line(&mut self) -> Result<(), Error> {
        let first = self.peek()?.split_inclusive(['\r', '\n']).next();
        let line = first.unwrap_or_default();
        let name = line.trim_end_matches(['\r', '\n']).trim_matches('"');
        let is_separator = |rest: &str| rest.chars().count() == 1;
        if name
            .to_lowercase()
            .strip_prefix("sep=")
            .is_some_and(is_separator)
        {
            self.next += line.len();
        }
        Ok(())
    }

    /// The text from the byte that was returned last, as far as it is in memory.
    pub(crate) fn last(&self) -> &[u8] {
        &self.buffer[self.next.saturating_sub(1)..self.valid]
    }

    /// Reads text in memory. Messages call it `name`.
    pub(super) fn from_bytes(name: &str, bytes: &'a [u8]) -> Result<Self, Error> {
        let (start, rest) = bytes.split_at(bytes.len().min(HEAD));
        Self::new(name.to_owned(), start, Box::new(rest), None)
    }

    /// The name that messages use.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of text from which examples in memory were made. Reading adds to it; whoever frees the examples sets it to 0.
    pub(super) fn text_bytes(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.text_bytes)
    }

    /// Bytes read so far, after decompression.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The position of the next byte.
    pub(crate) fn position(&mut self) -> Position {
        self.position.pass(&self.buffer[self.counted..self.next]);
        self.counted = self.next;
        self.position
    }

    /// The error that stopped reading, if there is one.
    pub(crate) fn take_fault(&mut self) -> Option<Error> {
        self.fault.take()
    }

    /// The error to report for a wrong text.
    ///
    /// If the text was compressed, reads on to the checksum at the end: damage to the compressed data is the cause of
    /// whatever is wrong with the text.
    pub(crate) fn cause(&mut self, wrong: Error) -> Error {
        if self.compression.is_none() || matches!(wrong, Error::Compressed { .. }) {
            return wrong;
        }
        match io::copy(&mut self.source, &mut io::sink()) {
            Ok(_) => wrong,
            Err(error) => self.read_error(error),
        }
    }

    /// Skips what may stand before a JSON value; `false` at the end of the text.
    pub(crate) fn skip_space(&mut self) -> Result<bool, Error> {
        self.skip(space_before_json)
    }

    /// [`TextReader::skip_space`] behind a JSON value, which [padding](is_padding) may follow up to the end of the text.
    pub(crate) fn skip_space_or_padding(&mut self) -> Result<bool, Error> {
        let is_padded = self.skip_space()? && is_padding(self.buffer[self.next]);
        if !is_padded {
            return Ok(self.next < self.valid);
        }
        let Position { lines, bytes, .. } = self.position();
        let padding = |text: &[u8]| {
            let is_passed = |byte: &&u8| is_padding(**byte) || byte.is_ascii_whitespace();
            text.iter().take_while(is_passed).count()
        };
        if !self.skip(padding)? {
            return Ok(false);
        }
        Err(Error::Json {
            file: self.name.clone(),
            line: lines + 1,
            column: bytes + 1,
            problem: "zeros or 0x1a, which may stand at the end of a file only; remove them"
                .to_owned(),
        })
    }

    /// Skips as much as `length` says of the text to come; `false` at its end.
    fn skip(&mut self, length: impl Fn(&[u8]) -> usize) -> Result<bool, Error> {
        loop {
            let rest = &self.buffer[self.next..self.valid];
            let skipped = length(rest);
            let found = skipped < rest.len();
            self.next += skipped;
            if found {
                return Ok(true);
            }
            if !self.fill()? {
                return Ok(false);
            }
        }
    }

    /// Fills the empty buffer; `false` at the end of the text.
    fn fill(&mut self) -> Result<bool, Error> {
        let at = self.position();
        self.buffer.copy_within(self.valid..self.end, 0);
        (self.end, self.next, self.counted) = (self.end - self.valid, 0, 0);
        loop {
            let wrong = self.validate();
            if self.valid > 0 {
                return Ok(true);
            }
            if wrong {
                return Err(self.not_utf8(at, false));
            }
            let read = self.source.read(&mut self.buffer[self.end..]);
            match read {
                Ok(0) if self.end > 0 => return Err(self.not_utf8(at, true)),
                Ok(0) => return Ok(false),
                Ok(count) => {
                    self.end += count;
                    self.length += count as u64;
                    self.text_bytes.set(self.text_bytes.get() + count as u64);
                    check_text_size(self.text_bytes.get()).map_err(|problem| Error::TooLarge {
                        file: self.name.clone(),
                        problem,
                    })?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.read_error(error)),
            }
        }
    }

    /// Finds how much of the buffer is valid text; `true` if an invalid character follows.
    fn validate(&mut self) -> bool {
        match std::str::from_utf8(&self.buffer[..self.end]) {
            Ok(_) => {
                self.valid = self.end;
                false
            }
            Err(error) => {
                self.valid = error.valid_up_to();
                error.error_len().is_some()
            }
        }
    }

    fn not_utf8(&self, at: Position, is_end: bool) -> Error {
        let problem = if is_end {
            "the file ends in the middle of a character; is the download complete?".to_owned()
        } else {
            encoding(&self.buffer[..self.end])
        };
        Error::encoding(&self.name, at, problem)
    }

    fn read_error(&self, error: io::Error) -> Error {
        read_error(&self.name, self.compression, error)
    }
}

/// The length of what may stand before a JSON value: white space, byte order marks of files that were put together, and the
/// record separators of RFC 7464.
fn space_before_json(text: &[u8]) -> usize {
    let mut length = 0;
    loop {
        length += match &text[length..] {
            [b' ' | b'\t' | b'\r' | b'\n' | 0x1e, ..] => 1,
            rest if rest.starts_with(BYTE_ORDER_MARK) => BYTE_ORDER_MARK.len(),
            _ => return length,
        };
    }
}

/// Whether a byte pads the end of a file: the zeros of a disk's block, or DOS's 0x1a for the end.
fn is_padding(byte: u8) -> bool {
    matches!(byte, 0 | 0x1a)
}

/// Whether a text begins with a JSON object or list.
pub(super) fn is_json(head: &[u8]) -> bool {
    matches!(head[space_before_json(head)..], [b'{' | b'[', ..])
}

/// What Windows-1252 has at 0x80 to 0x9f; a space where it has nothing.
const WINDOWS_1252: [char; 32] = [
    '€', ' ', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', ' ', 'Ž', ' ', //
    ' ', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', ' ', 'ž', 'Ÿ',
];

/// What encoding bytes may have that are not UTF-8, and what to do.
fn encoding(bytes: &[u8]) -> String {
    let first = bytes.first().copied().unwrap_or_default();
    let is_alone = bytes.get(1).is_none_or(u8::is_ascii);
    // The second byte of a character of GB18030 or Shift_JIS may be ASCII, but half of all bytes is not.
    let near = &bytes[..bytes.len().min(32)];
    let is_rare = near.iter().filter(|byte| !byte.is_ascii()).count() <= 1 + near.len() / 8;
    let character = WINDOWS_1252.get(usize::from(first).wrapping_sub(0x80));
    if let Some(character) = character.filter(|c| **c != ' ' && is_alone && is_rare) {
        return format!(
            "not UTF-8: the byte 0x{first:02x} is {character:?} in Windows-1252; convert the file, for example with iconv -f \
             WINDOWS-1252 -t UTF-8"
        );
    }
    if is_alone && first >= 0xa0 {
        return format!(
            "not UTF-8: the byte 0x{first:02x} is {:?} in Latin-1 and Windows-1252; convert the file, for example with \
             iconv -f WINDOWS-1252 -t UTF-8",
            char::from(first)
        );
    }
    format!(
        "not UTF-8: the byte 0x{first:02x} begins no character; is it Windows-1252, GB18030, Shift_JIS or EUC-KR? Convert \
         the file, for example with iconv -f GB18030 -t UTF-8"
    )
}

fn read_error(name: &str, compression: Option<&'static str>, error: io::Error) -> Error {
    let damaged = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it stops in the middle".to_owned(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => one_line(&error),
        _ => return Error::read(Path::new(name), error),
    };
    match compression {
        Some(compression) => Error::Compressed {
            file: name.to_owned(),
            compression,
            problem: damaged,
        },
        None => Error::read(Path::new(name), error),
    }
}

impl Read for TextReader<'_> {
    // `serde_json` asks for one byte at a time.
    #[inline(always)]
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let [byte] = out
            && self.next < self.valid
        {
            *byte = self.buffer[self.next];
            self.next += 1;
            return Ok(1);
        }
        self.read_chunk(out)
    }
}

impl TextReader<'_> {
    #[inline(never)]
    fn read_chunk(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.next == self.valid {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(fault) => {
                    self.fault = Some(fault);
                    return Err(io::Error::other("the text cannot be read on"));
                }
            }
        }
        let count = out.len().min(self.valid - self.next);
        out[..count].copy_from_slice(&self.buffer[self.next..self.next + count]);
        self.next += count;
        Ok(count)
    }
}
