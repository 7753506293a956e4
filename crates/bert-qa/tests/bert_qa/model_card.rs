//! A model's `README.md`.

use bert_qa::{CardData, CardFile, ModelCard};

fn card() -> ModelCard {
    let file = |name: &str, dataset_id: Option<&str>| CardFile {
        name: name.into(),
        sha256: Some("ab12".into()),
        dataset_id: dataset_id.map(Into::into),
    };
    let data = |purpose: &str, questions, files| CardData {
        purpose: purpose.into(),
        questions,
        files,
    };
    ModelCard {
        title: "Small BERT".into(),
        base_model: "wheel:small-bert".into(),
        base_model_id: Some("owner/small-bert".into()),
        license: Some("apache-2.0".into()),
        data: vec![
            data(
                "training",
                1200,
                vec![
                    file("a.json", Some("rajpurkar/squad")),
                    file("b.json", None),
                ],
            ),
            data(
                "scores",
                34,
                vec![file("dev.json", Some("rajpurkar/squad"))],
            ),
        ],
        settings: "[train]\nseed = 7\n".into(),
        scores: [
            ("exact_match", 57.888),
            ("f1", 69.8123),
            ("total", 34.0),
            ("lost", f64::NAN),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into(),
        versions: vec![("trainer".into(), "0.1.0".into())],
    }
}

/// The front matter, and the text after it.
fn divide(text: &str) -> (&str, &str) {
    let rest = text.strip_prefix("---\n").unwrap();
    rest.split_once("\n---\n").unwrap()
}

#[test]
fn front_matter_has_the_hubs_keys() {
    let text = card().to_markdown();
    let expected = r#"library_name: transformers
pipeline_tag: question-answering
tags:
- squad-burn
license: "apache-2.0"
base_model: "owner/small-bert"
datasets:
- "rajpurkar/squad"
metrics:
- exact_match
- f1
model-index:
- name: "Small BERT"
  results:
  - task:
      type: question-answering
    dataset:
      name: "dev.json"
      type: "rajpurkar/squad"
    metrics:
    - type: exact_match
      value: 57.8880
    - type: f1
      value: 69.8123"#;
    assert_eq!(divide(&text).0, expected);
}

#[test]
fn the_body_has_the_same_in_tables() {
    let text = card().to_markdown();
    let (_, body) = divide(&text);
    for part in [
        "\n# Small BERT\n",
        "\n## Base model\n\nwheel:small-bert\n",
        "\n| training | 1200 | a.json | ab12 |\n|  |  | b.json | ab12 |\n| scores | 34 | dev.json | ab12 |\n",
        "\n```toml\n[train]\nseed = 7\n```\n",
        "\n| exact_match | 57.89 |\n| f1 | 69.81 |\n| total | 34 |\n\n",
        "\n| trainer | 0.1.0 |\n| bert-qa | 0.1.0 |\n| Burn | 0.22.1 |\n",
        "\n```python\nimport json, torch\n",
        "\n```rust\nlet answerer",
    ] {
        assert_eq!(body.matches(part).count(), 1, "{part} in {body}");
    }
    assert!(!text.contains("NaN"), "{text}");
}

#[test]
fn unknown_values_are_left_out() {
    let text = ModelCard::default().to_markdown();
    let front_matter = divide(&text).0;
    for key in ["license", "base_model", "datasets", "model-index"] {
        assert!(!front_matter.contains(key), "{front_matter}");
    }
    let mut card = card();
    card.data[1].files[0].sha256 = None;
    assert!(card.to_markdown().contains("| dev.json | unknown |"));
}

#[test]
fn special_characters_are_escaped() {
    let name = "a: \"b\" \\ #\n---\n- c\t\u{7f}\u{85}\u{2028}é🙂";
    let quoted = r##""a: \"b\" \\ #\U0000000a---\U0000000a- c\U00000009\U0000007f\U00000085\U00002028é\U0001f642""##;
    let mut card = card();
    card.title = name.into();
    card.base_model_id = Some(name.into());
    card.data[1].files[0].name = "|dev|.json\n| x".into();
    card.settings = "file = \"````.json\"".into();
    let text = card.to_markdown();
    let (front_matter, body) = divide(&text);
    assert!(
        front_matter.contains(&format!("base_model: {quoted}\n")),
        "{front_matter}"
    );
    assert!(
        front_matter.contains(&format!("- name: {quoted}\n")),
        "{front_matter}"
    );
    assert!(
        front_matter.ends_with("value: 69.8123"),
        "nothing ends it early"
    );
    assert!(body.starts_with("\n# a: \"b\" \\\\ # --- - c"), "{body}");
    assert!(
        body.contains("| scores | 34 | \\|dev\\|.json \\| x | ab12 |"),
        "{body}"
    );
    assert!(
        body.contains("\n`````toml\nfile = \"````.json\"\n`````\n"),
        "{body}"
    );
}
