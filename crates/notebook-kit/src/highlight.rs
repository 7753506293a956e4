use std::ops::Range;

use squad_data::{Example, Feature, QaTokenizer};

use crate::display::{Html, escape};

/// The meaning of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The gold answer.
    Gold,
    /// The answer of a model.
    Predicted,
}

impl Mark {
    fn style(self) -> (&'static str, &'static str) {
        match self {
            Self::Gold => ("gold", "border-bottom:3px solid #2e8b57"),
            Self::Predicted => ("predicted", "background:#bcdcf5"),
        }
    }
}

/// A text with marked ranges of Unicode code points, which may overlap. The part of a range beyond the text is ignored.
pub fn highlight(text: &str, marks: &[(Range<usize>, Mark)]) -> Html {
    let chars: Vec<char> = text.chars().collect();
    let mut cuts: Vec<usize> = vec![0, chars.len()];
    for (range, _) in marks {
        cuts.extend([range.start.min(chars.len()), range.end.min(chars.len())]);
    }
    cuts.sort_unstable();
    cuts.dedup();
    let mut html = Html("<p style=\"line-height:1.7\">".into());
    for piece in cuts.windows(2) {
        let text: String = chars[piece[0]..piece[1]].iter().collect();
        let here = marks.iter().filter(|(range, _)| range.contains(&piece[0]));
        let styles: Vec<_> = here.map(|(_, mark)| mark.style()).collect();
        push(&mut html, &text, &styles);
    }
    html.push(format_args!("</p>"));
    html
}

fn push(html: &mut Html, text: &str, styles: &[(&str, &str)]) {
    let text = escape(text);
    if styles.is_empty() {
        return html.push(format_args!("{text}"));
    }
    let names: Vec<_> = styles.iter().map(|style| style.0).collect();
    let styles: Vec<_> = styles.iter().map(|style| style.1).collect();
    let (names, styles) = (names.join(" and "), styles.join(";"));
    html.push(format_args!(
        "<mark title=\"{names}\" style=\"color:inherit;background:none;{styles}\">{text}</mark>"
    ));
}

/// A question with its context, in which the first gold answer and the predicted answer, if any, are marked.
pub fn highlight_answer(example: &Example, predicted: Option<Range<usize>>) -> Html {
    let gold = example
        .first_located()
        .and_then(|answer| Some((answer.char_range()?, Mark::Gold)));
    let predicted = predicted.map(|range| (range, Mark::Predicted));
    let marks: Vec<_> = predicted.into_iter().chain(gold).collect();
    let mut html = Html(format!(
        "<p><b>{}</b></p>",
        escape(example.stripped_question())
    ));
    html.push(format_args!(
        "{}",
        highlight(&example.context, &marks).as_str()
    ));
    html
}

/// The tokens of a feature, one box for each: special tokens grey, the labelled answer green.
pub fn show_feature(feature: &Feature, tokenizer: &QaTokenizer) -> Html {
    let mut html = Html("<p style=\"line-height:2.1\">".into());
    let answer = feature.start_position..=feature.end_position;
    for (position, id) in feature.input_ids.iter().enumerate() {
        let token = tokenizer.token(*id).unwrap_or_else(|| id.to_string());
        let colour = match position {
            position if feature.has_answer() && answer.contains(&position) => "#bfe3cd",
            position if feature.context.contains(&position) => "#f2f4f7",
            position if token.starts_with('[') || position == 0 => "#c9ced6",
            _ => "#dbe9f6",
        };
        let token = escape(&token);
        html.push(format_args!(
            "<span title=\"{position}\" style=\"background:{colour};color:#222;padding:1px 4px;border-radius:3px\">{token}</span> "
        ));
    }
    html.push(format_args!("</p>"));
    html
}

#[cfg(test)]
mod tests {
    use squad_data::GoldAnswer;

    use super::*;

    #[test]
    fn marks_count_characters_and_may_overlap() {
        let html = highlight(
            "Zoë ate a <pie>.",
            &[
                (4..9, Mark::Predicted),
                (8..15, Mark::Gold),
                (0..0, Mark::Gold),
            ],
        );
        let text = html.as_str();
        assert!(
            text.starts_with("<p style=\"line-height:1.7\">Zoë <mark title=\"predicted\""),
            "{text}"
        );
        assert!(text.contains("title=\"predicted and gold\""), "{text}");
        assert!(text.contains("> &lt;pie&gt;</mark>.</p>"), "{text}");
        assert_eq!(text.matches("<mark").count(), 3, "{text}");
    }

    #[test]
    fn ranges_beyond_the_text_are_ignored() {
        let html = highlight("pie", &[(2..9, Mark::Predicted), (7..9, Mark::Gold)]);
        assert_eq!(html.as_str().matches("<mark").count(), 1);
        assert!(
            highlight("", &[(0..1, Mark::Gold)])
                .as_str()
                .ends_with("</p>")
        );
    }

    #[test]
    fn a_question_stands_above_its_context() {
        let example =
            Example::new("q", " Who & what?", "Ann ate.").with_answers(vec![GoldAnswer {
                text: "Ann".into(),
                start: Some(0),
            }]);
        let html = highlight_answer(&example, Some(4..7));
        assert!(
            html.as_str().starts_with("<p><b>Who &amp; what?</b></p>"),
            "{html:?}"
        );
        assert_eq!(html.as_str().matches("<mark").count(), 2);
    }
}
