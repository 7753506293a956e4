//! Every architecture loads and saves with transformers' names.

use bert_qa::{Architecture, BertConfig, BertForQuestionAnswering, Pretrained};

use crate::case::{CASES, Case, batch};
use crate::common::{assert_says, cpu, edit, load, logits, refusal};
use crate::tensors::{Value, by_name, read_tensors};

fn prefix(name: &str) -> &'static str {
    match name {
        "distilbert" => "distilbert.",
        "roberta" | "camembert" | "xlm-roberta" => "roberta.",
        "mpnet" => "mpnet.",
        "modernbert" | "modernbert-bias" => "model.",
        "deberta-v2" | "deberta-v2-conv" | "deberta-v3" => "deberta.",
        "electra" | "electra-base" => "electra.",
        "albert" | "albert-groups" => "albert.",
        _ => "bert.",
    }
}

/// A tensor's name with the prefix, which the file may lack.
fn full(name: &str, tensor: &str) -> String {
    let outside = ["qa_outputs.", "head.", "classifier.", prefix(name)];
    if outside.iter().any(|part| tensor.starts_with(part)) {
        tensor.to_owned()
    } else {
        format!("{}{tensor}", prefix(name))
    }
}

/// A pooler is reported as unexpected.
#[test]
fn parameter_names_may_lack_the_prefix() {
    for name in CASES {
        let case = Case::read(name);
        let with = |tensor: &str| full(name, tensor);
        let without = |tensor: &str| tensor.trim_start_matches(prefix(name)).to_owned();
        let with = load(case.model_with(with, |_, _| None).path());
        let without = load(case.model_with(without, |_, _| None).path());
        assert_eq!(with, without, "{name}");

        let (values, report) = with;
        let mut names: Vec<String> = case.tensors.iter().map(|t| full(name, &t.0)).collect();
        names.sort();
        let (pooler, parameters): (Vec<_>, Vec<_>) = names
            .into_iter()
            .partition(|tensor| tensor.contains("pooler"));
        assert!(values.keys().eq(&parameters), "{name}");
        assert_eq!((report.loaded, report.unexpected), (parameters, pooler));
        assert!(report.missing.is_empty());
    }
}

/// ModernBERT's heads of all tasks have one name.
#[test]
fn a_classifier_of_another_task_is_no_span_head() {
    const HEAD: [&str; 2] = ["classifier.bias", "classifier.weight"];
    let folder = Case::read("modernbert").model_with(str::to_owned, |_, _| None);
    let span_head = load(folder.path()).1;
    assert!(span_head.missing.is_empty() && span_head.unexpected.is_empty());
    edit(
        &folder.path().join("config.json"),
        "ModernBertForQuestionAnswering",
        "ModernBertForSequenceClassification",
    );
    let report = load(folder.path()).1;
    assert_eq!(
        (&*report.missing, &*report.unexpected),
        (&HEAD.map(String::from)[..], &HEAD.map(String::from)[..])
    );
}

#[test]
fn a_saved_model_keeps_its_architecture() {
    for (name, architecture, class, inputs) in [
        (
            "bert-cased",
            Architecture::Bert,
            "BertForQuestionAnswering",
            3,
        ),
        (
            "distilbert",
            Architecture::DistilBert,
            "DistilBertForQuestionAnswering",
            2,
        ),
        (
            "roberta",
            Architecture::Roberta,
            "RobertaForQuestionAnswering",
            2,
        ),
        (
            "camembert",
            Architecture::Camembert,
            "CamembertForQuestionAnswering",
            2,
        ),
        (
            "xlm-roberta",
            Architecture::XlmRoberta,
            "XLMRobertaForQuestionAnswering",
            2,
        ),
        ("mpnet", Architecture::MpNet, "MPNetForQuestionAnswering", 2),
        (
            "deberta-v3",
            Architecture::DebertaV2,
            "DebertaV2ForQuestionAnswering",
            3,
        ),
        (
            "deberta-v2-conv",
            Architecture::DebertaV2,
            "DebertaV2ForQuestionAnswering",
            3,
        ),
        (
            "modernbert",
            Architecture::ModernBert,
            "ModernBertForQuestionAnswering",
            2,
        ),
        (
            "electra",
            Architecture::Electra,
            "ElectraForQuestionAnswering",
            3,
        ),
        (
            "albert-groups",
            Architecture::Albert,
            "AlbertForQuestionAnswering",
            3,
        ),
    ] {
        let case = Case::read(name);
        let folder = case.model();
        let loaded = Pretrained::load(folder.path(), 0, &cpu()).unwrap();
        assert_eq!(loaded.model.architecture(), architecture);
        let saved = folder.path().join("saved");
        loaded.assets.save(&loaded.model, &saved).unwrap();
        let values = by_name(&loaded.model, Value);
        assert_eq!(read_tensors(&saved.join("model.safetensors")), values);
        assert_eq!(load(&saved).0, values);

        let json = |file: &str| -> serde_json::Value {
            serde_json::from_slice(&std::fs::read(saved.join(file)).unwrap()).unwrap()
        };
        assert_eq!(
            json("config.json")["architectures"],
            serde_json::json!([class])
        );
        // transformers' DistilBERT fails if it gets token types.
        let names = json("tokenizer_config.json")["model_input_names"].clone();
        assert_eq!(names.as_array().unwrap().len(), inputs, "{names}");
    }
}

#[test]
fn errors_use_the_architectures_own_names() {
    let case = Case::read("distilbert");
    let rename = |tensor: &str| tensor.replace("layer.1.ffn.lin2.bias", "layer.1.ffn.lin3.bias");
    let message = refusal(case.model_with(rename, |_, _| None).path());
    let missing = "no tensor \"distilbert.transformer.layer.1.ffn.lin2.bias\"";
    assert_says(&message, &[missing]);

    let folder = case.model();
    edit(
        &folder.path().join("config.json"),
        "\"hidden_dim\": 20",
        "\"hidden_dim\": 24",
    );
    let parts = [
        "distilbert.transformer.layer.0.ffn.lin1.",
        "[20, 12]",
        "[24, 12]",
    ];
    assert_says(&refusal(folder.path()), &parts);

    // A convolution has three axes in the file.
    let folder = Case::read("deberta-v2-conv").model();
    edit(
        &folder.path().join("config.json"),
        "\"conv_kernel_size\": 3",
        "\"conv_kernel_size\": 5",
    );
    let parts = [
        "deberta.encoder.conv.conv.weight",
        "[12, 12, 3]",
        "[12, 12, 5]",
    ];
    assert_says(&refusal(folder.path()), &parts);

    // BERT's weights under DistilBERT's configuration.
    let (folder, other) = (Case::read("bert-uncased").model(), case.model());
    let [to, from] = [&folder, &other].map(|folder| folder.path().join("config.json"));
    std::fs::copy(from, to).unwrap();
    assert_says(&refusal(folder.path()), &["no tensor \"distilbert."]);
}

/// The key applies to new position embeddings only.
#[test]
fn sinusoidal_positions_only_initialize() {
    let folder = Case::read("distilbert").model();
    let config = folder.path().join("config.json");
    let learned = load(folder.path());
    edit(
        &config,
        "\"sinusoidal_pos_embds\": false",
        "\"sinusoidal_pos_embds\": true",
    );
    assert_eq!(load(folder.path()), learned);

    let new = BertForQuestionAnswering::new(&BertConfig::read(&config).unwrap(), 0, &cpu());
    let positions = &by_name(&new, Value)["distilbert.embeddings.position_embeddings.weight"];
    // Position 1, whose first angle is 1.
    let expected = [1f32.sin(), 1f32.cos()];
    for (value, expected) in positions[12..14].iter().zip(expected) {
        assert!((value - expected).abs() < 1e-6, "{value} and {expected}");
    }
}

/// A loaded and saved folder gives transformers the tensors of the original, and this crate's logits.
#[test]
#[ignore = "needs Python with torch and transformers: $REFERENCE_PYTHON or python3"]
fn saved_models_load_in_transformers() {
    let parent = test_support::temp_dir();
    let mut cases = Vec::new();
    for name in CASES {
        let case = Case::read(name);
        let (original, saved) = (case.model(), parent.path().join(name));
        let loaded = Pretrained::load(original.path(), 0, &cpu()).unwrap();
        loaded.assets.save(&loaded.model, &saved).unwrap();
        let windows: Vec<_> = case.windows.iter().map(|window| {
            serde_json::json!({"input_ids": window.input_ids, "token_type_ids": window.token_type_ids})
        }).collect();
        let logits = logits(&loaded.model, &batch(&case.windows), None);
        let entry = serde_json::json!({
            "original": original.path(), "saved": saved, "windows": windows, "logits": logits,
        });
        cases.push((entry, original));
    }
    let file = parent.path().join("cases.json");
    let entries: Vec<_> = cases.iter().map(|(entry, _)| entry).collect();
    std::fs::write(&file, serde_json::to_vec(&entries).unwrap()).unwrap();
    let output =
        test_support::run_python("scripts/reference/check_saved_architectures.py", [&file]);
    assert_eq!(output.lines().count(), CASES.len());
}
