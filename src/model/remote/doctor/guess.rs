//! Which kind of server an unknown one is.

use tokio::runtime::Builder;

use super::super::dialect::Dialect;
use super::super::error::Error;
use super::super::how::Endpoint;
use super::super::http::Host;
use super::super::meet::version_at;

/// The preset of a server that tells its version where servers of that preset do; `None` where it tells it
/// nowhere, or is not there.
///
/// # Errors
/// Where its address is none, or its key cannot be sent.
pub fn preset_of(endpoint: &Endpoint) -> Result<Option<&'static str>, Error> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::Client(error.to_string()))?;
    let host = Host::new(endpoint, false)?;
    Ok(Dialect::presets().find(|name| {
        let at = Dialect::preset(name).and_then(|dialect| dialect.version_at);
        at.is_some_and(|(path, place)| {
            let told = runtime.block_on(version_at(&host, &path, &place));
            told.is_ok_and(|told| told.is_some())
        })
    }))
}
