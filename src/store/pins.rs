//! Pins: runs and objects that must stay whatever the recorded plans say.

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::error::Error;
use super::format::FORMAT;
use super::layout::Store;
use super::sealed;

/// A digest that must stay, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The run or the object.
    pub digest: Digest,
    /// A person's reason.
    pub note: String,
    /// When it was pinned, RFC 3339, UTC.
    pub since: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Pins {
    format: u32,
    pins: Vec<Pin>,
}

impl Store {
    /// Lists the pins, oldest first.
    ///
    /// # Errors
    /// [`Error::Unreadable`] where the list is damaged.
    pub fn pins(&self) -> Result<Vec<Pin>, Error> {
        let pins: Option<Pins> = sealed::read(&self.root().join("pins.json"))?;
        Ok(pins.unwrap_or_default().pins)
    }

    /// Adds a pin, replacing an earlier one of the same digest.
    ///
    /// # Errors
    /// [`Error::Write`] where the store cannot be written.
    pub fn pin(&self, pin: Pin) -> Result<(), Error> {
        let _lock = self.lock_for_pins()?;
        let mut pins = self.pins()?;
        pins.retain(|other| other.digest != pin.digest);
        pins.push(pin);
        self.write_pins(pins)
    }

    /// Removes a pin; returns whether there was one.
    ///
    /// # Errors
    /// [`Error::Write`] where the store cannot be written.
    pub fn unpin(&self, digest: Digest) -> Result<bool, Error> {
        let _lock = self.lock_for_pins()?;
        let mut pins = self.pins()?;
        let before = pins.len();
        pins.retain(|pin| pin.digest != digest);
        let removed = pins.len() < before;
        if removed {
            self.write_pins(pins)?;
        }
        Ok(removed)
    }

    fn write_pins(&self, pins: Vec<Pin>) -> Result<(), Error> {
        self.write_sealed(&self.root().join("pins.json"), &Pins { format: FORMAT, pins })
    }
}
