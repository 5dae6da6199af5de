//! What a process that draws or trains decides once, for a library that has no other way to be told.

#![expect(unsafe_code, reason = "the environment is the whole process's")]

/// Opens candle's own pool with no thread in it: threads take whole parts of the work, and the pool
/// would have them wait for each other. candle asks the environment for the pool's size, and asks
/// once; children of this process are to find the environment as it was.
///
/// # Safety
/// There must be no other thread yet.
pub unsafe fn settle() {
    const NAME: &str = "CANDLE_NUM_THREADS";
    let found = std::env::var_os(NAME);
    // SAFETY: there is no other thread yet that could read or write the environment.
    unsafe { std::env::set_var(NAME, "1") };
    let _ = candle_core::utils::barrier_pool();
    // SAFETY: a pool of one is this thread alone, so there is still no other.
    unsafe {
        match found {
            Some(found) => std::env::set_var(NAME, found),
            None => std::env::remove_var(NAME),
        }
    }
}
