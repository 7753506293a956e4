//! Errors in Parquet files: one line that names the file, and the row and the column if there is one.

use parquet::basic::Compression;
use squad_data::{Example, GoldAnswer};

use crate::common::{read, read_error};
use crate::parquet_writer::{Column, HUB, Values, columns, file};

fn examples() -> Vec<Example> {
    let answer = GoldAnswer {
        text: "a pie".to_owned(),
        start: Some(10),
    };
    let example = |number: usize| {
        let example = Example {
            title: "Pies".into(),
            ..Example::new(format!("q{number}"), "What?", "Zoë 🙂 ate a pie.")
        };
        example.with_answers(vec![answer.clone(); number % 3])
    };
    (0..6).map(example).collect()
}

fn parquet(schema: &str, columns: Vec<Column>) -> Vec<u8> {
    file(schema, &[columns], Compression::SNAPPY)
}

/// The error for the good columns after a change.
fn changed(change: impl FnOnce(&mut Vec<Column>)) -> String {
    let mut columns = columns(&examples());
    change(&mut columns);
    read_error("f.parquet", &parquet(HUB, columns))
}

#[test]
fn the_good_file_is_read() {
    let bytes = parquet(HUB, columns(&examples()));
    assert_eq!(read("f.parquet", &bytes).unwrap().examples, examples());
}

#[test]
fn columns_are_checked_before_rows_are_read() {
    for (wrong, expected) in [
        (
            HUB.replace(" context (UTF8)", " chapter (UTF8)"),
            "no column `context`",
        ),
        (
            HUB.replace("group text (LIST)", "group texts (LIST)"),
            "column `answers`: missing field `text`",
        ),
        (
            HUB.replace("title (UTF8)", "id (UTF8)"),
            "two columns `id`; drop one",
        ),
    ] {
        let message = read_error("f.parquet", &parquet(&wrong, columns(&examples())));
        assert!(
            message.starts_with("f.parquet: ") && message.contains(expected),
            "{expected} is not in {message}"
        );
    }
    let no_list = "message schema { optional binary id (UTF8); optional binary context (UTF8);
        optional binary question (UTF8); optional group answers { optional binary text (UTF8); optional int32 answer_start; } }";
    let mut flat = vec![
        Column::texts(["q"]),
        Column::texts(["Bo"]),
        Column::texts(["Who?"]),
    ];
    // Inside the struct, which may be null itself, a value has level 2.
    for values in [Values::Texts(vec!["Bo".to_owned()]), Values::Int32(vec![0])] {
        flat.push(Column {
            values,
            definitions: vec![2],
            repetitions: vec![0],
        });
    }
    let read = read("f.parquet", &parquet(no_list, flat)).unwrap();
    assert_eq!(read.examples[0].answers()[0].start, Some(0));
}

#[test]
fn column_types_are_checked() {
    let ids = HUB.replace("binary id (UTF8)", "int64 id");
    let mut numbers = columns(&examples());
    numbers[0] = Column::flat(Values::Int64((0..6).collect()));
    let read_numbers = read("f.parquet", &parquet(&ids, numbers)).unwrap();
    assert_eq!(read_numbers.examples[5].id, "5");

    let starts = HUB.replace("int32 element", "double element");
    let mut floats = columns(&examples());
    floats[5].values = Values::Float(vec![10.0; 6]);
    let read_floats = read("f.parquet", &parquet(&starts, floats)).unwrap();
    assert_eq!(read_floats.examples, examples());

    // Ids and titles that are no texts, but can be written as one.
    for (kind, id) in [
        ("int64 id (DECIMAL(18,0))", "18"),
        ("int64 id (DECIMAL(18,2))", "0.18"),
        ("int64 id (INTEGER(64,false))", "18"),
        ("int64 id (TIMESTAMP(MILLIS,true))", "1970-01-01 00:00:00"),
    ] {
        let mut numbers = columns(&examples());
        numbers[0] = Column::flat(Values::Int64((18..24).collect()));
        let schema = HUB.replace("binary id (UTF8)", kind);
        let read = read("f.parquet", &parquet(&schema, numbers)).unwrap();
        assert!(
            read.examples[0].id.starts_with(id),
            "{kind}: {}",
            read.examples[0].id
        );
        assert!(read.flaws.is_empty(), "{kind}");
    }

    let uuids = HUB.replace("binary id (UTF8)", "fixed_len_byte_array(16) id (UUID)");
    let bytes = file(&uuids, &[], Compression::UNCOMPRESSED);
    let message = read_error("f.parquet", &bytes);
    assert!(
        message.contains("column `id` holds UUIDs as bytes; write them as text"),
        "{message}"
    );

    // Wider integers, unneeded columns and a missing title are accepted.
    let starts = HUB.replace("int32 element", "int64 element");
    let mut wide = columns(&examples());
    wide[5].values = Values::Int64(vec![10; 6]);
    assert_eq!(
        read("f.parquet", &parquet(&starts, wide)).unwrap().examples,
        examples()
    );
    let more = HUB.replace(
        "optional binary title (UTF8)",
        "optional boolean is_impossible; optional double weight",
    );
    let mut other = columns(&examples());
    other[1] = Column::flat(Values::Bool(
        examples().iter().map(|e| e.is_impossible()).collect(),
    ));
    other.insert(2, Column::flat(Values::Float(vec![1.0; 6])));
    let read = read("f.parquet", &parquet(&more, other)).unwrap();
    assert_eq!((read.len(), &*read.examples[0].title), (6, ""));
}

/// Makes the value of a row null.
fn null(column: &mut Column, row: usize) {
    column.definitions[row] = 0;
    match &mut column.values {
        Values::Texts(values) => drop(values.remove(row)),
        Values::Int32(values) => drop(values.remove(row)),
        _ => unreachable!("the columns are texts and starts"),
    }
}

#[test]
fn nulls_are_missing_values() {
    for (column, problem) in [
        (2, "f.parquet: row 5: the context is empty"),
        (
            3,
            "f.parquet: row 5: question \"q4\": the question is empty",
        ),
    ] {
        let message = changed(|columns| null(&mut columns[column], 4));
        assert!(message.starts_with(problem), "{message}");
    }
    let mut without_id = columns(&examples());
    null(&mut without_id[0], 4);
    let read_ids = read("f.parquet", &parquet(HUB, without_id)).unwrap();
    assert_eq!(read_ids.examples[4].id, "4");
    // Row 4 has no answer: its definition level means an empty list (2), then a null list (1), then null answers (0).
    let place = 3;
    for level in [1, 0] {
        let mut columns = columns(&examples());
        columns[4].definitions[place + 1] = level;
        columns[5].definitions[place + 1] = level;
        let read = read("f.parquet", &parquet(HUB, columns)).unwrap();
        assert!(read.examples == examples(), "{level}");
    }
    // A null element: the answer of row 2 has no text, so it is none.
    let mut null_text = columns(&examples());
    null_text[4].definitions[1] = 3;
    let Values::Texts(texts) = &mut null_text[4].values else {
        unreachable!("answers are texts")
    };
    texts.remove(0);
    let read_null = read("f.parquet", &parquet(HUB, null_text)).unwrap();
    assert!(read_null.examples[1].is_impossible());
    // A title may be null, as it may be missing.
    let mut columns = columns(&examples());
    null(&mut columns[1], 0);
    let read = read("f.parquet", &parquet(HUB, columns)).unwrap();
    assert_eq!(
        (&*read.examples[0].title, &*read.examples[1].title),
        ("", "Pies")
    );
}

#[test]
fn rows_obey_the_rules_of_documents() {
    let text = |column: usize, row: usize, text: &'static str| {
        move |columns: &mut Vec<Column>| {
            let Values::Texts(texts) = &mut columns[column].values else {
                unreachable!("a column of texts")
            };
            texts[row] = text.to_owned();
        }
    };
    assert!(changed(text(2, 5, " ")).starts_with("f.parquet: row 6: the context is empty"));
    assert!(
        changed(text(3, 1, ""))
            .starts_with("f.parquet: row 2: question \"q1\": the question is empty")
    );
    assert!(
        changed(text(4, 0, "Bo"))
            .contains("row 2: question \"q1\": answer \"Bo\" does not match its context")
    );
    let twice = changed(text(0, 3, "q1"));
    assert!(
        twice.contains("f.parquet: question 2 and in ") && twice.contains("f.parquet: row 4;"),
        "{twice}"
    );
    let lengths = changed(|columns| {
        // Row 3 has two answers; the second start goes.
        columns[5].definitions.remove(3);
        columns[5].repetitions.remove(3);
        columns[5].values = Values::Int32(vec![10; 5]);
    });
    assert!(
        lengths.starts_with("f.parquet: row 3: question \"q2\": answers.text has 2 entries and answers.answer_start 1;"),
        "{lengths}"
    );
}

#[test]
fn files_that_are_not_parquet() {
    let whole = parquet(HUB, columns(&examples()));
    let empty = parquet(HUB, columns(&[]));
    assert!(read_error("f.parquet", &empty).contains("no question in it"));
    let cut = |length: usize| &whole[..length];
    for bytes in [
        &b""[..],
        b"PAR1",
        b"PAR1PAR1",
        b"{\"data\": []}",
        cut(200),
        cut(whole.len() - 1),
    ] {
        let message = read_error("f.parquet", bytes);
        assert!(
            message.starts_with("f.parquet: not a Parquet file that can be read: "),
            "{message}"
        );
    }
    // Parquet inside gzip.
    let packed = read("f.parquet.gz", &crate::forms::gzip(&whole)).unwrap();
    assert_eq!(packed.examples, examples());
}

/// A file without rows and with a schema of this depth, in Thrift's compact form: each level takes 8 bytes.
fn nested(depth: usize) -> Vec<u8> {
    let mut footer = vec![0x15, 2, 0x19, 0xfc];
    let mut count = depth + 2;
    while count >= 0x80 {
        footer.push(count as u8 | 0x80);
        count >>= 7;
    }
    footer.push(count as u8);
    footer.extend([0x48, 1, b'r', 0x15, 2, 0]);
    footer.extend([0x35, 0, 0x18, 1, b'a', 0x15, 2, 0].repeat(depth));
    footer.extend([0x15, 2, 0x25, 0, 0x18, 1, b'a', 0]);
    footer.extend([0x16, 0, 0x19, 0x0c, 0]);
    let length = (footer.len() as u32).to_le_bytes();
    [b"PAR1", &*footer, &length, b"PAR1"].concat()
}

#[test]
fn deep_schemas_do_not_overflow_the_stack() {
    for depth in [0, 1, 1_000, 100_000, 520_000] {
        let message = read_error("f.parquet", &nested(depth));
        assert!(
            message.contains("no column `context`, only \"a\""),
            "{depth}: {message}"
        );
    }
    let message = read_error("f.parquet", &nested(530_000));
    assert!(message.contains("its footer has 42"), "{message}");
}

#[test]
fn a_page_that_claims_too_many_values_is_rejected() {
    let mut bytes = file(HUB, &[columns(&examples())], Compression::UNCOMPRESSED);
    // The header of the ids' dictionary page: its type, 36 bytes twice, and 6 values. Thrift doubles numbers.
    let header = [0x15, 4, 0x15, 72, 0x15, 72, 0x4c, 0x15, 12];
    assert_eq!(bytes[4..13], header);
    assert_eq!(read("f.parquet", &bytes).unwrap().len(), 6);
    bytes[12] = 126;
    let message = read_error("f.parquet", &bytes);
    assert!(
        message.contains("a page claims to have 63 values"),
        "{message}"
    );
}
