//! A stream read in order, from a place on, over every reconnection.
//!
//! The server's consumer is a throw-away: whenever anything about it is odd (silence, a gap, a lost server) it is made anew from the place that was
//! reached. Silence is noticed within two heartbeats, because who reads is who takes over.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use async_nats::jetstream::stream::Stream;
use prost::bytes::Bytes;
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tracing::debug;

use super::status::{Part, Status};

/// The server says at least this often that it is there.
const HEARTBEAT: Duration = Duration::from_secs(1);
const EXPIRES: Duration = Duration::from_secs(10);
/// After this long without its reader a consumer is removed by the server.
const ABANDONED: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);
const MESSAGES_MAX: usize = 256;

/// Where a reader begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Begin {
    /// At this sequence of the stream.
    Sequence(u64),
    /// With the last message of every subject.
    Latest,
}

/// A message read.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) subject: String,
    /// In the stream.
    pub(super) sequence: u64,
    pub(super) payload: Bytes,
    /// By the server's calendar.
    pub(super) unix_ms: u64,
}

pub(super) struct Reader<'a> {
    stream: Stream,
    filter: String,
    from: Begin,
    status: &'a Status,
    connections: watch::Receiver<u64>,
    open: Option<Open>,
}

struct Open {
    messages: pull::Stream,
    /// Of the consumer, not of the stream: without gaps.
    delivered: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(stream: &Stream, filter: String, from: Begin, status: &'a Status) -> Self {
        Self { stream: stream.clone(), filter, from, status, connections: status.connections(), open: None }
    }

    /// The next message, however long it takes. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Entry {
        loop {
            if self.connections.has_changed().unwrap_or(false) {
                self.connections.mark_unchanged();
                self.open = None;
            }
            let Some(open) = &mut self.open else {
                self.reopen().await;
                continue;
            };
            let next = tokio::select! {
                next = open.messages.next() => next,
                // A new connection knows nothing of this consumer's requests.
                _ = self.connections.changed() => None,
            };
            if let Some(Ok(message)) = &next
                && let Ok(info) = message.info()
                && info.consumer_sequence == open.delivered + 1
            {
                open.delivered += 1;
                if let Begin::Sequence(from) = &mut self.from {
                    *from = info.stream_sequence + 1;
                }
                let unix_ms = info.published.unix_timestamp_nanos() / 1_000_000;
                return Entry {
                    subject: message.subject.to_string(),
                    sequence: info.stream_sequence,
                    payload: message.payload.clone(),
                    unix_ms: u64::try_from(unix_ms).unwrap_or(0),
                };
            }
            debug!(filter = self.filter, ?next, "consumer made anew");
            self.open = None;
        }
    }

    async fn reopen(&mut self) {
        match self.open().await {
            Ok(open) => {
                self.status.well(Part::Reading);
                self.open = Some(open);
            }
            Err(error) => {
                if self.status.is_connected() {
                    let name = &self.stream.cached_info().config.name;
                    self.status
                        .trouble(Part::Reading, self.status.explain(format!("reading {name}: {error}")));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn open(&self) -> Result<Open, async_nats::Error> {
        let deliver_policy = match self.from {
            Begin::Sequence(start_sequence) => DeliverPolicy::ByStartSequence { start_sequence },
            Begin::Latest => DeliverPolicy::LastPerSubject,
        };
        let config = pull::Config {
            deliver_policy,
            filter_subject: self.filter.clone(),
            ack_policy: AckPolicy::None,
            inactive_threshold: ABANDONED,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer: Consumer<pull::Config> = self.stream.create_consumer(config).await?;
        let builder = consumer.stream().max_messages_per_batch(MESSAGES_MAX);
        let messages = builder.heartbeat(HEARTBEAT).expires(EXPIRES).messages().await?;
        Ok(Open { messages, delivered: 0 })
    }
}
