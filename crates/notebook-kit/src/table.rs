use std::fmt::Display;

use crate::display::{Html, RichDisplay, escape};

/// A table: a head, and rows of anything that can be printed.
#[derive(Clone, Debug, Default)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(ToString::to_string).collect(),
            rows: Vec::new(),
        }
    }

    /// One more row.
    #[must_use]
    pub fn row(mut self, cells: &[&dyn Display]) -> Self {
        self.rows
            .push(cells.iter().map(ToString::to_string).collect());
        self
    }

    /// A row for each item.
    #[must_use]
    pub fn rows<const N: usize>(mut self, rows: impl IntoIterator<Item = [String; N]>) -> Self {
        self.rows.extend(rows.into_iter().map(Vec::from));
        self
    }
}

/// A number with so many decimals, for a table.
pub fn decimals(value: f64, digits: usize) -> String {
    match value.is_nan() {
        true => "–".into(),
        false => format!("{value:.digits$}"),
    }
}

impl RichDisplay for Table {
    fn html(&self) -> Html {
        let mut html = Html("<table><thead><tr>".into());
        for name in &self.head {
            html.push(format_args!(
                "<th style=\"text-align:left\">{}</th>",
                escape(name)
            ));
        }
        html.push(format_args!("</tr></thead><tbody>"));
        for row in &self.rows {
            html.push(format_args!("<tr>"));
            for cell in row {
                let side = match cell.parse::<f64>() {
                    Ok(_) => "right",
                    Err(_) => "left",
                };
                html.push(format_args!(
                    "<td style=\"text-align:{side}\">{}</td>",
                    escape(cell)
                ));
            }
            html.push(format_args!("</tr>"));
        }
        html.push(format_args!("</tbody></table>"));
        html
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_right_and_texts_left() {
        let table = Table::new(&["what", "how many"]).row(&[&"<words>", &12]);
        let html = table.html();
        assert!(
            html.as_str().contains("left\">&lt;words&gt;</td>"),
            "{html:?}"
        );
        assert!(html.as_str().contains("right\">12</td>"), "{html:?}");
    }

    #[test]
    fn rows_come_in_order() {
        let rows = (0..3).map(|i| [format!("row {i}"), decimals(f64::from(i) / 3.0, 2)]);
        let html = Table::new(&["", ""]).rows(rows).html();
        assert_eq!(html.as_str().matches("<tr>").count(), 4);
        assert!(
            html.as_str()
                .contains("row 2</td><td style=\"text-align:right\">0.67<"),
            "{html:?}"
        );
        assert_eq!(decimals(f64::NAN, 2), "–");
    }
}
