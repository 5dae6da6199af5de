//! The machine that mrx runs on, as manifests tell of it.

use std::fs;
use std::thread::available_parallelism;

use crate::store::Host;

/// Reads what the operating system says of the machine. What it does not say is left empty.
pub(super) fn host() -> Host {
    let cores = available_parallelism().ok().and_then(|cores| u32::try_from(cores.get()).ok());
    Host {
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        cpu: fs::read_to_string("/proc/cpuinfo").map(|text| model_name(&text)).unwrap_or_default(),
        cores: cores.unwrap_or_default(),
    }
}

/// The first processor's name in what Linux says of all.
fn model_name(cpuinfo: &str) -> String {
    let named = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let mut named = named.filter(|(field, _)| field.trim() == "model name");
    named.next().map(|(_, name)| name.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_processor_gives_its_name() {
        let text = "processor\t: 0\nmodel name\t: A 4000 CPU @ 2.00GHz\nmodel name\t: B\n";
        assert_eq!(model_name(text), "A 4000 CPU @ 2.00GHz");
        assert_eq!(model_name("Features : fp asimd\n"), "");
    }
}
