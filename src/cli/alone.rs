//! One node of an experiment, made by itself: for commands that bring what it waits for.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::failure::{Failure, Kind};
use super::host::host;
use super::memory::for_cache;
use super::run::named_nodes;
use crate::query::MemoryLimit;
use crate::runner::{
    Interrupt, Listener, NodeName, Plan, Runner, Shelf, StageError, State, survey,
};
use crate::store::{Digest, Store};

/// Finds the node of this name.
pub(super) fn one_node(plan: &Plan, node: &str) -> Result<NodeName, Failure> {
    let named = named_nodes(plan, std::slice::from_ref(&node.to_owned()))?;
    named.into_iter().next().ok_or_else(|| Failure::new(Kind::Usage, format!("no node `{node}`")))
}

/// The run of a node that is to be made; `None` where it is made. What it reads has to be there.
pub(super) fn to_make(
    store: &Store,
    plan: &Plan,
    node: &NodeName,
) -> Result<Option<Digest>, Failure> {
    let outlooks = survey(store, plan)?;
    let states: BTreeMap<&NodeName, State> =
        outlooks.iter().map(|outlook| (&outlook.node, outlook.state)).collect();
    let ancestors = plan.with_ancestors(std::slice::from_ref(node));
    let before =
        plan.nodes.iter().zip(ancestors).filter(|(other, needed)| *needed && other.name != *node);
    for (other, _) in before {
        if states.get(&other.name) != Some(&State::Hit) {
            let text = format!("{node} stands on {}, which is not made yet", other.name);
            let hint = format!("`mrx run EXPERIMENT {}` makes it", other.name);
            return Err(Failure::new(Kind::Data, text).hint(hint));
        }
    }
    let own = outlooks.iter().find(|outlook| outlook.node == *node);
    Ok(own.filter(|own| own.state != State::Hit).and_then(|own| own.run))
}

/// Runs one node, and says what kept it from being made. Also told is who hears of it, and on which device
/// it computes.
pub(super) fn attempt(
    store: &Store,
    plan: &Plan,
    node: &NodeName,
    (listener, device): (&dyn Listener, &str),
) -> Result<Result<(), StageError>, Failure> {
    let (interrupt, host) = (Interrupt::default(), host());
    let runner = Runner {
        store,
        listener,
        interrupt: &interrupt,
        clock: SystemTime::now,
        device,
        cache_memory: for_cache(&MemoryLimit::default(), None),
        host: &host,
        open: Shelf::default(),
    };
    let mut summary = runner.run(plan, std::slice::from_ref(node))?;
    Ok(summary.failed.pop().map_or(Ok(()), |failed| Err(failed.error)))
}
