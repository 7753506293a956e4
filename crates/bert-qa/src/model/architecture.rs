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
    /// What attention adds for the distance between query and key.
    pub(crate) relative_attention: RelativeAttention,
    /// Whether norms stand before attention and feed-forward layer, which is gated, and not after them.
    pub(crate) pre_norm: bool,
    /// Keys of `config.json` that have but one supported value, in JSON, which is the default too.
    pub(crate) fixed: &'static [(&'static str, &'static str)],
    /// Which probability the dropout after attention's output projection has.
    pub(crate) attention_output_dropout: OutputDropout,
    /// Whether a linear layer follows the embeddings also where they are as wide as hidden states.
    pub(crate) always_projects_embeddings: bool,
    /// Whether the second feed-forward layer is followed by dropout.
    pub(crate) drops_layer_output: bool,
    /// The prefix of parameter names in Hugging Face's files.
    pub(crate) prefix: &'static str,
    /// The encoder's child modules: what parameter names begin with in files that lack the prefix.
    pub(crate) children: &'static [&'static str],
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
    /// None: queries and keys are rotated by their positions.
    Rotary,
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
    /// As `QuestionAndContext`, where `type_vocab_size` is not 0.
    IfAny,
}

/// Dropout after attention's output projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputDropout {
    /// There is none.
    None,
    /// That of hidden states.
    Hidden,
    /// That of attention's probabilities.
    Probabilities,
}

/// What attention adds for the distance between query and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RelativeAttention {
    /// Nothing.
    None,
    /// A learned bias for each head and bucket of distances, of which all layers share the table.
    Bias,
    /// DeBERTa's dot products of content and position.
    Disentangled,
}

/// Keys of `config.json`, some with transformers' default. `None`: the architecture has no such key.
#[derive(Debug)]
pub(crate) struct ConfigKeys {
    /// Without the key, embeddings are as wide as hidden states.
    pub(crate) embedding_size: Option<(&'static str, usize)>,
    pub(crate) hidden_size: &'static str,
    pub(crate) num_hidden_layers: &'static str,
    /// Without the key, every layer has parameters of its own.
    pub(crate) num_hidden_groups: Option<(&'static str, usize)>,
    pub(crate) num_attention_heads: &'static str,
    pub(crate) intermediate_size: &'static str,
    pub(crate) hidden_act: (&'static str, &'static str),
    /// Without the key, as `hidden_dropout_prob`.
    pub(crate) embedding_dropout_prob: Option<(&'static str, f64)>,
    pub(crate) hidden_dropout_prob: (&'static str, f64),
    pub(crate) attention_probs_dropout_prob: (&'static str, f64),
    /// Without the key, there is no dropout before the span head.
    pub(crate) qa_dropout_prob: Option<(&'static str, f64)>,
    /// Without the key, it is 1e-12.
    pub(crate) layer_norm_eps: Option<(&'static str, f64)>,
    /// Without the key, embeddings of positions are added.
    pub(crate) position_biased_input: Option<&'static str>,
    /// The default of `max_position_embeddings`.
    pub(crate) max_position_embeddings: usize,
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

            pub(super) fn map(self, change: impl FnOnce(BertModel) -> BertModel) -> Self {
                match self {
                    $(Self::$name(model) => Self::$name(change(model)),)+
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
    /// MPNet (Song et al. 2020): RoBERTa's positions, no token types, and a bias for distances.
    MpNet: MPNET,
    /// DeBERTa-v2 and v3 (He et al. 2021): disentangled attention.
    DebertaV2: DEBERTA_V2,
    /// ModernBERT (Warner et al. 2024): rotary positions, sliding windows, norms before, a gated feed-forward layer.
    ModernBert: MODERNBERT,
    /// ELECTRA (Clark et al. 2020): BERT whose embeddings may have another width.
    Electra: ELECTRA,
    /// ALBERT (Lan et al. 2020): narrow embeddings, layers that share parameters, and GELU by `tanh`.
    Albert: ALBERT,
}

impl Architecture {
    /// The architecture with this `model_type` in `config.json`.
    pub(crate) fn of_model_type(model_type: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|architecture| architecture.spec().model_type == model_type)
    }

    /// The architecture of a class of transformers, such as `BertForMaskedLM`, or of FARM's name for
    /// it.
    pub(crate) fn of_class(class: &str) -> Option<Self> {
        let class = class.to_ascii_lowercase();
        let is_ours = |architecture: &Self| {
            let ours = architecture.spec().class.to_ascii_lowercase();
            let ours = ours.trim_end_matches("forquestionanswering");
            class.strip_prefix(ours).is_some_and(|rest| {
                rest.is_empty()
                    || ["model", "for", "pretrain"]
                        .iter()
                        .any(|next| rest.starts_with(next))
            })
        };
        Self::ALL.iter().copied().find(is_ours)
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
        num_hidden_groups: None,
        num_attention_heads: "num_attention_heads",
        intermediate_size: "intermediate_size",
        hidden_act: ("hidden_act", "gelu"),
        embedding_dropout_prob: None,
        hidden_dropout_prob: ("hidden_dropout_prob", 0.1),
        attention_probs_dropout_prob: ("attention_probs_dropout_prob", 0.1),
        qa_dropout_prob: None,
        layer_norm_eps: Some(("layer_norm_eps", 1e-12)),
        position_biased_input: None,
        max_position_embeddings: 512,
        sinusoidal_positions: None,
    },
    class: "BertForQuestionAnswering",
    model_inputs: &["input_ids", "token_type_ids", "attention_mask"],
    positions: Positions::FromZero,
    token_types: TokenTypes::QuestionAndContext,
    pad_token_id: 0,
    relative_attention: RelativeAttention::None,
    pre_norm: false,
    fixed: &[],
    attention_output_dropout: OutputDropout::Hidden,
    always_projects_embeddings: false,
    drops_layer_output: true,
    prefix: "bert",
    children: &["embeddings", "encoder", "pooler"],
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

const MPNET: ArchitectureSpec = ArchitectureSpec {
    model_type: "mpnet",
    class: "MPNetForQuestionAnswering",
    token_types: TokenTypes::None,
    relative_attention: RelativeAttention::Bias,
    // transformers uses 32 buckets and the padding token 1 whatever the keys say.
    fixed: &[
        ("relative_attention_num_buckets", "32"),
        ("pad_token_id", "1"),
    ],
    prefix: "mpnet",
    names: &[
        [".attention.attn.q.", ".attention.self_attention.query."],
        [".attention.attn.k.", ".attention.self_attention.key."],
        [".attention.attn.v.", ".attention.self_attention.value."],
        [".attention.attn.o.", ".attention.output.dense."],
        [".attention.LayerNorm.", ".attention.output.layer_norm."],
        [".LayerNorm.", ".layer_norm."],
    ],
    ..ROBERTA
};

const DEBERTA_V2: ArchitectureSpec = ArchitectureSpec {
    model_type: "deberta-v2",
    keys: ConfigKeys {
        layer_norm_eps: Some(("layer_norm_eps", 1e-7)),
        position_biased_input: Some("position_biased_input"),
        ..BERT.keys
    },
    class: "DebertaV2ForQuestionAnswering",
    token_types: TokenTypes::IfAny,
    relative_attention: RelativeAttention::Disentangled,
    prefix: "deberta",
    names: &[
        [
            ".attention.self.query_proj.",
            ".attention.self_attention.query.",
        ],
        [
            ".attention.self.key_proj.",
            ".attention.self_attention.key.",
        ],
        [
            ".attention.self.value_proj.",
            ".attention.self_attention.value.",
        ],
        [".attention.self.", ".attention.self_attention."],
        [".LayerNorm.", ".layer_norm."],
    ],
    ..BERT
};

const ELECTRA: ArchitectureSpec = ArchitectureSpec {
    model_type: "electra",
    keys: ConfigKeys {
        embedding_size: Some(("embedding_size", 128)),
        ..BERT.keys
    },
    class: "ElectraForQuestionAnswering",
    prefix: "electra",
    children: &["embeddings", "embeddings_project", "encoder"],
    ..BERT
};

const ALBERT: ArchitectureSpec = ArchitectureSpec {
    model_type: "albert",
    keys: ConfigKeys {
        embedding_size: Some(("embedding_size", 128)),
        num_hidden_groups: Some(("num_hidden_groups", 1)),
        hidden_act: ("hidden_act", "gelu_new"),
        hidden_dropout_prob: ("hidden_dropout_prob", 0.0),
        attention_probs_dropout_prob: ("attention_probs_dropout_prob", 0.0),
        ..BERT.keys
    },
    class: "AlbertForQuestionAnswering",
    fixed: &[("inner_group_num", "1")],
    always_projects_embeddings: true,
    drops_layer_output: false,
    prefix: "albert",
    names: &[
        [
            ".encoder.embedding_hidden_mapping_in.",
            ".embeddings_project.",
        ],
        [".encoder.albert_layer_groups.", ".encoder.layer."],
        [
            ".albert_layers.0.attention.query.",
            ".attention.self_attention.query.",
        ],
        [
            ".albert_layers.0.attention.key.",
            ".attention.self_attention.key.",
        ],
        [
            ".albert_layers.0.attention.value.",
            ".attention.self_attention.value.",
        ],
        [
            ".albert_layers.0.attention.dense.",
            ".attention.output.dense.",
        ],
        [
            ".albert_layers.0.attention.LayerNorm.",
            ".attention.output.layer_norm.",
        ],
        [".albert_layers.0.ffn.", ".intermediate.dense."],
        [".albert_layers.0.ffn_output.", ".output.dense."],
        [
            ".albert_layers.0.full_layer_layer_norm.",
            ".output.layer_norm.",
        ],
        [".LayerNorm.", ".layer_norm."],
    ],
    ..BERT
};

const MODERNBERT: ArchitectureSpec = ArchitectureSpec {
    model_type: "modernbert",
    keys: ConfigKeys {
        hidden_act: ("hidden_activation", "gelu"),
        embedding_dropout_prob: Some(("embedding_dropout", 0.0)),
        hidden_dropout_prob: ("mlp_dropout", 0.0),
        attention_probs_dropout_prob: ("attention_dropout", 0.0),
        qa_dropout_prob: Some(("classifier_dropout", 0.0)),
        layer_norm_eps: Some(("norm_eps", 1e-5)),
        max_position_embeddings: 8192,
        ..BERT.keys
    },
    class: "ModernBertForQuestionAnswering",
    model_inputs: &["input_ids", "attention_mask"],
    positions: Positions::Rotary,
    token_types: TokenTypes::None,
    pad_token_id: 50283,
    pre_norm: true,
    fixed: &[
        ("classifier_activation", "\"gelu\""),
        ("hidden_activation", "\"gelu\""),
        ("rope_scaling", "null"),
    ],
    attention_output_dropout: OutputDropout::Probabilities,
    prefix: "model",
    children: &["embeddings", "layers", "final_norm"],
    names: &[
        [
            ".embeddings.tok_embeddings.",
            ".embeddings.word_embeddings.",
        ],
        [".embeddings.norm.", ".embeddings.layer_norm."],
        [".layers.", ".encoder.layer."],
        [".attn_norm.", ".attention.layer_norm."],
        [".attn.Wqkv.", ".attention.self_attention.qkv."],
        [".attn.Wo.", ".attention.output.dense."],
        [".mlp_norm.", ".intermediate.layer_norm."],
        [".mlp.Wi.", ".intermediate.dense."],
        [".mlp.Wo.", ".output.dense."],
    ],
    ..BERT
};

const DISTILBERT: ArchitectureSpec = ArchitectureSpec {
    model_type: "distilbert",
    keys: ConfigKeys {
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
        ..BERT.keys
    },
    class: "DistilBertForQuestionAnswering",
    model_inputs: &["input_ids", "attention_mask"],
    token_types: TokenTypes::None,
    attention_output_dropout: OutputDropout::None,
    prefix: "distilbert",
    children: &["embeddings", "transformer"],
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
    ..BERT
};
