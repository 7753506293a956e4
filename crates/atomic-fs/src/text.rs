//! Texts, read into memory.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::{Error, error};

/// The longest text in bytes that [`read_text`] and [`read_text_from`] read: devices and pipes have no end.
pub const MAX_TEXT: u64 = 1 << 30;

/// Reads a text file in UTF-8, or in UTF-16 behind a byte order mark. The mark, which editors of some systems put before UTF-8
/// too, is left out.
///
/// # Errors
/// If the file cannot be read, is longer than [`MAX_TEXT`] or has another encoding.
pub fn read_text(path: impl AsRef<Path>) -> Result<String, Error> {
    let path = path.as_ref();
    File::open(path)
        .and_then(read_text_from)
        .map_err(|e| error(path, e))
}

/// As [`read_text`], from an open file or another source.
///
/// # Errors
/// As [`read_text`].
pub fn read_text_from(source: impl io::Read) -> io::Result<String> {
    read_at_most(source, MAX_TEXT)
}

fn read_at_most(source: impl io::Read, limit: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    let read = source.take(limit + 1).read_to_end(&mut bytes)?;
    if read as u64 > limit {
        let message = format!("is longer than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
    match &bytes[..] {
        [0xff, 0xfe, rest @ ..] => return utf16(rest, u16::from_le_bytes).map_err(invalid),
        [0xfe, 0xff, rest @ ..] => return utf16(rest, u16::from_be_bytes).map_err(invalid),
        _ => {}
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        invalid(format!(
            "is not UTF-8 after {valid} bytes; save it as UTF-8"
        ))
    })?;
    let mark = text.len() - without_bom(&text).len();
    text.drain(..mark);
    Ok(text)
}

/// A text in UTF-16, as Windows' PowerShell writes it, behind its byte order mark.
fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = units.iter().copied().map(unit).collect();
    match String::from_utf16(&units) {
        Ok(text) if rest.is_empty() => Ok(text),
        _ => Err("begins as UTF-16 and is not; save it as UTF-8".into()),
    }
}

/// A text without the byte order mark at its beginning.
pub fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use test_support::temp_dir;

    use super::*;

    #[test]
    fn read_text_leaves_out_one_byte_order_mark() {
        let folder = temp_dir();
        let path = folder.path().join("file");
        for (bytes, text) in [
            ("", ""),
            ("a", "a"),
            ("\u{feff}a", "a"),
            ("a\u{feff}", "a\u{feff}"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read_text(&path).unwrap(), text);
        }
        for bytes in [
            &b"\xff\xfea\0\xe9\0\x3d\xd8\0\xde"[..],
            b"\xfe\xff\0a\0\xe9\xd8\x3d\xde\0",
        ] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read_text(&path).unwrap(), "a\u{e9}\u{1f600}");
            for cut in [1, 2] {
                std::fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
                let message = read_text(&path).unwrap_err().to_string();
                assert!(
                    message.ends_with("begins as UTF-16 and is not; save it as UTF-8"),
                    "{message}"
                );
            }
        }
        std::fs::write(&path, b"ab\xff").unwrap();
        let message = read_text(&path).unwrap_err().to_string();
        let expected = "is not UTF-8 after 2 bytes; save it as UTF-8";
        assert_eq!(message, format!("{}: {expected}", path.display()));
    }

    #[test]
    fn a_text_without_an_end_is_not_read() {
        assert_eq!(read_at_most(&b"\xef\xbb\xbfabc"[..], 6).unwrap(), "abc");
        let error = read_at_most(io::repeat(b'a'), 6).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "is longer than 6 bytes");
    }
}
