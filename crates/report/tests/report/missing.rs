//! The page of a run with missing or damaged files.

use crate::{CONTEXT, Sandbox, part, report, section};

#[test]
fn an_unfinished_run_shows_its_curves_so_far() {
    let sandbox = Sandbox::new();
    std::fs::remove_file(sandbox.path("run/metrics.json")).unwrap();
    std::fs::remove_dir_all(sandbox.path("run/eval")).unwrap();
    // A process that was killed while it wrote a line.
    let curves = sandbox.text("run/metrics.jsonl") + "{\"step\": 4, \"ep";
    sandbox.write("run/metrics.jsonl", &curves);
    let page = report(&sandbox);
    assert!(page.contains("unfinished: step 3, epoch 1"));
    assert!(page.contains("writes its answers when it ends"));
    assert!(part(&page, "scores").contains("<td>44.4444</td>"));
    assert_eq!(page.matches("<svg").count(), 4);
    assert!(!page.contains("<article"));

    std::fs::remove_file(sandbox.path("run/metrics.jsonl")).unwrap();
    let page = report(&sandbox);
    assert!(page.contains("no step made yet") && !page.contains("<svg"));
}

#[test]
fn a_missing_evaluation_set_is_reported_in_one_line() {
    let sandbox = Sandbox::new();
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
        if index == 0 {
            assert!(report(&sandbox).contains("“in Rome”"));
        } else {
            says("is not what this run answered");
        }
    }
    sandbox.write("pies.json", "{");
    says("line 1");
    std::fs::remove_file(sandbox.path("pies.json")).unwrap();
    says("pies.json");
    sandbox.write("pies.json", &dataset);
    assert_eq!(report(&sandbox), whole);
}

#[test]
fn damage_is_an_error_of_one_line_that_names_the_file() {
    let sandbox = Sandbox::new();
    let fails = |parts: &[&str]| {
        let error = sandbox.try_report().unwrap_err().to_string();
        let has_all = parts.iter().all(|part| error.contains(part));
        assert!(has_all && error.lines().count() == 1, "{parts:?} {error}");
        assert!(!sandbox.path("run/report.html").exists());
    };
    let damaged = |name: &str, text: &str, part: &str| {
        let before = sandbox.text(name);
        sandbox.write(name, text);
        fails(&[name, part]);
        sandbox.write(name, &before);
    };
    let log = sandbox.text("run/metrics.jsonl");
    let (first, rest) = log.split_once('\n').unwrap();
    for line in ["{\"st", "", "[]"] {
        damaged(
            "run/metrics.jsonl",
            &format!("{first}\n{line}\n{rest}"),
            "line 2",
        );
    }
    damaged("run/metrics.json", "{\n\"eval\"", "line 2");
    damaged("run/eval/nbest.json", "{\"q1\": 5}", "line 1");
    std::fs::remove_file(sandbox.path("run/eval/null_odds.json")).unwrap();
    fails(&["run/eval/null_odds.json", "missing"]);
}

/// Charts with axes without end, or without a number between two others, once took for ever.
#[test]
fn absurd_figures_give_a_page() {
    let figures = [
        1e308,
        -1e308,
        1e-320,
        f64::MIN_POSITIVE,
        9_007_199_254_740_993.0,
        1e20,
        0.0,
    ];
    let names = [
        "train/loss",
        "train/learning_rate",
        "train/grad_norm",
        "train/features_per_second",
    ];
    let scores = ["loss", "f1", "exact"];
    let lines = |steps: &[u32], figures: &[f64]| -> String {
        let record = |(step, figure): (&u32, &f64)| {
            let step_figures = names
                .map(|name| format!("\"{name}\": {figure:e}"))
                .join(", ");
            let of = |prefix: &str| scores.map(|name| format!("\"{prefix}{name}\": {figure:e}"));
            let (eval, epoch) = (of("eval/").join(", "), of("epoch/eval_").join(", "));
            format!(
                "{{\"step\": {step}, \"epoch\": 1, {step_figures}}}\n\
                 {{\"evaluation\": {step}, \"step\": {step}, \"epoch\": 1, {eval}}}\n\
                 {{\"epoch_end\": {step}, \"step\": {step}, \"epoch/train_loss\": {figure:e}, {epoch}}}\n"
            )
        };
        let pairs = steps.iter().cycle().zip(figures);
        pairs.map(record).collect()
    };
    for steps in [&[0, u32::MAX][..], &[u32::MAX], &[1, 2, 3]] {
        let each = figures.iter().map(std::slice::from_ref);
        for figures in each.chain([&figures[..]]) {
            let sandbox = Sandbox::new();
            sandbox.write("run/metrics.jsonl", &lines(steps, figures));
            let (done, receiver) = std::sync::mpsc::channel();
            std::thread::spawn(move || done.send(report(&sandbox)));
            let minute = std::time::Duration::from_secs(60);
            let page = receiver.recv_timeout(minute);
            let page = page.unwrap_or_else(|_| panic!("no page of {steps:?} {figures:?}"));
            assert!(!page.contains("NaN"), "{steps:?} {figures:?}");
        }
    }
}
