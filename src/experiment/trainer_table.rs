//! `[trainer]` and `[adapter]`: how TRL trains, as it is written in an experiment or in the machine's own
//! file.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Error;
use super::locate::Text;
use super::per_iteration::{Count, Decay, Positive, Switch};
use super::spanned::Spanned;
use crate::stages::{AskedBy, Dtype};

/// `[trainer]`: how TRL trains, where `trainer = "trl"`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table, `[trainer]`")]
pub(super) struct TrainerTable {
    /// The type of numbers that TRL computes with; with bfloat16 weights and sums stay in 32 bits while they are
    /// learned.
    #[schemars(extend("default" = "float32"))]
    pub(super) dtype: Option<Spanned<Dtype>>,
    /// Who asks the reference model for log-probabilities.
    #[schemars(extend("default" = "precomputed"))]
    pub(super) reference: Option<Spanned<AskedBy>>,
    /// The Python that has TRL, or `uv run`.
    #[schemars(extend("default" = "python3"))]
    pub(super) python: Option<Spanned<String>>,
    /// The command that launches it, as `accelerate launch`; one process where not given.
    pub(super) launch: Option<Spanned<String>>,
    /// Variables of its environment.
    pub(super) env: Option<BTreeMap<String, String>>,
    /// Rows that a process holds at once.
    #[schemars(extend("default" = 4))]
    pub(super) per_device_batch: Option<Count>,
    /// Whether layers are run again on the way back.
    #[schemars(extend("default" = false))]
    pub(super) gradient_checkpointing: Option<Switch>,
    /// Steps between its own checkpoints.
    #[schemars(extend("default" = 50))]
    pub(super) save_steps: Option<Count>,
}

impl TrainerTable {
    /// What the table says, and what the one below says where it is silent.
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            dtype: self.dtype.or(below.dtype),
            reference: self.reference.or(below.reference),
            python: self.python.or(below.python),
            launch: self.launch.or(below.launch),
            env: self.env.or(below.env),
            per_device_batch: self.per_device_batch.or(below.per_device_batch),
            gradient_checkpointing: self.gradient_checkpointing.or(below.gradient_checkpointing),
            save_steps: self.save_steps.or(below.save_steps),
        }
    }

    /// Checks what the TOML reader could not.
    pub(super) fn check(&self, text: &Text) -> Result<(), Error> {
        for named in [&self.python, &self.launch].into_iter().flatten() {
            if shlex::split(named.as_ref()).is_none_or(|words| words.is_empty()) {
                let message = "expected a command; a quote is open, or there is no word";
                return Err(text.error(&named.span(), message));
            }
        }
        Ok(())
    }

    /// Checks that the table says nothing of results: that of a machine may not.
    pub(super) fn decides_nothing(&self, text: &Text) -> Result<(), Error> {
        let dtype = self.dtype.as_ref().map(|named| ("dtype", named.span()));
        let reference = self.reference.as_ref().map(|named| ("reference", named.span()));
        match dtype.or(reference) {
            None => Ok(()),
            Some((name, span)) => {
                let message =
                    format!("`{name}` decides results: it belongs in the experiment's own file");
                Err(text.error(&span, message))
            }
        }
    }

    /// Makes the files among the words of `launch` absolute that lie beside the file that says so.
    pub(super) fn found_from(mut self, folder: &Path) -> Self {
        let find = |word: &String| {
            let path = folder.join(word);
            if path.is_file() { path.to_string_lossy().into_owned() } else { word.clone() }
        };
        if let Some(launch) = &mut self.launch
            && let Some(words) = shlex::split(launch.as_ref())
            && let Ok(joined) = shlex::try_join(
                words.iter().map(find).collect::<Vec<_>>().iter().map(String::as_str),
            )
        {
            *launch = Spanned::new(launch.span(), joined);
        }
        self
    }
}

/// `[adapter]`: a low-rank adapter that is trained in place of the weights.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table, `[adapter]`")]
pub(super) struct AdapterTable {
    /// The rank of the adapter.
    pub(super) rank: Count,
    /// Its scale, over the rank; twice the rank where not given.
    pub(super) alpha: Option<Positive>,
    /// Its dropout while it is trained by TRL.
    #[schemars(extend("default" = 0.0))]
    pub(super) dropout: Option<Decay>,
    /// The modules that it stands beside.
    #[schemars(extend("default" = ["q_proj", "v_proj"]))]
    pub(super) target_modules: Option<Vec<Spanned<String>>>,
}
