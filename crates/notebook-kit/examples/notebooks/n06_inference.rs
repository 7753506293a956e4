//! `notebooks/06-inference.ipynb`; made by `cargo xtask notebooks sync`.

pub fn cells() -> Result<(), Box<dyn std::error::Error>> {
    // Cell 1.
    use notebook_kit::prelude::*;
    // Cell 2.
    let device = device()?;
    let model = trained_model()?;
    let source = model.display().to_string();
    let answerer = QuestionAnswerer::from_pretrained(&source, &device)?.with_top_k(5);
    let text: &'static str = "The stone bridge over the Lysna was built by Ane Holm in 1871. It has \
        seven arches and is 214 m long. A flood destroyed its two eastern arches in 1926; they were \
        rebuilt in concrete.";
    let question: &'static str = "Who built the bridge?";
    let prediction = answerer.answer(question, text)?;
    &prediction;
    // Cell 3.
    let example = Example::new("bridge", question, text);
    highlight_answer(&example, prediction.best_span.clone().map(|span| span.chars));
    // Cell 4.
    let _ = {
        let asked = ["When was the bridge built?", "How long is it?", "What destroyed the arches?"];
        let predictions = answerer.answer_batch(&asked.map(|question| (question, text)))?;
        let rows = asked.iter().zip(&predictions).map(|(question, prediction)| {
            let probability = prediction.probability;
            [question.to_string(), prediction.text.clone(), format!("{probability:.2}")]
        });
        Table::new(&["question", "answer", "probability"]).rows(rows)
    };
    // Cell 5.
    let careful = answerer.clone().with_no_answer(0.0);
    for question in ["Who built the bridge?", "Which king paid for the harbour?"] {
        let answer = careful.answer(question, text)?;
        println!("{question} {:?} (null odds {:.2})", answer.text, answer.null_odds);
    }
    // Cell 6.
    let filler = "Rain fell on the hills all day, and nobody crossed the river. ".repeat(40);
    let long = format!("{filler}{text}");
    let found = answerer.answer("How many arches has the bridge?", &long)?;
    let place = found.best_span.clone().unwrap().chars;
    println!("{:?} at characters {place:?} of {}", found.text, long.chars().count());
    // Cell 7.
    let loaded = Pretrained::load(&model, 0, &device)?;
    let copy = fresh_run_dir("saved")?;
    loaded.assets.save(&loaded.model, &copy)?;
    for entry in std::fs::read_dir(&copy)? {
        let entry = entry?;
        println!("{:>10} bytes  {}", entry.metadata()?.len(), entry.file_name().to_string_lossy());
    }
    // Cell 8.
    let again = QuestionAnswerer::from_pretrained(&copy.display().to_string(), &device)?.with_top_k(5);
    let second = again.answer(question, text)?;
    assert_eq!(second, prediction);
    println!("{} spans, all equal", second.n_best.len());
    // Cell 9.
    finished("06-inference");
    Ok(())
}
