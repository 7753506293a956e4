use std::path::Path;

use trainer::Config;

use crate::support::{HOST_DEVICE, Sandbox, workspace};

#[test]
fn every_configuration_of_the_repository_resolves() {
    let mut names = Vec::new();
    let files = ["configs", "configs/reproductions"]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(workspace(folder)).unwrap());
    for entry in files {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let config = Config::resolve(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
        let has_eval_file = config.eval.file != Path::new("");
        assert!(
            !config.train.files.is_empty() && (has_eval_file || config.train.train_fraction > 0.0)
        );
        names.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    for name in [
        "quickstart",
        "a100-baseline",
        "a100-single",
        "a100-ddp",
        "a100-fsdp",
        "distilbert-subset",
        "squad2-full",
        "laptop-distilbert",
    ] {
        assert!(
            names.contains(&format!("{name}.toml")),
            "{name} in {names:?}"
        );
    }
}

#[test]
fn the_quick_start_needs_only_the_repository() {
    let config = Config::resolve(&workspace("configs/quickstart.toml"), &[]).unwrap();
    for file in config.train.files.iter().chain([&config.eval.file]) {
        assert!(workspace(file).is_file(), "{}", file.display());
    }
}

#[test]
fn the_settings_of_the_quick_start_are_there_without_the_repository() {
    let file = workspace("configs/quickstart.toml");
    let resolved = Config::resolve(&file, &[]).unwrap();
    assert_eq!(Config::quick_start(&[]).unwrap(), resolved);
    // A folder without `configs/`.
    let sandbox = Sandbox::new();
    sandbox
        .command(&[])
        .mistake(&["the quick start's questions are in the repository"]);
    sandbox
        .command(&["train.files=train.json"])
        .mistake(&["give train.files=FILE and eval.file=FILE"]);
    let questions = ["train.files=train.json", "eval.file=dev.json"];
    let more = [
        "model.source=./encoder",
        "train.max_steps=1",
        "run.threads=1",
        HOST_DEVICE,
    ];
    sandbox.command(&[&questions[..], &more].concat()).success();
    let table: toml::Table = sandbox.text("runs/quickstart/config.toml").parse().unwrap();
    assert_eq!(table["train"]["learning_rate"].as_float(), Some(2e-4));
}

/// The settings of a section as a Markdown table: key, default, doc comment.
fn table(section: &str, source: &str, defaults: &toml::Table) -> String {
    let mut table = "| key | default | meaning |\n|---|---|---|\n".to_owned();
    let body = source.split_once(&format!("/// `[{section}]`")).unwrap().1;
    let body = body
        .split_once(" {\n")
        .unwrap()
        .1
        .split_once("\n}")
        .unwrap()
        .0;
    let mut meaning = Vec::new();
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            meaning.push(text);
        } else if let Some((key, _)) = line.strip_prefix("pub ").and_then(|l| l.split_once(':')) {
            let default = match &defaults[key] {
                toml::Value::Float(default) => format!("{default:?}"),
                default => default.to_string(),
            };
            let text = meaning.join(" ");
            table += &format!("| `{key}` | `{default}` | {text} |\n");
            meaning.clear();
        }
    }
    table
}

/// `UPDATE_DOCS=1 cargo test …` writes the tables into the document.
#[test]
fn the_tables_of_training_md_are_the_doc_comments_of_the_settings() {
    let path = workspace("docs/training.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let defaults: toml::Table = Config::default().to_toml().parse().unwrap();
    let source = concat!(
        include_str!("../../src/config/mod.rs"),
        include_str!("../../src/config/train.rs"),
        include_str!("../../src/config/distributed.rs"),
    );
    let mut expected = document.clone();
    for (section, defaults) in &defaults {
        let heading = format!("### `[{section}]`\n\n");
        let (before, rest) = expected.split_once(&heading).unwrap();
        let is_table = |line: &&str| line.starts_with('|');
        let old: usize = rest
            .split_inclusive('\n')
            .take_while(is_table)
            .map(str::len)
            .sum();
        let table = table(section, source, defaults.as_table().unwrap());
        expected = [before, &heading, &table, &rest[old..]].concat();
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    assert!(
        document == expected || std::env::var_os("UPDATE_DOCS").is_some(),
        "docs/training.md: the tables are not those of the settings; UPDATE_DOCS=1 writes them"
    );
}
