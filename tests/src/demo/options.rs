//! The demo's command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

const EXAMPLES: &str = "Examples:
  make demo                                 about three minutes
  make demo ARGS=--quick                    about one minute, rougher numbers
  target/release/demo --phase-seconds 30 --rate 80
  target/release/demo --seed 7 --out /tmp/demo

Writes report.html, summary.json, and in run/ every configuration and log. Ctrl-C ends it and every process it started.";

/// The checkout journey through real Envoys: six phases, first with the sidecars observing, then enforcing.
#[derive(Debug, Clone, Parser)]
#[command(name = "demo", after_help = EXAMPLES, max_term_width = 100)]
pub struct Options {
    /// Seconds of load in each of the twelve phases.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub phase_seconds: u64,
    /// Requests a second, evenly spaced, whether or not they are answered.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    pub rate: u32,
    /// Phases of four seconds.
    #[arg(long, conflicts_with = "phase_seconds")]
    pub quick: bool,
    /// Seeds every latency and every trace id.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Directory of what is written; `demo` in the folder cargo builds in (`target`) unless given.
    #[arg(long)]
    pub out: Option<PathBuf>,
}

impl Options {
    /// Length of a phase's load.
    pub fn phase(&self) -> Duration {
        Duration::from_secs(if self.quick { 4 } else { self.phase_seconds })
    }

    /// Where results go.
    pub fn out(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| crate::target_dir().join("demo"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Options::command().debug_assert();
        assert_eq!(Options::parse_from(["demo", "--quick"]).phase(), Duration::from_secs(4));
    }
}
