//! The rows that a program trains on: the kept pairs, as lists of messages, in a file of JSON lines.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::lesson::{Candidates, Lesson};
use super::target::Target;
use crate::cli::failure::{Failure, Kind};
use crate::cli::outputs::Outputs;
use crate::query::{Format, Session};
use crate::store::{Digest, Store};

/// A number that a query gives.
#[derive(Deserialize)]
struct Counted {
    n: u64,
    first: Option<String>,
}

/// The pairs of a lesson, open to queries.
pub(super) struct Rows<'r> {
    session: Session,
    store: &'r Store,
    target: Target,
}

impl<'r> Rows<'r> {
    pub(super) fn open(store: &'r Store, target: Target) -> Result<Self, Failure> {
        Ok(Self { session: Session::of(store, &[])?, store, target })
    }

    /// An object as a table of a query.
    fn table(&self, object: Digest) -> String {
        let path = self.store.object_path(object).to_string_lossy().replace('\'', "''");
        format!("read_parquet('{path}', hive_partitioning = false)")
    }

    /// The kept pairs; those that the reference was asked about, where it was.
    fn kept(&self, lesson: &Lesson) -> String {
        let of = |candidates: &Candidates| {
            let pairs = self.table(candidates.pairs.object);
            let logps = candidates.logps.filter(|_| lesson.knows_logps());
            let logps = logps.map(|logps| self.table(logps.object));
            let joined = logps
                .map(|logps| format!(" JOIN {logps} AS r USING (pair_id)"))
                .unwrap_or_default();
            format!("FROM {pairs} AS p{joined} WHERE kept")
        };
        let all: Vec<String> = lesson.candidates.iter().map(of).collect();
        format!("({})", all.join(" UNION ALL BY NAME "))
    }

    fn count(&self, query: &str) -> Result<Counted, Failure> {
        let counted = self.session.rows(query)?.pop();
        counted.ok_or_else(|| Failure::new(Kind::Bug, "a count gave no row"))
    }

    /// Counts the pairs, and refuses what cannot be written for the program.
    pub(super) fn check(&self, lesson: &Lesson) -> Result<usize, Failure> {
        let kept = self.kept(lesson);
        let all =
            self.count(&format!("SELECT count(*) AS n, NULL::VARCHAR AS first FROM {kept}"))?;
        if all.n == 0 {
            return Err(Failure::new(
                Kind::Data,
                format!("no pair is kept to train {} on", lesson.node),
            ));
        }
        self.check_thinking(lesson, &kept)?;
        self.check_arguments(lesson)?;
        if self.target == Target::LlamaFactory {
            self.check_turns(&kept)?;
        }
        Ok(usize::try_from(all.n)?)
    }

    /// What was thought is no part of a chat's texts, and may be trained on here.
    fn check_thinking(&self, lesson: &Lesson, kept: &str) -> Result<(), Failure> {
        for object in lesson.drawn.iter().filter(|_| lesson.thinking) {
            let columns = self.store.columns_of(*object)?;
            if columns.field_with_name("thinking").is_err() {
                continue;
            }
            let is_response = columns.field_with_name("judgement_id").is_err();
            let (key, of) =
                if is_response { ("response", "actor") } else { ("judgement", "judge") };
            let drawn = self.table(*object);
            let thought = self.count(&format!(
                "SELECT count(*) AS n, min({key}_id) AS first FROM {drawn} WHERE thinking IS NOT NULL AND {key}_id \
                 IN (SELECT unnest([chosen_{key}_id, rejected_{key}_id]) FROM {kept} WHERE role = '{of}')"
            ))?;
            if thought.n > 0 {
                let text = format!(
                    "{} texts of the pairs hold thinking that is trained on, and a chat's messages cannot say it; \
                     the first is {}",
                    thought.n,
                    thought.first.unwrap_or_default()
                );
                let hint = "`[thinking] train = false` trains on answers alone";
                return Err(Failure::new(Kind::Data, text).hint(hint));
            }
        }
        Ok(())
    }

    /// What the chat template is given, TRL takes with every row, but for a date; the others not at all.
    fn check_arguments(&self, lesson: &Lesson) -> Result<(), Failure> {
        const DATE: &str = "strftime_now";
        let takes = |name: &&String| self.target == Target::Trl && name.as_str() != DATE;
        let Some(name) = lesson.arguments.keys().find(|name| !takes(name)) else { return Ok(()) };
        let text =
            format!("`{name}` of `[model.template]` cannot be said to {}", self.target.title());
        let hint = "write what it decides into the chat template itself, and leave it out";
        Err(Failure::new(Kind::Data, text).hint(hint))
    }

    /// LLaMA-Factory drops rows whose turns do not alternate, and goes on.
    fn check_turns(&self, kept: &str) -> Result<(), Failure> {
        let odd = self.count(&format!(
            "SELECT count(*) AS n, min(pair_id) AS first FROM (SELECT pair_id, [m.role FOR m IN messages] AS roles \
             FROM {kept}) WHERE len(regexp_replace(array_to_string(roles, ' '), \
             '^(system )?(user assistant )*user$', '')) > 0"
        ))?;
        if odd.n == 0 {
            return Ok(());
        }
        let text = format!(
            "{} of the pairs have a prompt whose turns do not alternate between user and assistant, and {} would \
             drop them; the first is {}",
            odd.n,
            self.target.title(),
            odd.first.unwrap_or_default()
        );
        Err(Failure::new(Kind::Data, text))
    }

    /// Writes the rows, in the order of their ids.
    pub(super) fn write(
        &self,
        lesson: &Lesson,
        to: &mut Outputs,
        name: &Path,
    ) -> Result<(), Failure> {
        let message = |side: &str| format!("{{'role': 'assistant', 'content': {side}}}");
        let [chosen, rejected] = ["chosen", "rejected"].map(message);
        let columns = match self.target {
            Target::Trl => format!(
                "messages AS prompt, [{chosen}] AS chosen, [{rejected}] AS rejected{}{}",
                arguments(&lesson.arguments),
                if lesson.knows_logps() { ", ref_chosen_logps, ref_rejected_logps" } else { "" }
            ),
            Target::Axolotl => format!("messages, {chosen} AS chosen, {rejected} AS rejected"),
            Target::LlamaFactory => {
                let said = |side: &str| format!("{{'from': 'gpt', 'value': {side}}} AS {side}");
                let [chosen, rejected] = ["chosen", "rejected"].map(said);
                format!(
                    "[{{'from': CASE m.role WHEN 'user' THEN 'human' WHEN 'assistant' THEN 'gpt' ELSE m.role END, \
                     'value': m.content}} FOR m IN messages] AS conversations, {chosen}, {rejected}"
                )
            }
            Target::OpenRlhf => {
                format!("messages AS prompt, [{chosen}] AS chosen, [{rejected}] AS rejected")
            }
        };
        let query =
            format!("SELECT {columns}, role, pair_id FROM {} ORDER BY pair_id", self.kept(lesson));
        to.query(name, &self.session, &query, Format::Jsonl).map(drop)
    }
}

/// What the chat template is given, as a column of every row.
fn arguments(arguments: &Map<String, Value>) -> String {
    if arguments.is_empty() {
        return String::new();
    }
    let fields = arguments.iter().map(|(name, value)| format!("'{name}': {}", literal(value)));
    format!(", {{{}}} AS chat_template_kwargs", fields.collect::<Vec<_>>().join(", "))
}

/// A value of JSON in SQL.
fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Array(values) => {
            format!("[{}]", values.iter().map(literal).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
