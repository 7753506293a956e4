//! Opens a data file, recognizes its form, and reads its text: decompressed, checked to be UTF-8, with positions.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::{Error, one_line};
use crate::memory::check_text_size;

const GZIP: &[u8] = &[0x1f, 0x8b];
const PARQUET: &[u8] = b"PAR1";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const CHUNK: usize = 1 << 16;

/// An open data file.
pub(super) enum DataFile {
    /// JSON or JSON Lines, decompressed while it is read.
    Text(Box<TextReader<'static>>),
    /// Parquet, which needs random access.
    #[cfg_attr(not(feature = "parquet"), expect(dead_code))]
    Parquet(File),
}

/// Opens a file.
///
/// Gzip and Parquet are recognized by their first bytes, and by the extensions `.gz` and `.parquet`, so that a file with
/// a damaged start is not read as text. Everything else is text.
pub(super) fn open(path: &Path) -> Result<DataFile, Error> {
    let failed = |error| Error::read(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let head = head(&mut file, PARQUET.len()).map_err(failed)?;
    let named = |extension: &str| {
        path.extension()
            .is_some_and(|ours| ours.eq_ignore_ascii_case(extension))
    };
    if head == PARQUET || (named("parquet") && !head.starts_with(GZIP)) {
        return Ok(DataFile::Parquet(file));
    }
    let name = path.display().to_string();
    let gzip = head.starts_with(GZIP) || named("gz");
    let bytes = Cursor::new(head).chain(file);
    let text = if gzip {
        TextReader::new(name, Box::new(MultiGzDecoder::new(bytes)), Some("gzip"))
    } else {
        TextReader::new(name, Box::new(bytes), None)
    };
    text.map(|text| DataFile::Text(Box::new(text)))
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
    pub(super) chars: usize,
}

impl Position {
    fn pass(&mut self, text: &[u8]) {
        let line = match text.iter().rposition(|&byte| byte == b'\n') {
            Some(end) => {
                self.lines += text.iter().filter(|&&byte| byte == b'\n').count();
                (self.bytes, self.chars) = (0, 0);
                &text[end + 1..]
            }
            None => text,
        };
        self.bytes += line.len();
        // Continuation bytes of a character begin with the bits 10.
        self.chars += line.iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
    }
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
    fault: Option<Error>,
}

impl TextReader<'static> {
    /// Opens a text file, also one with gzip.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        match open(path)? {
            DataFile::Text(text) => Ok(*text),
            DataFile::Parquet(_) => Err(Error::Parquet {
                file: path.display().to_string(),
                problem: "a Parquet file; expected JSON or JSON Lines".to_owned(),
            }),
        }
    }
}

impl<'a> TextReader<'a> {
    fn new(
        name: String,
        mut source: Box<dyn Read + 'a>,
        compression: Option<&'static str>,
    ) -> Result<Self, Error> {
        let start = head(&mut source, BYTE_ORDER_MARK.len());
        let mut text = Self {
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
            fault: None,
        };
        let start = start.map_err(|error| text.read_error(error))?;
        text.length = start.len() as u64;
        if start != BYTE_ORDER_MARK {
            text.buffer[..start.len()].copy_from_slice(&start);
            text.end = start.len();
            text.validate();
        }
        Ok(text)
    }

    /// Reads text in memory. Messages call it `name`.
    pub(super) fn from_bytes(name: &str, bytes: &'a [u8]) -> Result<Self, Error> {
        Self::new(name.to_owned(), Box::new(bytes), None)
    }

    /// The name that messages use.
    pub(crate) fn name(&self) -> &str {
        &self.name
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

    /// Skips JSON's white space; `false` at the end of the text.
    pub(crate) fn skip_space(&mut self) -> Result<bool, Error> {
        loop {
            let rest = &self.buffer[self.next..self.valid];
            let space = rest.iter().take_while(|byte| b" \t\r\n".contains(byte));
            let space = space.count();
            let found = space < rest.len();
            self.next += space;
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
                return Err(self.not_utf8(at));
            }
            let read = self.source.read(&mut self.buffer[self.end..]);
            match read {
                Ok(0) if self.end > 0 => return Err(self.not_utf8(at)),
                Ok(0) => return Ok(false),
                Ok(count) => {
                    self.end += count;
                    self.length += count as u64;
                    check_text_size(self.length).map_err(|problem| Error::TooLarge {
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

    fn not_utf8(&self, at: Position) -> Error {
        Error::NotUtf8 {
            file: self.name.clone(),
            line: at.lines + 1,
            column: at.chars + 1,
        }
    }

    fn read_error(&self, error: io::Error) -> Error {
        let damaged = match error.kind() {
            io::ErrorKind::UnexpectedEof => "it stops in the middle".to_owned(),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => one_line(&error),
            _ => return Error::read(Path::new(&self.name), error),
        };
        match self.compression {
            Some(compression) => Error::Compressed {
                file: self.name.clone(),
                compression,
                problem: damaged,
            },
            None => Error::read(Path::new(&self.name), error),
        }
    }
}

impl Read for TextReader<'_> {
    #[inline]
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
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
        // `serde_json` asks for one byte at a time.
        if let [byte] = out {
            *byte = self.buffer[self.next];
            self.next += 1;
            return Ok(1);
        }
        let count = out.len().min(self.valid - self.next);
        out[..count].copy_from_slice(&self.buffer[self.next..self.next + count]);
        self.next += count;
        Ok(count)
    }
}
