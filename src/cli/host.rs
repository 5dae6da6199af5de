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
        cpu: fs::read_to_string("/proc/cpuinfo").map(|text| processor(&text)).unwrap_or_default(),
        cores: cores.unwrap_or_default(),
    }
}

/// The first processor's name in what Linux says of all, and whether it has the matrix units that models are run on.
fn processor(cpuinfo: &str) -> String {
    let fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let first = |name: &str| fields.clone().find(|(field, _)| field.trim() == name);
    let name = first("model name").map_or("", |(_, name)| name.trim());
    let has = |(_, flags): (_, &str)| flags.split_whitespace().any(|flag| flag == "amx_bf16");
    let units = if first("flags").is_some_and(has) { " (amx_bf16)" } else { "" };
    format!("{name}{units}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_processor_gives_its_name() {
        let text = "processor\t: 0\nmodel name\t: A 4000 CPU @ 2.00GHz\nmodel name\t: B\n";
        assert_eq!(processor(text), "A 4000 CPU @ 2.00GHz");
        let flags = "flags\t\t: fpu avx512f amx_bf16 amx_tile\n";
        assert_eq!(processor(&(text.to_owned() + flags)), "A 4000 CPU @ 2.00GHz (amx_bf16)");
        assert_eq!(processor("Features : fp asimd\n"), "");
    }
}
