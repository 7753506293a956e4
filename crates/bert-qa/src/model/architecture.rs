use burn::module::Module;

use super::bert::BertModel;

/// How an architecture differs from the others: a row of the table.
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
    /// Which row of the position embedding a token gets.
    pub(crate) positions: Positions,
    /// Which row of the token-type embedding a token gets.
    pub(crate) token_types: TokenTypes,
    /// The default of `pad_token_id`.
    pub(crate) pad_token_id: usize,
    /// Whether attention's output projection is followed by dropout.
    pub(crate) drops_attention_output: bool,
    /// The prefix of parameter names in Hugging Face's files.
    pub(crate) prefix: &'static str,
    /// The names that follow the prefix, in files that may lack it.
    pub(crate) units: &'static [&'static str],
    /// Parts of parameter names: in Hugging Face's files, and in module paths. They are replaced in
    /// this order, so a longer part stands before one that it contains.
    pub(crate) names: &'static [[&'static str; 2]],
}

/// Which row of the position embedding a token gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Positions {
    /// Its index in the feature.
    FromZero,
    /// `pad_token_id` and the number of tokens up to it, padding tokens not counted (fairseq's
    /// `make_positions`): the first row in use is `pad_token_id + 1`. A padding token in the text
    /// gets the row `pad_token_id`.
    AfterPadding,
}

/// Which row of the token-type embedding a token gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenTypes {
    /// There is no such embedding.
    None,
    /// The first: its rows serve nothing else.
    First,
    /// 0 up to the context, 1 from there on.
    QuestionAndContext,
}

/// Keys of `config.json`, some with transformers' default. `None`: the architecture has no such key.
#[derive(Debug)]
pub(crate) struct ConfigKeys {
    /// Without the key, embeddings are as wide as hidden states.
    pub(crate) embedding_size: Option<(&'static str, usize)>,
    pub(crate) hidden_size: &'static str,
    pub(crate) num_hidden_layers: &'static str,
    pub(crate) num_attention_heads: &'static str,
    pub(crate) intermediate_size: &'static str,
    pub(crate) hidden_act: (&'static str, &'static str),
    pub(crate) hidden_dropout_prob: (&'static str, f64),
    pub(crate) attention_probs_dropout_prob: (&'static str, f64),
    /// Without the key, there is no dropout before the span head.
    pub(crate) qa_dropout_prob: Option<(&'static str, f64)>,
    /// Without the key, it is 1e-12.
    pub(crate) layer_norm_eps: Option<&'static str>,
    /// Without the key, new position embeddings are drawn at random.
    pub(crate) sinusoidal_positions: Option<&'static str>,
}

/// Declares the architectures, each with its row of the table.
macro_rules! architectures {
    ($($(#[$doc:meta])+ $name:ident: $spec:expr,)+) => {
        /// The encoder architectures of this crate.
        ///
        /// They share one implementation; one table says how they differ. MiniLM is BERT with other
        /// sizes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Architecture {
            $($(#[$doc])+ $name,)+
        }

        impl Architecture {
            /// Every architecture.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),+];

            pub(crate) fn spec(self) -> &'static ArchitectureSpec {
                match self {
                    $(Self::$name => const { &$spec },)+
                }
            }
        }

        /// An encoder by its architecture, so that a parameter's module path begins with the
        /// architecture.
        #[derive(Module, Debug)]
        pub(super) enum Encoder {
            $($name(BertModel),)+
        }

        impl Encoder {
            pub(super) fn new(architecture: Architecture, model: BertModel) -> Self {
                match architecture {
                    $(Architecture::$name => Self::$name(model),)+
                }
            }

            pub(super) fn architecture(&self) -> Architecture {
                match self {
                    $(Self::$name(_) => Architecture::$name,)+
                }
            }

            pub(super) fn model(&self) -> &BertModel {
                match self {
                    $(Self::$name(model))|+ => model,
                }
            }
        }
    };
}

architectures! {
    /// BERT (Devlin et al. 2018), and encoders of its shape such as MiniLM.
    Bert: BERT,
    /// DistilBERT (Sanh et al. 2019): no token types, and other dropout sites.
    DistilBert: DISTILBERT,
    /// RoBERTa (Liu et al. 2019): positions after the padding token's, and one token type.
    Roberta: ROBERTA,
    /// CamemBERT (Martin et al. 2020): RoBERTa for French.
    Camembert: ArchitectureSpec {
        model_type: "camembert",
        class: "CamembertForQuestionAnswering",
        ..ROBERTA
    },
    /// XLM-RoBERTa (Conneau et al. 2020): RoBERTa for a hundred languages.
    XlmRoberta: ArchitectureSpec {
        model_type: "xlm-roberta",
        class: "XLMRobertaForQuestionAnswering",
        ..ROBERTA
    },
}

impl Architecture {
    /// The architecture with this `model_type` in `config.json`.
    pub(crate) fn of_model_type(model_type: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|architecture| architecture.spec().model_type == model_type)
    }

    /// What the module paths of the encoder's parameters begin with.
    pub(crate) fn path(self) -> String {
        format!("encoder.{self:?}")
    }
}

const BERT: ArchitectureSpec = ArchitectureSpec {
    model_type: "bert",
    keys: ConfigKeys {
        embedding_size: None,
        hidden_size: "hidden_size",
        num_hidden_layers: "num_hidden_layers",
        num_attention_heads: "num_attention_heads",
        intermediate_size: "intermediate_size",
        hidden_act: ("hidden_act", "gelu"),
        hidden_dropout_prob: ("hidden_dropout_prob", 0.1),
        attention_probs_dropout_prob: ("attention_probs_dropout_prob", 0.1),
        qa_dropout_prob: None,
        layer_norm_eps: Some("layer_norm_eps"),
        sinusoidal_positions: None,
    },
    class: "BertForQuestionAnswering",
    model_inputs: &["input_ids", "token_type_ids", "attention_mask"],
    positions: Positions::FromZero,
    token_types: TokenTypes::QuestionAndContext,
    pad_token_id: 0,
    drops_attention_output: true,
    prefix: "bert",
    units: &["embeddings", "encoder", "pooler"],
    // `self` is a keyword of Rust.
    names: &[
        [".attention.self.", ".attention.self_attention."],
        [".LayerNorm.", ".layer_norm."],
    ],
};

const ROBERTA: ArchitectureSpec = ArchitectureSpec {
    model_type: "roberta",
    class: "RobertaForQuestionAnswering",
    model_inputs: &["input_ids", "attention_mask"],
    positions: Positions::AfterPadding,
    token_types: TokenTypes::First,
    pad_token_id: 1,
    prefix: "roberta",
    ..BERT
};

const DISTILBERT: ArchitectureSpec = ArchitectureSpec {
    model_type: "distilbert",
    keys: ConfigKeys {
        embedding_size: None,
        hidden_size: "dim",
        num_hidden_layers: "n_layers",
        num_attention_heads: "n_heads",
        intermediate_size: "hidden_dim",
        hidden_act: ("activation", "gelu"),
        hidden_dropout_prob: ("dropout", 0.1),
        attention_probs_dropout_prob: ("attention_dropout", 0.1),
        qa_dropout_prob: Some(("qa_dropout", 0.1)),
        layer_norm_eps: None,
        sinusoidal_positions: Some("sinusoidal_pos_embds"),
    },
    class: "DistilBertForQuestionAnswering",
    model_inputs: &["input_ids", "attention_mask"],
    positions: Positions::FromZero,
    token_types: TokenTypes::None,
    pad_token_id: 0,
    drops_attention_output: false,
    prefix: "distilbert",
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
