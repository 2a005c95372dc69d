//! The command line `emac`: parse, run, exit code.
//!
//! The contract people script against: results on standard output (`--format json` for machines), everything said to people on
//! standard error, colours only on a terminal and never with `NO_COLOR`, and the exit codes of [`Exit`]. One module a command.

mod accept;
mod access;
mod check;
mod compile;
mod diff;
mod discover;
mod enforcing;
mod exit;
mod explain;
mod export;
mod fetch;
mod gate;
mod inputs;
mod log;
mod log_fields;
mod output;
mod replay;
mod serve;
mod simulate;
mod status;
mod stop_enforcing;
mod token;
mod verify;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use exit::Exit;

const EXAMPLES: &str = "Examples:
  emac check emac.yaml journeys/
  emac discover --traces traces/ --out found/
  emac gate --intent journeys/checkout/intent.yaml
  emac serve --config emac.yaml
  emac status --watch

Exit codes: 0 ok, 1 runtime failure, 2 FAIL, 3 REVIEW, 64 usage, 65 invalid input.";

/// Reliability of user journeys: declared, computed, reviewed and enforced.
#[derive(Debug, Parser)]
#[command(name = "emac", after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    Discover(discover::Args),
    Diff(diff::Args),
    Accept(accept::Args),
    Log(log::Args),
    Verify(verify::Args),
    Compile(compile::Args),
    Gate(gate::Args),
    Explain(explain::Args),
    Export(export::Args),
    Simulate(simulate::Args),
    Replay(replay::Args),
    Serve(serve::Args),
    Status(status::Args),
    StopEnforcing(stop_enforcing::StopArgs),
    ResumeEnforcing(stop_enforcing::ResumeArgs),
    Token(token::Args),
}

/// Runs the command line of this process. `version` is what `--version` says after the name: `0.1.0 (abcdef0)`.
pub fn main(version: &'static str) -> Exit {
    let matches = Cli::command().version(version).try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are errors to clap and answers to people. A closed pipe is no reason to fail.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok };
        }
    };
    match cli.command {
        Command::Check(args) => check::run(&args),
        Command::Discover(args) => discover::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Accept(args) => accept::run(&args),
        Command::Log(args) => log::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Compile(args) => compile::run(&args),
        Command::Gate(args) => gate::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Status(args) => status::run(&args),
        Command::StopEnforcing(args) => stop_enforcing::stop(&args),
        Command::ResumeEnforcing(args) => stop_enforcing::resume(&args),
        Command::Token(args) => token::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_after_help().is_some(), "{} has no examples", command.get_name());
        }
    }
}
