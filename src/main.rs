//! The `mrx` command: parse, run, exit.

#![expect(unsafe_code, reason = "what is settled for the process wants it to be alone")]

use std::process::ExitCode;

// Training allocates and frees the same tensors at every step: the system's allocator would give
// their pages back each time, and fault them in again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // SAFETY: there is no other thread yet.
    unsafe { mrx::model::settle() };
    mrx::cli::main()
}

#[cfg(test)]
mod tests {
    /// The only test of this binary: nothing else runs beside it.
    #[test]
    fn candle_starts_no_thread_and_children_find_the_environment_as_it_was() {
        let environment = || std::env::vars_os().collect::<Vec<_>>();
        let before = environment();
        // SAFETY: no other thread reads or writes the environment.
        unsafe { mrx::model::settle() };
        assert_eq!(environment(), before);
        assert_eq!(candle_core::utils::barrier_pool().n_workers(), 0);
    }
}
