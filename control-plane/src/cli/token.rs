//! `emac token`: a signed token for a sidecar that has no certificate, or for an operator.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use emac_core::id::WorkloadName;

use super::exit::Exit;
use super::output::{complain, print_line};
use crate::identity::token::{Keys, Operator, Scope};

/// Longest a token may hold: a stolen one is of use as long.
const DAYS_MAX: u64 = 366;
/// A sidecar's configuration is rolled out that often at least.
const WORKLOAD_DAYS: u64 = 30;
/// An operator asks for the next one.
const OPERATOR_DAYS: u64 = 1;

/// Sign a token that lets one workload report and ask for its budgets, or an operator ask and change
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("subject").required(true).args(["workload", "operator"]))]
#[command(after_help = "Examples:
  head -c 32 /dev/urandom | base64 > token.keys
  emac token --keys token.keys --workload shop/front --days 30
  emac token --keys operator.keys --operator jane --allow change > jane.token")]
pub(super) struct Args {
    /// File of `identity.tokenKeys` (workloads) or `api.tokenKeys` (operators); its first key signs
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// Workload the token speaks for
    #[arg(long, value_name = "NAMESPACE/WORKLOAD")]
    workload: Option<String>,
    /// Operator the token is for; changes are recorded under this name
    #[arg(long, value_name = "NAME", requires = "allow")]
    operator: Option<String>,
    /// What the operator may do over HTTP
    #[arg(long, value_enum, conflicts_with = "workload")]
    allow: Option<Scope>,
    /// Days until it expires; default: 30 for a workload, 1 for an operator
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=DAYS_MAX))]
    days: Option<u64>,
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
    let told = |problem: String| format!("{}: {problem}", args.keys.display());
    let text = std::fs::read_to_string(&args.keys).map_err(|error| told(error.to_string()))?;
    let keys = Keys::read(&text).map_err(|error| told(error.to_string()))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let until = |default: u64| now.saturating_add(args.days.unwrap_or(default) * 86_400);
    if let Some((name, scope)) = args.operator.as_deref().zip(args.allow) {
        let operator =
            Operator::new(name, scope, until(OPERATOR_DAYS)).map_err(|why| format!("{name}: {why}"))?;
        return Ok(keys.mint_operator(&operator));
    }
    let workload = args.workload.as_deref().unwrap_or_default();
    let workload = WorkloadName::new(workload).map_err(|error| format!("{workload}: {error}"))?;
    Ok(keys.mint(&workload, until(WORKLOAD_DAYS)))
}
