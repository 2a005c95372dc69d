//! A sidecar's side of mutual TLS with certificates of the mesh, without a sidecar.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use emac_proto::v1::evidence_service_client::EvidenceServiceClient;
use emac_proto::v1::{ReportRequest, ReportResponse};
use hyper::Uri;
use hyper_util::rt::TokioIo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Status, Streaming};

use crate::Told;
use emac_tests::kube::told;

/// An open stream of evidence, and what keeps it open.
pub(crate) struct Reporting {
    _reports: tokio::sync::mpsc::Sender<ReportRequest>,
    pub(crate) answers: Streaming<ReportResponse>,
}

/// Sends a report with the certificate of a folder (`cert-chain.pem`, `key.pem`, `root-cert.pem`, as Istio's agent writes them).
pub(crate) async fn report(
    to: SocketAddr,
    folder: &Path,
    report: ReportRequest,
) -> Result<(Reporting, ReportResponse), Status> {
    let failed = |why: String| Status::unavailable(why);
    let settings = Arc::new(settings(folder).map_err(failed)?);
    let endpoint = Endpoint::from_static("http://emac.test");
    let channel = endpoint.connect_with_connector(Connector { to, settings }).await;
    let channel = channel.map_err(|error| failed(format!("{error:?}")))?;
    let (reports, receiver) = tokio::sync::mpsc::channel(2);
    reports.try_send(report).map_err(|error| failed(error.to_string()))?;
    let mut answers =
        EvidenceServiceClient::new(channel).report(ReceiverStream::new(receiver)).await?.into_inner();
    let answer = answers.message().await?.ok_or_else(|| failed("ended without a word".to_owned()))?;
    Ok((Reporting { _reports: reports, answers }, answer))
}

fn settings(folder: &Path) -> Told<ClientConfig> {
    let read = |file: &str| -> Told<Vec<CertificateDer<'static>>> {
        let all = CertificateDer::pem_file_iter(folder.join(file)).map_err(told)?;
        all.collect::<Result<_, _>>().map_err(told)
    };
    let mut roots = RootCertStore::empty();
    for root in read("root-cert.pem")? {
        roots.add(root).map_err(told)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let verifier = Arc::new(Nameless(verifier.build().map_err(told)?));
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).map_err(told)?;
    let mut settings = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(told)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(read("cert-chain.pem")?, key)
        .map_err(told)?;
    settings.alpn_protocols = vec![b"h2".to_vec()];
    Ok(settings)
}

/// Checks everything of a certificate but a name, which those of a mesh have none of.
#[derive(Debug)]
struct Nameless(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Nameless {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

struct Connector {
    to: SocketAddr,
    settings: Arc<ClientConfig>,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (to, settings) = (self.to, Arc::clone(&self.settings));
        Box::pin(async move {
            let name = ServerName::try_from("emac.test").map_err(std::io::Error::other)?;
            let stream = TcpStream::connect(to).await?;
            Ok(TokioIo::new(TlsConnector::from(settings).connect(name, stream).await?))
        })
    }
}
