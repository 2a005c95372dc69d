//! What is seen while the demo runs: a progress bar with one line, renewed every second. Where standard error is no terminal the
//! line is printed instead.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::DEADLINE;
use super::phase::{Mode, Phase};
use crate::load::{Sample, Tally};

/// The bar of the whole demo, one step a second of load.
#[derive(Debug)]
pub(super) struct Live {
    bar: Option<ProgressBar>,
}

impl Live {
    /// `seconds` of load in all.
    pub(super) fn new(seconds: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:24} {elapsed:>4}  {msg}");
            ProgressBar::new(seconds).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar }
    }

    /// Something that is not load: starting, switching.
    pub(super) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => eprintln!("{text}"),
        }
    }

    /// Another second of a phase has passed; `samples` are those of the phase so far.
    pub(super) fn second(&self, mode: Mode, phase: &Phase, samples: &[Sample], at: Duration) {
        self.say(&line(mode, phase, samples, at));
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The last second's answers in a line.
fn line(mode: Mode, phase: &Phase, samples: &[Sample], at: Duration) -> String {
    let from = at.saturating_sub(Duration::from_secs(1));
    let tally = Tally::of(samples.iter().filter(|s| s.at + s.latency >= from), DEADLINE);
    format!(
        "{mode:<7} {:<12} {:>5.1} % in time  p99 {:>4.0} ms  degraded {:>4.1} %  alternate {:>5.1} %",
        phase.name,
        tally.success_within_deadline() * 100.0,
        tally.latency_ms(0.99),
        tally.degraded_share() * 100.0,
        tally.alternate_share() * 100.0,
    )
}
