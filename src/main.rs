//! Turns a result into a message and an exit code.

use std::process::ExitCode;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Freed memory is given back to the system when it was not used again for so long. By default that is done while a build goes
/// on, and a twentieth of its time was spent on that.
const PURGE_DELAY_MS: std::ffi::c_long = 10_000;

/// `mi_option_purge_delay` of mimalloc's C header, which its crate doesn't name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = libmimalloc_sys::mi_option_reserve_os_memory + 6;

fn main() -> ExitCode {
    // SAFETY: it sets a number in the allocator's table of options, atomically; nothing else runs yet.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, PURGE_DELAY_MS) };
    fingerpost::cli::main(give_back)
}

/// What this thread has freed goes back to the system. The allocator would do so when the thread next asks for memory.
fn give_back() {
    // SAFETY: it looks through what the allocator itself has on this thread, and takes no pointer.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
