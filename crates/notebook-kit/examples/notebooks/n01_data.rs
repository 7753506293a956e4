//! `notebooks/01-data.ipynb`; made by `cargo xtask notebooks sync`.

pub fn cells() -> Result<(), Box<dyn std::error::Error>> {
    // Cell 1.
    use notebook_kit::prelude::*;
    // Cell 2.
    let all = datasets()?;
    &all;
    // Cell 3.
    let (train, dev) = sample()?;
    let example = train.examples[0].clone();
    println!("answer_start = {}", example.answers()[0].start.unwrap());
    &example;
    // Cell 4.
    let unanswerable = train.examples.iter().find(|e| e.is_impossible()).unwrap().clone();
    &unanswerable;
    // Cell 5.
    fn words(text: &str) -> f64 {
        text.split_whitespace().count() as f64
    }
    let _ = {
        let contexts = train.examples.iter().map(|e| words(&e.context));
        let answers = train.examples.iter().flat_map(|e| e.answers()).map(|a| words(&a.text));
        side_by_side(&[
            histogram("Contexts of the sample", "words", contexts, 20),
            histogram("Gold answers of the sample", "words", answers, 12),
        ])
    };
    // Cell 6.
    let mut places = Vec::<f64>::new();
    for e in train.examples.iter().filter(|e| !e.answers().is_empty()) {
        places.push(e.answers()[0].start.unwrap() as f64 / e.context.chars().count() as f64);
    }
    histogram("Where the answer begins", "share of the context before it", places.clone(), 20);
    // Cell 7.
    let mut counts = std::collections::BTreeMap::<String, f64>::new();
    for e in &train.examples {
        let first = e.question.split_whitespace().next().unwrap_or_default();
        *counts.entry(first.to_lowercase()).or_default() += 1.0;
    }
    let mut counts: Vec<(String, f64)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.total_cmp(&a.1));
    counts.truncate(12);
    Bars::new("First words of the questions").bars(counts.clone()).draw();
    // Cell 8.
    let several = dev.examples.iter().find(|e| e.answers().len() > 1).unwrap().clone();
    &several;
    // Cell 9.
    let (left, right) = train.clone().split(0.8, 0)?;
    let _ = {
        let seen: std::collections::HashSet<_> = left.examples.iter().map(|e| &e.context).collect();
        let shared = right.examples.iter().filter(|e| seen.contains(&e.context)).count();
        let apart = dev.examples.iter().filter(|e| seen.contains(&e.context)).count();
        println!("of {} questions to score, {shared} are about a paragraph trained on", right.len());
        println!("of {} questions in the dev file, {apart}", dev.len());
    };
    // Cell 10.
    finished("01-data");
    Ok(())
}
