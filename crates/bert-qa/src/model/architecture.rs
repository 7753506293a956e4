/// The encoders of this crate.
///
/// They share one implementation, in which MiniLM is BERT with other sizes. What differs between
/// the two stands side by side in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// BERT (Devlin et al. 2018), and what is shaped like it: MiniLM, for one.
    Bert,
    /// DistilBERT (Sanh et al. 2019): no token types, and dropout at other places.
    DistilBert,
}

/// What differs between two encoders.
#[derive(Debug)]
pub(crate) struct Differences {
    /// `model_type` in `config.json`.
    pub(crate) model_type: &'static str,
    /// The name of its keys there.
    pub(crate) keys: Keys,
    /// What transformers calls it with a span head.
    pub(crate) class: &'static str,
    /// What its tokenizer has to give in transformers.
    pub(crate) model_inputs: &'static [&'static str],
    /// Whether there is dropout between attention's output projection and the residual.
    pub(crate) drops_attention_output: bool,
    /// What the names of its parameters begin with in Hugging Face's files, and in our modules.
    pub(crate) prefix: [&'static str; 2],
    /// What follows the prefix, where the prefix may be left out.
    pub(crate) units: &'static [&'static str],
    /// Parts of names in Hugging Face's files, and in our modules. A part stands before those that
    /// are found in it.
    pub(crate) names: &'static [[&'static str; 2]],
}

/// Names of keys in `config.json`; `None` for what an encoder does not let one choose.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) hidden_size: &'static str,
    pub(crate) num_hidden_layers: &'static str,
    pub(crate) num_attention_heads: &'static str,
    pub(crate) intermediate_size: &'static str,
    pub(crate) hidden_act: &'static str,
    pub(crate) hidden_dropout_prob: &'static str,
    pub(crate) attention_probs_dropout_prob: &'static str,
    /// Without it there is no dropout before the span head.
    pub(crate) qa_dropout_prob: Option<&'static str>,
    /// Without it there are no token types.
    pub(crate) type_vocab_size: Option<&'static str>,
    /// Without it, it is 1e-12.
    pub(crate) layer_norm_eps: Option<&'static str>,
    /// Without it, new position embeddings are drawn.
    pub(crate) sinusoidal_positions: Option<&'static str>,
}

const BERT: Differences = Differences {
    model_type: "bert",
    keys: Keys {
        hidden_size: "hidden_size",
        num_hidden_layers: "num_hidden_layers",
        num_attention_heads: "num_attention_heads",
        intermediate_size: "intermediate_size",
        hidden_act: "hidden_act",
        hidden_dropout_prob: "hidden_dropout_prob",
        attention_probs_dropout_prob: "attention_probs_dropout_prob",
        qa_dropout_prob: None,
        type_vocab_size: Some("type_vocab_size"),
        layer_norm_eps: Some("layer_norm_eps"),
        sinusoidal_positions: None,
    },
    class: "BertForQuestionAnswering",
    model_inputs: &["input_ids", "token_type_ids", "attention_mask"],
    drops_attention_output: true,
    prefix: ["bert", "encoder.Bert"],
    units: &["embeddings", "encoder", "pooler"],
    // `self` is a word of Rust's.
    names: &[
        [".attention.self.", ".attention.self_attention."],
        [".LayerNorm.", ".layer_norm."],
    ],
};

const DISTILBERT: Differences = Differences {
    model_type: "distilbert",
    keys: Keys {
        hidden_size: "dim",
        num_hidden_layers: "n_layers",
        num_attention_heads: "n_heads",
        intermediate_size: "hidden_dim",
        hidden_act: "activation",
        hidden_dropout_prob: "dropout",
        attention_probs_dropout_prob: "attention_dropout",
        qa_dropout_prob: Some("qa_dropout"),
        type_vocab_size: None,
        layer_norm_eps: None,
        sinusoidal_positions: Some("sinusoidal_pos_embds"),
    },
    class: "DistilBertForQuestionAnswering",
    model_inputs: &["input_ids", "attention_mask"],
    drops_attention_output: false,
    prefix: ["distilbert", "encoder.DistilBert"],
    units: &["embeddings", "transformer"],
    names: &[
        [".transformer.layer.", ".encoder.layer."],
        [".attention.q_lin.", ".attention.self_attention.query."],
        [".attention.k_lin.", ".attention.self_attention.key."],
        [".attention.v_lin.", ".attention.self_attention.value."],
        [".attention.out_lin.", ".attention.output.dense."],
        [".sa_layer_norm.", ".attention.output.layer_norm."],
        [".ffn.lin1.", ".intermediate.dense."],
        [".ffn.lin2.", ".output.dense."],
        [".output_layer_norm.", ".output.layer_norm."],
        [".LayerNorm.", ".layer_norm."],
    ],
};

impl Architecture {
    /// All there are.
    pub(crate) const ALL: [Self; 2] = [Self::Bert, Self::DistilBert];

    /// The encoder of a `model_type` in `config.json`.
    pub(crate) fn of_model_type(model_type: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|architecture| architecture.differences().model_type == model_type)
    }

    pub(crate) fn differences(self) -> &'static Differences {
        match self {
            Self::Bert => &BERT,
            Self::DistilBert => &DISTILBERT,
        }
    }
}
