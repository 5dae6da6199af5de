//! The filter `tojson` as transformers sets it up: Python's `json.dumps`, without escapes for HTML.

use std::fmt::Write as _;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};

use super::missing::is_defined;
use super::python::float;

/// How to write it.
struct Style {
    ascii: bool,
    /// What a level is indented by; `None` is one line.
    indent: Option<String>,
    between: String,
    after_key: String,
    sorted: bool,
}

impl Style {
    fn of(kwargs: &Kwargs) -> Result<Self, Error> {
        let indent = match kwargs.get::<Option<Value>>("indent")?.filter(|value| !value.is_none()) {
            None => None,
            Some(indent) => Some(match indent.as_str() {
                Some(text) => text.to_owned(),
                None => {
                    " ".repeat(usize::try_from(i64::try_from(indent)?.clamp(0, 64)).unwrap_or(0))
                }
            }),
        };
        let separators =
            kwargs.get::<Option<Value>>("separators")?.filter(|value| !value.is_none());
        let (between, after_key) = match separators {
            Some(pair) => {
                let text = |at| pair.get_item(&Value::from(at)).map(|text| text.to_string());
                (text(0)?, text(1)?)
            }
            None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
            None => (", ".to_owned(), ": ".to_owned()),
        };
        let on = |name| Ok::<_, Error>(kwargs.get::<Option<bool>>(name)?.unwrap_or(false));
        let (ascii, sorted) = (on("ensure_ascii")?, on("sort_keys")?);
        kwargs.assert_all_used()?;
        Ok(Self { ascii, indent, between, after_key, sorted })
    }
}

pub(super) fn tojson(value: &Value, kwargs: Kwargs) -> Result<String, Error> {
    let mut writer = Writer { style: Style::of(&kwargs)?, to: String::new() };
    writer.value(value, 0)?;
    Ok(writer.to)
}

struct Writer {
    style: Style,
    to: String,
}

impl Writer {
    fn value(&mut self, value: &Value, level: usize) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => self.to.push_str("null"),
            ValueKind::Bool => self.to.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => number(value, &mut self.to),
            ValueKind::String => self.text(value.as_str().unwrap_or_default()),
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.style.sorted {
                    keys.sort();
                }
                self.list(&keys, level, ['{', '}'], |writer, key| {
                    writer.text(&key_text(key));
                    writer.to.push_str(&writer.style.after_key);
                    writer.value(&value.get_item(key)?, level + 1)
                })?;
            }
            ValueKind::Seq | ValueKind::Iterable if is_defined(value) => {
                let items: Vec<Value> = value.try_iter()?.collect();
                let item = |writer: &mut Self, item: &Value| writer.value(item, level + 1);
                self.list(&items, level, ['[', ']'], item)?;
            }
            kind => {
                let reason = format!("{kind} cannot be written as JSON");
                return Err(Error::new(ErrorKind::BadSerialization, reason));
            }
        }
        Ok(())
    }

    fn list(
        &mut self,
        items: &[Value],
        level: usize,
        [open, close]: [char; 2],
        mut write: impl FnMut(&mut Self, &Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.to.push(open);
        for (nth, item) in items.iter().enumerate() {
            if nth > 0 {
                self.to.push_str(&self.style.between);
            }
            self.line(level + 1);
            write(self, item)?;
        }
        if !items.is_empty() {
            self.line(level);
        }
        self.to.push(close);
        Ok(())
    }

    fn line(&mut self, level: usize) {
        if let Some(indent) = &self.style.indent {
            self.to.push('\n');
            self.to.extend(std::iter::repeat_n(indent.as_str(), level));
        }
    }

    fn text(&mut self, text: &str) {
        self.to.push('"');
        for c in text.chars() {
            match c {
                '"' => self.to.push_str("\\\""),
                '\\' => self.to.push_str("\\\\"),
                '\n' => self.to.push_str("\\n"),
                '\r' => self.to.push_str("\\r"),
                '\t' => self.to.push_str("\\t"),
                '\u{8}' => self.to.push_str("\\b"),
                '\u{c}' => self.to.push_str("\\f"),
                c if c < ' ' || (self.style.ascii && c > '~') => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        let _ = write!(self.to, "\\u{unit:04x}");
                    }
                }
                c => self.to.push(c),
            }
        }
        self.to.push('"');
    }
}

fn number(value: &Value, to: &mut String) {
    match f64::try_from(value.clone()) {
        Ok(number) if !value.is_integer() => match number {
            f64::INFINITY => to.push_str("Infinity"),
            f64::NEG_INFINITY => to.push_str("-Infinity"),
            number if number.is_nan() => to.push_str("NaN"),
            number => to.push_str(&float(number)),
        },
        _ => to.push_str(&value.to_string()),
    }
}

/// A key, which JSON has as text.
fn key_text(key: &Value) -> String {
    match key.kind() {
        ValueKind::None => "null".to_owned(),
        _ => key.to_string(),
    }
}
