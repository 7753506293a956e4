//! What became of a question: right, or wrong in which way.

use std::ops::Range;

use squad_data::Example;

/// Every scored question has one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Exact,
    RightlyUnanswered,
    Boundary,
    WrongSpan,
    Unanswered,
    WronglyAnswered,
}

impl Outcome {
    pub(super) const ALL: [Self; 6] = [
        Self::Exact,
        Self::RightlyUnanswered,
        Self::Boundary,
        Self::WrongSpan,
        Self::Unanswered,
        Self::WronglyAnswered,
    ];

    /// `exact` and `f1` are the official ones of the question; `text` and `span` are what was
    /// answered, and where it stands in the context.
    pub(super) fn of(
        example: &Example,
        (exact, f1): (bool, f64),
        text: &str,
        span: Option<&Range<usize>>,
    ) -> Self {
        let touches = |span: &Range<usize>| {
            let mut gold = example.answers.iter().map(|answer| answer.char_range());
            gold.any(|gold| gold.start < span.end && span.start < gold.end)
        };
        match (example.is_impossible, exact) {
            (true, true) => Self::RightlyUnanswered,
            (true, false) => Self::WronglyAnswered,
            (false, true) => Self::Exact,
            (false, false) if text.is_empty() => Self::Unanswered,
            // Words can be shared by chance with an answer that stands elsewhere.
            (false, false) if f1 > 0.0 && span.is_none_or(touches) => Self::Boundary,
            (false, false) => Self::WrongSpan,
        }
    }

    pub(super) fn is_right(self) -> bool {
        matches!(self, Self::Exact | Self::RightlyUnanswered)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Exact => "Exact",
            Self::RightlyUnanswered => "Rightly no answer",
            Self::Boundary => "Boundary",
            Self::WrongSpan => "Wrong span",
            Self::Unanswered => "No answer, though there is one",
            Self::WronglyAnswered => "Answered, though there is none",
        }
    }

    pub(super) fn definition(self) -> &'static str {
        match self {
            Self::Exact => "the normalised text of a gold answer",
            Self::RightlyUnanswered => {
                "the text does not answer the question, and nothing was answered"
            }
            Self::Boundary => {
                "overlaps a gold answer and shares words with it (F1 above 0), but is longer, shorter or shifted"
            }
            Self::WrongSpan => "lies elsewhere in the text, or shares no word with a gold answer",
            Self::Unanswered => "the text has an answer, and nothing was answered",
            Self::WronglyAnswered => {
                "the text does not answer the question, but a span was answered"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use squad_data::GoldAnswer;

    use super::*;

    #[test]
    fn every_way_to_be_right_or_wrong_has_its_name() {
        //             0         1         2
        let context = "The red fox saw the red hen.";
        let mut example = Example::new("q", "Who saw the hen?", context);
        let of = |example: &Example, text: &str, span: Range<usize>| {
            let gold: Vec<_> = example.answers.iter().map(|a| a.text.as_str()).collect();
            let exact = qa_metrics::max_exact_match(text, &gold);
            let f1 = qa_metrics::max_f1(text, &gold);
            let span = (!text.is_empty()).then_some(span);
            if let Some(span) = &span {
                assert_eq!(example.slice(span.clone()), Some(text));
            }
            Outcome::of(example, (exact, f1), text, span.as_ref())
        };
        assert_eq!(of(&example, "", 0..0), Outcome::RightlyUnanswered);
        assert_eq!(of(&example, "fox", 8..11), Outcome::WronglyAnswered);
        example.is_impossible = false;
        example.answers = vec![GoldAnswer {
            text: "red fox".into(),
            start: 4,
        }];
        assert_eq!(of(&example, "The red fox", 0..11), Outcome::Exact);
        assert_eq!(of(&example, "fox", 8..11), Outcome::Boundary);
        assert_eq!(of(&example, "fox saw", 8..15), Outcome::Boundary);
        assert_eq!(of(&example, "saw", 12..15), Outcome::WrongSpan);
        // Shares "red" with the gold answer, but stands elsewhere.
        assert_eq!(of(&example, "red hen", 20..27), Outcome::WrongSpan);
        assert_eq!(of(&example, "", 0..0), Outcome::Unanswered);
        // Only where it is not known where the answer stands does its text decide.
        let scores = (false, 0.5);
        assert_eq!(
            Outcome::of(&example, scores, "red", None),
            Outcome::Boundary
        );
        assert_eq!(
            Outcome::of(&example, (false, 0.0), "hen", None),
            Outcome::WrongSpan
        );
    }
}
