//! A sidecar's connection, with whatever it proves itself by.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use emac_proto::WORKLOAD_BUDGETS_TYPE_URL;
use emac_proto::v1::evidence_service_client::EvidenceServiceClient;
use emac_proto::v1::{ReportRequest, ReportResponse};
use emac_proto::xds::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use emac_proto::xds::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::authority::{Authority, Signed};

pub enum Proof {
    None,
    Certificate(Signed),
    /// `x-forwarded-client-cert`.
    Forwarded(String),
    Token(String),
    /// More than anybody should show.
    Tokens(Vec<String>),
}

pub struct Peer {
    channel: Channel,
    headers: Vec<(&'static str, String)>,
}

impl Peer {
    /// With TLS where an authority is given, which must have signed the server's certificate.
    pub async fn connect(
        grpc: SocketAddr,
        authority: Option<&Authority>,
        proof: &Proof,
    ) -> Result<Self, Status> {
        let tls = authority.map(|authority| tls(authority, proof, b"h2"));
        let endpoint = Endpoint::from_static("http://emac.test");
        let connected = endpoint.connect_with_connector(Connector { grpc, tls }).await;
        let channel = connected.map_err(|error| Status::unavailable(format!("{error:?}")))?;
        let bearer = |token: &String| ("authorization", format!("Bearer {token}"));
        let headers = match proof {
            Proof::None | Proof::Certificate(_) => Vec::new(),
            Proof::Forwarded(text) => vec![("x-forwarded-client-cert", text.clone())],
            Proof::Token(token) => vec![bearer(token)],
            Proof::Tokens(tokens) => tokens.iter().map(bearer).collect(),
        };
        Ok(Self { channel, headers })
    }

    fn open<M: Send + 'static>(&self, first: M) -> (mpsc::Sender<M>, Request<ReceiverStream<M>>) {
        let (sender, receiver) = mpsc::channel(2);
        sender.try_send(first).ok().unwrap();
        let mut request = Request::new(ReceiverStream::new(receiver));
        for (name, value) in &self.headers {
            request.metadata_mut().append(*name, value.parse().unwrap());
        }
        (sender, request)
    }

    /// One report on a stream of its own.
    pub async fn report(&self, report: ReportRequest) -> Result<ReportResponse, Status> {
        self.reporting(report).await.map(|(_, _, answer)| answer)
    }

    /// The same; the stream stays open.
    pub async fn reporting(
        &self,
        report: ReportRequest,
    ) -> Result<(mpsc::Sender<ReportRequest>, tonic::Streaming<ReportResponse>, ReportResponse), Status> {
        let (sender, request) = self.open(report);
        let mut answers =
            EvidenceServiceClient::new(self.channel.clone()).report(request).await?.into_inner();
        let answer = answers.message().await?.ok_or_else(|| Status::unknown("ended without a word"))?;
        Ok((sender, answers, answer))
    }

    /// Asks for budgets, and keeps the stream open.
    pub async fn asking(
        &self,
        names: &[&str],
    ) -> Result<(mpsc::Sender<DeltaDiscoveryRequest>, tonic::Streaming<DeltaDiscoveryResponse>), Status> {
        let (sender, request) = self.open(DeltaDiscoveryRequest {
            type_url: WORKLOAD_BUDGETS_TYPE_URL.into(),
            resource_names_subscribe: names.iter().map(ToString::to_string).collect(),
            ..DeltaDiscoveryRequest::default()
        });
        let mut client = AggregatedDiscoveryServiceClient::new(self.channel.clone());
        Ok((sender, client.delta_aggregated_resources(request).await?.into_inner()))
    }

    /// Sends an empty export of traces.
    pub async fn export(&self) -> Result<(), Status> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export".parse().unwrap();
        // An empty message is one of any type.
        let codec = tonic_prost::ProstCodec::<(), ()>::default();
        client.unary(Request::new(()), path, codec).await.map(|_| ())
    }

    /// Asks for budgets; well when an answer comes, whatever is in it.
    pub async fn ask(&self, names: &[&str]) -> Result<(), Status> {
        let (_sender, request) = self.open(DeltaDiscoveryRequest {
            type_url: WORKLOAD_BUDGETS_TYPE_URL.into(),
            resource_names_subscribe: names.iter().map(ToString::to_string).collect(),
            ..DeltaDiscoveryRequest::default()
        });
        let mut client = AggregatedDiscoveryServiceClient::new(self.channel.clone());
        let mut answers = client.delta_aggregated_resources(request).await?.into_inner();
        answers.message().await?.map(|_| ()).ok_or_else(|| Status::unknown("ended without a word"))
    }
}

/// GET over HTTPS, without a certificate.
pub async fn get(http: SocketAddr, authority: &Authority, path: &str) -> (u16, String) {
    let stream = secure(http, tls(authority, &Proof::None, b"http/1.1")).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::get(path).header("host", "emac.test").body(Empty::<Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    (status, String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

/// POST of JSON over HTTPS; the status.
pub async fn post(
    http: SocketAddr,
    authority: &Authority,
    proof: &Proof,
    path: &str,
    body: &'static [u8],
) -> u16 {
    let stream = secure(http, tls(authority, proof, b"http/1.1")).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request =
        hyper::Request::post(path).header("host", "emac.test").header("content-type", "application/json");
    let answer =
        sender.send_request(request.body(http_body_util::Full::new(Bytes::from_static(body))).unwrap());
    answer.await.unwrap().status().as_u16()
}

fn tls(authority: &Authority, proof: &Proof, protocol: &[u8]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut settings = match proof {
        Proof::Certificate(signed) => {
            let chain = vec![CertificateDer::from_pem_slice(signed.certificate.as_bytes()).unwrap()];
            builder
                .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).unwrap())
                .unwrap()
        }
        _ => builder.with_no_client_auth(),
    };
    settings.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(settings)
}

async fn secure(
    address: SocketAddr,
    settings: Arc<ClientConfig>,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let name = ServerName::try_from("emac.test").unwrap();
    TlsConnector::from(settings).connect(name, TcpStream::connect(address).await?).await
}

struct Connector {
    grpc: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Io>>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (address, tls) = (self.grpc, self.tls.clone());
        Box::pin(async move {
            let stream: Box<dyn Io> = match tls {
                Some(settings) => Box::new(secure(address, settings).await?),
                None => Box::new(TcpStream::connect(address).await?),
            };
            Ok(TokioIo::new(stream))
        })
    }
}
