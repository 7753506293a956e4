//! NLTK's Punkt sentence tokenizer (Kiss and Strunk 2006) with its English model, for text in lower case.
//!
//! In lower case only these parts of the model decide: the abbreviations, the collocations, and the one word that it knows to
//! begin sentences in lower case. They come from NLTK's data package `punkt_tab` (MIT License, by Jan Strunk and Tibor
//! Kiss). What has a hyphen is left out, because CMRC's script removes hyphens before.

use std::ops::Range;

use crate::python::regex::{is_space, is_word};
use crate::python::{self, is_decimal};

/// Words that may end in a period within a sentence.
const ABBREVIATIONS: &str = "\
a.a a.c a.d a.g a.h a.m a.m.e a.s a.t adm ala ariz aug ave b.f b.v bros c c.i.t c.o.m.b c.v calif chg cie co col colo conn \
corp cos ct d d.c d.h d.w dec dr e e.f e.h e.l e.m f f.g f.j feb fla fri ft g g.d g.f g.k ga gen h h.c h.f h.m i.m.s ill inc \
j.b j.c j.j j.k j.p j.r jan jr k kan ky l l.a l.f l.p lt ltd m m.b.a m.d.c m.j maj messrs mg mich minn mr mrs ms n n.c n.d \
n.h n.j n.m n.v n.y nev nov oct ok okla ore p p.a.m p.m pa ph.d prof r r.a r.h r.i r.j r.k r.t rep reps s s.a s.a.y s.c s.g \
s.p.a s.s sen sep sept sr st sw t t.j tenn tues u.k u.n u.s u.s.a u.s.s.r v va vs vt w w.c w.r w.va w.w wash wed wis yr";

/// What follows a number and a period without a new sentence.
const AFTER_NUMBER: &str = "\
abreast aes business cbot colgate commodities cooper corrections credit dividend financing genentech henley insider \
international leisure letters notable pegasus pepper review rj wedgestone who zimmer";

/// What follows an initial and a period without a new sentence.
const AFTER_INITIAL: [(&str, &str); 4] = [
    ("b", "edelman levine smith stewart wigton"),
    ("i", "magnin toussie"),
    ("j", "aron fialka walter"),
    ("o", "ludcke"),
];

/// The only word that the model has seen begin sentences in lower case, but never in upper case.
const LOWER_CASE_STARTER: &str = "administrators";

/// Three periods, as the model lists them among the abbreviations.
const SPACED_PERIODS: &str = ". . ";

fn lists(list: &str, word: &str) -> bool {
    list.split(' ').any(|listed| listed == word)
}

/// The sentences of a text, without the white space between them.
pub(super) fn sentences(text: &[char]) -> Vec<Range<usize>> {
    let end = text.len()
        - text
            .iter()
            .rev()
            .take_while(|&&c| python::is_space(c))
            .count();
    let mut sentences = Vec::new();
    let mut start = 0;
    for candidate in candidates(text) {
        let context = [
            &text[candidate.word.clone()],
            &text[candidate.mark..=candidate.mark],
            &text[candidate.after.clone()],
        ]
        .concat();
        if has_break(&context) {
            sentences.push(start..candidate.mark + 1);
            start = candidate.next.unwrap_or(candidate.mark + 1);
        }
    }
    sentences.push(start..end.max(start));
    realign(text, &sentences)
}

/// A place where a sentence may end.
struct Candidate {
    /// The word before the mark.
    word: Range<usize>,
    /// The `.`, `?` or `!`.
    mark: usize,
    /// What follows: one mark, or white space and the next token.
    after: Range<usize>,
    /// Start of the next token, if white space precedes it.
    next: Option<usize>,
}

/// The candidates; of several that share a word, the last.
fn candidates(text: &[char]) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for mark in 0..text.len() {
        if !".?!".contains(text[mark]) {
            continue;
        }
        let Some((after, next)) = after_mark(text, mark + 1) else {
            continue;
        };
        let previous = candidates.last().map_or(0..0, |last| last.word.clone());
        let before = &text[previous.end..mark];
        let is_ascii_space = |c: &char| " \t\n\r\u{b}\u{c}".contains(*c);
        let word = match before.iter().rposition(is_ascii_space) {
            // NLTK takes a space at the very start as none.
            Some(space) if space > 0 => previous.end + space + 1..mark,
            _ => previous.start..mark,
        };
        if previous.end > word.start && !candidates.is_empty() {
            candidates.pop();
        }
        candidates.push(Candidate {
            word,
            mark,
            after,
            next,
        });
    }
    candidates
}

/// What follows a possible end of a sentence, and where the next token begins if white space precedes it.
fn after_mark(text: &[char], at: usize) -> Option<(Range<usize>, Option<usize>)> {
    let first = *text.get(at)?;
    if ends_word(first) {
        return Some((at..at + 1, None));
    }
    let next = at + text[at..].iter().take_while(|&&c| is_space(c)).count();
    let length = text[next..].iter().take_while(|&&c| !is_space(c)).count();
    (next > at && length > 0).then_some((at..next + length, Some(next)))
}

/// Marks that no word contains.
fn ends_word(c: char) -> bool {
    ")\";}]@'({[‘«»?!".contains(c)
}

/// Moves closing marks from the start of a sentence to the end of the one before.
fn realign(text: &[char], sentences: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut realigned = Vec::with_capacity(sentences.len());
    let mut moved = 0;
    for (index, sentence) in sentences.iter().enumerate() {
        let start = sentence.start + moved;
        moved = 0;
        let mut end = sentence.end;
        if let Some(next) = sentences.get(index + 1)
            && let Some((marks, with_space)) = closing_marks(&text[next.clone()])
        {
            end = next.start + marks;
            moved = with_space;
        }
        if start < end {
            realigned.push(start..end);
        }
    }
    realigned
}

/// Number of closing marks at the start that white space or the end follows, and that number with the white space.
fn closing_marks(sentence: &[char]) -> Option<(usize, usize)> {
    let is_closing = |c: &&char| "\"')]}‘«»".contains(**c);
    let marks = sentence.iter().take_while(is_closing).count();
    let rest = &sentence[marks..];
    let space = rest.iter().take_while(|&&c| is_space(c)).count();
    (marks > 0 && (space > 0 || rest.is_empty())).then_some((marks, marks + space))
}

/// A token of a candidate's context.
struct Token<'a> {
    text: &'a [char],
    ends_sentence: bool,
}

impl<'a> Token<'a> {
    /// A sentence ends with `.`, `?` or `!`, and with a word that ends in a period and is no abbreviation.
    fn new(text: &'a [char]) -> Self {
        let is_mark = matches!(text, ['.' | '?' | '!']);
        let is_abbreviation = |word: &[char]| {
            let word: String = word.iter().collect();
            word == SPACED_PERIODS || lists(ABBREVIATIONS, &word)
        };
        let ends_in_period = match text {
            [_, .., '.', '.'] | ['.', '.'] => false,
            [word @ .., '.'] => !is_abbreviation(word),
            _ => false,
        };
        Self {
            text,
            ends_sentence: is_mark || ends_in_period,
        }
    }

    fn has_final_period(&self) -> bool {
        self.text.ends_with(&['.'])
    }

    /// A letter and a period.
    fn is_initial(&self) -> bool {
        matches!(self.text, [letter, '.'] if is_word(*letter) && !is_decimal(*letter))
    }

    /// As `[.,]?\d[\d,.]*`.
    fn is_number(&self) -> bool {
        let digits = match self.text {
            ['.' | ',', digits @ ..] => digits,
            digits => digits,
        };
        let is_part = |&c: &char| is_decimal(c) || ",.".contains(c);
        digits.first().copied().is_some_and(is_decimal) && digits.iter().all(is_part)
    }

    /// The text without the period that ends a sentence.
    fn type_no_sentperiod(&self) -> String {
        let ends = self.ends_sentence && self.text.len() > 1 && self.has_final_period();
        self.text[..self.text.len() - usize::from(ends)]
            .iter()
            .collect()
    }

    fn starts_with_upper_case(&self) -> bool {
        self.text[0].is_uppercase()
    }

    /// Whether it cannot begin a sentence: a mark, or a word in lower case, with one exception.
    fn begins_no_sentence(&self) -> bool {
        matches!(self.text, [';' | ',' | '.' | '!' | '?'])
            || (self.text[0].is_lowercase() && self.type_no_sentperiod() != LOWER_CASE_STARTER)
    }
}

/// Whether a sentence ends before the context's last token.
fn has_break(context: &[char]) -> bool {
    let tokens: Vec<Token<'_>> = context
        .split(|&c| c == '\n')
        .flat_map(tokens)
        .map(Token::new)
        .collect();
    tokens
        .windows(2)
        .any(|pair| pair[0].ends_sentence && !continues(&pair[0], &pair[1]))
}

/// Whether the sentence goes on although `token` ends in a period.
fn continues(token: &Token<'_>, next: &Token<'_>) -> bool {
    if !token.has_final_period() {
        return false;
    }
    let following = next.type_no_sentperiod();
    if token.is_number() {
        return lists(AFTER_NUMBER, &following) || next.begins_no_sentence();
    }
    let word: String = token.text[..token.text.len() - 1].iter().collect();
    let collocation = AFTER_INITIAL
        .iter()
        .any(|(initial, words)| *initial == word && lists(words, &following));
    let follows_initial =
        token.is_initial() && (next.begins_no_sentence() || next.starts_with_upper_case());
    collocation || follows_initial
}

/// Punkt's words and marks of a line.
fn tokens(line: &[char]) -> Vec<&[char]> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < line.len() {
        if is_space(line[at]) {
            at += 1;
            continue;
        }
        let end = at + token_length(&line[at..]);
        tokens.push(&line[at..end]);
        at = end;
    }
    tokens
}

fn token_length(text: &[char]) -> usize {
    if let Some(length) = several_periods(text) {
        return length;
    }
    if "(\"{[;&#@)}],".contains(text[0]) {
        return 1;
    }
    let mut length = 1;
    while length < text.len() && !is_word_end(&text[length..]) {
        length += 1;
    }
    length
}

fn is_word_end(rest: &[char]) -> bool {
    let ends = |rest: &[char]| match rest.first() {
        None => true,
        Some(&c) => is_space(c) || ends_word(c) || several_periods(rest).is_some(),
    };
    ends(rest) || (rest[0] == ',' && ends(&rest[1..]))
}

/// Length of two periods or more at the start, or of three or more with white space between them.
fn several_periods(text: &[char]) -> Option<usize> {
    let periods = text.iter().take_while(|&&c| c == '.').count();
    if periods >= 2 {
        return Some(periods);
    }
    let spaced = text
        .chunks(2)
        .take_while(|pair| matches!(pair, ['.', space] if is_space(*space)))
        .count();
    // The last period may have anything behind it.
    let (pairs, length) = if text.get(2 * spaced) == Some(&'.') {
        (spaced, 2 * spaced + 1)
    } else {
        (spaced.saturating_sub(1), (2 * spaced).saturating_sub(1))
    };
    (pairs >= 2).then_some(length)
}
