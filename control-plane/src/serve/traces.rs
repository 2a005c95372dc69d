//! Sockets for OpenTelemetry traces, where discovery is told to take them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tracing::{info, warn};

use super::state::Shared;
use super::{StartError, listen};
use crate::config::{Address, Config, Identity};
use crate::connections::{Door, Listener};
use crate::identity::{Gate, Port};
use crate::ingest::otlp::{Batches, OtlpSettings, Receiver, TraceServer, channel, router};

/// Listeners that wait to be served.
pub(super) struct Traces {
    receiver: Option<Receiver>,
    grpc: Option<Listener>,
    http: Option<Listener>,
}

impl Traces {
    /// Listens where the configuration says so; the other end of the queue, if anybody does.
    pub(super) fn listen(config: &Config, shared: &Shared) -> Result<(Self, Option<Batches>), StartError> {
        let otlp = config.discovery.otlp;
        let wanted = config.discovery.enabled && (otlp.grpc.is_some() || otlp.http.is_some());
        if !wanted {
            return Ok((Self { receiver: None, grpc: None, http: None }, None));
        }
        let (receiver, batches) = channel(OtlpSettings::default(), Arc::clone(&shared.otlp));
        let listen = |address: Option<SocketAddr>| {
            address.map(|address| listen(&Address::Tcp(address), config)).transpose()
        };
        let (grpc, http) = (listen(otlp.grpc)?, listen(otlp.http)?);
        warn_of_strangers(config);
        Ok((Self { receiver: Some(receiver), grpc, http }, Some(batches)))
    }

    /// Where it listens, by name in the ports file.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        let unknown = Address::Unix(PathBuf::new());
        let address = |listener: &Option<Listener>| match listener.as_ref()?.address(&unknown) {
            Address::Tcp(address) => Some(address),
            Address::Unix(_) => None,
        };
        let both = [("otlp_grpc", address(&self.grpc)), ("otlp_http", address(&self.http))];
        both.into_iter().filter_map(|(name, address)| Some((name, address?)))
    }

    /// Serves until `shutdown`.
    pub(super) fn spawn(self, tasks: &mut JoinSet<()>, gate: &Arc<Gate>, shutdown: &CancellationToken) {
        self.addresses().for_each(|(name, address)| info!(name, %address, "listening"));
        let Some(receiver) = self.receiver else { return };
        let identify = {
            let gate = Arc::clone(gate);
            move |request: tonic::Request<()>| {
                gate.may_send_traces(request.extensions().get(), request.metadata()).map(|()| request)
            }
        };
        let grpc = InterceptedService::new(TraceServer::new(receiver.clone()), identify);
        let grpc = Routes::new(grpc).prepare().into_axum_router();
        let http = router(receiver).layer(from_fn_with_state(Arc::clone(gate), identified));
        for (port, listener, router) in [(Port::OtlpGrpc, self.grpc, grpc), (Port::OtlpHttp, self.http, http)]
        {
            let Some(listener) = listener else { continue };
            tasks.spawn(Door::new(port, Arc::clone(gate)).serve(listener, router, shutdown.clone()));
        }
    }
}

/// Lets requests of peers through that prove who they are.
async fn identified(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let metadata = MetadataMap::from_headers(request.headers().clone());
    match gate.may_send_traces(request.extensions().get(), &metadata) {
        Ok(()) => next.run(request).await,
        Err(status) => (StatusCode::UNAUTHORIZED, format!("{}\n", status.message())).into_response(),
    }
}

/// Where nothing is proven by TLS, whoever reaches a port of traces may send some.
fn warn_of_strangers(config: &Config) {
    let otlp = config.discovery.otlp;
    let open = otlp.grpc.iter().chain(&otlp.http).find(|address| !address.ip().is_loopback());
    let tls = matches!(&config.identity, Some(Identity::Proven(proof)) if proof.tls.is_some());
    if let Some(address) = open.filter(|_| !tls) {
        warn!(
            "discovery.otlp: whoever reaches {address} may send traces, from which models are proposed: listen on loopback, or set identity.tls"
        );
    }
}
