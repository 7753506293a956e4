"""Writes crates/squad-data/tests/fixtures/hub.parquet and plain.parquet: the first questions of datasets/sample/dev.json in
the columns that the Hub's SQuAD data sets have, with Snappy and without compression; and polars.parquet (zstd, a list of
structs), pages2.parquet (zstd, pages of the second version, large strings, no dictionary), delta.parquet (delta encodings) and nested.parquet (zstd, a paragraph
with its questions in each row). In crates/trainer/tests/fixtures, bombs of a few kilobytes: page-bomb.parquet (brotli, one
context of 700 MB), dictionary-bomb.parquet (a million rows with one context of 1,000 characters) and list-bomb.parquet (a row
with a million answers of 1,000 characters).

    python scripts/reference/make_parquet_fixture.py
    python scripts/reference/make_parquet_fixture.py SQUAD.json OUT.parquet [snappy|none]   converts any SQuAD file

Last run with pyarrow 26.0.1 and polars 2.1.0.
"""

import hashlib
import json
import pathlib
import sys

import polars
import pyarrow
import pyarrow.parquet

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = pyarrow.schema(
    [
        ("id", pyarrow.string()),
        ("title", pyarrow.string()),
        ("context", pyarrow.string()),
        ("question", pyarrow.string()),
        (
            "answers",
            pyarrow.struct(
                [
                    ("text", pyarrow.list_(pyarrow.string())),
                    ("answer_start", pyarrow.list_(pyarrow.int32())),
                ]
            ),
        ),
    ]
)


def rows(path):
    for article in json.loads(pathlib.Path(path).read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                yield {
                    "id": question["id"],
                    "title": article.get("title", ""),
                    "context": paragraph["context"],
                    "question": question["question"],
                    "answers": {
                        "text": [answer["text"] for answer in question["answers"]],
                        "answer_start": [answer["answer_start"] for answer in question["answers"]],
                    },
                }


def write(rows, path, compression):
    table = pyarrow.Table.from_pylist(rows, schema=SCHEMA)
    pyarrow.parquet.write_table(table, path, compression=compression)
    print(path, table.num_rows, "rows", pathlib.Path(path).stat().st_size, "bytes")


def list_of_structs(row):
    pairs = zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
    return row | {"answers": [{"text": text, "answer_start": start} for text, start in pairs]}


def paragraphs(rows):
    grouped = {}
    for row in rows:
        question = {key: list_of_structs(row)[key] for key in ("id", "question", "answers")}
        grouped.setdefault((row["title"], row["context"]), []).append(question)
    return [{"title": title, "context": context, "qas": qas} for (title, context), qas in grouped.items()]


def delta(rows, path):
    starts, texts = "answers.answer_start.list.element", "answers.text.list.element"
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist(rows, schema=SCHEMA),
        path,
        use_dictionary=False,
        column_encoding={
            "id": "DELTA_BYTE_ARRAY",
            "context": "DELTA_BYTE_ARRAY",
            "question": "DELTA_LENGTH_BYTE_ARRAY",
            texts: "DELTA_LENGTH_BYTE_ARRAY",
            starts: "DELTA_BINARY_PACKED",
        },
    )


def same(values, number):
    """A column of `number` equal values, which are stored once."""
    return pyarrow.DictionaryArray.from_arrays(pyarrow.repeat(pyarrow.scalar(0, pyarrow.int32()), number), values)


def bombs(folder):
    def save(columns, name, compression):
        path = folder / name
        pyarrow.parquet.write_table(
            pyarrow.table(columns), path, compression=compression, write_statistics=False, store_schema=False
        )
        print(path, path.stat().st_size, "bytes")

    long, number = "a" * 1000, 1_000_000
    save({"id": ["q"], "context": ["a" * 700_000_000], "question": ["?"]}, "page-bomb.parquet", "brotli")
    rows = {"context": same([long], number), "question": same(["?"], number)}
    save(rows, "dictionary-bomb.parquet", "zstd")
    texts = pyarrow.ListArray.from_arrays([0, number], same([long], number))
    starts = pyarrow.ListArray.from_arrays([0, number], pyarrow.repeat(pyarrow.scalar(0, pyarrow.int32()), number))
    answers = pyarrow.StructArray.from_arrays([texts, starts], ["text", "answer_start"])
    # A reader may expect a file's length to grow with the number of values.
    title = "".join(hashlib.sha256(bytes([line])).hexdigest() for line in range(250))
    save({"id": ["q"], "title": [title + title[::-1]], "context": [long], "question": ["?"], "answers": answers}, "list-bomb.parquet", "zstd")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        write(list(rows(sys.argv[1])), sys.argv[2], (sys.argv + ["snappy"])[3])
    else:
        fixtures = ROOT / "crates/squad-data/tests/fixtures"
        first = list(rows(ROOT / "datasets/sample/dev.json"))[:12]
        write(first, fixtures / "hub.parquet", "snappy")
        write(first, fixtures / "plain.parquet", "none")
        polars.DataFrame([list_of_structs(row) for row in first]).write_parquet(fixtures / "polars.parquet")
        large = pyarrow.schema([(field.name, pyarrow.large_string()) for field in SCHEMA][:4] + [SCHEMA.field("answers")])
        pyarrow.parquet.write_table(
            pyarrow.Table.from_pylist(first, schema=large),
            fixtures / "pages2.parquet",
            compression="zstd",
            data_page_version="2.0",
            use_dictionary=False,
        )
        delta(first, fixtures / "delta.parquet")
        nested = pyarrow.Table.from_pylist(paragraphs(first))
        pyarrow.parquet.write_table(nested, fixtures / "nested.parquet", compression="zstd")
        bombs(ROOT / "crates/trainer/tests/fixtures")
