//! The `mrx` command: parse, run, exit.

#![expect(unsafe_code, reason = "what is settled for the process wants it to be alone")]

mod settle;

use std::process::ExitCode;

// Training allocates and frees the same tensors at every step: the system's allocator would give
// their pages back each time, and fault them in again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // SAFETY: there is no other thread yet.
    unsafe { settle::settle() };
    mrx::cli::main()
}

#[cfg(test)]
mod tests {
    use libmimalloc_sys::mi_option_get;

    use super::settle::{OWN_CHOICE, PURGE_DELAY, settle};

    /// The only test of this binary: nothing else runs beside it.
    #[test]
    fn what_is_settled_is_settled_and_children_find_the_environment_as_it_was() {
        let environment = || std::env::vars_os().collect::<Vec<_>>();
        // SAFETY: no other thread reads or writes an option.
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        let (before, by_itself) = (environment(), delay());
        // SAFETY: no other thread reads or writes the environment.
        unsafe { settle() };
        assert_eq!(environment(), before);
        assert_eq!(candle_core::utils::barrier_pool().n_workers(), 0);
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
            assert_eq!((by_itself, delay()), (OWN_CHOICE, 60 * OWN_CHOICE));
        }
    }
}
