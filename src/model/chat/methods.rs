//! Methods that Python's strings and lists have and templates call: those that minijinja's own
//! compatibility leaves out, or answers otherwise.

use minijinja::value::{Kwargs, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::python::{is_space, text, trimmed};

/// Calls a method of a value.
pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let own = match (value.as_str(), value.kind()) {
        (Some(text), _) => of_string(text, method, args)?,
        (None, ValueKind::Seq) => of_list(value, method, args)?,
        _ => None,
    };
    own.map_or_else(|| unknown_method_callback(state, value, method, args), Ok)
}

fn of_string(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let sides = match method {
        "strip" => [true, true],
        "lstrip" => [true, false],
        "rstrip" => [false, true],
        _ => return of_words(text, method, args),
    };
    let (chars,): (Option<&str>,) = from_args(args)?;
    Ok(Some(Value::from(trimmed(text, chars, sides))))
}

fn of_words(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let found = match method {
        "split" => Value::from(split(text, args, false)?),
        "rsplit" => Value::from(split(text, args, true)?),
        "splitlines" if args.is_empty() => Value::from(lines(text)),
        "partition" | "rpartition" => {
            let (sign,): (&str,) = from_args(args)?;
            let last = method == "rpartition";
            let parts = if last { text.rsplit_once(sign) } else { text.split_once(sign) };
            let parts = match parts {
                Some((before, after)) => [before, sign, after],
                None if last => ["", "", text],
                None => [text, "", ""],
            };
            Value::from(parts.map(ToOwned::to_owned).to_vec())
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "isspace" => Value::from(!text.is_empty() && text.chars().all(is_space)),
        "index" => {
            let (part,): (&str,) = from_args(args)?;
            let at = text.find(part).ok_or_else(|| wrong("substring not found"))?;
            Value::from(text[..at].chars().count())
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            let zeros = width.min(WIDEST).saturating_sub(text.chars().count());
            Value::from(format!("{sign}{}{digits}", "0".repeat(zeros)))
        }
        _ => return Ok(None),
    };
    Ok(Some(found))
}

/// As wide as a text is padded.
const WIDEST: usize = 1 << 16;

fn of_list(list: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    match method {
        "index" => {
            let (wanted,): (&Value,) = from_args(args)?;
            let at = list.try_iter()?.position(|item| item == *wanted);
            at.map(|at| Some(Value::from(at))).ok_or_else(|| wrong("the list does not hold it"))
        }
        "copy" => Ok(Some(list.clone())),
        _ => Ok(None),
    }
}

/// `split`, from the other end where it is `rsplit`.
fn split(whole: &str, args: &[Value], from_end: bool) -> Result<Vec<String>, Error> {
    let (sign, most, kwargs): (Option<Value>, Option<i64>, Kwargs) = from_args(args)?;
    let sign = sign.or(kwargs.get("sep")?).filter(|sign| !sign.is_none());
    let most = most.or(kwargs.get("maxsplit")?).and_then(|most| usize::try_from(most).ok());
    kwargs.assert_all_used()?;
    let parts = most.map_or(usize::MAX, |most| most.saturating_add(1));
    let Some(sign) = sign else { return Ok(by_space(whole, parts, from_end)) };
    let sign = text(&sign);
    if sign.is_empty() {
        return Err(wrong("empty separator"));
    }
    let mut found: Vec<String> = if from_end {
        whole.rsplitn(parts, sign.as_str()).map(ToOwned::to_owned).collect()
    } else {
        whole.splitn(parts, sign.as_str()).map(ToOwned::to_owned).collect()
    };
    if from_end {
        found.reverse();
    }
    Ok(found)
}

/// Words; the last one (from the end, the first) is all that is left, with the space behind it.
fn by_space(text: &str, parts: usize, from_end: bool) -> Vec<String> {
    let mut found = Vec::new();
    let near = |text| trimmed(text, None, [!from_end, from_end]);
    let mut rest = near(text);
    while !rest.is_empty() {
        let end = if from_end { rest.rfind(is_space) } else { rest.find(is_space) };
        let Some(at) = end.filter(|_| found.len() + 1 < parts) else {
            found.push(rest.to_owned());
            break;
        };
        let (before, after) = rest.split_at(at);
        let (word, left) = if from_end { (after, before) } else { (before, after) };
        found.push(trimmed(word, None, [true, true]).to_owned());
        rest = near(left);
    }
    if from_end {
        found.reverse();
    }
    found
}

/// What Python ends a line at.
fn lines(text: &str) -> Vec<String> {
    const ENDS: [char; 10] = [
        '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
        '\u{2029}',
    ];
    let mut found: Vec<String> =
        text.replace("\r\n", "\n").split(ENDS).map(ToOwned::to_owned).collect();
    if found.last().is_some_and(String::is_empty) {
        found.pop();
    }
    found
}

fn wrong(reason: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}
