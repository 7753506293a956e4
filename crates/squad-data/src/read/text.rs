//! Opening a data file: which form it has, and its text, decompressed and checked while it is read.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::{Error, one_line};

const GZIP: &[u8] = &[0x1f, 0x8b];
const PARQUET: &[u8] = b"PAR1";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const CHUNK: usize = 1 << 16;

/// A data file, by what is in it.
pub(crate) enum Opened {
    /// JSON or JSON Lines, decompressed if need be.
    Text(Box<Text<'static>>),
    /// Parquet, which is read from any place in the file.
    #[cfg_attr(not(feature = "parquet"), expect(dead_code))]
    Parquet(File),
}

/// Opens a file. Gzip and Parquet are known by their first bytes, and by names that end in `.gz` and `.parquet`, so that
/// a damaged head is not taken for text; all else is text.
pub(crate) fn open(path: &Path) -> Result<Opened, Error> {
    let failed = |error| Error::read(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let head = head(&mut file, PARQUET.len()).map_err(failed)?;
    let named = |extension: &str| {
        path.extension()
            .is_some_and(|ours| ours.eq_ignore_ascii_case(extension))
    };
    if head == PARQUET || (named("parquet") && !head.starts_with(GZIP)) {
        return Ok(Opened::Parquet(file));
    }
    let name = path.display().to_string();
    let gzip = head.starts_with(GZIP) || named("gz");
    let bytes = Cursor::new(head).chain(file);
    let text = match gzip {
        true => Text::new(name, Box::new(MultiGzDecoder::new(bytes)), Some("gzip")),
        false => Text::new(name, Box::new(bytes), None),
    };
    text.map(|text| Opened::Text(Box::new(text)))
}

/// The first `length` bytes, fewer where there are no more.
fn head(source: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(length);
    source.take(length as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// A place in a text.
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
        // A character's further bytes begin with the bits 10.
        self.chars += line.iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
    }
}

/// UTF-8 text, read a piece at a time. A byte order mark at its start is passed over.
///
/// As a [`Read`] it never gives bytes that are not UTF-8. What stops it is kept as [`Text::fault`], because
/// `serde_json` hands an `io::Error` on as a message without the place.
pub(crate) struct Text<'a> {
    name: String,
    source: Box<dyn Read + 'a>,
    /// The compression that the source undoes.
    compression: Option<&'static str>,
    buffer: Vec<u8>,
    /// `buffer[next..valid]` is text to be handed out; `buffer[valid..end]` is a character's first bytes, or wrong.
    next: usize,
    valid: usize,
    end: usize,
    /// The place of `buffer[counted]`.
    position: Position,
    counted: usize,
    length: u64,
    fault: Option<Error>,
}

impl<'a> Text<'a> {
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

    /// Text that is in memory; `name` is what messages call it.
    pub(crate) fn from_bytes(name: &str, bytes: &'a [u8]) -> Result<Self, Error> {
        Self::new(name.to_owned(), Box::new(bytes), None)
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes read from the source until now, after decompression.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The place of the next byte.
    pub(crate) fn position(&mut self) -> Position {
        self.position.pass(&self.buffer[self.counted..self.next]);
        self.counted = self.next;
        self.position
    }

    /// What stopped the reading, if anything did.
    pub(crate) fn take_fault(&mut self) -> Option<Error> {
        self.fault.take()
    }

    /// What is to be told where the text is wrong: damage to compressed data, which the checksum at its end shows, before
    /// what the damage did to the text.
    pub(crate) fn cause(&mut self, wrong: Error) -> Error {
        if self.compression.is_none() || matches!(wrong, Error::Compressed { .. }) {
            return wrong;
        }
        match io::copy(&mut self.source, &mut io::sink()) {
            Ok(_) => wrong,
            Err(error) => self.read_error(error),
        }
    }

    /// Goes to the next character that is not JSON's white space; `false` at the end of the text.
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

    /// Puts more text into the empty buffer; `false` at the end of the text.
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
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.read_error(error)),
            }
        }
    }

    /// Finds how far the buffer is text; `true` where what follows is certain not to be.
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

impl Read for Text<'_> {
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
