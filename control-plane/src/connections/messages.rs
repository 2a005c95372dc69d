//! Messages of gRPC on their way in: each whole in time, and all of them within bounds of memory.
//!
//! A service hears of a message when it is whole; until then nobody knows how long its half has been held. So the body of a request is looked at
//! as it comes, for where messages begin and end (gRPC over HTTP/2, "Length-Prefixed-Message"): a peer has `connections.firstMessage`
//! in which the rest of a begun message has to come, counted while it is waited for, and takes from `connections.messagesMiB` the length of
//! its stream's longest message until the stream ends, because that long its buffer stays. Short messages, as most reports are, take nothing of it:
//! how many there can be is bounded by the places for streams.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Status;

use crate::identity::{Gate, Origin, Remote};
use crate::places::{Full, Place};
use crate::refusal::Refusal;

/// Compression and length, before each message.
const PREFIX_BYTES: usize = 5;
/// Takes nothing: 65 536 streams hold a gigabyte of these.
const SHORT_BYTES: usize = 16 << 10;
/// Longer than any service takes: it says so itself, before it takes memory for it.
const LENGTH_MAX: usize = 64 << 20;

/// A body whose messages come whole and in time.
pub(super) struct Messages<B> {
    body: B,
    gate: Arc<Gate>,
    remote: Remote,
    parts: Parts,
    /// How long the rest of this message may still be waited for.
    patience: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    /// As many bytes as its longest message has.
    held: Place<Origin>,
}

/// Where in the stream of messages a body is.
#[derive(Debug, Default)]
struct Parts {
    prefix: [u8; PREFIX_BYTES],
    prefix_read: usize,
    /// Bytes of the message that are yet to come.
    left: usize,
}

impl<B> Messages<B> {
    pub(super) fn new(body: B, gate: Arc<Gate>, remote: Remote) -> Self {
        let patience = super::first_message(gate.limits());
        let held = gate.memory(remote);
        Self { body, gate, remote, parts: Parts::default(), patience, waiting: None, held }
    }

    /// Follows what came.
    fn read(&mut self, data: &[u8]) -> Result<(), Status> {
        if let Some((since, _)) = self.waiting.take() {
            self.patience = self.patience.saturating_sub(since.elapsed());
        }
        let mut data = data;
        while !data.is_empty() {
            let (length, ended);
            (data, length, ended) = self.parts.read(data);
            if let Some(length) = length.filter(|length| (SHORT_BYTES..=LENGTH_MAX).contains(length)) {
                self.hold(length)?;
            }
            if ended {
                self.patience = super::first_message(self.gate.limits());
            }
        }
        Ok(())
    }

    fn hold(&mut self, length: usize) -> Result<(), Status> {
        let more = length.saturating_sub(self.held.count());
        let remote = self.remote;
        self.held.grow(more).map_err(|full| {
            let mib = |bytes: usize| bytes >> 20;
            let why = match full {
                Full::All { most } => format!("all {} MiB for messages are taken", mib(most)),
                Full::Peer { held } => format!("its messages take {} MiB, as many as are free", mib(held)),
            };
            let why = format!(
                "a message of {length} bytes from {remote} comes too soon: {why} (connections.messagesMiB); send it again later"
            );
            self.gate.refuse(Refusal::NoRoom, &why)
        })
    }

    /// Waits for the rest of a message that has begun.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        if !self.parts.has_begun() {
            return Poll::Pending;
        }
        let patience = self.patience;
        let (_, sleep) =
            self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(patience))));
        ready!(sleep.as_mut().poll(cx));
        let why = format!(
            "{} began a message and did not send the rest within {:?}",
            self.remote,
            super::first_message(self.gate.limits())
        );
        Poll::Ready(self.gate.refuse(Refusal::Silent, &why))
    }
}

impl Parts {
    /// Whether a message has begun and is not whole.
    fn has_begun(&self) -> bool {
        self.prefix_read > 0
    }

    /// Reads to the end of a prefix, or of a message. Returns what is left, the length of the message that begins, and whether one has ended.
    fn read<'a>(&mut self, data: &'a [u8]) -> (&'a [u8], Option<usize>, bool) {
        let mut length = None;
        let mut rest = data;
        if self.prefix_read < PREFIX_BYTES {
            let n = rest.len().min(PREFIX_BYTES - self.prefix_read);
            self.prefix[self.prefix_read..self.prefix_read + n].copy_from_slice(&rest[..n]);
            self.prefix_read += n;
            rest = &rest[n..];
            if self.prefix_read < PREFIX_BYTES {
                return (rest, None, false);
            }
            let [_, prefix @ ..] = self.prefix;
            self.left = u32::from_be_bytes(prefix) as usize;
            length = Some(self.left);
        }
        let n = rest.len().min(self.left);
        self.left -= n;
        let ended = self.left == 0;
        if ended {
            self.prefix_read = 0;
        }
        (&rest[n..], length, ended)
    }
}

impl<B> Body for Messages<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            let status = ready!(this.wait(cx));
            return Poll::Ready(Some(Err(status.into())));
        };
        let read = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(Ok(()), |data| this.read(data)),
            _ => Ok(()),
        };
        Poll::Ready(match read {
            Ok(()) => frame.map(|frame| frame.map_err(Into::into)),
            Err(status) => Some(Err(status.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
        let frame = |message: &Vec<u8>| [&[0], &(message.len() as u32).to_be_bytes()[..], message].concat();
        messages.iter().flat_map(frame).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0x6d73), failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        /// However a stream is cut: the lengths are those of the messages, and after each byte it is known whether one has begun.
        #[test]
        fn messages_are_found_however_they_are_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..6),
            cuts in prop::collection::vec(1_usize..9, 1..40),
        ) {
            let bytes = framed(&messages);
            let whole: Vec<usize> = messages.iter().scan(0, |at, message| { *at += PREFIX_BYTES + message.len(); Some(*at) }).collect();
            let (mut parts, mut lengths, mut ends, mut at) = (Parts::default(), Vec::new(), 0, 0);
            let mut cuts = cuts.iter().cycle();
            while at < bytes.len() {
                let n = cuts.next().unwrap().min(&(bytes.len() - at)).to_owned();
                let mut data = &bytes[at..at + n];
                at += n;
                while !data.is_empty() {
                    let (length, ended);
                    (data, length, ended) = parts.read(data);
                    lengths.extend(length);
                    ends += usize::from(ended);
                }
                prop_assert_eq!(parts.has_begun(), !whole.contains(&at));
            }
            prop_assert_eq!(lengths, messages.iter().map(Vec::len).collect::<Vec<_>>());
            prop_assert_eq!(ends, messages.len());
        }
    }
}
