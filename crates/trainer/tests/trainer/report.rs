//! `trainer report`: the command, and the page of a trained run. The crate `report` tests the page itself.

use crate::support::Sandbox;

/// The page that the command writes.
fn report(sandbox: &Sandbox) -> String {
    let finished = sandbox.command(&["report", "run"]);
    let output = (finished.code, &*finished.stdout, &*finished.stderr);
    assert_eq!(output, (Some(0), "run/report.html\n", ""));
    sandbox.text("run/report.html")
}

fn section<'a>(page: &'a str, id: &str) -> &'a str {
    let (_, rest) = page
        .split_once(&format!("<section id=\"{id}\">"))
        .unwrap_or_else(|| panic!("no section {id}"));
    rest.split_once("</section>").unwrap().0
}

#[test]
fn the_page_of_a_trained_run_has_every_section() {
    let sandbox = Sandbox::new();
    let settings = [
        "train.num_train_epochs=2",
        "train.per_device_train_batch_size=5",
        "eval.every_steps=3",
    ];
    let trained = sandbox.train("run", &settings);
    let page = report(&sandbox);
    let scores = section(&page, "scores");
    for (key, value) in trained.metrics["eval"].as_object().unwrap() {
        // The scores at the best threshold are a table of their own.
        if value.is_object() {
            continue;
        }
        let digits = if key.ends_with("total") { 0 } else { 4 };
        let value = format!("{:.digits$}", value.as_f64().unwrap());
        let row = format!("<th scope=\"row\">{key}</th><td>{value}</td>");
        assert!(scores.contains(&row), "{row} is not in {scores}");
    }
    let loss = trained.metrics["train_loss"].as_f64().unwrap();
    assert!(section(&page, "epochs").contains(&format!("<td>{loss:.4}</td>")));
    assert_eq!(page.matches("<svg").count(), 6);
    for id in ["errors", "lengths", "answers", "environment"] {
        assert!(section(&page, id).len() > 200, "{id}");
    }
    let configuration = section(&page, "configuration");
    for row in [
        "<tr class=\"best\"><th scope=\"row\">eval.every_steps</th><td>3</td>",
        "<tr class=\"\"><th scope=\"row\">train.seed</th>",
    ] {
        assert!(
            configuration.contains(row),
            "{row} is not in {configuration}"
        );
    }
    let elsewhere = sandbox.command(&["report", "run/", "--out=page.html"]);
    assert_eq!(elsewhere.stdout, "page.html\n", "{elsewhere:?}");
    assert_eq!(
        sandbox.text("page.html"),
        page,
        "equal folders give equal pages"
    );

    // A set of its own does not need the training files.
    std::fs::remove_file(sandbox.path("train.json")).unwrap();
    assert_eq!(report(&sandbox), page);
    std::fs::remove_file(sandbox.path("dev.json")).unwrap();
    let page = report(&sandbox);
    assert!(page.contains("Questions and contexts are missing: ") && page.contains("dev.json"));
}

#[test]
fn an_evaluation_set_split_from_the_training_files_is_found_again() {
    let sandbox = Sandbox::new();
    let settings = [
        "train.num_train_epochs=1",
        "eval.file=",
        "train.train_fraction=0.75",
        "train.seed=3",
    ];
    sandbox.train("run", &settings);
    let page = report(&sandbox);
    assert!(page.contains("<dt>Questions scored</dt><dd>6</dd>"));
    assert!(page.contains("<article"));
}

#[test]
fn errors_are_one_line_with_file_and_cause() {
    let sandbox = Sandbox::new();
    for folder in ["none", "encoder", "dev.json"] {
        let finished = sandbox.command(&["report", folder]);
        finished.mistake(&[folder, "is not a run folder"]);
    }
    std::fs::create_dir(sandbox.path("run")).unwrap();
    let config = sandbox.text("config.toml");
    sandbox.write("run/config.toml", &(config.clone() + "train.epoch = 1\n"));
    let finished = sandbox.command(&["report", "run"]);
    finished.mistake(&["run/config.toml", "train.epoch"]);
    sandbox.write("run/config.toml", &config);
    sandbox.write("run/metrics.jsonl", "{\"step\": 1, \"epoch\": 1}\n{\"st\n");
    let finished = sandbox.command(&["report", "run"]);
    finished.mistake(&["run/metrics.jsonl", "line 2"]);
    sandbox.write("run/metrics.jsonl", "");
    let finished = sandbox.command(&["report", "run", "--out=none/page.html"]);
    finished.mistake(&["none/page.html"]);
}
