//! What a model is trained on, found in the plan and in the store: its pairs, what the reference made of them, the
//! models that it starts from and is held to, and the settings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::cli::failure::{Failure, Kind};
use crate::experiment::{Dpo, Experiment, Settings};
use crate::runner::{Node, Outlook, Source, State, survey};
use crate::store::{Digest, Manifest, Store, StoredTable};

/// The files of a model, by name.
pub(super) type Files = BTreeMap<String, PathBuf>;

/// What a model is trained on.
pub(super) struct Lesson {
    pub(super) experiment: String,
    /// The node that waits for what comes of it, as `train.m2`.
    pub(super) node: String,
    /// Whether it waits: it may be trained here instead.
    pub(super) waits: bool,
    pub(super) settings: Settings,
    pub(super) dpo: Dpo,
    /// What the chat template is given.
    pub(super) arguments: Map<String, Value>,
    /// Whether thinking is trained on.
    pub(super) thinking: bool,
    /// Candidates of this iteration and of those before it in its window.
    pub(super) candidates: Vec<Candidates>,
    /// The texts that pairs are made of: what was thought stands there.
    pub(super) drawn: Vec<Digest>,
    pub(super) start: Files,
    /// The model that training is held to, where it is another than the start.
    pub(super) reference: Option<Files>,
    /// The longest sequence that the start takes.
    pub(super) context: u64,
    /// Pairs that are written.
    pub(super) pairs: usize,
    /// Whether what the reference made of them is written, too.
    pub(super) has_logps: bool,
}

/// Candidates of an iteration; those that are kept are trained on.
pub(super) struct Candidates {
    pub(super) pairs: StoredTable,
    /// What the reference made of them, where that is known.
    pub(super) logps: Option<StoredTable>,
}

/// Finds things in the plan and in the store.
struct Finder<'f> {
    store: &'f Store,
    nodes: &'f [Node],
    outlooks: Vec<Outlook>,
}

impl Lesson {
    /// Finds what M_(t + 1) is trained on.
    pub(super) fn find(store: &Store, experiment: &Experiment, t: usize) -> Result<Self, Failure> {
        let plan = experiment.plan();
        let outlooks = survey(store, plan)?;
        let finder = Finder { store, nodes: &plan.nodes, outlooks };
        let node = format!("train.m{}", t + 1);
        // Where epochs are kept, the node of this name chooses among them.
        let train = finder.node(&format!("{node}.all")).or_else(|| finder.node(&node));
        let Some(train) = train else {
            let text = format!("`{}` has no {node}", plan.experiment);
            let hint = "an iteration's pairs train the next model: `m0` has those of the first";
            return Err(Failure::new(Kind::Usage, text).hint(hint));
        };
        let made = finder.pairs_of(train)?;
        let config = train.stage.signature().config;
        let part = |name: &str| config.get(name).cloned().unwrap_or_default();
        let dpo: Dpo = serde_json::from_value(part("dpo"))?;
        let start = finder.model_of(train)?;
        if start.contains_key("adapter_config.json") {
            let text = format!(
                "{node} starts from an adapter on a base, and an export has one model to start from"
            );
            let hint = "`trainer = \"trl\"` goes on with the adapter";
            return Err(Failure::new(Kind::Data, text).hint(hint));
        }
        let held_to = format!("reference.m{t}");
        let reference = finder.node(&held_to).filter(|_| !dpo.reference_is_start);
        let mut scored = makers(train, "reference_logps").into_iter();
        let mut candidates = Vec::new();
        let mut drawn = Vec::new();
        for made in &made {
            let scored = scored.next().map(|node| finder.made(node)).transpose()?.flatten();
            let logps = scored.and_then(|made| made.tables.get("reference_logps").copied());
            let logps = logps.filter(|logps| logps.rows > 0);
            candidates.push(Candidates { pairs: table_of(made, "pairs")?, logps });
            drawn.extend(["responses", "judgements"].iter().filter_map(|t| made.key.table(t)));
        }
        Ok(Self {
            experiment: plan.experiment.clone(),
            node,
            waits: config.pointer("/trainer/name").and_then(Value::as_str) == Some("import"),
            settings: serde_json::from_value(part("settings"))?,
            dpo,
            arguments: part("template_arguments").as_object().cloned().unwrap_or_default(),
            thinking: part("thinking").as_bool().unwrap_or(true),
            candidates,
            drawn,
            context: context_of(&start)?,
            start,
            reference: reference.map(|node| finder.model_of(node)).transpose()?,
            pairs: 0,
            has_logps: false,
        })
    }
}

impl Lesson {
    /// Whether it is known what the reference made of all pairs.
    pub(super) fn knows_logps(&self) -> bool {
        self.candidates.iter().all(|candidates| candidates.logps.is_some())
    }
}

/// The nodes that make what a node reads of a table, in the order in which it reads them.
fn makers<'n>(node: &'n Node, wanted: &str) -> Vec<&'n str> {
    let maker = |source: &'n Source| match source {
        Source::Table { node, table } if *table == wanted => Some(node.as_str()),
        _ => None,
    };
    node.inputs.iter().filter_map(|input| maker(&input.source)).collect()
}

impl Finder<'_> {
    /// What made the pairs that a training reads, this iteration's first.
    fn pairs_of(&self, train: &Node) -> Result<Vec<Manifest>, Failure> {
        let made = |pair: &str| {
            self.made(pair)?.ok_or_else(|| {
                let failure = Failure::new(Kind::Data, format!("{pair} is not made yet"));
                failure.hint(format!("`mrx run EXPERIMENT {pair}` makes it"))
            })
        };
        makers(train, "pairs").into_iter().map(made).collect()
    }

    fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name.as_str() == name)
    }

    /// What a node made, where it is finished.
    fn made(&self, node: &str) -> Result<Option<Manifest>, Failure> {
        let outlook = self.outlooks.iter().find(|outlook| outlook.node.as_str() == node);
        let run = outlook.filter(|outlook| outlook.state == State::Hit).and_then(|found| found.run);
        Ok(run.map(|run| self.store.manifest(run)).transpose()?.flatten())
    }

    /// The files of the model that a node reads.
    fn model_of(&self, node: &Node) -> Result<Files, Failure> {
        let model =
            node.inputs.iter().find(|input| input.name == "model").map(|input| &input.source);
        match model {
            Some(Source::Files(files)) => Ok(files.clone()),
            Some(Source::Table { node: maker, .. }) => {
                let Some(made) = self.made(maker.as_str())? else {
                    let failure = Failure::new(Kind::Data, format!("{maker} is not made yet"));
                    return Err(failure.hint(format!("`mrx run EXPERIMENT {maker}` makes it")));
                };
                let path = |(name, file): (&String, &crate::store::StoredObject)| {
                    (name.clone(), self.store.object_path(file.object))
                };
                Ok(made.objects.iter().map(path).collect())
            }
            _ => Err(Failure::new(Kind::Bug, format!("{} reads no model", node.name))),
        }
    }
}

fn table_of(made: &Manifest, name: &str) -> Result<StoredTable, Failure> {
    let table = made.tables.get(name).copied();
    table.ok_or_else(|| Failure::new(Kind::Damaged, format!("{} made no `{name}`", made.node)))
}

/// The longest sequence that a model takes, as its configuration says.
fn context_of(files: &Files) -> Result<u64, Failure> {
    /// What transformers takes where a configuration is silent.
    const SILENT: u64 = 2048;
    let Some(path) = files.get("config.json") else {
        return Err(Failure::new(
            Kind::Data,
            "the model that training starts from has no config.json",
        ));
    };
    let config: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    if config.get("architecture").and_then(Value::as_str) == Some("scripted") {
        let text = "a scripted model has no weights: there is nothing to train elsewhere";
        return Err(Failure::new(Kind::Data, text));
    }
    Ok(config.get("max_position_embeddings").and_then(Value::as_u64).unwrap_or(SILENT))
}
