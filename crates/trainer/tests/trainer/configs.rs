use std::path::Path;

use trainer::Config;

use crate::support::workspace;

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
fn the_quick_start_needs_nothing_that_is_not_in_the_repository() {
    let config = Config::resolve(&workspace("configs/quickstart.toml"), &[]).unwrap();
    for file in config.train.files.iter().chain([&config.eval.file]) {
        assert!(
            workspace(&file.to_string_lossy()).is_file(),
            "{}",
            file.display()
        );
    }
}
