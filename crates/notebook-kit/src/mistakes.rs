//! Labelling mistakes of published code, from the place of an answer to its token positions.

use std::ops::Range;

use squad_data::{Encoding, Example, QaTokenizer};
use trainer::Error;

/// A labelling mistake that published code makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Correct labels.
    None,
    /// Compares `answer_start`, which counts characters, with byte positions.
    BytesForCharacters,
    /// Searches the text of the answer: its first occurrence may be another one.
    FirstOccurrence,
    /// Takes token positions of the context for positions of the feature, which begins with the question.
    QuestionForgotten,
    /// Truncates the context instead of making a second feature; an answer behind the cut is labelled `[CLS]`.
    CutAtTheEnd,
}

impl Mistake {
    /// Every variant.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::BytesForCharacters,
        Self::FirstOccurrence,
        Self::QuestionForgotten,
        Self::CutAtTheEnd,
    ];
}

/// A question, tokenized and labelled with a mistake.
struct Labelled<'a> {
    example: &'a Example,
    question: Encoding,
    context: Encoding,
    mistake: Mistake,
    max_seq_length: usize,
}

/// The range of the context, in Unicode code points, that the labels of a program with this mistake select; `None` if
/// they select `[CLS]` ("no answer") or a part of the question.
///
/// # Errors
/// If a text cannot be tokenized.
pub fn labelled_range(
    mistake: Mistake,
    example: &Example,
    tokenizer: &QaTokenizer,
    max_seq_length: usize,
) -> Result<Option<Range<usize>>, Error> {
    let labelled = Labelled {
        example,
        question: tokenizer.encode(example.stripped_question())?,
        context: tokenizer.encode(&example.context)?,
        mistake,
        max_seq_length,
    };
    Ok(labelled.range())
}

/// The share of answerable questions whose labels select the first gold answer, in percent. A model learns the wrong
/// labels as well.
///
/// # Errors
/// If a text cannot be tokenized.
pub fn right_labels(
    mistake: Mistake,
    examples: &[Example],
    tokenizer: &QaTokenizer,
    max_seq_length: usize,
) -> Result<f64, Error> {
    let (mut right, mut all) = (0u32, 0u32);
    for example in examples {
        let Some(gold) = example.first_located() else {
            continue;
        };
        let range = labelled_range(mistake, example, tokenizer, max_seq_length)?;
        all += 1;
        right += u32::from(range == gold.char_range());
    }
    Ok(100.0 * f64::from(right) / f64::from(all))
}

impl Labelled<'_> {
    fn range(&self) -> Option<Range<usize>> {
        let gold = self.gold()?;
        let (first, last) = self.tokens(&gold)?;
        // [CLS], the question and [SEP] come before the context.
        let before = self.question.ids.len() + 2;
        if self.mistake == Mistake::CutAtTheEnd && before + last + 1 >= self.max_seq_length {
            return None;
        }
        let (first, last) = match self.mistake {
            Mistake::QuestionForgotten => (first.checked_sub(before)?, last.checked_sub(before)?),
            _ => (first, last),
        };
        Some(
            self.context.offsets.get(first)?.0 as usize..self.context.offsets.get(last)?.1 as usize,
        )
    }

    /// The range of the answer, as the program finds it.
    fn gold(&self) -> Option<Range<usize>> {
        let answer = self.example.first_located()?;
        match self.mistake {
            Mistake::FirstOccurrence => {
                let context: &str = &self.example.context;
                let start = context[..context.find(&answer.text)?].chars().count();
                Some(start..start + answer.text.chars().count())
            }
            _ => answer.char_range(),
        }
    }

    /// The first and last token of the answer, as the program finds them.
    fn tokens(&self, gold: &Range<usize>) -> Option<(usize, usize)> {
        let offsets: Vec<(usize, usize)> = match self.mistake {
            Mistake::BytesForCharacters => self.byte_offsets(),
            _ => self
                .context
                .offsets
                .iter()
                .map(|(a, b)| (*a as usize, *b as usize))
                .collect(),
        };
        let first = offsets.iter().position(|(_, end)| *end > gold.start)?;
        let last = offsets.iter().rposition(|(start, _)| *start < gold.end)?;
        (first <= last).then_some((first, last))
    }

    fn byte_offsets(&self) -> Vec<(usize, usize)> {
        let context: &str = &self.example.context;
        let mut bytes: Vec<usize> = context.char_indices().map(|(byte, _)| byte).collect();
        bytes.push(context.len());
        let byte = |char: u32| bytes[(char as usize).min(bytes.len() - 1)];
        self.context
            .offsets
            .iter()
            .map(|(start, end)| (byte(*start), byte(*end)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use squad_data::GoldAnswer;

    use super::*;

    fn tokenizer() -> QaTokenizer {
        let path = "crates/squad-data/tests/fixtures/tokenizer.json";
        QaTokenizer::from_file(&crate::root().join(path)).unwrap()
    }

    /// The fixture's vocabulary has "the" and "cat".
    fn example(context: &str, text: &str, start: usize) -> Example {
        Example::new("q", "who ate?", context).with_answers(vec![GoldAnswer {
            text: text.into(),
            start: Some(start),
        }])
    }

    fn text(mistake: Mistake, example: &Example, length: usize) -> Option<String> {
        let range = labelled_range(mistake, example, &tokenizer(), length).unwrap()?;
        example.slice(range).map(str::to_owned)
    }

    #[test]
    fn each_mistake_makes_its_own_wrong_labels() {
        let plain = example("the old cat ate the cat", "cat", 20);
        assert_eq!(
            labelled_range(Mistake::None, &plain, &tokenizer(), 64).unwrap(),
            Some(20..23)
        );
        assert_eq!(
            labelled_range(Mistake::FirstOccurrence, &plain, &tokenizer(), 64).unwrap(),
            Some(8..11)
        );
        assert_eq!(text(Mistake::CutAtTheEnd, &plain, 64).unwrap(), "cat");
        assert_eq!(text(Mistake::CutAtTheEnd, &plain, 9), None);
        assert_ne!(
            text(Mistake::QuestionForgotten, &plain, 64).as_deref(),
            Some("cat")
        );
        // Each é has two bytes.
        let accents = example("éé the old cat ate", "cat", 11);
        assert_eq!(text(Mistake::None, &accents, 64).unwrap(), "cat");
        assert_ne!(
            text(Mistake::BytesForCharacters, &accents, 64).as_deref(),
            Some("cat")
        );
        assert_eq!(
            text(Mistake::BytesForCharacters, &plain, 64).unwrap(),
            "cat"
        );
    }

    #[test]
    fn shares_count_answerable_questions_only() {
        let examples = [
            example("the cat ate", "cat", 4),
            example("the cat ate the cat", "cat", 16),
            Example::new("none", "who?", "the cat"),
        ];
        let share = |mistake| right_labels(mistake, &examples, &tokenizer(), 64).unwrap();
        assert_eq!(share(Mistake::None), 100.0);
        assert_eq!(share(Mistake::FirstOccurrence), 50.0);
    }
}
