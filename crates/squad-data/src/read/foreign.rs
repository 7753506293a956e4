//! Forms that are known and not read: each is an error that names it and says what to do.

/// Number of unknown field names that a message lists.
pub(super) const MAX_NAMES: usize = 8;

/// A form that is known and not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// "Natural Questions", "a zip archive".
    pub(super) name: &'static str,
    /// What to do, as an imperative.
    pub(super) advice: &'static str,
}

const fn foreign(name: &'static str, advice: &'static str) -> Foreign {
    Foreign { name, advice }
}

const ROWS: &str = "convert it to rows with id, context, question and answers (datasets/README.md lists the forms)";

const KORQUAD_2: Foreign = foreign(
    "KorQuAD 2.0, whose contexts and answers are HTML",
    "extract the text of its pages and find the answers in it, or use KorQuAD 1.0",
);
const NATURAL_QUESTIONS: Foreign = foreign(
    "Natural Questions, whose contexts are HTML pages",
    "use its MRQA version, or convert it to rows with id, context, question and answers",
);
const TRIVIA_QA: Foreign = foreign(
    "TriviaQA, whose documents are files of their own",
    "use its MRQA version, or convert it with TriviaQA's convert_to_squad_format.py",
);
const HOTPOT_QA: Foreign = foreign(
    "HotpotQA, whose contexts are lists of paragraphs",
    "use its MRQA version, or join the paragraphs to one context",
);
const COQA: Foreign = foreign("CoQA, a conversation about a story", ROWS);
const NEWS_QA: Foreign = foreign(
    "NewsQA, whose answers are ranges voted on by several people",
    "use its MRQA version",
);
const DROP: Foreign = foreign("DROP, whose answers are computed", ROWS);
const MS_MARCO: Foreign = foreign("MS MARCO, whose answers are written freely", ROWS);
const TYDI_QA: Foreign = foreign(
    "TyDi QA's primary tasks, whose contexts are whole articles in bytes",
    "use its gold passage task, which is in SQuAD's form",
);
const DUREADER: Foreign = foreign(
    "DuReader's own form, whose contexts are search results",
    "use DuReader Robust, which is in SQuAD's form, or convert it to rows with id, context, question and answers",
);
const SUBJ_QA: Foreign = foreign(
    "SubjQA's own table, whose contexts are reviews",
    "use its rows on the Hugging Face Hub, or name the columns review, q_review_id and human_ans_spans context, id and answer",
);
const BIO_ASQ: Foreign = foreign(
    "BioASQ, whose contexts are snippets of many articles",
    "use its MRQA version, or convert it to rows with id, context, question and answers",
);
const DUO_RC: Foreign = foreign("DuoRC, whose contexts are the plots of films", ROWS);
const TWEET_QA: Foreign = foreign("TweetQA, whose answers are written freely", ROWS);
const ROPES: Foreign = foreign(
    "ROPES, whose contexts are a background and a situation",
    "join the two to one context of rows with id, context, question and answers",
);
const EMR_QA: Foreign = foreign(
    "emrQA's own form, whose contexts are lists of lines and whose starts are lines and characters",
    "join the lines to one context, and count answer_start in it",
);
const TECH_QA: Foreign = foreign("TechQA, whose documents are in a file of their own", ROWS);
const QASPER: Foreign = foreign("Qasper, whose contexts are whole papers", ROWS);
const MULTI_SPAN_QA: Foreign = foreign(
    "MultiSpanQA, whose texts are lists of words",
    "join the words, and give each span as an answer of rows with id, context, question and answers",
);
const QUAC_ROWS: Foreign = foreign(
    "rows of QuAC, each of which is a dialogue",
    "use QuAC's own file, which is in SQuAD's form",
);
const FQUAD_ROWS: Foreign = foreign(
    "rows of FQuAD, each of which has several questions",
    "use FQuAD's own file, which is in SQuAD's form",
);
const LABEL_STUDIO: Foreign = foreign(
    "Label Studio's full export",
    "export it as JSON-MIN and name the fields of its text and its spans context and answers",
);
pub(super) const CANDIDATE_ANSWERS: Foreign = foreign(
    "a table of candidate answers with a label for each, such as MultiRC and BoolQ",
    "keep the rows of right answers, and name their columns id, context, question and answer",
);
const MULTIPLE_CHOICE: Foreign = foreign("a multiple-choice data set, such as RACE", ROWS);
const MUSIQUE: Foreign = foreign(
    "MuSiQue, whose contexts are lists of paragraphs",
    "join the paragraphs to one context of rows with id, context, question and answers",
);
const ARGILLA: Foreign = foreign(
    "Argilla's records, whose answers are responses of several people",
    ROWS,
);
const LIGHT_TAG: Foreign = foreign(
    "LightTag's export",
    "give each annotation as an answer of rows with id, context, question and answers",
);
const TOKENIZER: Foreign = foreign("a model's tokenizer", "name a file of questions");
const HAYSTACK_LABELS: Foreign = foreign("a list of Haystack's labels", ROWS);
pub(super) const PRODIGY: Foreign = foreign(
    "Prodigy's export, whose `answer` is the annotator's decision",
    "convert its spans to rows with id, context, question and answers",
);
const TABLE: &str = "save it as CSV, JSON Lines or Parquet";

#[cfg(feature = "csv")]
pub(super) const DRAWN_TABLE: Foreign = foreign(
    "a Markdown table, or another that is drawn with lines",
    TABLE,
);
const ERROR_MESSAGE: Foreign = foreign(
    "an error message of a server",
    "download the file again and look at the address",
);

impl Foreign {
    /// The form that alone has a field of this name.
    pub(super) fn of_field(name: &str) -> Option<Self> {
        Some(match name {
            "raw_html" | "html_answer_text" | "html_answer_start" => KORQUAD_2,
            "document_html"
            | "document_text"
            | "document_tokens"
            | "long_answer_candidates"
            | "html" => NATURAL_QUESTIONS,
            "EntityPages" | "SearchResults" | "QuestionSource" | "NormalizedAliases" => TRIVIA_QA,
            "supporting_facts" => HOTPOT_QA,
            // It stands before the vocabulary, which may have any of the names below.
            "added_tokens" => TOKENIZER,
            "story" | "input_text" | "span_text" => COQA,
            "storyId" | "story_id" => NEWS_QA,
            "qa_pairs" | "answers_spans" => DROP,
            "wellFormedAnswers" | "passages" => MS_MARCO,
            "document_plaintext" | "passage_answer_candidates" => TYDI_QA,
            "fake_answers" | "fact_or_opinion" | "segmented_question" => DUREADER,
            "human_ans_spans" | "human_ans_indices" => SUBJ_QA,
            "exact_answer" => BIO_ASQ,
            "plot" | "plot_id" => DUO_RC,
            "Tweet" => TWEET_QA,
            "situation" => ROPES,
            "evidence_start" | "answer_entity_type" => EMR_QA,
            "QUESTION_TEXT" | "START_OFFSET" | "DOC_IDS" => TECH_QA,
            "section_name" | "nlp_background" => QASPER,
            "options" | "choices" => MULTIPLE_CHOICE,
            "is_supporting" => MUSIQUE,
            "responses" | "suggestions" => ARGILLA,
            "annotations_and_examples" => LIGHT_TAG,
            "num_span" => MULTI_SPAN_QA,
            "turn_ids" | "followups" => QUAC_ROWS,
            "answers_starts" => FQUAD_ROWS,
            "completed_by" | "was_cancelled" => LABEL_STUDIO,
            "offsets_in_document" => HAYSTACK_LABELS,
            "_input_hash" | "_task_hash" => PRODIGY,
            "error" => ERROR_MESSAGE,
            _ => return None,
        })
    }

    /// The form of a file that begins with these bytes.
    pub(super) fn of_bytes(head: &[u8]) -> Option<Self> {
        const UNPACK: &str = "unpack it; .gz files are read as they are";
        let magic: [(&[u8], Foreign); 22] = [
            (
                b"7z\xbc\xaf\x27\x1c",
                foreign("a 7z archive", "unpack it and name the file in it"),
            ),
            (
                b"Rar!",
                foreign("a rar archive", "unpack it and name the file in it"),
            ),
            (b"BZh", foreign("compressed with bzip2", UNPACK)),
            (b"\xfd7zXZ\0", foreign("compressed with xz", UNPACK)),
            (b"\x28\xb5\x2f\xfd", foreign("compressed with zstd", UNPACK)),
            (b"\x04\x22\x4d\x18", foreign("compressed with lz4", UNPACK)),
            (
                b"PARE",
                foreign("encrypted Parquet", "write it without encryption"),
            ),
            (
                b"ARROW1",
                foreign(
                    "an Arrow file (Feather)",
                    "write it as Parquet or JSON Lines, for example with pyarrow.parquet.write_table",
                ),
            ),
            (
                b"\xff\xff\xff\xff",
                foreign(
                    "an Arrow stream, as the datasets library caches and save_to_disk write",
                    "write it with Dataset.to_parquet or Dataset.to_json",
                ),
            ),
            (b"FEA1", foreign("a Feather file", TABLE)),
            (b"ORC", foreign("an ORC file", TABLE)),
            (b"Obj\x01", foreign("an Avro file", TABLE)),
            (b"\x89HDF", foreign("an HDF5 file", TABLE)),
            (b"SQLite format 3", foreign("an SQLite database", TABLE)),
            (
                b"\xd0\xcf\x11\xe0",
                foreign("an old Excel or Word file", TABLE),
            ),
            (b"\x80\x02", foreign("a Python pickle", TABLE)),
            (b"\x80\x03", foreign("a Python pickle", TABLE)),
            (b"\x80\x04", foreign("a Python pickle", TABLE)),
            (b"\x80\x05", foreign("a Python pickle", TABLE)),
            (
                b"%PDF",
                foreign(
                    "a PDF document",
                    "extract its questions as one of the forms of datasets/README.md",
                ),
            ),
            (
                b"version https://git-lfs",
                foreign(
                    "a Git LFS pointer, not the file itself",
                    "fetch the file with git lfs pull, or download it with its \"resolve\" address",
                ),
            ),
            (b"\x93NUMPY", foreign("a numpy file", TABLE)),
        ];
        let begins = |(start, form): &(&[u8], Foreign)| head.starts_with(start).then_some(*form);
        if let Some(form) = magic.iter().find_map(begins) {
            return Some(form);
        }
        if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            return Some(of_zip(head));
        }
        // POSIX and GNU; the letters alone may stand in a text.
        let of_tar = head.get(257..).unwrap_or_default();
        if of_tar.starts_with(b"ustar\0") || of_tar.starts_with(b"ustar  \0") {
            return Some(foreign(
                "a tar archive",
                "unpack it and name the file in it",
            ));
        }
        None
    }

    /// The form of a text that begins like this.
    pub(super) fn of_text(head: &str) -> Option<Self> {
        let head = head.trim_start();
        if !head.starts_with('<') {
            return None;
        }
        let lower: String = head.chars().take(400).collect::<String>().to_lowercase();
        Some(
            if lower.contains("<!doctype html") || lower.contains("<html") {
                foreign(
                    "an HTML page",
                    "download the file itself; the Hub and GitHub have a \"resolve\" or \"raw\" address for it",
                )
            } else {
                foreign(
                    "XML",
                    "convert it to SQuAD's JSON or to rows with id, context, question and answers",
                )
            },
        )
    }

    /// The form of a table whose first row, below the header, has these cells.
    #[cfg(feature = "csv")]
    pub(super) fn of_first_row<'c>(cells: impl IntoIterator<Item = &'c str>) -> Option<Self> {
        let line: String = cells.into_iter().collect();
        let is_drawn = line.contains('-') && line.chars().all(|c| "-:+= \t".contains(c));
        is_drawn.then_some(DRAWN_TABLE)
    }

    /// Whether a field of this form means that the whole file has it.
    pub(super) fn is_decisive(&self) -> bool {
        [KORQUAD_2, PRODIGY].contains(self)
    }

    /// Whether a field of this form says more than one of the other: TyDi QA shares fields with Natural Questions.
    pub(super) fn outweighs(&self, other: Self) -> bool {
        self.is_decisive() || other == NATURAL_QUESTIONS
    }

    pub(crate) fn problem(&self) -> String {
        format!("this is {}, which is not read; {}", self.name, self.advice)
    }
}

/// A zip archive, or a document that is one.
fn of_zip(head: &[u8]) -> Foreign {
    let has = |name: &[u8]| head.windows(name.len()).any(|part| part == name);
    if has(b"[Content_Types].xml") || has(b"xl/") || has(b"mimetype") {
        foreign("a spreadsheet or another office document (zip)", TABLE)
    } else {
        foreign("a zip archive", "unpack it and name the file in it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tar_archive_is_known_by_its_whole_magic_number() {
        let of = |magic: &[u8]| Foreign::of_bytes(&[&[b' '; 257][..], magic].concat());
        for magic in [&b"ustar\x0000"[..], b"ustar  \0"] {
            assert_eq!(of(magic).map(|form| form.name), Some("a tar archive"));
        }
        for text in [&b"ustard and more"[..], b"ustar", b""] {
            assert_eq!(of(text), None);
        }
    }
}
