//! `notebooks/05-evaluation.ipynb`; made by `cargo xtask notebooks sync`.

pub fn cells() -> Result<(), Box<dyn std::error::Error>> {
    // Cell 1.
    use notebook_kit::prelude::*;
    // Cell 2.
    let mut table = Table::new(&["prediction", "gold", "normalised", "exact", "F1"]);
    for (prediction, gold) in [
        ("The Norse.", "norse"),
        ("in France", "France"),
        ("10 or 11 centuries", "11 centuries"),
        ("north-west", "north west"),
        ("", "France"),
    ] {
        let (exact, f1) = (exact_match(prediction, gold), decimals(f1(prediction, gold), 3));
        table = table.row(&[&prediction, &gold, &normalize_answer(prediction), &exact, &f1]);
    }
    table;
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
    let tokenizer = pretrained.assets.tokenizer.clone();
    let questions = FeaturizedDataset::new(dev, &tokenizer, &FeatureConfig::default())?;
    let answers = AnswerConfig::default();
    let metric = Metric::Squad;
    let evaluation = evaluate(&pretrained.model, &questions, &answers, metric, &device, &mut |_| {})?;
    &evaluation;
    // Cell 5.
    let curve = threshold_curve(&questions.dataset, &evaluation.predictions, 60)?;
    Lines::new("Scores by threshold", "threshold on the null odds", "percent")
        .line("F1, all", curve.iter().map(|at| (at.threshold, at.f1)))
        .line("F1, with an answer", curve.iter().map(|at| (at.threshold, at.has_answer_f1)))
        .line("correctly not answered", curve.iter().map(|at| (at.threshold, at.no_answer)))
        .mark("0, the usual one", 0.0)
        .draw();
    // Cell 6.
    let best = evaluation.best_f1_threshold.unwrap_or_default();
    let f1_at_best = evaluation.metrics["at_best_f1"]["f1"].as_f64().unwrap_or_default();
    println!("F1 at threshold 0: {:.2}", evaluation.f1);
    println!("F1 at the best threshold, {best:.2}: {f1_at_best:.2}");
    // Cell 7.
    let words = by_question_word(&scored(&questions.dataset, &evaluation.predictions));
    for group in &words {
        println!("{:>6}: {:>3} questions, F1 {:.1}", group.name, group.questions, group.f1);
    }
    Bars::new("F1 by question word").bars(words.iter().map(|g| (g.name.clone(), g.f1))).draw();
    // Cell 8.
    by_answer_length(&scored(&questions.dataset, &evaluation.predictions));
    // Cell 9.
    let index = most_probable_mistake(&questions.dataset, &evaluation.predictions).unwrap();
    let span = evaluation.predictions[index].best_span.clone().unwrap();
    println!("probability {:.2}, best span: {:?}", span.probability, span.text);
    highlight_answer(&questions.dataset.examples[index], Some(span.chars.clone()));
    // Cell 10.
    finished("05-evaluation");
    Ok(())
}
