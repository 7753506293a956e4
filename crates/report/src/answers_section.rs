//! Sections about questions: best and worst answers, kinds of errors, scores by length.

use maud::{Markup, html};

use crate::answer_kind::AnswerKind;
use crate::answered::{Answered, best, worst};
use crate::excerpt::{Piece, excerpt};
use crate::format::decimals;
use crate::groups::{Group, by_answer_length, by_context_length, by_question_word};

/// Number of best and of worst answers.
const SHOWN: usize = 5;

/// The best and the worst answers in their contexts.
pub(crate) fn answers(answered: &[Answered]) -> Markup {
    let (best, worst) = (best(answered, SHOWN), worst(answered, SHOWN));
    html! {
        section #answers {
            h2 { "Answers" }
            p.legend {
                mark.gold { "gold answer" } " " mark.predicted { "predicted answer" } " "
                mark.gold.predicted { "both" }
            }
            div.pair {
                div {
                    h3 { "Best" }
                    p.note { "The answered questions with the highest F1, the most probable first." }
                    @if best.is_empty() { p.note { "None: no answer shares a word with a gold one." } }
                    @for question in best { (card(question)) }
                }
                div {
                    h3 { "Worst" }
                    p.note { "The wrong answers with the lowest F1, the most probable first." }
                    @if worst.is_empty() { p.note { "None: every question is answered exactly." } }
                    @for question in worst { (card(question)) }
                }
            }
        }
    }
}

fn card(answered: &Answered) -> Markup {
    let example = &answered.example;
    let gold = example.first_located();
    let pieces = excerpt(
        &example.context,
        gold.and_then(|gold| gold.char_range()),
        answered.span.clone(),
    );
    html! {
        article class=(if answered.kind.is_right() { "right" } else { "wrong" }) {
            h4 { (example.stripped_question()) }
            p.facts {
                span.outcome { (answered.kind.name()) }
                span { "F1 " (decimals(100.0 * answered.f1, 1)) }
                @if let Some(probability) = answered.probability {
                    span { "probability " (decimals(probability, 2)) }
                }
                @if let Some(odds) = answered.null_odds {
                    span title="score of “no answer” less that of the best span" { "null odds " (decimals(odds, 2)) }
                }
            }
            p.context {
                @for piece in &pieces {
                    @match piece {
                        Piece::Gap => { " … " }
                        Piece::Text { text, gold: false, predicted: false } => { (text) }
                        Piece::Text { text, gold, predicted } => {
                            mark class=(mark_class(*gold, *predicted)) { (text) }
                        }
                    }
                }
            }
            dl.texts {
                dt { "Gold" }
                dd { (golds(answered)) }
                dt { "Predicted" }
                dd { (or_none(&answered.text)) }
            }
            p.source { @if !example.title.is_empty() { (example.title) " · " } (example.id) }
        }
    }
}

fn mark_class(gold: bool, predicted: bool) -> &'static str {
    match (gold, predicted) {
        (true, true) => "gold predicted",
        (true, false) => "gold",
        _ => "predicted",
    }
}

fn or_none(text: &str) -> Markup {
    html! {
        @if text.is_empty() { em { "no answer" } } @else { "“" (text) "”" }
    }
}

/// The first gold answer, and the other accepted texts.
fn golds(answered: &Answered) -> Markup {
    let mut texts: Vec<&str> = Vec::new();
    for gold in answered.example.answers() {
        if !texts.contains(&gold.text.as_str()) {
            texts.push(&gold.text);
        }
    }
    let (first, others) = texts.split_first().unwrap_or((&"", &[]));
    html! {
        (or_none(first))
        @if !others.is_empty() {
            span.others { " or " @for (index, text) in others.iter().enumerate() {
                @if index > 0 { ", " } "“" (text) "”"
            } }
        }
    }
}

/// The number of questions of each kind of answer.
pub(crate) fn kinds(answered: &[Answered]) -> Markup {
    let count = |kind: AnswerKind| answered.iter().filter(|a| a.kind == kind).count();
    let some_unanswerable = answered.iter().any(|a| a.example.is_impossible());
    let applies = |kind: &AnswerKind| match kind {
        AnswerKind::RightlyUnanswered | AnswerKind::WronglyAnswered => some_unanswerable,
        AnswerKind::Unanswered => some_unanswerable || count(*kind) > 0,
        _ => true,
    };
    html! {
        section #errors {
            h2 { "Kinds of errors" }
            div.table { table.bars {
                thead { tr {
                    th scope="col" { "Outcome" } th scope="col" { "Questions" }
                    th scope="col" { "Share" } td {}
                } }
                tbody { @for kind in AnswerKind::ALL.into_iter().filter(applies) {
                    @let share = 100.0 * count(kind) as f64 / answered.len() as f64;
                    tr {
                        th scope="row" {
                            (kind.name()) small { (kind.definition()) }
                        }
                        td { (count(kind)) } td { (decimals(share, 1)) " %" }
                        td.bar { (bar(share, kind.is_right())) }
                    }
                } }
            } }
        }
    }
}

/// Scores by length and by question word.
pub(crate) fn lengths(answered: &[Answered]) -> Markup {
    let scored: Vec<_> = answered.iter().map(Answered::scored).collect();
    html! {
        section #lengths {
            h2 { "Length against F1" }
            div.groups {
                (groups("Words of the gold answer", &by_answer_length(&scored)))
                (groups("Words of the context", &by_context_length(&scored)))
                (groups("Question word", &by_question_word(&scored)))
            }
            p.note {
                "Words are separated by white space; the gold answer is the first one. A question belongs to the first \
                 question word in it."
            }
        }
    }
}

fn groups(title: &str, groups: &[Group]) -> Markup {
    html! {
        div.table { table.bars {
            thead { tr {
                th scope="col" { (title) } th scope="col" { "Questions" } th scope="col" { "EM" }
                th scope="col" { "F1" } td {}
            } }
            tbody { @for group in groups {
                tr {
                    th scope="row" { (group.name) }
                    td { (group.questions) } td { (decimals(group.exact, 1)) }
                    td { (decimals(group.f1, 1)) }
                    td.bar { (bar(group.f1, true)) }
                }
            } }
        } }
    }
}

/// A percentage as a bar.
fn bar(percent: f64, right: bool) -> Markup {
    let class = if right { "right" } else { "wrong" };
    let width = format!("width:{percent:.1}%");
    html! { div class=(class) style=(width) {} }
}
