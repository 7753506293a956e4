//! UTF-16 to UTF-8 while reading.

use std::io::{self, Read};

/// The byte order of a UTF-16 text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    /// The order of a text that begins with these bytes, if it is UTF-16: by its byte order mark, or because it begins
    /// with two ASCII characters.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match *head {
            [0xff, 0xfe, 0, 0, ..] => None,
            [0xff, 0xfe, ..] => Some(Self::Little),
            [0xfe, 0xff, ..] => Some(Self::Big),
            [1..=127, 0, 1..=127, 0, ..] => Some(Self::Little),
            [0, 1..=127, 0, 1..=127, ..] => Some(Self::Big),
            _ => None,
        }
    }
}

/// Reads UTF-16 as UTF-8, without a byte order mark.
pub(super) struct Utf16Reader<R> {
    source: R,
    order: ByteOrder,
    /// The first half of a character of two units.
    high: Option<u16>,
    text: String,
    next: usize,
    is_start: bool,
}

impl<R: Read> Utf16Reader<R> {
    pub(super) fn new(source: R, order: ByteOrder) -> Self {
        Self {
            source,
            order,
            high: None,
            text: String::new(),
            next: 0,
            is_start: true,
        }
    }

    /// Decodes the next units; `false` at the end.
    fn fill(&mut self) -> io::Result<bool> {
        const CHUNK: usize = 1 << 14;
        let mut bytes = Vec::with_capacity(CHUNK);
        let mut chunk = self.source.by_ref().take(CHUNK as u64);
        chunk.read_to_end(&mut bytes)?;
        self.text.clear();
        self.next = 0;
        if !bytes.len().is_multiple_of(2) {
            return Err(invalid("it ends in the middle of a character"));
        }
        for unit in bytes.chunks_exact(2) {
            let unit = match self.order {
                ByteOrder::Little => u16::from_le_bytes([unit[0], unit[1]]),
                ByteOrder::Big => u16::from_be_bytes([unit[0], unit[1]]),
            };
            if std::mem::take(&mut self.is_start) && unit == 0xfeff {
                continue;
            }
            let c = match (self.high.take(), unit) {
                (None, 0xd800..=0xdbff) => {
                    self.high = Some(unit);
                    continue;
                }
                (high, unit) => char::decode_utf16(high.into_iter().chain([unit])).next(),
            };
            match c {
                Some(Ok(c)) => self.text.push(c),
                _ => return Err(invalid("half of a character is missing")),
            }
        }
        if bytes.is_empty() && self.high.is_some() {
            return Err(invalid("it ends in the middle of a character"));
        }
        Ok(!bytes.is_empty())
    }
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not UTF-16: {problem}"))
}

impl<R: Read> Read for Utf16Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.next == self.text.len() {
            if !self.fill()? {
                return Ok(0);
            }
        }
        let rest = &self.text.as_bytes()[self.next..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.next += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<String, String> {
        let order = ByteOrder::of(bytes).ok_or("not UTF-16")?;
        let mut text = String::new();
        Utf16Reader::new(bytes, order)
            .read_to_string(&mut text)
            .map_err(|e| e.to_string())?;
        Ok(text)
    }

    #[test]
    fn both_orders_with_and_without_a_mark() {
        let text = "{\"Zoë\": \"🙂\"}";
        for mark in ["", "\u{feff}"] {
            let units: Vec<u16> = format!("{mark}{text}").encode_utf16().collect();
            let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
            let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
            assert_eq!(read(&little).as_deref(), Ok(text));
            assert_eq!(read(&big).as_deref(), Ok(text));
            assert!(read(&little[..little.len() - 1]).is_err());
        }
        // The second half of a character before the first, and a first one at the end.
        assert!(read(b"\xff\xfe\x00\xdc").is_err());
        assert!(read(b"\xff\xfe\x00\xd8").is_err());
        assert!(read(b"{\"a\"").is_err());
    }
}
