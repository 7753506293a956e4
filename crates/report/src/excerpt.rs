//! The part of a context around its answers, in pieces that are marked or not.

use std::ops::Range;

/// A piece of a context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Omitted text.
    Gap,
    /// Text within the gold answer, the predicted answer, both or neither.
    Text {
        text: &'a str,
        gold: bool,
        predicted: bool,
    },
}

/// Characters kept on either side of an answer, less the cut words at the ends.
const AROUND: usize = 160;

/// The context around its answers, which are ranges of Unicode code points, or its beginning if there are none. The
/// pieces do not overlap, even if the answers do.
pub(crate) fn excerpt<'a>(
    context: &'a str,
    gold: Option<Range<usize>>,
    predicted: Option<Range<usize>>,
) -> Vec<Piece<'a>> {
    let text = Text::new(context);
    let [gold, predicted] = [gold, predicted].map(|span| text.bytes(span));
    let spans = [&gold, &predicted].into_iter().flatten();
    let mut kept: Vec<_> = spans.map(|span| text.widen(span)).collect();
    if kept.is_empty() {
        kept.push(text.widen(&(0..0)));
    }
    let mut pieces = Vec::new();
    for part in merge(kept) {
        if part.start > 0 {
            pieces.push(Piece::Gap);
        }
        let is_last = part.end == context.len();
        cut(
            context,
            part,
            gold.as_ref(),
            predicted.as_ref(),
            &mut pieces,
        );
        if is_last {
            return pieces;
        }
    }
    pieces.push(Piece::Gap);
    pieces
}

/// Cuts a part into pieces where an answer begins or ends.
fn cut<'a>(
    context: &'a str,
    part: Range<usize>,
    gold: Option<&Range<usize>>,
    predicted: Option<&Range<usize>>,
    pieces: &mut Vec<Piece<'a>>,
) {
    let ends = [gold, predicted].into_iter().flatten();
    let mut cuts: Vec<usize> = ends.flat_map(|span| [span.start, span.end]).collect();
    cuts.retain(|at| part.contains(at));
    cuts.extend([part.start, part.end]);
    cuts.sort_unstable();
    cuts.dedup();
    for ends in cuts.windows(2) {
        let inside = |span: Option<&Range<usize>>| span.is_some_and(|span| span.contains(&ends[0]));
        pieces.push(Piece::Text {
            text: &context[ends[0]..ends[1]],
            gold: inside(gold),
            predicted: inside(predicted),
        });
    }
}

/// Sorts ranges and joins those that overlap or touch.
fn merge(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// A text with the byte offset of each character.
struct Text<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Text<'a> {
    fn new(text: &'a str) -> Self {
        let starts = text.char_indices().map(|(byte, _)| byte);
        let starts = starts.chain([text.len()]).collect();
        Self { text, starts }
    }

    /// The bytes of a range of characters; `None` if it is empty or outside the text.
    fn bytes(&self, chars: Option<Range<usize>>) -> Option<Range<usize>> {
        let chars = chars?;
        let bytes = *self.starts.get(chars.start)?..*self.starts.get(chars.end)?;
        (!bytes.is_empty()).then_some(bytes)
    }

    /// Extends a range by whole words around it.
    fn widen(&self, bytes: &Range<usize>) -> Range<usize> {
        let at = |byte: usize| self.starts.partition_point(|start| *start < byte);
        let last = self.starts.len() - 1;
        let first = self.starts[at(bytes.start).saturating_sub(AROUND)];
        let end = self.starts[(at(bytes.end) + AROUND).min(last)];
        // Omits a word that the limit cuts, unless it holds the answer.
        let start = match first {
            0 => 0,
            first => self.text[first..bytes.start]
                .find(char::is_whitespace)
                .map_or(first, |space| first + space),
        };
        let end = if end == self.text.len() {
            end
        } else {
            self.text[bytes.end..end]
                .rfind(char::is_whitespace)
                .map_or(end, |space| bytes.end + space)
        };
        start..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[gold]`, `{predicted}`, `<both>`, and `…` for omitted text.
    fn marked(pieces: &[Piece]) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Gap => "…".to_owned(),
            Piece::Text {
                text,
                gold,
                predicted,
            } => match (gold, predicted) {
                (true, true) => format!("<{text}>"),
                (true, false) => format!("[{text}]"),
                (false, true) => format!("{{{text}}}"),
                (false, false) => (*text).to_owned(),
            },
        };
        pieces.iter().map(piece).collect()
    }

    #[test]
    fn spans_may_overlap_in_any_way() {
        let context = "Zoë ate a pie.";
        let cut = |gold, predicted| marked(&excerpt(context, gold, predicted));
        assert_eq!(cut(Some(0..3), Some(8..13)), "[Zoë] ate {a pie}.");
        assert_eq!(cut(Some(8..13), Some(10..13)), "Zoë ate [a ]<pie>.");
        assert_eq!(cut(Some(10..13), Some(8..14)), "Zoë ate {a }<pie>{.}");
        assert_eq!(cut(Some(4..9), Some(8..13)), "Zoë [ate ]<a>{ pie}.");
        assert_eq!(cut(Some(0..14), Some(0..14)), "<Zoë ate a pie.>");
        assert_eq!(cut(None, None), context);
        // Ranges outside the context mark nothing.
        assert_eq!(cut(Some(2..2), Some(10..99)), context);
        assert_eq!(excerpt("", None, None), []);
    }

    #[test]
    fn long_contexts_are_clipped_at_words_around_each_span() {
        let word = "wörd ".repeat(200);
        let context = format!("{word}gold {word}answer {word}");
        let at = |text: &str| {
            let byte = context.find(text).unwrap();
            let start = context[..byte].chars().count();
            Some(start..start + text.len())
        };
        let both = marked(&excerpt(&context, at("gold"), at("answer")));
        assert_eq!(both.matches('…').count(), 3, "{both}");
        let parts: Vec<_> = both.split('…').filter(|part| !part.is_empty()).collect();
        for (part, answer) in parts.iter().zip(["[gold]", "{answer}"]) {
            let words: Vec<_> = part.split_whitespace().collect();
            assert!(words.iter().all(|w| *w == "wörd" || *w == answer), "{part}");
            // AROUND characters on either side, less a cut word; five to a word.
            assert!((62..=66).contains(&words.len()), "{}", words.len());
        }
        let start = marked(&excerpt(&context, None, None));
        assert!(start.starts_with("wörd") && start.ends_with('…'), "{start}");
        // A word longer than the excerpt is cut.
        let long = "x".repeat(1000);
        let cut = marked(&excerpt(&long, Some(500..501), None));
        assert_eq!(cut.chars().count(), 2 * AROUND + 1 + "…[]…".chars().count());
    }
}
