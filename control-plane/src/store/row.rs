//! Rows as bytes: protobuf messages, so that a later version can add a field and read what this one wrote.

use emac_core::evidence::DecisionCounts;
use emac_core::outcome::{Outcome, OutcomeCounts};
use prost::Message;

use crate::totals::{HopTotals, JourneyTotals, LatencyTotals};

/// Outcomes of the first version: all up to `Outcome::Cancelled`.
const OUTCOMES_MIN: usize = 7;

#[derive(Clone, PartialEq, Message)]
struct LatencyRow {
    /// Bucket indices, ascending.
    #[prost(sint32, repeated, tag = "1")]
    index: Vec<i32>,
    /// Their counts, one each.
    #[prost(uint64, repeated, tag = "2")]
    count: Vec<u64>,
    #[prost(uint64, tag = "3")]
    sum_us: u64,
}

#[derive(Clone, PartialEq, Message)]
struct JourneyRow {
    /// In the order of `Outcome::ALL`.
    #[prost(uint64, repeated, tag = "1")]
    outcomes: Vec<u64>,
    #[prost(uint64, tag = "2")]
    within_deadline: u64,
    #[prost(uint64, tag = "3")]
    degraded: u64,
    #[prost(message, optional, tag = "4")]
    latency: Option<LatencyRow>,
}

#[derive(Clone, PartialEq, Message)]
struct HopRow {
    /// In the order of `Outcome::ALL`.
    #[prost(uint64, repeated, tag = "1")]
    outcomes: Vec<u64>,
    #[prost(uint64, tag = "2")]
    retries: u64,
    /// In the order of `DecisionKind::ALL`.
    #[prost(uint64, repeated, tag = "3")]
    decisions: Vec<u64>,
    #[prost(message, optional, tag = "4")]
    latency: Option<LatencyRow>,
    #[prost(message, optional, tag = "5")]
    alternate_latency: Option<LatencyRow>,
}

/// Bytes that are no row of this schema.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidRow {
    #[error("not a row: {0}")]
    Message(#[from] prost::DecodeError),
    #[error("a row with {found} counts where {expected} belong")]
    Counts { found: usize, expected: usize },
}

impl From<&LatencyTotals> for LatencyRow {
    fn from(totals: &LatencyTotals) -> Self {
        let (index, count) = totals.buckets().unzip();
        Self { index, count, sum_us: totals.sum().0 }
    }
}

fn latency(row: Option<LatencyRow>) -> Result<LatencyTotals, InvalidRow> {
    let row = row.unwrap_or_default();
    if row.index.len() != row.count.len() {
        return Err(InvalidRow::Counts { found: row.count.len(), expected: row.index.len() });
    }
    Ok(LatencyTotals::from_parts(row.index.into_iter().zip(row.count), row.sum_us))
}

/// What older versions wrote ends before the outcomes they did not know: none of those were counted.
fn outcomes(row: &[u64]) -> Result<OutcomeCounts, InvalidRow> {
    let mut known = [0; Outcome::ALL.len()];
    if !(OUTCOMES_MIN..=known.len()).contains(&row.len()) {
        return Err(InvalidRow::Counts { found: row.len(), expected: known.len() });
    }
    known.iter_mut().zip(row).for_each(|(count, stored)| *count = *stored);
    Ok(OutcomeCounts::from_array(known))
}

fn counts<const N: usize>(row: &[u64]) -> Result<[u64; N], InvalidRow> {
    row.try_into().map_err(|_| InvalidRow::Counts { found: row.len(), expected: N })
}

pub(crate) fn encode_journey(totals: &JourneyTotals) -> Vec<u8> {
    let row = JourneyRow {
        outcomes: totals.outcomes.to_array().to_vec(),
        within_deadline: totals.within_deadline,
        degraded: totals.degraded,
        latency: Some((&totals.latency).into()),
    };
    row.encode_to_vec()
}

pub(crate) fn decode_journey(bytes: &[u8]) -> Result<JourneyTotals, InvalidRow> {
    let row = JourneyRow::decode(bytes)?;
    Ok(JourneyTotals {
        outcomes: outcomes(&row.outcomes)?,
        within_deadline: row.within_deadline,
        degraded: row.degraded,
        latency: latency(row.latency)?,
    })
}

pub(crate) fn encode_hop(totals: &HopTotals) -> Vec<u8> {
    let row = HopRow {
        outcomes: totals.outcomes.to_array().to_vec(),
        retries: totals.retries,
        decisions: totals.decisions.to_array().to_vec(),
        latency: Some((&totals.latency).into()),
        alternate_latency: Some((&totals.alternate_latency).into()),
    };
    row.encode_to_vec()
}

pub(crate) fn decode_hop(bytes: &[u8]) -> Result<HopTotals, InvalidRow> {
    let row = HopRow::decode(bytes)?;
    Ok(HopTotals {
        outcomes: outcomes(&row.outcomes)?,
        retries: row.retries,
        decisions: DecisionCounts::from_array(counts(&row.decisions)?),
        latency: latency(row.latency)?,
        alternate_latency: latency(row.alternate_latency)?,
    })
}
