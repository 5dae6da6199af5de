//! The memory that there is, and a watch over that of a query.
//!
//! DuckDB keeps to its limit in all that it plans for. A single value is outside of it: `repeat('a', 4e9)`,
//! or a list of long texts, is made in one go, and copied on its way out. So the process watches itself and
//! gives up before the machine does. A query changes nothing, so there is nothing to lose.

use std::fs;
use std::time::Duration;

use super::failure::Kind;
use super::ui::talk;
use crate::query::MemoryLimit;

/// How often to look: a processor fills some tens of megabytes in this time.
const EVERY: Duration = Duration::from_millis(20);

/// Ends the process when it takes a quarter more than DuckDB may, where the system tells what it takes.
pub(super) fn watch(limit: u64) {
    let most = limit.saturating_add(limit / 4).saturating_add(MARGIN);
    if resident().is_none() || limit == u64::MAX {
        return;
    }
    std::thread::spawn(move || {
        while resident().is_some_and(|bytes| bytes <= most) {
            std::thread::sleep(EVERY);
        }
        give_up(most);
    });
}

/// What mrx takes besides DuckDB.
const MARGIN: u64 = 64 << 20;

#[expect(clippy::exit, reason = "an allocation in hand cannot be stopped in another way")]
fn give_up(most: u64) -> ! {
    talk(&format!("error: the query took more than {} MiB of memory", most >> 20));
    talk("\nhint: take fewer or shorter texts at once, or raise --memory-limit");
    std::process::exit(i32::from(Kind::Data.code()))
}

/// The bytes that a model may keep of what it has read and drawn: as asked, or else half of what may be taken.
pub(super) fn for_cache(asked: &MemoryLimit, limit: Option<u64>) -> u64 {
    let half = || Some(limit.or_else(available)? / 2);
    asked.bytes().or_else(half).unwrap_or(WHERE_UNKNOWN)
}

/// What is kept where the system does not say what is left.
const WHERE_UNKNOWN: u64 = 1 << 30;

/// The bytes of memory that this process takes, on Linux.
fn resident() -> Option<u64> {
    kibibytes("/proc/self/status", "VmRSS:")
}

/// The bytes that a line of a file of Linux's says.
fn kibibytes(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// The bytes of memory that this process may take, on Linux: what is free, or what its group may take still.
pub(super) fn available() -> Option<u64> {
    let free = kibibytes("/proc/meminfo", "MemAvailable:")?;
    Some(left_to_the_group().map_or(free, |left| left.min(free)))
}

/// What the control group of this process may take still, in version 2 or 1, where it has a limit.
fn left_to_the_group() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let of = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (root, limit, usage) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max", "memory.current"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
            }
            _ => return None,
        };
        let read = |name: &str| -> Option<u64> {
            // In a container the group is often the root of what is seen.
            let own = fs::read_to_string(format!("{root}{path}/{name}"));
            let text = own.or_else(|_| fs::read_to_string(format!("{root}/{name}"))).ok()?;
            text.trim().parse().ok()
        };
        Some(read(limit)?.saturating_sub(read(usage).unwrap_or(0)))
    };
    groups.lines().filter_map(of).min()
}
