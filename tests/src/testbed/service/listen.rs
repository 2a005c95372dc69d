//! The listening side: accepts while healthy, closes everything while [`Fault::Refuse`] holds, then binds the same port again.

use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::answer::answer;
use super::{Fault, Inner};

/// A listener of this runtime from a bound socket.
pub(super) fn from_std(listener: std::net::TcpListener) -> std::io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Serves until aborted. `open` says whether connections are accepted.
pub(super) async fn serve(inner: Arc<Inner>, first: TcpListener, open: watch::Sender<bool>) {
    let mut faults = inner.fault.subscribe();
    let mut listener = first;
    loop {
        accept_until_refusing(&inner, listener, &mut faults).await;
        open.send_replace(false);
        let _ = faults.wait_for(|f| *f != Fault::Refuse).await;
        listener = bind_again(&inner).await;
        open.send_replace(true);
    }
}

/// Returns when the fault says so; the listener and all its connections are gone then.
async fn accept_until_refusing(
    inner: &Arc<Inner>,
    listener: TcpListener,
    faults: &mut watch::Receiver<Fault>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = faults.wait_for(|f| *f == Fault::Refuse) => return,
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(connection(Arc::clone(inner), stream));
                while connections.try_join_next().is_some() {}
            }
        }
    }
}

async fn connection(inner: Arc<Inner>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(Arc::clone(&inner), request));
    // A broken connection is its client's affair.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn bind_again(inner: &Inner) -> TcpListener {
    loop {
        match TcpListener::bind(inner.address).await {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
