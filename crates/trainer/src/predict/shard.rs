use std::ops::Range;
use std::str::FromStr;

/// One of several parts of a dataset that follow each other: `I/N`, with `I` from 1 to `N`.
///
/// ```
/// use trainer::DatasetShard;
///
/// let parts = ["1/3", "2/3", "3/3"].map(|part| part.parse::<DatasetShard>().unwrap().of(10));
/// assert_eq!(parts, [0..3, 3..6, 6..10]);
/// assert!("0/3".parse::<DatasetShard>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatasetShard {
    index: usize,
    count: usize,
}

impl DatasetShard {
    /// The whole dataset.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// The shard's range of this many questions.
    pub fn of(self, questions: usize) -> Range<usize> {
        // u128: a product of two counts.
        let bound =
            |index: usize| (questions as u128 * index as u128 / self.count as u128) as usize;
        bound(self.index)..bound(self.index + 1)
    }

    /// Whether no shard comes before it.
    pub fn is_first(self) -> bool {
        self.index == 0
    }
}

impl FromStr for DatasetShard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text
            .split_once('/')
            .and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match numbers {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Self {
                index: index - 1,
                count,
            }),
            _ => Err("expected I/N with I from 1 to N, for example 1/4".to_owned()),
        }
    }
}
