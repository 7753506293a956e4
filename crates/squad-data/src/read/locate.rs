//! Finds a gold answer in its context: at its `answer_start`, or elsewhere, or in another spelling.

use std::cell::OnceCell;
use std::ops::Range;

use unicode_normalization_alignments::UnicodeNormalization;
use unicode_normalization_alignments::char::canonical_combining_class;

use crate::chars::CharIndex;
use crate::read::flaw::FlawKind;

/// An answer's text as the context has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Occurrence {
    /// In characters.
    pub(super) start: usize,
    pub(super) text: String,
}

/// Why an answer is not where it should be.
#[derive(Debug, PartialEq)]
pub(super) struct Mismatch {
    pub(super) kind: FlawKind,
    /// What the context has at the answer's start; `None` if that is outside.
    pub(super) found: Option<String>,
    /// The nearest occurrence, in any spelling.
    pub(super) nearest: Option<Occurrence>,
    /// What the answer's start counts instead of characters, if `nearest` is at the place that it then means.
    pub(super) unit: Option<&'static str>,
}

/// Finds answers in one context.
pub(super) struct Locator<'a> {
    context: &'a str,
    index: CharIndex<'a>,
    folded: [OnceCell<Folded>; FOLDS.len()],
}

/// What is made equal before texts are compared.
#[derive(Clone, Copy)]
struct Fold {
    kind: FlawKind,
    html: bool,
    unicode: bool,
    marks: bool,
    case: bool,
    space: bool,
}

const NONE: Fold = Fold {
    kind: FlawKind::Absent,
    html: false,
    unicode: false,
    marks: false,
    case: false,
    space: false,
};

/// White space first: that around an answer makes no difference in the others.
const FOLDS: [Fold; 6] = [
    Fold {
        kind: FlawKind::OtherSpace,
        space: true,
        ..NONE
    },
    Fold {
        kind: FlawKind::OtherCase,
        case: true,
        ..NONE
    },
    Fold {
        kind: FlawKind::OtherMarks,
        marks: true,
        ..NONE
    },
    Fold {
        kind: FlawKind::OtherUnicodeForm,
        unicode: true,
        ..NONE
    },
    Fold {
        kind: FlawKind::HtmlEntities,
        html: true,
        ..NONE
    },
    Fold {
        kind: FlawKind::SeveralDifferences,
        html: true,
        unicode: true,
        marks: true,
        case: true,
        space: true,
    },
];

impl<'a> Locator<'a> {
    pub(super) fn new(context: &'a str) -> Self {
        Self {
            context,
            index: CharIndex::new(context),
            folded: Default::default(),
        }
    }

    /// The context's characters in a range; `None` if it is outside.
    pub(super) fn slice(&self, range: Range<usize>) -> Option<&'a str> {
        self.index.slice(range)
    }

    /// Where an answer stands: at `start`, or, without one, at the only place that has it.
    pub(super) fn locate(&self, text: &str, start: Option<i64>) -> Result<usize, Mismatch> {
        let Some(start) = start else {
            return self.locate_anywhere(text);
        };
        let inside = usize::try_from(start)
            .ok()
            .filter(|&at| at < self.index.len());
        let found = inside.and_then(|at| {
            let end = at.saturating_add(text.chars().count());
            self.index.slice(at..end.min(self.index.len()))
        });
        if let (Some(start), Some(found)) = (inside, found)
            && found == text
        {
            return Ok(start);
        }
        let mismatch = |kind, nearest| Mismatch {
            kind,
            found: found.map(str::to_owned),
            nearest,
            unit: None,
        };
        let occurrence = |start| Occurrence {
            start,
            text: text.to_owned(),
        };
        Err(if let Some((unit, at)) = self.in_other_unit(text, start) {
            Mismatch {
                unit: Some(unit),
                ..mismatch(FlawKind::StartWrong, Some(occurrence(at)))
            }
        } else if let Some(nearest) = self.nearest(text, start) {
            mismatch(FlawKind::StartWrong, Some(occurrence(nearest)))
        } else if let Some((kind, nearest)) = self.in_other_spelling(text, start) {
            mismatch(kind, Some(nearest))
        } else if inside.is_none() {
            mismatch(FlawKind::OutsideContext, None)
        } else {
            mismatch(FlawKind::Absent, None)
        })
    }

    /// Where `text` stands nearest to `start`.
    fn nearest(&self, text: &str, start: i64) -> Option<usize> {
        let char = usize::try_from(start).unwrap_or(0).min(self.index.len());
        let byte = self.index.byte_at(char)?;
        let starts = around(self.context, text, byte, |at| Some(self.index.char_at(at)));
        starts.min_by_key(|&at| (at as i64).abs_diff(start))
    }

    /// Where `text` stands if it is at `start`, in whatever unit that counts.
    pub(super) fn at(&self, text: &str, start: i64) -> Option<usize> {
        let at = usize::try_from(start).ok();
        let is_there = |at: &usize| {
            let end = at.saturating_add(text.chars().count());
            self.index.slice(*at..end) == Some(text)
        };
        let in_other_unit = || self.in_other_unit(text, start).map(|(_, at)| at);
        at.filter(is_there).or_else(in_other_unit)
    }

    /// Whether the context has `text` anywhere.
    pub(super) fn has(&self, text: &str) -> bool {
        self.context.contains(text)
    }

    /// The place of `text` whose `start` counts bytes or UTF-16 code units, as some tools do, and the unit's name.
    fn in_other_unit(&self, text: &str, start: i64) -> Option<(&'static str, usize)> {
        let start = usize::try_from(start).ok().filter(|_| !text.is_empty())?;
        if self.index.len() == self.context.len() {
            return None;
        }
        let behind_bytes = self.context.get(start..);
        if behind_bytes.is_some_and(|behind| behind.starts_with(text)) {
            let at = self.index.char_at(start);
            return (at != start).then_some(("UTF-8 bytes", at));
        }
        let mut units = 0;
        let place = self.context.char_indices().zip(0..).find(|((_, c), _)| {
            let is_there = units >= start;
            units += c.len_utf16();
            is_there
        });
        // Behind a character outside the basic plane, or the units are characters.
        let ((byte, c), at) = place?;
        let is_place = units - c.len_utf16() == start && at != start;
        let is_found = is_place && self.context[byte..].starts_with(text);
        is_found.then_some(("UTF-16 code units", at))
    }

    fn locate_anywhere(&self, text: &str) -> Result<usize, Mismatch> {
        let mut occurrences = self.context.match_indices(text);
        let (kind, nearest) = match (occurrences.next(), occurrences.next()) {
            (Some((byte, _)), None) => return Ok(self.index.char_at(byte)),
            (Some((byte, _)), Some(_)) => {
                let start = self.index.char_at(byte);
                let text = text.to_owned();
                (FlawKind::StartMissing, Some(Occurrence { start, text }))
            }
            (None, _) => match self.in_other_spelling(text, 0) {
                Some((kind, nearest)) => (kind, Some(nearest)),
                None => (FlawKind::Absent, None),
            },
        };
        Err(Mismatch {
            kind,
            found: None,
            nearest,
            unit: None,
        })
    }

    fn in_other_spelling(&self, text: &str, start: i64) -> Option<(FlawKind, Occurrence)> {
        FOLDS.iter().zip(&self.folded).find_map(|(&fold, folded)| {
            let wanted = Folded::new(text.trim(), fold);
            if wanted.text.is_empty() {
                return None;
            }
            let folded = folded.get_or_init(|| Folded::new(self.context, fold));
            let range = folded.nearest(&wanted.text, start)?;
            let text = self.index.slice(range.clone())?.to_owned();
            let start = range.start;
            Some((fold.kind, Occurrence { start, text }))
        })
    }
}

/// What `of` makes of the first occurrences of `wanted` before and behind a byte, at which it makes something: of that before
/// first. A frequent text is not looked for to the end.
fn around<T>(
    text: &str,
    wanted: &str,
    byte: usize,
    of: impl Fn(usize) -> Option<T>,
) -> impl Iterator<Item = T> {
    // The one before begins before the byte, and may end behind it.
    let end = text.floor_char_boundary(byte + wanted.len().saturating_sub(1));
    let before = text[..end].rmatch_indices(wanted);
    let behind = text[byte..].match_indices(wanted);
    let before = before.map(|(at, _)| at).find_map(&of);
    let behind = behind.map(|(at, _)| byte + at).find_map(&of);
    before.into_iter().chain(behind)
}

/// A text in which some differences are made equal.
struct Folded {
    text: String,
    /// First byte of each character in `text`.
    bytes: Vec<u32>,
    /// For each character in `text` the characters of the original that it stands for.
    chars: Vec<(u32, u32)>,
}

type Unit = (char, u32, u32);

impl Folded {
    fn new(text: &str, fold: Fold) -> Self {
        let mut units = if fold.html {
            without_entities(text)
        } else {
            let chars = text.chars().zip(0u32..);
            chars.map(|(c, at)| (c, at, at + 1)).collect()
        };
        if fold.unicode {
            units = decomposed(&units);
        }
        if fold.marks {
            for (c, ..) in &mut units {
                *c = plain_mark(*c);
            }
        }
        if fold.case {
            let lower = |&(c, start, end): &Unit| c.to_lowercase().map(move |c| (c, start, end));
            units = units.iter().flat_map(lower).collect();
        }
        if fold.space {
            units = single_spaces(&units);
        }
        let mut folded = Self {
            text: String::with_capacity(units.len()),
            bytes: Vec::with_capacity(units.len()),
            chars: Vec::with_capacity(units.len()),
        };
        for (c, start, end) in units {
            folded.bytes.push(folded.text.len() as u32);
            folded.text.push(c);
            folded.chars.push((start, end));
        }
        folded
    }

    /// The characters of the original at the occurrence nearest to `start`.
    fn nearest(&self, wanted: &str, start: i64) -> Option<Range<usize>> {
        let unit = self.chars.partition_point(|&(at, _)| i64::from(at) < start);
        let byte = self.bytes.get(unit).map(|&byte| byte as usize);
        let byte = byte.unwrap_or(self.text.len());
        let occurrences = around(&self.text, wanted, byte, |byte| {
            let unit = |byte: usize| self.bytes.partition_point(|&at| (at as usize) < byte);
            let (first, behind) = (unit(byte), unit(byte + wanted.len()));
            let chars = self.chars.get(first..behind)?;
            let start = chars.iter().map(|&(start, _)| start).min()?;
            let end = chars.iter().map(|&(_, end)| end).max()?;
            // Not from or to the middle of a character.
            let touches = |unit: Option<&(u32, u32)>| {
                unit.is_some_and(|&(other_start, other_end)| other_start < end && start < other_end)
            };
            let before = first
                .checked_sub(1)
                .and_then(|before| self.chars.get(before));
            let is_whole = !touches(before) && !touches(self.chars.get(behind));
            is_whole.then_some(start as usize..end as usize)
        });
        occurrences.min_by_key(|range| (range.start as i64).abs_diff(start))
    }
}

/// The characters with HTML's entities as what they stand for.
fn without_entities(text: &str) -> Vec<Unit> {
    let mut units = Vec::with_capacity(text.len());
    let (mut rest, mut at) = (text, 0u32);
    while let Some(c) = rest.chars().next() {
        let entity = if c == '&' { entity(rest) } else { None };
        let (c, length) = entity.unwrap_or((c, c.len_utf8()));
        let chars = rest[..length].chars().count() as u32;
        units.push((c, at, at + chars));
        at += chars;
        rest = &rest[length..];
    }
    units
}

/// The entity at the start of a text, and its length in bytes.
fn entity(text: &str) -> Option<(char, usize)> {
    const LONGEST: usize = 10;
    let end = text.bytes().take(LONGEST).position(|byte| byte == b';')?;
    let name = &text[1..end];
    let c = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        "ndash" => '–',
        "mdash" => '—',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "hellip" => '…',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((c, end + 1))
}

/// The characters in Unicode's form NFKD.
fn decomposed(units: &[Unit]) -> Vec<Unit> {
    let mut all: Vec<Unit> = Vec::with_capacity(units.len());
    for &(c, start, end) in units {
        let mut utf8 = [0; 4];
        let parts = c.encode_utf8(&mut utf8).nfkd();
        all.extend(parts.map(|(part, _)| (part, start, end)));
    }
    // Marks on one character have an order of their own.
    let class = |unit: &Unit| canonical_combining_class(unit.0);
    let mut first = 0;
    while first < all.len() {
        let marks = all[first..]
            .iter()
            .take_while(|unit| class(unit) > 0)
            .count();
        all[first..first + marks].sort_by_key(class);
        first += marks + 1;
    }
    all
}

/// The mark of a keyboard for a quotation mark or a dash of typography.
fn plain_mark(c: char) -> char {
    match c {
        '‘' | '’' | '‚' | '‛' | '‹' | '›' | '′' | '`' | '´' => '\'',
        '“' | '”' | '„' | '‟' | '«' | '»' | '″' => '"',
        '\u{2010}'..='\u{2015}' | '−' => '-',
        other => other,
    }
}

/// The characters with one space for each run of white space, and without characters of no width.
fn single_spaces(units: &[Unit]) -> Vec<Unit> {
    let mut all: Vec<Unit> = Vec::with_capacity(units.len());
    for &(c, start, end) in units {
        if matches!(
            c,
            '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}'
        ) {
            continue;
        }
        if !c.is_whitespace() {
            all.push((c, start, end));
        } else if let Some((' ', _, last)) = all.last_mut() {
            *last = end;
        } else {
            all.push((' ', start, end));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_found(context: &str, text: &str, start: i64, kind: FlawKind, nearest: &str) {
        let found = Locator::new(context).locate(text, Some(start)).unwrap_err();
        assert_eq!(found.kind, kind, "{found:?}");
        let occurrence = found.nearest.expect("the text is found");
        assert_eq!(occurrence.text, nearest);
        let end = occurrence.start + nearest.chars().count();
        let index = CharIndex::new(context);
        assert_eq!(index.slice(occurrence.start..end), Some(nearest));
    }

    #[test]
    fn the_nearest_occurrence_in_the_nearest_spelling() {
        use FlawKind::*;
        assert_found("ha ha ha", "ha", 5, StartWrong, "ha");
        assert_found("The Mill, the mill", "THE MILL", 9, OtherCase, "the mill");
        assert_found(
            "by Ane\u{a0}Holm in",
            "Ane Holm",
            3,
            OtherSpace,
            "Ane\u{a0}Holm",
        );
        assert_found(
            "by Ane \n Holm in",
            "Ane Holm",
            3,
            OtherSpace,
            "Ane \n Holm",
        );
        assert_found("Zo\u{200b}e ate", "Zoe", 0, OtherSpace, "Zo\u{200b}e");
        assert_found("by Ane Holm", " Ane Holm ", 2, OtherSpace, "Ane Holm");
        assert_found("by Ane Holm", "ane holm ", 3, OtherCase, "Ane Holm");
        assert_found("the “Mill” of", "\"Mill\"", 4, OtherMarks, "“Mill”");
        assert_found("Ane’s mill", "Ane's", 0, OtherMarks, "Ane’s");
        assert_found("in 1871–75", "1871-75", 3, OtherMarks, "1871–75");
        assert_found("in 1871-75", "1871−75", 3, OtherMarks, "1871-75");
        assert_found(
            "Ane’s Mill",
            "ane's mill",
            0,
            SeveralDifferences,
            "Ane’s Mill",
        );
        assert_found(
            "Mrs Zoe\u{308} ate",
            "Zo\u{eb}",
            4,
            OtherUnicodeForm,
            "Zoe\u{308}",
        );
        assert_found(
            "Mrs Zo\u{eb} ate",
            "Zoe\u{308}",
            4,
            OtherUnicodeForm,
            "Zo\u{eb}",
        );
        assert_found("the \u{fb01}sh", "fish", 4, OtherUnicodeForm, "\u{fb01}sh");
        // Marks below and above, in either order.
        assert_found(
            "a\u{301}\u{323}b",
            "a\u{323}\u{301}b",
            0,
            OtherUnicodeForm,
            "a\u{301}\u{323}b",
        );
        assert_found(
            "Holm & Son",
            "Holm &amp; Son",
            0,
            HtmlEntities,
            "Holm & Son",
        );
        assert_found(
            "Holm &#38; Son",
            "Holm & Son",
            0,
            HtmlEntities,
            "Holm &#38; Son",
        );
        assert_found(
            "HOLM &amp; Son",
            "holm & son",
            0,
            SeveralDifferences,
            "HOLM &amp; Son",
        );
        let nowhere = |start| {
            Locator::new("the mill")
                .locate("river", Some(start))
                .unwrap_err()
                .kind
        };
        assert_eq!(
            (nowhere(2), nowhere(8), nowhere(-1)),
            (Absent, OutsideContext, OutsideContext)
        );
        // Not in the middle of a character: "s" is half of "ß" in no case.
        assert_eq!(
            Locator::new("x\u{fb01}x")
                .locate("i", Some(0))
                .unwrap_err()
                .kind,
            Absent
        );
    }

    #[test]
    fn a_start_that_counts_bytes_or_utf_16_is_the_place_it_means() {
        // Characters of two, three and four bytes come before; another occurrence is nearer.
        let context = "Lå 방앗🎉 ha, ha.  ha";
        let first = context.find("ha").unwrap();
        let found = |start: usize| {
            let found = Locator::new(context).locate("ha", Some(start as i64));
            found.unwrap_err().nearest.unwrap().start
        };
        assert_eq!(first, 15);
        assert_eq!(found(first), 7);
        assert_eq!(found(first + 4), 11);
        let utf_16 = context[..first].encode_utf16().count();
        assert_eq!((utf_16, found(utf_16)), (8, 7));
        let unit = |start| Locator::new(context).in_other_unit("ha", start);
        assert_eq!(unit(15), Some(("UTF-8 bytes", 7)));
        assert_eq!(unit(8), Some(("UTF-16 code units", 7)));
        assert_eq!(
            (unit(7), unit(9), unit(1), unit(-1), unit(99)),
            (None, None, None, None, None)
        );
    }

    #[test]
    fn the_nearest_occurrence_is_before_or_behind_or_around_the_start() {
        let context = "ü mill, mill, ü MILL, mill";
        let starts = |text: &str| {
            let nearest = |start| {
                let found = Locator::new(context).locate(text, Some(start)).unwrap_err();
                found.nearest.unwrap().start
            };
            [-1, 0, 4, 5, 6, 7, 11, 17, 18, 30].map(nearest)
        };
        assert_eq!(starts("mill"), [2, 2, 2, 2, 8, 8, 8, 22, 22, 22]);
        assert_eq!(starts("Mill"), [2, 2, 2, 2, 8, 8, 8, 16, 16, 22]);
        // With a look at each occurrence this would take a minute.
        let context = "a, ü ".repeat(1 << 19);
        let locator = Locator::new(&context);
        for text in ["a", "A"] {
            for start in [-1, 1 << 20, 1 << 30] {
                for _ in 0..20 {
                    let found = locator.locate(text, Some(start)).unwrap_err();
                    assert!(found.nearest.is_some());
                }
            }
        }
    }

    #[test]
    fn an_answer_without_a_start_stands_at_its_only_place() {
        let locate = |text| Locator::new("the mill by the river").locate(text, None);
        assert_eq!(locate("mill"), Ok(4));
        let twice = locate("the").unwrap_err();
        assert_eq!(
            (twice.kind, twice.nearest.unwrap().start),
            (FlawKind::StartMissing, 0)
        );
        assert_eq!(locate("Mill").unwrap_err().kind, FlawKind::OtherCase);
        assert_eq!(locate("sea").unwrap_err().kind, FlawKind::Absent);
    }
}
