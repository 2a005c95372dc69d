//! What can be wrong with a service, switched while it runs.

use std::time::Duration;

/// One thing wrong at a time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Every answer takes `factor` times as long: median and p99 alike.
    Slow {
        /// 10 turns a p99 of 120 ms into 1.2 s.
        factor: f64,
    },
    /// This share of answers (0 ..= 1) comes `by` later than it would.
    Late {
        /// Of answers.
        share: f64,
        /// Added to the service time.
        by: Duration,
    },
    /// This share of requests (0 ..= 1) is answered at once with this HTTP status; gRPC calls with 14 UNAVAILABLE.
    Errors {
        /// Of requests.
        share: f64,
        /// HTTP status.
        status: u16,
    },
    /// The listener and all connections are closed: the service's own sidecar finds connections refused.
    Refuse,
    /// Requests are read and never answered.
    Hang,
}
