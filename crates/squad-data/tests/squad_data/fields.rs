//! Names and values of fields that tools write, in every form that has them.

use parquet::basic::Compression;
use serde_json::{Value, json};
use squad_data::{Example, FlawKind, Gold};

use crate::common::read;
use crate::parquet_writer::{Column, Values, file};

/// "mill" stands at 2 and at 10.
const CONTEXT: &str = "a mill, a mill";

/// A file of one question with these fields as JSON, as lines, as CSV and as Parquet, whose cells hold lists as JSON.
fn in_all_forms(fields: &[(&str, Value)]) -> Vec<(&'static str, Vec<u8>)> {
    let row: serde_json::Map<String, Value> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    let row = Value::Object(row);
    let cell = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let names: Vec<String> = fields.iter().map(|(name, _)| quoted(name)).collect();
    let cells: Vec<String> = fields
        .iter()
        .map(|(_, value)| quoted(&cell(value)))
        .collect();
    let csv = format!("{}\n{}\n", names.join(","), cells.join(","));
    let (mut schema, mut columns) = ("message schema {".to_owned(), Vec::new());
    for (name, value) in fields {
        let (kind, values) = match value.as_i64() {
            Some(number) => ("int64", Values::Int64(vec![number])),
            None => ("binary", Values::Texts(vec![cell(value)])),
        };
        let annotation = if kind == "binary" { " (UTF8)" } else { "" };
        schema += &format!(" optional {kind} {name}{annotation};");
        columns.push(Column::flat(values));
    }
    let parquet = file(&(schema + " }"), &[columns], Compression::UNCOMPRESSED);
    vec![
        ("f.json", json!({"data": [row]}).to_string().into_bytes()),
        ("f.jsonl", row.to_string().into_bytes()),
        ("f.csv", csv.into_bytes()),
        ("f.parquet", parquet),
    ]
}

/// The example of a row with these fields, which must be the same in every form.
#[track_caller]
fn example(fields: &[(&str, Value)]) -> Example {
    let mut all = in_all_forms(fields).into_iter().map(|(name, bytes)| {
        let dataset = read(name, &bytes).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(dataset.len(), 1, "{name}");
        (name, dataset.examples[0].clone())
    });
    let (_, first) = all.next().unwrap();
    for (name, other) in all {
        assert_eq!(other, first, "{name}");
    }
    first
}

/// The answers of a row with these fields beside its id, context and question.
#[track_caller]
fn answers(context: &str, fields: &[(&str, Value)]) -> Vec<(String, Option<usize>)> {
    let mut row = vec![
        ("id", json!("q1")),
        ("context", json!(context)),
        ("question", json!("What?")),
    ];
    row.extend(fields.iter().cloned());
    let example = example(&row);
    let answers = example.answers().iter();
    answers
        .map(|answer| (answer.text.clone(), answer.start))
        .collect()
}

/// [`answers`], of which there is one.
#[track_caller]
fn answer(context: &str, fields: &[(&str, Value)]) -> (String, Option<usize>) {
    let mut answers = answers(context, fields);
    assert_eq!(answers.len(), 1, "{fields:?}");
    answers.remove(0)
}

#[test]
fn a_start_beside_the_answers_is_theirs() {
    let mill = ("mill".to_owned(), Some(10));
    for field in ["answers", "answer", "answer_text"] {
        for (given, start) in [
            (json!("mill"), json!(10)),
            (json!(["mill"]), json!([10])),
            (json!(["mill"]), json!(10)),
        ] {
            let fields = [(field, given), ("answer_start", start)];
            assert_eq!(answer(CONTEXT, &fields), mill, "{fields:?}");
        }
    }
    let objects = json!([{"text": "mill"}]);
    assert_eq!(
        answer(
            CONTEXT,
            &[("answers", objects), ("answer_start", json!(10))]
        ),
        mill
    );
    // One start for two answers is that of one of them.
    let fields = [
        ("answers", json!(["mill", "a mill"])),
        ("answer_start", json!(8)),
    ];
    let both = [("mill".to_owned(), Some(2)), ("a mill".to_owned(), Some(8))];
    assert_eq!(answers(CONTEXT, &fields), both);
    // Starts of their own, or none at all.
    for (given, starts) in [
        (json!([{"text": "mill", "answer_start": 10}]), json!(2)),
        (json!({"text": ["mill"], "answer_start": [10]}), json!([2])),
    ] {
        let fields = [("answers", given), ("answer_start", starts)];
        assert_eq!(answer(CONTEXT, &fields), mill, "{fields:?}");
    }
    for starts in [json!(null), json!(-1), json!([]), json!([-1])] {
        let fields = [
            ("answers", json!([])),
            ("answer_start", starts),
            ("is_impossible", json!("true")),
        ];
        assert!(answers(CONTEXT, &fields).is_empty(), "{fields:?}");
    }
    for (name, bytes) in in_all_forms(&[
        ("context", json!(CONTEXT)),
        ("question", json!("What?")),
        ("answers", json!(["mill", "a mill"])),
        ("answer_start", json!([10, 8, 0])),
    ]) {
        let message = read(name, &bytes).unwrap_err().to_string();
        assert!(
            message.contains("answers.text has 2 entries and answers.answer_start 3"),
            "{message}"
        );
    }
}

#[test]
fn a_hint_by_any_name_says_where_the_answer_stands() {
    for name in [
        "start",
        "start_char",
        "start_offset",
        "startIndex",
        "start_position",
        "char_start",
        "begin",
        "offset",
        "answer_starts",
        "answer_offset",
    ] {
        for value in [json!(10), json!([10]), json!("10")] {
            for field in ["answer", "answers"] {
                let fields = [(field, json!("mill")), (name, value.clone())];
                assert_eq!(answer(CONTEXT, &fields).1, Some(10), "{fields:?}");
            }
        }
        // It counts something else, or is something else.
        for value in [json!(5), json!("noon"), json!({"x": 1}), json!(["a", 10])] {
            let fields = [("answer", json!("mill")), (name, value)];
            assert_eq!(answer(CONTEXT, &fields).1, Some(2), "{fields:?}");
        }
        let qas = json!([{"question": "What?", "answers": [{"text": "mill", name: 10}]}]);
        let paragraph = json!({"context": CONTEXT, "qas": qas}).to_string();
        let dataset = read("f.json", paragraph.as_bytes()).unwrap();
        assert_eq!(dataset.examples[0].answers()[0].start, Some(10), "{name}");
    }
    // In UTF-16 units, and in bytes.
    for start in [13, 15] {
        let answers = json!([{"text": "mill", "start": start}]);
        let found = answer("🎉 a mill, a mill", &[("answers", answers)]);
        assert_eq!(found.1, Some(12), "{start}");
    }
}

#[test]
fn a_place_that_was_guessed_is_in_the_summary() {
    for (name, bytes) in in_all_forms(&[
        ("id", json!("q1")),
        ("context", json!(CONTEXT)),
        ("question", json!("What?")),
        ("answers", json!(["mill"])),
    ]) {
        let flaws = read(name, &bytes).unwrap().flaws;
        assert_eq!(flaws.counts[&FlawKind::StartMissing], 1);
        assert_eq!(
            flaws.summary().as_deref(),
            Some("1 answer without answer_start labelled at the first of several places"),
            "{name}"
        );
    }
}

#[test]
fn words_for_no_value_are_answers_where_the_context_has_them() {
    let context = "In all, none of them survived.";
    let none = ("none".to_owned(), Some(8));
    for field in ["answer_text", "answer", "answers"] {
        for start in [json!(8), json!("8"), json!([8])] {
            let fields = [(field, json!("none")), ("answer_start", start)];
            assert_eq!(answer(context, &fields), none, "{fields:?}");
        }
        let fields = [(field, json!("none")), ("start", json!(8))];
        assert_eq!(answer(context, &fields), none, "{fields:?}");
    }
    for given in [
        json!({"text": "none", "answer_start": 8}),
        json!({"text": ["none"], "answer_start": [8]}),
        json!({"text": "none", "start": 8}),
    ] {
        assert_eq!(
            answer(context, &[("answers", given.clone())]),
            none,
            "{given}"
        );
    }
    // A start behind the first character is of an answer, if of a wrong one.
    let fields = [("answer", json!("none")), ("answer_start", json!(9))];
    assert_eq!(answer(context, &fields).1, None);
    for word in ["none", "null", "nan", "N/A"] {
        for start in [json!(null), json!(-1), json!(0), json!("nan")] {
            let fields = [("answer_text", json!(word)), ("answer_start", start)];
            let mut row = vec![
                ("id", json!("q1")),
                ("context", json!(context)),
                ("question", json!("?")),
            ];
            row.extend(fields.clone());
            // A file without a single answer is one to be answered.
            assert_eq!(example(&row).gold, Gold::Unknown, "{fields:?}");
        }
    }
}

#[test]
fn a_text_in_brackets_is_an_answer_where_the_context_has_it() {
    let context = "See [1] and [citation needed], but 1 or 2, 3.";
    for (text, start) in [("[1]", 4), ("[citation needed]", 12)] {
        let expected = (text.to_owned(), Some(start));
        for field in ["answer", "answers"] {
            assert_eq!(answer(context, &[(field, json!(text))]), expected);
            let fields = [(field, json!(text)), ("answer_start", json!(start))];
            assert_eq!(answer(context, &fields), expected);
        }
    }
    let texts = |given: &str| {
        let answers = answers(context, &[("answers", json!(given))]);
        answers
            .into_iter()
            .map(|(text, _)| text)
            .collect::<Vec<_>>()
    };
    assert_eq!(texts("[2, 3]"), ["2", "3"]);
    assert_eq!(texts("[citation needed, 1]"), ["citation needed", "1"]);
    assert_eq!(texts("['1']"), ["1"]);
    // DuckDB's list of texts with its list of starts.
    let fields = [
        ("answers", json!("[citation needed]")),
        ("answer_start", json!("[13]")),
    ];
    assert_eq!(
        answer(context, &fields),
        ("citation needed".to_owned(), Some(13))
    );
    assert!(texts("[]").is_empty());
}

#[test]
fn a_field_of_another_data_set_does_not_make_a_question_of_that() {
    let answer = json!([{"text": "mill", "answer_start": 10}]);
    for (name, value) in [
        ("supporting_facts", json!([])),
        ("error", json!(null)),
        ("story_id", json!("s1")),
        ("exact_answer", json!("mill")),
        ("question_text", json!("What?")),
        ("html", json!("<p>")),
        ("passages", json!([{"x": 1}])),
        ("completed_by", json!(3)),
    ] {
        let mut question = json!({"id": "q1", "question": "What?", "answers": answer});
        question[name] = value.clone();
        let paragraph = json!({"context": CONTEXT, "qas": [question]});
        for text in [
            json!({"data": [{"title": "Mills", "paragraphs": [paragraph]}]}),
            paragraph,
        ] {
            let read = read("f.json", text.to_string().as_bytes());
            let dataset = read.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(dataset.examples[0].answers()[0].start, Some(10), "{name}");
        }
        let fields = [("answers", answer.clone()), (name, value)];
        assert_eq!(self::answer(CONTEXT, &fields).1, Some(10), "{name}");
    }
    // Without a question the field says what the file is.
    let qas = json!([{"id": "q1", "html": "<p>", "answers": []}]);
    let text = json!({"context": CONTEXT, "qas": qas}).to_string();
    let message = read("f.json", text.as_bytes()).unwrap_err().to_string();
    assert!(message.contains("this is Natural Questions"), "{message}");
}

#[test]
fn other_names_of_ids_yield_to_id() {
    let row = |ids: &[(&'static str, Value)]| {
        let mut row = ids.to_vec();
        row.push(("context", json!(CONTEXT)));
        row.push(("question", json!("What?")));
        row
    };
    for name in ["query_id", "question_id", "guid", "_id", "uid", "key"] {
        for (value, id) in [(json!("a-1"), "a-1"), (json!(17), "17")] {
            assert_eq!(example(&row(&[(name, value.clone())])).id, id, "{name}");
            let other = (name, value);
            let (id, no_id) = (("id", json!("q1")), ("id", json!("")));
            for both in [[other.clone(), id.clone()], [id, other.clone()]] {
                assert_eq!(example(&row(&both)).id, "q1", "{name}");
            }
            assert_ne!(example(&row(&[no_id, other])).id, "", "{name}");
        }
        // Something else of that name.
        let question = json!({name: {"x": 1}, "question": "What?", "answers": []});
        let text = json!({"context": CONTEXT, "qas": [question]}).to_string();
        assert_eq!(read("f.json", text.as_bytes()).unwrap().examples[0].id, "0");
    }
    // KLUE's.
    let question = json!({"guid": "klue-mrc-v1_train_1", "question": "What?", "answers": []});
    let text = json!({"context": CONTEXT, "qas": [question]}).to_string();
    let dataset = read("f.json", text.as_bytes()).unwrap();
    assert_eq!(dataset.examples[0].id, "klue-mrc-v1_train_1");
    assert!(dataset.flaws.is_empty());
}

/// TriviaQA in SQuAD's form asks a question, which has the `qid`, of each of its documents. MRQA's predictions are keyed by
/// `qid`.
#[test]
fn a_qid_outranks_an_id_in_mrqa_alone() {
    let question =
        |id: &str| json!({"id": id, "qid": "t1", "question": "What?", "answers": ["mill"]});
    let text = json!({"data": [{"paragraphs": [
        {"context": CONTEXT, "qas": [question("t1--a.txt")]},
        {"context": CONTEXT, "qas": [question("t1--b.txt")]},
    ]}]});
    let dataset = read("f.json", text.to_string().as_bytes()).unwrap();
    let ids: Vec<&str> = dataset.examples.iter().map(|e| &*e.id).collect();
    assert_eq!(ids, ["t1--a.txt", "t1--b.txt"]);
    let row = |ids: [(&'static str, &str); 2]| {
        let rest = [("context", CONTEXT), ("question", "What?")];
        let row = ids.into_iter().chain(rest);
        row.map(|(name, text)| (name, json!(text)))
            .collect::<Vec<_>>()
    };
    let mut mrqa = row([("id", "x"), ("qid", "m1")]);
    mrqa.push(("detected_answers", json!([{"text": "mill"}])));
    for (row, id) in [
        (row([("id", "x"), ("qid", "t1")]), "x"),
        (row([("qid", "t1"), ("id", "x")]), "x"),
        (row([("id", ""), ("qid", "t1")]), "t1"),
        (row([("qid", ""), ("id", "x")]), "x"),
        (mrqa, "m1"),
    ] {
        assert_eq!(example(&row).id, id, "{row:?}");
    }
}

#[test]
fn another_id_that_occurs_again_is_none() {
    let row = |id: &str| json!({"question_id": id, "context": CONTEXT, "question": "What?"});
    let lines = [row("a"), row("a"), row("b")]
        .map(|row| format!("{row}\n"))
        .concat();
    let dataset = read("f.jsonl", lines.as_bytes()).unwrap();
    let ids: Vec<&str> = dataset.examples.iter().map(|e| &*e.id).collect();
    assert_eq!(ids, ["a", "1", "b"]);
    assert_eq!(dataset.flaws.counts[&FlawKind::IdMissing], 1);
}

#[test]
fn a_number_in_the_place_of_an_id_is_that_of_no_other_question() {
    let ids = |rows: [Value; 4]| {
        let line = |mut row: Value| {
            row["context"] = json!(CONTEXT);
            row["question"] = json!("What?");
            row.to_string() + "\n"
        };
        let dataset = read("f.jsonl", rows.map(line).concat().as_bytes()).unwrap();
        let ids = dataset.examples.into_iter().map(|example| example.id);
        ids.collect::<Vec<_>>()
    };
    let rows = [1, 1, 2, 2].map(|id| json!({"question_id": id}));
    assert_eq!(ids(rows), ["1", "1-2", "2", "3"]);
    let rows = [json!({"id": 2}), json!({"id": "2-2"}), json!({}), json!({})];
    assert_eq!(ids(rows), ["2", "2-2", "2-3", "3"]);
}

#[test]
fn an_answer_may_be_a_pair_of_text_and_start() {
    let second = ("mill".to_owned(), Some(10));
    for list in [
        json!([["mill", 10]]),
        json!([[10, "mill"]]),
        json!([["mill", 10.0], {"text": "mill", "answer_start": 10}]),
    ] {
        let found = answers(CONTEXT, &[("answers", list.clone())]);
        assert!(found.iter().all(|answer| *answer == second), "{list}");
    }
    let list = json!([["mill", 10], [2, "mill"], ["a mill,"]]);
    let starts = answers(CONTEXT, &[("answers", list)]);
    let starts: Vec<_> = starts.iter().map(|(_, start)| *start).collect();
    assert_eq!(starts, [Some(10), Some(2), Some(0)]);
    for wrong in [
        json!([[]]),
        json!([[2, 6]]),
        json!([["a", "mill"]]),
        json!([["mill", 2, 6]]),
        json!([["mill", 2.5]]),
    ] {
        let row = json!({"context": CONTEXT, "question": "What?", "answers": wrong});
        let error = read("f.json", row.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().contains("answers[0]"), "{error}");
    }
}

#[test]
fn a_start_may_have_a_comma() {
    let context = "x".repeat(1234) + " mill, mill";
    for (start, place) in [("1,235", 1235), ("1235,0", 1235), ("1241,00", 1241)] {
        let fields = [("answer", json!("mill")), ("answer_start", json!(start))];
        assert_eq!(answer(&context, &fields).1, Some(place), "{start}");
    }
    for start in [
        "1,5",
        "12,35",
        "1,2345",
        ",235",
        "1235,",
        "1,235,0",
        "12351,235",
    ] {
        let row = json!({"context": context, "question": "What?", "answer": "mill", "answer_start": start});
        let error = read("f.json", row.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().contains("a whole number"), "{error}");
    }
}

#[test]
fn the_text_of_an_answer_may_have_other_names() {
    let mill = ("mill".to_owned(), Some(10));
    for name in ["answer_text", "answer"] {
        for given in [
            json!({name: ["mill"], "answer_start": [10]}),
            json!({name: "mill", "answer_start": 10}),
            json!([{name: "mill", "answer_start": 10}]),
            json!([{name: "mill", "start": 10}]),
            json!({name: "mill", "start": 10}),
            // `text` is the text where both are.
            json!([{name: {"x": 1}, "text": "mill", "answer_start": 10}]),
            json!({name: [[1]], "text": ["mill"], "answer_start": [10]}),
        ] {
            assert_eq!(
                answer(CONTEXT, &[("answers", given.clone())]),
                mill,
                "{given}"
            );
        }
    }
    let wrong = json!({"context": CONTEXT, "question": "?", "answers": [{"answer": {"x": 1}}]});
    let message = read("f.json", wrong.to_string().as_bytes()).unwrap_err();
    assert!(
        message.to_string().contains("missing field `text`"),
        "{message}"
    );
}

#[test]
fn null_and_truth_as_databases_and_r_write_them() {
    for (flag, is_impossible) in [
        ("t", true),
        ("T", true),
        ("y", true),
        ("f", false),
        ("N", false),
        ("NA", false),
        ("\\N", false),
    ] {
        let given = if is_impossible { "" } else { "a mill" };
        let row = [
            ("id", json!("q1")),
            ("context", json!("It is a mill.")),
            ("question", json!("What?")),
            ("answer", json!(given)),
            ("is_impossible", json!(flag)),
        ];
        assert_eq!(example(&row).is_impossible(), is_impossible, "{flag}");
    }
    for null in ["NA", "\\N"] {
        let fields = [
            ("answer", json!(null)),
            ("answer_start", json!(null)),
            ("is_impossible", json!("t")),
        ];
        assert!(answers(CONTEXT, &fields).is_empty(), "{null}");
        let fields = [("answer", json!("mill")), ("answer_start", json!(null))];
        assert_eq!(answer(CONTEXT, &fields).1, Some(2), "{null}");
    }
    let fields = [("answer", json!("NA")), ("answer_start", json!(3))];
    assert_eq!(answer("In NA only.", &fields).1, Some(3));
    assert_eq!(answer("It is na.", &[("answer", json!("na"))]).1, Some(6));
}

#[test]
fn tables_of_tfds_are_read() {
    let row = [
        ("answers/answer_start", json!("[14]")),
        ("answers/text", json!(r"[b'Zo\xc3\xab']")),
        ("context", json!(r#"b"It's built by Zo\xc3\xab.""#)),
        ("id", json!("b'q1'")),
        ("question", json!("b'Who?'")),
    ];
    let example = example(&row);
    let answer = &example.answers()[0];
    assert_eq!((&*example.id, &*example.question), ("q1", "Who?"));
    assert_eq!(&*example.context, "It's built by Zoë.");
    assert_eq!((&*answer.text, answer.start), ("Zoë", Some(14)));
}

#[test]
fn labels_are_spans_of_the_context() {
    let mill = ("mill".to_owned(), Some(10));
    let objects = [
        json!([{"start": 10, "end": 14}]),
        json!([{"start": 10, "end": 14, "labels": ["ANSWER"]}]),
        json!([{"id": 7, "label": "ANSWER", "start_offset": 10, "end_offset": 14}]),
        json!([{"start": [10], "end": [14]}]),
        json!({"start": [10], "end": [14]}),
        json!({"start": 10, "end": 14}),
    ];
    let doccano = json!([[10, 14, "ANSWER"]]);
    for given in objects.iter().chain([&doccano]) {
        for name in ["label", "labels", "answers"] {
            if name == "answers" && *given == doccano {
                continue;
            }
            let fields = [(name, given.clone())];
            assert_eq!(answer(CONTEXT, &fields), mill, "{fields:?}");
            let row = json!({"id": "q1", "context": CONTEXT, "question": "?", name: given});
            let flaws = read("f.json", row.to_string().as_bytes()).unwrap().flaws;
            assert_eq!(
                flaws.summary().as_deref(),
                Some("1 answer without text taken from start to before end"),
                "{row}"
            );
        }
    }
    // With a text, and beside answers whose places they are.
    let text = json!([{"start": 10, "end": 14, "text": "mill"}]);
    assert_eq!(answer(CONTEXT, &[("label", text)]), mill);
    for end in [13, 14] {
        let fields = [
            ("answers", json!(["mill"])),
            ("labels", json!([{"start": [10], "end": [end]}])),
        ];
        assert_eq!(answer(CONTEXT, &fields), mill);
    }
    let question = json!({"id": "q1", "question": "?", "labels": [{"start": 10, "end": 14}]});
    let paragraph = json!({"context": CONTEXT, "qas": [question]}).to_string();
    let dataset = read("f.json", paragraph.as_bytes()).unwrap();
    assert_eq!(dataset.examples[0].answers()[0].text, "mill");
    for none in [
        json!([{"start": -1, "end": -1}]),
        json!([[4, 4]]),
        json!([]),
    ] {
        assert!(answers(CONTEXT, &[("labels", none)]).is_empty());
    }
    for (start, end) in [(10, 15), (14, 10), (90, 99)] {
        let labels = json!([{"start": start, "end": end}]);
        let row = json!({"id": "q1", "context": CONTEXT, "question": "?", "labels": labels});
        let message = read("f.json", row.to_string().as_bytes()).unwrap_err();
        let expected = format!(
            "f.json: line 1: question \"q1\": its answer has no text, and the context has no characters from {start} to before \
             {end}; correct `start` and `end`, or give the answer's text"
        );
        assert!(message.to_string().ends_with(&expected), "{message}");
    }
}

#[test]
fn labels_may_be_structs_of_parquet() {
    let schema = "message schema {
        optional binary context (UTF8);
        optional binary question (UTF8);
        optional group labels (LIST) {
            repeated group list { optional group element { optional int32 start; optional int32 end; } }
        }
    }";
    let of = |number: i32| Column {
        definitions: vec![4],
        ..Column::flat(Values::Int32(vec![number]))
    };
    let columns = vec![
        Column::texts([CONTEXT]),
        Column::texts(["What?"]),
        of(10),
        of(14),
    ];
    let bytes = file(schema, &[columns], Compression::UNCOMPRESSED);
    let examples = read("f.parquet", &bytes).unwrap().examples;
    let answer = &examples[0].answers()[0];
    assert_eq!((&*answer.text, answer.start), ("mill", Some(10)));
}

#[test]
fn fields_that_may_have_answers_and_are_not_read_are_named() {
    let row = |more: &[(&'static str, Value)]| {
        let mut row = vec![
            ("id", json!("q1")),
            ("context", json!(CONTEXT)),
            ("question", json!("What?")),
            ("answer", json!("a mill, a mill")),
        ];
        row.extend(more.iter().cloned());
        row
    };
    let summary = |name: &str, bytes: &[u8]| read(name, bytes).unwrap().flaws.summary();
    let unread = row(&[
        ("gold_answer_2", json!("a mill")),
        ("label", json!(1)),
        ("model_answer", json!("a mill")),
        ("plausible_answers", json!("a mill")),
        ("notes", json!("a mill")),
    ]);
    for (name, bytes) in in_all_forms(&unread) {
        let summary = summary(name, &bytes).unwrap();
        for field in ["gold_answer_2", "label", "model_answer"] {
            assert!(summary.contains(&format!("\"{field}\"")), "{summary}");
        }
        assert!(summary.starts_with("fields not read: "), "{summary}");
        assert_eq!(summary.matches('"').count(), 6, "{name}: {summary}");
    }
    let none = row(&[("plausible_answers", json!([])), ("label", json!(null))]);
    for (name, bytes) in in_all_forms(&none) {
        assert_eq!(summary(name, &bytes), None, "{name}");
    }
    // Once in a file, however many rows have it.
    let lines: String = (0..20)
        .map(|id| json!({"id": id, "context": CONTEXT, "question": "?", "Gold Answer": "a"}))
        .map(|row| format!("{row}\n"))
        .collect();
    let flaws = read("f.jsonl", lines.as_bytes()).unwrap().flaws;
    assert_eq!(flaws.counts, [(FlawKind::FieldUnread, 1)].into());
    let line = flaws.first[0].to_string();
    let expected = "f.jsonl: a field that is not read, by its name one of answers: \"Gold Answer\"";
    assert!(line.ends_with(expected), "{line}");
    // A question of a paragraph has fields of annotation tools.
    let qas = json!([{"id": "q1", "question": "?", "answers": [], "answer_category": "x"}]);
    let paragraph = json!({"context": CONTEXT, "qas": qas}).to_string();
    assert_eq!(summary("f.json", paragraph.as_bytes()), None);
}

#[test]
fn the_context_may_have_another_name() {
    let answer = json!({"text": ["mill"], "answer_start": [10]});
    let read_as = |fields: &[(&str, Value)]| {
        let mut row = vec![("id", json!("q1")), ("question", json!("What?"))];
        row.extend(fields.iter().cloned());
        let example = example(&row);
        assert_eq!(&*example.context, CONTEXT, "{fields:?}");
        let answer = example.first_located().expect("an answer");
        assert_eq!(
            (&*answer.text, answer.start),
            ("mill", Some(10)),
            "{fields:?}"
        );
    };
    let answers = || ("answers", answer.clone());
    for name in [
        "passage",
        "paragraph",
        "body",
        "content",
        "article",
        "document",
        "Passage",
    ] {
        read_as(&[(name, json!(CONTEXT)), answers()]);
        read_as(&[answers(), (name, json!(CONTEXT))]);
        // Beside a context or a text it is something else.
        read_as(&[(name, json!("7")), ("context", json!(CONTEXT)), answers()]);
        read_as(&[
            (name, json!("doc.pdf")),
            ("text", json!(CONTEXT)),
            answers(),
        ]);
        // With a text that is the answer.
        let start = ("answer_start", json!(10));
        read_as(&[(name, json!(CONTEXT)), ("text", json!("mill")), start]);
    }
    read_as(&[
        ("document", json!("doc.pdf")),
        ("body", json!(CONTEXT)),
        answers(),
    ]);
    read_as(&[
        ("body", json!(CONTEXT)),
        ("document", json!("doc.pdf")),
        answers(),
    ]);
    let qas = json!([{"id": "q1", "question": "What?", "answers": [{"text": "mill", "answer_start": 10}]}]);
    let paragraph = json!({"document": {"id": 1}, "passage": CONTEXT, "qas": qas});
    let dataset = read(
        "f.json",
        json!({"data": [{"paragraphs": [paragraph]}]})
            .to_string()
            .as_bytes(),
    );
    assert_eq!(&*dataset.unwrap().examples[0].context, CONTEXT);
    // No text: not the context, but named.
    let row = json!({"document": {"id": 1}, "question": "What?"}).to_string();
    let message = read("f.json", row.as_bytes()).unwrap_err().to_string();
    assert!(
        message.ends_with("no `context`, but fields that are not read: \"document\""),
        "{message}"
    );
}

/// As doccano and Prodigy write them.
#[test]
fn spans_by_any_name_are_answers() {
    for (name, spans) in [
        (
            "entities",
            json!([{"id": 5, "label": "ANSWER", "start_offset": 10, "end_offset": 14}]),
        ),
        (
            "annotations",
            json!([{"label": 1, "start_offset": 10, "end_offset": 14, "user": 1}]),
        ),
        (
            "spans",
            json!([{"start": 10, "end": 14, "label": "ANSWER", "token_start": 4}]),
        ),
        ("entities", json!([[10, 14, "ANSWER"]])),
        ("label", json!([[10, 14, "ANSWER"]])),
    ] {
        let found = answer(CONTEXT, &[(name, spans.clone()), ("relations", json!([]))]);
        assert_eq!(found, ("mill".to_owned(), Some(10)), "{name}");
        let found = answer(CONTEXT, &[("answer", json!("mill")), (name, spans.clone())]);
        assert_eq!(found, ("mill".to_owned(), Some(10)), "{name}");
        let both = [("label", json!([])), (name, spans)];
        if name != "label" {
            assert_eq!(
                answer(CONTEXT, &both),
                ("mill".to_owned(), Some(10)),
                "{name}"
            );
        }
    }
    // Something else of these names.
    for (name, value) in [
        ("entities", json!(["mill"])),
        ("spans", json!("noon")),
        ("annotations", json!([{"id": 1}])),
    ] {
        let found = answer(CONTEXT, &[("answer", json!("a mill")), (name, value)]);
        assert_eq!(found, ("a mill".to_owned(), Some(0)), "{name}");
    }
}

/// As pandas' `json_normalize(rows, sep="_")` writes them.
#[test]
fn names_of_flat_answers_may_be_joined_by_a_line() {
    let fields = [
        ("answers_text", json!(["mill"])),
        ("answers_answer_start", json!([10])),
    ];
    assert_eq!(answer(CONTEXT, &fields), ("mill".to_owned(), Some(10)));
}

#[test]
fn the_question_may_have_another_name() {
    let answer = ("answer", json!("a mill"));
    for name in ["query", "question_text", "Query"] {
        let fields = [
            ("id", json!("q1")),
            ("context", json!(CONTEXT)),
            (name, json!("What?")),
            answer.clone(),
        ];
        let found = example(&fields);
        assert_eq!(
            (&*found.question, found.answers().len()),
            ("What?", 1),
            "{name}"
        );
        // Beside a question it is something else.
        let [id, context, _, answer] = fields;
        let found = example(&[
            id,
            context,
            (name, json!("x")),
            ("question", json!("What?")),
            answer,
        ]);
        assert_eq!(&*found.question, "What?", "{name}");
    }
    let fields = [
        ("passage", json!(CONTEXT)),
        ("query", json!("What?")),
        answer,
    ];
    assert_eq!(&*example(&fields).context, CONTEXT);
}

/// As BanglaRQA and others write it.
#[test]
fn is_answerable_is_the_contrary_of_is_impossible() {
    let qas = json!([
        {"question_id": "q1", "question_text": "What?", "is_answerable": "1",
            "answers": {"answer_text": ["mill", "a mill"], "answer_type": ["single span", "single span"]}},
        {"question_id": "q2", "question_text": "Who?", "is_answerable": "0", "answers": {"answer_text": [""], "answer_type": [""]}},
        {"question_id": "q3", "question_text": "Who?", "answerable": false},
        {"question_id": "q4", "question_text": "Who?", "unanswerable": true},
        {"question_id": "q5", "question_text": "Who?", "is_answerable": true},
    ]);
    let text = json!({"data": [{"passage_id": "1", "context": CONTEXT, "qas": qas}]}).to_string();
    let dataset = read("f.json", text.as_bytes()).unwrap();
    let gold: Vec<&Gold> = dataset
        .examples
        .iter()
        .map(|example| &example.gold)
        .collect();
    assert_eq!(dataset.examples[0].answers().len(), 2);
    assert_eq!(
        gold[1..],
        [
            &Gold::Unanswerable,
            &Gold::Unanswerable,
            &Gold::Unanswerable,
            &Gold::Unknown
        ]
    );
    let fields = [("is_answerable", json!(0)), ("answers", json!([]))];
    assert!(answers(CONTEXT, &fields).is_empty());
}

/// As Elasticsearch, MongoDB and Java's Jackson write rows.
#[test]
fn rows_of_databases_are_read() {
    let row =
        json!({"context": CONTEXT, "question": "What?", "answer_text": "mill", "answer_start": 10});
    let hit = json!({"_index": "x", "_id": "q1", "_score": 1.0, "_source": row});
    let int = |number: i64| json!({"$numberInt": number.to_string()});
    let mongo = json!({"_id": {"$oid": "q1"}, "context": CONTEXT, "question": "What?",
        "answers": {"text": ["mill"], "answer_start": [int(10)]}});
    let mut own_id = hit.clone();
    own_id["_source"]["id"] = json!("q1");
    own_id["_id"] = json!("x");
    for value in [hit, mongo, own_id] {
        let dataset = read("f.jsonl", value.to_string().as_bytes()).unwrap();
        let example = &dataset.examples[0];
        assert_eq!(&*example.id, "q1", "{value}");
        assert_eq!(example.answers()[0].start, Some(10), "{value}");
        assert!(dataset.flaws.is_empty(), "{value}");
    }
    let wrong = json!({"id": {"x": 1}, "context": CONTEXT, "question": "?"}).to_string();
    let message = read("f.jsonl", wrong.as_bytes()).unwrap_err().to_string();
    assert!(
        message.contains("an object instead of a text or a number"),
        "{message}"
    );
    let fields = [("impossible", json!(true)), ("answers", json!([]))];
    assert!(answers(CONTEXT, &fields).is_empty());
}

/// As people write them who put a row of the Hub into SQuAD's form.
#[test]
fn a_pair_of_lists_may_stand_in_a_list() {
    let both = json!([{"text": ["mill", "a mill"], "answer_start": [10, 8]}]);
    let found = answers(CONTEXT, &[("answers", both)]);
    assert_eq!(
        found,
        [
            ("mill".to_owned(), Some(10)),
            ("a mill".to_owned(), Some(8))
        ]
    );
    let none = json!([{"text": [], "answer_start": []}]);
    assert!(
        answers(
            CONTEXT,
            &[("answers", none), ("is_impossible", json!(true))]
        )
        .is_empty()
    );
    for (pair, expected) in [
        (
            json!({"text": ["mill", "a mill"], "answer_start": [10]}),
            "2 in `text` and 1 in `answer_start`",
        ),
        (
            json!({"text": "mill", "answer_start": [10, 2]}),
            "1 in `text` and 2 in `answer_start`",
        ),
        (
            json!({"text": ["mill", "a mill"]}),
            "2 in `text` and 0 in `answer_start`",
        ),
    ] {
        let row = json!({"context": CONTEXT, "question": "?", "answers": [pair]}).to_string();
        let message = read("f.json", row.as_bytes()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}
