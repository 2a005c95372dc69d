//! `make demo`: the checkout journey through six phases, first with the sidecars observing, then enforcing.
//!
//! One world, one seed, one load; the only difference between the two halves is the mode the control plane pushes. What the
//! halves show side by side is therefore what enforcing is worth. Each phase is a load run of its own, started when the last
//! one's answers are all in, so that no request belongs to two phases.
//!
//! Left out: measuring cost. That is what the benches do, on a machine that is otherwise quiet.

mod live;
mod needs;
mod options;
mod phase;
mod play;
mod report;
mod setup;
mod summary;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::supervise::asked_to_stop;
use crate::testbed::WorldError;

pub use options::Options;
pub use phase::{Mode, PHASES, Phase};
pub use summary::{Finding, Row, Summary};

/// Time from the end of the request at the edge to the first byte of a useful answer.
pub const DEADLINE: Duration = Duration::from_millis(400);
/// Share of journeys that must succeed within the deadline.
pub const OBJECTIVE: f64 = 0.99;
/// Largest share of journeys that may be answered with a cached price.
pub const FALLBACK_BUDGET: f64 = 0.20;

/// Why there was no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The testbed did not start.
    #[error(transparent)]
    World(#[from] WorldError),
    /// An admin interface or a file.
    #[error("running the demo")]
    Io(#[from] io::Error),
    /// What the demo needs and does not find, a line each; nothing was started.
    #[error("nothing was started, for this is missing:\n{}", .0.join("\n"))]
    Missing(Vec<String>),
    /// Budgets did not reach the sidecars.
    #[error("after {seconds} s the sidecars do not act in mode {mode}: {detail}")]
    NotInMode {
        /// The mode asked for.
        mode: Mode,
        /// How long was waited.
        seconds: u64,
        /// What the control plane says instead.
        detail: String,
    },
    /// Ctrl-C, SIGTERM or SIGHUP.
    #[error("stopped; every process the demo started has ended")]
    Stopped,
}

/// The whole program: command line to exit code.
pub fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(until_stopped(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// The demo, or the signal that ends it; either way the world has been dropped when this returns.
async fn until_stopped(options: Options) -> Result<(), DemoError> {
    tokio::select! {
        result = play::demo(&options) => result,
        signal = asked_to_stop() => Err(signal.map_or_else(DemoError::from, |()| DemoError::Stopped)),
    }
}

fn fail(error: &DemoError) -> ExitCode {
    eprintln!("demo: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
    // As a shell reports a program ended by Ctrl-C.
    if matches!(error, DemoError::Stopped) { ExitCode::from(130) } else { ExitCode::FAILURE }
}
