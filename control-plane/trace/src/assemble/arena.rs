//! Records of all open traces in one place: no allocation per trace, no copying when it grows, and what a trace leaves is used again.

use super::SpanRecord;

/// "No record."
pub(super) const NONE: u32 = u32::MAX;
/// Records of a piece: 240 kB.
const PIECE: usize = 4_096;

/// Chains of records, each from its newest to its oldest.
///
/// Which record came before lies apart from the records: where a chain leads is known before any of them is in the processor's cache, and they come
/// into it side by side instead of one after the other.
#[derive(Debug)]
pub(super) struct Arena {
    pieces: Vec<Piece>,
    /// Places of the chain that is taken out, newest first.
    chain: Vec<u32>,
    /// Chain of places to be used again.
    free: u32,
    used: usize,
}

#[derive(Debug)]
struct Piece {
    records: Vec<SpanRecord>,
    /// For each place, the one before it in its chain.
    before: Vec<u32>,
}

impl Default for Arena {
    fn default() -> Self {
        Self { pieces: Vec::new(), chain: Vec::new(), free: NONE, used: 0 }
    }
}

impl Arena {
    /// Records in use.
    pub(super) const fn used(&self) -> usize {
        self.used
    }

    /// Puts a record before a chain; where it lies, or `None` after four thousand million records.
    pub(super) fn push(&mut self, record: SpanRecord, chain: u32) -> Option<u32> {
        let place = match self.before(self.free) {
            Some(next) => {
                let place = std::mem::replace(&mut self.free, next);
                let piece = self.pieces.get_mut(place as usize / PIECE)?;
                *piece.records.get_mut(place as usize % PIECE)? = record;
                *piece.before.get_mut(place as usize % PIECE)? = chain;
                place
            }
            None => self.append(record, chain)?,
        };
        self.used += 1;
        Some(place)
    }

    /// Moves a chain out, oldest record first.
    pub(super) fn take(&mut self, chain: u32, out: &mut Vec<SpanRecord>) {
        let mut places = std::mem::take(&mut self.chain);
        places.clear();
        let mut place = chain;
        while let Some(before) = self.before(place) {
            places.push(place);
            place = before;
        }
        out.clear();
        out.extend(places.iter().rev().filter_map(|&place| self.get(place)));
        self.used -= out.len();
        let oldest = places.last().map(|&oldest| oldest as usize);
        let piece = oldest.and_then(|oldest| self.pieces.get_mut(oldest / PIECE));
        if let Some(before) = piece.zip(oldest).and_then(|(piece, at)| piece.before.get_mut(at % PIECE)) {
            *before = self.free;
            self.free = chain;
        }
        self.chain = places;
    }

    fn append(&mut self, record: SpanRecord, chain: u32) -> Option<u32> {
        if self.pieces.last().is_none_or(|piece| piece.records.len() == PIECE) {
            let (records, before) = (Vec::with_capacity(PIECE), Vec::with_capacity(PIECE));
            self.pieces.push(Piece { records, before });
        }
        let full = (self.pieces.len() - 1) * PIECE;
        let piece = self.pieces.last_mut()?;
        let place = u32::try_from(full + piece.records.len()).ok().filter(|&place| place != NONE)?;
        piece.records.push(record);
        piece.before.push(chain);
        Some(place)
    }

    fn get(&self, place: u32) -> Option<&SpanRecord> {
        let place = place as usize;
        self.pieces.get(place / PIECE)?.records.get(place % PIECE)
    }

    fn before(&self, place: u32) -> Option<u32> {
        let place = place as usize;
        self.pieces.get(place / PIECE)?.before.get(place % PIECE).copied()
    }
}
