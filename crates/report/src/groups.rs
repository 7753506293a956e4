//! Scores by length and by question word.

use squad_data::Example;

/// A question with the score of its answer.
#[derive(Clone, Copy, Debug)]
pub struct ScoredExample<'a> {
    /// The question.
    pub example: &'a Example,
    /// Whether the answer matches a gold answer exactly.
    pub exact: bool,
    /// F1, from 0 to 1.
    pub f1: f64,
}

/// The mean scores of a group of questions.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The name of the group, such as a question word.
    pub name: String,
    /// The number of questions.
    pub questions: usize,
    /// Exact match in percent.
    pub exact: f64,
    /// F1 in percent.
    pub f1: f64,
}

/// The first length, in words, of each group; the last group has no end.
const ANSWER_WORDS: [usize; 5] = [1, 2, 3, 5, 9];
const CONTEXT_WORDS: [usize; 6] = [1, 50, 100, 150, 200, 300];

const QUESTION_WORDS: [&str; 8] = [
    "what", "who", "when", "where", "which", "why", "how", "other",
];

/// Scores by the number of words of the first gold answer; unanswerable questions come first.
pub fn by_answer_length(scored: &[ScoredExample]) -> Vec<Group> {
    let mut names = vec!["no answer".to_owned()];
    names.extend(range_names(&ANSWER_WORDS));
    let group = |scored: &ScoredExample| {
        let gold = scored.example.answers().first();
        gold.map_or(0, |gold| 1 + range_of(&ANSWER_WORDS, words(&gold.text)))
    };
    group_by(scored, &names, group)
}

/// Scores by the number of words of the context.
pub fn by_context_length(scored: &[ScoredExample]) -> Vec<Group> {
    let names: Vec<_> = range_names(&CONTEXT_WORDS).collect();
    let group = |scored: &ScoredExample| range_of(&CONTEXT_WORDS, words(&scored.example.context));
    group_by(scored, &names, group)
}

/// Scores by the first question word anywhere in the question.
pub fn by_question_word(scored: &[ScoredExample]) -> Vec<Group> {
    let names = QUESTION_WORDS.map(str::to_owned);
    group_by(scored, &names, |scored| {
        question_word(&scored.example.question)
    })
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// The index into [`QUESTION_WORDS`].
fn question_word(question: &str) -> usize {
    let question = question.to_lowercase();
    let words = question.split(|c: char| !c.is_alphabetic());
    let known = |word: &str| {
        let word = match word {
            "whose" | "whom" => "who",
            word => word,
        };
        QUESTION_WORDS[..7].iter().position(|known| *known == word)
    };
    words.into_iter().find_map(known).unwrap_or(7)
}

fn range_of(firsts: &[usize], length: usize) -> usize {
    firsts
        .partition_point(|first| *first <= length)
        .saturating_sub(1)
}

fn range_names(firsts: &[usize]) -> impl Iterator<Item = String> {
    let ends = firsts[1..].iter().map(|next| Some(next - 1)).chain([None]);
    firsts.iter().zip(ends).map(|(first, last)| match last {
        None => format!("{first} or more"),
        Some(last) if last == *first => first.to_string(),
        Some(last) => format!("{first} to {last}"),
    })
}

/// The means of each group with questions, in the order of `names`.
fn group_by(
    scored: &[ScoredExample],
    names: &[String],
    group: impl Fn(&ScoredExample) -> usize,
) -> Vec<Group> {
    let mut sums = vec![(0usize, 0.0, 0.0); names.len()];
    for question in scored {
        let (questions, exact, f1) = &mut sums[group(question)];
        *questions += 1;
        *exact += f64::from(question.exact);
        *f1 += question.f1;
    }
    let groups = names.iter().zip(sums).filter(|(_, sums)| sums.0 > 0);
    groups
        .map(|(name, (questions, exact, f1))| Group {
            name: name.clone(),
            questions,
            exact: 100.0 * exact / questions as f64,
            f1: 100.0 * f1 / questions as f64,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use squad_data::GoldAnswer;

    use super::*;

    fn example(question: &str, gold: &str) -> Example {
        let answer = |text: &str| GoldAnswer {
            text: text.to_owned(),
            start: Some(0),
        };
        let answers = (!gold.is_empty()).then(|| answer(gold));
        Example::new("q", question, gold.repeat(2)).with_answers(answers.into_iter().collect())
    }

    #[test]
    fn lengths_fall_into_their_range() {
        let names: Vec<_> = range_names(&ANSWER_WORDS).collect();
        assert_eq!(names, ["1", "2", "3 to 4", "5 to 8", "9 or more"]);
        for (length, index) in [
            (0, 0),
            (1, 0),
            (2, 1),
            (4, 2),
            (5, 3),
            (8, 3),
            (9, 4),
            (99, 4),
        ] {
            assert_eq!(range_of(&ANSWER_WORDS, length), index, "{length}");
        }
    }

    #[test]
    fn question_words_are_whole_words_of_any_case() {
        for (question, word) in [
            ("What's that?", "what"),
            ("In WHICH year?", "which"),
            ("To whom?", "who"),
            ("Whoever sang, how long?", "how"),
            ("Name a river.", "other"),
            ("", "other"),
        ] {
            assert_eq!(QUESTION_WORDS[question_word(question)], word, "{question}");
        }
    }

    #[test]
    fn groups_are_means_and_empty_ones_are_omitted() {
        let examples = [
            example("Who?", "a b c"),
            example("Who?", "a b c d"),
            example("Why?", ""),
        ];
        let scored = |(example, f1)| ScoredExample {
            example,
            exact: f1 == 1.0,
            f1,
        };
        let all: Vec<_> = examples.iter().zip([1.0, 0.5, 0.0]).map(scored).collect();
        let group = |name: &str, questions, exact, f1| Group {
            name: name.into(),
            questions,
            exact,
            f1,
        };
        assert_eq!(
            by_answer_length(&all),
            [
                group("no answer", 1, 0.0, 0.0),
                group("3 to 4", 2, 50.0, 75.0)
            ]
        );
        assert_eq!(
            by_question_word(&all),
            [group("who", 2, 50.0, 75.0), group("why", 1, 0.0, 0.0)]
        );
        assert_eq!(
            by_context_length(&all),
            [group("1 to 49", 3, 100.0 / 3.0, 50.0)]
        );
        assert_eq!(by_context_length(&[]), []);
    }
}
