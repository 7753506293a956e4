//! `notebooks/05-evaluation.ipynb`; made by `cargo xtask notebooks sync`.

pub fn cells() -> Result<(), Box<dyn std::error::Error>> {
    // Cell 1.
    use notebook_kit::prelude::*;
    // Cell 2.
    let pairs = [
        ("The Norse.", "norse"),
        ("in France", "France"),
        ("10 or 11 centuries", "11 centuries"),
        ("north-west", "north west"),
        ("", "France"),
    ];
    let rows = pairs.map(|(prediction, gold)| {
        let (exact, f1) = (exact_match(prediction, gold), f1(prediction, gold));
        [prediction.to_string(), gold.to_string(), normalize_answer(prediction), exact.to_string(), decimals(f1, 3)]
    });
    Table::new(&["prediction", "gold", "normalised", "exact", "F1"]).rows(rows);
    // Cell 3.
    let (precision, recall) = (2.0 / 4.0, 2.0 / 2.0);
    let by_hand = 2.0 * precision * recall / (precision + recall);
    assert_eq!(by_hand, f1("10 or 11 centuries", "11 centuries"));
    println!("F1 = {by_hand:.3}; with several gold answers the best counts:");
    println!("{:.3}", max_f1("10 or 11 centuries", &["11 centuries", "10 or 11"]));
    // Cell 4.
    let device = device()?;
    let pretrained = Pretrained::load(&trained_model()?, 0, &device)?;
    let (train, dev) = sample()?;
    let questions = Questions::new(dev, &pretrained.companions.tokenizer, &WindowConfig::default())?;
    let answers = AnswerConfig::default();
    let evaluation = evaluate(&pretrained.model, &questions, &answers, &device, &mut |_| {})?;
    &evaluation;
    // Cell 5.
    let curve = threshold_curve(&questions.dataset, &evaluation.predictions, 60)?;
    let of = |figure: fn(&AtThreshold) -> f64| curve.iter().map(move |at| (at.threshold, figure(at)));
    Lines::new("Scores by threshold", "threshold on the null odds", "percent")
        .line("F1, all", of(|at| at.f1))
        .line("F1, with an answer", of(|at| at.has_answer_f1))
        .line("rightly not answered", of(|at| at.no_answer))
        .mark("0, the usual one", 0.0)
        .draw();
    // Cell 6.
    let best = evaluation.best_f1_threshold.unwrap_or_default();
    let f1_at_best = evaluation.metrics["at_best_f1"]["f1"].as_f64().unwrap_or_default();
    println!("F1 at threshold 0: {:.2}", evaluation.f1);
    println!("F1 at the best threshold, {best:.2}: {f1_at_best:.2}");
    // Cell 7.
    let scores = scored(&questions.dataset, &evaluation.predictions);
    let groups = by_question_word(&scores);
    Bars::new("F1 by question word").bars(groups.iter().map(|g| (g.name.clone(), g.f1))).draw();
    // Cell 8.
    by_question_word(&scored(&questions.dataset, &evaluation.predictions));
    // Cell 9.
    by_answer_length(&scored(&questions.dataset, &evaluation.predictions));
    // Cell 10.
    let scores = scored(&questions.dataset, &evaluation.predictions);
    let mut wrong: Vec<(f32, usize)> = Vec::new();
    for (index, score) in scores.iter().enumerate().filter(|(_, score)| score.f1 == 0.0) {
        let span = evaluation.predictions[index].best_span.as_ref();
        wrong.push((span.map_or(0.0, |span| span.probability), index));
    }
    wrong.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (probability, index) = wrong[0];
    println!("probability {probability:.2}, answered: {:?}", evaluation.predictions[index].text);
    let span = evaluation.predictions[index].best_span.as_ref().map(|span| span.chars.clone());
    highlight_answer(&questions.dataset.examples[index], span);
    // Cell 11.
    finished("05-evaluation");
    Ok(())
}
