//! The streams to the control plane: gRPC over HTTP streams of a cluster of Envoy's, opened on the main thread.
//!
//! Through Envoy's cluster rather than by a connection of our own: the mesh's mTLS, load balancing, health checks and outlier detection are
//! those of every other destination, and the control plane sees the workload's own certificate. Envoy knows nothing of gRPC on such a
//! stream, so messages are taken out of their frames here: a flag, four bytes of length, the message.
//!
//! A hook of a stream only notes what came ([`INBOX`]): Envoy may call it out of a send or a reset of ours.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use emac_filter::root::Root;
use emac_filter::root::target::GrpcTarget;
use emac_filter::vm::Vm;

use crate::abi::{self, Header};
use crate::host::Native;
use crate::process;

/// A stream, by its configuration and Envoy's number.
pub(crate) type StreamKey = (u32, u64);

/// gRPC over HTTP/2, "Length-Prefixed-Message".
const PREFIX: usize = 5;
/// Longest message that is believed, as gRPC's own default.
const MESSAGE_MAX: usize = 4 << 20;
/// Most that waits to be read; a stream that sends more is ended.
const INBOX_BYTES_MAX: usize = 4 * MESSAGE_MAX;

const UNKNOWN: u32 = 2;
const RESOURCE_EXHAUSTED: u32 = 8;
const INTERNAL: u32 = 13;
const UNAVAILABLE: u32 = 14;

enum Came {
    Data(Vec<u8>),
    /// With a gRPC status.
    End(u32),
    /// Envoy has forgotten the stream.
    Gone,
}

#[derive(Default)]
struct Inbox {
    came: VecDeque<(StreamKey, Came)>,
    bytes: usize,
}

impl Inbox {
    /// What there is no room for is not kept, and its stream is to be ended; other streams find room once this one is read.
    fn put(&mut self, key: StreamKey, bytes: Vec<u8>, end: bool) {
        let sum = self.bytes.saturating_add(bytes.len());
        if sum > INBOX_BYTES_MAX {
            self.came.push_back((key, Came::End(RESOURCE_EXHAUSTED)));
        } else if !bytes.is_empty() {
            self.bytes = sum;
            self.came.push_back((key, Came::Data(bytes)));
        }
        if end {
            self.came.push_back((key, Came::End(UNKNOWN)));
        }
    }

    fn take(&mut self) -> Option<(StreamKey, Came)> {
        let next = self.came.pop_front();
        if let Some((_, Came::Data(bytes))) = &next {
            self.bytes = self.bytes.saturating_sub(bytes.len());
        }
        next
    }
}

static INBOX: Mutex<Inbox> = Mutex::new(Inbox { came: VecDeque::new(), bytes: 0 });

fn inbox() -> MutexGuard<'static, Inbox> {
    INBOX.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Headers or trailers came.
pub(crate) fn on_headers(key: StreamKey, headers: &[Header], end: bool) {
    let number = |name: &str| {
        let (_, value) = headers.iter().find(|(known, _)| known == name)?;
        core::str::from_utf8(value).ok()?.parse::<u32>().ok()
    };
    let status = number("grpc-status");
    // gRPC over HTTP/2: an answer that is no gRPC, of a proxy on the way or of nobody.
    let refused = number(":status").is_some_and(|status| status != 200);
    if refused || end {
        let status = status.unwrap_or(if refused { UNAVAILABLE } else { UNKNOWN });
        inbox().came.push_back((key, Came::End(status)));
    }
}

/// Data came.
pub(crate) fn on_data(key: StreamKey, bytes: Vec<u8>, end: bool) {
    inbox().put(key, bytes, end);
}

/// The stream is no more.
pub(crate) fn on_gone(key: StreamKey) {
    inbox().came.push_back((key, Came::Gone));
}

struct Open {
    token: u32,
    key: StreamKey,
    /// Of a message that is not whole yet.
    received: Vec<u8>,
}

/// The open streams.
#[derive(Default)]
pub(crate) struct Links {
    open: RefCell<Vec<Open>>,
    /// To be ended on the next tick: not out of a hook of the stream itself.
    doomed: RefCell<Vec<StreamKey>>,
}

/// What the filter is told.
pub(crate) enum Told {
    /// A message on the stream.
    Message(u32, Vec<u8>),
    /// The stream ended.
    Closed(u32, u32),
}

impl Links {
    /// Opens a stream on behalf of a configuration.
    pub(crate) fn open(
        &self,
        config: u32,
        target: &str,
        (service, method): (&str, &str),
        authorization: &str,
    ) -> Option<u32> {
        let (cluster, authority) = GrpcTarget::names(target)?;
        let path = format!("/{service}/{method}");
        let mut headers: Vec<(&str, &[u8])> = vec![
            (":method", b"POST"),
            (":scheme", b"http"),
            (":path", path.as_bytes()),
            (":authority", authority.as_bytes()),
            ("content-type", b"application/grpc"),
            ("te", b"trailers"),
        ];
        headers
            .extend(Some(("authorization", authorization.as_bytes())).filter(|(_, value)| !value.is_empty()));
        let stream = abi::open_stream(config, cluster, &headers)?;
        let token = process::next_token();
        self.open.borrow_mut().push(Open { token, key: (config, stream), received: Vec::new() });
        Some(token)
    }

    fn key_of(&self, token: u32) -> Option<StreamKey> {
        self.open.borrow().iter().find(|open| open.token == token).map(|open| open.key)
    }

    /// Sends a message.
    pub(crate) fn send(&self, token: u32, message: &[u8]) -> bool {
        let (Some((config, stream)), Ok(length)) = (self.key_of(token), u32::try_from(message.len())) else {
            return false;
        };
        let mut frame = Vec::with_capacity(PREFIX + message.len());
        frame.push(0);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(message);
        abi::send(config, stream, &frame)
    }

    /// Ends a stream: nothing more is heard from it.
    pub(crate) fn reset(&self, token: u32) {
        if let Some(key) = self.key_of(token) {
            self.forget(key);
            self.doomed.borrow_mut().push(key);
        }
    }

    fn forget(&self, key: StreamKey) -> Option<u32> {
        let mut open = self.open.borrow_mut();
        let place = open.iter().position(|open| open.key == key)?;
        Some(open.swap_remove(place).token)
    }

    /// Ends what was given up.
    pub(crate) fn end_doomed(&self) {
        let doomed = core::mem::take(&mut *self.doomed.borrow_mut());
        for (config, stream) in doomed {
            abi::reset(config, stream);
        }
    }

    /// Tells what came, in order.
    pub(crate) fn hear(&self, mut tell: impl FnMut(Told)) {
        loop {
            let next = inbox().take();
            let Some((key, came)) = next else { return };
            match came {
                Came::Data(bytes) => self.receive(key, &bytes, &mut tell),
                Came::End(status) => self.close(key, status, true, &mut tell),
                Came::Gone => self.close(key, UNAVAILABLE, false, &mut tell),
            }
        }
    }

    fn receive(&self, key: StreamKey, bytes: &[u8], tell: &mut impl FnMut(Told)) {
        let token = {
            let mut open = self.open.borrow_mut();
            // Of a stream that was given up.
            let Some(open) = open.iter_mut().find(|open| open.key == key) else { return };
            open.received.extend_from_slice(bytes);
            open.token
        };
        loop {
            let next = {
                let mut open = self.open.borrow_mut();
                let Some(open) = open.iter_mut().find(|open| open.key == key) else { return };
                take_message(&mut open.received)
            };
            match next {
                Ok(Some(message)) => tell(Told::Message(token, message)),
                Ok(None) => return,
                Err(status) => return self.close(key, status, true, tell),
            }
        }
    }

    fn close(&self, key: StreamKey, status: u32, lives: bool, tell: &mut impl FnMut(Told)) {
        if let Some(token) = self.forget(key) {
            if lives {
                self.doomed.borrow_mut().push(key);
            }
            tell(Told::Closed(token, status));
        }
    }
}

/// The first message, if it is whole; or why the stream is worth nothing any more.
fn take_message(received: &mut Vec<u8>) -> Result<Option<Vec<u8>>, u32> {
    let Some(prefix) = received.first_chunk::<PREFIX>() else { return Ok(None) };
    let [flag, length @ ..] = *prefix;
    let length = u32::from_be_bytes(length) as usize;
    if flag != 0 {
        // Compressed: nobody asked for it.
        return Err(INTERNAL);
    }
    if length > MESSAGE_MAX {
        return Err(RESOURCE_EXHAUSTED);
    }
    if received.len() < PREFIX + length {
        return Ok(None);
    }
    let rest = received.split_off(PREFIX + length);
    let mut message = core::mem::replace(received, rest);
    message.drain(..PREFIX);
    Ok(Some(message))
}

/// Tells the filter.
pub(crate) fn deliver(told: Told, root: &mut Root, vm: &mut Vm, host: &Native) {
    match told {
        Told::Message(token, message) => {
            let bytes = message.len();
            host.hand_over(message);
            root.on_message(vm, host, token, bytes);
        }
        Told::Closed(token, status) => root.on_close(vm, host, token, status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_of_their_frames_however_they_are_cut() {
        let frames = [b"\0\0\0\0\x03abc".as_slice(), b"\0\0\0\0\0", b"\0\0\0\0\x01d"].concat();
        for cut in 1..=frames.len() {
            let (mut received, mut messages) = (Vec::new(), Vec::new());
            for piece in frames.chunks(cut) {
                received.extend_from_slice(piece);
                while let Some(message) = take_message(&mut received).unwrap() {
                    messages.push(message);
                }
            }
            assert_eq!(messages, [b"abc".to_vec(), Vec::new(), b"d".to_vec()]);
            assert!(received.is_empty());
        }
    }

    #[test]
    fn what_did_not_fit_leaves_room_for_what_comes_once_the_rest_is_read() {
        let mut inbox = Inbox::default();
        inbox.put((1, 1), vec![7; INBOX_BYTES_MAX], false);
        inbox.put((1, 2), vec![7], false);
        inbox.put((1, 2), Vec::new(), false);
        assert!(matches!(inbox.take(), Some((_, Came::Data(_)))));
        assert!(matches!(inbox.take(), Some(((1, 2), Came::End(RESOURCE_EXHAUSTED)))));
        assert!(inbox.take().is_none());
        inbox.put((1, 3), vec![7], false);
        assert!(matches!(inbox.take(), Some(((1, 3), Came::Data(_)))));
    }

    #[test]
    fn what_cannot_be_a_message_ends_the_stream() {
        assert_eq!(take_message(&mut b"\x01\0\0\0\x01a".to_vec()), Err(INTERNAL));
        assert_eq!(take_message(&mut b"\0\xff\xff\xff\xff".to_vec()), Err(RESOURCE_EXHAUSTED));
        assert_eq!(take_message(&mut b"\0\0\0".to_vec()), Ok(None));
    }
}
