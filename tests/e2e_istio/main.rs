//! `make e2e-istio`: the product in a real Istio. See README.md beside this file.
//!
//! Run twice: outside, to make a network, mounts and processes of its own and to bound it in time; inside, to be the scenario.

mod account;
mod agents;
mod kube;
mod mesh;
mod registry;
mod rooms;
mod shipped;
mod situations;
mod tools;

use std::process::ExitCode;

use rooms::Where;

/// Name in the list of what could not run.
const TEST: &str = "e2e-istio";

/// What a situation ends with: what was seen and measured, or what was wrong.
pub(crate) type Told<T = String> = Result<T, String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let tools = match tools::Tools::find() {
        Ok(tools) => tools,
        Err(why) => {
            emac_tests::not_run(TEST, &why);
            return ExitCode::SUCCESS;
        }
    };
    match rooms::enter(&arguments) {
        Where::NotRun(why) => {
            emac_tests::not_run(TEST, &why);
            ExitCode::SUCCESS
        }
        Where::Ended(code) => code,
        Where::Inside => situations::play(tools, &arguments),
    }
}
