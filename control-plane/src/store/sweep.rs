//! Bringing the rows of totals and marks up to date, a piece with each commit, so that the log stays short.
//!
//! A sweep goes once through everything in the order of the keys and writes what has changed since the sweep before began. When it is
//! through, every row counts at least up to the commit at which it began, and the log up to there is no longer needed. Its pace is that
//! of the log: for each byte that a commit adds there, two bytes of rows are written, so that the log is never much longer than all
//! rows together.

use std::ops::Bound;
use std::sync::Arc;

use emac_core::id::{HopKey, JourneyName};
use emac_core::units::Micros;

use super::log::Left;
use super::row::{encode_hop, encode_journey};
use crate::aggregate::Aggregate;
use crate::marks::{Life, Mark};

/// A log up to here is read in no time: nothing is rewritten for its sake.
const LOG_BYTES_MIN: usize = 1 << 20;
/// Rows written for each byte of the log.
const PACE: usize = 2;
/// What looking at an entry counts for, so that a piece is short also where nothing has changed.
const LOOK_BYTES: usize = 16;
/// Most bytes of rows in a commit, so that none takes long.
const PIECE_MAX: usize = 1 << 20;

/// Rows to be written along with a commit.
#[derive(Clone, Debug, Default)]
pub(super) struct Folds {
    pub(super) marks: Vec<(Life, Mark)>,
    pub(super) journeys: Vec<(JourneyName, Vec<u8>)>,
    pub(super) hops: Vec<(Arc<HopKey>, Vec<u8>)>,
    /// The commit up to which the rows count.
    pub(super) upto: u64,
    /// Rows of entries that went with the commit before.
    pub(super) left: Left,
    /// Rows of the log up to here are not needed.
    pub(super) dropped: u64,
    /// Where the sweep is afterwards.
    next: Option<Sweep>,
}

/// Where a sweep is.
#[derive(Clone, Debug, Default)]
enum Place {
    /// Between two sweeps.
    #[default]
    Idle,
    Journeys(Option<JourneyName>),
    Hops(Option<Arc<HopKey>>),
    Marks(Option<Life>),
}

/// A commit, and the time served then.
#[derive(Clone, Copy, Debug, Default)]
struct Begun {
    commit: u64,
    served: Micros,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Sweep {
    place: Place,
    /// When this sweep began, and the one before.
    begun: Begun,
    before: Begun,
    /// Bytes of rows that the log has paid for.
    due: usize,
    log_bytes: usize,
    /// The log up to here is not needed.
    dropped: u64,
    left: Left,
    log_bytes_min: usize,
}

impl Sweep {
    pub(super) fn new(log_bytes: usize, left: Left) -> Self {
        Self { log_bytes, left, log_bytes_min: LOG_BYTES_MIN, ..Self::default() }
    }

    /// One that sweeps from the first byte on.
    #[cfg(test)]
    pub(super) fn eager(self) -> Self {
        Self { log_bytes_min: 0, ..self }
    }

    /// The next piece, as of what is in memory: every commit in it is on the disk.
    pub(super) fn next(&self, aggregate: &Aggregate, served: Micros) -> Folds {
        let mut sweep = self.clone();
        let left = std::mem::take(&mut sweep.left);
        let mut folds = Folds { upto: aggregate.commit(), left, ..Folds::default() };
        let mut piece = sweep.due.min(PIECE_MAX);
        sweep.due -= piece;
        while piece > 0 {
            sweep.place = match std::mem::take(&mut sweep.place) {
                Place::Idle if sweep.log_bytes < sweep.log_bytes_min => break,
                Place::Idle => {
                    sweep.begun = Begun { commit: aggregate.commit(), served };
                    Place::Journeys(None)
                }
                Place::Journeys(after) => sweep.journeys(aggregate, after, &mut folds, &mut piece),
                Place::Hops(after) => sweep.hops(aggregate, after, &mut folds, &mut piece),
                Place::Marks(after) => sweep.marks(aggregate, after, &mut folds, &mut piece),
            };
            if matches!(sweep.place, Place::Idle) {
                (sweep.before, sweep.dropped) = (sweep.begun, sweep.begun.commit);
                sweep.due = 0;
                sweep.log_bytes = 0;
                break;
            }
        }
        folds.dropped = self.dropped;
        folds.next = Some(sweep);
        folds
    }

    /// What a durable commit with these folds leaves to do.
    pub(super) fn committed(&mut self, folds: Folds, left: Left, log_bytes: usize) {
        if let Some(next) = folds.next {
            *self = next;
        }
        self.left = left;
        self.log_bytes += log_bytes;
        self.due = self.due.saturating_add(PACE * log_bytes);
    }

    fn journeys(
        &self,
        aggregate: &Aggregate,
        after: Option<JourneyName>,
        folds: &mut Folds,
        piece: &mut usize,
    ) -> Place {
        for (name, journey) in aggregate.journeys().range((behind(after), Bound::Unbounded)) {
            let mut bytes = LOOK_BYTES;
            if journey.changed > self.before.commit {
                let row = encode_journey(&journey.totals, folds.upto);
                bytes += row.len();
                folds.journeys.push((name.clone(), row));
            }
            if spend(piece, bytes) {
                return Place::Journeys(Some(name.clone()));
            }
        }
        Place::Hops(None)
    }

    fn hops(
        &self,
        aggregate: &Aggregate,
        after: Option<Arc<HopKey>>,
        folds: &mut Folds,
        piece: &mut usize,
    ) -> Place {
        for (key, hop) in aggregate.hops().range((behind(after), Bound::Unbounded)) {
            let mut bytes = LOOK_BYTES;
            if hop.changed > self.before.commit {
                let row = encode_hop(&hop.totals, folds.upto);
                bytes += row.len() + key.source.len() + key.destination.len();
                folds.hops.push((Arc::clone(key), row));
            }
            if spend(piece, bytes) {
                return Place::Hops(Some(Arc::clone(key)));
            }
        }
        Place::Marks(None)
    }

    fn marks(
        &self,
        aggregate: &Aggregate,
        after: Option<Life>,
        folds: &mut Folds,
        piece: &mut usize,
    ) -> Place {
        for (life, mark) in aggregate.marks().lives().range((behind(after), Bound::Unbounded)) {
            let mut bytes = LOOK_BYTES;
            if mark.seen >= self.before.served {
                bytes += life.0.len() + LOOK_BYTES;
                folds.marks.push((life.clone(), *mark));
            }
            if spend(piece, bytes) {
                return Place::Marks(Some(life.clone()));
            }
        }
        Place::Idle
    }
}

fn behind<K>(after: Option<K>) -> Bound<K> {
    after.map_or(Bound::Unbounded, Bound::Excluded)
}

/// Takes from a piece; whether that is now at its end.
fn spend(piece: &mut usize, bytes: usize) -> bool {
    *piece = piece.saturating_sub(bytes);
    *piece == 0
}
