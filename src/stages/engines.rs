//! Which engine draws: the one in this program, servers, a program that is started, or files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use serde_json::json;

use super::models::{lay_out_apart, lay_out_full, model_files, name_of, open_model};
use crate::model::adapter::Adapter;
use crate::model::remote::{ByFiles, How, Remote, Whose};
use crate::model::{Arguments, Engine, LanguageModel};
use crate::runner::{Io, StageError};

/// Something is to be drawn from a model that has no files here, by an engine that needs them.
#[derive(Debug, thiserror::Error)]
#[error("`{served}` is a served name: the engine `{engine}` needs a model's folder")]
struct NeedsFolder {
    served: String,
    engine: String,
}

/// Opens the input `model` by an engine, or returns it where it is open still.
pub(super) fn open_by(
    io: &Io<'_>,
    engine: &Engine,
    arguments: &Arguments,
) -> Result<Rc<Box<dyn LanguageModel>>, StageError> {
    let declared = io.declared("model")?;
    if matches!(engine.how, How::Local) && engine.is_local() {
        return match declared {
            None => open_model(io, arguments),
            Some(named) => Err(needs_folder(named.get(SERVED), engine)),
        };
    }
    io.reach(engine.how.places());
    let digest = io.digest("model")?;
    let name =
        format!("{digest} by {} with {}", json!([engine, place(engine)]), arguments.to_json());
    io.open(&name, || {
        let files = if declared.is_none() { Some(model_files(io)?) } else { None };
        let ours = name_of(io, "model")?;
        let laid_out = files.as_ref().map(|files| lay_out(io, engine, &ours, files)).transpose()?;
        let (folder, adapter) = laid_out.unwrap_or_default();
        let served = declared.as_ref().and_then(|named| named.get(SERVED)).cloned();
        if let (How::Program(_), Some(served)) = (&engine.how, &served) {
            return Err(needs_folder(Some(served), engine));
        }
        // What the servers call the folder that the experiment begins with, it says itself; what the loop
        // makes goes by its digest.
        let is_given = io.files("model")?.is_some();
        let given = engine.how.served_name().filter(|_| is_given).map(str::to_owned);
        let name = served.or(given).unwrap_or(ours);
        let spent = if engine.how.calls().is_some_and(|calls| calls.max_cost.is_some()) {
            io.money_spent()?
        } else {
            0.0
        };
        let whose = Whose { name, files: files.as_ref(), arguments, folder, adapter, spent };
        let model: Box<dyn LanguageModel> = match &engine.how {
            How::Files(_) => Box::new(ByFiles::open(engine, &whose)?),
            _ => Box::new(Remote::open(engine, &whose)?),
        };
        io.check_unchanged("model")?;
        Ok(model)
    })
}

/// Lays a model out as its engine reads it: as one piece; or its base, with its adapter's folder and rank
/// beside it.
fn lay_out(
    io: &Io<'_>,
    engine: &Engine,
    name: &str,
    files: &BTreeMap<String, PathBuf>,
) -> Result<(PathBuf, Option<(PathBuf, usize)>), StageError> {
    match (&engine.how, Adapter::open(files)?) {
        (How::Program(program), Some(adapter)) if program.lora.is_some() => {
            let [base, own] = lay_out_apart(io, name, files)?;
            Ok((base, Some((own.join("model"), adapter.rank))))
        }
        _ => Ok((lay_out_full(io, name, files)?, None)),
    }
}

/// How a declared model says what it is served as.
pub const SERVED: &str = "served";

/// Where the engine is: two roles with one engine and other servers do not share what is open.
fn place(engine: &Engine) -> String {
    format!("{:?}", engine.how)
}

fn needs_folder(served: Option<&String>, engine: &Engine) -> StageError {
    let served = served.cloned().unwrap_or_default();
    NeedsFolder { served, engine: engine.name.clone() }.into()
}
