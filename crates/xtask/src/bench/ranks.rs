//! How much memory a process needs, of one, two and four that train together.

use std::path::Path;

use serde_json::Value;

use super::machine::Circumstances;
use super::options::Options;
use super::place::{Place, cargo, target};
use super::plot::{self, Panel};
use super::table::markdown;
use super::{doc, process};
use crate::root;

/// Names with the settings that they stand for.
pub(super) const WAYS: [(&str, &[&str]); 3] = [
    ("ddp", &["distributed.strategy=ddp"]),
    (
        "fsdp, grad_op",
        &[
            "distributed.strategy=fsdp",
            "distributed.sharding_strategy=shard_grad_op",
        ],
    ),
    ("fsdp, full", &["distributed.strategy=fsdp"]),
];

/// Short windows, one to a process, so that there is little beside the model; no checkpoint, which needs it whole.
const SETTINGS: [&str; 9] = [
    "model.init=random",
    "features.max_seq_length=64",
    "features.doc_stride=16",
    "train.per_device_train_batch_size=1",
    "train.max_steps=4",
    "train.max_train_samples=40",
    "eval.max_eval_samples=2",
    "checkpoints.every_epochs=0",
    "run.threads=1",
];

/// MiB of rank 0, counted and expected.
struct Memory {
    way: &'static str,
    processes: usize,
    /// Parameters and moments, which stay from step to step.
    kept: [f64; 2],
    /// The most at any moment of a step.
    most: [f64; 2],
}

/// `cargo xtask bench ranks`.
pub(super) fn run(options: &Options) -> Result<(), String> {
    let circumstances = Circumstances::now();
    let place = Place::find(options, "", "train.json")?;
    let example = ["--features", "mpi", "--example", "rank_memory"];
    process::run(cargo().args(["build", "-p", "trainer"]).args(example))?;
    let mut found = Vec::new();
    for (way, settings) in WAYS {
        for processes in [1, 2, 4] {
            eprintln!("{way}, {processes}");
            let counted = count(&place.model, processes, settings)?;
            found.push(memory(way, processes, counted, &Sizes::of(&place.config)));
        }
    }
    let picture = match options.doc {
        true => root().join("docs/images/rank-memory.svg"),
        false => place.scratch.join("rank-memory.svg"),
    };
    plot::draw(&panels(&found), &picture)?;
    eprintln!("{}", picture.display());
    let what = format!(
        "Shape {} with random weights on ndarray, windows of 64 tokens, one to a process.",
        options.shape
    );
    let text = format!(
        "![Memory of a process over processes](images/rank-memory.svg)\n\n{}\n{}",
        table(&found),
        circumstances.markdown(&what)
    );
    doc::publish_in("docs/distributed.md", "ranks", &text, options.doc)
}

/// MiB between steps and at most, of rank 0.
fn count(model: &Path, processes: usize, settings: &[&str]) -> Result<[f64; 2], String> {
    let mut command = process::mpirun(processes);
    command.arg(target().join("debug/examples/rank_memory"));
    command.arg(root().join("configs/quickstart.toml"));
    command.arg(format!("model.source={}", model.display()));
    let finished = process::run(command.args(SETTINGS).args(settings).current_dir(root()))?;
    let line = finished.stdout.trim();
    let numbers: Vec<f64> = line.split(' ').filter_map(|n| n.parse().ok()).collect();
    match numbers[..] {
        [_, kept, most] => Ok([kept, most]),
        _ => Err(format!("rank_memory said: {line}")),
    }
}

/// MiB of parameters.
pub(super) struct Sizes {
    pub(super) all: f64,
    /// Of the embeddings, the largest unit.
    pub(super) largest: f64,
}

impl Sizes {
    pub(super) fn of(config: &Value) -> Self {
        let value = |key: &str| config[key].as_f64().unwrap_or(f64::NAN);
        let (hidden, inner) = (value("hidden_size"), value("intermediate_size"));
        let rows =
            value("vocab_size") + value("max_position_embeddings") + value("type_vocab_size");
        let embeddings = rows * hidden + 2.0 * hidden;
        let attention = 4.0 * (hidden * hidden + hidden);
        let layer = attention + 2.0 * hidden * inner + inner + hidden + 4.0 * hidden;
        let head = 2.0 * hidden + 2.0;
        let mib = |parameters: f64| parameters * 4.0 / f64::from(1 << 20);
        Self {
            all: mib(embeddings + value("num_hidden_layers") * layer + head),
            largest: mib(embeddings),
        }
    }
}

/// Expected are parameters, two moments and gradients, divided as the way says; and the largest unit's gradient where
/// gradients are divided, its parameters where they are.
fn memory(way: &'static str, processes: usize, [kept, most]: [f64; 2], sizes: &Sizes) -> Memory {
    let Sizes { all, largest } = sizes;
    let part = all / processes as f64;
    let [expected_kept, expected_most] = match (way, processes) {
        (_, 1) | ("ddp", _) => [3.0 * all, 4.0 * all],
        ("fsdp, full", _) => [3.0 * part, 4.0 * part + 2.0 * largest],
        _ => [all + 2.0 * part, all + 3.0 * part + largest],
    };
    Memory {
        way,
        processes,
        kept: [kept, expected_kept],
        most: [most, expected_most],
    }
}

fn table(found: &[Memory]) -> String {
    let head = [
        "strategy",
        "processes",
        "MiB between steps",
        "expected",
        "most MiB in a step",
        "expected",
    ];
    let mut rows = vec![head.map(String::from).to_vec()];
    for memory in found {
        let numbers = [memory.kept, memory.most].concat();
        let name = [memory.way.to_owned(), memory.processes.to_string()];
        let numbers = numbers.iter().map(|mib| format!("{mib:.0}"));
        rows.push(name.into_iter().chain(numbers).collect());
    }
    markdown(&rows)
}

fn panels(found: &[Memory]) -> Vec<Panel> {
    let panel = |title: &str, figure: fn(&Memory) -> f64| {
        let line = |(way, _): (&str, _)| {
            let of_way = found.iter().filter(|memory| memory.way == way);
            let points = of_way.map(|memory| (memory.processes as f64, figure(memory)));
            (way.to_owned(), points.collect())
        };
        Panel::falling(title, WAYS.map(line).into())
    };
    vec![
        panel("MiB of a process between steps", |memory| memory.kept[0]),
        panel("most MiB of a process in a step", |memory| memory.most[0]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::place::read;

    #[test]
    fn bert_base_has_its_size_and_what_is_divided_shrinks() {
        let config = read(&root().join("configs/shapes/bert-base-uncased/config.json")).unwrap();
        let sizes = Sizes::of(&config);
        // 108,893,186 parameters: BERT-base without its pooler, and the span head.
        assert_eq!((sizes.all * f64::from(1 << 18)).round(), 108_893_186.0);
        let expected = |way, processes| memory(way, processes, [0.0; 2], &sizes).most[1];
        assert_eq!(expected("ddp", 4), expected("ddp", 1));
        assert!(expected("fsdp, full", 4) < expected("fsdp, grad_op", 4));
        assert!(expected("fsdp, grad_op", 4) < expected("fsdp, grad_op", 2));
    }

    #[test]
    fn a_row_and_a_point_for_each_number_of_processes() {
        let sizes = Sizes {
            all: 400.0,
            largest: 100.0,
        };
        let found: Vec<_> = [1, 2].map(|n| memory("ddp", n, [1.0, 2.0], &sizes)).into();
        assert!(table(&found).ends_with("| ddp | 2 | 1 | 1200 | 2 | 1600 |\n"));
        assert_eq!(panels(&found).len(), 2);
    }
}
