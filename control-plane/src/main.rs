//! `emac`: the command line. Everything it does is in the library; here a process starts and ends.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Gives back to the system what is free, which the C library's allocator does not do with what many threads freed.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    emac_control_plane::cli::main(env!("EMAC_VERSION")).into()
}
