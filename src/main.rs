//! The `mrx` command: parse, run, exit.

use std::process::ExitCode;

// Training allocates and frees the same tensors at every step: the system's allocator would give
// their pages back each time, and fault them in again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Threads take whole parts of the work. candle's own pool would have them wait for each other.
    #[expect(unsafe_code, reason = "there is no other thread yet that could read the environment")]
    // SAFETY: see the reason.
    unsafe {
        std::env::set_var("CANDLE_NUM_THREADS", "1");
    }
    mrx::cli::main()
}
