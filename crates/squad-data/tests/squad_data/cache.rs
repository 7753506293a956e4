//! Windows kept on disk: the same back, anything else noticed.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use squad_data::{
    Answer, CachedFeatures, Example, FeatureCache, QaTokenizer, StrideKind, WindowOptions,
    make_features,
};

use crate::answers::examples;
use crate::common::{example, fixture, small_tokenizer};
use crate::golden::golden;
use crate::real_data::{dataset, tokenizer};

pub(crate) fn options() -> WindowOptions {
    WindowOptions {
        max_seq_length: 40,
        doc_stride: 10,
        ..WindowOptions::default()
    }
}

pub(crate) fn get(folder: &Path, examples: &[Example], options: &WindowOptions) -> CachedFeatures {
    FeatureCache::new(folder)
        .get_or_make(examples, &small_tokenizer(), options)
        .unwrap()
}

/// Questions with and without an answer, of one and of several windows.
pub(crate) fn questions() -> Vec<Example> {
    let mut questions = examples();
    questions.push(example(
        "answered",
        "who?",
        "the cat ate 🙂 the bread",
        "the bread",
    ));
    questions
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn what_was_kept_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    // The folder is made, with those above it.
    let folder = folder.path().join("a/b");
    for stride in [StrideKind::Overlap, StrideKind::Step] {
        let options = WindowOptions {
            stride,
            ..options()
        };
        let made = get(&folder, &questions(), &options);
        assert!(!made.read && made.damage.is_none() && made.not_kept.is_none());
        assert!(
            made.notice().contains("windows made and kept in "),
            "{}",
            made.notice()
        );
        let read = get(&folder, &questions(), &options);
        assert!(read.read && read.damage.is_none(), "{read:?}");
        assert!(
            read.notice().contains("windows read from "),
            "{}",
            read.notice()
        );
        let plain = make_features(&questions(), &small_tokenizer(), &options).unwrap();
        assert!(made.features == plain && read.features == plain);
    }
    assert_eq!(names(&folder).len(), 2, "nothing but the two files");
    assert!(get(&folder, &[], &options()).features.is_empty());
    assert!(get(&folder, &[], &options()).read);
}

/// Everything that windows depend on, and what a user would take for another data set, has a file of its own.
#[test]
fn another_input_is_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut add = |examples: &[Example], tokenizer: &QaTokenizer, options: &WindowOptions| {
        let cached = FeatureCache::new(folder.path())
            .get_or_make(examples, tokenizer, options)
            .unwrap();
        assert!(!cached.read, "{examples:?} {options:?}");
        assert_eq!(
            cached.features,
            make_features(examples, tokenizer, options).unwrap()
        );
        paths.push(cached.path);
    };
    let tokenizer = small_tokenizer();
    let base = [
        example("a", "who?", "the cat ate the bread", "the cat"),
        Example::new("b", "what?", "the king"),
    ];
    add(&base, &tokenizer, &options());
    let changed = |change: &dyn Fn(&mut [Example; 2])| {
        let mut examples = base.clone();
        change(&mut examples);
        examples
    };
    add(&changed(&|e| e.swap(0, 1)), &tokenizer, &options());
    add(&base[..1], &tokenizer, &options());
    add(&changed(&|e| e[1].id = "c".into()), &tokenizer, &options());
    add(
        &changed(&|e| e[1].question = "who?".into()),
        &tokenizer,
        &options(),
    );
    add(
        &changed(&|e| e[1].context = "the queen".into()),
        &tokenizer,
        &options(),
    );
    add(
        &changed(&|e| e[1].context = e[0].context.clone()),
        &tokenizer,
        &options(),
    );
    add(&changed(&|e| e[0].answers.clear()), &tokenizer, &options());
    add(
        &changed(&|e| e[0].answers[0].text = "the".into()),
        &tokenizer,
        &options(),
    );
    add(
        &changed(&|e| e[0].answers[0].start = 12),
        &tokenizer,
        &options(),
    );
    let second = Answer {
        text: "cat".into(),
        start: 4,
    };
    add(
        &changed(&|e| e[0].answers.push(second.clone())),
        &tokenizer,
        &options(),
    );
    // The same characters, cut into fields in another way.
    add(
        &changed(&|e| (e[1].id, e[1].question) = ("bw".into(), "hat?".into())),
        &tokenizer,
        &options(),
    );
    for options in [
        WindowOptions {
            max_seq_length: 41,
            ..options()
        },
        WindowOptions {
            doc_stride: 11,
            ..options()
        },
        WindowOptions {
            stride: StrideKind::Step,
            ..options()
        },
        WindowOptions {
            max_query_length: Some(20),
            ..options()
        },
    ] {
        add(&base, &tokenizer, &options);
    }
    let bytes = std::fs::read(fixture("tokenizer.json")).unwrap();
    let other = [&bytes[..], b"\n"].concat();
    add(
        &base,
        &QaTokenizer::from_bytes("other", &other).unwrap(),
        &options(),
    );
    let count = paths.len();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), count, "no two inputs share a file");

    // What the file is called and how texts are shared in memory is not what windows depend on.
    let renamed = QaTokenizer::from_bytes("renamed", &bytes).unwrap();
    assert_eq!(renamed.content_digest(), tokenizer.content_digest());
    let copied = base.clone().map(|example| Example {
        context: (*example.context).into(),
        ..example
    });
    let cached = FeatureCache::new(folder.path())
        .get_or_make(&copied, &renamed, &options())
        .unwrap();
    assert!(cached.read);
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    for _ in 0..2 {
        let cached = get(&file, &questions(), &options());
        assert!(!cached.read);
        assert_eq!(
            cached.features,
            make_features(&questions(), &small_tokenizer(), &options()).unwrap()
        );
        let error = cached.not_kept.as_ref().unwrap().to_string();
        assert!(
            error.starts_with("cannot write ") && error.contains("file"),
            "{error}"
        );
        assert!(
            cached
                .notice()
                .contains("windows made but not kept: cannot write "),
            "{}",
            cached.notice()
        );
    }
}

#[test]
fn errors_are_those_of_make_features() {
    let folder = tempfile::tempdir().unwrap();
    let cache = FeatureCache::new(folder.path());
    let long = [Example::new("q7", "bread ".repeat(50), "fire")];
    let error = cache
        .get_or_make(&long, &small_tokenizer(), &options())
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        make_features(&long, &small_tokenizer(), &options())
            .unwrap_err()
            .to_string()
    );
    let wrong = WindowOptions {
        max_seq_length: 3,
        ..options()
    };
    assert!(cache.get_or_make(&[], &small_tokenizer(), &wrong).is_err());
    assert!(
        names(folder.path()).is_empty(),
        "nothing is kept of a mistake"
    );
}

/// Windows that change under a version would be read from old files: raise `FeatureCache::VERSION` with this digest.
#[test]
fn windows_change_with_the_version_only() {
    let (examples, settings) = golden();
    let mut hash = Sha256::new();
    for setting in &settings {
        for stride in [StrideKind::Overlap, StrideKind::Step] {
            let (max_seq_length, doc_stride) = (setting.max_seq_length, setting.doc_stride.max(1));
            let options = WindowOptions {
                max_seq_length,
                doc_stride,
                stride,
                ..WindowOptions::default()
            };
            let features = make_features(&examples, &small_tokenizer(), &options).unwrap();
            hash.update(format!("{features:?}"));
        }
    }
    let digest: String = hash.finalize()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!((FeatureCache::VERSION, &*digest), (1, "536f91999bee282b"));
}

/// With `--nocapture` this tells how much time a cache saves.
#[test]
fn real_files_are_read_back() {
    let (Some(dataset), Some(tokenizer)) = (dataset("dev-v2.0"), tokenizer("uncased")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let cache = FeatureCache::new(folder.path());
    let options = WindowOptions::default();
    let timed = || {
        let started = std::time::Instant::now();
        let cached = cache
            .get_or_make(&dataset.examples, &tokenizer, &options)
            .unwrap();
        (cached, started.elapsed().as_secs_f64())
    };
    let (made, making) = timed();
    let (read, reading) = timed();
    assert!(!made.read && read.read);
    assert_eq!(made.features, read.features);
    let bytes = std::fs::metadata(&read.path).unwrap().len();
    eprintln!(
        "dev-v2.0 uncased: made and kept in {making:.2} s, read in {reading:.2} s, {bytes} bytes"
    );
}
