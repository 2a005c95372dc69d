//! What was stored last, in a file of its own beside the store's: its number, and the highest generation that may be issued.
//!
//! After a crash the database library takes the newest state of its file whose checksums are right. If bits have changed in that one, it takes the one
//! before, and nobody notices that what was acknowledged is gone. So each commit is noted here once it is stored and before it is acknowledged,
//! and a file that ends before it is refused at the next start. The generation is taken from whichever knows the higher: that it never goes
//! back does not hang on one file.
//!
//! Two slots are written in turn, each within a sector, so that a write cut short leaves the other. Cost: one more flush a commit, of a
//! block that is there already.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use emac_core::units::Generation;
use emac_document::sync_folder_of;

use super::row;

/// The file inside the state directory.
pub(super) const FILE: &str = "evidence.last";
const SLOTS: [u64; 2] = [0, 4_096];
/// Checksum, number of the write, commit, generation.
const SLOT_BYTES: usize = 4 + 3 * 8;

/// What was stored last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Last {
    /// The last commit that may have been acknowledged.
    pub(super) commit: u64,
    /// The highest that may have been issued.
    pub(super) generation: Generation,
}

/// Why the file says nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum WitnessError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("both of its entries are damaged")]
    Damaged,
}

/// The file.
#[derive(Debug)]
pub(super) struct Witness {
    file: File,
    last: Last,
    /// Writes so far: the slot of the next.
    writes: u64,
}

impl Witness {
    /// Opens or creates the file. `None`: it is new. The flag: one of its entries is damaged, and the other is what it says.
    ///
    /// # Errors
    /// [`WitnessError`].
    pub(super) fn open(directory: &Path) -> Result<(Self, Option<Last>, bool), WitnessError> {
        let path = directory.join(FILE);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        if file.metadata()?.len() < SLOTS[1] + SLOT_BYTES as u64 {
            // New, or cut short while it was made: nothing was acknowledged after it yet.
            file.set_len(SLOTS[1] + SLOT_BYTES as u64)?;
            file.sync_all()?;
            sync_folder_of(&path)?;
        }
        let slots = [read(&file, SLOTS[0])?, read(&file, SLOTS[1])?];
        let newest = slots
            .iter()
            .filter_map(|slot| slot.as_ref().ok().copied().flatten())
            .max_by_key(|(writes, _)| *writes);
        let damaged = slots.iter().any(Result::is_err);
        if damaged && newest.is_none() {
            return Err(WitnessError::Damaged);
        }
        let (writes, last) = newest.unwrap_or_default();
        Ok((Self { file, last, writes }, newest.map(|(_, last)| last), damaged))
    }

    pub(super) fn last(&self) -> Last {
        self.last
    }

    /// Returns once it is on the disk.
    pub(super) fn note(&mut self, last: Last) -> io::Result<()> {
        let writes = self.writes + 1;
        let numbers = [writes, last.commit, last.generation.0].map(u64::to_le_bytes).concat();
        let slot = row::seal(FILE, &[], &numbers);
        self.file.write_all_at(&slot, SLOTS[usize::from(writes % 2 == 1)])?;
        self.file.sync_data()?;
        (self.writes, self.last) = (writes, last);
        Ok(())
    }
}

/// A slot: nothing while it has not been written, an error when it is not as it was written.
fn read(file: &File, at: u64) -> io::Result<Result<Option<(u64, Last)>, row::InvalidRow>> {
    let mut slot = [0; SLOT_BYTES];
    file.read_exact_at(&mut slot, at)?;
    if slot == [0; SLOT_BYTES] {
        return Ok(Ok(None));
    }
    Ok(row::unseal(FILE, &[], &slot).map(|numbers| {
        let mut numbers = numbers.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let mut next = || numbers.next().unwrap_or_default();
        let (writes, commit, generation) = (next(), next(), Generation(next()));
        Some((writes, Last { commit, generation }))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(n: u64) -> Last {
        Last { commit: n, generation: Generation(1_000 + n) }
    }

    #[test]
    fn the_newest_entry_counts_and_a_flipped_bit_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (mut witness, found, _) = Witness::open(folder.path()).unwrap();
        assert_eq!(found, None);
        for n in 1..=5 {
            witness.note(last(n)).unwrap();
            let (again, found, damaged) = Witness::open(folder.path()).unwrap();
            assert_eq!((found, again.last(), damaged), (Some(last(n)), last(n), false));
        }
        let bytes = std::fs::read(folder.path().join(FILE)).unwrap();
        let written = |at: u64| {
            (at as usize..at as usize + SLOT_BYTES).flat_map(|byte| (0..8).map(move |bit| (byte, bit)))
        };
        for (byte, bit) in SLOTS.into_iter().flat_map(written) {
            let mut flipped = bytes.clone();
            flipped[byte] ^= 1 << bit;
            std::fs::write(folder.path().join(FILE), flipped).unwrap();
            let (_, found, damaged) = Witness::open(folder.path()).unwrap();
            let other = if (byte as u64) < SLOTS[1] { 5 } else { 4 };
            assert_eq!((found, damaged), (Some(last(other)), true), "{byte} {bit}");
        }
    }

    #[test]
    fn one_of_which_nothing_can_be_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), [0xff; 8_192]).unwrap();
        assert!(matches!(Witness::open(folder.path()), Err(WitnessError::Damaged)));
    }
}
