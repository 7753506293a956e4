//! The page of a finished run.

use crate::{Sandbox, part, report, section};

#[test]
fn shows_the_figures_errors_and_answers_of_a_run() {
    let sandbox = Sandbox::new();
    let page = report(&sandbox);
    let head = section(&page, "<header>", "</header>");
    // 2 of 6 exact; F1 is (1 + 2/3 + 1) of 6.
    for (name, value) in [
        ("Exact match", "33.33"),
        ("F1", "44.44"),
        ("Train loss", "1.250"),
        ("Questions scored", "6"),
        ("Steps", "3"),
        ("Features/s", "4.5"),
        ("Time", "1 min 15 s"),
    ] {
        let figure = format!("<dt>{name}</dt><dd>{value}</dd>");
        assert!(head.contains(&figure), "{figure} is not in {head}");
    }
    let epoch = "<td>3</td><td>1.2500</td><td>1.5000</td><td>33.33</td><td>44.44</td>";
    assert!(part(&page, "epochs").contains(epoch));
    let errors = part(&page, "errors");
    for name in [
        "Exact",
        "Rightly no answer",
        "Boundary",
        "Wrong span",
        "No answer, though there is one",
        "Answered, though there is none",
    ] {
        let row = section(errors, &format!(">{name}<small>"), "</tr>");
        assert!(row.contains("<td>1</td><td>16.7 %</td>"), "{row}");
    }
    let lengths = part(&page, "lengths");
    for (name, figures) in [
        ("no answer", "<td>2</td><td>50.0</td><td>50.0</td>"),
        ("3 to 4", "<td>1</td><td>0.0</td><td>66.7</td>"),
        ("1 to 49", "<td>6</td><td>33.3</td><td>44.4</td>"),
        ("which", "<td>1</td><td>0.0</td><td>0.0</td>"),
    ] {
        let row = format!("<th scope=\"row\">{name}</th>{figures}");
        assert!(lengths.contains(&row), "{row} is not in {lengths}");
    }
    let answers = part(&page, "answers");
    // The crossing spans of the second question, as three elements side by side.
    let crossing = "baked <mark class=\"gold\">a large </mark>\
                    <mark class=\"gold predicted\">blue pie</mark>\
                    <mark class=\"predicted\"> &amp; ate</mark> it in Rome.";
    assert!(answers.contains(crossing), "{answers}");
    // Two answers share a word with a gold one, four are not exact, one of them is both.
    assert_eq!(answers.matches("<article").count(), 2 + 4);
    assert_eq!(
        page.matches("<svg").count(),
        4,
        "loss, rate, epochs, scores"
    );
    assert!(part(&page, "environment").contains("3 MiB"));
    let set = "<tr class=\"best\"><th scope=\"row\">train.files</th>";
    assert!(part(&page, "configuration").contains(set));
    let list = "<th scope=\"row\">train.layers</th><td>1, 2</td>";
    assert!(part(&page, "configuration").contains(list));
    // Text of the data stays text.
    assert!(page.contains("Who &lt;script&gt;baked&lt;/script&gt; it?"));
    assert!(page.contains("Ann</mark> &lt;script&gt;alert(1)&lt;/script&gt; baked"));
    assert!(page.contains("Pies &amp; &lt;b&gt;"));

    assert_eq!(report(&sandbox), page, "equal folders give equal pages");
}
