//! How a running control plane is reached: over plain HTTP, or over TLS against one's own authorities.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::Uri;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::fetch::FetchError;
use crate::identity::read_certificate;

/// Certificates for a control plane that speaks HTTPS.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Access {
    /// Certificates of the authorities that may have signed the control plane's (PEM); needed for https
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// SPIFFE id that the control plane's certificate must carry, instead of the host's name, as in spiffe://cluster.local/ns/emac-system/sa/emac
    #[arg(long, value_name = "URI", requires = "ca")]
    server_id: Option<String>,
    /// Client certificate to show, with its chain (PEM)
    #[arg(long, value_name = "FILE", requires_all = ["ca", "key"])]
    cert: Option<PathBuf>,
    /// Key of the client certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

/// Both ends of a connection.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Access {
    /// A connection to the host and port of an address.
    ///
    /// # Errors
    /// What is wrong with the files, the network or the certificate.
    pub(super) async fn connect(&self, server: &Uri) -> Result<Box<dyn Duplex>, FetchError> {
        let secure = server.scheme_str() == Some("https");
        let host = server.host().ok_or("no host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = server.port_u16().unwrap_or(if secure { 443 } else { 80 });
        // First, so that what is wrong with a file is told whether or not anybody listens.
        let settings = if secure { Some(self.settings()?) } else { None };
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        let Some(settings) = settings else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(host)?;
        Ok(Box::new(TlsConnector::from(Arc::new(settings)).connect(name, stream).await?))
    }

    fn settings(&self) -> Result<ClientConfig, FetchError> {
        let ca = self
            .ca
            .as_deref()
            .ok_or("https needs --ca FILE, the authorities that may have signed its certificate")?;
        let mut roots = RootCertStore::empty();
        for authority in certificates(ca)? {
            roots.add(authority).map_err(|error| format!("{}: {error}", ca.display()))?;
        }
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let by_name = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?;
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let builder = match &self.server_id {
            None => builder.with_webpki_verifier(by_name),
            Some(id) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(ById { id: id.clone(), by_name })),
        };
        let mut settings = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                let signed = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| format!("{}: {error}", key.display()))?;
                builder.with_client_auth_cert(certificates(cert)?, signed)?
            }
            _ => builder.with_no_client_auth(),
        };
        settings.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(settings)
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, FetchError> {
    let read = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let all = CertificateDer::pem_file_iter(file).map_err(|error| read(&error))?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(|error| read(&error))?;
    if all.is_empty() { Err(read(&"no certificate in it").into()) } else { Ok(all) }
}

/// Certificates of a mesh carry a SPIFFE id and no host's name: chain, time and use are checked as always, and the id instead of the name.
#[derive(Debug)]
struct ById {
    id: String,
    by_name: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for ById {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // Names are looked at last, after everything else was found right.
        match self.by_name.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Ok(_)
            | Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => {}
            Err(error) => return Err(error),
        }
        let uri = read_certificate(end_entity).and_then(|certificate| certificate.uri);
        if uri.as_ref() == Some(&self.id) {
            return Ok(ServerCertVerified::assertion());
        }
        let uri = uri.unwrap_or_else(|| "none".to_owned());
        Err(rustls::Error::General(format!("its certificate is for {uri}, not {}", self.id)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_name.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_name.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_name.supported_verify_schemes()
    }
}
