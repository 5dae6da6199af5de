//! Whom a doctor looks at: the engines of an experiment that are other programs, or one server by its
//! address.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::engines::Engines;
use super::find;
use super::locate;
use super::machine::Machine;
use super::named::Files;
use super::settings::M0;
use super::spanned::Spanned;
use super::toml_file::{File, JudgeModel};
use crate::runner::StageError;
use crate::stages::remote::{
    ApiKey, Calls, Dialect, Endpoint, Finding, How, Options, Servers, Whose, examine, preset_of,
    report,
};
use crate::stages::{Api, Arguments, Engine, EngineVersion, Protocol, files_read, gguf_of, listed};

/// Why nobody can be looked at.
#[derive(Debug, thiserror::Error)]
pub enum NoPatient {
    /// A server has several models.
    #[error("{url} serves {}: one has to be named", .serves.join(", "))]
    WhichModel {
        /// The server.
        url: String,
        /// Its models.
        serves: Vec<String>,
    },
    /// There is no such preset.
    #[error("expected a preset of {}, found `{found}`", Dialect::presets().collect::<Vec<_>>().join(", "))]
    NoPreset {
        /// What was given.
        found: String,
    },
    /// A folder is none of a model.
    #[error("expected a model folder, found no config.json in {}", .0.display())]
    NoModel(PathBuf),
    /// A folder cannot be read.
    #[error("cannot read the model folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A server by its address, and what is said of it.
#[derive(Debug)]
pub struct Address {
    /// Its address.
    pub url: String,
    /// What the model is served as; `None` is the only one there is.
    pub model: Option<String>,
    /// The model's folder, for its template and its tokens.
    pub folder: Option<PathBuf>,
    /// What it calls things; `None` is guessed.
    pub preset: Option<String>,
    /// The variable that holds its key.
    pub api_key_env: Option<String>,
}

/// An engine that is looked at.
#[derive(Debug)]
pub struct Patient {
    roles: Vec<&'static str>,
    engine: Engine,
    name: Option<String>,
    files: Option<Files>,
}

impl Patient {
    /// A server by its address.
    ///
    /// # Errors
    /// Where the address is none, and where the folder or the preset is not there.
    pub fn at(address: Address, machine: &Machine<'_>) -> Result<Self, StageError> {
        let Address { url, model, folder, preset, api_key_env } = address;
        let key = |variable: String| {
            let value = (machine.variable)(&variable);
            ApiKey::new(variable, value)
        };
        let endpoint = Endpoint { url, key: api_key_env.map(key) };
        let preset = match preset {
            Some(named) => Some(named),
            // Without its key nobody can be asked: that is a finding.
            None => preset_of(&endpoint).ok().flatten().map(str::to_owned),
        };
        let dialect = match &preset {
            None => Dialect::plain(),
            Some(named) => Dialect::preset(named)
                .ok_or_else(|| NoPatient::NoPreset { found: named.clone() })?,
        };
        let files = folder.as_deref().map(model_folder).transpose()?;
        let name = preset.unwrap_or_else(|| "server".to_owned());
        let engine = engine_at(endpoint, dialect, name, files.is_some());
        Ok(Self { roles: Vec::new(), engine, name: model, files })
    }

    /// The engines of an experiment that are other programs, each once, with the roles that it has.
    ///
    /// # Errors
    /// Each mistake in the file.
    pub fn all_of(
        path: &Path,
        overrides: &[String],
        machine: &Machine<'_>,
    ) -> Result<Vec<Self>, locate::Error> {
        let file = File::read(&find(path), overrides)?;
        let engines = Engines::of(&file, machine)?;
        let first = file.root.model.as_ref().map(|model| file.first_model(model)).transpose()?;
        let mut patients = Vec::new();
        for (role, engine, name, files) in roles(&file, &engines, first.as_ref())? {
            if matches!(engine.how, How::Local | How::Files(_)) {
                continue;
            }
            let same = |known: &&mut Self| {
                known.engine == *engine && known.name == name && known.files == files
            };
            if let Some(known) = patients.iter_mut().find(same) {
                known.roles.push(role);
            } else {
                let engine = engine.clone();
                patients.push(Self { roles: vec![role], engine, name, files });
            }
        }
        Ok(patients)
    }

    /// The roles that it has in the experiment.
    #[must_use]
    pub fn roles(&self) -> &[&'static str] {
        &self.roles
    }

    /// What the engine is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.engine.name
    }

    /// The files of the model that it is started with; `None` where it is not started.
    #[must_use]
    pub fn started_with(&self) -> Option<&BTreeMap<String, PathBuf>> {
        self.files.as_ref().filter(|_| matches!(self.engine.how, How::Program(_)))
    }

    /// Looks at it. What is started finds its model in `folder`, and leaves its words there.
    ///
    /// # Errors
    /// Where an address is none, a file of the model cannot be read, or it is not clear which model is
    /// meant.
    pub fn examine(&self, folder: &Path, options: Options) -> Result<Vec<Finding>, StageError> {
        let whose = Whose {
            name: self.asked_for()?,
            files: self.files.as_ref(),
            arguments: &Arguments::default(),
            folder: folder.to_owned(),
            adapter: None,
            spent: 0.0,
        };
        Ok(examine(&self.engine, &whose, options)?)
    }

    /// What the model is served as: what is said, or the only one that there is.
    fn asked_for(&self) -> Result<String, StageError> {
        const STARTED: &str = "mrx-doctor";
        let How::Servers(servers) = &self.engine.how else { return Ok(STARTED.to_owned()) };
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        // One that does not say is looked at all the same: that is a finding.
        let told = report(&servers.endpoints, &servers.calls, None).unwrap_or_default();
        let url = servers.endpoints.first().map(|endpoint| endpoint.url.clone());
        match told.serves.as_slice() {
            [] => Ok("the model".to_owned()),
            [only] => Ok(only.clone()),
            _ => {
                let (url, serves) = (url.unwrap_or_default(), told.serves);
                Err(NoPatient::WhichModel { url, serves }.into())
            }
        }
    }
}

/// A role, its engine, and what is known of its model.
type Role<'e> = (&'static str, &'e Engine, Option<String>, Option<Files>);

/// The roles that an experiment has.
fn roles<'e>(
    file: &File,
    engines: &'e Engines,
    first: Option<&Files>,
) -> Result<Vec<Role<'e>>, locate::Error> {
    let served = |engine: &Engine| engine.how.served_name().map(str::to_owned);
    let of_first = |role, engine: &'e Engine| (role, engine, served(engine), first.cloned());
    let mut roles = Vec::new();
    if first.is_some() {
        roles.push(of_first("respond", &engines.respond));
        roles.push(of_first("judge", &engines.judge));
    }
    if first.is_some() && file.root.meta_judge.is_some() {
        roles.push(of_first("meta_judge", &engines.meta_judge));
    }
    let Some(evaluate) = file.root.evaluate.as_ref().map(Spanned::as_ref) else { return Ok(roles) };
    roles.push(of_first("evaluate", &engines.evaluate));
    let Some(judge) = &evaluate.judge else { return Ok(roles) };
    let games = &engines.games;
    let (name, files) = match judge.model.as_ref() {
        named if named.is(M0) => (served(games), first.cloned()),
        JudgeModel::Served { served, .. } => (Some(served.clone()), None),
        JudgeModel::Folder(folder) => {
            let named = Spanned::new(judge.model.span(), folder.clone());
            (served(games), Some(file.model_folder(&named)?))
        }
    };
    roles.push(("evaluate.judge", games, name, files));
    Ok(roles)
}

/// The engine that an experiment would have with this address, and no more said of it.
fn engine_at(endpoint: Endpoint, dialect: Dialect, name: String, has_folder: bool) -> Engine {
    let api = if has_folder { dialect.api } else { Api::Chat };
    let protocol = Protocol {
        api,
        seeds: dialect.seeds,
        token_ids: dialect.token_ids,
        logprobs: dialect.logprobs,
        n: false,
        context: None,
        fields: serde_json::Map::new(),
    };
    let calls = Calls::of(dialect);
    let servers = Servers { endpoints: vec![endpoint], served_name: None, calls };
    Engine {
        name,
        version: EngineVersion::reported(None),
        compute: String::new(),
        protocol: Some(protocol),
        how: How::Servers(Arc::new(servers)),
    }
}

fn model_folder(folder: &Path) -> Result<Files, NoPatient> {
    let fail = |source| NoPatient::Folder { path: folder.to_owned(), source };
    let files = listed(folder).map_err(fail)?;
    if files.contains_key("config.json") || gguf_of(&files).is_some() {
        Ok(files_read(&files))
    } else {
        Err(NoPatient::NoModel(folder.to_owned()))
    }
}
