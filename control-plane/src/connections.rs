//! Connections of peers: taken, told who they are, served and ended.
//!
//! Every port is served the same way ([`Door`]): a connection takes a place among those of its port and of its peer, ends its TLS handshake in
//! time, and is served with HTTP/2 (`grpc`) or HTTP/1.1 (`http`) until it ends, idles, stalls or its certificate is over. What is refused is told
//! in the words of the protocol, counted and logged ([`crate::refusal`]).
//!
//! | what a peer does | what ends it |
//! |---|---|
//! | it connects and says nothing, or half a handshake | the handshake's ten seconds, then `connections.firstMessage` |
//! | it vanishes | pings (HTTP/2, TCP) every `connections.keepalive`, not answered for as long |
//! | it reads nothing | `connections.stalled`: a write that gets on for so long not by a byte; a stream's next message that finds no room |
//! | it idles | `connections.idle` |
//! | it begins a message and does not send the rest | `connections.firstMessage`; memory for such messages is bounded (`messages`) |
//! | it opens many | places ([`crate::places`]), streams a connection (announced), size of headers |

mod descriptors;
mod grpc;
mod http;
mod listener;
mod messages;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::Status;

pub use descriptors::allow_descriptors;
pub use listener::{BindError, Listener};

use crate::config::ConnectionLimits;
use crate::identity::{self, Gate, Origin, Port, Protocol, Remote, Transport};
use crate::places::Place;
use crate::refusal::Refusal;
use wire::{Duplex, Wire};

const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Wait after the system refused a connection (no file descriptors left): trying at once would only burn time.
const REFUSED_WAIT: Duration = Duration::from_millis(100);
/// Connections without a place that are told so at once; those beyond are closed without a word.
const TURNED_AWAY_MAX: usize = 64;
/// How long a connection without a place may take to be told so.
const TURNED_AWAY_WITHIN: Duration = Duration::from_secs(2);
/// A certificate that ends later is looked at again after this time: timers cannot wait for ever.
const LOOK_AGAIN_S: u64 = 365 * 86_400;
/// How long streams may take to be told that their certificate is over, before the connection is closed.
const EXPIRED_WITHIN: Duration = Duration::from_secs(1);

/// A port that is served.
#[derive(Debug)]
pub struct Door {
    port: Port,
    gate: Arc<Gate>,
    turned_away: Arc<Semaphore>,
}

/// A connection that may be served.
struct Connection {
    port: Port,
    wire: Wire,
    transport: Transport,
    /// When the peer's certificate ends: the connection with it, so that the peer comes again with its next one.
    ends: Option<Duration>,
}

impl Door {
    /// A port whose peers the gate knows.
    pub fn new(port: Port, gate: Arc<Gate>) -> Self {
        Self { port, gate, turned_away: Arc::new(Semaphore::new(TURNED_AWAY_MAX)) }
    }

    /// Serves what connects until `stop`, then waits until what is open has ended.
    pub async fn serve(self, listener: Listener, router: Router, stop: CancellationToken) {
        let this = Arc::new(self);
        let mut connections = JoinSet::new();
        loop {
            let (socket, remote) = tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        this.gate.refuse(Refusal::Accept, &format!("no connection can be taken: {error}"));
                        tokio::time::sleep(REFUSED_WAIT).await;
                        continue;
                    }
                },
            };
            let transport = Transport { certificate: None, remote, secured: false };
            match this.gate.connect(this.port, &transport) {
                Ok(place) => {
                    connections.spawn(Arc::clone(&this).welcome(
                        socket,
                        remote,
                        place,
                        router.clone(),
                        stop.clone(),
                    ));
                }
                Err(status) => this.turn_away(socket, remote, status),
            }
        }
        // Nobody comes any more; a socket in the file system goes.
        drop((listener, router));
        while connections.join_next().await.is_some() {}
    }

    async fn welcome(
        self: Arc<Self>,
        socket: Box<dyn Duplex>,
        remote: Remote,
        _place: Place<Origin>,
        router: Router,
        stop: CancellationToken,
    ) {
        let Some(Some(connection)) = stop.run_until_cancelled(self.greet(socket, remote)).await else {
            return;
        };
        match self.port.protocol() {
            Protocol::Grpc => grpc::serve(connection, router, &self.gate, &stop).await,
            Protocol::Http => http::serve(connection, router, &self.gate, &stop).await,
        }
    }

    /// Tells a peer without a place so, in the words of its protocol.
    fn turn_away(self: &Arc<Self>, socket: Box<dyn Duplex>, remote: Remote, status: Status) {
        let Ok(turn) = Arc::clone(&self.turned_away).try_acquire_owned() else { return };
        let this = Arc::clone(self);
        let protocol = self.port.protocol();
        let answer = async move || match protocol {
            Protocol::Grpc => status.into_http(),
            Protocol::Http => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", status.message())).into_response()
            }
        };
        let router = Router::new().fallback(answer);
        tokio::spawn(async move {
            let _turn = turn;
            let stop = CancellationToken::new();
            let told = async {
                let Some(connection) = this.greet(socket, remote).await else { return };
                match protocol {
                    Protocol::Grpc => grpc::serve(connection, router, &this.gate, &stop).await,
                    Protocol::Http => http::serve(connection, router, &this.gate, &stop).await,
                }
            };
            let _ = tokio::time::timeout(TURNED_AWAY_WITHIN, told).await;
        });
    }

    /// Ends the handshake, where there is one.
    async fn greet(&self, socket: Box<dyn Duplex>, remote: Remote) -> Option<Connection> {
        let (port, stalled) = (self.port, Duration::from_millis(self.gate.limits().stalled.0));
        let Some(settings) = self.gate.tls(self.port.protocol()) else {
            let transport = Transport { certificate: None, remote, secured: false };
            return Some(Connection { port, wire: Wire::new(socket, stalled), transport, ends: None });
        };
        let handshake = TlsAcceptor::from(settings).accept(socket);
        let why = match tokio::time::timeout(HANDSHAKE_WITHIN, handshake).await {
            Ok(Ok(stream)) => {
                let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                let certificate = shown.and_then(identity::read_certificate).map(Arc::new);
                let left = |until: u64| until.saturating_sub(self.gate.unix_s()).min(LOOK_AGAIN_S);
                let ends = certificate.as_ref().map(|certificate| left(certificate.until_unix_s));
                let ends = ends.map(|left| Duration::from_secs(left) + EXPIRED_WITHIN);
                let transport = Transport { certificate, remote, secured: true };
                return Some(Connection {
                    port,
                    wire: Wire::new(Box::new(stream), stalled),
                    transport,
                    ends,
                });
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no handshake in time".to_owned(),
        };
        // A probe that connects and leaves says nothing.
        if !why.is_empty() {
            self.gate.refuse(Refusal::Handshake, &format!("TLS with {remote}: {why}"));
        }
        None
    }
}

/// Waits for the end of a peer's certificate; for ever where there is none.
async fn over(ends: Option<Duration>) {
    match ends {
        Some(ends) => tokio::time::sleep(ends).await,
        None => std::future::pending().await,
    }
}

fn first_message(limits: &ConnectionLimits) -> Duration {
    Duration::from_millis(limits.first_message.0)
}
