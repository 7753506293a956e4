//! From a gold answer's characters to tokens.

use std::ops::RangeInclusive;

use crate::chars::trimmed;
use crate::example::GoldAnswer;

/// The tokens of a context that an answer covers or touches, or `None` where no token stands for any of its characters.
///
/// `offsets` are the character ranges of all tokens of the context in order. White space at the answer's ends, which no
/// token stands for, is passed over.
pub(crate) fn answer_tokens(
    answer: &GoldAnswer,
    offsets: &[(u32, u32)],
) -> Option<RangeInclusive<usize>> {
    let chars = trimmed(&answer.text, answer.start);
    let first = offsets.partition_point(|&(_, end)| end as usize <= chars.start);
    let behind = offsets.partition_point(|&(start, _)| (start as usize) < chars.end);
    (first < behind).then(|| first..=behind - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str, start: usize) -> Option<RangeInclusive<usize>> {
        // "won 1,000 in" with "1,000" as one piece, and a dropped character at 13.
        answer_tokens(
            &GoldAnswer {
                text: text.to_owned(),
                start,
            },
            &[(0, 3), (4, 9), (10, 12), (14, 15)],
        )
    }

    #[test]
    fn covers_whole_tokens() {
        assert_eq!(tokens("1,000", 4), Some(1..=1));
        assert_eq!(tokens("000", 6), Some(1..=1));
        assert_eq!(tokens("won 1", 0), Some(0..=1));
        assert_eq!(tokens(" 1,000 ", 3), Some(1..=1));
    }

    #[test]
    fn characters_without_a_token() {
        assert_eq!(tokens("x", 13), None);
        assert_eq!(tokens("in x", 10), Some(2..=2));
        assert_eq!(tokens("xy", 13), Some(3..=3));
        assert_eq!(tokens("past the end", 20), None);
    }
}
