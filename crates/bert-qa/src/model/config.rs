use std::path::Path;

use serde_json::{Map, Value, json};

use fused_ops::Activation;
use squad_data::json_problem;

use super::architecture::{
    Architecture, ArchitectureSpec, OutputDropout, Positions, RelativeAttention, TokenTypes,
};
use super::config_reader::ConfigReader;
use super::conv::ConvConfig;
use super::relative::RelativeAttentionConfig;
use super::rotary::LayerAttention;
use crate::error::Error;

/// The most encoder layers: the number of each dropout site has 16 bits.
pub(super) const MAX_LAYERS: usize = 4096;

/// Vocabularies are padded to a multiple of 8, 64 or 128.
const MAX_PADDING: usize = 128;

/// An encoder's `config.json`: sizes, dropout probabilities and initialization. Fields have the
/// names of BERT's keys, whatever the architecture.
#[derive(Clone, Debug, PartialEq)]
pub struct BertConfig {
    /// From `model_type`.
    pub architecture: Architecture,
    /// Rows of the word embedding.
    pub vocab_size: usize,
    /// Width of the embeddings; where it is not `hidden_size`, a linear layer follows them.
    pub embedding_size: usize,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Number of encoder layers.
    pub num_hidden_layers: usize,
    /// Number of layers with parameters of their own. In ALBERT, several layers in a row share theirs.
    pub num_hidden_groups: usize,
    /// Number of attention heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Rows of the position embedding. Not all of them may serve a feature: see
    /// [`BertConfig::max_seq_length`].
    pub max_position_embeddings: usize,
    /// Rows of the token-type embedding; 0 where there is none.
    pub type_vocab_size: usize,
    /// The id of the padding token.
    pub pad_token_id: usize,
    /// Added to the variance in every LayerNorm.
    pub layer_norm_eps: f64,
    /// Dropout of embeddings; [`BertConfig::hidden_dropout_prob`] where the file has no key of its own.
    pub(super) own_embedding_dropout_prob: Option<f64>,
    /// Dropout of embeddings and of sub-layer outputs; DistilBERT does not drop attention's output, ALBERT not the
    /// feed-forward layer's, and ModernBERT drops inside the feed-forward layer.
    pub hidden_dropout_prob: f64,
    /// Dropout of attention probabilities.
    pub attention_probs_dropout_prob: f64,
    /// Dropout before the span head; 0 for BERT.
    pub qa_dropout_prob: f64,
    /// Standard deviation of newly initialized weights.
    pub initializer_range: f64,
    /// The activation between the feed-forward layers.
    pub(super) hidden_act: Activation,
    /// Whether embeddings of positions are added.
    pub(super) position_biased_input: bool,
    /// What attention adds for the distance between query and key.
    pub(super) relative_attention: Option<RelativeAttentionConfig>,
    /// The convolution that joins the first layer's output.
    pub(super) conv: Option<ConvConfig>,
    /// Rotary positions and window of each layer.
    pub(super) layer_attention: Vec<LayerAttention>,
    /// Which linear layers and norms have biases.
    pub(super) biases: Biases,
    /// Whether new position embeddings are sinusoidal.
    pub(super) sinusoidal_positions: bool,
    /// The whole file: [`BertConfig::to_json`] writes its other keys unchanged.
    raw: Map<String, Value>,
}

/// Which linear layers and norms have biases. The span head has them always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Biases {
    pub(super) attention: bool,
    /// Of the feed-forward layers.
    pub(super) mlp: bool,
    pub(super) norm: bool,
    /// Of the layer before the span head.
    pub(super) classifier: bool,
}

impl Biases {
    const ALL: Self = Self {
        attention: true,
        mlp: true,
        norm: true,
        classifier: true,
    };

    /// ModernBERT's keys.
    fn read(file: &ConfigReader<'_>) -> Result<Self, String> {
        Ok(Self {
            attention: file.flag("attention_bias", false)?,
            mlp: file.flag("mlp_bias", false)?,
            norm: file.flag("norm_bias", false)?,
            classifier: file.flag("classifier_bias", false)?,
        })
    }
}

impl BertConfig {
    /// Reads and checks a `config.json`, which names the model by `model_type` or by a class of transformers in
    /// `architectures`. Missing keys have the defaults of transformers' configuration of the architecture.
    ///
    /// # Errors
    /// If the file cannot be read or parsed, a value is out of range, or the model is not supported:
    /// another model type, activation or position embedding, a decoder, pruned or quantized weights.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::read_or_guess(path, &|| Ok(None))
    }

    /// As [`BertConfig::read`]. If the file does not name the model, `guess` does.
    pub(crate) fn read_or_guess(
        path: &Path,
        guess: &dyn Fn() -> Result<Option<Architecture>, Error>,
    ) -> Result<Self, Error> {
        let text = atomic_fs::read_text(path)?;
        let wrong = |message| Error::Config {
            path: path.into(),
            message,
        };
        let mut raw = parse(&text).map_err(wrong)?;
        if !raw.contains_key("model_type") {
            let named = raw
                .get("architectures")
                .and_then(Value::as_array)
                .and_then(|names| names.first());
            // FARM has a name of its own.
            let named = named.or_else(|| raw.get("name")).and_then(Value::as_str);
            let known = named.and_then(Architecture::of_class);
            let Some(architecture) = known.map_or_else(guess, |known| Ok(Some(known)))? else {
                let class = named.map_or("no known class".to_owned(), |class| format!("{class:?}"));
                return Err(wrong(format!(
                    "no model_type, {class} in architectures, and no weights with an encoder's names: \
                     is this a Hugging Face model folder?"
                )));
            };
            let model_type = architecture.spec().model_type;
            raw.insert("model_type".into(), model_type.into());
        }
        Self::from_map(raw).map_err(wrong)
    }

    /// Takes the vocabulary's size from the word embedding's `rows` if they are its padding to a multiple of 8.
    pub(crate) fn pad_vocabulary(&mut self, rows: usize) {
        let padding = rows.saturating_sub(self.vocab_size);
        if rows.is_multiple_of(8) && (1..MAX_PADDING).contains(&padding) {
            self.vocab_size = rows;
            self.raw.insert("vocab_size".into(), rows.into());
        }
    }

    /// Whether `architectures` names a class with the head of another task, such as `ModernBertForSequenceClassification`.
    pub(crate) fn has_other_head(&self) -> bool {
        let class = self
            .raw
            .get("architectures")
            .and_then(|names| names[0].as_str());
        class.is_some_and(|class| class.contains("For") && !class.contains("QuestionAnswering"))
    }

    fn from_map(raw: Map<String, Value>) -> Result<Self, String> {
        // First, because the other keys depend on it.
        let architecture = architecture(&raw)?;
        let spec = architecture.spec();
        let keys = &spec.keys;
        refuse_unsupported(&raw, spec)?;
        let file = ConfigReader(&raw);
        let max_position_embeddings = file.size(
            "max_position_embeddings",
            Some(keys.max_position_embeddings),
        )?;
        let probability = |(key, default)| file.number(key, default);
        let hidden_size = file.size(keys.hidden_size, None)?;
        let num_hidden_layers = file.size(keys.num_hidden_layers, None)?;
        let config = Self {
            architecture,
            vocab_size: file.size("vocab_size", None)?,
            embedding_size: match keys.embedding_size {
                Some((key, default)) => file.size(key, Some(default))?,
                None => hidden_size,
            },
            hidden_size,
            num_hidden_layers,
            num_hidden_groups: match keys.num_hidden_groups {
                Some((key, default)) => file.size(key, Some(default))?,
                None => num_hidden_layers,
            },
            num_attention_heads: file.size(keys.num_attention_heads, None)?,
            intermediate_size: file.size(keys.intermediate_size, None)?,
            max_position_embeddings,
            type_vocab_size: match spec.token_types {
                TokenTypes::None => 0,
                TokenTypes::IfAny if raw.get("type_vocab_size") == Some(&0.into()) => 0,
                TokenTypes::IfAny => file.size("type_vocab_size", Some(0))?,
                TokenTypes::First | TokenTypes::QuestionAndContext => {
                    file.size("type_vocab_size", Some(2))?
                }
            },
            pad_token_id: file.id("pad_token_id", spec.pad_token_id)?,
            layer_norm_eps: match keys.layer_norm_eps {
                Some((key, default)) => file.number(key, default)?,
                None => 1e-12,
            },
            own_embedding_dropout_prob: keys.embedding_dropout_prob.map(probability).transpose()?,
            hidden_dropout_prob: probability(keys.hidden_dropout_prob)?,
            attention_probs_dropout_prob: probability(keys.attention_probs_dropout_prob)?,
            qa_dropout_prob: keys.qa_dropout_prob.map_or(Ok(0.0), probability)?,
            initializer_range: file.number("initializer_range", 0.02)?,
            hidden_act: file.activation(keys.hidden_act)?,
            position_biased_input: match keys.position_biased_input {
                Some(key) => file.flag(key, true)?,
                None => spec.positions != Positions::Rotary,
            },
            layer_attention: match spec.positions {
                Positions::Rotary => LayerAttention::of_layers(&file, num_hidden_layers)?,
                Positions::FromZero | Positions::AfterPadding => Vec::new(),
            },
            relative_attention: match spec.relative_attention {
                RelativeAttention::None => None,
                RelativeAttention::Bias => Some(RelativeAttentionConfig::MPNET),
                RelativeAttention::Disentangled => Some(RelativeAttentionConfig::disentangled(
                    &file,
                    max_position_embeddings,
                )?),
            },
            conv: match spec.relative_attention {
                RelativeAttention::Disentangled => ConvConfig::read(&file)?,
                RelativeAttention::None | RelativeAttention::Bias => None,
            },
            biases: if spec.pre_norm {
                Biases::read(&file)?
            } else {
                Biases::ALL
            },
            sinusoidal_positions: match keys.sinusoidal_positions {
                Some(key) => file.flag(key, false)?,
                None => false,
            },
            raw,
        };
        config.check(spec).map(|()| config)
    }

    fn check(&self, spec: &ArchitectureSpec) -> Result<(), String> {
        self.check_embeddings(spec)?;
        self.check_layers(spec)?;
        for (name, prob) in self.dropouts() {
            if !(0.0..1.0).contains(&prob) {
                return Err(format!(
                    "{name} is {prob}: it must be at least 0 and less than 1"
                ));
            }
        }
        if !(self.layer_norm_eps > 0.0 && self.initializer_range > 0.0) {
            return Err("layer_norm_eps and initializer_range must be positive".into());
        }
        Ok(())
    }

    fn check_embeddings(&self, spec: &ArchitectureSpec) -> Result<(), String> {
        let least = match spec.token_types {
            TokenTypes::QuestionAndContext => 2,
            // All tokens of a pair's second text would have the type 1.
            TokenTypes::IfAny if self.type_vocab_size > 0 => 2,
            _ => 0,
        };
        if self.type_vocab_size < least {
            return Err("type_vocab_size must be at least 2: question and context".into());
        }
        let (pad, rows) = (self.pad_token_id, self.max_position_embeddings);
        if pad >= self.vocab_size {
            let size = self.vocab_size;
            return Err(format!("pad_token_id {pad} is no row of vocab_size {size}"));
        }
        if self.max_seq_length() == 0 {
            return Err(format!(
                "max_position_embeddings {rows} leaves no position after pad_token_id {pad}"
            ));
        }
        Ok(())
    }

    /// Checks the numbers of layers and heads, and their sizes.
    fn check_layers(&self, spec: &ArchitectureSpec) -> Result<(), String> {
        let keys = &spec.keys;
        if self.num_hidden_layers > MAX_LAYERS {
            let (key, layers) = (keys.num_hidden_layers, self.num_hidden_layers);
            return Err(format!(
                "{key} is {layers}: it must be at most {MAX_LAYERS}"
            ));
        }
        if self.num_hidden_groups > self.num_hidden_layers {
            let (groups, layers) = (self.num_hidden_groups, self.num_hidden_layers);
            return Err(format!(
                "num_hidden_groups is {groups}: it must be at most the number of layers, {layers}"
            ));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(format!(
                "{} {} does not divide {} {}",
                keys.num_attention_heads,
                self.num_attention_heads,
                keys.hidden_size,
                self.hidden_size
            ));
        }
        let head_size = self.hidden_size / self.num_attention_heads;
        if spec.relative_attention == RelativeAttention::Disentangled {
            for (key, used) in [
                ("embedding_size", self.hidden_size),
                ("attention_head_size", head_size),
            ] {
                let value = self.raw.get(key).filter(|value| !value.is_null());
                if let Some(value) = value.filter(|value| **value != json!(used)) {
                    return Err(format!("{key} {value} is not supported: use {used}"));
                }
            }
        }
        if spec.positions == Positions::Rotary && !head_size.is_multiple_of(2) {
            return Err(format!(
                "heads of hidden_size / num_attention_heads = {head_size}: rotary positions need an even number"
            ));
        }
        Ok(())
    }

    /// Dropout probabilities with their keys.
    fn dropouts(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let keys = &self.architecture.spec().keys;
        let qa_dropout = keys.qa_dropout_prob;
        let qa_dropout = qa_dropout.map(|(key, _)| (key, self.qa_dropout_prob));
        let attention = self.attention_probs_dropout_prob;
        let embeddings = keys.embedding_dropout_prob.map(|(key, _)| key);
        let embeddings = embeddings.zip(self.own_embedding_dropout_prob);
        [
            (keys.hidden_dropout_prob.0, self.hidden_dropout_prob),
            (keys.attention_probs_dropout_prob.0, attention),
        ]
        .into_iter()
        .chain(qa_dropout)
        .chain(embeddings)
    }

    /// The most tokens that a feature may have.
    pub fn max_seq_length(&self) -> usize {
        let rows = self.max_position_embeddings;
        match self.architecture.spec().positions {
            Positions::FromZero | Positions::Rotary => rows,
            Positions::AfterPadding => rows.saturating_sub(self.pad_token_id + 1),
        }
    }

    /// Whether a linear layer follows the embeddings.
    pub(super) fn projects_embeddings(&self) -> bool {
        self.architecture.spec().always_projects_embeddings
            || self.embedding_size != self.hidden_size
    }

    /// Dropout of the second feed-forward layer.
    pub(super) fn layer_output_dropout_prob(&self) -> f64 {
        if self.architecture.spec().drops_layer_output {
            self.hidden_dropout_prob
        } else {
            0.0
        }
    }

    /// Dropout of attention's output projection.
    pub(super) fn attention_output_dropout_prob(&self) -> f64 {
        match self.architecture.spec().attention_output_dropout {
            OutputDropout::None => 0.0,
            OutputDropout::Hidden => self.hidden_dropout_prob,
            OutputDropout::Probabilities => self.attention_probs_dropout_prob,
        }
    }

    /// Dropout of embeddings.
    pub(super) fn embedding_dropout_prob(&self) -> f64 {
        self.own_embedding_dropout_prob
            .unwrap_or(self.hidden_dropout_prob)
    }

    /// The `config.json` to save beside a question-answering model's weights: the loaded one with
    /// `architectures`, `dtype` and dropout probabilities set.
    pub fn to_json(&self) -> String {
        let mut map = self.raw.clone();
        let class = self.architecture.spec().class;
        map.insert("architectures".into(), json!([class]));
        // transformers loads weights in this precision; the first is the key's old name.
        for key in ["torch_dtype", "dtype"] {
            map.entry(key).and_modify(|dtype| *dtype = "float32".into());
        }
        // Labels of a classification head: transformers would give the span head as many outputs.
        let labels = map.get("id2label").and_then(Value::as_object).map(Map::len);
        if labels.is_some_and(|labels| labels != 2) {
            for key in ["id2label", "label2id", "num_labels"] {
                map.remove(key);
            }
        }
        // transformers 5 cannot use null.
        let local = self.layer_attention.iter().find(|of| of.window.is_some());
        if let (Some(theta @ Value::Null), Some(local)) = (map.get_mut("local_rope_theta"), local) {
            *theta = local.rotary.theta.into();
        }
        for (key, prob) in self.dropouts() {
            map.insert(key.into(), prob.into());
        }
        let mut text = serde_json::to_string_pretty(&map).expect("a JSON map can be written");
        text.push('\n');
        text
    }
}

fn parse(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| json_problem(text, &error))
}

fn architecture(raw: &Map<String, Value>) -> Result<Architecture, String> {
    let model_type = raw.get("model_type").and_then(Value::as_str);
    let model_type = model_type.ok_or("no model_type: is this a Hugging Face model folder?")?;
    Architecture::of_model_type(model_type).ok_or_else(|| {
        let known = Architecture::ALL
            .iter()
            .map(|known| known.spec().model_type);
        let known: Vec<_> = known.collect();
        format!(
            "model_type {model_type:?} is not supported: use one of {}",
            known.join(", ")
        )
    })
}

/// Refuses values that this crate's forward pass does not support.
fn refuse_unsupported(raw: &Map<String, Value>, spec: &ArchitectureSpec) -> Result<(), String> {
    let fixed = spec.fixed.iter().map(|(key, value)| {
        let value = serde_json::from_str(value).expect("the table has JSON");
        (*key, value)
    });
    for (key, supported) in [
        ("position_embedding_type", json!("absolute")),
        ("is_decoder", json!(false)),
        ("add_cross_attention", json!(false)),
        ("pruned_heads", json!({})),
    ]
    .into_iter()
    .chain(fixed)
    {
        match raw.get(key) {
            None | Some(Value::Null) => {}
            Some(value) if *value == supported => {}
            Some(value) => {
                return Err(format!("{key} {value} is not supported: use {supported}"));
            }
        }
    }
    match raw.get("quantization_config") {
        None | Some(Value::Null) => Ok(()),
        Some(_) => Err("quantization_config: quantized weights are not supported".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use burn::tensor::{Tensor, TensorData};

    use super::*;
    use crate::model::config_reader::ACTIVATIONS;

    const BERT: &str = r#"{"model_type": "bert", "vocab_size": 30, "hidden_size": 8,
    "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "extra": 1}"#;
    const DISTILBERT: &str = r#"{"model_type": "distilbert", "vocab_size": 30, "dim": 8,
    "n_layers": 2, "n_heads": 2, "hidden_dim": 16, "qa_dropout": 0.3, "extra": 1}"#;
    const ALBERT: &str = r#"{"model_type": "albert", "vocab_size": 30, "hidden_size": 8,
    "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "extra": 1}"#;
    const ROBERTA: &str = r#"{"model_type": "roberta", "vocab_size": 30, "hidden_size": 8,
    "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "type_vocab_size": 1, "extra": 1}"#;

    const MPNET: &str = r#"{"model_type": "mpnet", "vocab_size": 30, "hidden_size": 8,
    "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "extra": 1}"#;
    const DEBERTA: &str = r#"{"model_type": "deberta-v2", "vocab_size": 30, "hidden_size": 8,
    "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "relative_attention": true, "pos_att_type": "p2c|c2p", "extra": 1}"#;
    const MODERNBERT: &str = r#"{"model_type": "modernbert", "vocab_size": 30, "hidden_size": 8,
    "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 16,
    "pad_token_id": 0, "extra": 1}"#;

    impl BertConfig {
        fn from_json(text: &str) -> Result<Self, String> {
            Self::from_map(parse(text)?)
        }
    }

    #[test]
    fn deberta_reads_its_keys_in_each_form() {
        let relative = |extra: &str| {
            let text = DEBERTA.replace("\"extra\": 1", extra);
            let config = BertConfig::from_json(&text).unwrap();
            (config.type_vocab_size, config.relative_attention.unwrap())
        };
        let (types, plain) = relative("\"max_relative_positions\": -1");
        assert_eq!(
            (types, plain.share_att_key, plain.normalize),
            (0, false, false)
        );
        assert_eq!(plain.buckets.rows(), 1024);
        let v3 =
            "\"position_buckets\": 256, \"share_att_key\": true, \"norm_rel_ebd\": \"layer_norm\"";
        let (_, v3) = relative(v3);
        assert_eq!(
            (v3.buckets.rows(), v3.share_att_key, v3.normalize),
            (512, true, true)
        );
        let list = DEBERTA.replace("\"p2c|c2p\"", "[\"p2c\", \"c2p\"]");
        let list = BertConfig::from_json(&list).unwrap();
        assert_eq!(list.relative_attention, Some(plain));
    }

    #[test]
    fn deberta_has_a_convolution_where_the_file_has_one() {
        let conv = |extra: &str| {
            let config = BertConfig::from_json(&DEBERTA.replace("\"extra\": 1", extra));
            config.unwrap().conv
        };
        for none in [
            "\"extra\": 1",
            "\"conv_kernel_size\": 0, \"conv_groups\": 4",
        ] {
            assert_eq!(conv(none), None);
        }
        let xlarge = "\"conv_kernel_size\": 3, \"conv_act\": \"gelu\"";
        let expected = ConvConfig {
            kernel_size: 3,
            activation: Activation::Gelu,
        };
        assert_eq!(conv(xlarge), Some(expected));
    }

    /// Values and slopes of transformers' activations.
    #[derive(serde::Deserialize)]
    struct Reference {
        inputs: Vec<f32>,
        activations: BTreeMap<String, [Vec<f32>; 2]>,
    }

    /// Values are below 12, where neighbouring numbers are 1e-6 apart.
    #[test]
    #[allow(deprecated)] // Burn marks NdArray as superseded; this project runs on it.
    fn activations_equal_transformers_by_all_their_names() {
        let text = include_str!("../../tests/fixtures/activations.json");
        let reference: Reference = serde_json::from_str(text).unwrap();
        let names = reference.activations.keys().map(String::as_str);
        let known: BTreeSet<_> = ACTIVATIONS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.collect::<BTreeSet<_>>(), known);
        let device = burn::tensor::Device::ndarray().autodiff();
        let column = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [values.len(), 1]);
            Tensor::<2>::from_data(data, &device)
        };
        let numbers = |tensor: Tensor<2>| tensor.into_data().iter::<f32>().collect::<Vec<_>>();
        for act in ["hidden_act", "activation"] {
            let (text, last) = match act {
                "activation" => (DISTILBERT, "\"qa_dropout\": 0.3"),
                _ => (BERT, "\"extra\": 1"),
            };
            for (name, expected) in &reference.activations {
                let text = text.replace(last, &format!("\"{act}\": \"{name}\""));
                let activation = BertConfig::from_json(&text).unwrap().hidden_act;
                let input = column(&reference.inputs).require_grad();
                let bias = Tensor::zeros([1], &device);
                let output = fused_ops::linear(input.clone(), column(&[1.0]), bias, activation);
                let gradients = output.clone().sum().backward();
                let slopes = Tensor::from_inner(input.grad(&gradients).unwrap());
                for (ours, expected) in [output, slopes].map(numbers).iter().zip(expected) {
                    let error = ours.iter().zip(expected).map(|(a, b)| (a - b).abs());
                    let error = error.fold(0.0, f32::max);
                    assert!(error < 3e-6, "{name}: {error}");
                }
            }
        }
        // Negative control: the two kinds of GELU are 4e-4 apart.
        let of = |name: &str| &reference.activations[name][0];
        let pairs = of("gelu").iter().zip(of("gelu_new"));
        assert!(pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) > 1e-4);
    }

    #[test]
    fn modernbert_reads_layers_and_thetas_in_each_form() {
        let layers = |extra: &str| {
            let text = MODERNBERT.replace("\"extra\": 1", extra);
            let layers = BertConfig::from_json(&text).unwrap().layer_attention;
            let layers = layers
                .iter()
                .map(|layer| (layer.rotary.theta, layer.window));
            layers.collect::<Vec<_>>()
        };
        let (global, local) = ((160_000.0, None), (10_000.0, Some(64)));
        assert_eq!(layers("\"extra\": 1"), [global, local, local, global]);
        let older =
            "\"global_rope_theta\": 500.0, \"local_rope_theta\": 200.0, \"local_attention\": 8,
            \"global_attn_every_n_layers\": 2";
        let (global, local) = ((500.0, None), (200.0, Some(4)));
        assert_eq!(layers(older), [global, local, global, local]);
        // transformers 4: the theta of global layers.
        let null = "\"global_rope_theta\": 500.0, \"local_rope_theta\": null";
        assert_eq!(layers(null)[1], (500.0, Some(64)));
        let config = BertConfig::from_json(&MODERNBERT.replace("\"extra\": 1", null));
        let saved = config.unwrap().to_json();
        assert!(saved.contains("\"local_rope_theta\": 500.0"), "{saved}");
        let newer = "\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 500.0, \"rope_type\": \"default\"},
            \"sliding_attention\": {\"rope_theta\": 200.0}}, \"local_attention\": 8, \"layer_types\":
            [\"sliding_attention\", \"full_attention\", \"full_attention\", \"sliding_attention\"]";
        assert_eq!(layers(newer), [local, global, global, local]);
    }

    #[test]
    fn from_json_reads_known_keys_and_keeps_the_others() {
        for (text, class, types, dropouts) in [
            (BERT, "BertForQuestionAnswering", 2, [0.1, 0.1, 0.0]),
            (
                DISTILBERT,
                "DistilBertForQuestionAnswering",
                0,
                [0.0, 0.1, 0.3],
            ),
        ] {
            let config = BertConfig::from_json(text).unwrap();
            let shape = (config.hidden_size, config.num_hidden_layers);
            assert_eq!((shape, config.max_position_embeddings), ((8, 2), 512));
            assert_eq!(
                (config.num_attention_heads, config.intermediate_size),
                (2, 16)
            );
            assert_eq!(
                (config.layer_norm_eps, config.type_vocab_size),
                (1e-12, types)
            );
            let attention_output = config.attention_output_dropout_prob();
            let found = [
                attention_output,
                config.hidden_dropout_prob,
                config.qa_dropout_prob,
            ];
            assert_eq!(found, dropouts);
            let saved = BertConfig::from_json(&config.to_json()).unwrap();
            assert_eq!(
                (&saved.raw["extra"], &saved.raw["architectures"][0]),
                (&1.into(), &class.into())
            );
            assert_eq!(saved.raw.contains_key("hidden_dropout_prob"), text == BERT);
        }
    }

    #[test]
    fn albert_has_defaults_of_its_own() {
        let config = BertConfig::from_json(ALBERT).unwrap();
        assert_eq!((config.embedding_size, config.num_hidden_groups), (128, 1));
        assert_eq!(config.hidden_act, Activation::GeluTanh);
        assert_eq!(config.hidden_dropout_prob, 0.0);
        let dropout = ALBERT.replace("\"extra\": 1", "\"hidden_dropout_prob\": 0.1");
        let config = BertConfig::from_json(&dropout).unwrap();
        let attention_output = config.attention_output_dropout_prob();
        assert_eq!(
            (attention_output, config.layer_output_dropout_prob()),
            (0.1, 0.0)
        );
        let bert = BertConfig::from_json(BERT).unwrap();
        assert_eq!((bert.embedding_size, bert.num_hidden_groups), (8, 2));
        assert_eq!(bert.hidden_act, Activation::Gelu);
    }

    #[test]
    fn positions_of_roberta_begin_after_the_padding_token() {
        for (text, rows, tokens) in [
            (BERT, "\"max_position_embeddings\": 514", 514),
            (ROBERTA, "\"max_position_embeddings\": 514", 512),
            (
                ROBERTA,
                "\"max_position_embeddings\": 514, \"pad_token_id\": 0",
                513,
            ),
        ] {
            let config = BertConfig::from_json(&text.replace("\"extra\": 1", rows)).unwrap();
            assert_eq!(config.max_seq_length(), tokens, "{text}");
        }
    }

    #[test]
    fn labels_of_a_classification_head_are_not_saved() {
        for (labels, kept) in [
            (r#"{"0": "a", "1": "b", "2": "c"}"#, false),
            (r#"{"0": "a", "1": "b"}"#, true),
        ] {
            let text = BERT.replace("\"extra\"", &format!("\"id2label\": {labels}, \"extra\""));
            let saved = BertConfig::from_json(&text).unwrap().to_json();
            assert_eq!(saved.contains("id2label"), kept, "{saved}");
        }
    }

    #[test]
    fn unsupported_values_are_errors_that_name_the_key() {
        let extra = "\"extra\": 1";
        for (text, from, to, named) in [
            (BERT, "\"bert\"", "\"xlnet\"", "\"xlnet\""),
            (BERT, "\"bert\"", "\"xlnet\"", "distilbert, roberta"),
            (BERT, "\"model_type\": \"bert\", ", "", "model_type"),
            (BERT, extra, "\"hidden_act\": \"mish\"", "\"mish\""),
            (
                DISTILBERT,
                extra,
                "\"activation\": \"mish\"",
                "one of gelu, gelu_python",
            ),
            (
                BERT,
                extra,
                "\"position_embedding_type\": \"relative_key\"",
                "relative_key",
            ),
            (BERT, extra, "\"is_decoder\": true", "is_decoder"),
            (
                BERT,
                extra,
                "\"add_cross_attention\": true",
                "add_cross_attention",
            ),
            (
                BERT,
                extra,
                "\"pruned_heads\": {\"0\": [1]}",
                "pruned_heads",
            ),
            (
                BERT,
                extra,
                "\"quantization_config\": {\"bits\": 4}",
                "quantization_config",
            ),
            (
                BERT,
                "\"num_attention_heads\": 2",
                "\"num_attention_heads\": 3",
                "num_attention_heads 3",
            ),
            (
                DISTILBERT,
                "\"n_heads\": 2",
                "\"n_heads\": 3",
                "n_heads 3 does not divide dim 8",
            ),
            (
                BERT,
                "\"hidden_size\": 8,",
                "\"hidden_size\": 0,",
                "hidden_size is 0",
            ),
            (BERT, "\"hidden_size\": 8,", "\"dim\": 8,", "no hidden_size"),
            (DISTILBERT, "\"dim\": 8,", "\"hidden_size\": 8,", "no dim"),
            (
                BERT,
                "\"num_hidden_layers\": 2",
                "\"num_hidden_layers\": 5000",
                "4096",
            ),
            (
                BERT,
                extra,
                "\"hidden_dropout_prob\": 1.5",
                "hidden_dropout_prob is 1.5",
            ),
            (
                DISTILBERT,
                "\"qa_dropout\": 0.3",
                "\"qa_dropout\": \"x\"",
                "qa_dropout is \"x\"",
            ),
            (
                DISTILBERT,
                extra,
                "\"sinusoidal_pos_embds\": \"yes\"",
                "sinusoidal_pos_embds is \"yes\"",
            ),
            (BERT, extra, "\"type_vocab_size\": 1", "type_vocab_size"),
            (BERT, extra, "\"layer_norm_eps\": 0", "layer_norm_eps"),
            (ALBERT, extra, "\"inner_group_num\": 2", "inner_group_num 2"),
            (
                ALBERT,
                extra,
                "\"num_hidden_groups\": 3",
                "num_hidden_groups is 3",
            ),
            (ALBERT, extra, "\"hidden_act\": 1", "hidden_act 1"),
            (
                ALBERT,
                extra,
                "\"embedding_size\": 0",
                "embedding_size is 0",
            ),
            (ROBERTA, extra, "\"pad_token_id\": 30", "pad_token_id 30"),
            (ROBERTA, extra, "\"pad_token_id\": -1", "pad_token_id is -1"),
            (
                ROBERTA,
                extra,
                "\"max_position_embeddings\": 2",
                "leaves no position",
            ),
            (
                MPNET,
                extra,
                "\"relative_attention_num_buckets\": 64",
                "relative_attention_num_buckets 64",
            ),
            (MPNET, extra, "\"pad_token_id\": 0", "pad_token_id 0"),
            (
                DEBERTA,
                extra,
                "\"conv_kernel_size\": 4",
                "conv_kernel_size 4",
            ),
            (
                DEBERTA,
                extra,
                "\"conv_kernel_size\": 65",
                "conv_kernel_size 65",
            ),
            (
                DEBERTA,
                extra,
                "\"conv_kernel_size\": 3, \"conv_groups\": 2",
                "conv_groups 2",
            ),
            (
                DEBERTA,
                extra,
                "\"conv_kernel_size\": 3, \"conv_act\": \"mish\"",
                "conv_act \"mish\"",
            ),
            (
                DEBERTA,
                "\"relative_attention\": true, ",
                "",
                "relative_attention false",
            ),
            (DEBERTA, "\"p2c|c2p\"", "\"p2p\"", "pos_att_type"),
            (DEBERTA, "\"p2c|c2p\"", "[]", "pos_att_type []"),
            (
                DEBERTA,
                extra,
                "\"position_buckets\": 2",
                "position_buckets 2",
            ),
            (
                DEBERTA,
                extra,
                "\"position_buckets\": 1048576",
                "position_buckets 1048576",
            ),
            (
                DEBERTA,
                extra,
                "\"norm_rel_ebd\": \"batch_norm\"",
                "batch_norm",
            ),
            (DEBERTA, extra, "\"embedding_size\": 4", "embedding_size"),
            (
                DEBERTA,
                extra,
                "\"attention_head_size\": 8",
                "attention_head_size",
            ),
            (DEBERTA, extra, "\"type_vocab_size\": 1", "type_vocab_size"),
            (MODERNBERT, extra, "\"mlp_bias\": 1", "mlp_bias is 1"),
            (MODERNBERT, extra, "\"hidden_activation\": \"silu\"", "silu"),
            (
                MODERNBERT,
                extra,
                "\"layer_types\": [\"full_attention\"]",
                "layer_types has 1 layers",
            ),
            (
                MODERNBERT,
                extra,
                "\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"yarn\"}}",
                "yarn",
            ),
            (
                MODERNBERT,
                extra,
                "\"global_rope_theta\": 0",
                "rope_theta of full_attention",
            ),
            (
                MODERNBERT,
                "\"num_attention_heads\": 2",
                "\"num_attention_heads\": 8",
                "even number",
            ),
        ] {
            assert_eq!(text.matches(from).count(), 1, "{from}");
            let error = BertConfig::from_json(&text.replace(from, to)).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
        // Keys that do not change the result, and explicit defaults.
        for harmless in [
            "\"chunk_size_feed_forward\": 8",
            "\"is_decoder\": false",
            "\"hidden_act\": null",
        ] {
            let text = BERT.replace(extra, harmless);
            assert!(BertConfig::from_json(&text).is_ok(), "{harmless}");
        }
    }
}
