use std::fmt;

use crate::Collective;

/// The kind and length of a collective, as ranks announce it: two numbers of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
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
/// The bit of a code at which the root starts.
const ROOT: u32 = 8;

impl Descriptor {
    pub(super) fn barrier() -> Self {
        Self {
            code: BARRIER,
            len: 0,
        }
    }

    /// An all-gather of bytes, whose lengths may differ between ranks.
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

    /// Whether two ranks with these descriptors can execute one collective.
    pub(super) fn matches(self, other: Self) -> bool {
        self == other || (self.code, other.code) == (BYTES, BYTES)
    }
}

impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = usize::try_from(self.code >> ROOT).unwrap_or(usize::MAX);
        let collective = match self.code & ((1 << ROOT) - 1) {
            BARRIER => return f.write_str("barrier"),
            BYTES => return write!(f, "all-gather of {} bytes", self.len),
            ALL_REDUCE => Collective::AllReduce,
            ALL_GATHER => Collective::AllGather,
            REDUCE_SCATTER => Collective::ReduceScatter,
            BROADCAST => Collective::Broadcast { root },
            // From another version of this program.
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
        fn decoding_reverses_encoding(collective in collective(), len in 0_usize..usize::MAX / 2) {
            let descriptor = Descriptor::of(collective, len);
            prop_assert_eq!(Descriptor::decode(descriptor.encode()), descriptor);
            prop_assert_eq!(descriptor.to_string(), format!("{collective} of {len} numbers"));
        }

        #[test]
        fn only_equal_descriptors_match(one in collective(), other in collective(), len in 0_usize..9, len_of_other in 0_usize..9) {
            let matches = Descriptor::of(one, len).matches(Descriptor::of(other, len_of_other));
            prop_assert_eq!(matches, one == other && len == len_of_other);
        }
    }

    #[test]
    fn bytes_match_bytes_of_any_length_only() {
        assert!(Descriptor::bytes(3).matches(Descriptor::bytes(0)));
        assert!(!Descriptor::bytes(0).matches(Descriptor::barrier()));
        assert!(!Descriptor::barrier().matches(Descriptor::of(Collective::AllReduce, 0)));
        assert_eq!(
            Descriptor::decode([77, 1]).to_string(),
            "an unknown operation (77)"
        );
    }
}
