//! How files are read.

use serde::{Deserialize, Serialize};

/// What happens to a question with answers of which none stands in the context at its `answer_start`.
///
/// One answer with a place is enough for labels, and texts are enough for scores: an answer that cannot be found beside
/// one that can is kept as a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBadAnswer {
    /// Keep the question with its answers as texts. It can be scored, and has no label to train on.
    #[default]
    Keep,
    /// Stop, and name the first such question.
    Error,
    /// Leave the question out.
    Skip,
    /// Take the nearest occurrence in the context, in the context's spelling; leave the question out if there is none.
    Repair,
}

/// How files are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// What happens to a question whose answers are not in its context. The same is done with a question that has
    /// answers though its `is_impossible` is true: kept with its answers, an error, left out, or made unanswerable.
    /// `Skip` and `Repair` leave out questions without text and paragraphs without a context, too; others are an error.
    pub on_bad_answer: OnBadAnswer,
    /// Put the file's name before each id, as in `xquad.de:56beb4`, if several files are read. For files that share ids.
    pub unique_ids: bool,
    /// Leave out what otherwise stops reading, and list it in [`crate::Flaws`]: questions without text, paragraphs
    /// without a context, ids that occur again.
    pub keep_going: bool,
    /// Keep questions without text and paragraphs without a context: scores need ids and gold answers alone.
    pub keep_empty: bool,
}

impl ReadOptions {
    pub(super) fn leaves_out_empty(&self) -> bool {
        let skips = matches!(self.on_bad_answer, OnBadAnswer::Skip | OnBadAnswer::Repair);
        self.keep_going || skips
    }
}
