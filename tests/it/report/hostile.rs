//! Texts that were written to run, or to break a page, in every place where a text can stand.

use std::fs;

use serde_json::json;

use super::{data, list, page};
use crate::lab::Lab;

/// Each would set `ran`, or take the page apart.
pub(super) const HOSTILE: [&str; 12] = [
    "</script><script>window.ran = 1</script>",
    "</script><img src=x onerror=\"window.ran = 2\">",
    "<!--<script>window.ran = 3",
    "--></textarea></title></style><svg onload=\"window.ran = 4\">",
    "<a href=\"javascript:window.ran = 5\">here</a>",
    "<iframe srcdoc=\"<script>parent.ran = 6</script>\"></iframe>",
    "line\u{2028}separator\u{2029}paragraph",
    "right\u{202e}tfel\u{2066}isolate",
    "nothing\0there\u{7}\u{1b}[31mred",
    "\u{feff}zero\u{200b}width\u{ad}soft",
    "<style>*{display:none}</style><base href=\"https://example.org/\">",
    "{{ constructor.constructor('window.ran = 7')() }} ${window.ran = 8} `",
];

/// A loop whose prompts, references, categories, answers, judgements, verdicts and probes are hostile.
pub(super) fn hostile() -> Lab {
    let lab = super::evaluated();
    let long = "word".repeat(2000);
    let texts: Vec<String> =
        HOSTILE.iter().map(|text| (*text).to_owned()).chain([long, String::from("a")]).collect();
    let lines: Vec<String> = (0..40)
        .map(|i| {
            let text = &texts[i % texts.len()];
            json!({"instruction": format!("{i} {text}"), "answer": text, "kind": HOSTILE[i % 3]})
                .to_string()
        })
        .collect();
    lab.write("loop/prompts.jsonl", &lines.join("\n"));
    let eval = "SELECT instruction || ' again' AS prompt, answer AS reference, kind AS category FROM read_json('prompts.jsonl') WHERE split_part(instruction, ' ', 1)::INT < 14";
    lab.write("loop/eval.sql", eval);
    lab.edit(
        "loop/experiment.toml",
        "prompts = \"eval.sql\"",
        "prompts = \"eval.sql\"\nfiles = [\"prompts.jsonl\"]",
    );
    let list = json!(HOSTILE).to_string();
    let says = |name: &str, then: &str| {
        let before = fs::read_to_string(lab.path.join(name)).unwrap();
        lab.write(name, &format!("{{{{ pick({list}) }}}} {then}{before}"));
    };
    for name in ["answer", "judge", "meta_judge", "compare"] {
        says(&format!("loop/model/{name}.jinja"), "");
    }
    lab
}

#[test]
fn hostile_rows_are_data() {
    let lab = hostile();
    lab.mrx(&["run", "loop"]).success();
    lab.mrx(&["report", "loop"]).success();
    let page = page(&lab, "report.html");
    // One for the data, two libraries, one of the page's own.
    assert_eq!(page.matches("<script").count(), 4);
    assert_eq!(page.matches("</script").count(), 4);
    assert_eq!(page.matches("<!--").count(), 1, "the mark in the first line");
    assert!(!page.contains("<img") && !page.contains("<iframe") && !page.contains('\0'));
    let shown = data(&page);
    let all = shown.to_string();
    for text in HOSTILE {
        let spelled = json!(text).to_string();
        assert!(all.contains(spelled.trim_matches('"')), "{text} is shown as it is");
    }
    let held_out = list(&shown["experiments"][0]["held_out"]);
    assert_eq!(held_out.len(), 14);
}
