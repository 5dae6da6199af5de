//! A model in another program, as any other model is.

use std::any::Any;

use super::super::{Asker, Engine, Error as ModelError, LanguageModel, ScoreRequest};
use super::drive::Drive;
use super::error::Error;
use super::job::Weighing;
use super::reach::Reach;
use super::speaker::Whose;

/// A model in another program.
#[derive(Debug)]
pub struct Remote(Reach);

impl Remote {
    /// Makes ready to ask a model by an engine. Nothing is sent yet; a program is started.
    ///
    /// # Errors
    /// Where an address, a key or a command cannot be used, or a file of the model.
    pub fn open(engine: &Engine, whose: &Whose<'_>) -> Result<Self, ModelError> {
        Ok(Self(Reach::open(engine, whose)?))
    }

    fn drive(&self, asker: &mut dyn Asker, among: Option<&[String]>) -> Result<(), ModelError> {
        let weighing = Weighing::of(self.0.speaker.calls.dialect.weighs, among)?;
        let mut drive = Drive::new(&self.0, asker, weighing);
        self.0.runtime.block_on(drive.run())
    }
}

impl LanguageModel for Remote {
    fn generate(&self, asker: &mut dyn Asker) -> Result<(), ModelError> {
        self.drive(asker, None)
    }

    fn choose(&self, asker: &mut dyn Asker, among: &[String]) -> Result<(), ModelError> {
        self.drive(asker, Some(among))
    }

    fn score(&self, _: &[ScoreRequest]) -> Result<Vec<Vec<f64>>, ModelError> {
        Err(Error::Cannot("score texts").into())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
