//! TLS that `emac serve` ends itself: rustls, its own certificate, and peers' certificates checked against the configured authorities.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// What is spoken over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2 alone.
    Grpc,
    /// HTTP/1.1.
    Http,
}

/// The bytes of three PEM files.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pem {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) authorities: Vec<u8>,
}

/// Settings of both servers from the same files.
pub(super) struct Settings {
    pub(super) grpc: Arc<ServerConfig>,
    pub(super) http: Arc<ServerConfig>,
    /// End of the control plane's own certificate.
    pub(super) until_unix_s: u64,
}

/// Who a peer's certificate says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Its one URI; `None` when it has none, or several, which SPIFFE forbids.
    pub(crate) uri: Option<String>,
    /// When it ends.
    pub(crate) until_unix_s: u64,
}

impl Settings {
    /// `peers_need_one`: on gRPC a peer without a certificate is turned away in the handshake.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub(super) fn new(pem: &Pem, peers_need_one: bool) -> Result<Self, String> {
        let certificates = certificates("certificate", &pem.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|error| format!("key: {error}"))?;
        let mut roots = RootCertStore::empty();
        for authority in self::certificates("authorities", &pem.authorities)? {
            roots.add(authority).map_err(|error| format!("authorities: {error}"))?;
        }
        let roots = Arc::new(roots);
        let own = certificates.first().and_then(read).ok_or("certificate: not an X.509 certificate")?;
        let build = |protocol: Protocol| {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
            let verifier = match protocol {
                Protocol::Grpc if peers_need_one => verifier,
                // People and scrapers read over HTTP; a certificate that is shown is checked all the same.
                Protocol::Grpc | Protocol::Http => verifier.allow_unauthenticated(),
            };
            let verifier = verifier.build().map_err(|error| format!("authorities: {error}"))?;
            let builder = ServerConfig::builder_with_provider(provider);
            let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
            let mut settings = builder
                .with_client_cert_verifier(verifier)
                .with_single_cert(certificates.clone(), key.clone_key())
                .map_err(|error| format!("certificate and key: {error}"))?;
            settings.alpn_protocols = match protocol {
                Protocol::Grpc => vec![b"h2".to_vec()],
                Protocol::Http => vec![b"http/1.1".to_vec()],
            };
            Ok::<_, String>(Arc::new(settings))
        };
        Ok(Self {
            grpc: build(Protocol::Grpc)?,
            http: build(Protocol::Http)?,
            until_unix_s: own.until_unix_s,
        })
    }
}

fn certificates(file: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    match read {
        Ok(all) if all.is_empty() => Err(format!("{file}: no certificate in it")),
        Ok(all) => Ok(all),
        Err(error) => Err(format!("{file}: {error}")),
    }
}

/// Reads what this crate needs of a certificate that rustls has verified.
pub(crate) fn read(der: &CertificateDer<'_>) -> Option<Certificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok()?;
    let mut uris = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    let uri = uris.next();
    let uri = if uris.next().is_some() { None } else { uri };
    let until = certificate.validity().not_after.timestamp();
    Some(Certificate { uri, until_unix_s: u64::try_from(until).unwrap_or(0) })
}
