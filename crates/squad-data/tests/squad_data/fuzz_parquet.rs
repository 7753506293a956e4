//! Damaged Parquet files, as in `fuzz.rs`; the decoder's panics are counted and must not get out.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Once};

use parquet::basic::Compression;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use squad_data::{Dataset, PARQUET_THREAD};

use crate::forms::read;
use crate::fuzz::{GOOD, check, config, damaged, edits};
use crate::tables::{Column, HUB, Values, columns, file};

/// Panics of the decoder that no user sees.
static CAUGHT: AtomicUsize = AtomicUsize::new(0);

/// As programs do that read Parquet: the decoder's panics are counted here and printed nowhere.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() == Some(PARQUET_THREAD) {
                CAUGHT.fetch_add(1, Ordering::Relaxed);
            } else {
                previous(info);
            }
        }));
    });
}

fn good(compression: Compression) -> Vec<u8> {
    let examples = Dataset::from_json("good.json", GOOD.as_bytes())
        .unwrap()
        .examples;
    let (first, second) = examples.split_at(1);
    file(HUB, &[columns(first), columns(second)], compression)
}

static FILES: LazyLock<[Vec<u8>; 4]> = LazyLock::new(|| {
    quiet();
    let fixture = |name| std::fs::read(crate::common::fixture(name)).unwrap();
    [
        good(Compression::SNAPPY),
        good(Compression::UNCOMPRESSED),
        fixture("hub.parquet"),
        fixture("plain.parquet"),
    ]
});

#[test]
fn damaged_parquet() {
    let mut runner = TestRunner::new(config(1000));
    let run = runner.run(&(0..4usize, edits()), |(which, edits)| {
        check(read("f.parquet", &damaged(&FILES[which], edits)))
    });
    run.unwrap();
}

/// The bytes of pages in files that are not compressed, which nothing but the decoder looks at.
#[test]
fn damaged_pages() {
    let mut runner = TestRunner::new(config(1000));
    let bytes = prop::collection::vec((any::<Index>(), any::<u8>()), 1..4);
    let files = prop::sample::select(vec![1, 3]);
    let run = runner.run(&(files, bytes), |(which, changes)| {
        let mut bytes = FILES[which].clone();
        let pages = bytes.len() * 3 / 4;
        for (at, byte) in changes {
            bytes[at.index(pages)] = byte;
        }
        check(read("f.parquet", &bytes))
    });
    run.unwrap();
    eprintln!(
        "{} panics of the decoder were caught",
        CAUGHT.load(Ordering::Relaxed)
    );
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn other_values_in_parquet(texts in prop::collection::vec(any::<String>(), 5), start in any::<i32>(), empty in any::<bool>()) {
        let mut columns = columns(&Dataset::from_json("good.json", GOOD.as_bytes()).unwrap().examples[..1]);
        for (column, text) in columns.iter_mut().zip(&texts) {
            column.values = Values::Texts(vec![text.clone()]);
        }
        columns[5].values = Values::Int32(vec![start]);
        if empty {
            for column in &mut columns[4..] {
                *column = Column { values: Values::Texts(vec![]), definitions: vec![2], repetitions: vec![0] };
            }
            columns[5].values = Values::Int32(vec![]);
        }
        check(read("f.parquet", &file(HUB, &[columns], Compression::SNAPPY)))?;
    }
}
