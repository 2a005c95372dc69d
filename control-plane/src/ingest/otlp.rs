//! OpenTelemetry traces in: gRPC `TraceService/Export` and HTTP `POST /v1/traces`, protobuf or JSON, plain or gzip.
//!
//! A request is bounded before it is read and while it is decompressed, decoded off the runtime's threads into a [`Batch`], and put
//! into a queue that is bounded in batches and in spans. A full queue sheds the request with a hint when to come again
//! (RESOURCE_EXHAUSTED with RetryInfo, or 429 with Retry-After) and counts it: traces are samples, and losing some widens intervals but
//! bends no model. A request that is no OTLP is refused whole; spans that cannot be taken are counted and reported as OTLP's partial
//! success (OTLP specification 1.9, "Full Success", "Partial Success", "Failures").
//!
//! Left out: authentication (the mesh's), and metrics and logs.

mod answer;
mod batch;
mod grpc;
mod http;
mod queue;

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use batch::Batch;
pub(crate) use batch::KeptBatch;
use emac_trace::read;
pub use grpc::TraceServer;
pub use http::router;
use queue::Queue;
pub use queue::{Batches, OtlpSettings};

/// Counters of the receivers, for /metrics. Each is exact; they are not read at one instant.
#[derive(Debug, Default)]
pub struct Stats {
    /// Requests taken, with or without refused spans.
    pub requests: AtomicU64,
    /// Spans taken.
    pub spans: AtomicU64,
    /// Spans refused in requests taken.
    pub spans_refused: AtomicU64,
    /// Requests that are no OTLP, or too large.
    pub invalid: AtomicU64,
    /// Requests shed: the queue was full, or too many were being read.
    pub shed: AtomicU64,
    /// Spans in requests that the full queue shed; those of requests shed unread are not known.
    pub spans_shed: AtomicU64,
}

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// It will never be taken.
    #[error("{0}")]
    Invalid(String),
    /// It is larger than the limit, as sent or decompressed.
    #[error("the request has more than {0} bytes")]
    TooLarge(usize),
    /// Later it may be.
    #[error("the queue of traces is full; send it again later")]
    Full,
    /// It did not arrive in time.
    #[error("the request did not arrive within {0:?}")]
    TimedOut(Duration),
    /// The control plane ends.
    #[error("the control plane is shutting down")]
    ShuttingDown,
}

/// How a request's body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Protobuf,
    Json,
}

/// What both receivers do with a request. Clones share the queue.
#[derive(Clone, Debug)]
pub struct Receiver {
    queue: Queue,
    settings: Arc<OtlpSettings>,
    stats: Arc<Stats>,
    reading: Arc<Semaphore>,
}

/// The receivers' side and the consumer's side of a queue of traces.
pub fn channel(settings: OtlpSettings, stats: Arc<Stats>) -> (Receiver, Batches) {
    let (queue, batches) = queue::new(&settings);
    let reading = Arc::new(Semaphore::new(settings.requests_max));
    (Receiver { queue, settings: Arc::new(settings), stats, reading }, batches)
}

impl Receiver {
    /// A place among the requests that are read at once.
    fn begin(&self) -> Result<OwnedSemaphorePermit, ExportError> {
        Arc::clone(&self.reading).try_acquire_owned().map_err(|_| self.not_taken(ExportError::Full))
    }

    /// Decodes a body and puts its spans into the queue. Returns the number of spans refused.
    async fn export(&self, body: Vec<u8>, gzip: bool, encoding: Encoding) -> Result<u64, ExportError> {
        let settings = Arc::clone(&self.settings);
        let decoded = tokio::task::spawn_blocking(move || decode(body, gzip, encoding, &settings)).await;
        let batch =
            decoded.unwrap_or(Err(ExportError::ShuttingDown)).map_err(|error| self.not_taken(error))?;
        let (spans, refused) = (batch.spans() as u64, batch.refused());
        self.queue.put(batch).map_err(|error| {
            self.stats.spans_shed.fetch_add(spans, Relaxed);
            self.not_taken(error)
        })?;
        self.stats.requests.fetch_add(1, Relaxed);
        self.stats.spans.fetch_add(spans, Relaxed);
        self.stats.spans_refused.fetch_add(refused, Relaxed);
        Ok(refused)
    }

    fn not_taken(&self, error: ExportError) -> ExportError {
        match error {
            ExportError::Invalid(_) | ExportError::TooLarge(_) => self.stats.invalid.fetch_add(1, Relaxed),
            ExportError::Full => self.stats.shed.fetch_add(1, Relaxed),
            ExportError::TimedOut(_) | ExportError::ShuttingDown => 0,
        };
        error
    }
}

fn decode(
    body: Vec<u8>,
    gzip: bool,
    encoding: Encoding,
    settings: &OtlpSettings,
) -> Result<Batch, ExportError> {
    let body = if gzip { decompress(&body, settings.request_bytes_max)? } else { body };
    let mut batch = Batch::default();
    let read = match encoding {
        Encoding::Protobuf => read::read_otlp_proto(body, &settings.read, &mut batch),
        Encoding::Json => read::read_otlp_json(body, &settings.read, &mut batch),
    };
    read.map_err(|error| ExportError::Invalid(error.to_string()))?;
    Ok(batch)
}

/// Stops one byte behind the limit, whatever the body would become.
fn decompress(body: &[u8], bytes_max: usize) -> Result<Vec<u8>, ExportError> {
    let mut bytes = Vec::new();
    let mut limited = MultiGzDecoder::new(body).take(bytes_max as u64 + 1);
    limited.read_to_end(&mut bytes).map_err(|error| ExportError::Invalid(format!("no gzip: {error}")))?;
    if bytes.len() > bytes_max { Err(ExportError::TooLarge(bytes_max)) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests;
