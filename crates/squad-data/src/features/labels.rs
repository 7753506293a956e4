//! From an answer's characters to tokens.

use std::ops::RangeInclusive;

use crate::chars::trimmed;
use crate::example::GoldAnswer;

/// The tokens that an answer covers or touches, or `None` if no token stands for any of its characters or its place is not
/// known.
///
/// `offsets` are the character ranges of the context's tokens, in order. White space at the ends of the answer does not
/// count.
pub(super) fn answer_tokens(
    answer: &GoldAnswer,
    offsets: &[(u32, u32)],
) -> Option<RangeInclusive<usize>> {
    let chars = trimmed(&answer.text, answer.start?);
    let first = offsets.partition_point(|&(_, end)| end as usize <= chars.start);
    let behind = offsets.partition_point(|&(start, _)| (start as usize) < chars.end);
    (first < behind).then(|| first..=behind - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str, start: usize) -> Option<RangeInclusive<usize>> {
        let answer = GoldAnswer {
            text: text.to_owned(),
            start: Some(start),
        };
        // "won 1,000 in" with "1,000" as one token, then a character at 13 without a token.
        answer_tokens(&answer, &[(0, 3), (4, 9), (10, 12), (14, 15)])
    }

    #[test]
    fn an_answer_covers_whole_tokens() {
        assert_eq!(tokens("1,000", 4), Some(1..=1));
        assert_eq!(tokens("000", 6), Some(1..=1));
        assert_eq!(tokens("won 1", 0), Some(0..=1));
        assert_eq!(tokens("won", usize::MAX), None);
        assert_eq!(tokens(" 1,000 ", 3), Some(1..=1));
    }

    #[test]
    fn characters_without_a_token_are_left_out() {
        assert_eq!(tokens("x", 13), None);
        assert_eq!(tokens("in x", 10), Some(2..=2));
        assert_eq!(tokens("xy", 13), Some(3..=3));
        assert_eq!(tokens("past the end", 20), None);
    }
}
