//! Ratios that must not be lost, for CI: on a machine that other work disturbs, a slow round
//! proves nothing and a quick one does, so the best round of several counts.

use std::time::Instant;

use super::options::Options;
use super::place::Place;
use super::side::{Kind, Side};
use super::work::{self, Task};

/// Of our device against the peer's padding: half of what DESIGN asks for.
const FLOORS: [(&str, &str, f64); 4] = [
    ("libtorch", "max", 2.25),
    ("libtorch", "group", 0.9),
    ("ndarray", "max", 1.25),
    ("ndarray", "group", 0.5),
];

const ROUNDS: usize = 4;
/// No further round begins after so many seconds.
const SECONDS: u64 = 75;

pub(super) fn run(options: &Options) -> Result<(), String> {
    let options = Options {
        questions: 16,
        ..options.clone()
    };
    let place = Place::find(&options, "train-v1.1-random-paragraphs.json", "train.json")?;
    let measure = |side: &Side| {
        Ok::<_, String>(work::measure(Task::Train, side, &place, &options)?.features_per_second)
    };
    let started = Instant::now();
    let mut best = Best::of(&options.sides())?;
    for round in 0..ROUNDS {
        let rates = options
            .sides()
            .into_iter()
            .map(|side| Ok((measure(&side)?, side)));
        best.take(&rates.collect::<Result<Vec<_>, String>>()?);
        println!("round {}, best so far: {}", round + 1, best.text());
        if best.complaints().is_empty() || started.elapsed().as_secs() > SECONDS {
            break;
        }
    }
    match best.complaints().as_slice() {
        [] => Ok(()),
        complaints => Err(complaints.join("\n")),
    }
}

/// The pairs that have a floor, with the best ratio of each so far.
struct Best(Vec<(Pair, f64)>);

type Pair = (&'static str, &'static str, f64);

impl Best {
    /// # Errors
    /// If no floor is known for any two of the sides.
    fn of(sides: &[Side]) -> Result<Self, String> {
        let takes_part = |kind: Kind| sides.iter().any(|side| side.kind == kind && side.is_f32());
        let pairs = FLOORS.into_iter().filter(|(device, pad, _)| {
            takes_part(Kind::Ours((*device).into())) && takes_part(Kind::Peer((*pad).into()))
        });
        let pairs: Vec<_> = pairs.map(|pair| (pair, 0.0)).collect();
        match pairs.is_empty() {
            true => Err("guard: no floor is known for these sides".into()),
            false => Ok(Self(pairs)),
        }
    }

    fn take(&mut self, rates: &[(f64, Side)]) {
        let rate = |kind: Kind| {
            let found = rates
                .iter()
                .find(|(_, side)| side.kind == kind && side.is_f32());
            found.map_or(f64::NAN, |(rate, _)| *rate)
        };
        for ((device, pad, _), best) in &mut self.0 {
            let ratio = rate(Kind::Ours((*device).into())) / rate(Kind::Peer((*pad).into()));
            *best = best.max(ratio);
        }
    }

    fn text(&self) -> String {
        let pairs = self.0.iter().map(|((device, pad, floor), best)| {
            format!("{device} against {pad} {best:.2} x (floor {floor})")
        });
        pairs.collect::<Vec<_>>().join(", ")
    }

    fn complaints(&self) -> Vec<String> {
        let below = self.0.iter().filter(|((_, _, floor), best)| best < floor);
        below
            .map(|((device, pad, floor), best)| {
                format!("{device} against {pad}: {best:.2} x is below {floor} x")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(ndarray: f64, libtorch: f64, max: f64, group: f64) -> Vec<(f64, Side)> {
        vec![
            (ndarray, Side::ours("ndarray").unwrap()),
            (libtorch, Side::ours("libtorch").unwrap()),
            (max, Side::peer("max").unwrap()),
            (group, Side::peer("group").unwrap()),
        ]
    }

    fn names(sides: &[(f64, Side)]) -> Vec<Side> {
        sides.iter().map(|(_, side)| side.clone()).collect()
    }

    #[test]
    fn one_good_round_is_enough_and_none_is_not() {
        let first = round(5.0, 8.0, 4.0, 8.0);
        let mut best = Best::of(&names(&first)).unwrap();
        assert_eq!(best.complaints().len(), 4, "nothing ran");
        best.take(&first);
        assert_eq!(
            best.complaints(),
            ["libtorch against max: 2.00 x is below 2.25 x"]
        );
        best.take(&round(1.0, 9.0, 4.0, 100.0));
        assert_eq!(best.complaints(), [""; 0]);
        assert!(best.text().starts_with(
            "libtorch against max 2.25 x (floor 2.25), libtorch against group 1.00 x"
        ));
    }

    #[test]
    fn only_sides_in_f32_that_take_part_have_floors() {
        let sides = names(&round(1.0, 1.0, 1.0, 1.0));
        assert_eq!(
            Best::of(&[sides[0].clone(), sides[3].clone()])
                .unwrap()
                .0
                .len(),
            1
        );
        let quick = Side::ours("libtorch+medium").unwrap();
        assert!(Best::of(&[quick, sides[2].clone()]).is_err());
    }
}
