use std::path::Path;

use trainer::Config;

use crate::support::workspace;

#[test]
fn every_configuration_of_the_repository_resolves() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(workspace("configs")).unwrap() {
        let path = entry.unwrap().path();
        let config = Config::resolve(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
        assert!(!config.train.files.is_empty() && config.dev.file != Path::new(""));
        names.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    assert!(names.contains(&"quickstart.toml".to_owned()), "{names:?}");
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
