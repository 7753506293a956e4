//! The questions of a race, from a SQuAD file.

use serde_json::{Value, json};

/// An answerable question with its paragraph and the number of that paragraph in the file.
pub(super) struct Question<'a> {
    paragraph: usize,
    context: &'a str,
    question: &'a Value,
}

pub(super) fn questions(file: &Value) -> Vec<Question<'_>> {
    let articles = file["data"].as_array().into_iter().flatten();
    let paragraphs =
        articles.flat_map(|article| article["paragraphs"].as_array().into_iter().flatten());
    let mut questions = Vec::new();
    for (number, paragraph) in paragraphs.enumerate() {
        let context = paragraph["context"].as_str().unwrap_or_default();
        let answerable = |question: &&Value| {
            question["answers"]
                .as_array()
                .is_some_and(|list| !list.is_empty())
        };
        let all = paragraph["qas"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(answerable);
        questions.extend(all.map(|question| Question {
            paragraph: number,
            context,
            question,
        }));
    }
    questions
}

/// `count` of them, evenly over the file; all where there are fewer.
pub(super) fn spread<'a>(questions: &[Question<'a>], count: usize) -> Vec<(String, &'a Value)> {
    let count = count.min(questions.len());
    let chosen = (0..count).map(|i| &questions[i * questions.len() / count]);
    chosen
        .map(|chosen| (chosen.context.to_owned(), chosen.question))
        .collect()
}

/// Short questions whose paragraph is followed by those after it until the context has `words`
/// words: all windows but a context's last one are as long as may be.
pub(super) fn long<'a>(
    questions: &[Question<'a>],
    count: usize,
    words: usize,
) -> Vec<(String, &'a Value)> {
    let num_words = |text: &str| text.split_whitespace().count();
    let mut paragraphs: Vec<(usize, &str)> = questions
        .iter()
        .map(|one| (one.paragraph, one.context))
        .collect();
    paragraphs.dedup();
    let short =
        |one: &&Question| num_words(one.question["question"].as_str().unwrap_or_default()) <= 12;
    let lengthened = |one: &Question<'a>| {
        let first = paragraphs.partition_point(|(number, _)| *number < one.paragraph);
        let mut context = one.context.to_owned();
        for (_, more) in paragraphs.iter().cycle().skip(first + 1) {
            if num_words(&context) >= words {
                break;
            }
            context = format!("{context} {more}");
        }
        (context, one.question)
    };
    questions
        .iter()
        .filter(short)
        .take(count)
        .map(lengthened)
        .collect()
}

/// As a SQuAD file.
pub(super) fn file(questions: &[(String, &Value)]) -> Value {
    let paragraph =
        |(context, question): &(String, &Value)| json!({"context": context, "qas": [question]});
    let paragraphs: Vec<_> = questions.iter().map(paragraph).collect();
    json!({"version": "1.1", "data": [{"title": "", "paragraphs": paragraphs}]})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Value {
        let question = |id: usize, answers: usize| {
            let answer = json!({"text": "a", "answer_start": 0});
            json!({"id": id.to_string(), "question": "what ?", "answers": vec![answer; answers]})
        };
        let paragraph = |context: &str, qas: Vec<Value>| json!({"context": context, "qas": qas});
        json!({"data": [
            {"paragraphs": [paragraph("a b c", vec![question(1, 1), question(2, 0)])]},
            {"paragraphs": [paragraph("a d", vec![question(3, 2)]), paragraph("a e", vec![question(4, 1)])]},
        ]})
    }

    fn ids(questions: &[(String, &Value)]) -> String {
        questions
            .iter()
            .filter_map(|(_, question)| question["id"].as_str())
            .collect()
    }

    #[test]
    fn answerable_questions_are_spread_over_the_file() {
        let file = sample();
        let questions = questions(&file);
        for (count, expected) in [(1, "1"), (2, "13"), (3, "134"), (9, "134")] {
            assert_eq!(ids(&spread(&questions, count)), expected);
        }
    }

    #[test]
    fn contexts_grow_from_their_own_paragraph_on() {
        let file = sample();
        let questions = questions(&file);
        let long = long(&questions, 3, 5);
        let contexts: Vec<_> = long.iter().map(|(context, _)| context.as_str()).collect();
        assert_eq!(contexts, ["a b c a d", "a d a e a b c", "a e a b c"]);
        let written = super::file(&long);
        assert_eq!(ids(&spread(&super::questions(&written), 9)), "134");
    }
}
