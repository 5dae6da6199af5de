//! Two models that play each other: nodes that no experiment has, made when somebody asks.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::runner::{BadName, Input, Node, NodeName, Plan, Source, StageError};
use crate::stages::{Engine, Standard, played_again};

/// Two models, in the order in which they are compared.
pub struct Versus {
    /// As `quickstart/m0` and `quickstart/m3`.
    pub names: [String; 2],
    /// How `evaluate` was configured for either of them.
    pub decided_by: Value,
    /// How the judge is reached, where it is not in this program.
    pub engine: Option<Engine>,
    /// What `evaluate` reads: `prompts`, the answers of the second as `responses` and of the first as
    /// `baseline`, and the judge's `model` or the query's `files`.
    pub inputs: Vec<Input>,
}

/// What resampling starts from, whatever the experiments' own seeds.
const SEED: u64 = 0;

impl Versus {
    /// Expands into a node of `verdicts` and one of `estimates`.
    ///
    /// # Errors
    /// Where the configuration is not one of `evaluate`.
    pub fn plan(self) -> Result<Plan, StageError> {
        let Self { names: [first, second], decided_by, engine, inputs } = self;
        let node = |name: &str| -> Result<NodeName, BadName> { name.parse() };
        let verdicts = Source::Table { node: node("evaluate.second.first")?, table: "verdicts" };
        let games = played_again(&decided_by, first.clone(), engine.as_ref())?;
        let estimates = Box::new(Standard::of_games([&first, &second], SEED));
        let nodes = vec![
            Node { name: node("evaluate.second.first")?, stage: games, inputs },
            Node {
                name: node("estimate.second.first")?,
                stage: estimates,
                inputs: vec![
                    Input { name: "verdicts", source: verdicts },
                    Input { name: "files", source: Source::Files(BTreeMap::new()) },
                ],
            },
        ];
        Ok(Plan { experiment: format!("{first} and {second}"), file: None, variant: None, nodes })
    }
}
