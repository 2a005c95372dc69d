//! The bytes of a connection, which must get on when somebody writes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A socket, with or without TLS.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A socket whose peer has to read: a write that gets on by nothing for a stated time is an error, with which the connection ends.
pub(super) struct Wire {
    io: Box<dyn Duplex>,
    patience: Duration,
    /// Since a write had to wait, until one gets on.
    waits: Option<Pin<Box<Sleep>>>,
    heard: Heard,
}

/// Whether anything came since it was last asked about.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<AtomicBool>);

impl Heard {
    /// Asks anew from now on.
    pub(super) fn forget(&self) {
        self.0.store(false, Relaxed);
    }

    /// Whether anything came.
    pub(super) fn is_something(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl Wire {
    pub(super) fn new(io: Box<dyn Duplex>, patience: Duration) -> Self {
        Self { io, patience, waits: None, heard: Heard::default() }
    }

    /// Whether anything comes from the peer.
    pub(super) fn heard(&self) -> Heard {
        self.heard.clone()
    }

    fn bounded<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waits = None;
            return polled;
        }
        let patience = self.patience;
        let waits = self.waits.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        waits.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.heard.0.store(true, Relaxed);
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.bounded(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.bounded(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.bounded(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_shutdown(cx);
        self.bounded(cx, polled)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_peer_that_reads_is_waited_for_and_one_that_reads_nothing_is_not() {
        let (near, mut far) = tokio::io::duplex(16);
        let mut wire = Wire::new(Box::new(near), Duration::from_millis(20));
        let reading = tokio::spawn(async move {
            let mut byte = [0];
            for _ in 0..64 {
                far.read_exact(&mut byte).await.unwrap();
            }
            far
        });
        wire.write_all(&[7; 64]).await.unwrap();
        let _far = reading.await.unwrap();
        assert!(wire.waits.is_none());
        assert_eq!(wire.write_all(&[7; 32]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
