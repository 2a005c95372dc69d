//! Records of all open traces in one place: no allocation per trace, no copying when it grows, and what a trace leaves is used again.

use super::SpanRecord;

/// "No record."
pub(super) const NONE: u32 = u32::MAX;
/// Records of a piece: 224 kB.
const PIECE: usize = 4_096;

/// Chains of records, each from its newest to its oldest.
#[derive(Debug)]
pub(super) struct Arena {
    pieces: Vec<Vec<SpanRecord>>,
    /// Chain of places to be used again.
    free: u32,
    used: usize,
}

impl Default for Arena {
    fn default() -> Self {
        Self { pieces: Vec::new(), free: NONE, used: 0 }
    }
}

impl Arena {
    /// Records in use.
    pub(super) const fn used(&self) -> usize {
        self.used
    }

    /// Puts a record before a chain; where it lies, or `None` after four thousand million records.
    pub(super) fn push(&mut self, mut record: SpanRecord, chain: u32) -> Option<u32> {
        record.before = chain;
        let place = match self.get(self.free).map(|free| free.before) {
            Some(next) => {
                let place = std::mem::replace(&mut self.free, next);
                *self.get_mut(place)? = record;
                place
            }
            None => self.append(record)?,
        };
        self.used += 1;
        Some(place)
    }

    /// Moves a chain out, oldest record first.
    pub(super) fn take(&mut self, chain: u32, out: &mut Vec<SpanRecord>) {
        out.clear();
        let (mut place, mut oldest) = (chain, NONE);
        while let Some(record) = self.get(place) {
            out.push(*record);
            (oldest, place) = (place, record.before);
        }
        out.reverse();
        self.used -= out.len();
        let free = self.free;
        if let Some(record) = self.get_mut(oldest) {
            record.before = free;
            self.free = chain;
        }
    }

    fn append(&mut self, record: SpanRecord) -> Option<u32> {
        if self.pieces.last().is_none_or(|piece| piece.len() == PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        let full = (self.pieces.len() - 1) * PIECE;
        let piece = self.pieces.last_mut()?;
        let place = u32::try_from(full + piece.len()).ok().filter(|&place| place != NONE)?;
        piece.push(record);
        Some(place)
    }

    fn get(&self, place: u32) -> Option<&SpanRecord> {
        let place = place as usize;
        self.pieces.get(place / PIECE)?.get(place % PIECE)
    }

    fn get_mut(&mut self, place: u32) -> Option<&mut SpanRecord> {
        let place = place as usize;
        self.pieces.get_mut(place / PIECE)?.get_mut(place % PIECE)
    }
}
