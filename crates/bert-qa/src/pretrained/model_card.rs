use std::fmt::Write as _;

use burn::store::SafetensorsStore;

/// What is told about a saved model: the `README.md` beside its weights, which the Hugging Face Hub
/// shows as the model's page.
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
    /// The model that training started from, as it was named: a folder, a Hub name, a wheel.
    pub base_model: String,
    /// That model's name on the Hub, where it is known.
    pub base_model_id: Option<String>,
    /// The licence as the Hub abbreviates it, such as `apache-2.0`; `None` leaves it out.
    pub license: Option<String>,
    /// What the model was trained and scored on.
    pub data: Vec<CardData>,
    /// All settings of the run, as a TOML file.
    pub settings: String,
    /// The official metric: the script's names with their figures. Others than finite ones are left out.
    pub scores: Vec<(String, f64)>,
    /// Programs and their versions; this crate and Burn are added.
    pub versions: Vec<(String, String)>,
}

/// A set of questions in a [`ModelCard`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardData {
    /// What it was used for: `training`, `scores`.
    pub purpose: String,
    /// How many questions were used.
    pub questions: usize,
    /// The files that they come from.
    pub files: Vec<CardFile>,
}

/// A file of questions in a [`ModelCard`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardFile {
    /// Its name.
    pub name: String,
    /// SHA-256 of the whole file in hexadecimal, where it could be had.
    pub sha256: Option<String>,
    /// The data set's name on the Hub, where the file is known to be a part of one.
    pub dataset_id: Option<String>,
}

/// How to use the model, in transformers and in Rust. The Python part is run by this project's CI.
const USE: &str = include_str!("model_card_use.md");

impl ModelCard {
    /// The card as `README.md`: front matter that the Hub reads, and the same in words and tables.
    ///
    /// Whatever the names contain, front matter stays YAML, and tables stay tables.
    pub fn to_markdown(&self) -> String {
        let mut card = self.front_matter();
        let _ = writeln!(card, "\n# {}\n", inline(&self.title));
        card += "Answers questions by a piece of a given text (extractive question answering).\n";
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

    /// Exact match and F1 as the Hub lists them beside other models'.
    fn model_index(&self) -> String {
        let figures: Vec<_> = self.figures().filter_map(main_figure).collect();
        let Some(scored) = self.data.last().filter(|_| !figures.is_empty()) else {
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
        for (name, value) in figures {
            let _ = writeln!(yaml, "    - type: {name}\n      value: {value:.4}");
        }
        yaml
    }

    fn figures(&self) -> impl Iterator<Item = (&str, f64)> {
        let scores = self.scores.iter();
        scores
            .map(|(name, value)| (name.as_str(), *value))
            .filter(|(_, value)| value.is_finite())
    }

    fn data_section(&self, card: &mut String) {
        *card += "\n## Data\n\n| for | questions | file | SHA-256 |\n|---|---|---|---|\n";
        for data in &self.data {
            for (number, file) in data.files.iter().enumerate() {
                let sha256 = file.sha256.as_deref().unwrap_or("not known");
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
        *card += "\n## Scores\n\nSQuAD's official metric, in percent where it is a share.\n\n| | |\n|---|---|\n";
        for (name, value) in self.figures() {
            // Counts are whole numbers, and shown as such.
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

/// The Hub's name of a main figure of either version of the official script.
fn main_figure((name, value): (&str, f64)) -> Option<(&'static str, f64)> {
    match name {
        "exact" | "exact_match" => Some(("exact_match", value)),
        "f1" => Some(("f1", value)),
        _ => None,
    }
}

/// The version of Burn's packages, which are released together.
fn burn_version() -> String {
    SafetensorsStore::default_metadata()
        .remove("version")
        .unwrap_or_default()
}

/// A YAML string: double quotes, with everything escaped that YAML 1.1 or 1.2 does not print.
fn quoted(text: &str) -> String {
    let mut yaml = String::from("\"");
    for c in text.chars() {
        let _ = match c {
            '"' | '\\' => write!(yaml, "\\{c}"),
            ' '..='~' => write!(yaml, "{c}"),
            // Line ends and characters that are none; other text may stay as it is.
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

/// Text on one line of Markdown, in a table too: what has a meaning there is escaped.
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

/// Backticks, more of them than stand together in `text`.
fn fence_around(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(3.max(longest + 1))
}
