//! `[estimate.NAME]`: one node for each iteration whose tables the query names, or one in all for a query
//! over files alone.

use std::ops::Range;

use super::Error;
use super::spanned::Spanned;
use super::toml_file::{self as file, File};
use crate::runner::{Input, Node, NodeName, Source};
use crate::stages::{Estimate, Measure, Options, Verb};

/// The model in the name of a node that belongs to no iteration.
const ALL: &str = "all";

/// The nodes of the estimates that every iteration gets.
const STANDARD: [&str; 3] = ["answers", "judging", "panel"];

/// Adds the estimates that work with `M_t`, or those over files alone.
pub(super) fn add(
    file: &File,
    iteration: Option<usize>,
    nodes: &mut Vec<Node>,
) -> Result<(), Error> {
    for (name, table) in &file.root.estimate {
        if STANDARD.contains(&name.as_str()) {
            let message = format!("`{name}` is the name of a standard estimate; expected another");
            return Err(file.text.error(&table.measure.span(), message));
        }
        let (sql, tables) = asked(file, table)?;
        let model = match iteration {
            Some(t) => format!("m{t}"),
            None => ALL.to_owned(),
        };
        if iteration.is_some() == tables.is_empty() {
            continue;
        }
        let inputs = tables.iter().map(|table| inputs_of(table, &model, nodes));
        let inputs: Option<Vec<Vec<Input>>> = inputs.collect();
        // An iteration that does not train the judge compares no judgements.
        let Some(mut inputs) = inputs.map(|inputs| inputs.concat()) else { continue };
        let files = Source::Files(file.declared(&table.files)?);
        inputs.push(Input { name: "files", source: files });
        let name_at = table.measure.span();
        let node: NodeName =
            format!("{}.{model}.{name}", Verb::Estimate.name()).parse().map_err(|_| {
                let message = format!(
                    "expected an estimate's name of letters, digits, `_` and `-`, found `{name}`"
                );
                file.text.error(&name_at, message)
            })?;
        if nodes.iter().any(|known| known.name == node) {
            let message = format!("`{node}` is a node of the loop; expected another name");
            return Err(file.text.error(&name_at, message));
        }
        nodes.push(Node { name: node, stage: Box::new(estimate(file, name, table, sql)?), inputs });
    }
    Ok(())
}

/// Checks that every estimate has become a node somewhere.
pub(super) fn check(file: &File, nodes: &[Node]) -> Result<(), Error> {
    let made = |name: &str| {
        nodes.iter().any(|node| {
            node.name.stage() == Verb::Estimate.name()
                && node.name.as_str().ends_with(&format!(".{name}"))
        })
    };
    let lost = file.root.estimate.iter().find(|(name, _)| !made(name));
    lost.map_or(Ok(()), |(name, table)| {
        let tables = asked(file, table)?.1.join(", ");
        let message = format!("`{name}` asks for {tables}, and no iteration makes all of that");
        Err(file.text.error(&table.sql.span(), message))
    })
}

/// An estimate's query, and the tables of the loop that it names.
fn asked(file: &File, table: &file::Estimate) -> Result<(String, Vec<&'static str>), Error> {
    let (path, span) = (file.find(table.sql.as_ref()), table.sql.span());
    let sql = file.text.read(&path, &span)?;
    let tables = Estimate::tables_in(&sql);
    let tables = tables.map_err(|e| file.text.error(&span, format!("{}: {e}", path.display())))?;
    Ok((sql, tables))
}

/// Where a table that a query names comes from: of the iteration's nodes, those that make it and what
/// was read out of it.
fn inputs_of(table: &str, model: &str, nodes: &[Node]) -> Option<Vec<Input>> {
    let input = |name, verb: Verb, part: &str| {
        let maker = format!("{}.{model}{part}", verb.name());
        let node = nodes.iter().find(|node| node.name.as_str() == maker)?.name.clone();
        Some(Input { name, ..Input::table(node, verb.makes()[0]) })
    };
    let verb = Verb::making(table)?;
    let mut inputs = vec![input(verb.makes()[0], verb, "")?];
    match verb {
        Verb::Judge => inputs.push(input("readings", Verb::Read, "")?),
        Verb::MetaJudge => inputs.push(input("meta_readings", Verb::Read, ".meta")?),
        _ => {}
    }
    Some(inputs)
}

fn estimate(
    file: &File,
    name: &str,
    table: &file::Estimate,
    sql: String,
) -> Result<Estimate, Error> {
    let measure = *table.measure.as_ref();
    refuse_idle(file, table, measure)?;
    let resamples = table.resamples.map_or(1000, |resamples| resamples.0);
    Ok(Estimate {
        name: name.to_owned(),
        measure,
        sql,
        resamples: usize::try_from(resamples).unwrap_or(usize::MAX),
        level: table.level.map_or(0.95, |level| level.0),
        seed: file.root.seed.map_or(0, |seed| seed.0),
        options: Options {
            baseline: table.baseline.as_ref().map(|named| named.as_ref().clone()),
            prior: table.prior.as_ref().map_or(0.0, |prior| prior.as_ref().0),
            order_effect: table.order_effect.as_ref().is_some_and(|on| on.as_ref().0),
            inverse_penalty: table.inverse_penalty.as_ref().map(|penalty| penalty.as_ref().0),
            tie: table.tie.as_ref().map(|named| named.as_ref().clone()),
        },
    })
}

/// A setting's name, where it stands if it does, and the measures that have it.
type Setting<'m> = (&'static str, Option<Range<usize>>, &'m [Measure]);

/// A setting that the measure does not have is a mistake, not something to pass over.
fn refuse_idle(file: &File, table: &file::Estimate, measure: Measure) -> Result<(), Error> {
    use Measure::{Agreement, BradleyTerry, Difference, LengthControlledWinRate};
    let settings: [Setting<'_>; 5] = [
        ("baseline", table.baseline.as_ref().map(Spanned::span), &[BradleyTerry, Difference]),
        ("prior", table.prior.as_ref().map(Spanned::span), &[BradleyTerry]),
        ("order_effect", table.order_effect.as_ref().map(Spanned::span), &[BradleyTerry]),
        (
            "inverse_penalty",
            table.inverse_penalty.as_ref().map(Spanned::span),
            &[LengthControlledWinRate],
        ),
        ("tie", table.tie.as_ref().map(Spanned::span), &[Agreement]),
    ];
    for (setting, span, measures) in settings {
        if let Some(span) = span.filter(|_| !measures.contains(&measure)) {
            let message = format!("the measure `{}` has no setting `{setting}`", measure.name());
            return Err(file.text.error(&span, message));
        }
    }
    Ok(())
}
