//! Training against PyTorch: the same model on the same batches, with a schedule, clipping and decay groups, without dropout.

use bert_qa::{PackedInput, Pretrained, span_loss};
use burn::tensor::Device;
use serde::Deserialize;
use trainer::{Optimizer, Schedule, TrainConfig};

use crate::case::{Case, Window, batch, case_file, sample};
use crate::tensors::{Tensors, Value, by_name, largest_difference};

/// The cases that the fixture trains.
const CASES: [&str; 16] = [
    "bert-uncased",
    "bert-cased",
    "bert-relu",
    "distilbert",
    "mpnet",
    "deberta-v3",
    "deberta-v2",
    "deberta-v2-conv",
    "modernbert",
    "modernbert-bias",
    "roberta",
    "camembert",
    "xlm-roberta",
    "electra",
    "albert",
    "albert-groups",
];

/// Of parameters, which are below 2, where neighbouring numbers are 1e-7 apart. AdamW divides a gradient by its size, or by
/// epsilon, 1e-4, where that is larger: a gradient that is nothing but rounding, 1e-7 for a bias before a softmax, moves
/// its parameter by 1e-3 of a step, and a step is 5e-3. After five, 3e-6 were seen.
const PARAMETERS: f32 = 1e-5;
/// Of losses below 4, where neighbouring numbers are 2e-7 apart. The parameters' differences add up over the steps: after
/// twenty, 7e-7 were seen.
const LOSSES: f32 = 1e-5;

/// What `case.json` says of the training run, beside the case itself.
#[derive(Deserialize)]
struct Training {
    run: Run,
}

#[derive(Clone, Copy, Deserialize)]
struct Run {
    learning_rate: f64,
    eps: f64,
    weight_decay: f64,
    max_grad_norm: f64,
    warmup_ratio: f64,
    steps: u32,
}

/// Runs a test on every device of this build.
fn on_every_device(test: impl Fn(&str, &Case, &Run, &Device)) {
    for info in trainer::devices() {
        let device = trainer::device(&info.name).unwrap().1.autodiff();
        for name in CASES {
            let training: Training = case_file(name);
            test(
                &format!("{name} on {}", info.name),
                &Case::read(name),
                &training.run,
                &device,
            );
        }
    }
}

/// Three windows after the other; after the last comes the first.
fn windows_of_step(case: &Case, step: u32) -> Vec<Window> {
    let mut windows = case.windows.iter().cycle().skip(3 * step as usize);
    (0..3).map(|_| windows.next().unwrap().clone()).collect()
}

/// Losses of the first steps, and the parameters after them.
fn train(case: &Case, run: &Run, steps: u32, device: &Device) -> (Vec<f32>, Tensors) {
    let config = TrainConfig {
        learning_rate: run.learning_rate,
        warmup_ratio: run.warmup_ratio,
        adam_epsilon: run.eps,
        weight_decay: run.weight_decay,
        max_grad_norm: run.max_grad_norm,
        ..TrainConfig::default()
    };
    let schedule = Schedule::new(&config, run.steps);
    let mut model = Pretrained::load(case.model().path(), 0, device)
        .unwrap()
        .model;
    let mut optimizer = Optimizer::new(&config, &model);
    let mut losses = Vec::new();
    for step in 0..steps {
        let windows = windows_of_step(case, step);
        let input = PackedInput::new(&batch(&windows), device);
        let sum = span_loss(model.forward(&input, None), &input);
        let loss = sum / windows.len() as f64;
        losses.push(loss.clone().into_scalar());
        (model, _) = optimizer.step(model, loss.backward(), schedule.lr(step));
    }
    let mut parameters = by_name(&model, Value);
    for values in parameters.values_mut() {
        *values = sample(values);
    }
    (losses, parameters)
}

#[track_caller]
fn assert_same(name: &str, ours: &Tensors, reference: &[(&str, &[f32])]) {
    assert!(
        ours.keys()
            .eq(reference.iter().map(|(parameter, _)| parameter))
    );
    for (parameter, reference) in reference {
        let difference = largest_difference(&ours[*parameter], reference);
        assert!(
            difference < PARAMETERS,
            "{name}: {parameter} differs by {difference}"
        );
    }
}

#[test]
fn one_step_at_the_full_rate_equals_pytorch() {
    on_every_device(|name, case, run, device| {
        let run = Run {
            warmup_ratio: 0.0,
            ..*run
        };
        let (_, parameters) = train(case, &run, 1, device);
        assert_same(name, &parameters, &case.all("step1.", ""));
    });
}

#[test]
fn five_steps_with_warmup_equal_pytorch() {
    on_every_device(|name, case, run, device| {
        let (_, parameters) = train(case, run, 5, device);
        assert_same(name, &parameters, &case.all("step5.", ""));
        // The negative control: with decay on biases and LayerNorms, these are others.
        let wrong = case.all("wrong.decay.", "");
        assert!(
            wrong
                .iter()
                .any(|(parameter, _)| parameter.ends_with("orm.weight"))
        );
        for (parameter, wrong) in wrong {
            let difference = largest_difference(&parameters[parameter], wrong);
            assert!(
                difference > 10.0 * PARAMETERS,
                "{name}: {parameter} differs by {difference}"
            );
        }
    });
}

/// The golden curve: a change of any part of training shows here.
#[test]
fn twenty_losses_equal_pytorch() {
    on_every_device(|name, case, run, device| {
        let (losses, _) = train(case, run, run.steps, device);
        let reference = case.expected("curve");
        assert_eq!(reference.len(), 20);
        let difference = largest_difference(&losses, reference);
        // ModernBERT's four layers without norms after the residuals magnify rounding: 3e-7 up to the seventh step, then
        // up to 2e-5. So do four layers of ALBERT that share two groups of parameters: 1.9e-5.
        let magnifies = name.starts_with("modernbert") || name.starts_with("albert-groups");
        let tolerance = if magnifies { 10.0 * LOSSES } else { LOSSES };
        assert!(difference < tolerance, "{name}: {difference}: {losses:?}");
        // It learns, or a constant would do.
        assert!(reference[..3].iter().sum::<f32>() > 1.5 * reference[17..].iter().sum::<f32>());

        // The negative control: a run without clipping has another curve.
        let unclipped = Run {
            max_grad_norm: 0.0,
            ..*run
        };
        let (losses, _) = train(case, &unclipped, run.steps, device);
        let difference = largest_difference(&losses, reference);
        assert!(difference > 10.0 * LOSSES, "{name}: {difference}");
    });
}
