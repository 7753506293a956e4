use std::path::Path;

use trainer::{Config, Error, RunDir, Trained};

use super::args::Train;
use super::{notice, or_none};

pub(super) fn run(args: Train) -> Result<(), Error> {
    let mut settings = args.settings;
    settings.extend(args.device.map(|device| format!("run.device={device}")));
    let config = Config::resolve(&args.config, &settings)?;
    trainer::set_threads(config.run.threads);
    let name = args
        .config
        .file_stem()
        .unwrap_or("run".as_ref())
        .to_string_lossy();
    let path = args
        .run_dir
        .unwrap_or_else(|| RunDir::next_free(Path::new("runs"), &name));
    let run_dir = RunDir::create(&path)?;
    let progress = Box::new(trainer::Progress::new());
    let trained = trainer::train(&config, &run_dir, progress, &notice)?;
    summary(&trained, &run_dir);
    Ok(())
}

/// Three answers, the run's figures and what to try next.
fn summary(trained: &Trained, run_dir: &RunDir) {
    let examples = &trained.dev.dataset.examples;
    println!("\nThree of the dev set's questions:");
    // One from each third, so that they are about different texts.
    for index in (0..3).map(|third| third * examples.len() / 3) {
        let (example, prediction) = (&examples[index], &trained.predictions[index]);
        let gold = example.answers.first().map_or("", |answer| &answer.text);
        println!("  Q: {}", example.question.trim());
        println!(
            "  A: {}   (gold: {})",
            or_none(&prediction.text),
            or_none(gold)
        );
    }
    let metrics = &trained.metrics;
    let figure = |value: &serde_json::Value| value.as_f64().unwrap_or(f64::NAN);
    println!(
        "\n{} steps, {:.2} features/s in training, {:.0} s in all, peak memory {:.0} MiB",
        metrics["steps"],
        figure(&metrics["features_per_second"]),
        figure(&metrics["seconds"]),
        figure(&metrics["peak_memory_bytes"]) / f64::from(1 << 20),
    );
    let model = trained.model_folder.display();
    println!("\nTry next:");
    println!(
        "  cargo run -p trainer -- predict --model {model} --question 'What do bees collect?' --context 'Bees collect nectar and pollen from flowers.'"
    );
    println!("  cargo run -p trainer -- evaluate --model {model} --dataset FILE");
    println!(
        "  tensorboard --logdir {}",
        run_dir.join("tensorboard").display()
    );
}
