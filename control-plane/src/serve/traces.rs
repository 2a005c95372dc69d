//! Sockets for OpenTelemetry traces, where discovery is told to take them.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::state::Shared;
use super::{StartError, listen, log_end};
use crate::config::Config;
use crate::ingest::otlp::{Batches, OtlpSettings, Receiver, TraceServer, channel, router};

/// Listeners that wait to be served.
pub(super) struct Traces {
    receiver: Option<Receiver>,
    grpc: Option<TcpListener>,
    http: Option<TcpListener>,
}

impl Traces {
    /// Listens where the configuration says so; the other end of the queue, if anybody does.
    pub(super) async fn listen(
        config: &Config,
        shared: &Shared,
    ) -> Result<(Self, Option<Batches>), StartError> {
        let otlp = config.discovery.otlp;
        let wanted = config.discovery.enabled && (otlp.grpc.is_some() || otlp.http.is_some());
        if !wanted {
            return Ok((Self { receiver: None, grpc: None, http: None }, None));
        }
        let (receiver, batches) = channel(OtlpSettings::default(), Arc::clone(&shared.otlp));
        let grpc = match otlp.grpc {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let http = match otlp.http {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        Ok((Self { receiver: Some(receiver), grpc, http }, Some(batches)))
    }

    /// Where it listens, by name in the ports file.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        let address = |listener: &Option<TcpListener>| listener.as_ref()?.local_addr().ok();
        let both = [("otlp_grpc", address(&self.grpc)), ("otlp_http", address(&self.http))];
        both.into_iter().filter_map(|(name, address)| Some((name, address?)))
    }

    /// Serves until `shutdown`.
    pub(super) fn spawn(self, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
        self.addresses().for_each(|(name, address)| info!(name, %address, "listening"));
        let Some(receiver) = self.receiver else { return };
        if let Some(listener) = self.grpc {
            let server = tonic::transport::Server::builder()
                .add_service(TraceServer::new(receiver.clone()))
                .serve_with_incoming_shutdown(
                    TcpListenerStream::new(listener),
                    shutdown.clone().cancelled_owned(),
                );
            tasks.spawn(async move { log_end("otlp_grpc", server.await) });
        }
        if let Some(listener) = self.http {
            let server = axum::serve(listener, router(receiver))
                .with_graceful_shutdown(shutdown.clone().cancelled_owned());
            tasks.spawn(async move { log_end("otlp_http", server.await) });
        }
    }
}
