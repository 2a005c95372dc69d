//! `emac`: the command line. Everything it does is in the library; here a process starts and ends.

use std::process::ExitCode;

fn main() -> ExitCode {
    emac_control_plane::cli::main(env!("EMAC_VERSION")).into()
}
