//! The rules of NLTK's word tokenizer, after the Penn Treebank's (MacIntyre 1995), for a sentence in lower case and without
//! the marks that CMRC's script has removed before. Rules for those marks and for capitals are left out.

use crate::python::regex::is_space;
use crate::python::{is_decimal, is_word, regex, split};

/// The tokens of a sentence.
pub(super) fn tokenize(sentence: &[char]) -> Vec<String> {
    let mut text = sentence.to_vec();
    starting_quotes(&mut text);
    punctuation(&mut text);
    text.insert(0, ' ');
    text.push(' ');
    ending_quotes(&mut text);
    contractions(&mut text);
    let text: String = text.into_iter().collect();
    split(&text).map(str::to_owned).collect()
}

fn starting_quotes(text: &mut Vec<char>) {
    pad(text, |c| "«‘„".contains(c));
    if text.first() == Some(&'"') {
        text.splice(0..1, " `` ".chars());
    }
    replace(text, |text, at| {
        let before = text[at];
        let quote = quote_at(text, at + 1)?;
        " ([{<".contains(before).then(|| Replacement {
            length: 1 + quote,
            with: format!("{before} `` "),
        })
    });
    // A quote before a word, but not one of a clitic.
    replace(text, |text, at| {
        let opens = text[at] == '\''
            && !(at > 0 && regex::is_word(text[at - 1]))
            && text.get(at + 1).copied().is_some_and(regex::is_word);
        let is_clitic = ["re", "ve", "ll", "m", "t", "s", "d", "n"]
            .iter()
            .any(|clitic| has_word_end(text, at + 1, clitic, regex::is_word));
        (opens && !is_clitic).then(|| Replacement::new(1, "' "))
    });
}

/// Length of `"` or `''` at a position.
fn quote_at(text: &[char], at: usize) -> Option<usize> {
    match text.get(at..)? {
        ['"', ..] => Some(1),
        ['\'', '\'', ..] => Some(2),
        _ => None,
    }
}

fn punctuation(text: &mut Vec<char>) {
    split_final_period(text);
    replace(text, |text, at| match text.get(at..at + 2)? {
        [',', next] if !is_decimal(*next) => Some(Replacement {
            length: 2,
            with: format!(" , {next}"),
        }),
        _ => None,
    });
    replace(text, |text, at| {
        let is_last = at + 1 == text.len() || (at + 2 == text.len() && text[at + 1] == '\n');
        (text[at] == ',' && is_last).then(|| Replacement::new(1, " , "))
    });
    replace(text, |text, at| {
        let dots = text[at..].iter().take_while(|&&c| c == '.').count();
        (dots >= 2).then(|| Replacement {
            length: dots,
            with: format!(" {} ", ".".repeat(dots)),
        })
    });
    pad(text, |c| {
        ";@#$%&\u{2012}\u{2013}\u{2014}\u{2015}?!".contains(c)
    });
    replace(text, |text, at| match text.get(at..at + 3)? {
        [before, '\'', ' '] if *before != '\'' => Some(Replacement {
            length: 3,
            with: format!("{before} ' "),
        }),
        _ => None,
    });
    pad(text, |c| "[](){}<>".contains(c));
}

/// Splits off the sentence's last period, which only closing marks and white space may follow.
fn split_final_period(text: &mut Vec<char>) {
    let Some(period) = text.iter().rposition(|&c| c == '.') else {
        return;
    };
    if period == 0 || text[period - 1] == '.' {
        return;
    }
    let after = &text[period + 1..];
    let closing = after
        .iter()
        .take_while(|&&c| "])}>\"'» ".contains(c))
        .count();
    if !after[closing..].iter().copied().all(is_space) {
        return;
    }
    let closing: String = after[..closing].iter().collect();
    text.truncate(period);
    text.extend(format!(" . {closing} ").chars());
}

fn ending_quotes(text: &mut Vec<char>) {
    pad(text, |c| c == '»');
    replace(text, |text, at| {
        let quote = quote_at(text, at).filter(|&quote| quote == 2)?;
        Some(Replacement::new(quote, " '' "))
    });
    replace(text, |text, at| {
        (text[at] == '"').then(|| Replacement::new(1, " '' "))
    });
    replace(text, |text, at| {
        let spaces = text[at..].iter().take_while(|&&c| is_space(c)).count();
        (spaces > 0).then(|| Replacement::new(spaces, " "))
    });
    split_endings(text, &["'s ", "'m ", "'d ", "' "]);
    split_endings(text, &["'ll ", "'re ", "'ve ", "n't "]);
}

/// Splits off endings of words; each has the space behind it.
fn split_endings(text: &mut Vec<char>, endings: &[&str]) {
    replace(text, |text, at| {
        let before = text[at];
        if before == '\'' || before == ' ' {
            return None;
        }
        let ending = endings
            .iter()
            .find(|ending| starts_with(&text[at + 1..], ending))?;
        Some(Replacement {
            length: 1 + ending.chars().count(),
            with: format!("{before} {ending}"),
        })
    });
}

fn contractions(text: &mut Vec<char>) {
    for [first, second] in [
        ["can", "not"],
        ["d", "'ye"],
        ["gim", "me"],
        ["gon", "na"],
        ["got", "ta"],
        ["lem", "me"],
        ["more", "'n"],
        ["wan", "na"],
    ] {
        let word = format!("{first}{second}");
        let length = word.chars().count();
        replace(text, |text, at| {
            let begins = at == 0 || !is_word(text[at - 1]);
            let ends = if first == "wan" {
                text.get(at + length)
                    .copied()
                    .is_some_and(crate::python::is_space)
            } else {
                has_word_end(text, at, &word, is_word)
            };
            (begins && ends && starts_with_folded(&text[at..], &word)).then(|| {
                let split = at + first.chars().count();
                Replacement {
                    length,
                    with: format!(
                        " {} {} ",
                        text[at..split].iter().collect::<String>(),
                        text[split..at + length].iter().collect::<String>()
                    ),
                }
            })
        });
    }
    for second in ["is", "was"] {
        let word = format!(" 't{second}");
        replace(text, |text, at| {
            has_word_end(text, at, &word, is_word).then(|| {
                let end = at + word.chars().count();
                Replacement {
                    length: end - at,
                    with: format!(" 't {} ", text[at + 3..end].iter().collect::<String>()),
                }
            })
        });
    }
}

fn starts_with(text: &[char], prefix: &str) -> bool {
    let mut text = text.iter();
    prefix.chars().all(|c| text.next() == Some(&c))
}

/// As [`starts_with`], with the letters that Python's `re.IGNORECASE` takes as equal to one in lower case.
fn starts_with_folded(text: &[char], prefix: &str) -> bool {
    let fold = |c: char| match c {
        'ı' => 'i',
        'ſ' => 's',
        other => other,
    };
    let mut text = text.iter();
    prefix
        .chars()
        .all(|c| text.next().is_some_and(|&t| fold(t) == c))
}

/// Whether the text has `word` at a position, and its end is the end of a word.
fn has_word_end(text: &[char], at: usize, word: &str, is_word: fn(char) -> bool) -> bool {
    let end = at + word.chars().count();
    starts_with_folded(&text[at.min(text.len())..], word)
        && !text.get(end).copied().is_some_and(is_word)
}

/// What a rule puts in place of some characters.
struct Replacement {
    length: usize,
    with: String,
}

impl Replacement {
    fn new(length: usize, with: &str) -> Self {
        Self {
            length,
            with: with.to_owned(),
        }
    }
}

/// Python's `re.sub`: asks `rule` at each position from left to right and goes on behind what it replaces.
fn replace(text: &mut Vec<char>, rule: impl Fn(&[char], usize) -> Option<Replacement>) {
    let mut replaced = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if let Some(Replacement { length, with }) = rule(text, at) {
            replaced.extend(with.chars());
            at += length;
        } else {
            replaced.push(text[at]);
            at += 1;
        }
    }
    *text = replaced;
}

/// Puts spaces around the characters that are wanted.
fn pad(text: &mut Vec<char>, is_wanted: impl Fn(char) -> bool) {
    replace(text, |text, at| {
        is_wanted(text[at]).then(|| Replacement {
            length: 1,
            with: format!(" {} ", text[at]),
        })
    });
}
