//! Seeds and sweeps: the experiments that one file expands to. They differ in a seed and in what is swept, and share in
//! the store all that neither decides.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Value;

use super::seeds_table::{ClaimTable, Seeds};
use super::spanned::Spanned;
use super::toml_file::File;
use super::{Error, Position};
use crate::runner::Variant;

/// What an experiment claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// What it says.
    pub name: String,
    /// The model that has more, as the file names it.
    pub model: String,
    /// The model that it beats.
    pub beats: String,
    /// The estimate.
    pub by: String,
}

/// Reads the claims, in the order of their names.
pub(super) fn claims(file: &File) -> Result<Vec<Claimed>, Error> {
    let model = |said: &Spanned<String>| {
        let number = said.as_ref().rsplit('/').next().and_then(|model| model.strip_prefix('m'));
        if number.is_some_and(|number| number.parse::<u32>().is_ok()) {
            return Ok(said.as_ref().clone());
        }
        let message = format!("expected a model, as `m4` or `NAME/m4`, found `{}`", said.as_ref());
        Err(file.text.error(&said.span(), message))
    };
    let claim = |(name, table): (&String, &ClaimTable)| {
        let by = table.by.clone().unwrap_or_else(|| "win_rate".to_owned());
        let (model, beats) = (model(&table.model)?, model(&table.beats)?);
        Ok(Claimed { name: name.clone(), model, beats, by })
    };
    file.root.claims.iter().map(claim).collect()
}

/// Experiments of one file at most.
const MOST: usize = 1000;

/// What is said of by other fields, or is nothing to compare.
const NOT_SWEPT: [&str; 4] = ["name", "seed", "seeds", "sweep"];

/// A setting that is swept: its name in the file, where it stands, and its values as TOML.
struct Swept {
    name: String,
    span: Range<usize>,
    values: Vec<String>,
}

/// The experiments that the file expands to; one that is nobody's variant where it names neither seeds nor a sweep.
pub(super) fn of(file: &File) -> Result<Vec<Option<Variant>>, Error> {
    let root = &file.root;
    if root.seeds.is_none() && root.sweep.is_empty() {
        return Ok(vec![None]);
    }
    let (seeds, swept) = (seeds(file)?, swept(file)?);
    let mut settings: Vec<BTreeMap<String, String>> = vec![BTreeMap::new()];
    for Swept { name, values, span } in &swept {
        if settings.len() * values.len() > MOST {
            return Err(file.text.error(span, format!("the sweep has over {MOST} combinations")));
        }
        let with = |one: &BTreeMap<String, String>| {
            let each = |value: &String| {
                let mut one = one.clone();
                one.insert(name.clone(), value.clone());
                one
            };
            values.iter().map(each).collect::<Vec<_>>()
        };
        settings = settings.iter().flat_map(with).collect();
    }
    if settings.len() * seeds.len() > MOST {
        let span = root.seeds.as_ref().map_or(0..0, Spanned::span);
        return Err(file.text.error(&span, format!("that makes over {MOST} experiments")));
    }
    let family = root.name.as_ref();
    let variant = |settings: &BTreeMap<String, String>, seed: u64| {
        Some(Variant { family: family.clone(), seed, settings: settings.clone() })
    };
    let each = settings.iter().flat_map(|one| seeds.iter().map(move |seed| variant(one, *seed)));
    let variants: Vec<Option<Variant>> = each.collect();
    check_names(file, &variants, swept.first())?;
    Ok(variants)
}

/// What an experiment is called in the store: `quickstart@rho=0.2,seed=1`.
pub(super) fn name(file: &File, variant: &Variant) -> String {
    let last = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
    let short = |name: &String| {
        let alike = variant.settings.keys().filter(|other| last(other) == last(name)).count();
        if alike > 1 { name.clone() } else { last(name) }
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let said = |value: &String| {
        value.trim_matches(|c| "\"'[]{} ".contains(c)).chars().map(plain).collect::<String>()
    };
    let settings = variant.settings.iter();
    let mut parts: Vec<String> =
        settings.map(|(name, value)| format!("{}={}", short(name), said(value))).collect();
    if file.root.seeds.is_some() {
        parts.push(format!("seed={}", variant.seed));
    }
    format!("{}@{}", variant.family, parts.join(","))
}

/// A mistake in a value that the sweep gives, where the sweep stands.
pub(super) fn placed(file: &File, error: Error) -> Error {
    let Error::At { position: Position::Override(text), message, .. } = &error else {
        return error;
    };
    let swept = swept(file).unwrap_or_default();
    let is_it = |swept: &&Swept| text.split_once('=').is_some_and(|(name, _)| name == swept.name);
    match swept.iter().find(is_it) {
        Some(swept) if !file.text.overrides.contains(text) => {
            file.text.error(&swept.span, message.clone())
        }
        _ => error,
    }
}

fn check_names(
    file: &File,
    variants: &[Option<Variant>],
    swept: Option<&Swept>,
) -> Result<(), Error> {
    let mut known = BTreeSet::new();
    let mut names = variants.iter().flatten().map(|variant| name(file, variant));
    let Some(twice) = names.find(|name| !known.insert(name.clone())) else { return Ok(()) };
    let span = swept.map_or(0..0, |swept| swept.span.clone());
    Err(file.text.error(&span, format!("two experiments would be called `{twice}`")))
}

/// The value that `--set` gives a setting, which picks this one of all.
fn picked<'f>(file: &'f File, setting: &str) -> Option<&'f str> {
    let each = file.text.overrides.iter().rev().filter_map(|text| text.split_once('='));
    each.map(|(name, value)| (name.trim(), value.trim()))
        .find_map(|(name, value)| (name == setting).then_some(value))
}

fn seeds(file: &File) -> Result<Vec<u64>, Error> {
    let first = file.root.seed.as_ref().map_or(0, |seed| seed.0);
    let Some(seeds) = &file.root.seeds else { return Ok(vec![first]) };
    let fault = |message: String| Err(file.text.error(&seeds.span(), message));
    match seeds.as_ref() {
        _ if picked(file, "seed").is_some() => Ok(vec![first]),
        Seeds::Count(count) if count.0 > MOST as u64 => {
            fault(format!("expected at most {MOST} seeds, found {}", count.0))
        }
        Seeds::Count(count) => Ok((first..first + count.0).collect()),
        Seeds::List(_) if file.root.seed.is_some() => {
            fault("`seeds` lists all seeds; expected no `seed` beside it".to_owned())
        }
        Seeds::List(seeds) if seeds.is_empty() => fault("expected at least one seed".to_owned()),
        Seeds::List(seeds) => {
            let mut known = BTreeSet::new();
            match seeds.iter().find(|seed| !known.insert(seed.0)) {
                Some(twice) => fault(format!("expected each seed once, found {} twice", twice.0)),
                None => Ok(seeds.iter().map(|seed| seed.0).collect()),
            }
        }
    }
}

/// Every setting of `[sweep]`, also of tables in it.
fn swept(file: &File) -> Result<Vec<Swept>, Error> {
    let mut all = Vec::new();
    for (name, value) in &file.root.sweep {
        add(file, name.clone(), (value.as_ref(), &value.span()), &mut all)?;
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

fn add(
    file: &File,
    name: String,
    (value, span): (&Value, &Range<usize>),
    to: &mut Vec<Swept>,
) -> Result<(), Error> {
    let fault = |message: String| Err(file.text.error(span, message));
    match value {
        Value::Table(inner) => {
            for (key, value) in inner {
                add(file, format!("{name}.{key}"), (value, span), to)?;
            }
            Ok(())
        }
        _ if NOT_SWEPT.contains(&name.as_str()) => {
            fault(format!("`{name}` cannot be swept; `seeds` is for seeds"))
        }
        Value::Array(values) if values.is_empty() => {
            fault(format!("expected at least one value of `{name}`"))
        }
        Value::Array(values) => {
            let values = match picked(file, &name) {
                // However it is written: `0.60` is the sweep's `0.6`.
                Some(text) => {
                    vec![text.parse::<Value>().map_or_else(|_| text.to_owned(), |v| v.to_string())]
                }
                None => values.iter().map(ToString::to_string).collect(),
            };
            to.push(Swept { name, span: span.clone(), values });
            Ok(())
        }
        other => fault(format!("expected a list of values of `{name}`, found {other}")),
    }
}
