//! Rows as bytes: protobuf messages, so that a later version can add a field and read what this one wrote; each behind a checksum.
//!
//! The checksum covers the table, the key and the row, so that also a key with a flipped bit, and a row under another's key, is
//! noticed. CRC-32 finds every error of up to 32 bits in a row.

use emac_core::evidence::DecisionCounts;
use emac_core::id::InvalidName;
use emac_core::outcome::{Outcome, OutcomeCounts};
use prost::Message;

use crate::packed::Damaged;
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
    // Tag 3 was their sum, which now comes from the buckets.
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
    /// The last commit in it.
    #[prost(uint64, tag = "15")]
    commit: u64,
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
    /// The last commit in it.
    #[prost(uint64, tag = "15")]
    commit: u64,
}

/// Bytes that are no row of this schema.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidRow {
    #[error("not a row: {0}")]
    Message(#[from] prost::DecodeError),
    #[error("a row with {found} counts where {expected} belong")]
    Counts { found: usize, expected: usize },
    #[error("a latency bucket {0}, which no sketch has")]
    Bucket(i32),
    #[error("its checksum does not match: bits have changed on the disk")]
    Checksum,
    #[error(transparent)]
    Damaged(#[from] Damaged),
    #[error("a name that is none: {0}")]
    Name(#[from] InvalidName),
}

const CHECKSUM_BYTES: usize = 4;

/// A row behind its checksum.
pub(super) fn seal(table: &str, key: &[&[u8]], row: &[u8]) -> Vec<u8> {
    [&checksum(table, key, row).to_le_bytes(), row].concat()
}

/// The row behind its checksum, if that matches.
pub(super) fn unseal<'r>(table: &str, key: &[&[u8]], sealed: &'r [u8]) -> Result<&'r [u8], InvalidRow> {
    let (sum, row) = sealed.split_first_chunk::<CHECKSUM_BYTES>().ok_or(InvalidRow::Checksum)?;
    let matches = u32::from_le_bytes(*sum) == checksum(table, key, row);
    if matches { Ok(row) } else { Err(InvalidRow::Checksum) }
}

/// Each part goes in with its length, so that no bytes can move from one to the next.
fn checksum(table: &str, key: &[&[u8]], row: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    for part in std::iter::once(table.as_bytes()).chain(key.iter().copied()).chain([row]) {
        sum.update(&(part.len() as u64).to_le_bytes());
        sum.update(part);
    }
    sum.sum()
}

impl From<&LatencyTotals> for LatencyRow {
    fn from(totals: &LatencyTotals) -> Self {
        let (index, count) = totals.buckets().unzip();
        Self { index, count }
    }
}

fn latency(row: Option<LatencyRow>) -> Result<LatencyTotals, InvalidRow> {
    let row = row.unwrap_or_default();
    if row.index.len() != row.count.len() {
        return Err(InvalidRow::Counts { found: row.count.len(), expected: row.index.len() });
    }
    if let Some(strange) = row.index.iter().find(|index| !(-1..=LatencyTotals::OVERFLOW).contains(*index)) {
        return Err(InvalidRow::Bucket(*strange));
    }
    Ok(LatencyTotals::from_buckets(row.index.into_iter().zip(row.count)))
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

pub(crate) fn encode_journey(totals: &JourneyTotals, commit: u64) -> Vec<u8> {
    let row = JourneyRow {
        outcomes: totals.outcomes.to_array().to_vec(),
        within_deadline: totals.within_deadline,
        degraded: totals.degraded,
        latency: Some((&totals.latency).into()),
        commit,
    };
    row.encode_to_vec()
}

pub(crate) fn decode_journey(bytes: &[u8]) -> Result<(JourneyTotals, u64), InvalidRow> {
    let row = JourneyRow::decode(bytes)?;
    let totals = JourneyTotals {
        outcomes: outcomes(&row.outcomes)?,
        within_deadline: row.within_deadline,
        degraded: row.degraded,
        latency: latency(row.latency)?,
    };
    Ok((totals, row.commit))
}

pub(crate) fn encode_hop(totals: &HopTotals, commit: u64) -> Vec<u8> {
    let row = HopRow {
        outcomes: totals.outcomes.to_array().to_vec(),
        retries: totals.retries,
        decisions: totals.decisions.to_array().to_vec(),
        latency: Some((&totals.latency).into()),
        alternate_latency: Some((&totals.alternate_latency).into()),
        commit,
    };
    row.encode_to_vec()
}

pub(crate) fn decode_hop(bytes: &[u8]) -> Result<(HopTotals, u64), InvalidRow> {
    let row = HopRow::decode(bytes)?;
    let totals = HopTotals {
        outcomes: outcomes(&row.outcomes)?,
        retries: row.retries,
        decisions: DecisionCounts::from_array(counts(&row.decisions)?),
        latency: latency(row.latency)?,
        alternate_latency: latency(row.alternate_latency)?,
    };
    Ok((totals, row.commit))
}
