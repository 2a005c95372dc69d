//! One answered request, and sums over many.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// What became of one request, as its user saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Intended start, from the start of the run.
    pub at: Duration,
    /// From the intended start to the whole answer, or to giving up.
    pub latency: Duration,
    /// HTTP status; 0 when none came.
    pub status: u16,
    /// `grpc-status`, for gRPC calls that got one.
    pub grpc_status: Option<u16>,
    /// The answer said that a part of it was not the real thing.
    pub degraded: bool,
    /// An alternate provider had a part in the answer.
    pub alternate: bool,
}

/// Exact counts over samples, and their latencies.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Requests.
    pub sent: u64,
    /// Good answers: 2xx, and grpc-status 0 where there is one.
    pub ok: u64,
    /// Good answers within the deadline.
    pub within_deadline: u64,
    /// Good answers with a degraded part.
    pub degraded: u64,
    /// Good answers with an alternate's part.
    pub alternate: u64,
    /// `sent - ok`.
    pub errors: u64,
    /// By HTTP status; 0 is "no answer".
    pub statuses: BTreeMap<u16, u64>,
    /// Latency of every request, good or not, in microseconds; three significant digits.
    pub latency: Histogram<u64>,
}

impl Sample {
    /// Whether the user got a good answer.
    pub fn ok(&self) -> bool {
        (200..300).contains(&self.status) && self.grpc_status.unwrap_or(0) == 0
    }

    /// Whether the good answer came in time.
    pub fn within(&self, deadline: Duration) -> bool {
        self.ok() && self.latency <= deadline
    }
}

impl Tally {
    /// Sums samples against a deadline.
    pub fn of<'a>(samples: impl IntoIterator<Item = &'a Sample>, deadline: Duration) -> Self {
        let mut tally = Self::empty();
        samples.into_iter().for_each(|s| tally.add(s, deadline));
        tally
    }

    /// Share of all requests sent that had a good answer in time; 1 when none was sent.
    pub fn success_within_deadline(&self) -> f64 {
        share(self.within_deadline, self.sent, 1.0)
    }

    /// Share of all requests sent that were answered with a degraded part.
    pub fn degraded_share(&self) -> f64 {
        share(self.degraded, self.sent, 0.0)
    }

    /// Share of all requests sent in whose good answer an alternate had a part.
    pub fn alternate_share(&self) -> f64 {
        share(self.alternate, self.sent, 0.0)
    }

    /// Latency at `quantile` in 0 ..= 1, in milliseconds, over every request.
    pub fn latency_ms(&self, quantile: f64) -> f64 {
        // Microseconds to milliseconds, three decimals.
        self.latency.value_at_quantile(quantile) as f64 / 1_000.0
    }

    fn empty() -> Self {
        let (sent, ok, within_deadline, degraded, alternate, errors) = (0, 0, 0, 0, 0, 0);
        let latency = Histogram::new(3).expect("three digits are supported");
        let statuses = BTreeMap::new();
        Self { sent, ok, within_deadline, degraded, alternate, errors, statuses, latency }
    }

    fn add(&mut self, sample: &Sample, deadline: Duration) {
        let ok = sample.ok();
        self.sent += 1;
        self.ok += u64::from(ok);
        self.errors += u64::from(!ok);
        self.within_deadline += u64::from(sample.within(deadline));
        self.degraded += u64::from(ok && sample.degraded);
        self.alternate += u64::from(ok && sample.alternate);
        *self.statuses.entry(sample.status).or_insert(0) += 1;
        // The histogram grows as needed, so every value has its place.
        let _ = self.latency.record(u64::try_from(sample.latency.as_micros()).unwrap_or(u64::MAX));
    }
}

fn share(part: u64, whole: u64, of_nothing: f64) -> f64 {
    if whole == 0 { of_nothing } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(status: u16, latency_ms: u64) -> Sample {
        Sample {
            at: Duration::ZERO,
            latency: Duration::from_millis(latency_ms),
            status,
            grpc_status: None,
            degraded: status == 200 && latency_ms < 10,
            alternate: false,
        }
    }

    #[test]
    fn counts_are_exact() {
        let samples = [sample(200, 5), sample(200, 50), sample(200, 500), sample(504, 20), sample(0, 10_000)];
        let tally = Tally::of(&samples, Duration::from_millis(400));
        assert_eq!((tally.sent, tally.ok, tally.errors, tally.within_deadline), (5, 3, 2, 2));
        assert_eq!((tally.degraded, tally.alternate), (1, 0));
        assert_eq!(tally.statuses, BTreeMap::from([(0, 1), (200, 3), (504, 1)]));
        assert_eq!(tally.success_within_deadline(), 0.4);
        assert!((tally.latency_ms(0.5) - 50.0).abs() < 0.1);
    }

    #[test]
    fn a_grpc_failure_is_no_good_answer() {
        let failed = Sample { grpc_status: Some(14), ..sample(200, 5) };
        assert!(!failed.ok());
        assert!(Sample { grpc_status: Some(0), ..failed }.ok());
    }
}
