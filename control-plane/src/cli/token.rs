//! `emac token`: a signed token for a sidecar that has no certificate.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use emac_core::id::WorkloadName;

use super::exit::Exit;
use super::output::{complain, print_line};
use crate::identity::token::Keys;

/// Longest a token may hold: a stolen one is of use as long.
const DAYS_MAX: u64 = 366;

/// Sign a token that lets one workload report and ask for its budgets
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  head -c 32 /dev/urandom | base64 > token.keys
  emac token --keys token.keys --workload shop/front --days 30")]
pub(super) struct Args {
    /// File of `identity.tokenKeys`; its first key signs
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// Workload the token speaks for
    #[arg(long, value_name = "NAMESPACE/WORKLOAD")]
    workload: String,
    /// Days until it expires
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=DAYS_MAX))]
    days: u64,
}

pub(super) fn run(args: &Args) -> Exit {
    match mint(args) {
        Ok(token) => {
            print_line(token);
            Exit::Ok
        }
        Err(problem) => {
            complain(problem);
            Exit::InvalidInput
        }
    }
}

fn mint(args: &Args) -> Result<String, String> {
    let workload =
        WorkloadName::new(&args.workload).map_err(|error| format!("{}: {error}", args.workload))?;
    let told = |problem: String| format!("{}: {problem}", args.keys.display());
    let text = std::fs::read_to_string(&args.keys).map_err(|error| told(error.to_string()))?;
    let keys = Keys::read(&text).map_err(|error| told(error.to_string()))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Ok(keys.mint(&workload, now.saturating_add(args.days * 86_400)))
}
