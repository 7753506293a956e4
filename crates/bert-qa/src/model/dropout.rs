use fused_ops::{Dropout, DropoutKey};

/// Which dropout masks a forward pass draws; evaluation has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropoutSeed {
    /// The run's seed.
    pub seed: u64,
    /// The process in a distributed run.
    pub rank: u16,
    /// The optimizer step.
    pub step: u32,
    /// The micro-batch in the step.
    pub micro_batch: u16,
}

impl DropoutSeed {
    /// The dropout of one place in the model.
    pub(crate) fn at(seed: Option<Self>, site: Site, prob: f64) -> Option<Dropout> {
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

/// The places in the model where there is dropout.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Site {
    Embeddings,
    AttentionProbabilities(usize),
    AttentionOutput(usize),
    LayerOutput(usize),
    Head,
}

impl Site {
    /// A number of its own for every place; layers are counted from 0.
    fn number(self) -> u16 {
        let number = match self {
            Self::Embeddings => 0,
            Self::AttentionProbabilities(layer) => 1 + 3 * layer,
            Self::AttentionOutput(layer) => 2 + 3 * layer,
            Self::LayerOutput(layer) => 3 + 3 * layer,
            Self::Head => return u16::MAX,
        };
        // `BertConfig` has no more than 4096 layers.
        number as u16
    }
}
