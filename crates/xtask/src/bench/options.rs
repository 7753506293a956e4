//! What may stand after `cargo xtask bench`.

use std::path::PathBuf;

use super::side::Side;

pub(super) const USAGE: &str = "\
cargo xtask bench train     features/s of training: ours against the peer, in alternation
cargo xtask bench answer    the same for answering
cargo xtask bench scaling   time and memory over batch, length, layers and threads; docs/images/scaling.svg
cargo xtask bench ops       each fused operation against its reference and PyTorch's (criterion)
cargo xtask bench ranks     memory of a process, of 1, 2 and 4 that train together (mpirun); docs/images/rank-memory.svg
cargo xtask bench speedup   how much faster 2 and 4 processes train, what they wait for, and what that says about GPUs
cargo xtask bench guard     short races whose ratios must not fall below floors: for CI
Options, with defaults:
  --shape minilm            minilm (pretrained), distilbert or bert-base (random weights)
  --ours ndarray,libtorch   devices, each with +medium or +bf16 if wanted
  --peer max,group          its padding: to the maximal length or by groups of length; with +medium or +bf16 too
  --rounds 3                runs of each side
  --questions 0             questions of a round; 0 takes as many as suit the shape
  --threads 0               threads of either side; 0 takes every core
  --batch 8 --max-length 384 --stride 128
  --axes batch,length,layers,threads   what `scaling` varies
  --data FILE               a SQuAD file instead of the one in $SQUAD_DATA, ../shared/data or datasets/sample
  --trainer FILE            a built trainer; without it, it is built first
  --doc                     put the result into its place in docs/performance.md, or docs/distributed.md, too
$REFERENCE_PYTHON (else python3) has torch and transformers.";

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) shape: String,
    pub(super) ours: Vec<Side>,
    pub(super) peer: Vec<Side>,
    pub(super) rounds: usize,
    pub(super) questions: usize,
    pub(super) threads: usize,
    pub(super) batch: usize,
    pub(super) max_length: usize,
    pub(super) stride: usize,
    /// Optimizer steps of a run; 0 takes every window once.
    pub(super) steps: usize,
    pub(super) axes: Vec<String>,
    pub(super) data: Option<PathBuf>,
    pub(super) trainer: Option<PathBuf>,
    pub(super) doc: bool,
}

impl Options {
    /// # Errors
    /// One line about the first argument that is not understood.
    pub(super) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            shape: "minilm".into(),
            ours: sides("ndarray,libtorch", Side::ours)?,
            peer: sides("max,group", Side::peer)?,
            rounds: 3,
            questions: 0,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            batch: 8,
            max_length: 384,
            stride: 128,
            steps: 0,
            axes: ["batch", "length", "layers", "threads"]
                .map(String::from)
                .into(),
            data: None,
            trainer: None,
            doc: false,
        };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            if name == "--doc" {
                options.doc = true;
                continue;
            }
            let value = arguments.next().ok_or(format!("{name}: no value"))?;
            options.set(name, value)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let number = || {
            value
                .parse::<usize>()
                .map_err(|_| format!("{name}: {value} is not a number"))
        };
        let positive = || match number()? {
            0 => Err(format!("{name}: must be at least 1")),
            number => Ok(number),
        };
        match name {
            "--shape" => self.shape = value.into(),
            "--ours" => self.ours = sides(value, Side::ours)?,
            "--peer" => self.peer = sides(value, Side::peer)?,
            "--rounds" => self.rounds = positive()?,
            "--questions" => self.questions = number()?,
            "--threads" if number()? == 0 => {}
            "--threads" => self.threads = number()?,
            "--batch" => self.batch = positive()?,
            "--max-length" => self.max_length = positive()?,
            "--stride" => self.stride = number()?,
            "--axes" => self.axes = value.split(',').map(String::from).collect(),
            "--data" => self.data = Some(value.into()),
            "--trainer" => self.trainer = Some(value.into()),
            _ => return Err(format!("no option {name}; there are:\n{USAGE}")),
        }
        Ok(())
    }

    pub(super) fn sides(&self) -> Vec<Side> {
        self.ours.iter().chain(&self.peer).cloned().collect()
    }
}

fn sides(names: &str, side: impl Fn(&str) -> Result<Side, String>) -> Result<Vec<Side>, String> {
    names
        .split(',')
        .filter(|name| !name.is_empty())
        .map(side)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        let arguments: Vec<_> = text.split_whitespace().map(String::from).collect();
        Options::parse(&arguments)
    }

    #[test]
    fn what_is_given_is_set_and_the_rest_has_its_default() {
        let options = parse("--ours libtorch+medium --rounds 5 --peer group --doc").unwrap();
        let names: Vec<_> = options.sides().iter().map(Side::to_string).collect();
        assert_eq!(names, ["ours, libtorch medium", "peer, group"]);
        assert_eq!((options.rounds, options.batch, options.doc), (5, 8, true));
        assert!(parse("--threads 0").unwrap().threads > 0);
    }

    #[test]
    fn mistakes_are_told() {
        for (text, what) in [
            ("--round 3", "no option --round"),
            ("--rounds", "--rounds: no value"),
            ("--rounds 0", "at least 1"),
            ("--batch many", "many is not a number"),
            ("--peer longest", "longest"),
            ("--ours libtorch+f64", "f64"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
