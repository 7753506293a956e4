//! What becomes of the page where something is missing or damaged.

use super::{CONTEXT, part, report, section, written};

#[test]
fn an_unfinished_run_shows_its_curves_so_far() {
    let sandbox = written();
    std::fs::remove_file(sandbox.path("run/metrics.json")).unwrap();
    std::fs::remove_dir_all(sandbox.path("run/eval")).unwrap();
    // A process that was killed while it wrote a line.
    let curves = sandbox.text("run/metrics.jsonl") + "{\"step\": 4, \"ep";
    sandbox.write("run/metrics.jsonl", &curves);
    let page = report(&sandbox);
    assert!(page.contains("unfinished: step 3, epoch 1"));
    assert!(page.contains("has not written its answers yet"));
    assert!(part(&page, "scores").contains("<td>44.4444</td>"));
    assert_eq!(page.matches("<svg").count(), 4);
    assert!(!page.contains("<article"));

    std::fs::remove_file(sandbox.path("run/metrics.jsonl")).unwrap();
    let page = report(&sandbox);
    assert!(page.contains("no step made yet") && !page.contains("<svg"));
}

#[test]
fn without_its_dev_set_a_page_says_so_in_a_line() {
    let sandbox = written();
    let whole = report(&sandbox);
    let dataset = sandbox.text("pies.json");
    let says = |why: &str| {
        let page = report(&sandbox);
        let line = section(&page, "Questions and contexts are missing: ", "</p>");
        assert!(line.contains("pies.json") && line.contains(why), "{line}");
        assert!(!page.contains("<article") && !page.contains("id=\"errors\""));
        assert_eq!(part(&page, "scores"), part(&whole, "scores"));
        assert_eq!(part(&page, "curves"), part(&whole, "curves"));
    };
    let changed = [
        // Another gold answer, so another score; another place; another question.
        dataset
            .replace("\"text\":\"Rome\"", "\"text\":\"in Rome\"")
            .replace(
                &format!("\"answer_start\":{}", CONTEXT.find("Rome").unwrap()),
                &format!("\"answer_start\":{}", CONTEXT.find("in Rome").unwrap()),
            ),
        dataset.replace("\"id\":\"q3\"", "\"id\":\"q9\""),
        dataset.replace("it in Rome.", "it all in Rome. ").replace(
            &format!("\"answer_start\":{}", CONTEXT.find("Rome").unwrap()),
            &format!("\"answer_start\":{}", CONTEXT.find("Rome").unwrap() + 4),
        ),
    ];
    for (index, text) in changed.iter().enumerate() {
        assert_ne!(*text, dataset);
        sandbox.write("pies.json", text);
        // The first change moves no score: the answer was wrong before, and stays so.
        match index {
            0 => assert!(report(&sandbox).contains("“in Rome”")),
            _ => says("is not what this run answered"),
        }
    }
    sandbox.write("pies.json", "{");
    says("line 1");
    std::fs::remove_file(sandbox.path("pies.json")).unwrap();
    says("pies.json");
    sandbox.write("pies.json", &dataset);
    assert_eq!(report(&sandbox), whole);
    // The training files are not needed.
    std::fs::remove_file(sandbox.path("train.json")).unwrap();
    assert_eq!(report(&sandbox), whole);
}

#[test]
fn damage_is_one_line_that_names_the_file() {
    let sandbox = written();
    let damaged = |name: &str, text: &str, parts: &[&str]| {
        let before = sandbox.text(name);
        sandbox.write(name, text);
        let finished = sandbox.command(&["report", "run"]);
        finished.mistake(&[&[name], parts].concat());
        assert!(!sandbox.path("run/report.html").exists());
        sandbox.write(name, &before);
    };
    let curves = sandbox.text("run/metrics.jsonl");
    let (first, rest) = curves.split_once('\n').unwrap();
    damaged(
        "run/metrics.jsonl",
        &format!("{first}\n{{\"st\n{rest}"),
        &["line 2"],
    );
    damaged(
        "run/metrics.jsonl",
        &format!("{first}\n\n{rest}"),
        &["line 2"],
    );
    damaged(
        "run/metrics.jsonl",
        &format!("{first}\n[]\n"),
        &["line 2", "object"],
    );
    damaged("run/metrics.json", "{\n\"eval\"", &["line 2"]);
    damaged("run/eval/nbest.json", "{\"q1\": 5}", &["line 1"]);
    let config = sandbox.text("run/config.toml") + "train.epoch = 1\n";
    damaged("run/config.toml", &config, &["train.epoch"]);
    std::fs::remove_file(sandbox.path("run/eval/null_odds.json")).unwrap();
    let finished = sandbox.command(&["report", "run"]);
    finished.mistake(&["run/eval/null_odds.json", "missing"]);

    for folder in ["none", "encoder", "dev.json"] {
        let finished = sandbox.command(&["report", folder]);
        finished.mistake(&[folder, "is no run's folder"]);
    }
    let sandbox = written();
    let finished = sandbox.command(&["report", "run", "--out=none/page.html"]);
    finished.mistake(&["none/page.html"]);
}
