//! One self-contained HTML page out of plain data: no network, no server. It computes nothing.
//!
//! Texts of models are data, and nothing in them can run. They stand in the page as JSON in which there is no `<`;
//! the page's own script puts them in as text; and a policy lets the browser run only what carries this page's
//! nonce, which nobody knows who wrote a text in it: it follows from all of them.
//!
//! The page is written by hand: what it looks like is in `page/`, what draws its charts in `vendor/`.

use serde::Serialize;

/// The first line of every page, by which one is known.
const MARK: &str = "<!doctype html><!-- a report of mrx -->";

const STYLE: &str = concat!(
    include_str!("page/page.css"),
    include_str!("page/rows.css"),
    include_str!("page/print.css")
);

const SCRIPTS: [&str; 3] = [
    include_str!("vendor/d3-7.9.0.min.js"),
    include_str!("vendor/plot-0.6.17.min.js"),
    concat!(
        "(() => {\n\"use strict\";\n",
        include_str!("page/dom.js"),
        include_str!("page/words.js"),
        include_str!("page/charts.js"),
        include_str!("page/seeds.js"),
        include_str!("page/summary.js"),
        include_str!("page/figures.js"),
        include_str!("page/work.js"),
        include_str!("page/entries.js"),
        include_str!("page/detail.js"),
        include_str!("page/rows.js"),
        include_str!("page/start.js"),
        "})();\n"
    ),
];

/// Makes the page.
///
/// # Errors
/// Where the data is none that JSON can say.
pub fn page(title: &str, data: &impl Serialize) -> Result<String, serde_json::Error> {
    let data = inert(&serde_json::to_string(data)?);
    let nonce = nonce(&data);
    let title = escaped(title);
    let carrying = |script| format!("<script nonce=\"{nonce}\">{script}</script>\n");
    let scripts = SCRIPTS.map(carrying).concat();
    Ok(format!(
        "{MARK}\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'nonce-{nonce}'; \
         style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"generator\" content=\"mrx {version}\">\n\
         <title>{title}</title>\n<style nonce=\"{nonce}\">{STYLE}</style>\n</head>\n\
         <body>\n<main id=\"page\"><noscript>This page draws itself by the script that it carries, and nothing else. \
         Let it run, or ask the store: <code>mrx sql</code>, <code>mrx diff</code>.</noscript></main>\n\
         <script type=\"application/json\" id=\"data\">{data}</script>\n{scripts}</body>\n</html>\n",
        version = env!("CARGO_PKG_VERSION"),
    ))
}

/// Whether a file begins as a page of this room does.
#[must_use]
pub fn is_page(bytes: &[u8]) -> bool {
    bytes.starts_with(MARK.as_bytes())
}

/// JSON that cannot end the element that it stands in: `<` occurs in texts only, where it may be spelled otherwise.
fn inert(json: &str) -> String {
    json.replace('<', "\\u003c")
}

/// What only this page's own style and script carry. A text that wanted to carry it, too, would change it.
fn nonce(data: &str) -> String {
    blake3::hash(data.as_bytes()).to_hex()[..32].to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that has ever ended a script element, or a comment in one, or turned a line around.
    const HOSTILE: [&str; 8] = [
        "</script><img src=x onerror=alert(1)>",
        "<!--<script>",
        "]]>",
        "\u{2028}\u{2029}",
        "\u{202e}txt.exe",
        "\0",
        "</SCRIPT ",
        "<style nonce=0>*{display:none}</style>",
    ];

    #[test]
    fn a_text_stays_a_text() {
        let page = page("</title><script>", &HOSTILE).unwrap();
        let (_, after) = page.split_once("id=\"data\">").unwrap();
        let (data, _) = after.split_once("</script>").unwrap();
        assert_eq!(serde_json::from_str::<Vec<String>>(data).unwrap(), HOSTILE);
        assert!(!data.contains('<') && !data.contains('\0'));
        assert!(page.contains("<title>&lt;/title&gt;&lt;script&gt;</title>"));
        assert!(is_page(page.as_bytes()));
    }

    #[test]
    fn nothing_that_the_page_carries_ends_its_own_element() {
        for script in SCRIPTS {
            assert!(!script.to_lowercase().contains("</script"));
            assert!(!script.contains("<!--"));
        }
        assert!(!STYLE.to_lowercase().contains("</style"));
    }

    #[test]
    fn the_page_reaches_for_nothing_elsewhere() {
        let [.., own] = SCRIPTS;
        for reach in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "fetch(", "eval("]
        {
            assert!(!own.contains(reach), "{reach}");
        }
        assert!(!STYLE.contains("url("), "{STYLE}");
        assert!(!STYLE.contains("@import"), "{STYLE}");
    }

    #[test]
    fn every_page_has_a_nonce_of_its_own() {
        let nonces: Vec<String> = HOSTILE.iter().map(|text| nonce(text)).collect();
        let distinct: std::collections::BTreeSet<&String> = nonces.iter().collect();
        assert_eq!(distinct.len(), HOSTILE.len());
    }
}
