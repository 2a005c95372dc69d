//! One simulated service: a real HTTP server (HTTP/1.1, and gRPC over HTTP/2 on the same port) inside this process.
//!
//! It waits as long as its distribution says, does what its fault says, calls its dependencies through its own sidecar, and
//! answers 200 only when all of them gave a good answer (502 or grpc-status 13 otherwise, which nobody retries by default).

mod answer;
mod listen;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, Method};
use http_body_util::combinators::BoxBody;
use hyper::body::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::client::{Client, client};
use super::fault::Fault;
use super::topology::ServiceSpec;
use crate::supervise::Reserved;

/// Body of an answer.
pub(super) type Body = BoxBody<Bytes, std::convert::Infallible>;

/// Requests remembered for [`Service::seen`].
const SEEN_MAX: usize = 256;

/// Which context headers a service hands on to the services it calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Propagate {
    /// Baggage and traceparent, as an OpenTelemetry SDK does.
    #[default]
    Both,
    /// Only traceparent.
    TraceparentOnly,
    /// Only Envoy's request id, as applications of a mesh without tracing do.
    RequestIdOnly,
    /// Nothing.
    Nothing,
}

/// A request as the service saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// As it arrived.
    pub method: Method,
    /// Without the query.
    pub path: String,
    /// All of them, the sidecar's among them.
    pub headers: HeaderMap,
    /// Whole.
    pub body: Bytes,
}

/// Handle of a running service; dropping it ends the service.
#[derive(Debug)]
pub struct Service {
    inner: Arc<Inner>,
    open: watch::Receiver<bool>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    spec: ServiceSpec,
    address: SocketAddr,
    propagate: Propagate,
    fault: watch::Sender<Fault>,
    draws: Mutex<Draws>,
    seen: Mutex<Log>,
    /// Clients of the own sidecar's outbound listener.
    outbound: Option<Outbound>,
}

/// Random numbers; spans apart from service times, so that the n-th service time never depends on how often others are called.
#[derive(Debug)]
struct Draws {
    times: fastrand::Rng,
    spans: fastrand::Rng,
}

#[derive(Debug, Default)]
struct Log {
    count: u64,
    last: VecDeque<Seen>,
}

#[derive(Debug)]
struct Outbound {
    http: Client,
    grpc: Client,
}

impl Service {
    /// Starts serving on a reserved port. `outbound` is the address of its sidecar's outbound listener.
    ///
    /// # Errors
    /// Those of handing the socket to the runtime.
    pub fn start(
        spec: ServiceSpec,
        port: Reserved,
        outbound: Option<SocketAddr>,
        propagate: Propagate,
        seed: u64,
    ) -> std::io::Result<Self> {
        Self::on(port.into_listener(), spec, outbound, propagate, seed)
    }

    /// Serves on a bound socket, for scenarios that lay out their own addresses.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub fn on(
        listener: std::net::TcpListener,
        spec: ServiceSpec,
        outbound: Option<SocketAddr>,
        propagate: Propagate,
        seed: u64,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let listener = listen::from_std(listener)?;
        let inner = Arc::new(Inner {
            draws: Mutex::new(Draws::of(&spec.name, seed)),
            spec,
            address,
            propagate,
            fault: watch::Sender::new(Fault::None),
            seen: Mutex::default(),
            outbound: outbound.map(|to| Outbound { http: client(to, false), grpc: client(to, true) }),
        });
        let (opened, open) = watch::channel(true);
        let server = tokio::spawn(listen::serve(Arc::clone(&inner), listener, opened));
        Ok(Self { inner, open, server })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.spec.name
    }

    /// Where it listens, behind its sidecar.
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// Switches what is wrong with it. Holds for requests that arrive from now on; returns when it is in effect.
    pub async fn set_fault(&self, fault: Fault) {
        self.inner.fault.send_replace(fault);
        let mut open = self.open.clone();
        let _ = open.wait_for(|open| *open == (fault != Fault::Refuse)).await;
    }

    /// Requests that arrived so far.
    pub fn count(&self) -> u64 {
        lock(&self.inner.seen).count
    }

    /// The last requests that arrived (256 at most), oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.inner.seen).last.iter().cloned().collect()
    }

    /// Starts the sequence of service times again from `seed`.
    pub fn reseed(&self, seed: u64) {
        *lock(&self.inner.draws) = Draws::of(self.name(), seed);
    }

    /// Forgets requests and their count.
    pub fn forget(&self) {
        *lock(&self.inner.seen) = Log::default();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Draws {
    fn of(name: &str, seed: u64) -> Self {
        // FNV-1a: each service its own sequence from one seed.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64 ^ seed, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self { times: fastrand::Rng::with_seed(hash), spans: fastrand::Rng::with_seed(!hash) }
    }
}

impl Log {
    fn add(&mut self, seen: Seen) {
        self.count += 1;
        if self.last.len() == SEEN_MAX {
            self.last.pop_front();
        }
        self.last.push_back(seen);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
