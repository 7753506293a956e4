//! Files of predicted answers and of no-answer probabilities in the forms of several tools.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use squad_data::{Error, NoAnswerProbabilities, PredictedAnswers};

use crate::parquet_writer::{Column, Values, file};

fn with_file<T>(bytes: &[u8], read: impl Fn(&Path) -> T) -> T {
    let folder = test_support::temp_dir();
    let path = folder.path().join("predictions");
    std::fs::write(&path, bytes).unwrap();
    read(&path)
}

fn read(text: &str) -> Result<PredictedAnswers, Error> {
    with_file(text.as_bytes(), PredictedAnswers::read)
}

fn probabilities(text: &str) -> Result<NoAnswerProbabilities, Error> {
    with_file(text.as_bytes(), NoAnswerProbabilities::read)
}

fn answers(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    let owned = |&(id, text): &(&str, &str)| (id.to_owned(), text.to_owned());
    pairs.iter().map(owned).collect()
}

#[test]
fn every_form_gives_the_same_answers() {
    let expected = answers(&[("7", "Bo Lund"), ("8", "1902"), ("9", "")]);
    for text in [
        r#"{"7": "Bo Lund", "8": "1902", "9": ""}"#,
        r#"{"7": "Bo Lund", "8": 1902, "9": null}"#,
        r#"[{"id": 7.0, "prediction_text": "Bo Lund"}, {"id": 8, "prediction_text": "1902"}, {"id": 9.0, "prediction_text": null}]"#,
        "\u{feff}{\"7\": \"Bo Lund\",\r\n\"8\": \"1902\", \"9\": \"\"}\r\n",
        // evaluate's list; one object on each line; ids as numbers; further fields.
        r#"[{"id": "7", "prediction_text": "Bo Lund"}, {"id": 8, "prediction_text": "1902"}, {"id": "9", "prediction_text": ""}]"#,
        "{\"id\": 7, \"prediction_text\": \"Bo Lund\", \"question\": \"Who?\"}\n{\"id\": 8, \"prediction_text\": 1902}\n\n{\"id\": 9, \"prediction_text\": null}\n",
        "{\"qid\": \"7\", \"answer\": \"Bo Lund\"}\n{\"question_id\": \"8\", \"text\": \"1902\"}\n{\"query_id\": \"9\", \"prediction\": \"\"}",
        "{\"7\": \"Bo Lund\"}\n{\"8\": \"1902\"}\n{\"9\": \"\"}\n",
        // n-best lists, sorted or not; without probabilities the first.
        r#"{"7": [{"text": "Bo Lund", "probability": 0.6}, {"text": "Bo", "probability": 0.4}], "8": [{"text": "x", "probability": 0.1}, {"text": "1902", "probability": 0.9}], "9": []}"#,
        r#"{"7": [{"text": "Bo Lund"}, {"text": "Bo"}], "8": [{"answer": "1902", "score": 3.5}], "9": [{"text": "", "score": -1}, {"text": "Bo", "score": -2}]}"#,
        // The question-answering pipeline, DrQA, FARM and Haystack.
        r#"{"7": {"answer": "Bo Lund", "score": 0.9, "start": 1, "end": 8}, "8": {"answer": "1902", "score": 0.5}, "9": {"answer": "", "score": 0.1}}"#,
        r#"{"7": [["Bo", 0.1], ["Bo Lund", 0.7]], "8": [["1902", 0.9]], "9": [["", 1]]}"#,
        r#"[{"task": "qa", "predictions": [{"id": "7", "answers": [{"answer": "Bo Lund", "score": 2}, {"answer": "Bo", "score": 1}]}, {"question_id": "8", "answers": [{"answer": "1902"}]}]}, {"predictions": [{"id": "9", "answers": [{"answer": "no_answer"}]}]}]"#,
        r#"{"7": ["Bo Lund"], "8": [1902], "9": [null]}"#,
        // R's jsonlite.
        r#"[{"id": ["7"], "prediction_text": ["Bo Lund"]}, {"id": [8], "answer": [1902]}, {"id": ["9"], "answer": [""]}]"#,
        "{\"7\": \"Bo Lund\", \"8\": 1902, \"9\": null}\r\n\x1a\0\0",
        r#"[{"id": "7", "answer": ["Bo Lund"]}, {"id": "8", "answer": [1902]}, {"id": "9", "answer": [""]}]"#,
        // Lists inside an object, as pandas' orient="table" writes them, and names as tables have them.
        r#"{"schema": {"fields": [{"name": "id"}]}, "data": [{"index": 0, "id": 7, "prediction": "Bo Lund"}, {"id": 8, "prediction": 1902}, {"id": 9, "prediction": null}]}"#,
        r#"{"model": "x", "results": [{"ID": 7, "Prediction Text": "Bo Lund"}, {"ID": 8, "Answer": "1902"}, {"Id": 9, "PredictionString": ""}]}"#,
        r#"{"7": {"query": "Who?", "answers": [{"answer": "Bo", "score": 1}, {"answer": "Bo Lund", "score": 2}]}, "8": {"answers": ["1902"]}, "9": {"answers": []}}"#,
        // The pipeline's results in records.
        r#"[{"id": 7, "prediction": {"answer": "Bo Lund", "score": 0.9, "start": 1}}, {"id": 8, "answer": {"text": "1902"}}, {"id": 9, "pred": {"answer": ""}}]"#,
        // Lists of which each belongs to an id.
        r#"{"7": [{"id": 1, "text": "Bo Lund"}, {"id": 2, "text": "Bo"}], "8": [{"id": 1, "text": "1902"}], "9": []}"#,
        "{\"id\": 7, \"text\": \"Bo Lund\", \"no_answer_probability\": null}\n{\"id\": 8, \"text\": \"1902\"}\n{\"id\": 9, \"text\": \"\"}\n",
        // Tables.
        "id,prediction_text\r\n7,Bo Lund\r\n8,1902\r\n9,\r\n",
        "id,PredictionString\n7,Bo Lund\n8,1902\n9,\n",
        "\"id\"\t\"prediction_text\"\n\"1\"\t7\t\"Bo Lund\"\n\"2\"\t8\t\"1902\"\n\"3\"\t9\t\"\"\n",
        "{\"_id\": 7, \"predictionText\": \"Bo Lund\"}\n{\"key\": \"8\", \"prediction-text\": \"1902\"}\n{\"uid\": \"9\", \"predictedAnswer\": \"\"}\n",
        // AllenNLP.
        "{\"id\": 7, \"best_span\": [3, 4], \"best_span_str\": \"Bo Lund\"}\n{\"id\": 8, \"best_span_str\": \"1902\"}\n{\"id\": 9, \"best_span_str\": \"\"}\n",
        "id,answer\n7,Bo Lund\nid,answer\n8,1902\nid,answer\n9,\n",
        r#"{"predictions": {"7": "Bo Lund", "8": "1902", "9": ""}, "metrics": {"f1": 1}}"#,
        r#"{"results": {"7": {"answer": "Bo Lund", "score": 1}, "8": "1902", "9": ""}}"#,
        r#"[{"7": "Bo Lund", "8": "1902"}, {"9": null}]"#,
        "{\"id\": 7, \"pred_answer\": \"Bo Lund\"}\n{\"id\": 8, \"answer_text\": \"1902\"}\n{\"id\": 9, \"predictions\": \"\"}\n",
        "id,predictions\n7,Bo Lund\n8,1902\n9,\n",
        "id,answer_text\n7,Bo Lund\n8,1902\n9,\n",
        "question\tquestion_id\tanswer\nWho?\t7\tBo Lund\nWhen?\t8\t1902\nWhy?\t9\t\n",
        "\u{feff};ID;Prediction;no_answer_probability\n0;7;Bo Lund;\n1;8;1902;\n2;9;;\n",
    ] {
        let read = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(read.texts, expected, "{text}");
        assert_eq!(read.num_duplicates, 0, "{text}");
        assert_eq!(read.no_answer_probabilities, [], "{text}");
    }
    let schema = "message predictions { optional int64 Id; optional binary PredictionString (UTF8); optional int32 x; }";
    let columns = vec![
        Column::flat(Values::Int64(vec![7, 8, 9])),
        Column::texts(["Bo Lund", "1902", ""]),
        Column::flat(Values::Int32(vec![1, 2, 3])),
    ];
    let parquet = file(schema, &[columns], parquet::basic::Compression::SNAPPY);
    let read = with_file(&parquet, PredictedAnswers::read).unwrap();
    assert_eq!(read.texts, expected);
}

/// What evaluation scripts write: the question, the gold answer and the prediction.
#[test]
fn beside_a_prediction_answers_and_texts_are_no_predictions() {
    let expected = answers(&[("7", "Bo"), ("8", "")]);
    for text in [
        "id,question,answer,predicted_answer\n7,Who?,Lund,Bo\n8,Why?,Lund,\n",
        "id\tanswer\tprediction_text\n7\tLund\tBo\n8\tLund\t\n",
        "id,context,answer,pred\n7,Bo Lund built it.,Lund,Bo\n8,Bo Lund built it.,Lund,\n",
        "id,context,answer,score\n7,Bo Lund built it.,Bo,0.5\n8,Bo Lund built it.,,0.25\n",
        r#"[{"id": 7, "context": "Bo Lund", "answers": {"text": ["Lund"]}, "answer": "Bo", "score": 0.5, "start": 0}, {"id": 8, "context": "Bo Lund", "answer": "", "score": 0.5}]"#,
        "id,text,pred\n7,Bo Lund built it.,Bo\n8,Bo Lund built it.,\n",
        "{\"id\": 7, \"answer\": \"Lund\", \"pred\": \"Bo\"}\n{\"id\": 8, \"answer\": \"Lund\", \"pred\": null}\n",
        r#"[{"id": 7, "answers": [{"text": "Lund"}], "prediction": "Bo"}, {"id": 8, "answers": ["Lund"], "prediction": ""}]"#,
        r#"{"7": {"text": "Lund", "predicted": "Bo"}, "8": {"answer": "Lund", "predicted_text": ""}}"#,
        r#"{"7": [{"text": "Lund", "prediction": "Bo", "score": 1}], "8": []}"#,
    ] {
        let read = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(read.texts, expected, "{text}");
    }
    let schema = "message predictions { optional int64 id; optional binary answer (UTF8); optional binary predicted (UTF8); }";
    let columns = vec![
        Column::flat(Values::Int64(vec![7, 8])),
        Column::texts(["Lund", "Lund"]),
        Column::texts(["Bo", ""]),
    ];
    let parquet = file(schema, &[columns], parquet::basic::Compression::SNAPPY);
    let read = with_file(&parquet, PredictedAnswers::read).unwrap();
    assert_eq!(read.texts, expected);
}

/// As `to_json(orient="index")` of pandas writes them, by the number of the row.
#[test]
fn an_id_inside_an_entry_outranks_its_key() {
    let expected = answers(&[("7", "Bo"), ("0", "Lund")]);
    for text in [
        r#"{"0": {"id": 7, "prediction_text": "Bo"}, "1": {"id": 0, "prediction_text": "Lund"}}"#,
        r#"{"predictions": {"0": {"qid": "7", "answer": "Bo"}, "1": {"qid": "0", "answer": "Lund"}}}"#,
        r#"{"7": {"id": null, "text": "Bo"}, "0": {"id": "0", "text": "Lund"}}"#,
    ] {
        assert_eq!(read(text).unwrap().texts, expected, "{text}");
    }
    let values = r#"{"0": {"id": 7, "no_answer_probability": 0.5}}"#;
    let values = probabilities(values).unwrap().values;
    assert_eq!(values, [("7".to_owned(), 0.5)]);
    let entry = |row: usize| format!(r#""{row}": {{"id": {}, "text": "answer {row}"}}"#, row + 1);
    let many: Vec<String> = (0..100).map(entry).collect();
    let read = read(&format!("{{{}}}", many.join(", "))).unwrap();
    assert_eq!(read.texts["1"], "answer 0");
    assert_eq!(read.texts["100"], "answer 99");
}

#[test]
fn a_score_that_is_no_number_is_none() {
    let read = read(r#"{"7": [["Bo", "nan"], ["Lund", "0.5"], ["Bo Lund", 0.1]]}"#).unwrap();
    assert_eq!(read.texts, answers(&[("7", "Lund")]));
}

#[test]
fn gzip_and_a_file_of_many_entries() {
    let expected: HashMap<String, String> = (0..500)
        .map(|id| (id.to_string(), format!("answer {id}")))
        .collect();
    let text = serde_json::to_string(&expected).unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    let read = with_file(&gzip.finish().unwrap(), PredictedAnswers::read);
    assert_eq!(read.unwrap().texts, expected);
}

#[test]
fn ids_that_occur_again_are_counted_and_the_last_answer_counts() {
    let twice = read(r#"{"7": "x", "7": "Bo", "8": "y"}"#).unwrap();
    assert_eq!(twice.texts, answers(&[("7", "Bo"), ("8", "y")]));
    assert_eq!(twice.num_duplicates, 1);
    let lines = "{\"id\": 7, \"answer\": \"x\"}\n{\"id\": \"7\", \"answer\": \"Bo\"}";
    assert_eq!(read(lines).unwrap().num_duplicates, 1);
    let values = probabilities(r#"{"7": 0.5, "7": 0.25}"#).unwrap();
    assert_eq!(values.num_duplicates, 1);
    assert_eq!(values.values.last().unwrap().1, 0.25);
}

#[test]
fn no_answer_probabilities_keep_their_order() {
    let expected = [("8".to_owned(), 0.75), ("7".to_owned(), 0.25)];
    for text in [
        r#"{"8": 0.75, "7": 0.25}"#,
        r#"{"8": "0.75", "7": {"no_answer_probability": 0.25}}"#,
        r#"[{"id": 8, "no_answer_probability": 0.75}, {"id": "7", "no_answer_probability": 0.25}]"#,
        r#"{"8": [0.75], "7": [0.25]}"#,
        r#"[{"id": [8], "no_answer_probability": [0.75]}, {"id": ["7"], "no_answer_probability": [0.25]}]"#,
        "{\"id\": 8, \"no_answer_probability\": 0.75}\n{\"id\": 7, \"no_answer_probability\": 0.25}",
        "id,prediction_text,no_answer_probability\n8,x,0.75\n7,,0.25\n",
        "id;prediction_text;noAnswerProbability\n8;x;0,75\n7;;0,25\n",
    ] {
        assert_eq!(probabilities(text).unwrap().values, expected, "{text}");
    }
    let list = r#"[{"id": 8, "prediction_text": "x", "no_answer_probability": 0.75},
        {"id": "7", "prediction_text": "", "no_answer_probability": 0.25}]"#;
    assert_eq!(read(list).unwrap().no_answer_probabilities, expected);
    assert_eq!(probabilities(list).unwrap().values, expected);
}

#[test]
fn what_is_ambiguous_or_no_prediction_is_an_error_that_shows_the_expected_form() {
    for (text, parts) in [
        (
            r#"[{"score": 0.9, "answer": "Bo"}]"#,
            &["line 1", "no id"][..],
        ),
        (r#"{"7": ["Bo", "Lund"]}"#, &["\"7\"", "several texts"]),
        (r#"{"7": [["Bo", "Lund", 1]]}"#, &["\"7\"", "no pair"]),
        (r#"{"7": true}"#, &["\"7\"", "true"]),
        (
            r#"{"7": {"score": 1}}"#,
            &["\"7\"", "without prediction_text"],
        ),
        (
            r#"{"7": {"answer": "Bo", "text": "Lund"}}"#,
            &["\"7\"", "answer and text are different"],
        ),
        (r#"["Bo"]"#, &["line 1", "\"Bo\" in the list"]),
        ("{\"7\": \"Bo\"}\n17", &["line 2", "integer `17`"]),
        (r#""{\"7\": \"Bo\"}""#, &["line 1", "JSON inside a text"]),
        // pandas' other forms.
        (
            r#"{"id": {"0": "7"}, "prediction_text": {"0": "Bo"}}"#,
            &["an id is an object; if the file goes by columns, write each row as an object"],
        ),
        (
            r#"{"columns": ["id", "text"], "index": [0], "data": [["7", "Bo"]]}"#,
            &["rows without the names of their columns; write each row as an object"],
        ),
        (
            r#"[["7", "Bo"]]"#,
            &["a list in the list, instead of an object; write each row"],
        ),
        (
            r#"{"data": [{"title": "x", "paragraphs": []}]}"#,
            &[
                "\"data\"",
                "`paragraphs`",
                "questions with their gold answers",
            ],
        ),
        (
            r#"[{"id": "7", "answers": [{"text": "Bo", "answer_start": 0}]}]"#,
            &["\"7\"", "`answer_start`: these are questions"],
        ),
        (
            r#"[{"context": "Bo", "qas": [{"id": "7", "answers": [{"text": "Bo", "answer_start": 0}]}]}]"#,
            &["\"7\"", "`answer_start`: these are questions"],
        ),
        (
            r#"[{"id": "7", "answers": {"text": ["Bo"], "answer_start": [0]}}]"#,
            &["\"7\"", "`answers`, and no prediction_text"],
        ),
        (
            r#"[{"id": "7", "context": "Bo", "question": "Who?", "answer": "Bo"}]"#,
            &[
                "\"7\"",
                "`context`, and no prediction_text: these are questions",
            ],
        ),
        (
            "question_id,paragraph,question,answer\n7,Bo,Who?,Bo\n",
            &[
                "row 1",
                "`paragraph`, and no prediction_text: these are questions",
            ],
        ),
        (
            "id,context,question,answer,answer_start\n7,Bo,Who?,Bo,0\n",
            &[
                "row 1",
                "`context`, and no prediction_text: these are questions",
            ],
        ),
        (
            "{\"id\": \"7\", \"output\": \"Bo\"}\n{\"id\": \"8\", \"output\": \"Bo\"}\n",
            &["line 1", "\"7\"", "without prediction_text"],
        ),
        ("", &["empty"]),
        ("7,Bo\n", &["line 1", "\"7,Bo\""]),
        ("Id,Output\n7,Bo\n", &["line 1", "\"Id,Output\""]),
        (
            "id,answer,text\n7,Bo,Lund\n",
            &["row 1", "\"7\"", "answer and text are different"],
        ),
        (
            "id,answer,pred,predicted\n7,Bo,Bo,Lund\n",
            &["row 1", "\"7\"", "predicted and pred are different"],
        ),
        ("{\"7\": \"Bo\"", &["line 1", "ends too early"]),
        (
            "{\"7\": \"Bo\",\n \"8\": NaN}",
            &["line 2", "expected value: NaN", "write null"],
        ),
        (r#"[{"id": true, "answer": "x"}]"#, &["id is true"]),
        ("{\"7\": \"Bo\nLund\"}", &["line 2", "is written \\n"]),
        (
            "{\"7\": \"Bo\"},\n{\"8\": \"\"},\n",
            &["line 1", "do not end with one"],
        ),
        (
            r#"[{"id": "7", "answer": "x", "no_answer_probability": true}]"#,
            &["\"7\"", "true"],
        ),
        (
            "{\"qas_id\": \"7\", \"pred\": \"x\"}\n{\"qas_id\": \"8\", \"pred\": \"y\"}\n",
            &["line 1", "an object has no id"],
        ),
        (
            r#"[{"id": "7", "answer": ["Bo", "Lund"]}]"#,
            &["\"7\"", "several texts"],
        ),
    ] {
        let error = read(text).expect_err(text).to_string();
        for part in parts.iter().chain(&["expected {\"ID\": \"ANSWER\", …}"]) {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert!(!error.contains('\n'), "{error}");
    }
    for (text, problem) in [
        (
            "id,prediction_text\n1,\"Ane Holm\n2,1871\n3,\n",
            "row 1: the file ends inside a quoted cell",
        ),
        (
            "id,answer\n1,5\" pipe\n2,\"5\" pipe\n",
            "row 2: text behind a closing quote",
        ),
    ] {
        let error = read(text).expect_err(text).to_string();
        assert!(error.contains(problem), "{problem} in {error}");
    }
    // Between tabs such a quotation mark belongs to the text.
    let tabs = read("id\tprediction_text\n1\t\"Ane Holm\n2\t1871\n").unwrap();
    assert_eq!(tabs.texts, answers(&[("1", "\"Ane Holm"), ("2", "1871")]));
    let drawn = read("| id | answer |\n|---|---|\n| 7 | Bo |\n").unwrap_err();
    assert!(drawn.to_string().contains("this is a Markdown table"));
    for text in [
        r#"{"7": "no"}"#,
        r#"{"7": null}"#,
        r#"[{"id": "7"}]"#,
        "[1]",
    ] {
        let error = probabilities(text).expect_err(text).to_string();
        assert!(error.contains("expected {\"ID\": 0.25, …}"), "{error}");
    }
    for (bytes, part) in [
        (&b"PAR1\0\0"[..], "Parquet"),
        (b"{\"7\": \"\xff\"}", "UTF-8"),
    ] {
        let error = with_file(bytes, PredictedAnswers::read)
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{error}");
    }
}
