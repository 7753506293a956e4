//! `notebooks/04-fine-tuning.ipynb`; made by `cargo xtask notebooks sync`.

pub fn cells() -> Result<(), Box<dyn std::error::Error>> {
    // Cell 1.
    use notebook_kit::prelude::*;
    // Cell 2.
    let (name, settings) = fine_tuning();
    println!("{}", settings.join("\n"));
    let config = quickstart(settings)?;
    println!("warm-up {}, then {:?}", config.train.warmup_ratio, config.train.lr_scheduler_type);
    println!("AdamW, decay {}, clipped at {}", config.train.weight_decay, config.train.max_grad_norm);
    // Cell 3.
    let run_dir = fresh_run_dir(name)?;
    let outcome: Outcome = {
        let run = Trainer::new(config.clone())?.run_dir(&run_dir).observer(PlainLines::every(20));
        let flag = run.stop_flag();
        run.on_step(move |report| if report.step == 40 { flag.stop() }).fit()?
    };
    match &outcome {
        Outcome::Stopped(stopped) => println!("stopped after step {}", stopped.step),
        _ => println!("finished"),
    }
    // Cell 4.
    let outcome: Outcome = {
        let run = Trainer::new(config.clone())?.resume(&run_dir);
        run.observer(PlainLines::every(20)).fit()?
    };
    println!("the model: {}", outcome.finished().unwrap().model_folder.display());
    // Cell 5.
    let curves = RunCurves::read(&run_dir)?;
    Lines::new("Training loss", "optimizer step", "loss")
        .faint("each step", curves.steps("train/loss"))
        .line("mean of 15 steps", curves.smoothed("train/loss", 15))
        .mark("stopped and resumed", 40.0)
        .draw();
    // Cell 6.
    Lines::new("Learning rate", "optimizer step", "rate")
        .line("of the head", curves.steps("train/learning_rate"))
        .draw();
    // Cell 7.
    Lines::new("Loss of each epoch", "epoch", "loss")
        .dotted("on the training questions", curves.epochs("epoch/train_loss"))
        .dotted("on other questions", curves.epochs("epoch/eval_loss"))
        .draw();
    // Cell 8.
    let others = curves.epochs("epoch/eval_loss");
    let (epoch, best) = lowest(&others).unwrap();
    let (_, last) = others[others.len() - 1];
    let (_, training) = *curves.epochs("epoch/train_loss").last().unwrap();
    println!("on other questions: lowest after epoch {epoch}, {best:.2}; at the end {last:.2}");
    println!("on the training questions it ended at {training:.2}: {:.1} times less", last / training);
    // Cell 9.
    Lines::new("Scores on other questions", "epoch", "percent")
        .dotted("F1", curves.epochs("epoch/eval_f1"))
        .dotted("exact match", curves.epochs("epoch/eval_exact"))
        .draw();
    // Cell 10.
    finished("04-fine-tuning");
    Ok(())
}
