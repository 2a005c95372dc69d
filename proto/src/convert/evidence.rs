//! `emac.v1.ReportRequest` and [`emac_core::evidence`].

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use emac_core::evidence::{self as domain, Delta, Report};
use emac_core::id::{HopKey, JourneyName, WorkloadName};
use emac_core::outcome::{EndedBy, Outcome, OutcomeCounts};
use emac_core::sketch::{ENCODED_BYTES_MAX, Sketch};
use emac_core::units::{Micros, Millis};

use super::{InvalidMessage, at_most, in_range, text};
use crate::v1;

const JOURNEYS_MAX: usize = 64;
/// 256 and the overflow hop.
const HOPS_MAX: usize = 257;
const RECORDS_MAX: usize = 1_024;
const NODE_BYTES_MAX: usize = 253;

/// Most bytes of a report within these limits, each field in its shortest encoding, as every sender writes it: what a transport must let
/// through.
pub const REPORT_BYTES_MAX: usize = {
    let head =
        field(NODE_BYTES_MAX) + field(2 * WorkloadName::PART_BYTES_MAX + 1) + 4 * NUMBER + field(8 * NUMBER);
    head + JOURNEYS_MAX * field(JOURNEY_BYTES)
        + HOPS_MAX * field(HOP_BYTES)
        + RECORDS_MAX * field(RECORD_BYTES)
};
/// Tag and varint of 64 bits.
const NUMBER: usize = 1 + 10;
const OUTCOMES_BYTES: usize = 8 * NUMBER;
const KEY_BYTES: usize = field(JourneyName::BYTES_MAX) + 3 * field(HopKey::PART_BYTES_MAX);
const JOURNEY_BYTES: usize =
    field(JourneyName::BYTES_MAX) + field(OUTCOMES_BYTES) + field(ENCODED_BYTES_MAX) + 2 * NUMBER;
const HOP_BYTES: usize =
    field(KEY_BYTES) + field(OUTCOMES_BYTES) + 2 * field(ENCODED_BYTES_MAX) + NUMBER + field(7 * NUMBER);
/// Three ids, the hop, two times, outcome and inbound (a byte each), attempts (32 bits), status (16 bits), whoever ended it.
const RECORD_BYTES: usize =
    field(16) + field(8) + field(16) + field(KEY_BYTES) + 2 * NUMBER + 2 * 2 + (1 + 5) + (1 + 3) + NUMBER;

/// Tag, length and content of a field.
const fn field(content: usize) -> usize {
    let length = match content {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    };
    1 + length + content
}

/// A checked report and who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeReport {
    /// Envoy's node id.
    pub node: String,
    /// Whose sidecar it is.
    pub workload: WorkloadName,
    /// Epoch, sequence and what happened.
    pub report: Report,
}

impl NodeReport {
    /// The message of a report, without taking the report apart. Cost: one copy of its names and sketches.
    pub fn to_wire(node: &str, workload: &WorkloadName, report: &Report) -> v1::ReportRequest {
        v1::ReportRequest {
            node: node.to_owned(),
            workload: workload.as_str().to_owned(),
            epoch: report.epoch,
            sequence: report.sequence,
            start_unix_ms: report.start_unix.0,
            end_unix_ms: report.end_unix.0,
            ..(&report.delta).into()
        }
    }
}

impl TryFrom<v1::ReportRequest> for NodeReport {
    type Error = InvalidMessage;

    fn try_from(mut wire: v1::ReportRequest) -> Result<Self, InvalidMessage> {
        let node = text("node", core::mem::take(&mut wire.node), 1, NODE_BYTES_MAX)?;
        let workload =
            WorkloadName::new(&wire.workload).map_err(|e| InvalidMessage::new("workload", e.to_string()))?;
        if wire.end_unix_ms < wire.start_unix_ms {
            return Err(InvalidMessage::new("end_unix_ms", "before start_unix_ms"));
        }
        let report = Report {
            epoch: in_range("epoch", wire.epoch, 1, u64::MAX)?,
            sequence: in_range("sequence", wire.sequence, 1, u64::MAX)?,
            start_unix: Millis(wire.start_unix_ms),
            end_unix: Millis(wire.end_unix_ms),
            delta: wire.try_into()?,
        };
        Ok(Self { node, workload, report })
    }
}

/// The body alone: what a worker hands its leader.
impl TryFrom<v1::ReportRequest> for Delta {
    type Error = InvalidMessage;

    fn try_from(wire: v1::ReportRequest) -> Result<Self, InvalidMessage> {
        at_most("journeys", &wire.journeys, JOURNEYS_MAX)?;
        at_most("hops", &wire.hops, HOPS_MAX)?;
        at_most("records", &wire.records, RECORDS_MAX)?;
        let record = |(i, r)| record(r).map_err(|e| e.within(&format!("records[{i}]")));
        Ok(Self {
            journeys: keyed("journeys", wire.journeys, journey)?,
            hops: keyed("hops", wire.hops, hop)?,
            records: wire.records.into_iter().enumerate().map(record).collect::<Result<_, _>>()?,
            health: wire.health.as_ref().map(health).unwrap_or_default(),
        })
    }
}

/// Converts a list into a map, naming the entry that fails or comes twice.
fn keyed<W, K: Ord, D>(
    field: &str,
    wire: Vec<W>,
    convert: impl Fn(W) -> Result<(K, D), InvalidMessage>,
) -> Result<BTreeMap<K, D>, InvalidMessage> {
    let mut map = BTreeMap::new();
    for (i, entry) in wire.into_iter().enumerate() {
        let (key, value) = convert(entry).map_err(|e| e.within(&format!("{field}[{i}]")))?;
        if map.insert(key, value).is_some() {
            return Err(InvalidMessage::new(format!("{field}[{i}]"), "listed twice"));
        }
    }
    Ok(map)
}

fn journey(wire: v1::JourneyDelta) -> Result<(JourneyName, domain::JourneyDelta), InvalidMessage> {
    let name = JourneyName::new(&wire.journey).map_err(|e| InvalidMessage::new("journey", e.to_string()))?;
    let delta = domain::JourneyDelta {
        outcomes: outcomes(wire.outcomes),
        latency: sketch("latency", &wire.latency)?,
        within_deadline: wire.within_deadline,
        degraded: wire.degraded,
    };
    Ok((name, delta))
}

fn hop(wire: v1::HopDelta) -> Result<(HopKey, domain::HopDelta), InvalidMessage> {
    let key = hop_key(wire.hop, 1)?;
    let delta = domain::HopDelta {
        outcomes: outcomes(wire.outcomes),
        latency: sketch("latency", &wire.latency)?,
        retries: wire.retries,
        decisions: decisions(wire.decisions),
        alternate_latency: sketch("alternate_latency", &wire.alternate_latency)?,
    };
    Ok((key, delta))
}

/// `source_min`: bytes the source has at least; who called is unknown where only the callee speaks.
fn hop_key(wire: Option<v1::HopKey>, source_min: usize) -> Result<HopKey, InvalidMessage> {
    let wire = wire.ok_or_else(|| InvalidMessage::new("hop", "missing"))?;
    let part = |field: &str, value, min| {
        text(field, value, min, HopKey::PART_BYTES_MAX).map_err(|e| e.within("hop"))
    };
    if !wire.journey.is_empty() {
        JourneyName::new(&wire.journey).map_err(|e| InvalidMessage::new("hop.journey", e.to_string()))?;
    }
    Ok(HopKey {
        journey: wire.journey,
        source: part("source", wire.source, source_min)?,
        destination: part("destination", wire.destination, 1)?,
        operation: part("operation", wire.operation, 0)?,
    })
}

fn record(wire: v1::HopRecord) -> Result<domain::HopRecord, InvalidMessage> {
    Ok(domain::HopRecord {
        trace_id: id("trace_id", &wire.trace_id)?,
        parent_span_id: id("parent_span_id", &wire.parent_span_id)?,
        hop: hop_key(wire.hop, usize::from(!wire.inbound))?,
        start_unix_us: wire.start_unix_us,
        duration: Micros(wire.duration_us),
        outcome: outcome(wire.outcome)?,
        attempts: wire.attempts,
        status: u16::try_from(wire.status)
            .map_err(|_| InvalidMessage::new("status", format!("{} is no HTTP status", wire.status)))?,
        inbound: wire.inbound,
        request_id: match wire.request_id.as_slice() {
            b"" => [0; 16],
            bytes => id("request_id", bytes)?,
        },
        ended_by: usize::try_from(wire.ended_by)
            .ok()
            .and_then(|by| EndedBy::ALL.get(by).copied())
            .unwrap_or_default(),
    })
}

fn id<const N: usize>(field: &str, bytes: &[u8]) -> Result<[u8; N], InvalidMessage> {
    bytes.try_into().map_err(|_| InvalidMessage::new(field, format!("{} bytes, must be {N}", bytes.len())))
}

fn sketch(field: &str, bytes: &[u8]) -> Result<Sketch, InvalidMessage> {
    Sketch::decode(bytes).map_err(|e| InvalidMessage::new(field, e.to_string()))
}

fn outcome(value: i32) -> Result<Outcome, InvalidMessage> {
    let unknown = || InvalidMessage::new("outcome", format!("{value} is no outcome this version knows"));
    // The wire's zero is "unspecified"; the others follow in the order of `Outcome::ALL`.
    let index = usize::try_from(value).ok().and_then(|v| v.checked_sub(1)).ok_or_else(unknown)?;
    Outcome::ALL.get(index).copied().ok_or_else(unknown)
}

fn outcomes(wire: Option<v1::OutcomeCounts>) -> OutcomeCounts {
    let w = wire.unwrap_or_default();
    OutcomeCounts::from_array([
        w.success,
        w.error,
        w.timeout,
        w.shed,
        w.fallback,
        w.alternate,
        w.cancelled,
        w.stream,
    ])
}

fn decisions(wire: Option<v1::DecisionCounts>) -> domain::DecisionCounts {
    let w = wire.unwrap_or_default();
    domain::DecisionCounts::from_array([
        w.pass,
        w.call,
        w.fallback_before,
        w.fallback_after,
        w.refuse,
        w.budget_spent,
        w.retry_denied,
    ])
}

fn health(wire: &v1::FilterHealth) -> domain::FilterHealth {
    domain::FilterHealth {
        context_missing: wire.context_missing,
        context_invalid: wire.context_invalid,
        overflow: wire.overflow,
        dropped: wire.dropped,
        clock_backwards: wire.clock_backwards,
        internal_errors: wire.internal_errors,
        generation: wire.generation,
        stale: wire.stale,
    }
}

// === domain -> wire ===

impl From<&Delta> for v1::ReportRequest {
    fn from(delta: &Delta) -> Self {
        Self {
            journeys: delta.journeys.iter().map(wire_journey).collect(),
            hops: delta.hops.iter().map(wire_hop).collect(),
            records: delta.records.iter().map(wire_record).collect(),
            health: Some(wire_health(&delta.health)),
            ..Self::default()
        }
    }
}

fn wire_journey((name, delta): (&JourneyName, &domain::JourneyDelta)) -> v1::JourneyDelta {
    v1::JourneyDelta {
        journey: name.as_str().to_owned(),
        outcomes: wire_outcomes(&delta.outcomes),
        latency: delta.latency.encode(),
        within_deadline: delta.within_deadline,
        degraded: delta.degraded,
    }
}

fn wire_hop((key, delta): (&HopKey, &domain::HopDelta)) -> v1::HopDelta {
    v1::HopDelta {
        hop: Some(wire_key(key)),
        outcomes: wire_outcomes(&delta.outcomes),
        latency: delta.latency.encode(),
        retries: delta.retries,
        decisions: wire_decisions(&delta.decisions),
        alternate_latency: delta.alternate_latency.encode(),
    }
}

fn wire_key(key: &HopKey) -> v1::HopKey {
    v1::HopKey {
        journey: key.journey.clone(),
        source: key.source.clone(),
        destination: key.destination.clone(),
        operation: key.operation.clone(),
    }
}

fn wire_record(record: &domain::HopRecord) -> v1::HopRecord {
    v1::HopRecord {
        trace_id: record.trace_id.to_vec(),
        parent_span_id: record.parent_span_id.to_vec(),
        hop: Some(wire_key(&record.hop)),
        start_unix_us: record.start_unix_us,
        duration_us: record.duration.0,
        outcome: record.outcome as i32 + 1,
        attempts: record.attempts,
        status: u32::from(record.status),
        inbound: record.inbound,
        request_id: if record.request_id == [0; 16] { Vec::new() } else { record.request_id.to_vec() },
        ended_by: record.ended_by as i32,
    }
}

/// Absent when nothing ended: an idle hop costs its name only.
fn wire_outcomes(counts: &OutcomeCounts) -> Option<v1::OutcomeCounts> {
    let [success, error, timeout, shed, fallback, alternate, cancelled, stream] = counts.to_array();
    (counts.total() > 0).then_some(v1::OutcomeCounts {
        success,
        error,
        timeout,
        shed,
        fallback,
        alternate,
        cancelled,
        stream,
    })
}

fn wire_decisions(counts: &domain::DecisionCounts) -> Option<v1::DecisionCounts> {
    let [pass, call, fallback_before, fallback_after, refuse, budget_spent, retry_denied] = counts.to_array();
    (*counts != domain::DecisionCounts::default()).then_some(v1::DecisionCounts {
        pass,
        call,
        fallback_before,
        fallback_after,
        refuse,
        budget_spent,
        retry_denied,
    })
}

fn wire_health(health: &domain::FilterHealth) -> v1::FilterHealth {
    v1::FilterHealth {
        context_missing: health.context_missing,
        context_invalid: health.context_invalid,
        overflow: health.overflow,
        dropped: health.dropped,
        clock_backwards: health.clock_backwards,
        internal_errors: health.internal_errors,
        generation: health.generation,
        stale: health.stale,
    }
}
