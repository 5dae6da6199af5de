//! Looking after engines while they are asked.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::drive::{Drive, Halt};
use super::http::Host;

impl Drive<'_> {
    /// Starts again what died, and lets those be asked that answer by now.
    pub(super) async fn look_after_engines(&mut self) -> Result<(), Halt> {
        let Some(managed) = &self.remote.managed else { return Ok(()) };
        let lock = || managed.lock().unwrap_or_else(PoisonError::into_inner);
        for nth in 0..self.loads.len() {
            let looked = lock().look(nth, self.replied)?;
            if let Some((endpoint, what)) = looked {
                let host = Host::new(&endpoint, self.remote.speaker.calls.open_keys)?;
                self.remote.hosts()[nth] = Arc::new(host);
                self.loads[nth].begin_again();
                self.asker.hear(what);
            }
        }
        let mut all = !self.loads.is_empty();
        let mut changed = false;
        for nth in 0..self.loads.len() {
            if self.loads[nth].starting {
                let host = self.remote.hosts()[nth].clone();
                if self.greet(&host).await?.is_ok() {
                    lock().is_ready(nth);
                    self.loads[nth].starting = false;
                    changed = true;
                } else {
                    all = false;
                }
            }
        }
        if changed && all {
            self.compare().await?;
            self.remote.met.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}
