//! The `mrx` command: parse, run, exit.

use std::process::ExitCode;

// Training allocates and frees the same tensors at every step: the system's allocator would give
// their pages back each time, and fault them in again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keep_candle_from_starting_threads();
    mrx::cli::main()
}

/// Opens candle's own pool with no thread in it: threads take whole parts of the work, and the pool
/// would have them wait for each other. candle asks the environment for the pool's size, and asks
/// once; children of this process are to find the environment as it was.
#[expect(unsafe_code, reason = "candle has no other way to be told")]
fn keep_candle_from_starting_threads() {
    const NAME: &str = "CANDLE_NUM_THREADS";
    let found = std::env::var_os(NAME);
    // SAFETY: there is no other thread yet that could read or write the environment.
    unsafe {
        std::env::set_var(NAME, "1");
    }
    let _ = candle_core::utils::barrier_pool();
    // SAFETY: a pool of one is this thread alone, so there is still no other.
    unsafe {
        match found {
            Some(found) => std::env::set_var(NAME, found),
            None => std::env::remove_var(NAME),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The only test of this binary: nothing else runs beside it.
    #[test]
    fn candle_starts_no_thread_and_children_find_the_environment_as_it_was() {
        let environment = || std::env::vars_os().collect::<Vec<_>>();
        let before = environment();
        keep_candle_from_starting_threads();
        assert_eq!(environment(), before);
        assert_eq!(candle_core::utils::barrier_pool().n_workers(), 0);
    }
}
