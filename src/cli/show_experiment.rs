//! `mrx show --experiment`: what every field of experiment.toml means, as the schema says it.

use serde_json::{Map, Value};

use super::failure::{Failure, Kind};
use super::ui::Ui;
use crate::experiment::schema;

/// How wide the text is.
const WIDTH: usize = 80;
/// The table at the top of the file, which has no name there.
const TOP: &str = "top";

/// A table of the file.
struct Table<'s> {
    /// As `pairs.actor`, or `engines.NAME`.
    name: String,
    about: &'s str,
    fields: Vec<Field<'s>>,
}

/// A field of a table.
struct Field<'s> {
    name: &'s str,
    about: &'s str,
    range: String,
    default: Option<String>,
    paper: Option<&'s str>,
}

/// Prints the tables, or the one that is named, or the schema itself.
pub(super) fn show(table: Option<&str>, as_json: bool, ui: &Ui) -> Result<(), Failure> {
    let schema = schema();
    if as_json {
        return ui.print(&serde_json::to_string_pretty(&schema)?);
    }
    let mut tables = Vec::new();
    Reader { definitions: schema.get("definitions"), tables: &mut tables }.table(TOP, &schema);
    let Some(named) = table else {
        let all: Vec<String> = tables.iter().map(Table::text).collect();
        return ui.print(&format!("{}\n\n{}", intro(&tables), all.join("\n\n")));
    };
    let named = named.trim_matches(['[', ']']);
    if let Some(table) = tables.iter().find(|table| table.name == named) {
        return ui.print(&table.text());
    }
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let text = format!("there is no table `{named}` in experiment.toml");
    Err(Failure::new(Kind::Usage, text).hint(format!("one of {}", names.join(", "))))
}

fn intro(tables: &[Table<'_>]) -> String {
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let text = format!(
        "experiment.toml, table by table: `mrx show --experiment judge` prints one of {}. A field stands with its default; \
         § is the section of the paper (Wu et al., EMNLP 2025) that it is from. What may change from iteration to \
         iteration says so: `rho = [0.0, 0.32, 0.32, 0.4]`. Paths are relative to the experiment's folder.",
        names.join(", ")
    );
    wrapped(&text, 0)
}

/// Reads tables out of a schema.
struct Reader<'s, 't> {
    definitions: Option<&'s Value>,
    tables: &'t mut Vec<Table<'s>>,
}

impl<'s> Reader<'s, '_> {
    /// What a schema says, where it is said elsewhere.
    fn resolve(&self, schema: &'s Value) -> &'s Value {
        let inner = schema.pointer("/allOf/0").unwrap_or(schema);
        let name = inner.get("$ref").and_then(Value::as_str).and_then(|at| at.rsplit('/').next());
        name.and_then(|name| self.definitions?.get(name)).unwrap_or(inner)
    }

    /// Notes a table, then those that stand in it.
    fn table(&mut self, name: &str, schema: &'s Value) {
        if self.tables.iter().any(|table| table.name == name) {
            return;
        }
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let (mut fields, mut inner) = (Vec::new(), Vec::new());
        for (field, told) in members(schema) {
            let found = self.resolve(told);
            let entries = found.get("additionalProperties").map(|each| self.resolve(each));
            let place = if name == TOP { field.clone() } else { format!("{name}.{field}") };
            if found.get("properties").is_some() && field != "prices" {
                inner.push((place, found));
            } else if let Some(each) = entries.filter(|each| each.get("properties").is_some()) {
                inner.push((format!("{place}.NAME"), each));
            } else {
                fields.push(self.field(field, told, required.contains(&field.as_str())));
            }
        }
        // A table that only holds others is none of its own.
        if !fields.is_empty() {
            self.tables.push(Table {
                name: name.to_owned(),
                about: text(schema, "description"),
                fields,
            });
        }
        for (place, schema) in inner {
            self.table(&place, schema);
        }
    }

    fn field(&self, name: &'s str, told: &'s Value, is_required: bool) -> Field<'s> {
        let found = self.resolve(told);
        let default = told.get("default").map(in_toml);
        Field {
            name,
            about: text(told, "description"),
            range: range(told, found),
            default: if is_required { Some("(required)".to_owned()) } else { default },
            paper: told.get("x-paper").and_then(Value::as_str),
        }
    }
}

/// What may be written.
fn range(told: &Value, found: &Value) -> String {
    let range = told.get("x-range").or_else(|| found.get("x-range")).and_then(Value::as_str);
    if let Some(range) = range {
        let each = told.get("x-per-iteration").is_some();
        return format!("{range}{}", if each { "; or a list, one per iteration" } else { "" });
    }
    let words = alternatives(found);
    if !words.is_empty() {
        return words.join("; ");
    }
    match found.get("type").and_then(Value::as_str) {
        Some("array") => "a list of texts".to_owned(),
        Some("object") => "a table".to_owned(),
        Some("string") => "a text".to_owned(),
        _ => String::new(),
    }
}

/// The members of a table.
fn members(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

fn text<'s>(schema: &'s Value, name: &str) -> &'s str {
    schema.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Each word that may be written, with what it means.
fn alternatives(schema: &Value) -> Vec<String> {
    let meant = |one: &Value| match text(one, "description") {
        "" => String::new(),
        about => format!(": {}", about.replace('\n', " ").trim_end_matches('.')),
    };
    let listed = ["oneOf", "anyOf"].iter().find_map(|name| schema.get(*name)?.as_array());
    let words = listed.into_iter().flatten().flat_map(|one| {
        let words = one
            .get("const")
            .into_iter()
            .chain(one.get("enum").and_then(Value::as_array).into_iter().flatten());
        words.map(move |word| format!("{}{}", in_toml(word), meant(one)))
    });
    let plain = schema.get("enum").and_then(Value::as_array).into_iter().flatten().map(in_toml);
    words.chain(plain).collect()
}

/// A value as TOML writes it.
fn in_toml(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!("[{}]", items.iter().map(in_toml).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

impl Table<'_> {
    fn text(&self) -> String {
        let mut lines = Vec::new();
        let about = self.about.split_once("]`: ").map_or(self.about, |(_, about)| about);
        let mut letters = about.chars();
        let first = letters.next().map(|letter| letter.to_uppercase().to_string());
        let about = format!("{}{}", first.unwrap_or_default(), letters.as_str());
        if self.name != TOP {
            lines.push(format!("[{}]", self.name));
        }
        lines.push(wrapped(&about, 0));
        for field in &self.fields {
            lines.push(String::new());
            let head = match &field.default {
                Some(default) if default.starts_with('(') => format!("  {} {default}", field.name),
                Some(default) => format!("  {} = {default}", field.name),
                None => format!("  {}", field.name),
            };
            let paper = field.paper.map(|section| format!("§{section}")).unwrap_or_default();
            let gap = WIDTH.saturating_sub(head.chars().count()).max(1);
            lines.push(format!("{head}{paper:>gap$}").trim_end().to_owned());
            lines.push(wrapped(field.about, 6));
            if !field.range.is_empty() {
                lines.push(wrapped(&format!("({})", field.range), 6));
            }
        }
        lines.join("\n")
    }
}

/// A text in lines of at most [`WIDTH`].
fn wrapped(text: &str, indent: usize) -> String {
    let mut lines = vec![" ".repeat(indent)];
    let mut length = indent;
    for word in text.split_whitespace() {
        let chars = word.chars().count();
        if length > indent && length + 1 + chars > WIDTH {
            lines.push(" ".repeat(indent));
            length = indent;
        }
        if let Some(line) = lines.last_mut() {
            if length > indent {
                line.push(' ');
                length += 1;
            }
            line.push_str(word);
            length += chars;
        }
    }
    lines.join("\n")
}
