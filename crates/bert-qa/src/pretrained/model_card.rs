use std::fmt::Write as _;

use burn::store::SafetensorsStore;

/// A model card: the `README.md` beside a model's weights, which the Hugging Face Hub shows as the
/// model's page.
///
/// ```
/// use bert_qa::ModelCard;
///
/// let card = ModelCard {
///     title: "MiniLM for questions about bees".into(),
///     base_model: "sentence-transformers/all-MiniLM-L6-v2".into(),
///     license: Some("apache-2.0".into()),
///     ..ModelCard::default()
/// };
/// assert!(card.to_markdown().starts_with("---\nlibrary_name: transformers\n"));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelCard {
    /// The heading.
    pub title: String,
    /// The initial model as the user named it: a folder, a Hub name or a wheel.
    pub base_model: String,
    /// The initial model's name on the Hub, if known.
    pub base_model_id: Option<String>,
    /// The Hub's identifier of the licence, such as `apache-2.0`.
    pub license: Option<String>,
    /// The data of training and evaluation; scores are those on the last.
    pub data: Vec<CardData>,
    /// The run's configuration, in TOML.
    pub settings: String,
    /// The official metric's keys and values. Values that are not finite are left out.
    pub scores: Vec<(String, f64)>,
    /// Programs and their versions, besides this crate and Burn.
    pub versions: Vec<(String, String)>,
}

/// Data in a [`ModelCard`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardData {
    /// Its use: `training`, `scores`.
    pub purpose: String,
    /// The number of questions used.
    pub questions: usize,
    /// The files.
    pub files: Vec<CardFile>,
}

/// A data file in a [`ModelCard`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardFile {
    /// The file's name.
    pub name: String,
    /// SHA-256 of the file in hexadecimal, if known.
    pub sha256: Option<String>,
    /// The dataset's name on the Hub, if the file belongs to a known one.
    pub dataset_id: Option<String>,
}

/// How to use the model in transformers and in Rust. CI runs the Python part.
const USE: &str = include_str!("model_card_use.md");

impl ModelCard {
    /// The text of `README.md`: YAML front matter for the Hub, and the same in Markdown. Names are
    /// escaped.
    pub fn to_markdown(&self) -> String {
        let mut card = self.front_matter();
        let _ = writeln!(card, "\n# {}\n", inline(&self.title));
        card +=
            "Extractive question answering: the answer to a question is a span of a given text.\n";
        let _ = writeln!(card, "\n## Base model\n\n{}", inline(&self.base_model));
        self.data_section(&mut card);
        let fence = fence_around(&self.settings);
        let settings = self.settings.trim_end();
        let _ = writeln!(card, "\n## Settings\n\n{fence}toml\n{settings}\n{fence}");
        self.scores_section(&mut card);
        card += "\n## Versions\n\n| program | version |\n|---|---|\n";
        let ours = [
            ("bert-qa".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("Burn".to_owned(), burn_version()),
        ];
        for (name, version) in self.versions.iter().chain(&ours) {
            let _ = writeln!(card, "| {} | {} |", inline(name), inline(version));
        }
        card + "\n" + USE
    }

    fn front_matter(&self) -> String {
        let mut yaml = String::from("---\nlibrary_name: transformers\n");
        yaml += "pipeline_tag: question-answering\ntags:\n- squad-burn\n";
        for (key, value) in [
            ("license", &self.license),
            ("base_model", &self.base_model_id),
        ] {
            if let Some(value) = value {
                let _ = writeln!(yaml, "{key}: {}", quoted(value));
            }
        }
        let mut datasets: Vec<_> = self.data.iter().flat_map(CardData::ids).collect();
        datasets.sort_unstable();
        datasets.dedup();
        if !datasets.is_empty() {
            yaml += "datasets:\n";
        }
        for id in datasets {
            let _ = writeln!(yaml, "- {}", quoted(id));
        }
        yaml += "metrics:\n- exact_match\n- f1\n";
        yaml += &self.model_index();
        yaml + "---\n"
    }

    /// Exact match and F1 in the form that the Hub lists beside other models'.
    fn model_index(&self) -> String {
        let metrics: Vec<_> = self.finite_scores().filter_map(hub_metric).collect();
        let Some(scored) = self.data.last().filter(|_| !metrics.is_empty()) else {
            return String::new();
        };
        let names: Vec<_> = scored.files.iter().map(|file| file.name.as_str()).collect();
        let names = quoted(&names.join(", "));
        let kind = scored.ids().next().map_or(names.clone(), quoted);
        let mut yaml = format!(
            "model-index:\n- name: {}\n  results:\n  - task:\n      type: question-answering\n    dataset:\n      \
             name: {names}\n      type: {kind}\n    metrics:\n",
            quoted(&self.title)
        );
        for (name, value) in metrics {
            let _ = writeln!(yaml, "    - type: {name}\n      value: {value:.4}");
        }
        yaml
    }

    fn finite_scores(&self) -> impl Iterator<Item = (&str, f64)> {
        let scores = self.scores.iter();
        scores
            .map(|(name, value)| (name.as_str(), *value))
            .filter(|(_, value)| value.is_finite())
    }

    fn data_section(&self, card: &mut String) {
        *card += "\n## Data\n\n| for | questions | file | SHA-256 |\n|---|---|---|---|\n";
        for data in &self.data {
            for (number, file) in data.files.iter().enumerate() {
                let sha256 = file.sha256.as_deref().unwrap_or("unknown");
                let (purpose, questions) = match number {
                    0 => (inline(&data.purpose), data.questions.to_string()),
                    _ => Default::default(),
                };
                let name = inline(&file.name);
                let _ = writeln!(card, "| {purpose} | {questions} | {name} | {sha256} |");
            }
        }
    }

    fn scores_section(&self, card: &mut String) {
        *card +=
            "\n## Scores\n\nSQuAD's official metric. Shares are in percent.\n\n| | |\n|---|---|\n";
        for (name, value) in self.finite_scores() {
            // Counts are integers.
            let digits = if value.fract() == 0.0 && name.ends_with("total") {
                0
            } else {
                2
            };
            let _ = writeln!(card, "| {} | {value:.digits$} |", inline(name));
        }
    }
}

impl CardData {
    fn ids(&self) -> impl Iterator<Item = &str> {
        self.files
            .iter()
            .filter_map(|file| file.dataset_id.as_deref())
    }
}

/// The Hub's name of the main metrics of SQuAD 1.1's and 2.0's official script.
fn hub_metric((name, value): (&str, f64)) -> Option<(&'static str, f64)> {
    match name {
        "exact" | "exact_match" => Some(("exact_match", value)),
        "f1" => Some(("f1", value)),
        _ => None,
    }
}

/// The version of Burn in this build, which all its packages share.
pub fn burn_version() -> String {
    SafetensorsStore::default_metadata()
        .remove("version")
        .unwrap_or_default()
}

/// A double-quoted YAML string; characters that YAML 1.1 or 1.2 does not print are escaped.
fn quoted(text: &str) -> String {
    let mut yaml = String::from("\"");
    for c in text.chars() {
        let _ = match c {
            '"' | '\\' => write!(yaml, "\\{c}"),
            ' '..='~' => write!(yaml, "{c}"),
            _ if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}'..) =>
            {
                write!(yaml, "\\U{:08x}", u32::from(c))
            }
            _ => write!(yaml, "{c}"),
        };
    }
    yaml + "\""
}

/// Escapes text for one line of Markdown, also in a table.
fn inline(text: &str) -> String {
    let mut markdown = String::new();
    for c in text.chars() {
        match c {
            _ if c.is_control() => markdown.push(' '),
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '&' => markdown.extend(['\\', c]),
            _ => markdown.push(c),
        }
    }
    markdown
}

/// A code fence that is longer than any run of backticks in `text`.
fn fence_around(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(3.max(longest + 1))
}
