//! What stands behind the proxy: one small server whose answers are told by the path, and which remembers every request.
//!
//! `/slow/<ms>` answers late, `/fails/<status>` fails the first time it sees an `x-number`, `/held` waits until it is released,
//! `/events` sends the head of an event stream and its end when it is released, `/redirect/MS` sends to `/moved`, after a while; all else is answered at once.

use std::collections::HashSet;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

type Body = BoxBody<Bytes, Infallible>;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
}

/// The server; serves until dropped.
#[derive(Debug)]
pub(super) struct App {
    pub(super) port: u16,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    failed: Mutex<HashSet<HeaderValue>>,
    released: watch::Sender<bool>,
}

impl App {
    pub(super) fn start() -> io::Result<Self> {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let released = watch::Sender::new(false);
        let shared = Arc::new(Shared { seen: Mutex::default(), failed: Mutex::default(), released });
        let server = tokio::spawn(serve(TcpListener::from_std(listener)?, Arc::clone(&shared)));
        Ok(Self { port, shared, server })
    }

    /// All requests so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// Requests of a path.
    pub(super) fn count(&self, path: &str) -> usize {
        lock(&self.shared.seen).iter().filter(|seen| seen.path.starts_with(path)).count()
    }

    /// What waits is answered, now and from now on.
    pub(super) fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// Contexts with nothing left, which nobody must ever see.
    pub(super) fn dead_contexts(&self) -> Vec<String> {
        let members = self.seen().into_iter().filter_map(|seen| seen.context());
        members.filter(|context| context.contains(".r0.") || context.contains(".a0.")).collect()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Seen {
    /// The value of our baggage member.
    pub(super) fn context(&self) -> Option<String> {
        let baggage = self.headers.get("baggage")?.to_str().ok()?;
        baggage.split(',').find_map(|member| member.trim().strip_prefix("emac=")).map(str::to_owned)
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let headers = request.headers().clone();
    lock(&shared.seen).push(Seen { path: path.clone(), headers: headers.clone() });
    let (kind, argument) = path.trim_start_matches('/').split_once('/').unwrap_or((&path[1..], ""));
    let number = || argument.parse().unwrap_or_default();
    let mut response = Response::new(Full::from("well\n").boxed());
    match kind {
        "slow" => tokio::time::sleep(Duration::from_millis(number())).await,
        "fails" => {
            let key = headers.get("x-number").cloned().unwrap_or(HeaderValue::from_static(""));
            if lock(&shared.failed).insert(key) {
                let status = argument.parse().unwrap_or(503);
                *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
            }
        }
        "held" => {
            let _ = shared.released.subscribe().wait_for(|released| *released).await;
        }
        "events" => {
            response = Response::new(events(&shared));
            response.headers_mut().insert("content-type", HeaderValue::from_static("text/event-stream"));
        }
        "redirect" => {
            tokio::time::sleep(Duration::from_millis(number())).await;
            *response.status_mut() = StatusCode::FOUND;
            response.headers_mut().insert("location", HeaderValue::from_static("http://shop.example/moved"));
        }
        _ => {}
    }
    // To its end: an answer before the end of the request would close the connection.
    if kind != "held" && kind != "events" {
        let _ = request.into_body().collect().await;
    }
    Ok(response)
}

/// One event now, one when released.
fn events(shared: &Shared) -> Body {
    let mut released = shared.released.subscribe();
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let event = |text: &'static str| Ok(Frame::data(Bytes::from_static(text.as_bytes())));
        let _ = sender.send(event("data: first\n\n")).await;
        let _ = released.wait_for(|released| *released).await;
        let _ = sender.send(event("data: last\n\n")).await;
    });
    BodyExt::boxed(StreamBody::new(ReceiverStream::new(receiver)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
