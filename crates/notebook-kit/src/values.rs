//! How a notebook shows data, models, predictions and scores.

use std::collections::HashSet;

use bert_qa::LoadReport;
use burn::tensor::{Int, Tensor};
use qa_metrics::{ScoresV1, ScoresV2};
use report::Group;
use squad_data::{Dataset, Example, FeatureStats, Gold, Prediction};
use trainer::Evaluation;

use crate::display::{Html, RichDisplay, Table, decimals, escape};
use crate::highlight::highlight_answer;

/// A loop and braces without a value show nothing.
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
            .answers()
            .iter()
            .map(|answer| answer.text.as_str())
            .collect();
        let gold = if self.gold == Gold::Unknown {
            "gold answer not known".into()
        } else if answers.is_empty() {
            "no answer in this text".into()
        } else {
            format!("gold: {}", answers.join(" | "))
        };
        html.push(format_args!("<p><i>{}</i></p>", escape(&gold)));
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
    let count = |is: fn(&Example) -> bool| dataset.examples.iter().filter(|e| is(e)).count();
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
        // Of others the answer is not known.
        count(|e| !e.answers().is_empty()).to_string(),
        count(Example::is_impossible).to_string(),
    ]
}

impl RichDisplay for FeatureStats {
    fn html(&self) -> Html {
        Table::new(&["", ""])
            .row(&[&"questions", &self.questions])
            .row(&[&"features", &self.features])
            .row(&[&"tokens in a feature, mean", &decimals(self.mean_length, 1)])
            .row(&[&"tokens in a feature, most", &self.max_length])
            .row(&[&"questions with an answer", &self.answerable])
            .row(&[&"of these labelled in some feature", &self.labelled])
            .row(&[&"answers lost by the labels", &self.lost.len()])
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

/// The number of parameters of a module or a part of one.
pub fn num_params(module: &impl burn::module::Module) -> usize {
    module.num_params()
}

fn shape(dims: &[usize], dtype: &str) -> Html {
    let values: usize = dims.iter().product();
    Html(format!(
        "<code>Tensor {dims:?} {dtype}</code> ({values} values)"
    ))
}

impl RichDisplay for ScoresV1 {
    fn html(&self) -> Html {
        Table::new(&["questions", "EM", "F1"])
            .row(&[
                &self.total,
                &decimals(self.exact_match, 2),
                &decimals(self.f1, 2),
            ])
            .html()
    }
}

impl RichDisplay for ScoresV2 {
    fn html(&self) -> Html {
        let mut table = Table::new(&["", "questions", "EM", "F1"]).row(&[
            &"all",
            &self.total,
            &decimals(self.exact, 2),
            &decimals(self.f1, 2),
        ]);
        for (name, part) in [("with an answer", self.has_ans), ("without", self.no_ans)] {
            if let Some(part) = part {
                table = table.row(&[
                    &name,
                    &part.total,
                    &decimals(part.exact, 2),
                    &decimals(part.f1, 2),
                ]);
            }
        }
        table.html()
    }
}

impl RichDisplay for Evaluation {
    fn html(&self) -> Html {
        let figure = |key: &str| self.metrics.get(key).and_then(serde_json::Value::as_f64);
        let mut table = Table::new(&["", "EM", "F1"]).row(&[
            &"all questions",
            &decimals(self.exact_match, 2),
            &decimals(self.f1, 2),
        ]);
        for (name, key) in [("with an answer", "HasAns"), ("without", "NoAns")] {
            let scores = [
                figure(&format!("{key}_exact")),
                figure(&format!("{key}_f1")),
            ];
            if let [Some(exact), Some(f1)] = scores {
                table = table.row(&[&name, &decimals(exact, 2), &decimals(f1, 2)]);
            }
        }
        table.html()
    }
}

impl RichDisplay for Vec<Group> {
    fn html(&self) -> Html {
        let row = |group: &Group| {
            let Group {
                name,
                questions,
                exact,
                f1,
            } = group;
            [
                name.clone(),
                questions.to_string(),
                decimals(*exact, 1),
                decimals(*f1, 1),
            ]
        };
        Table::new(&["", "questions", "EM", "F1"])
            .rows(self.iter().map(row))
            .html()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Dataset {
        crate::sample().unwrap().1
    }

    #[test]
    fn an_example_shows_its_gold_answer_in_the_context() {
        let dataset = sample();
        let answerable = dataset
            .examples
            .iter()
            .find(|e| !e.answers().is_empty())
            .unwrap();
        let html = answerable.html();
        let gold = escape(&answerable.answers()[0].text);
        assert!(
            html.as_str().contains(&format!(">{gold}</mark>")),
            "{html:?}"
        );
        let unanswerable = dataset.examples.iter().find(|e| e.is_impossible()).unwrap();
        assert!(
            unanswerable
                .html()
                .as_str()
                .contains("no answer in this text")
        );
    }

    #[test]
    fn a_dataset_shows_its_counts() {
        let html = vec![sample()].html();
        for count in ["8", "15", "120", "90", "30"] {
            assert!(
                html.as_str().contains(&format!("right\">{count}</td>")),
                "{count} {html:?}"
            );
        }
    }

    #[test]
    fn a_question_without_a_known_answer_is_neither_answerable_nor_not() {
        let dataset = Dataset {
            examples: vec![Example::new("q", "Who?", "Ann ate.")],
            ..Dataset::default()
        };
        assert_eq!(counts(&dataset)[4..], ["1", "0", "0"]);
    }

    #[test]
    fn scores_show_the_parts_that_exist() {
        let part = |f1| {
            Some(qa_metrics::SubsetScores {
                exact: 1.0,
                f1,
                total: 2,
            })
        };
        let scores = ScoresV2 {
            exact: 50.0,
            f1: 62.5,
            total: 4,
            has_ans: part(25.0),
            no_ans: part(75.0),
            best: None,
        };
        let html = scores.html();
        for figure in ["62.50", "25.00", "75.00", "without"] {
            assert!(html.as_str().contains(figure), "{figure} {html:?}");
        }
        let html = ScoresV2 {
            no_ans: None,
            ..scores
        }
        .html();
        assert!(!html.as_str().contains("without"), "{html:?}");
    }
}
