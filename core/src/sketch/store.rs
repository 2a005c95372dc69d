//! Counts per slot: nothing until the first value, then one dense array of 3.5 KB.
//!
//! A count is 32 bits wide and stops at its largest value. What did not fit is still in the total, so `lost` is known exactly
//! and the pair (counts, total) is a commutative monoid under merge: saturating addition is associative.

use alloc::boxed::Box;

use super::mapping::SLOTS;

pub(super) type Counts = [u32; SLOTS];

#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    counts: Option<Box<Counts>>,
    /// Sum of `counts`; cannot overflow (866 * 2^32).
    held: u64,
    /// Everything ever added, saturating. Invariant: `held <= total`, and `held < total` only if some count is full.
    total: u64,
}

impl Store {
    pub(super) const fn new() -> Self {
        Self { counts: None, held: 0, total: 0 }
    }

    pub(super) const fn held(&self) -> u64 {
        self.held
    }

    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    /// Counts from slot 0 on; nothing at all while empty.
    pub(super) fn counts(&self) -> &[u32] {
        self.counts.as_deref().map_or(&[], |counts| counts.as_slice())
    }

    /// Adds `n` to a slot; a slot past the end is the caller's mistake and adds nothing.
    #[inline]
    pub(super) fn add(&mut self, slot: usize, n: u32) {
        let counts = self.counts.get_or_insert_with(zeroed);
        if let Some(count) = counts.get_mut(slot) {
            let before = *count;
            *count = before.saturating_add(n);
            self.held += u64::from(*count - before);
            self.total = self.total.saturating_add(u64::from(n));
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let Some(theirs) = other.counts.as_deref() else { return };
        let fits = self.fits(other.held);
        let mine = self.counts.get_or_insert_with(zeroed);
        if fits {
            mine.iter_mut().zip(theirs).for_each(|(count, n)| *count = count.wrapping_add(*n));
            self.held += other.held;
        } else {
            mine.iter_mut().zip(theirs).for_each(|(count, n)| *count = count.saturating_add(*n));
            self.held = mine.iter().map(|&count| u64::from(count)).sum();
        }
        self.total = self.total.saturating_add(other.total);
    }

    /// Adds checked (slot, count) pairs whose counts sum to `held`, out of `total` ever recorded.
    pub(super) fn add_all(&mut self, pairs: impl Iterator<Item = (usize, u32)>, held: u64, total: u64) {
        let fits = self.fits(held);
        let mine = self.counts.get_or_insert_with(zeroed);
        if fits {
            pairs.for_each(|(slot, n)| {
                if let Some(count) = mine.get_mut(slot) {
                    *count = count.wrapping_add(n);
                }
            });
            self.held += held;
        } else {
            pairs.for_each(|(slot, n)| {
                if let Some(count) = mine.get_mut(slot) {
                    *count = count.saturating_add(n);
                }
            });
            self.held = mine.iter().map(|&count| u64::from(count)).sum();
        }
        self.total = self.total.saturating_add(total);
    }

    /// Whether no slot can become full by adding `more`: the common case, in which sums need no care.
    const fn fits(&self, more: u64) -> bool {
        self.held + more <= u32::MAX as u64
    }

    /// Forgets all counts and keeps the array.
    pub(super) fn clear(&mut self) {
        if let Some(counts) = self.counts.as_deref_mut() {
            counts.fill(0);
        }
        self.held = 0;
        self.total = 0;
    }
}

#[cold]
fn zeroed() -> Box<Counts> {
    Box::new([0; SLOTS])
}

impl PartialEq for Store {
    /// An array of zeros equals no array.
    fn eq(&self, other: &Self) -> bool {
        (self.held, self.total) == (other.held, other.total)
            && (self.held == 0 || self.counts() == other.counts())
    }
}

impl Eq for Store {}
