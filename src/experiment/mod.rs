//! An experiment: one TOML file that describes a whole loop, and the plan it expands to.

mod chat_template;
mod described;
pub mod doctor;
mod draw_tables;
mod engine_table;
mod engines;
mod epochs;
mod estimates;
mod evaluate_tables;
mod evaluation;
mod iteration;
mod learned;
mod locate;
mod loop_;
mod machine;
mod model_tables;
mod named;
mod needs;
mod pair_tables;
mod per_iteration;
mod plan;
mod probes;
mod reader;
mod scale;
mod seeds_table;
mod settings;
mod spanned;
mod toml_file;
mod train_table;
mod trainer_table;
mod trainers;
mod training;
mod validation;
mod values;
mod variants;
mod verdicts;
mod versus;

use std::path::{Path, PathBuf};

pub use described::schema;
use engines::Engines;
pub use learned::refuse_unlearned;
pub use locate::{Error, Position};
pub use machine::{Machine, NoReports, Reports};
pub use needs::{CannotFit, Need, Takes};
pub use scale::{Load, Scale};
use spanned::Spanned;
use toml_file::File;
pub use variants::Claimed;
pub use versus::Versus;

pub use crate::stages::memory::{CannotDraw, DoesNotFit, Footprint, Memory, in_words};
pub use crate::stages::{
    Asked, Awaited, Brought, Dpo, DpoLoss, Engine, Explained, FromGguf, ModelError, Rendered,
    SCRIPT, Schedule, Settings, TooManyRefused, TrainError, asked, listed, remote,
};
pub use reader::{Reader, Whose};

use crate::runner::{Plan, Variant};

/// Finds the file of an experiment, which may be named by its folder.
fn find(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("experiment.toml") } else { path.to_owned() }
}

/// An experiment, read and checked, with its SQL and its templates.
pub struct Experiment {
    plan: Plan,
    scales: Vec<Scale>,
    needs: Vec<Need>,
    path: PathBuf,
    engines: Engines,
    claims: Vec<Claimed>,
}

impl Experiment {
    /// Reads the experiment at `path`: a TOML file, or a folder that holds `experiment.toml`.
    ///
    /// `overrides` are `a.b=c`, as if the file said so; values are TOML, and text where they are not. The
    /// machine says where models compute, and how those elsewhere are reached.
    ///
    /// # Errors
    /// Each mistake in the file, with line and column, what was expected and what was found; a file that expands
    /// to several, where the overrides do not pick one.
    pub fn load(path: &Path, overrides: &[String], machine: &Machine<'_>) -> Result<Self, Error> {
        let (path, file) = Self::read(path, overrides)?;
        match variants::of(&file)?.as_slice() {
            [variant] => Self::expand(&path, &file, variant.as_ref(), machine),
            several => {
                let names = several.iter().flatten().map(|variant| variants::name(&file, variant));
                Err(Error::Several { path, names: names.collect() })
            }
        }
    }

    /// Reads every experiment that the file at `path` expands to: one for each of its seeds and each combination
    /// of what it sweeps.
    ///
    /// # Errors
    /// As [`Experiment::load`].
    pub fn all(
        path: &Path,
        overrides: &[String],
        machine: &Machine<'_>,
    ) -> Result<Vec<Self>, Error> {
        let (path, file) = Self::read(path, overrides)?;
        let variants = variants::of(&file)?;
        variants.iter().map(|v| Self::expand(&path, &file, v.as_ref(), machine)).collect()
    }

    fn read(path: &Path, overrides: &[String]) -> Result<(PathBuf, File), Error> {
        let path = find(path);
        let file = File::read(&path, overrides)?;
        plan::check_name(&file)?;
        Ok((path, file))
    }

    /// Expands the file, or what it is for one of its variants.
    fn expand(
        path: &Path,
        file: &File,
        variant: Option<&Variant>,
        machine: &Machine<'_>,
    ) -> Result<Self, Error> {
        let Some(variant) = variant else {
            let engines = Engines::of(file, machine)?;
            let (plan, scales, needs) = plan::expand(file, &engines)?;
            let (path, claims) = (path.to_owned(), variants::claims(file)?);
            return Ok(Self { plan, scales, needs, path, engines, claims });
        };
        let overrides: Vec<String> =
            file.text.overrides.iter().cloned().chain(variant.overrides()).collect();
        let mut own = File::read(path, &overrides).map_err(|e| variants::placed(file, e))?;
        own.root.name = Spanned::new(own.root.name.span(), variants::name(file, variant));
        let mut expanded = Self::expand(path, &own, None, machine)
            .map_err(|error| variants::placed(file, error))?;
        expanded.plan.variant = Some(variant.clone());
        Ok(expanded)
    }

    /// Returns what decides games, and how it is reached.
    #[must_use]
    pub const fn decider(&self) -> &Engine {
        &self.engines.games
    }

    /// Returns the nodes it expands to.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns what each iteration takes at most; none where the file does not say how many prompts.
    #[must_use]
    pub fn scales(&self) -> &[Scale] {
        &self.scales
    }

    /// Returns what each training in this program takes of memory, and each node that answers; none where the
    /// model's folder does not say what it computes.
    #[must_use]
    pub fn needs(&self) -> &[Need] {
        &self.needs
    }

    /// Returns how many bytes of memory may be taken, where the machine says.
    #[must_use]
    pub const fn memory(&self) -> Option<u64> {
        self.engines.memory
    }

    /// Returns what its file claims of models over seeds.
    #[must_use]
    pub fn claims(&self) -> &[Claimed] {
        &self.claims
    }

    /// Returns the TOML file it was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
