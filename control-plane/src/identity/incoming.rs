//! Connections as they come in, with or without TLS, and what is known of who opened each.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;
use tracing::warn;

use super::gate::Gate;
use super::refusal::Refusal;
use super::tls::{self, Certificate, Protocol};

/// Connections that wait to be served.
const WAITING_MAX: usize = 64;
/// Handshakes under way at once; more wait in the system's queue.
const HANDSHAKES_MAX: usize = 256;
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Wait after the system refused a connection (no file descriptors left): trying at once would only burn time.
const REFUSED_WAIT: Duration = Duration::from_millis(100);
/// Certificates that outlast this are looked at again then; timers cannot wait for ever.
const LOOK_AGAIN_S: u64 = 365 * 86_400;

/// What the transport knows of a peer.
#[derive(Clone, Debug)]
pub struct Transport {
    pub(super) certificate: Option<Arc<Certificate>>,
    pub(super) remote: SocketAddr,
    /// Over TLS: the peer has seen our certificate, for the name by which it called.
    pub(super) secured: bool,
}

impl Transport {
    /// Whether it came over TLS that this process ends.
    pub fn is_secured(&self) -> bool {
        self.secured
    }
}

/// A connection, ready to be served.
pub struct Incoming {
    io: Io,
    transport: Transport,
    /// When the peer's certificate ends: the connection with it, so that the peer comes again with its next one.
    ends: Option<Pin<Box<Sleep>>>,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Incoming {
    /// Takes connections until told to stop. Handshakes go on beside each other, so a slow peer holds up nobody.
    pub fn listen(
        listener: TcpListener,
        protocol: Protocol,
        gate: Arc<Gate>,
        stop: CancellationToken,
    ) -> mpsc::Receiver<io::Result<Self>> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        let accept = async move {
            loop {
                let Ok(place) = Arc::clone(&handshakes).acquire_owned().await else { return };
                let (stream, remote) = match listener.accept().await {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        warn!(%error, "no connection can be taken");
                        tokio::time::sleep(REFUSED_WAIT).await;
                        continue;
                    }
                };
                let (sender, gate) = (sender.clone(), Arc::clone(&gate));
                tokio::spawn(async move {
                    if let Some(incoming) = Self::greet(stream, remote, protocol, &gate).await {
                        // Nobody takes it when the server has ended.
                        let _ = sender.send(Ok(incoming)).await;
                    }
                    drop(place);
                });
            }
        };
        tokio::spawn(async move { stop.run_until_cancelled(accept).await });
        receiver
    }

    /// What is known of the peer.
    pub fn transport(&self) -> Transport {
        self.transport.clone()
    }

    /// Address of the peer.
    pub fn remote(&self) -> SocketAddr {
        self.transport.remote
    }

    async fn greet(stream: TcpStream, remote: SocketAddr, protocol: Protocol, gate: &Gate) -> Option<Self> {
        // Without it a short answer waits for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let Some(settings) = gate.tls(protocol) else {
            let transport = Transport { certificate: None, remote, secured: false };
            return Some(Self { io: Io::Plain(stream), transport, ends: None });
        };
        let handshake = TlsAcceptor::from(settings).accept(stream);
        let why = match tokio::time::timeout(HANDSHAKE_WITHIN, handshake).await {
            Ok(Ok(stream)) => return Some(Self::secured(stream, remote, gate.unix_s())),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no handshake in time".to_owned(),
        };
        // A probe that connects and leaves says nothing.
        if !why.is_empty() {
            gate.refuse(Refusal::Handshake, &format!("TLS with {remote}: {why}"));
        }
        None
    }

    fn secured(stream: TlsStream<TcpStream>, remote: SocketAddr, now_unix_s: u64) -> Self {
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let certificate = shown.and_then(tls::read).map(Arc::new);
        let ends = certificate.as_ref().map(|certificate| {
            let left = certificate.until_unix_s.saturating_sub(now_unix_s).min(LOOK_AGAIN_S);
            Box::pin(tokio::time::sleep(Duration::from_secs(left)))
        });
        Self {
            io: Io::Tls(Box::new(stream)),
            transport: Transport { certificate, remote, secured: true },
            ends,
        }
    }
}

impl Connected for Incoming {
    type ConnectInfo = Transport;

    fn connect_info(&self) -> Transport {
        self.transport.clone()
    }
}

impl AsyncRead for Incoming {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let ended = self.ends.as_mut().is_some_and(|ends| ends.as_mut().poll(cx).is_ready());
        if ended {
            // As if the peer had closed it.
            return Poll::Ready(Ok(()));
        }
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Io::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Incoming {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Io::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Io::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
