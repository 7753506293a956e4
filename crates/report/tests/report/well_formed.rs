//! Whether the elements of an HTML page open and close as they should.

/// Elements without an end.
const VOID: [&str; 2] = ["meta", "br"];

/// Reads a page's tags and gives the first fault: an end that is not the innermost element's, an
/// attribute without quotes, a character that should be escaped, an element that is left open.
pub(super) fn well_formed(page: &str) -> Result<(), String> {
    let mut rest = page
        .strip_prefix("<!DOCTYPE html>")
        .ok_or("no DOCTYPE")?
        .trim_end();
    let mut open: Vec<&str> = Vec::new();
    while !rest.is_empty() {
        let (text, after) = rest.split_once('<').unwrap_or((rest, ""));
        characters(text)?;
        if after.is_empty() {
            break;
        }
        let (tag, after) = after
            .split_once('>')
            .ok_or_else(|| format!("<{after} does not end"))?;
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            match open.pop() {
                Some(innermost) if innermost == name => {}
                other => return Err(format!("</{name}> ends {other:?}")),
            }
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        attributes(tag[name.len()..].trim_end_matches('/'))
            .map_err(|fault| format!("<{tag}>: {fault}"))?;
        if name == "style" {
            // Has text alone.
            rest = rest.split_once("</style>").ok_or("a style without end")?.1;
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    if open.is_empty() {
        Ok(())
    } else {
        Err(format!("{open:?} are left open"))
    }
}

fn characters(text: &str) -> Result<(), String> {
    for (at, _) in text.match_indices('&') {
        let entities = ["&amp;", "&lt;", "&gt;", "&quot;", "&apos;"];
        if !entities.iter().any(|known| text[at..].starts_with(known)) {
            return Err(format!("& alone in {text:?}"));
        }
    }
    if text.contains('>') {
        Err(format!("> in {text:?}"))
    } else {
        Ok(())
    }
}

fn attributes(mut rest: &str) -> Result<(), String> {
    while !rest.trim().is_empty() {
        let (name, after) = rest
            .split_once("=\"")
            .ok_or("an attribute without quotes")?;
        let name = name
            .strip_prefix([' ', '\n'])
            .ok_or("no space between attributes")?;
        if name.is_empty() || name.contains([' ', '"', '\'']) {
            return Err(format!("the attribute {name:?}"));
        }
        let (value, after) = after.split_once('"').ok_or("a value without end")?;
        characters(value)?;
        rest = after;
    }
    Ok(())
}

#[test]
fn faults_are_found() {
    let check = |body: &str| well_formed(&format!("<!DOCTYPE html><p>{body}</p>\n"));
    check("a <b class=\"c d\" id=\"e\">b</b> &amp; <meta charset=\"utf-8\"><circle r=\"1\"/>")
        .unwrap();
    for fault in [
        "<b>",
        "</b>",
        "<b></p></b>",
        "<b class=c></b>",
        "<b class=\"c\"id=\"d\"></b>",
        "<b class=\"a & b\"></b>",
        "a & b",
        "a > b",
        "<style>",
        "<b",
    ] {
        check(fault).unwrap_err();
    }
}
