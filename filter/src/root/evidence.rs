//! The evidence stream: reports out, acknowledgements in. What must not be lost or doubled is the [`Outbox`]'s business; this gives it
//! a stream.
//!
//! A VM that no longer leads keeps its stream until what it holds is acknowledged. A report that the server finds invalid three times
//! over would block all others for ever: it is given up and counted as dropped.

use emac_core::evidence::{Acknowledged, Delta, EvidenceLimits, Outbox, Report};
use emac_core::units::{Micros, Millis};
use emac_proto::convert::NodeReport;
use emac_proto::v1::ReportResponse;
use prost::Message;

use super::link::{Link, State};
use crate::host::Host;
use crate::vm::counters::{Counters, Event};
use crate::vm::settings::Settings;

/// A sealed report is offered again after so long without acknowledgement.
const RESEND_AFTER: Micros = Micros(3_000_000);
/// A stream on which reports find no answer for so long is replaced.
const SILENCE_MAX: Millis = Millis(10_000);
const INVALID_ARGUMENT: u32 = 3;
const INVALID_MAX: u32 = 3;

/// The way of reports to the control plane.
pub(super) struct EvidenceSender {
    link: Link,
    outbox: Option<Outbox>,
    /// Epoch and sequence in flight, and how often it was found invalid.
    in_flight: (u64, u64),
    invalid: u32,
}

impl Default for EvidenceSender {
    fn default() -> Self {
        let link = Link::new("emac.v1.EvidenceService", "Report");
        Self { link, outbox: None, in_flight: (0, 0), invalid: 0 }
    }
}

impl EvidenceSender {
    /// Adds to what will be reported.
    pub(super) fn enqueue(&mut self, delta: Delta, now: Micros) {
        self.outbox(now).enqueue(delta);
    }

    /// Takes a sealed report of a VM that has ended. `false`: there is no room.
    pub(super) fn adopt(&mut self, report: Report, now: Micros) -> bool {
        self.outbox(now).adopt(report)
    }

    /// This VM ends: what another has to go on with.
    pub(super) fn end(&mut self) -> (Vec<Report>, Delta) {
        self.outbox.take().map(Outbox::end).unwrap_or_default()
    }

    /// Keeps the stream open while it is needed and offers the report that is due.
    pub(super) fn tick(&mut self, host: &dyn Host, settings: &Settings, leads: bool, now: Micros) {
        let (Some(target), Some(workload)) = (&settings.control_plane, &settings.workload) else { return };
        if !leads && self.outbox.as_ref().is_none_or(Outbox::is_settled) {
            return self.link.abandon(Some(host));
        }
        let unanswered = self.outbox.as_ref().is_some_and(|outbox| !outbox.is_settled());
        if unanswered && self.link.silence(now) > SILENCE_MAX {
            self.link.doom();
        }
        let state = self.link.keep_open(host, target, now);
        let outbox = self.outbox(now);
        match state {
            State::Down => return,
            State::Opened => outbox.on_connected(),
            State::Open => {}
        }
        if let Some(report) = outbox.next_to_send(now) {
            let message = NodeReport::to_wire(&settings.node, workload, report).encode_to_vec();
            let sent = (report.epoch, report.sequence);
            self.link.send(host, &message);
            self.in_flight = sent;
        }
    }

    /// Whether this is the evidence stream.
    pub(super) fn owns(&self, token: u32) -> bool {
        self.link.owns(token)
    }

    /// An acknowledgement came.
    pub(super) fn on_message(&mut self, counters: &mut Counters, message: &[u8], now: Micros) {
        let answer = ReportResponse::decode(message).ok();
        let outbox = self.outbox(now);
        let meaning = answer.map(|answer| outbox.on_ack(answer.epoch, answer.acknowledged_sequence));
        match meaning {
            Some(Acknowledged::Now) => {
                self.link.hear(now);
                self.invalid = 0;
            }
            Some(Acknowledged::Before) => self.link.hear(now),
            Some(Acknowledged::Never) | None => {
                counters.add(Event::Garbage);
                self.link.doom();
            }
        }
    }

    /// The stream ended. Returns how many reports were given up.
    pub(super) fn on_close(&mut self, status: u32, now: Micros) -> u64 {
        self.link.on_close(now);
        if status != INVALID_ARGUMENT {
            return 0;
        }
        self.invalid += 1;
        if self.invalid < INVALID_MAX {
            return 0;
        }
        self.invalid = 0;
        let (epoch, sequence) = self.in_flight;
        let given_up = self.outbox(now).on_ack(epoch, sequence) == Acknowledged::Now;
        u64::from(given_up)
    }

    /// The root context that owned the stream is gone.
    pub(super) fn abandon(&mut self, host: Option<&dyn Host>) {
        self.link.abandon(host);
    }

    /// The epoch is the nanoseconds at which this VM first had something to report.
    fn outbox(&mut self, now: Micros) -> &mut Outbox {
        self.outbox.get_or_insert_with(|| {
            Outbox::new(now.0.saturating_mul(1_000), now, RESEND_AFTER, EvidenceLimits::default())
        })
    }
}
