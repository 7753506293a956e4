//! Labels and lost answers, looked at from scratch: from the tokenizer's offsets of the whole context.

use std::collections::HashMap;
use std::ops::Range;

use squad_data::{
    Example, Feature, FeatureOptions, FeatureStats, LostReason, QaTokenizer, StrideKind,
};

/// A context as characters, and the characters of each of its tokens.
type Context = (Vec<char>, Vec<Range<usize>>);

fn context(example: &Example, tokenizer: &QaTokenizer) -> Context {
    let offsets = tokenizer.encode(&example.context).unwrap().offsets;
    let range = |(start, end): (u32, u32)| start as usize..end as usize;
    (
        example.context.chars().collect(),
        offsets.into_iter().map(range).collect(),
    )
}

/// The parts of a context of `num_context` tokens that a question's windows hold.
fn parts(question: usize, num_context: usize, options: &FeatureOptions) -> Vec<Range<usize>> {
    let room = options.max_seq_length - 3 - question;
    let step = match options.stride {
        StrideKind::Overlap => room - options.doc_stride,
        StrideKind::Step => options.doc_stride,
    };
    let mut parts = Vec::new();
    let mut start = 0;
    loop {
        let part = start..num_context.min(start + room);
        start += step;
        let last = part.end == num_context;
        parts.push(part);
        if last {
            return parts;
        }
    }
}

/// Checks a question's labels, and says what should be listed of it: the reason, and the text that its labels stand for.
fn look(
    example: &Example,
    (chars, tokens): &Context,
    windows: &[&Feature],
    parts: &[Range<usize>],
) -> Result<Option<(LostReason, Option<String>)>, String> {
    let labels = |feature: &Feature| (feature.start_position, feature.end_position);
    let Some(answer) = example.answers.first() else {
        let all_none = windows.iter().all(|feature| labels(feature) == (0, 0));
        return all_none
            .then_some(None)
            .ok_or_else(|| "labels without an answer".to_owned());
    };
    let mut gold = answer.start..answer.start + answer.text.chars().count();
    while chars[gold.start].is_whitespace() {
        gold.start += 1;
    }
    while chars[gold.end - 1].is_whitespace() {
        gold.end -= 1;
    }
    let touches = |token: &Range<usize>| token.start < gold.end && token.end > gold.start;
    let of_answer: Vec<usize> = (0..tokens.len())
        .filter(|&token| touches(&tokens[token]))
        .collect();
    let (Some(&first), Some(&last)) = (of_answer.first(), of_answer.last()) else {
        return Ok(Some((LostReason::NotTokenised, None)));
    };
    assert_eq!(windows.len(), parts.len());
    let mut held = false;
    for (feature, part) in windows.iter().zip(parts) {
        let holds = part.contains(&first) && part.contains(&last);
        let position = |token: usize| feature.context.start + token - part.start;
        let expected = if holds {
            (position(first), position(last))
        } else {
            (0, 0)
        };
        if labels(feature) != expected {
            return Err(format!(
                "labels {:?} of {part:?}, not {expected:?}",
                labels(feature)
            ));
        }
        held |= holds;
    }
    if !held {
        return Ok(Some((LostReason::CutByWindow, None)));
    }
    let decoded = tokens[first].start..tokens[last].end;
    let more = decoded.start < gold.start || decoded.end > gold.end;
    let reason = if more {
        LostReason::InsideToken
    } else {
        LostReason::NotTokenised
    };
    let text = || chars[decoded.clone()].iter().collect();
    Ok((decoded != gold).then(|| (reason, Some(text()))))
}

/// Looks at every question, and compares what should be listed with what is.
pub(crate) fn audit(
    examples: &[Example],
    features: &[Feature],
    stats: &FeatureStats,
    tokenizer: &QaTokenizer,
    options: &FeatureOptions,
) -> Result<(), String> {
    let mut windows: Vec<Vec<&Feature>> = vec![Vec::new(); examples.len()];
    for feature in features {
        windows[feature.example_index].push(feature);
    }
    let mut contexts: HashMap<&str, Context> = HashMap::new();
    let mut listed = stats.lost.iter().peekable();
    let (mut answerable, mut labelled) = (0, 0);
    for (example, windows) in examples.iter().zip(&windows) {
        let context = contexts
            .entry(&example.context)
            .or_insert_with(|| context(example, tokenizer));
        let question = tokenizer
            .encode(example.stripped_question())
            .unwrap()
            .ids
            .len();
        let parts = parts(question, context.1.len(), options);
        let expected =
            look(example, context, windows, &parts).map_err(|e| format!("{}: {e}", example.id))?;
        let found = listed.next_if(|lost| lost.id == example.id);
        if found.map(|lost| (lost.reason, lost.decoded.clone())) != expected {
            return Err(format!("{}: {found:?}, not {expected:?}", example.id));
        }
        if let Some(answer) = example.answers.first() {
            answerable += 1;
            labelled += usize::from(!matches!(expected, Some((_, None))));
            if found.is_some_and(|lost| lost.gold != answer.text) {
                return Err(format!("{}: listed with another answer", example.id));
            }
        }
    }
    match listed.next() {
        Some(lost) => Err(format!("{lost:?} is listed twice or out of order")),
        None if (stats.answerable, stats.labelled) != (answerable, labelled) => Err(format!(
            "{answerable} answerable and {labelled} labelled, not {stats:?}"
        )),
        None => Ok(()),
    }
}
