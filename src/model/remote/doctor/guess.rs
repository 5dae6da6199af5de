//! Which kind of server an unknown one is.

use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Builder;

use super::super::dialect::Dialect;
use super::super::error::Error;
use super::super::how::Endpoint;
use super::super::http::Host;

/// How long each guess may take.
const SHORT: Duration = Duration::from_secs(5);

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
        at.is_some_and(|(path, place)| runtime.block_on(tells(&host, &path, &place)))
    }))
}

async fn tells(host: &Host, path: &str, place: &str) -> bool {
    let Ok((status, bytes)) = host.get(path, SHORT).await else { return false };
    let told = serde_json::from_slice::<Value>(&bytes).ok().filter(|_| status.is_success());
    told.is_some_and(|told| told.pointer(place).is_some_and(Value::is_string))
}
