//! The outbox: at-least-once on the wire, exactly-once in the count.
//!
//! Deltas gather in `pending`. When nothing is in flight, `pending` is sealed as the next report, which never changes again and
//! is offered until it is acknowledged: at once, again after every reconnection, and again when no acknowledgement came for a
//! while (a send into a stream that has just died is lost without an error). The control plane drops what it has counted, by
//! (node, epoch, sequence). So losses, duplicates, reconnections and restarts of the control plane do not change a total. A VM
//! that ends hands on what it has not sent, and its sealed report as it is: whoever [adopts](Outbox::adopt) it offers it under
//! its own epoch, so that it counts once whether or not it had arrived.
//!
//! Bound: one sealed and one pending delta, each within [`EvidenceLimits`] (see [`Delta::merge_within`] for what happens above), and
//! [`Outbox::ADOPTED_MAX`] adopted reports.

use alloc::vec::Vec;

use super::delta::{Delta, EvidenceLimits};
use crate::units::{Micros, Millis};

/// A sealed report: the same until it is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The outbox's life.
    pub epoch: u64,
    /// 1, 2, 3 ...
    pub sequence: u64,
    /// Milliseconds since 1970, by the sidecar's clock.
    pub start_unix: Millis,
    /// End of the time covered; not before the start, even if the clock went backwards.
    pub end_unix: Millis,
    /// What happened.
    pub delta: Delta,
}

/// What an acknowledgement meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// The report in flight is counted; the next one may go.
    Now,
    /// An older report, or another epoch: nothing to do.
    Before,
    /// A report that was never sent: the peer is confused. Nothing is forgotten.
    Never,
}

struct InFlight {
    report: Report,
    /// When it was last offered; `None`: to be offered now.
    offered: Option<Micros>,
}

/// Reports of one leader on their way to the control plane.
pub struct Outbox {
    epoch: u64,
    limits: EvidenceLimits,
    resend_after: Micros,
    sequence: u64,
    start: Micros,
    in_flight: Option<InFlight>,
    pending: Delta,
    /// Of others, waiting to be in flight.
    adopted: Vec<Report>,
}

impl Outbox {
    /// Most reports of others that wait here.
    pub const ADOPTED_MAX: usize = 16;

    /// Starts a life. `now` is the time since 1970; `epoch` differs from that of every other life of the same node (the
    /// nanoseconds since 1970 will do); after `resend_after` without acknowledgement a report is offered again.
    pub fn new(epoch: u64, now: Micros, resend_after: Micros, limits: EvidenceLimits) -> Self {
        Self {
            epoch,
            limits,
            resend_after,
            sequence: 0,
            start: now,
            in_flight: None,
            pending: Delta::default(),
            adopted: Vec::new(),
        }
    }

    /// Adds a delta to what will be reported.
    pub fn enqueue(&mut self, delta: Delta) {
        self.pending.merge_within(delta, &self.limits);
    }

    /// Takes a sealed report of an outbox that has ended. `false`: there is no room.
    pub fn adopt(&mut self, report: Report) -> bool {
        let fits = self.adopted.len() < Self::ADOPTED_MAX;
        if fits {
            self.adopted.push(report);
        }
        fits
    }

    /// Ends this life: reports that may have been counted, and what was never sent.
    pub fn end(self) -> (Vec<Report>, Delta) {
        let sealed = self.in_flight.map(|in_flight| in_flight.report);
        (sealed.into_iter().chain(self.adopted).collect(), self.pending)
    }

    /// The report to send now, if any: seals what is pending when nothing is in flight.
    pub fn next_to_send(&mut self, now: Micros) -> Option<&Report> {
        if self.in_flight.is_none() {
            self.in_flight = self.adopted.pop().map(|report| InFlight { report, offered: None });
        }
        if self.in_flight.is_none() && !self.pending.is_empty() {
            self.seal(now);
        }
        let in_flight = self.in_flight.as_mut()?;
        let due = in_flight.offered.is_none_or(|at| now < at || now.since(at) >= self.resend_after);
        if !due {
            return None;
        }
        in_flight.offered = Some(now);
        Some(&in_flight.report)
    }

    /// A new stream is up: what is in flight goes again, unchanged.
    pub fn on_connected(&mut self) {
        if let Some(in_flight) = self.in_flight.as_mut() {
            in_flight.offered = None;
        }
    }

    /// The control plane has counted everything up to `sequence` of `epoch`.
    pub fn on_ack(&mut self, epoch: u64, sequence: u64) -> Acknowledged {
        let is_this = |report: &Report| (report.epoch, report.sequence) == (epoch, sequence);
        match self.in_flight.take_if(|in_flight| is_this(&in_flight.report)) {
            Some(_) => Acknowledged::Now,
            None if epoch == self.epoch && sequence > self.sequence => Acknowledged::Never,
            None => Acknowledged::Before,
        }
    }

    /// This life's epoch.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether everything enqueued has been acknowledged.
    pub fn is_settled(&self) -> bool {
        self.in_flight.is_none() && self.pending.is_empty() && self.adopted.is_empty()
    }

    fn seal(&mut self, now: Micros) {
        let (start, end) = (self.start, self.start.max(now));
        self.start = end;
        self.sequence += 1;
        let report = Report {
            epoch: self.epoch,
            sequence: self.sequence,
            start_unix: start.to_millis_floor(),
            end_unix: end.to_millis_floor(),
            delta: core::mem::take(&mut self.pending),
        };
        self.in_flight = Some(InFlight { report, offered: None });
    }
}
