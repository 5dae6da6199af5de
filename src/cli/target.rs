//! What a person points at: a node, a run or an object.

use super::failure::{Failure, Kind};
use crate::store::{Digest, Manifest, Prefix, Resolved, Store};

/// Something in the store.
pub(super) enum Target {
    /// A finished run.
    Run(Box<Manifest>),
    /// An object, and the runs that made it.
    Object(Digest, Vec<Manifest>),
}

impl Target {
    /// Finds `experiment/judge.m1`, `judge.m1`, or the first digits of a run or an object.
    pub(super) fn find(store: &Store, text: &str) -> Result<Self, Failure> {
        match text.parse::<Prefix>() {
            Ok(prefix) => Self::by_digits(store, &prefix),
            Err(_) => Self::by_node(store, text),
        }
    }

    fn by_digits(store: &Store, prefix: &Prefix) -> Result<Self, Failure> {
        let digest = match store.resolve(prefix)? {
            Resolved::One(digest) => digest,
            Resolved::None => {
                let text = format!("no run and no object starts with {}", prefix.as_str());
                return Err(Failure::new(Kind::Data, text));
            }
            Resolved::Many(found) => {
                let digits: Vec<String> = found.iter().map(|digest| digest.short()).collect();
                let text = format!("{} names start with {}", found.len(), prefix.as_str());
                return Err(
                    Failure::new(Kind::Data, text).hint(format!("one of {}", digits.join(", ")))
                );
            }
        };
        if let Some(manifest) = store.manifest(digest)? {
            return Ok(Self::Run(Box::new(manifest)));
        }
        let made = |m: &Manifest| {
            m.tables.values().any(|table| table.object == digest)
                || m.objects.values().any(|file| file.object == digest)
        };
        Ok(Self::Object(digest, store.manifests()?.into_iter().filter(made).collect()))
    }

    fn by_node(store: &Store, text: &str) -> Result<Self, Failure> {
        let (experiment, node) = match text.split_once('/') {
            Some((experiment, node)) => (Some(experiment), node),
            None => (None, text),
        };
        let mut found = Vec::new();
        let mut names = Vec::new();
        for plan in store.plans()? {
            if experiment.is_some_and(|name| name != plan.experiment) {
                continue;
            }
            names.extend(plan.nodes.iter().map(|known| known.node.clone()));
            let known = plan.nodes.iter().find(|known| known.node == node);
            if let Some(manifest) =
                known.and_then(|k| k.run).map(|run| store.manifest(run)).transpose()?.flatten()
            {
                found.push((plan.experiment.clone(), manifest));
            }
        }
        match found.len() {
            1 => Ok(Self::Run(Box::new(found.remove(0).1))),
            0 => Err(nothing(text, node, &names)),
            n => {
                let full: Vec<String> =
                    found.iter().map(|(name, _)| format!("{name}/{node}")).collect();
                let text = format!("{n} experiments have a finished node `{node}`");
                Err(Failure::new(Kind::Usage, text).hint(format!("one of {}", full.join(", "))))
            }
        }
    }
}

fn nothing(text: &str, node: &str, names: &[String]) -> Failure {
    if names.iter().any(|name| name == node) {
        let failure = Failure::new(Kind::Data, format!("node `{text}` is not finished"));
        return failure.hint("`mrx run` makes it");
    }
    let failure =
        Failure::new(Kind::Usage, format!("`{text}` is not a node, run or object of this store"));
    match names.iter().min_by_key(|name| strsim::damerau_levenshtein(name, node)) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure,
    }
}
