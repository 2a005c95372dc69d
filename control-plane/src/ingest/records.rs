//! Hop records on their way to discovery: a bounded queue that never holds anybody up.
//!
//! Records are offered once their report is durable, so each is offered exactly once while a process lives. Evidence of traffic must never wait for
//! discovery: what does not fit is dropped and counted. A record lost leaves an incomplete trace, which discovery knows how to leave out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::Stats;
use crate::aggregate::Recorded;

/// The way in.
#[derive(Clone, Debug)]
pub struct Records {
    sender: Sender<Recorded>,
    gauge: Arc<AtomicUsize>,
    capacity: usize,
    stats: Arc<Stats>,
}

/// The way out.
#[derive(Debug)]
pub struct RecordsReceiver {
    receiver: Receiver<Recorded>,
    gauge: Arc<AtomicUsize>,
}

/// A queue of at most `capacity` records.
pub fn records(capacity: usize, stats: Arc<Stats>) -> (Records, RecordsReceiver) {
    let (sender, receiver) = channel();
    let gauge = Arc::new(AtomicUsize::new(0));
    (Records { sender, gauge: Arc::clone(&gauge), capacity, stats }, RecordsReceiver { receiver, gauge })
}

impl Records {
    /// Queues the records of a report, all or none; never waits.
    pub fn offer(&self, recorded: Recorded) {
        let count = recorded.records.len();
        if count == 0 {
            return;
        }
        let waiting = self.gauge.fetch_add(count, Relaxed);
        let full = waiting.saturating_add(count) > self.capacity;
        if full || self.sender.send(recorded).is_err() {
            self.gauge.fetch_sub(count, Relaxed);
            Stats::add(&self.stats.records_dropped, count as u64);
        }
    }
}

impl RecordsReceiver {
    /// The next records, waited for at most so long.
    ///
    /// # Errors
    /// That of the channel: nothing came, or nobody can send any more.
    pub fn next(&self, patience: Duration) -> Result<Recorded, RecvTimeoutError> {
        let next = self.receiver.recv_timeout(patience)?;
        self.gauge.fetch_sub(next.records.len(), Relaxed);
        Ok(next)
    }

    /// Records waiting.
    pub fn waiting(&self) -> usize {
        self.gauge.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use emac_core::evidence::HopRecord;

    use emac_core::id::HopKey;
    use emac_core::outcome::Outcome;
    use emac_core::units::Micros;

    use super::*;

    fn recorded(count: usize) -> Recorded {
        let record = HopRecord {
            trace_id: [1; 16],
            parent_span_id: [1; 8],
            hop: HopKey::default(),
            start_unix_us: 1,
            duration: Micros(1),
            outcome: Outcome::Success,
            attempts: 1,
            status: 200,
            inbound: true,
            request_id: [0; 16],
            ended_by: emac_core::outcome::EndedBy::Unknown,
        };
        Recorded { node: "n".to_owned(), records: vec![record; count] }
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let stats = Arc::new(Stats::default());
        let (records, receiver) = records(3, Arc::clone(&stats));
        [2, 2, 1, 0].into_iter().for_each(|count| records.offer(recorded(count)));
        assert_eq!((receiver.waiting(), stats.snapshot().records_dropped), (3, 2));
        let next = || receiver.next(Duration::ZERO).map(|next| next.records.len());
        assert_eq!((next(), next(), next()), (Ok(2), Ok(1), Err(RecvTimeoutError::Timeout)));
        records.offer(recorded(3));
        assert_eq!(next(), Ok(3));
        drop(receiver);
        records.offer(recorded(1));
        assert_eq!(stats.snapshot().records_dropped, 3);
    }
}
