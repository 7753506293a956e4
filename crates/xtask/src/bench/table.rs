//! Results as Markdown.

use super::figures::{Ratio, median};
use super::side::Side;
use super::work::Measured;

/// A side and its rounds.
pub(super) type Rounds = Vec<Measured>;

/// What turns features per second into a share of the machine.
pub(super) struct Scale {
    /// GFLOP of one window, padding not counted.
    pub(super) gflop: f64,
    /// The best rates of `f32` and `bf16` products, GFLOP/s.
    pub(super) peaks: [f64; 2],
}

/// Rows of cells, the first of them the head.
pub(super) fn markdown(rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let columns = rows.first().map_or(0, Vec::len);
    let mut text = rows.first().map_or_else(String::new, |head| line(head));
    text += &format!("|{}\n", "---|".repeat(columns));
    text.extend(rows.iter().skip(1).map(|row| line(row)));
    text
}

pub(super) fn rates(rounds: &[Measured]) -> Vec<f64> {
    rounds
        .iter()
        .map(|round| round.features_per_second)
        .collect()
}

fn peak_memory(rounds: &[Measured]) -> f64 {
    rounds
        .iter()
        .map(|round| round.peak_memory)
        .fold(0.0, f64::max)
}

/// Each side's rounds, and what share of the machine's peak they reach.
pub(super) fn of_sides(sides: &[(Side, Rounds)], scale: &Scale) -> String {
    let head = [
        "",
        "features/s by round",
        "median",
        "GFLOP/s",
        "of the peak",
        "peak memory",
    ];
    let mut rows = vec![head.map(String::from).to_vec()];
    for (side, rounds) in sides {
        let rates = rates(rounds);
        let by_round: Vec<_> = rates.iter().map(|rate| format!("{rate:.2}")).collect();
        let gflops = median(&rates) * scale.gflop;
        let peak = scale.peaks[usize::from(!side.is_f32())];
        rows.push(vec![
            side.to_string(),
            by_round.join(", "),
            format!("{:.2}", median(&rates)),
            format!("{gflops:.0}"),
            format!("{:.0} %", 100.0 * gflops / peak),
            format!("{:.0} MiB", peak_memory(rounds) / f64::from(1 << 20)),
        ]);
    }
    markdown(&rows)
}

/// Each of ours against each of the peer's: the ratio of the medians, and of the single rounds.
pub(super) fn of_ratios(sides: &[(Side, Rounds)]) -> String {
    let (ours, theirs): (Vec<_>, Vec<_>) = sides.iter().partition(|(side, _)| side.is_ours());
    let heads = theirs.iter().map(|(side, _)| format!("against {side}"));
    let mut rows = vec![std::iter::once(String::new()).chain(heads).collect()];
    for (side, rounds) in ours {
        let mut row = vec![side.to_string()];
        row.extend(theirs.iter().map(|(_, other)| {
            let ratio = Ratio::new(&rates(rounds), &rates(other));
            let memory = peak_memory(rounds) / peak_memory(other);
            format!(
                "{:.2} x ({:.2} to {:.2}), memory {memory:.2} x",
                ratio.median, ratio.lowest, ratio.highest
            )
        }));
        rows.push(row);
    }
    markdown(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sides() -> Vec<(Side, Rounds)> {
        let rounds = |rates: [f64; 2], mib: f64| {
            let round = |features_per_second| Measured {
                features_per_second,
                peak_memory: mib * 1048576.0,
            };
            rates.map(round).to_vec()
        };
        vec![
            (Side::ours("libtorch").unwrap(), rounds([9.0, 11.0], 500.0)),
            (
                Side::ours("libtorch+medium").unwrap(),
                rounds([20.0, 20.0], 600.0),
            ),
            (Side::peer("max").unwrap(), rounds([2.0, 2.0], 1000.0)),
        ]
    }

    #[test]
    fn sides_are_set_against_the_peak_of_their_precision() {
        let scale = Scale {
            gflop: 12.0,
            peaks: [200.0, 2000.0],
        };
        let text = of_sides(&sides(), &scale);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert_eq!(lines[1], "|---|---|---|---|---|---|");
        assert_eq!(
            lines[2],
            "| ours, libtorch | 9.00, 11.00 | 10.00 | 120 | 60 % | 500 MiB |"
        );
        assert_eq!(
            lines[3],
            "| ours, libtorch medium | 20.00, 20.00 | 20.00 | 240 | 12 % | 600 MiB |"
        );
        assert_eq!(
            lines[4],
            "| peer, max | 2.00, 2.00 | 2.00 | 24 | 12 % | 1000 MiB |"
        );
    }

    #[test]
    fn ratios_have_their_spread() {
        let text = of_ratios(&sides());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "|  | against peer, max |");
        assert_eq!(
            lines[2],
            "| ours, libtorch | 5.00 x (4.50 to 5.50), memory 0.50 x |"
        );
        assert_eq!(lines.len(), 4);
    }
}
