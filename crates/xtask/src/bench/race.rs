//! Ours and the peer in alternation on the same windows.

use super::flops::{Shape, Windows};
use super::machine::Circumstances;
use super::options::Options;
use super::place::Place;
use super::side::Side;
use super::table::{Rounds, Scale, of_ratios, of_sides};
use super::work::{self, Measured, Task, figure};
use super::{doc, process};

/// `cargo xtask bench train` and `answer`.
pub(super) fn run(task: Task, options: &Options) -> Result<(), String> {
    let circumstances = Circumstances::now();
    let place = match task {
        Task::Train => Place::find(options, "train-v1.1-random-paragraphs.json", "train.json")?,
        Task::Answer => Place::find(options, "dev-v1.1.json", "dev.json")?,
    };
    let place = match task {
        Task::Answer if !place.pretrained => work::trained_model(&place, options)?,
        _ => place,
    };
    let before = Limits::measure(&place, options)?;
    before.windows_are_ours(&place, options)?;
    let sides = alternate(&options.sides(), options.rounds, |side| {
        work::measure(task, side, &place, options)
    })?;
    // The better of two: other work on the machine only ever makes it slower.
    let peaks = before.better_peaks(&Limits::measure(&place, options)?);
    let shape = Shape::of_config(&place.config)?;
    let flop = match task {
        Task::Train => shape.training(&before.windows),
        Task::Answer => shape.forward(&before.windows),
    };
    let scale = Scale {
        gflop: flop / before.windows.count / 1e9,
        peaks,
    };
    let windows = format!(
        "{} windows of {:.0} tokens on average, batch {}, maximum length {}, {} threads; {:.1} GFLOP a window; \
         products reach {:.0} GFLOP/s in f32 and {:.0} in bf16. {}.",
        before.windows.count,
        before.windows.tokens / before.windows.count,
        options.batch,
        options.max_length,
        options.threads,
        scale.gflop,
        peaks[0],
        peaks[1],
        before.versions,
    );
    let tables = format!("{}\n{}", of_sides(&sides, &scale), of_ratios(&sides));
    let name = match task {
        Task::Train => format!("train-{}", options.shape),
        Task::Answer => format!("answer-{}", options.shape),
    };
    doc::publish(
        &name,
        &format!("{tables}\n{}", circumstances.markdown(&windows)),
        options.doc,
    )
}

/// Every side once a round; every other round the other way round, so that what changes slowly on
/// the machine favours nobody.
pub(super) fn alternate(
    sides: &[Side],
    rounds: usize,
    mut measure: impl FnMut(&Side) -> Result<Measured, String>,
) -> Result<Vec<(Side, Rounds)>, String> {
    let mut results: Vec<_> = sides
        .iter()
        .map(|side| (side.clone(), Rounds::new()))
        .collect();
    for round in 0..rounds {
        for turn in 0..sides.len() {
            let index = if round % 2 == 0 {
                turn
            } else {
                sides.len() - 1 - turn
            };
            let (side, rounds) = &mut results[index];
            let measured = measure(side)?;
            eprintln!(
                "round {}, {side}: {:.2} features/s",
                round + 1,
                measured.features_per_second
            );
            rounds.push(measured);
        }
    }
    Ok(results)
}

/// What the peer says of windows and machine.
struct Limits {
    windows: Windows,
    peaks: [f64; 2],
    versions: String,
}

impl Limits {
    fn measure(place: &Place, options: &Options) -> Result<Self, String> {
        let limits = process::run(&mut work::peer_command("limits", place, options))?.json()?;
        let version = |name: &str| limits[name].as_str().unwrap_or("unknown").to_owned();
        Ok(Self {
            windows: Windows {
                count: figure(&limits, "windows")?,
                tokens: figure(&limits, "tokens")?,
                squared_tokens: figure(&limits, "squared_tokens")?,
            },
            peaks: [
                figure(&limits["gflops"], "f32")?,
                figure(&limits["gflops"], "bf16")?,
            ],
            versions: format!(
                "Peer: PyTorch {}, transformers {}",
                version("torch"),
                version("transformers")
            ),
        })
    }

    fn better_peaks(&self, other: &Self) -> [f64; 2] {
        [0, 1].map(|i| self.peaks[i].max(other.peaks[i]))
    }

    /// # Errors
    /// If the two sides would not do the same work.
    fn windows_are_ours(&self, place: &Place, options: &Options) -> Result<(), String> {
        let ours = work::our_windows(place, options)?;
        let theirs = (self.windows.count, self.windows.tokens);
        match ours == theirs {
            true => Ok(()),
            false => Err(format!(
                "windows and tokens: ours {ours:?}, the peer's {theirs:?}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_alternate_and_turn_around() {
        let sides = ["a", "b"].map(|name| Side::ours(name).unwrap());
        let mut order = String::new();
        let results = alternate(&sides, 3, |side| {
            order += &side.to_string().replace("ours, ", "");
            Ok(Measured {
                features_per_second: order.len() as f64,
                peak_memory: 0.0,
            })
        });
        assert_eq!(order, "abbaab");
        let rates: Vec<_> = results
            .unwrap()
            .iter()
            .map(|(_, rounds)| super::super::table::rates(rounds))
            .collect();
        assert_eq!(rates, [[1.0, 4.0, 5.0], [2.0, 3.0, 6.0]]);
        assert!(alternate(&sides, 1, |_| Err("broken".into())).is_err());
    }
}
