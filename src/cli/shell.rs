//! The interactive shell of `mrx sql`: line editing, history, several lines, completion.

use std::borrow::Cow;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::failure::{Failure, Kind};
use super::tables::print_query;
use super::ui::{Label, Ui};
use crate::query::{Format, Session};
use crate::store::Store;

const HELP: &str = "\
A statement ends with `;` and may go over several lines. Tab completes tables and columns.
  .tables          list the views        .columns VIEW    list a view's columns
  .format FORMAT   table, json, jsonl, csv or markdown
  .help            this                  .quit, Ctrl-D    leave";

const KEYWORDS: [&str; 24] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "GROUP BY ALL",
    "ORDER BY",
    "LIMIT",
    "JOIN",
    "LEFT JOIN",
    "USING",
    "HAVING",
    "QUALIFY",
    "WITH",
    "AS",
    "DISTINCT",
    "COUNT",
    "AVG",
    "DESCRIBE",
    "SUMMARIZE",
    "SHOW TABLES",
    "PIVOT",
    "EXPLAIN",
    "UNION ALL",
    "EXCLUDE",
];

pub(super) fn run(
    session: &Session,
    store: &Store,
    format: Format,
    rows: Option<usize>,
    ui: &Ui,
) -> Result<(), Failure> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .auto_add_history(true)
        .max_history_size(10_000)?
        .build();
    let mut editor: Editor<Assistant, FileHistory> = Editor::with_config(config)?;
    let columns = session.columns()?;
    editor.set_helper(Some(Assistant { columns: columns.clone() }));
    let history = store.root().join("sql_history");
    // No history yet, or one that cannot be read, is no reason not to answer.
    let _ = editor.load_history(&history);
    // At the prompt, Ctrl-C is a key like others; this is for a query that takes too long.
    ctrlc::set_handler(session.interrupter()).map_err(|e| Failure::new(Kind::Bug, e))?;
    ui.say(&ui.paint(Label::Dim, "SQL over every table; .help for help, Ctrl-D to leave"));
    let mut format = format;
    loop {
        match editor.readline("mrx> ") {
            Ok(line) => match line.trim() {
                "" => {}
                ".quit" | ".exit" => break,
                command if command.starts_with('.') => {
                    obey(command, &columns, &mut format, ui)?;
                }
                query => {
                    if let Err(failure) = print_query(session, query, format, rows, ui) {
                        ui.failure(&failure);
                    }
                }
            },
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error.into()),
        }
    }
    if let Err(error) = editor.save_history(&history) {
        ui.warn(&format!("the history is not kept: {error}"));
    }
    Ok(())
}

fn obey(
    command: &str,
    columns: &[(String, String)],
    format: &mut Format,
    ui: &Ui,
) -> Result<(), Failure> {
    let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let rest = rest.trim();
    match word {
        ".help" => ui.say(HELP),
        ".tables" => {
            let mut views: Vec<&str> = columns.iter().map(|(view, _)| view.as_str()).collect();
            views.dedup();
            ui.print(&views.join("\n"))?;
        }
        ".columns" => {
            let of_view = columns.iter().filter(|(view, _)| view == rest);
            let names: Vec<&str> = of_view.map(|(_, column)| column.as_str()).collect();
            if names.is_empty() {
                ui.error(&format!("there is no view `{rest}`; .tables lists them"));
            } else {
                ui.print(&names.join("\n"))?;
            }
        }
        ".format" => match Format::named(rest) {
            Some(Format::Parquet | Format::Arrow) | None => {
                ui.error("expected table, json, jsonl, csv or markdown");
            }
            Some(chosen) => *format = chosen,
        },
        other => ui.error(&format!("there is no `{other}`; .help lists what there is")),
    }
    Ok(())
}

/// Completes names, and tells a whole statement from a half one.
struct Assistant {
    columns: Vec<(String, String)>,
}

impl Helper for Assistant {}

impl Hinter for Assistant {
    type Hint = String;
}

impl Highlighter for Assistant {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Borrowed(prompt)
    }
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input().trim();
        let whole = text.is_empty() || text.starts_with('.') || text.ends_with(';');
        Ok(if whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = &line[..position];
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let start = before
            .rfind(|c| !is_name(c))
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        Ok((start, self.names(&before[start..], &before[..start], line)))
    }
}

impl Assistant {
    /// Views, the columns of views that the statement mentions (of all where it mentions none),
    /// and key words, that start with what was typed; after FROM and the like, views alone.
    fn names(&self, typed: &str, before: &str, line: &str) -> Vec<Pair> {
        let word = before.split_whitespace().last().unwrap_or_default().to_lowercase();
        let wants_view = ["from", "join", "describe", "summarize"].contains(&word.as_str());
        let mentioned =
            |view: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == view);
        let any = self.columns.iter().any(|(view, _)| mentioned(view));
        let views = self.columns.iter().map(|(view, _)| view.clone());
        let columns = self.columns.iter().filter(|(view, _)| !any || mentioned(view));
        let columns = columns.map(|(_, column)| column.clone());
        let lower = typed.chars().any(char::is_lowercase);
        let keywords = KEYWORDS
            .iter()
            .map(|word| if lower { word.to_lowercase() } else { (*word).to_owned() });
        let mut names: Vec<String> = views
            .chain(columns.filter(|_| !wants_view))
            .chain(keywords.filter(|_| !typed.is_empty() && !wants_view))
            .filter(|name| name.len() >= typed.len() && name.is_char_boundary(typed.len()))
            .filter(|name| name[..typed.len()].eq_ignore_ascii_case(typed))
            .collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(|name| Pair { display: name.clone(), replacement: name }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tab_offers_views_then_the_columns_of_the_view_in_hand() {
        let column = |view: &str, column: &str| (view.to_owned(), column.to_owned());
        let columns =
            vec![column("pairs", "kept"), column("prompts", "prompt"), column("pairs", "chosen")];
        let offered = |typed: &str, line: &str| -> Vec<String> {
            let assistant = Assistant { columns: columns.clone() };
            let before = line.split_once(typed).map_or("", |(before, _)| before);
            let names = assistant.names(typed, before, line);
            names.into_iter().map(|pair| pair.replacement).collect()
        };
        assert_eq!(offered("p", "select p"), ["pairs", "pivot", "prompt", "prompts"]);
        assert_eq!(offered("p", "x from p"), ["pairs", "prompts"], "after FROM, views alone");
        assert_eq!(offered("k", "select k from pairs"), ["kept"]);
        assert_eq!(
            offered("pr", "select pr from pairs"),
            ["prompts"],
            "prompts.prompt is not at hand"
        );
        assert_eq!(offered("SEL", "SEL"), ["SELECT"]);
    }
}
