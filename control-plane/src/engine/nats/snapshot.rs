//! All that is known at a place of the log, so that the log before it can go.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use emac_core::id::{HopKey, JourneyName};
use emac_core::units::{Generation, Micros};
use prost::Message;
use tokio::sync::watch;
use tracing::{info, warn};

use super::blob;
use super::kept::Kept;
use super::layout::Layout;
use super::message::{pack, unpack};
use super::view::{Partition, Position};
use crate::aggregate::Aggregate;
use crate::clock::Clock;
use crate::marks::Mark;
use crate::store::{Stored, row};

/// How often one is made, where anything was counted.
const EVERY: Duration = Duration::from_secs(20);
/// How often the log is looked at: half full, it is cut off at once.
const LOOK: Duration = Duration::from_secs(2);
/// Key in the bucket.
pub(super) const KEY: &str = "snapshot";

#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) stored: Stored,
    pub(super) position: Position,
}

#[derive(Clone, PartialEq, Message)]
struct Wire {
    #[prost(uint64, tag = "1")]
    sequence: u64,
    #[prost(message, repeated, tag = "2")]
    partitions: Vec<WirePartition>,
    #[prost(message, repeated, tag = "3")]
    marks: Vec<WireMark>,
    #[prost(uint64, tag = "4")]
    floor: u64,
    #[prost(message, repeated, tag = "5")]
    journeys: Vec<WireJourney>,
    #[prost(message, repeated, tag = "6")]
    hops: Vec<WireHop>,
    /// Microseconds.
    #[prost(uint64, tag = "7")]
    served: u64,
    #[prost(message, repeated, tag = "8")]
    floors: Vec<WireFloor>,
}

#[derive(Clone, PartialEq, Message)]
struct WireFloor {
    /// A workload, or a workload and its node.
    #[prost(string, tag = "1")]
    of: String,
    #[prost(uint64, tag = "2")]
    epoch: u64,
}

#[derive(Clone, PartialEq, Message)]
struct WirePartition {
    #[prost(string, tag = "1")]
    holder: String,
    #[prost(uint64, tag = "2")]
    entry: u64,
    #[prost(uint64, tag = "3")]
    evidence: u64,
}

#[derive(Clone, PartialEq, Message)]
struct WireMark {
    #[prost(string, tag = "1")]
    life: String,
    #[prost(uint64, tag = "2")]
    epoch: u64,
    #[prost(uint64, tag = "3")]
    sequence: u64,
    #[prost(uint64, tag = "4")]
    seen: u64,
}

#[derive(Clone, PartialEq, Message)]
struct WireJourney {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", tag = "2")]
    totals: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct WireHop {
    /// Journey, source, destination, operation.
    #[prost(string, repeated, tag = "1")]
    key: Vec<String>,
    #[prost(bytes = "vec", tag = "2")]
    totals: Vec<u8>,
}

/// The newest snapshot, if there is one.
///
/// # Errors
/// What cannot be read.
pub(super) async fn load(layout: &Layout) -> Result<Option<Snapshot>, String> {
    let Some(bytes) = blob::read_now(layout, KEY).await? else { return Ok(None) };
    decode(&bytes).map(Some).map_err(|problem| format!("the snapshot is damaged: {problem}"))
}

/// Makes snapshots and cuts the log off behind them, as long as `leading` says that this replica is the one to do it.
pub(super) async fn keep(
    layout: Layout,
    kept: Arc<Kept>,
    aggregate: Arc<RwLock<Aggregate>>,
    clock: Clock,
    position: watch::Receiver<Position>,
    leading: impl Fn() -> bool,
) {
    let (mut before, mut last): (Option<Position>, _) = (None, Instant::now());
    loop {
        tokio::time::sleep(LOOK).await;
        let stands = position.borrow().clone();
        let known = before.as_ref().map_or(0, |before| before.sequence);
        if !leading() || !stands.is_live() || stands.sequence <= known {
            continue;
        }
        let full = is_half_full(&layout).await;
        if !full && last.elapsed() < EVERY {
            continue;
        }
        last = Instant::now();
        let head = kept.head(KEY);
        let taken = take(&aggregate, clock, &position);
        let now = taken.position.clone();
        let Ok(bytes) = tokio::task::spawn_blocking(move || encode(&taken)).await else { continue };
        match blob::write(&layout, KEY, &head, now.sequence, bytes).await {
            Ok(found) => {
                kept.set(KEY, found);
                // What followers a little behind still read stays until the next one, where there is room.
                let behind = before.replace(now.clone()).filter(|_| !full).or(full.then_some(now));
                if let Some(behind) = behind {
                    cut(&layout, &behind).await;
                }
            }
            Err(problem) => info!(problem, "no snapshot this time"),
        }
    }
}

async fn is_half_full(layout: &Layout) -> bool {
    let Ok(info) = layout.counted.get_info().await else { return false };
    let most = u64::try_from(info.config.max_bytes).unwrap_or(u64::MAX);
    info.state.bytes.saturating_mul(2) > most
}

/// Both at one place of the log: the view moves them together under the lock.
fn take(aggregate: &RwLock<Aggregate>, clock: Clock, position: &watch::Receiver<Position>) -> Snapshot {
    let aggregate = aggregate.read().unwrap_or_else(PoisonError::into_inner);
    let position = position.borrow().clone();
    Snapshot { stored: aggregate.stored(clock.now()), position }
}

/// Removes what the snapshot at `before` holds, but for the last entry of each partition: the next one has to name it.
async fn cut(layout: &Layout, before: &Position) {
    for (partition, stands) in (0_u16..).zip(&before.partitions) {
        let subject = layout.names.counted(partition);
        let purge = layout.counted.purge().filter(subject).sequence(stands.entry);
        if stands.entry > 0
            && let Err(error) = purge.await
        {
            warn!(%error, partition, "the log is not cut off behind its snapshot");
        }
    }
}

fn encode(snapshot: &Snapshot) -> prost::bytes::Bytes {
    let Snapshot { stored, position } = snapshot;
    let partitions = position.partitions.iter().map(|it| WirePartition {
        holder: it.holder.as_deref().unwrap_or_default().to_owned(),
        entry: it.entry,
        evidence: it.evidence,
    });
    let marks = stored.marks.iter().map(|((life, epoch), mark)| WireMark {
        life: life.clone(),
        epoch: *epoch,
        sequence: mark.sequence,
        seen: mark.seen.0,
    });
    let journeys = stored
        .journeys
        .iter()
        .map(|(name, totals)| WireJourney { name: name.to_string(), totals: row::encode_journey(totals, 0) });
    let hops = stored.hops.iter().map(|(key, totals)| WireHop {
        key: vec![key.journey.clone(), key.source.clone(), key.destination.clone(), key.operation.clone()],
        totals: row::encode_hop(totals, 0),
    });
    let floors = stored.floors.iter().map(|(of, epoch)| WireFloor { of: of.clone(), epoch: *epoch });
    pack(&Wire {
        sequence: position.sequence,
        partitions: partitions.collect(),
        marks: marks.collect(),
        floor: stored.floor,
        journeys: journeys.collect(),
        hops: hops.collect(),
        served: stored.served.0,
        floors: floors.collect(),
    })
}

fn decode(bytes: &[u8]) -> Result<Snapshot, String> {
    let wire: Wire = unpack(bytes)?;
    let partitions = wire.partitions.into_iter().map(|it| Partition {
        holder: (!it.holder.is_empty()).then(|| it.holder.into()),
        entry: it.entry,
        evidence: it.evidence,
    });
    let mark = |it: WireMark| ((it.life, it.epoch), Mark { sequence: it.sequence, seen: Micros(it.seen) });
    let mut journeys = BTreeMap::new();
    for it in wire.journeys {
        let name = JourneyName::new(&it.name).map_err(|error| error.to_string())?;
        let (totals, _) = row::decode_journey(&it.totals).map_err(|error| error.to_string())?;
        journeys.insert(name, totals);
    }
    let mut hops = BTreeMap::new();
    for it in wire.hops {
        let [journey, source, destination, operation] =
            <[String; 4]>::try_from(it.key).map_err(|key| format!("a hop with {} names", key.len()))?;
        let key = HopKey { journey, source, destination, operation };
        let (totals, _) = row::decode_hop(&it.totals).map_err(|error| error.to_string())?;
        hops.insert(key, totals);
    }
    Ok(Snapshot {
        stored: Stored {
            marks: wire.marks.into_iter().map(mark).collect(),
            floors: wire.floors.into_iter().map(|it| (it.of, it.epoch)).collect(),
            floor: wire.floor,
            journeys,
            hops,
            generation: Generation(0),
            served: Micros(wire.served),
            commit: 0,
        },
        position: Position { sequence: wire.sequence, since: None, partitions: partitions.collect() },
    })
}

#[cfg(test)]
mod tests {
    use emac_core::outcome::OutcomeCounts;

    use super::*;
    use crate::totals::{HopTotals, JourneyTotals, LatencyTotals};

    #[test]
    fn a_snapshot_comes_back_as_it_was() {
        let outcomes = OutcomeCounts::from_array([1, 2, 3, 4, 5, 6, 7, u64::MAX]);
        let latency = LatencyTotals::from_buckets([(-1, 3), (864, 1 << 40)]);
        let journey = JourneyTotals { outcomes, within_deadline: 5, degraded: 2, latency: latency.clone() };
        let hop = HopTotals { outcomes, retries: 9, latency, ..HopTotals::default() };
        let key = HopKey {
            journey: "j".into(),
            source: "s/a".into(),
            destination: "d".into(),
            operation: "GET /".into(),
        };
        let mark = Mark { sequence: 8, seen: Micros(7) };
        let stored = Stored {
            marks: [(("shop/front node".to_owned(), u64::MAX), mark)].into(),
            floors: [("shop/front".to_owned(), 5), ("shop/front node".to_owned(), 6)].into(),
            floor: 3,
            journeys: [(JourneyName::new("j").unwrap(), journey)].into(),
            hops: [(key, hop), (HopKey::default(), HopTotals::default())].into(),
            generation: Generation(0),
            served: Micros(11),
            commit: 0,
        };
        let held = Partition { holder: Some("emac-0".into()), entry: 12, evidence: 13 };
        let partitions = vec![held, Partition::default()];
        let snapshot = Snapshot { stored, position: Position { sequence: 12, since: None, partitions } };
        let back = decode(&encode(&snapshot)).unwrap();
        assert_eq!(back.stored, snapshot.stored);
        assert_eq!((back.position.sequence, back.position.partitions), (12, snapshot.position.partitions));
        assert!(decode(b"no snapshot").is_err());
    }
}
