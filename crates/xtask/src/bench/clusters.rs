//! A model of the time of training on many A100s: nothing in it was measured on one of them by this project.

use super::flops::{Shape, Windows};
use super::place::read;
use super::ranks::Sizes;
use super::table::markdown;
use crate::root;

/// Windows of the reference system's run: 1600 questions, 10 epochs, as if each had one window.
const WINDOWS: f64 = 16_000.0;
/// Windows of a GPU in a step; the reference system does not tell its own.
const BATCH: f64 = 8.0;

/// Seconds that the reference system reports for one GPU, four by DDP and four by FSDP.
const REFERENCE: [(&str, [f64; 3]); 2] = [
    ("f32", [497.0, 151.0, 167.0]),
    ("TF32", [170.0, 71.0, 90.0]),
];

/// An A100's peaks, in FLOP/s, and the share of them that this project's training reaches on a CPU, where the peak is what
/// plain products reach: `libtorch` in f32, and in `medium`, whose products are as much faster than f32's as TF32's are.
const A100: [(&str, f64, f64); 2] = [("f32", 19.5e12, 0.66), ("TF32", 156e12, 0.22)];

/// Bytes per second of a GPU to its neighbours in a ring, one way.
struct Network {
    name: &'static str,
    gpus_per_node: f64,
    within: f64,
    /// Of a ring that leaves the node once.
    between: f64,
}

/// NVLink 3 has 600 GB/s both ways; the others are InfiniBand HDR100, one to a node, and HDR, one to a GPU.
const NETWORKS: [Network; 2] = [
    Network {
        name: "2 GPUs and 100 Gb/s a node",
        gpus_per_node: 2.0,
        within: 300e9,
        between: 12.5e9,
    },
    Network {
        name: "8 GPUs and 8 x 200 Gb/s a node",
        gpus_per_node: 8.0,
        within: 300e9,
        between: 25e9,
    },
];

#[derive(Clone, Copy, PartialEq)]
enum Strategy {
    Ddp,
    Fsdp,
}

impl Network {
    /// Seconds in which `passes` times (n - 1) / n of so many bytes go round a ring.
    fn ring(&self, gpus: f64, passes: f64, bytes: f64) -> f64 {
        let bandwidth = if gpus > self.gpus_per_node {
            self.between
        } else {
            self.within
        };
        passes * (gpus - 1.0) / gpus * bytes / bandwidth
    }
}

impl Strategy {
    fn passes(self) -> f64 {
        match self {
            Self::Ddp => 2.0,
            Self::Fsdp => 3.0,
        }
    }

    /// Seconds of our step, of which one GPU needs `compute`. Collectives are on the stream of the computations, so that
    /// they come one after the other; FSDP computes a forward pass, a third, twice.
    fn step(self, compute: f64, gpus: f64, parameters: f64, network: &Network) -> f64 {
        let again = match self {
            Self::Fsdp if gpus > 1.0 => compute / 3.0,
            _ => 0.0,
        };
        compute + again + network.ring(gpus, self.passes(), parameters)
    }
}

/// Seconds of the whole run on so many GPUs, each with its batch.
fn run(step: f64, gpus: f64) -> f64 {
    WINDOWS / (BATCH * gpus) * step
}

/// Seconds of a step on one GPU, in the order of [`A100`].
fn our_compute(shape: &Shape, windows: &Windows) -> [f64; 2] {
    let step = BATCH * shape.training(windows) / windows.count;
    A100.map(|(_, peak, share)| step / (peak * share))
}

/// And its parameters, in bytes.
fn bert_base() -> Result<(Shape, f64), String> {
    let config = read(&root().join("configs/shapes/bert-base-cased/config.json"))?;
    let parameters = Sizes::of(&config).all * f64::from(1 << 20);
    Ok((Shape::of_config(&config)?, parameters))
}

/// Both tables; `windows` say how long windows of SQuAD are.
pub(super) fn text(windows: &Windows) -> Result<String, String> {
    let (shape, parameters) = bert_base()?;
    Ok(format!(
        "{}\n{}",
        of_reference(parameters),
        of_ours(our_compute(&shape, windows), parameters)
    ))
}

/// What the reference system reports, and what the model makes of its first column.
fn of_reference(parameters: f64) -> String {
    let head = [
        "theirs",
        "1 A100, reported",
        "4 by DDP, reported",
        "computed",
        "4 by FSDP, reported",
        "computed",
    ];
    let mut rows = vec![head.map(String::from).to_vec()];
    for (precision, [one, ddp, fsdp]) in REFERENCE {
        let [computed_ddp, computed_fsdp] =
            [Strategy::Ddp, Strategy::Fsdp].map(|s| theirs(one, s, parameters));
        let cells =
            [one, ddp, computed_ddp, fsdp, computed_fsdp].map(|seconds| format!("{seconds:.0} s"));
        rows.push([&[precision.into()], &cells[..]].concat());
    }
    markdown(&rows)
}

/// On 2 x 2 GPUs, with nothing overlapped.
fn theirs(one: f64, strategy: Strategy, parameters: f64) -> f64 {
    let compute = one * BATCH / WINDOWS;
    let waiting = NETWORKS[0].ring(4.0, strategy.passes(), parameters);
    run(compute + waiting, 4.0)
}

fn of_ours(compute: [f64; 2], parameters: f64) -> String {
    let head = |name: &str| {
        A100.map(|(precision, ..)| {
            [
                format!("DDP, {precision}, {name}"),
                format!("FSDP, {precision}, {name}"),
            ]
        })
    };
    let heads = NETWORKS
        .iter()
        .flat_map(|network| head(network.name))
        .flatten();
    let mut rows = vec![
        std::iter::once("ours, all computed: A100s".to_owned())
            .chain(heads)
            .collect::<Vec<_>>(),
    ];
    for gpus in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0] {
        let mut row = vec![format!("{gpus}")];
        for network in &NETWORKS {
            for compute in compute {
                for strategy in [Strategy::Ddp, Strategy::Fsdp] {
                    let step = strategy.step(compute, gpus, parameters, network);
                    row.push(format!("{:.0} s", run(step, gpus)));
                }
            }
        }
        rows.push(row);
    }
    markdown(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_gives_the_reference_systems_figures_from_its_first_within_a_tenth() {
        let (_, parameters) = bert_base().unwrap();
        for (precision, [one, ddp, fsdp]) in REFERENCE {
            for (strategy, reported) in [(Strategy::Ddp, ddp), (Strategy::Fsdp, fsdp)] {
                let computed = theirs(one, strategy, parameters);
                let error = computed / reported - 1.0;
                assert!(error.abs() < 0.1, "{precision}: {computed} for {reported}");
            }
            // Without a network it would be far off.
            let free = run(one * BATCH / WINDOWS, 4.0);
            assert!(free < 0.85 * ddp, "{free} for {ddp}");
        }
    }

    #[test]
    fn more_gpus_of_a_kind_take_less_time_and_never_less_than_their_share() {
        let (shape, parameters) = bert_base().unwrap();
        let windows = Windows {
            count: 1.0,
            tokens: 170.0,
            squared_tokens: 170.0 * 170.0,
        };
        for compute in our_compute(&shape, &windows) {
            for network in &NETWORKS {
                for strategy in [Strategy::Ddp, Strategy::Fsdp] {
                    let time =
                        |gpus: f64| run(strategy.step(compute, gpus, parameters, network), gpus);
                    for gpus in [2.0, 4.0, 8.0, 16.0, 32.0] {
                        // The first step out of a node may cost more than it brings.
                        assert!(gpus == network.gpus_per_node || time(2.0 * gpus) < time(gpus));
                        assert!(time(gpus) > time(1.0) / gpus);
                    }
                }
            }
        }
    }
}
