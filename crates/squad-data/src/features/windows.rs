//! Where the windows of a context begin and end.

use std::ops::Range;

use crate::error::{Error, counted};
use crate::features::options::{FeatureOptions, StrideKind};

/// A feature's part of the context.
pub(super) struct ContextWindow {
    /// Its tokens, counted from the context's first.
    pub(super) tokens: Range<usize>,
    /// Those of them at which an answer may begin.
    pub(super) max_context: Range<usize>,
}

/// The most tokens that a question next to a context of `num_context` may have.
pub(super) fn max_question(
    options: &FeatureOptions,
    num_special: usize,
    num_context: usize,
) -> usize {
    let room = num_context.clamp(1, options.min_room().max(1));
    let rest = options.max_seq_length.saturating_sub(num_special + room);
    options.max_query_length.map_or(rest, |max| max.min(rest))
}

/// The windows of a context of `num_context` tokens, next to a question of `num_question` and `num_special` special
/// tokens. `id` is the question's.
pub(super) fn context_windows(
    options: &FeatureOptions,
    id: &str,
    num_special: usize,
    num_question: usize,
    num_context: usize,
) -> Result<Vec<ContextWindow>, Error> {
    let too_long = |limit| Error::QuestionTooLong {
        id: id.to_owned(),
        num_tokens: num_question,
        limit,
    };
    if let Some(limit) = options.max_query_length.filter(|&max| num_question > max) {
        return Err(too_long(format!("max_query_length is {limit}")));
    }
    let room = options
        .max_seq_length
        .saturating_sub(num_special + num_question);
    if room == 0 || (num_context > room && room < options.min_room()) {
        let stride = match options.stride {
            StrideKind::Overlap => "an overlap (doc_stride) of",
            StrideKind::Step => "steps (doc_stride) of",
        };
        return Err(too_long(format!(
            "max_seq_length {} then has room for {} of the context, and {stride} {} needs at least {}",
            options.max_seq_length,
            counted(room, "token"),
            options.doc_stride,
            options.min_room()
        )));
    }
    let step = options.step(room).max(1);
    let num_windows = 1 + num_context.saturating_sub(room).div_ceil(step);
    let tokens: Vec<Range<usize>> = (0..num_windows)
        .map(|number| number * step..(number * step + room).min(num_context))
        .collect();
    let max_context = match options.stride {
        StrideKind::Overlap => tokens.clone(),
        StrideKind::Step => max_context(&tokens),
    };
    let window = |(tokens, max_context)| ContextWindow {
        tokens,
        max_context,
    };
    Ok(tokens.into_iter().zip(max_context).map(window).collect())
}

/// The same windows, counted from the context's end: with `truncation_side` left transformers cuts so.
pub(super) fn from_end(windows: Vec<ContextWindow>, num_context: usize) -> Vec<ContextWindow> {
    let mirror = |range: Range<usize>| num_context - range.end..num_context - range.start;
    let mirrored = windows.into_iter().map(|window| ContextWindow {
        tokens: mirror(window.tokens),
        max_context: mirror(window.max_context),
    });
    mirrored.collect()
}

/// For each window the tokens of which it has the maximum context (`_check_is_max_context` in Google's `run_squad.py`).
///
/// These ranges cover the context without gaps, because two neighbours divide their common tokens at one place: up to
/// its middle the earlier window has more context, since it began earlier and is not shorter. From there on its context
/// shrinks by one per token, and that of the later window shrinks no faster.
fn max_context(windows: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut parts = Vec::with_capacity(windows.len());
    for (number, window) in windows.iter().enumerate() {
        let end = windows.get(number + 1).map_or(window.end, |next| {
            (next.start..window.end)
                .find(|&token| context_score(next, token) > context_score(window, token))
                .unwrap_or(window.end)
        });
        parts.push(start..end);
        start = end;
    }
    parts
}

/// The script's `min(tokens on the left, tokens on the right) + 0.01 * length`, in hundredths.
///
/// Whole numbers, because the script's floating-point sums differ in the last bit for some equal scores (where
/// `doc_stride` is a multiple of 101), which leaves gaps between its ranges.
fn context_score(window: &Range<usize>, token: usize) -> usize {
    100 * (token - window.start).min(window.end - 1 - token) + window.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_leaves_less_room_than_a_step_is_an_error() {
        let options = FeatureOptions {
            max_seq_length: 20,
            doc_stride: 10,
            stride: StrideKind::Step,
            ..FeatureOptions::default()
        };
        let windows = |question, context| context_windows(&options, "q", 3, question, context);
        assert_eq!(windows(7, 11).unwrap().len(), 2);
        assert_eq!(windows(8, 9).unwrap().len(), 1);
        let message = windows(8, 10).err().unwrap().to_string();
        assert!(
            message.contains("steps (doc_stride) of 10 needs at least 10"),
            "{message}"
        );
    }

    /// As `Encoding.truncate` of the tokenizers library with the direction left.
    #[test]
    fn windows_may_begin_at_the_end() {
        let options = FeatureOptions {
            max_seq_length: 14,
            doc_stride: 4,
            ..FeatureOptions::default()
        };
        let windows = from_end(context_windows(&options, "q", 3, 1, 17).unwrap(), 17);
        let tokens: Vec<_> = windows.iter().map(|w| w.tokens.clone()).collect();
        assert_eq!(tokens, [7..17, 1..11, 0..5]);
    }

    #[test]
    fn an_answer_begins_in_the_window_with_most_context() {
        let options = FeatureOptions {
            max_seq_length: 14,
            doc_stride: 4,
            stride: StrideKind::Step,
            ..FeatureOptions::default()
        };
        // Windows 0..10, 4..14, 8..17. Token 6 has 3 tokens on its right in the first and 2 on its left in the second;
        // token 7 has 2 and 3. Token 10 has 3 in the second and 2 in the third; token 11 has 2 and 3.
        let windows = context_windows(&options, "q", 3, 1, 17).unwrap();
        let parts: Vec<_> = windows.iter().map(|w| w.max_context.clone()).collect();
        assert_eq!(parts, [0..7, 7..11, 11..17]);
    }
}
