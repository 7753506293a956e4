//! Kinds of right and wrong answers.

use std::ops::Range;

use squad_data::Example;

/// The kind of a scored answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerKind {
    Exact,
    RightlyUnanswered,
    Boundary,
    WrongSpan,
    Unanswered,
    WronglyAnswered,
}

impl AnswerKind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Exact,
        Self::RightlyUnanswered,
        Self::Boundary,
        Self::WrongSpan,
        Self::Unanswered,
        Self::WronglyAnswered,
    ];

    /// `exact` and `f1` are the official scores of the question, `text` is the answer and `span` its place in the
    /// context.
    pub(crate) fn of(
        example: &Example,
        (exact, f1): (bool, f64),
        text: &str,
        span: Option<&Range<usize>>,
    ) -> Self {
        let touches = |span: &Range<usize>| {
            let mut gold = example.answers().iter().filter_map(|a| a.char_range());
            gold.any(|gold| gold.start < span.end && span.start < gold.end)
        };
        match (example.is_impossible(), exact) {
            (true, true) => Self::RightlyUnanswered,
            (true, false) => Self::WronglyAnswered,
            (false, true) => Self::Exact,
            (false, false) if text.is_empty() => Self::Unanswered,
            // An answer elsewhere may share words by chance.
            (false, false) if f1 > 0.0 && span.is_none_or(touches) => Self::Boundary,
            (false, false) => Self::WrongSpan,
        }
    }

    pub(crate) fn is_right(self) -> bool {
        matches!(self, Self::Exact | Self::RightlyUnanswered)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Exact => "Exact",
            Self::RightlyUnanswered => "Rightly no answer",
            Self::Boundary => "Boundary",
            Self::WrongSpan => "Wrong span",
            Self::Unanswered => "No answer, though there is one",
            Self::WronglyAnswered => "Answered, though there is none",
        }
    }

    pub(crate) fn definition(self) -> &'static str {
        match self {
            Self::Exact => "the normalised text of a gold answer",
            Self::RightlyUnanswered => "the context has no answer, and the model gave none",
            Self::Boundary => {
                "overlaps a gold answer and shares words with it (F1 above 0), but is longer, shorter or shifted"
            }
            Self::WrongSpan => {
                "lies elsewhere in the context, or shares no word with a gold answer"
            }
            Self::Unanswered => "the context has an answer, and the model gave none",
            Self::WronglyAnswered => "the context has no answer, but the model gave one",
        }
    }
}

#[cfg(test)]
mod tests {
    use squad_data::GoldAnswer;

    use super::*;

    #[test]
    fn every_kind_of_answer_is_recognised() {
        //             0         1         2
        let context = "The red fox saw the red hen.";
        let example = Example::new("q", "Who saw the hen?", context).with_answers(Vec::new());
        let of = |example: &Example, text: &str, span: Range<usize>| {
            let gold: Vec<_> = example.answers().iter().map(|a| a.text.as_str()).collect();
            let exact = qa_metrics::max_exact_match(text, &gold);
            let f1 = qa_metrics::max_f1(text, &gold);
            let span = (!text.is_empty()).then_some(span);
            if let Some(span) = &span {
                assert_eq!(example.slice(span.clone()), Some(text));
            }
            AnswerKind::of(example, (exact, f1), text, span.as_ref())
        };
        assert_eq!(of(&example, "", 0..0), AnswerKind::RightlyUnanswered);
        assert_eq!(of(&example, "fox", 8..11), AnswerKind::WronglyAnswered);
        let example = example.with_answers(vec![GoldAnswer {
            text: "red fox".into(),
            start: Some(4),
        }]);
        assert_eq!(of(&example, "The red fox", 0..11), AnswerKind::Exact);
        assert_eq!(of(&example, "fox", 8..11), AnswerKind::Boundary);
        assert_eq!(of(&example, "fox saw", 8..15), AnswerKind::Boundary);
        assert_eq!(of(&example, "saw", 12..15), AnswerKind::WrongSpan);
        // Shares "red" with the gold answer, but is elsewhere.
        assert_eq!(of(&example, "red hen", 20..27), AnswerKind::WrongSpan);
        assert_eq!(of(&example, "", 0..0), AnswerKind::Unanswered);
        // Without the place of the answer, its text decides.
        let scores = (false, 0.5);
        assert_eq!(
            AnswerKind::of(&example, scores, "red", None),
            AnswerKind::Boundary
        );
        assert_eq!(
            AnswerKind::of(&example, (false, 0.0), "hen", None),
            AnswerKind::WrongSpan
        );
    }
}
