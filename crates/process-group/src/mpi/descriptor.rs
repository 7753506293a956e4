use std::fmt;

use crate::Collective;

/// What a rank is about to do, as ranks tell each other: two numbers of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    code: u64,
    /// Elements of this rank's buffer.
    pub(super) len: usize,
}

const BARRIER: u64 = 0;
const BYTES: u64 = 1;
const ALL_REDUCE: u64 = 2;
const ALL_GATHER: u64 = 3;
const REDUCE_SCATTER: u64 = 4;
const BROADCAST: u64 = 5;
/// Where the root stands in a code.
const ROOT: u32 = 8;

impl Shape {
    pub(super) fn barrier() -> Self {
        Self {
            code: BARRIER,
            len: 0,
        }
    }

    /// An all-gather of bytes, of which ranks may have different numbers.
    pub(super) fn bytes(len: usize) -> Self {
        Self { code: BYTES, len }
    }

    pub(super) fn of(collective: Collective, len: usize) -> Self {
        let code = match collective {
            Collective::AllReduce => ALL_REDUCE,
            Collective::AllGather => ALL_GATHER,
            Collective::ReduceScatter => REDUCE_SCATTER,
            Collective::Broadcast { root } => BROADCAST | (root as u64) << ROOT,
        };
        Self { code, len }
    }

    pub(super) fn encode(self) -> [u64; 2] {
        [self.code, self.len as u64]
    }

    pub(super) fn decode([code, len]: [u64; 2]) -> Self {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        Self { code, len }
    }

    /// Whether two ranks with these can do them together.
    pub(super) fn fits(self, other: Self) -> bool {
        self == other || (self.code, other.code) == (BYTES, BYTES)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = usize::try_from(self.code >> ROOT).unwrap_or(usize::MAX);
        let collective = match self.code & ((1 << ROOT) - 1) {
            BARRIER => return f.write_str("barrier"),
            BYTES => return write!(f, "all-gather of {} bytes", self.len),
            ALL_REDUCE => Collective::AllReduce,
            ALL_GATHER => Collective::AllGather,
            REDUCE_SCATTER => Collective::ReduceScatter,
            BROADCAST => Collective::Broadcast { root },
            // Of a program that has more of them than this one.
            other => return write!(f, "an unknown operation ({other})"),
        };
        write!(f, "{collective} of {} numbers", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn collective() -> impl Strategy<Value = Collective> {
        prop_oneof![
            Just(Collective::AllReduce),
            Just(Collective::AllGather),
            Just(Collective::ReduceScatter),
            (0_usize..100_000).prop_map(|root| Collective::Broadcast { root }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_told_is_what_was_meant(collective in collective(), len in 0_usize..usize::MAX / 2) {
            let shape = Shape::of(collective, len);
            prop_assert_eq!(Shape::decode(shape.encode()), shape);
            prop_assert_eq!(shape.to_string(), format!("{collective} of {len} numbers"));
        }

        #[test]
        fn only_equals_fit(one in collective(), other in collective(), len in 0_usize..9, len_of_other in 0_usize..9) {
            let fits = Shape::of(one, len).fits(Shape::of(other, len_of_other));
            prop_assert_eq!(fits, one == other && len == len_of_other);
        }
    }

    #[test]
    fn bytes_may_differ_in_length_and_fit_nothing_else() {
        assert!(Shape::bytes(3).fits(Shape::bytes(0)));
        assert!(!Shape::bytes(0).fits(Shape::barrier()));
        assert!(!Shape::barrier().fits(Shape::of(Collective::AllReduce, 0)));
        assert_eq!(
            Shape::decode([77, 1]).to_string(),
            "an unknown operation (77)"
        );
    }
}
