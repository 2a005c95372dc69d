//! `make e2e-istio`: the product in a real Istio. See README.md beside this file.
//!
//! Run twice: outside, to make a network, mounts and processes of its own and to bound it in time; inside, to be the scenario.

mod account;
mod agents;
mod mesh;
mod registry;
mod secure;
mod shipped;
mod situations;
mod tools;

use std::process::ExitCode;
use std::time::Duration;

use emac_tests::kube::Told;
use emac_tests::rooms::{Room, Where};

/// Name in the list of what could not run.
const TEST: &str = "e2e-istio";

/// Istio's agents listen on every address, want their folder at `/var/lib/istio/data`, and resolve the registry's name.
pub(crate) const ROOM: Room = Room {
    name: TEST,
    limit: Duration::from_secs(20 * 60),
    hosts: &[registry::HOST],
    furnish: &[&["mount", "-t", "tmpfs", "tmpfs", "/var/lib"], &["mkdir", "-p", "/var/lib/istio/data"]],
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let tools = match tools::Tools::find() {
        Ok(tools) => tools,
        Err(why) => {
            emac_tests::not_run(TEST, &why);
            return ExitCode::SUCCESS;
        }
    };
    match ROOM.enter(&arguments) {
        Where::NotRun(why) => {
            emac_tests::not_run(TEST, &why);
            ExitCode::SUCCESS
        }
        Where::Ended(code) => code,
        Where::Inside => situations::play(tools, &arguments),
    }
}
