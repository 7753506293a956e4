//! Everything that is printed. The workspace denies printing macros: they panic where a stream cannot be written.

use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal, StdoutLock, Write};

use crate::Error;

/// Prints results on standard output. A reader that has closed its pipe wants no more of them, which is no error.
///
/// # Errors
/// If standard output cannot be written.
pub fn print_result(text: &str) -> Result<(), Error> {
    let mut out = ResultWriter::new();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Error::file("standard output".as_ref(), e))
        }
        _ => Ok(()),
    }
}

/// Standard output for results that come one after the other. On a terminal it escapes control characters; a text must come
/// in whole characters.
#[derive(Debug)]
pub struct ResultWriter {
    out: StdoutLock<'static>,
    is_terminal: bool,
}

impl ResultWriter {
    /// Locks standard output.
    #[expect(clippy::new_without_default, reason = "it locks")]
    pub fn new() -> Self {
        let out = std::io::stdout().lock();
        let is_terminal = out.is_terminal();
        Self { out, is_terminal }
    }
}

impl Write for ResultWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if !self.is_terminal {
            return self.out.write(bytes);
        }
        let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
        self.out.write_all(escape_controls(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Prints a line of progress or of a log on standard error, in one write. Errors are ignored: the line is lost.
pub fn print_log(line: &str) {
    let _ = LogWriter.write_all(format!("{line}\n").as_bytes());
}

/// Standard error, to which writing never fails.
pub struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let _ = std::io::stderr().write_all(escape_controls(&text).as_bytes());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Replaces control characters, which a terminal would obey, and those that change the direction of text by `\u` and four
/// hexadecimal digits, as JSON does. Tabs and line feeds stay.
pub fn escape_controls(text: &str) -> Cow<'_, str> {
    let is_escaped = |c: char| {
        c.is_control() && !['\n', '\t'].contains(&c)
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_escaped) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_escaped(c) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_as_in_json() {
        assert_eq!(escape_controls("a\tb\nc é"), "a\tb\nc é");
        let found = escape_controls("\u{1b}]0;x\u{7}\r\u{9b}2J\u{202e}");
        assert_eq!(found, "\\u001b]0;x\\u0007\\u000d\\u009b2J\\u202e");
        let json = format!("\"{}\"", escape_controls("\u{9b}"));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), "\u{9b}");
    }
}
