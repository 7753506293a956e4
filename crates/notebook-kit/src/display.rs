use std::fmt::Write;

/// A picture, which a notebook shows where a cell ends with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Svg(pub(crate) String);

/// A piece of HTML, which a notebook shows where a cell ends with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Html(pub(crate) String);

impl Svg {
    /// The `<svg>` element.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Called by evcxr.
    pub fn evcxr_display(&self) {
        block("image/svg+xml", &self.0);
    }
}

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

/// evcxr shows one block of a kind for each cell, at the cell's end.
fn block(kind: &str, content: &str) {
    println!("EVCXR_BEGIN_CONTENT {kind}\n{content}\nEVCXR_END_CONTENT");
}

/// Pictures beside each other, which a cell can show as one.
pub fn side_by_side(pictures: &[Svg]) -> Html {
    let mut html = Html("<div style=\"display:flex;flex-wrap:wrap;gap:12px\">".into());
    for picture in pictures {
        html.push(format_args!("<div>{}</div>", picture.0));
    }
    html.push(format_args!("</div>"));
    html
}

/// What a notebook shows of a value where a cell ends with it. In scope, evcxr finds it as a method.
pub trait RichDisplay {
    /// The value as HTML.
    fn html(&self) -> Html;

    /// Called by evcxr.
    fn evcxr_display(&self) {
        self.html().evcxr_display();
    }
}

/// Text as it stands in HTML.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_an_element() {
        assert_eq!(
            escape("a < b & \"c\" > d"),
            "a &lt; b &amp; &quot;c&quot; &gt; d"
        );
    }

    #[test]
    fn pictures_stand_beside_each_other_in_order() {
        let pictures = ["<svg>1</svg>", "<svg>2</svg>"].map(|svg| Svg(svg.into()));
        let html = side_by_side(&pictures);
        let place = |part| html.as_str().find(part).unwrap();
        assert!(place("<svg>1</svg>") < place("<svg>2</svg>"));
    }
}
