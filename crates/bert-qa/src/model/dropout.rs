use fused_ops::{Dropout, DropoutKey};

use super::config::MAX_LAYERS;

/// Identifies the dropout masks of one forward pass: equal seeds give equal masks. Without a seed
/// nothing is dropped, as in evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropoutSeed {
    /// The run's seed.
    pub seed: u64,
    /// The rank of the process.
    pub rank: u16,
    /// The optimizer step.
    pub step: u32,
    /// The micro-batch of the step.
    pub micro_batch: u16,
}

impl DropoutSeed {
    /// The dropout of one site of the model; `None` without a seed or if `prob` is 0.
    pub(super) fn at(seed: Option<Self>, site: DropoutSite, prob: f64) -> Option<Dropout> {
        let Self {
            seed,
            rank,
            step,
            micro_batch,
        } = seed?;
        let key = DropoutKey {
            seed,
            rank,
            micro_batch,
            step,
            site: site.number(),
        };
        Dropout::new(prob, key)
    }
}

/// Where the model drops; layers count from 0.
#[derive(Clone, Copy, Debug)]
pub(super) enum DropoutSite {
    Embeddings,
    AttentionProbabilities(usize),
    AttentionOutput(usize),
    LayerOutput(usize),
    /// Of the embeddings of relative positions, in each layer's attention.
    PositionEmbeddings(usize),
    /// Of DeBERTa-v2's convolution.
    Convolution,
    Head,
}

impl DropoutSite {
    /// A different number for every site.
    fn number(self) -> u16 {
        /// Three sites of each layer come before it, one of each layer from it on, and the last two after these.
        const POSITIONS: usize = 1 << 15;
        const {
            assert!(3 * MAX_LAYERS < POSITIONS && POSITIONS + MAX_LAYERS < u16::MAX as usize - 1);
        };
        let number = match self {
            Self::Embeddings => 0,
            Self::AttentionProbabilities(layer) => 1 + 3 * layer,
            Self::AttentionOutput(layer) => 2 + 3 * layer,
            Self::LayerOutput(layer) => 3 + 3 * layer,
            Self::PositionEmbeddings(layer) => POSITIONS + layer,
            Self::Convolution => return u16::MAX - 1,
            Self::Head => return u16::MAX,
        };
        number as u16
    }
}
