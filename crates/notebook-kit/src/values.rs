//! How data, models and predictions show in a notebook.

use std::collections::HashSet;

use bert_qa::LoadReport;
use burn::tensor::{Int, Tensor};
use squad_data::{Dataset, Example, FeatureStats, Prediction};

use crate::display::{Html, RichDisplay, escape};
use crate::highlight::highlight_answer;
use crate::table::{Table, decimals};

/// A loop, or braces without a value, show nothing.
impl RichDisplay for () {
    fn html(&self) -> Html {
        Html::default()
    }

    fn evcxr_display(&self) {}
}

impl RichDisplay for Example {
    fn html(&self) -> Html {
        let mut html = Html(format!(
            "<p><small>{} · {}</small></p>",
            escape(&self.title),
            escape(&self.id)
        ));
        html.push(format_args!("{}", highlight_answer(self, None).as_str()));
        let answers: Vec<_> = self
            .answers
            .iter()
            .map(|answer| answer.text.as_str())
            .collect();
        let told = match answers.is_empty() {
            true => "no answer in this text".into(),
            false => format!("gold: {}", answers.join(" | ")),
        };
        html.push(format_args!("<p><i>{}</i></p>", escape(&told)));
        html
    }
}

impl RichDisplay for Vec<Dataset> {
    fn html(&self) -> Html {
        let head = [
            "file",
            "version",
            "articles",
            "paragraphs",
            "questions",
            "with an answer",
            "without",
        ];
        Table::new(&head).rows(self.iter().map(counts)).html()
    }
}

fn counts(dataset: &Dataset) -> [String; 7] {
    let different = |of: fn(&Example) -> &str| {
        dataset
            .examples
            .iter()
            .map(of)
            .collect::<HashSet<_>>()
            .len()
    };
    let unanswerable = dataset.examples.iter().filter(|e| e.is_impossible).count();
    [
        dataset
            .name
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned(),
        dataset.version.clone().unwrap_or("–".into()),
        different(|e| &e.title).to_string(),
        different(|e| &e.context).to_string(),
        dataset.len().to_string(),
        (dataset.len() - unanswerable).to_string(),
        unanswerable.to_string(),
    ]
}

impl RichDisplay for FeatureStats {
    fn html(&self) -> Html {
        Table::new(&["", ""])
            .row(&[&"questions", &self.questions])
            .row(&[&"windows", &self.features])
            .row(&[&"tokens in a window, mean", &decimals(self.mean_length, 1)])
            .row(&[&"tokens in a window, most", &self.max_length])
            .row(&[&"questions with an answer", &self.answerable])
            .row(&[&"of these labelled in some window", &self.labelled])
            .row(&[&"answers that labels do not give back", &self.lost.len()])
            .html()
    }
}

impl RichDisplay for Prediction {
    fn html(&self) -> Html {
        let head = [
            "answer",
            "probability",
            "score",
            "start logit",
            "end logit",
            "characters",
        ];
        let rows = self.n_best.iter().map(|span| {
            [
                if span.text.is_empty() {
                    "(no answer)".into()
                } else {
                    span.text.clone()
                },
                format!("{:.3}", span.probability),
                format!("{:.2}", span.score),
                format!("{:.2}", span.start_logit),
                format!("{:.2}", span.end_logit),
                format!("{}..{}", span.chars.start, span.chars.end),
            ]
        });
        Table::new(&head).rows(rows).html()
    }
}

impl RichDisplay for LoadReport {
    fn html(&self) -> Html {
        let names = |names: &[String]| match names.len() {
            0 => "–".to_owned(),
            1..=4 => names.join(", "),
            more => format!("{}, … ({more})", names[..3].join(", ")),
        };
        Table::new(&["weights", "how many", "which"])
            .row(&[&"loaded", &self.loaded.len(), &names(&self.loaded)])
            .row(&[
                &"new, drawn from the seed",
                &self.missing.len(),
                &names(&self.missing),
            ])
            .row(&[
                &"in the file, not used",
                &self.unexpected.len(),
                &names(&self.unexpected),
            ])
            .html()
    }
}

impl<const D: usize> RichDisplay for Tensor<D> {
    fn html(&self) -> Html {
        shape(&self.dims(), &format!("{:?}", self.dtype()))
    }
}

impl<const D: usize> RichDisplay for Tensor<D, Int> {
    fn html(&self) -> Html {
        shape(&self.dims(), &format!("{:?}", self.dtype()))
    }
}

/// How many numbers a module, or a part of one, learns.
pub fn num_params(module: &impl burn::module::Module) -> usize {
    module.num_params()
}

fn shape(dims: &[usize], dtype: &str) -> Html {
    let values: usize = dims.iter().product();
    Html(format!(
        "<code>Tensor {dims:?} {dtype}</code> ({values} values)"
    ))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn sample() -> Dataset {
        Dataset::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/sample/dev.json"))
            .unwrap()
    }

    #[test]
    fn a_question_shows_its_gold_answer_in_place() {
        let dataset = sample();
        let answerable = dataset.examples.iter().find(|e| !e.is_impossible).unwrap();
        let html = answerable.html();
        let gold = escape(&answerable.answers[0].text);
        assert!(
            html.as_str().contains(&format!(">{gold}</mark>")),
            "{html:?}"
        );
        let unanswerable = dataset.examples.iter().find(|e| e.is_impossible).unwrap();
        assert!(
            unanswerable
                .html()
                .as_str()
                .contains("no answer in this text")
        );
    }

    #[test]
    fn a_data_set_shows_its_counts() {
        let html = vec![sample()].html();
        for count in ["8", "15", "120", "90", "30"] {
            assert!(
                html.as_str().contains(&format!("right\">{count}</td>")),
                "{count} {html:?}"
            );
        }
    }
}
