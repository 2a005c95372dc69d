//! Counts per slot: nothing until the first value, then one dense array of 3.5 KB.
//!
//! A count is 32 bits wide and stops at its largest value; what did not fit is counted as lost. So the true total is always
//! known, and (counts, lost) is a commutative monoid under merge, because saturating addition is associative. The total is summed
//! up when asked for: keeping it would cost each record a second read-modify-write.

use alloc::boxed::Box;

use super::mapping::SLOTS;

pub(super) type Counts = [u32; SLOTS];

/// Most that is counted as lost, so that the total cannot overflow.
pub(super) const LOST_MAX: u64 = u64::MAX - SLOTS as u64 * u32::MAX as u64;

#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    counts: Option<Box<Counts>>,
    /// What found its count full, at most [`LOST_MAX`]. Invariant: above zero only if some count is full.
    lost: u64,
}

impl Store {
    pub(super) const fn new() -> Self {
        Self { counts: None, lost: 0 }
    }

    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Sum of the counts.
    pub(super) fn held(&self) -> u64 {
        self.counts().iter().map(|&count| u64::from(count)).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts().iter().all(|&count| count == 0)
    }

    /// Counts from slot 0 on; nothing at all at first.
    pub(super) fn counts(&self) -> &[u32] {
        self.counts.as_deref().map_or(&[], |counts| counts.as_slice())
    }

    /// (slot, count) of the counts above zero, ascending. Eight empty slots cost as much as one full one.
    pub(super) fn nonzero(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        let eights = self.counts().chunks(8).enumerate();
        let full = eights.filter(|(_, eight)| eight.iter().fold(0, |any, count| any | count) > 0);
        full.flat_map(|(at, eight)| {
            let counts = eight.iter().enumerate().filter(|&(_, &count)| count > 0);
            counts.map(move |(slot, &count)| (8 * at + slot, count))
        })
    }

    /// Adds `n` to a slot; a slot past the end is the caller's mistake and adds nothing.
    #[inline]
    pub(super) fn add(&mut self, slot: usize, n: u32) {
        if let Some(count) = self.counts.get_or_insert_with(zeroed).get_mut(slot) {
            match count.checked_add(n) {
                Some(sum) => *count = sum,
                None => {
                    let over = fill(count, n);
                    self.lose(over);
                }
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let Some(theirs) = other.counts.as_deref() else { return };
        let mine = self.counts.get_or_insert_with(zeroed);
        // Without branches first; a sum below one of its parts has wrapped.
        let mut any_wrapped = false;
        for (count, &n) in mine.iter_mut().zip(theirs) {
            *count = count.wrapping_add(n);
            any_wrapped |= *count < n;
        }
        let over = if any_wrapped { fill_wrapped(mine, theirs) } else { 0 };
        self.lose(other.lost.saturating_add(over));
    }

    /// Adds every (slot, count) that `each` gives, and what was lost before.
    #[inline]
    pub(super) fn add_all(&mut self, lost: u64, tokens: impl ForEach) {
        let counts = self.counts.get_or_insert_with(zeroed);
        let mut over = lost;
        tokens.for_each(|slot, n| {
            if let Some(count) = counts.get_mut(slot) {
                match count.checked_add(n) {
                    Some(sum) => *count = sum,
                    None => over = over.saturating_add(fill(count, n)),
                }
            }
        });
        self.lose(over);
    }

    fn lose(&mut self, n: u64) {
        self.lost = self.lost.saturating_add(n).min(LOST_MAX);
    }

    /// Forgets all counts and keeps the array.
    pub(super) fn clear(&mut self) {
        if let Some(counts) = self.counts.as_deref_mut() {
            counts.fill(0);
        }
        self.lost = 0;
    }
}

/// A source of (slot, count) pairs that pushes them: twice as fast here as an iterator that is pulled.
pub(super) trait ForEach {
    fn for_each(self, add: impl FnMut(usize, u32));
}

/// Fills a count to which `n` is added; returns what was over.
#[cold]
fn fill(count: &mut u32, n: u32) -> u64 {
    let over = u64::from(*count) + u64::from(n) - u64::from(u32::MAX);
    *count = u32::MAX;
    over
}

/// Fills the sums that have wrapped when `theirs` were added; returns what was over.
#[cold]
fn fill_wrapped(sums: &mut Counts, theirs: &Counts) -> u64 {
    let wrapped = sums.iter_mut().zip(theirs).filter(|(sum, n)| **sum < **n);
    // The sum is 2^32 more than it says: one more than it says is over.
    wrapped.map(|(sum, _)| u64::from(core::mem::replace(sum, u32::MAX)) + 1).sum()
}

#[cold]
fn zeroed() -> Box<Counts> {
    Box::new([0; SLOTS])
}

impl PartialEq for Store {
    /// An array of zeros equals no array.
    fn eq(&self, other: &Self) -> bool {
        match (&self.counts, &other.counts) {
            (Some(mine), Some(theirs)) => self.lost == other.lost && mine == theirs,
            _ => self.is_empty() && other.is_empty(),
        }
    }
}

impl Eq for Store {}
