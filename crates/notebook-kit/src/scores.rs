//! How scores show in a notebook.

use qa_metrics::{ScoresV1, ScoresV2};
use trainer::{Evaluation, Group};

use crate::display::{Html, RichDisplay};
use crate::table::{Table, decimals};

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

    #[test]
    fn scores_of_parts_show_where_there_are_parts() {
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
