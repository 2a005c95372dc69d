//! A window that slides over a source: what is looked at, and little more, is in memory.

use std::io::{self, Read};

use super::ReadError;

/// Bytes read at once: few at first, since many files are small, then twice as many each time, up to a megabyte.
const CHUNK_BYTES_MIN: usize = 1 << 16;
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// The bytes from the place reached, as far as they were read.
pub(super) struct ReadWindow<'r> {
    source: Box<dyn Read + 'r>,
    buffer: Vec<u8>,
    /// The bytes not yet taken are `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Bytes taken before `buffer[0]`.
    base: u64,
    /// Most bytes held at once.
    bytes_max: usize,
    finished: bool,
}

impl<'r> ReadWindow<'r> {
    /// At the start of `source`, holding at most `bytes_max` bytes.
    pub(super) fn new(source: impl Read + 'r, bytes_max: usize) -> Self {
        let source = Box::new(source);
        Self { source, buffer: Vec::new(), start: 0, end: 0, base: 0, bytes_max, finished: false }
    }

    /// Over bytes that are all in memory already.
    pub(super) fn whole(buffer: Vec<u8>) -> Self {
        let (end, bytes_max) = (buffer.len(), buffer.len());
        Self { source: Box::new(io::empty()), buffer, start: 0, end, base: 0, bytes_max, finished: true }
    }

    /// Bytes taken.
    pub(super) const fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    /// What is there of the bytes not yet taken.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Takes bytes that are there.
    pub(super) fn take(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.end);
    }

    /// Reads on; `false` at the end of the source.
    ///
    /// # Errors
    /// [`ReadError::TooLarge`] when the window is full, [`ReadError::Read`].
    pub(super) fn more(&mut self) -> Result<bool, ReadError> {
        if self.finished {
            return Ok(false);
        }
        self.make_room()?;
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let read = read_some(&mut self.source, room)
            .map_err(|source| ReadError::Read { at: self.base + self.end as u64, source })?;
        self.end += read;
        self.finished = read == 0;
        Ok(!self.finished)
    }

    /// Whether there are `bytes` bytes, read if need be.
    pub(super) fn ensure(&mut self, bytes: usize) -> Result<bool, ReadError> {
        while self.end - self.start < bytes {
            if !self.more()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Steps over `bytes` bytes; `false` when the source ends before.
    pub(super) fn skip(&mut self, bytes: u64) -> Result<bool, ReadError> {
        let mut left = bytes;
        loop {
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.end - self.start);
            self.take(here);
            left -= here as u64;
            if left == 0 {
                return Ok(true);
            }
            if !self.more()? {
                return Ok(false);
            }
        }
    }

    /// Moves what is left to the front, and grows when that leaves too little room.
    fn make_room(&mut self) -> Result<(), ReadError> {
        let held = self.end - self.start;
        if held >= self.bytes_max {
            return Err(ReadError::TooLarge { at: self.offset(), bytes_max: self.bytes_max });
        }
        if self.buffer.len() - self.end > self.buffer.len() / 2 {
            return Ok(());
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.base += self.start as u64;
        (self.start, self.end) = (0, held);
        let chunk = (self.buffer.len() * 2).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        let wanted = (held * 2).max(chunk).min(self.bytes_max);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        Ok(())
    }
}

fn read_some(source: &mut dyn Read, room: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(room) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_slides_over_what_is_larger_than_it() {
        let source: Vec<u8> = (0..5_000_000_u32).map(|i| i as u8).collect();
        let mut window = ReadWindow::new(source.as_slice(), 2 << 20);
        let mut taken = Vec::new();
        while window.ensure(7).unwrap() {
            taken.extend_from_slice(&window.bytes()[..7]);
            window.take(7);
        }
        taken.extend_from_slice(window.bytes());
        assert_eq!(taken, source);
        assert!(window.buffer.len() <= 2 << 20);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let source = vec![0; 3 << 20];
        let mut window = ReadWindow::new(source.as_slice(), 2 << 20);
        window.take(0);
        assert!(matches!(window.ensure((2 << 20) + 1), Err(ReadError::TooLarge { at: 0, .. })));
    }

    #[test]
    fn skipping_needs_no_room() {
        let source = vec![0; 9 << 20];
        let mut window = ReadWindow::new(source.as_slice(), 1 << 20);
        assert!(window.skip(8 << 20).unwrap());
        assert_eq!(window.offset(), 8 << 20);
        assert!(!window.skip(2 << 20).unwrap());
        assert_eq!(window.offset(), 9 << 20);
    }
}
