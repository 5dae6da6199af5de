//! Jinja's values as Python prints, tests and strips them: templates are written against that.

use std::fmt::Write as _;

use minijinja::value::{Kwargs, Tuple, ValueKind};
use minijinja::{Environment, Error, Output, State, Value};

use super::missing::is_defined;

/// Makes an environment print, test and strip as Python does.
pub(super) fn set_up(environment: &mut Environment<'static>) {
    environment.set_formatter(print);
    environment.add_filter("string", |value: &Value| changed(value, text));
    environment.add_filter("upper", |value: &Value| changed(value, |v| text(v).to_uppercase()));
    environment.add_filter("lower", |value: &Value| changed(value, |v| text(v).to_lowercase()));
    environment.add_filter("trim", |value: &Value, chars: Option<&str>| {
        changed(value, |value| trimmed(&text(value), chars, [true, true]).to_owned())
    });
    for name in ["default", "d"] {
        environment.add_filter(name, default);
    }
    for name in ["escape", "e"] {
        environment.add_filter(name, escaped);
    }
    environment.add_filter("int", int);
    environment.add_filter("float", |value: &Value, other: Option<f64>| {
        number(value).unwrap_or(other.unwrap_or(0.0))
    });
    environment.add_test("defined", |value: &Value| is_defined(value));
    environment.add_test("undefined", |value: &Value| !is_defined(value));
    environment.add_test("iterable", is_iterable);
    environment.add_test("sequence", is_iterable);
    environment.add_test("number", |value: &Value| {
        matches!(value.kind(), ValueKind::Number | ValueKind::Bool)
    });
}

fn print(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.as_str() {
        Some(text) => out.write_str(text)?,
        None => out.write_str(&text(value))?,
    }
    Ok(())
}

/// A value as another text; one that is missing stays so, that its printing is noticed and no test of it.
fn changed(value: &Value, change: impl Fn(&Value) -> String) -> Value {
    if is_defined(value) { Value::from(change(value)) } else { value.clone() }
}

/// A string is, in Python; nothing is not.
fn is_iterable(value: &Value) -> bool {
    use ValueKind::{Iterable, Map, Seq, String, Undefined};
    matches!(value.kind(), String | Seq | Map | Iterable | Undefined)
}

/// `default`, also in place of what counts as false where it is told to.
fn default(
    value: &Value,
    other: Option<Value>,
    or_false: Option<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let other = other.or(kwargs.get("default_value")?);
    let or_false = or_false.or(kwargs.get("boolean")?).is_some_and(|or_false| or_false.is_true());
    kwargs.assert_all_used()?;
    Ok(if is_defined(value) && (!or_false || value.is_true()) {
        value.clone()
    } else {
        other.unwrap_or_else(|| Value::from(""))
    })
}

/// As `MarkupSafe` writes the signs of HTML.
fn escaped(value: &Value) -> Value {
    if value.is_safe() {
        return value.clone();
    }
    let mut written = String::new();
    for c in text(value).chars() {
        match c {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '"' => written.push_str("&#34;"),
            '\'' => written.push_str("&#39;"),
            c => written.push(c),
        }
    }
    Value::from_safe_string(written)
}

/// `float(value)`.
fn number(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some(text) => trimmed(text, None, [true, true]).parse().ok(),
        None if value.kind() == ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        None => f64::try_from(value.clone()).ok(),
    }
}

/// A whole number, of a text or of a number, and another where it is none.
#[expect(clippy::cast_possible_truncation, reason = "what follows the point is cut off")]
fn int(value: &Value, other: Option<i64>) -> i64 {
    let whole = match value.as_str() {
        Some(text) => trimmed(text, None, [true, true]).parse().ok(),
        None => i64::try_from(value.clone()).ok(),
    };
    let cut = || number(value).filter(|number| number.is_finite()).map(|number| number as i64);
    whole.or_else(cut).unwrap_or(other.unwrap_or(0))
}

/// What Python calls space, which is what Unicode calls it and four separators.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `strip`, or one side of it.
pub(super) fn trimmed<'t>(text: &'t str, chars: Option<&str>, [start, end]: [bool; 2]) -> &'t str {
    let off = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    let text = if start { text.trim_start_matches(off) } else { text };
    if end { text.trim_end_matches(off) } else { text }
}

/// `str(value)`.
pub(super) fn text(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_undefined() => String::new(),
        None => {
            let mut written = String::new();
            repr(value, &mut written);
            written
        }
    }
}

/// `repr(value)`.
fn repr(value: &Value, to: &mut String) {
    match value.kind() {
        ValueKind::None => to.push_str("None"),
        ValueKind::Bool => to.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::String => quoted(value.as_str().unwrap_or_default(), to),
        ValueKind::Number if !value.is_integer() => {
            to.push_str(&f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float));
        }
        ValueKind::Seq => {
            let tuple = value.downcast_object_ref::<Tuple>().is_some();
            let items: Vec<Value> = value.try_iter().into_iter().flatten().collect();
            let one = tuple && items.len() == 1;
            let [open, close] = if tuple { ["(", ")"] } else { ["[", "]"] };
            to.push_str(open);
            for (nth, item) in items.iter().enumerate() {
                to.push_str(if nth > 0 { ", " } else { "" });
                repr(item, to);
            }
            to.push_str(if one { "," } else { "" });
            to.push_str(close);
        }
        ValueKind::Map => {
            to.push('{');
            for (nth, key) in value.try_iter().into_iter().flatten().enumerate() {
                to.push_str(if nth > 0 { ", " } else { "" });
                repr(&key, to);
                to.push_str(": ");
                repr(&value.get_item(&key).unwrap_or_default(), to);
            }
            to.push('}');
        }
        _ => {
            let _ = write!(to, "{value}");
        }
    }
}

fn quoted(text: &str, to: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    to.push(quote);
    for c in text.chars() {
        match c {
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            c if c == '\\' || c == quote => to.extend(['\\', c]),
            c if c < ' ' || ('\u{7f}'..='\u{a0}').contains(&c) || c == '\u{ad}' => {
                let _ = write!(to, "\\x{:02x}", u32::from(c));
            }
            c => to.push(c),
        }
    }
    to.push(quote);
}

/// The shortest digits that mean the number, with an exponent where Python writes one.
pub(super) fn float(number: f64) -> String {
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return number.to_string().to_lowercase();
    };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => {
            let plain = number.to_string();
            if plain.contains('.') { plain } else { format!("{plain}.0") }
        }
    }
}
