use std::fmt::{Display, Write};

use plots::Svg;

/// HTML, shown by a notebook if a cell ends with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Html(pub(crate) String);

impl Html {
    /// The elements.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Called by evcxr.
    pub fn evcxr_display(&self) {
        block("text/html", &self.0);
    }

    pub(crate) fn push(&mut self, piece: std::fmt::Arguments) {
        self.0.write_fmt(piece).expect("a string takes any text");
    }
}

/// Prints a line as output of the cell.
pub(crate) fn print_line(line: &str) {
    use std::io::Write;
    // A notebook that is closed shows nothing.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints what evcxr shows as the output of the cell. It shows one block of each kind.
fn block(kind: &str, content: &str) {
    print_line(&format!(
        "EVCXR_BEGIN_CONTENT {kind}\n{content}\nEVCXR_END_CONTENT"
    ));
}

/// Pictures side by side, as one output of a cell.
pub fn side_by_side(pictures: &[Svg]) -> Html {
    let mut html = Html("<div style=\"display:flex;flex-wrap:wrap;gap:12px\">".into());
    for picture in pictures {
        html.push(format_args!("<div>{}</div>", picture.as_str()));
    }
    html.push(format_args!("</div>"));
    html
}

/// How a notebook shows a value that ends a cell. evcxr calls the method if the trait is in scope.
pub trait RichDisplay {
    /// The value as HTML.
    fn html(&self) -> Html;

    /// Called by evcxr.
    fn evcxr_display(&self) {
        self.html().evcxr_display();
    }
}

impl RichDisplay for Svg {
    fn html(&self) -> Html {
        Html(self.as_str().into())
    }

    fn evcxr_display(&self) {
        block("image/svg+xml", self.as_str());
    }
}

/// Escapes text for HTML.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A table with a head; its cells are anything that can be printed.
#[derive(Clone, Debug, Default)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns and no rows.
    pub fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(ToString::to_string).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    #[must_use]
    pub fn row(mut self, cells: &[&dyn Display]) -> Self {
        self.rows
            .push(cells.iter().map(ToString::to_string).collect());
        self
    }

    /// Adds a row for each item.
    #[must_use]
    pub fn rows<const N: usize>(mut self, rows: impl IntoIterator<Item = [String; N]>) -> Self {
        self.rows.extend(rows.into_iter().map(Vec::from));
        self
    }
}

/// A number with `digits` decimals; `–` for NaN.
pub fn decimals(value: f64, digits: usize) -> String {
    if value.is_nan() {
        "–".into()
    } else {
        format!("{value:.digits$}")
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
                let is_number = cell.parse::<f64>().is_ok();
                let side = if is_number { "right" } else { "left" };
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
    use plots::Bars;

    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            escape("a < b & \"c\" > d"),
            "a &lt; b &amp; &quot;c&quot; &gt; d"
        );
    }

    #[test]
    fn pictures_keep_their_order() {
        let html = side_by_side(&["first", "second"].map(|title| Bars::new(title).draw()));
        let place = |part| html.as_str().find(part).unwrap();
        assert_eq!(html.as_str().matches("<svg").count(), 2);
        assert!(place("first") < place("second"));
    }

    #[test]
    fn numbers_are_right_aligned() {
        let table = Table::new(&["what", "how many"]).row(&[&"<words>", &12]);
        let html = table.html();
        assert!(
            html.as_str().contains("left\">&lt;words&gt;</td>"),
            "{html:?}"
        );
        assert!(html.as_str().contains("right\">12</td>"), "{html:?}");
    }

    #[test]
    fn rows_keep_their_order() {
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
