use super::*;

const BERT: &str = r#"{"model_type": "bert", "vocab_size": 30, "hidden_size": 8,
    "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "extra": 1}"#;
const DISTILBERT: &str = r#"{"model_type": "distilbert", "vocab_size": 30, "dim": 8,
    "n_layers": 2, "n_heads": 2, "hidden_dim": 16, "qa_dropout": 0.3, "extra": 1}"#;

#[test]
fn reads_what_is_there_and_keeps_what_it_does_not_know() {
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
fn labels_of_another_head_are_not_saved() {
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
fn refuses_by_name_what_it_does_not_have() {
    let extra = "\"extra\": 1";
    for (text, from, to, named) in [
        (BERT, "\"bert\"", "\"roberta\"", "\"roberta\""),
        (BERT, "\"bert\"", "\"albert\"", "\"distilbert\""),
        (BERT, "\"model_type\": \"bert\", ", "", "model_type"),
        (BERT, extra, "\"hidden_act\": \"relu\"", "\"relu\""),
        (DISTILBERT, extra, "\"activation\": \"relu\"", "\"relu\""),
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
        (BERT, extra, "\"type_vocab_size\": 1", "type_vocab_size"),
        (BERT, extra, "\"layer_norm_eps\": 0", "layer_norm_eps"),
    ] {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        let error = BertConfig::from_json(&text.replace(from, to)).unwrap_err();
        assert!(error.contains(named), "{error}");
    }
    // Settings that change nothing that is computed, and explicit values of what there is.
    for harmless in [
        "\"chunk_size_feed_forward\": 8",
        "\"is_decoder\": false",
        "\"hidden_act\": null",
    ] {
        let text = BERT.replace(extra, harmless);
        assert!(BertConfig::from_json(&text).is_ok(), "{harmless}");
    }
}
