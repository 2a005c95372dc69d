//! How a control plane keeps up: the real `emac serve` as a child process, and as many sidecars as asked for, each with its own connection, its
//! stream of evidence and its stream of budgets, on loopback.
//!
//! What is promised and measured: from the change of a file of intents to the last acknowledgement of what follows from it, with one journey
//! changed and with all of them; from a report to its acknowledgement, which is given once it is durable; the processor time and memory of
//! the server while all of that goes on; from the start of the process to the first budgets.
//!
//! Several control planes share one nats-server; sidecars are spread over them, their processor time is added, and the memory is that of the largest.
//!
//! The sidecars share the machine with the server, and here they are the more expensive half: read the server's cores and the times together.

mod run;
mod servers;
mod sidecar;
pub mod simulate;
mod world;

use std::fmt::Write as _;
use std::time::Duration;

pub use run::{Measured, Programs, measure};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Sidecars, each of a workload of its own; ten to a journey.
    pub sidecars: usize,
    /// Control planes: one with a store of its own, or several on a NATS.
    pub replicas: usize,
    /// Each reports this often.
    pub report_every: Duration,
    /// How long the steady state is watched.
    pub steady: Duration,
    /// Changes of one journey.
    pub single_changes: usize,
    /// Changes of all journeys.
    pub whole_changes: usize,
}

/// Targets of ten thousand sidecars on two cores, as the table states them beside what was measured.
const TARGETS: [(&str, &str); 6] = [
    ("one journey changed, p99", "1 s"),
    ("all changed, p99", "3 s"),
    ("report to durable, p99", "200 ms"),
    ("server, steady", "1 core"),
    ("memory", "1 GB"),
    ("first plan", "2 s"),
];

/// A column for each size.
pub fn table(measured: &[Measured]) -> String {
    let mut out = String::from("| measured | target |");
    measured.iter().for_each(|m| out.push_str(&format!(" {} sidecars |", m.sidecars)));
    let _ = writeln!(out, "\n|---|---|{}", "---|".repeat(measured.len()));
    let mut row = |name: &str, value: &dyn Fn(&Measured) -> String| {
        let target = TARGETS.iter().find(|(of, _)| *of == name).map_or("", |(_, target)| target);
        let values: String = measured.iter().map(|m| format!(" {} |", value(m))).collect();
        let _ = writeln!(out, "| {name} | {target} |{values}");
    };
    row("journeys, hops", &|m| format!("{}, {}", m.journeys, m.hops));
    row("reports a second", &|m| format!("{:.0}", m.reports_per_s));
    row("first plan", &|m| seconds(m.first_plan));
    row("all connected and told", &|m| seconds(m.connected));
    row("one journey changed, p50", &|m| seconds(quantile(&m.single, 0.5)));
    row("one journey changed, p99", &|m| seconds(quantile(&m.single, 0.99)));
    row("all changed, p50", &|m| seconds(quantile(&m.whole, 0.5)));
    row("all changed, p99", &|m| seconds(quantile(&m.whole, 0.99)));
    row("report to durable, p50", &|m| millis(m.durable_ms[0]));
    row("report to durable, p99", &|m| millis(m.durable_ms[1]));
    row("server, steady", &|m| format!("{:.2} cores", m.cores));
    row("memory", &|m| format!("{:.0} MB", m.rss_bytes as f64 / 1e6));
    if measured.iter().any(|m| m.replicas > 1) {
        row("NATS, steady", &|m| format!("{:.2} cores", m.nats_cores));
        row("NATS, memory", &|m| format!("{:.0} MB", m.nats_rss_bytes as f64 / 1e6));
    }
    row("hops in overflow", &|m| format!("{:.1} %", 100.0 * m.overflow_share));
    out
}

/// With fewer than a hundred values the largest is the 99th percentile.
fn quantile(times: &[Duration], q: f64) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    let place = (times.len() as f64 * q).ceil() as usize;
    times.get(place.saturating_sub(1)).copied().unwrap_or_default()
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn millis(ms: f64) -> String {
    format!("{ms:.0} ms")
}
