//! `make e2e-gates`, its long form: whole Rollouts and Canaries under the real controllers. See README.md beside this file.
//!
//! Run twice: outside, to make a network, mounts and processes of its own and to bound it in time; inside, to be the scenario.

mod admission;
mod api;
mod canaries;
mod cluster;
mod pods;
mod rollouts;
mod scenarios;
mod series;
mod shipped;
mod tools;

use std::process::ExitCode;
use std::time::Duration;

use emac_tests::rooms::{Room, Where};

/// Name in the list of what could not run.
const TEST: &str = "e2e-gates";

/// Templates name the Prometheus of the cluster, and are applied as they are written.
pub(crate) const ROOM: Room = Room {
    name: TEST,
    limit: Duration::from_secs(14 * 60),
    hosts: &["prometheus.monitoring.svc"],
    furnish: &[],
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
        Where::Inside => scenarios::play(&tools, &arguments),
    }
}
