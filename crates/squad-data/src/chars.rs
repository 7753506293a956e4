//! Positions in a text, counted in Unicode characters.

use std::ops::Range;

/// Characters between two known positions of a [`CharIndex`].
const STEP: usize = 64;

/// Slices a text by characters, in constant time after one pass over the text.
pub(crate) struct CharIndex<'a> {
    text: &'a str,
    /// First byte of every [`STEP`]th character. `None` for ASCII, where characters are bytes.
    starts: Option<Vec<usize>>,
    len: usize,
}

impl<'a> CharIndex<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        if text.is_ascii() {
            return Self {
                text,
                starts: None,
                len: text.len(),
            };
        }
        let (mut starts, mut len) = (Vec::with_capacity(text.len() / STEP + 1), 0);
        for (byte, _) in text.char_indices() {
            if len % STEP == 0 {
                starts.push(byte);
            }
            len += 1;
        }
        Self {
            text,
            starts: Some(starts),
            len,
        }
    }

    /// Length of the text in characters.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The characters in `range`, or `None` if it is outside the text.
    pub(crate) fn slice(&self, range: Range<usize>) -> Option<&'a str> {
        self.text
            .get(self.byte_at(range.start)?..self.byte_at(range.end)?)
    }

    /// The first byte of a character, or the text's length behind the last one.
    pub(crate) fn byte_at(&self, char: usize) -> Option<usize> {
        if char >= self.len {
            return (char == self.len).then_some(self.text.len());
        }
        let Some(starts) = &self.starts else {
            return Some(char);
        };
        let known = starts[char / STEP];
        let mut chars = self.text[known..].char_indices();
        chars.nth(char % STEP).map(|(byte, _)| known + byte)
    }

    /// The character that starts at a byte.
    pub(crate) fn char_at(&self, byte: usize) -> usize {
        let Some(starts) = &self.starts else {
            return byte;
        };
        let known = starts
            .partition_point(|&start| start <= byte)
            .saturating_sub(1);
        let chars = self.text[starts[known]..].char_indices();
        known * STEP
            + chars
                .take_while(|(at, _)| starts[known] + at < byte)
                .count()
    }
}

/// The characters of `text`, which starts at character `start`, without white space at either end.
pub(crate) fn trimmed(text: &str, start: usize) -> Range<usize> {
    let left = text.chars().take_while(|c| c.is_whitespace()).count();
    let kept = text.trim().chars().count();
    let start = start.saturating_add(left);
    start..start.saturating_add(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slice_counts_characters() {
        let long = "naïve 🙂 ".repeat(40);
        for text in ["naïve 🙂 e\u{301}t\u{e9}", "plain ASCII", "", &long] {
            let index = CharIndex::new(text);
            let chars: Vec<char> = text.chars().collect();
            assert_eq!(index.len(), chars.len());
            for start in 0..=chars.len() {
                for end in start..=chars.len() {
                    assert_eq!(
                        index.slice(start..end),
                        Some(&*chars[start..end].iter().collect::<String>())
                    );
                }
            }
            assert_eq!(index.slice(0..chars.len() + 1), None);
            assert_eq!(index.char_at(text.len()), chars.len());
            for (number, (byte, _)) in text.char_indices().enumerate() {
                assert_eq!(index.char_at(byte), number);
            }
        }
    }

    #[test]
    #[expect(
        clippy::reversed_empty_ranges,
        reason = "a reversed range is the input under test"
    )]
    fn slice_rejects_a_reversed_range() {
        assert_eq!(CharIndex::new("naïve").slice(3..1), None);
        assert_eq!(CharIndex::new("plain").slice(3..1), None);
    }

    #[test]
    fn trimmed_counts_characters() {
        assert_eq!(trimmed(" \u{a0}été ", 4), 6..9);
        assert_eq!(trimmed("été", 0), 0..3);
    }
}
