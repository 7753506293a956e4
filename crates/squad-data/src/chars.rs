//! Positions in a text, counted in Unicode characters.

use std::ops::Range;

/// Slices a text by characters, in constant time after one pass over the text.
pub(crate) struct CharIndex<'a> {
    text: &'a str,
    /// First byte of each character, then the text's length. `None` for ASCII, where characters are bytes.
    starts: Option<Vec<usize>>,
}

impl<'a> CharIndex<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let starts = (!text.is_ascii()).then(|| {
            let ends = std::iter::once(text.len());
            text.char_indices()
                .map(|(byte, _)| byte)
                .chain(ends)
                .collect()
        });
        Self { text, starts }
    }

    /// Length of the text in characters.
    pub(crate) fn len(&self) -> usize {
        self.starts
            .as_ref()
            .map_or(self.text.len(), |starts| starts.len() - 1)
    }

    /// The characters in `range`, or `None` if it is outside the text.
    pub(crate) fn slice(&self, range: Range<usize>) -> Option<&'a str> {
        match &self.starts {
            None => self.text.get(range),
            Some(starts) => self
                .text
                .get(*starts.get(range.start)?..*starts.get(range.end)?),
        }
    }

    /// The character that starts at a byte.
    pub(crate) fn char_at(&self, byte: usize) -> usize {
        self.starts
            .as_ref()
            .map_or(byte, |starts| starts.partition_point(|&start| start < byte))
    }
}

/// The characters of `text`, which starts at character `start`, without white space at either end.
pub(crate) fn trimmed(text: &str, start: usize) -> Range<usize> {
    let left = text.chars().take_while(|c| c.is_whitespace()).count();
    let kept = text.trim().chars().count();
    start + left..start + left + kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slice_counts_characters() {
        for text in ["naïve 🙂 e\u{301}t\u{e9}", "plain ASCII", ""] {
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
