//! What was written into files for somebody else to run: which run it is for, and which rows.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::error::Error;
use super::file;
use super::layout::Store;
use super::sealed;

/// Requests that were written into files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// [`super::FORMAT`] at the time of writing.
    pub format: u32,
    /// The run whose rows they ask for.
    pub run: Digest,
    /// Its node, as `judge.m1`.
    pub node: String,
    /// The file of its experiment.
    pub file: PathBuf,
    /// What was laid over that file.
    pub overrides: Vec<String>,
}

impl Store {
    /// Returns where it is kept what was written into files.
    #[must_use]
    pub fn batches_folder(&self) -> PathBuf {
        self.root().join("batches")
    }

    fn batch_path(&self, run: Digest, extension: &str) -> PathBuf {
        self.batches_folder().join(format!("{run}.{extension}"))
    }

    /// Keeps that requests for these rows were written, beside those that were before.
    ///
    /// # Errors
    /// [`Error::Write`] where the store cannot be written.
    pub fn record_batch(&self, batch: &Batch, rows: &[String]) -> Result<(), Error> {
        file::create_folder(&self.batches_folder())?;
        let mut all = self.batch_rows(batch.run)?;
        all.extend(rows.iter().cloned());
        let text: String = all.iter().flat_map(|row| [row.as_str(), "\n"]).collect();
        file::write_text(&self.batch_path(batch.run, "rows"), &text)?;
        self.write_sealed(&self.batch_path(batch.run, "json"), batch)
    }

    /// Lists the rows that requests were written for.
    ///
    /// # Errors
    /// [`Error::Read`] where the list cannot be read.
    pub fn batch_rows(&self, run: Digest) -> Result<BTreeSet<String>, Error> {
        let text = file::read_text(&self.batch_path(run, "rows"))?;
        Ok(text.iter().flat_map(|text| text.lines()).map(str::to_owned).collect())
    }

    /// Lists everything that was written into files.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for a damaged record.
    pub fn batches(&self) -> Result<Vec<Batch>, Error> {
        let files = file::list(&self.batches_folder())?;
        let records = files.iter().filter(|path| path.extension().is_some_and(|e| e == "json"));
        records.filter_map(|path| sealed::read(path).transpose()).collect()
    }
}
