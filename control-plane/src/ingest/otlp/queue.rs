//! The queue between the receivers and whoever assembles traces.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc};

use super::{Batch, ExportError};
use emac_trace::read;

/// Bounds of the receivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpSettings {
    /// How spans are read.
    pub read: read::ReadSettings,
    /// Most batches waiting, 1 ..
    pub batches_max: usize,
    /// Most spans waiting, 1 ..; a larger batch is taken when nothing else waits.
    pub spans_max: u32,
    /// Most bytes of a request, as sent and decompressed.
    pub request_bytes_max: usize,
    /// Most requests read at once, 1 ..
    pub requests_max: usize,
    /// How long a request may take to arrive.
    pub request_time_max: Duration,
    /// When a sender that was shed may come again.
    pub retry_after: Duration,
}

impl Default for OtlpSettings {
    /// A million spans wait in 80 MB; 16 requests of 16 MiB, plain and decompressed, take at most 512 MiB.
    fn default() -> Self {
        Self {
            read: read::ReadSettings::default(),
            batches_max: 1_024,
            spans_max: 1_000_000,
            request_bytes_max: 16 << 20,
            requests_max: 16,
            request_time_max: Duration::from_secs(10),
            retry_after: Duration::from_secs(5),
        }
    }
}

/// Where receivers put batches.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    batches: mpsc::Sender<Batch>,
    room: Arc<Semaphore>,
    spans_max: u32,
}

/// Where batches come out, in the order in which they came. A batch's spans count as waiting until it is dropped.
#[derive(Debug)]
pub struct Batches {
    pub(super) batches: mpsc::Receiver<Batch>,
}

pub(super) fn new(settings: &OtlpSettings) -> (Queue, Batches) {
    let (sender, receiver) = mpsc::channel(settings.batches_max.max(1));
    let spans_max = settings.spans_max.max(1);
    let room = Arc::new(Semaphore::new(usize::try_from(spans_max).unwrap_or(Semaphore::MAX_PERMITS)));
    (Queue { batches: sender, room, spans_max }, Batches { batches: receiver })
}

impl Queue {
    /// Puts a batch in, or does not: it never waits.
    pub(super) fn put(&self, mut batch: Batch) -> Result<(), ExportError> {
        let spans = u32::try_from(batch.spans()).unwrap_or(u32::MAX).min(self.spans_max);
        let room = Arc::clone(&self.room).try_acquire_many_owned(spans).map_err(|_| ExportError::Full)?;
        batch.keep(room);
        self.batches.try_send(batch).map_err(|error| match error {
            TrySendError::Full(_) => ExportError::Full,
            TrySendError::Closed(_) => ExportError::ShuttingDown,
        })
    }
}

impl Batches {
    /// The next batch, if one waits.
    pub fn try_next(&mut self) -> Option<Batch> {
        self.batches.try_recv().ok()
    }

    /// The next batch; `None` once all receivers are gone and nothing waits.
    pub async fn next(&mut self) -> Option<Batch> {
        self.batches.recv().await
    }
}
