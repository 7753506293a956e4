//! Which gold answers a model cannot give, however well it is trained.

use serde::Serialize;

use crate::chars::trimmed;
use crate::example::Example;
use crate::features::feature::Feature;
use crate::features::labels::answer_tokens;

/// Number of answers that are listed.
const MAX_LISTED: usize = 10;

/// Gold answers that a model cannot give, or is taught not to give.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// Questions whose gold answers all have more than `max_answer_length` tokens.
    pub too_long_answers: usize,
    /// The first ten of them.
    pub first_too_long: Vec<UnreachedAnswer>,
    /// Features labelled "no answer" that hold a gold answer other than the labelled one: see
    /// [`crate::LabelAnswer::Any`].
    pub unlabelled_answers: usize,
    /// The first ten of them.
    pub first_unlabelled: Vec<UnreachedAnswer>,
}

/// A gold answer that cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnreachedAnswer {
    /// The question's id.
    pub id: String,
    /// The gold answer.
    pub text: String,
    /// Its length in tokens.
    pub num_tokens: usize,
}

/// Finds the gold answers that are longer than `max_answer_length` tokens, and those in features labelled "no answer".
///
/// `features` are those of [`crate::make_features`] for these `examples`.
pub fn reach(examples: &[Example], features: &[Feature], max_answer_length: usize) -> Reach {
    let mut reach = Reach::default();
    let mut rest = features;
    for (index, example) in examples.iter().enumerate() {
        let count = rest.iter().take_while(|f| f.example_index == index).count();
        let (of_example, behind) = rest.split_at(count);
        rest = behind;
        let shortest = of_example.iter().flat_map(|feature| held(example, feature));
        let shortest = shortest.min_by_key(|answer| answer.num_tokens);
        if let Some(answer) = shortest.filter(|answer| answer.num_tokens > max_answer_length) {
            reach.too_long_answers += 1;
            list(&mut reach.first_too_long, answer);
        }
        for feature in of_example.iter().filter(|feature| !feature.has_answer()) {
            if let Some(answer) = held(example, feature).next() {
                reach.unlabelled_answers += 1;
                list(&mut reach.first_unlabelled, answer);
            }
        }
    }
    reach
}

/// The gold answers of which a feature has every character that tokens stand for.
fn held<'a>(
    example: &'a Example,
    feature: &'a Feature,
) -> impl Iterator<Item = UnreachedAnswer> + 'a {
    example.answers().iter().filter_map(|answer| {
        let chars = trimmed(&answer.text, answer.start?);
        let (first, last) = (feature.offsets.first()?, feature.offsets.last()?);
        let is_whole = first.0 as usize <= chars.start && chars.end <= last.1 as usize;
        let tokens = answer_tokens(answer, &feature.offsets).filter(|_| is_whole)?;
        Some(UnreachedAnswer {
            id: example.id.clone(),
            text: answer.text.clone(),
            num_tokens: tokens.end() + 1 - tokens.start(),
        })
    })
}

fn list(listed: &mut Vec<UnreachedAnswer>, answer: UnreachedAnswer) {
    if listed.len() < MAX_LISTED {
        listed.push(answer);
    }
}
