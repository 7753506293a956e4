use std::path::Path;

use trainer::Config;

use crate::support::workspace;

#[test]
fn every_configuration_of_the_repository_resolves() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(workspace("configs")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let config = Config::resolve(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
        let has_dev_file = config.dev.file != Path::new("");
        assert!(!config.train.files.is_empty() && (has_dev_file || config.train.split > 0.0));
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
    for file in config.train.files.iter().chain([&config.dev.file]) {
        assert!(
            workspace(&file.to_string_lossy()).is_file(),
            "{}",
            file.display()
        );
    }
}
