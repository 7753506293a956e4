/// The encoder architectures of this crate.
///
/// They share one implementation; MiniLM is BERT with other sizes. One table (`spec`) says how they
/// differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// BERT (Devlin et al. 2018), and encoders of its shape such as MiniLM.
    Bert,
    /// DistilBERT (Sanh et al. 2019): no token types, and other dropout sites.
    DistilBert,
}

/// How an architecture differs from the others.
#[derive(Debug)]
pub(crate) struct ArchitectureSpec {
    /// `model_type` in `config.json`.
    pub(crate) model_type: &'static str,
    /// The keys of `config.json`.
    pub(crate) keys: ConfigKeys,
    /// The class of transformers with a span head.
    pub(crate) class: &'static str,
    /// The model inputs that transformers' tokenizer must return.
    pub(crate) model_inputs: &'static [&'static str],
    /// Whether attention's output projection is followed by dropout.
    pub(crate) drops_attention_output: bool,
    /// The prefix of parameter names: in Hugging Face's files, and in module paths.
    pub(crate) prefix: [&'static str; 2],
    /// The names that follow the prefix, in files that may lack it.
    pub(crate) units: &'static [&'static str],
    /// Parts of parameter names: in Hugging Face's files, and in module paths. They are replaced in
    /// this order, so a longer part stands before one that it contains.
    pub(crate) names: &'static [[&'static str; 2]],
}

/// Keys of `config.json`. `None`: the architecture has no such key.
#[derive(Debug)]
pub(crate) struct ConfigKeys {
    pub(crate) hidden_size: &'static str,
    pub(crate) num_hidden_layers: &'static str,
    pub(crate) num_attention_heads: &'static str,
    pub(crate) intermediate_size: &'static str,
    pub(crate) hidden_act: &'static str,
    pub(crate) hidden_dropout_prob: &'static str,
    pub(crate) attention_probs_dropout_prob: &'static str,
    /// Without the key, there is no dropout before the span head.
    pub(crate) qa_dropout_prob: Option<&'static str>,
    /// Without the key, there are no token types.
    pub(crate) type_vocab_size: Option<&'static str>,
    /// Without the key, it is 1e-12.
    pub(crate) layer_norm_eps: Option<&'static str>,
    /// Without the key, new position embeddings are drawn at random.
    pub(crate) sinusoidal_positions: Option<&'static str>,
}

const BERT: ArchitectureSpec = ArchitectureSpec {
    model_type: "bert",
    keys: ConfigKeys {
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
    // `self` is a keyword of Rust.
    names: &[
        [".attention.self.", ".attention.self_attention."],
        [".LayerNorm.", ".layer_norm."],
    ],
};

const DISTILBERT: ArchitectureSpec = ArchitectureSpec {
    model_type: "distilbert",
    keys: ConfigKeys {
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
    /// Every architecture.
    pub(crate) const ALL: [Self; 2] = [Self::Bert, Self::DistilBert];

    /// The architecture with this `model_type` in `config.json`.
    pub(crate) fn of_model_type(model_type: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|architecture| architecture.spec().model_type == model_type)
    }

    pub(crate) fn spec(self) -> &'static ArchitectureSpec {
        match self {
            Self::Bert => &BERT,
            Self::DistilBert => &DISTILBERT,
        }
    }
}
