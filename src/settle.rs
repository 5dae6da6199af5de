//! What a process that draws or trains decides once, for libraries that have no other way to be told.

#![expect(unsafe_code, reason = "the environment and the allocator are the whole process's")]

use std::ffi::c_long;

use libmimalloc_sys::{mi_option_get, mi_option_set, mi_option_t};

/// Settles how candle and the allocator behave in this process.
///
/// # Safety
/// There must be no other thread yet.
pub(crate) unsafe fn settle() {
    // SAFETY: as the caller promises.
    unsafe {
        keep_candle_from_starting_threads();
        keep_freed_memory();
    }
}

/// Opens candle's own pool with no thread in it: threads take whole parts of the work, and the pool
/// would have them wait for each other. candle asks the environment for the pool's size, and asks
/// once; children of this process are to find the environment as it was.
unsafe fn keep_candle_from_starting_threads() {
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

/// The option of mimalloc's that says after how many milliseconds freed memory is given back.
pub(crate) const PURGE_DELAY: mi_option_t = 15;

/// What it is where nobody says.
pub(crate) const OWN_CHOICE: c_long = 1000;

/// Keeps freed memory for a minute, unless `MIMALLOC_PURGE_DELAY` says something else: a network frees at every
/// token what it takes again for the next, and giving a part of a large page back leaves small ones.
unsafe fn keep_freed_memory() {
    // SAFETY: there is no other thread yet that could read or write an option.
    unsafe {
        if mi_option_get(PURGE_DELAY) == OWN_CHOICE {
            mi_option_set(PURGE_DELAY, 60 * OWN_CHOICE);
        }
    }
}
