//! Asking a running control plane, over HTTP or HTTPS, as an operator if need be.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Bytes of an answer we are ready to read.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Names the file of a token where no flag does.
const TOKEN_FILE: &str = "EMAC_TOKEN_FILE";

pub(super) type FetchError = Box<dyn std::error::Error + Send + Sync>;

/// Which control plane, and who asks.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ServerArgs {
    /// The control plane's HTTP address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(super) server: Uri,
    /// File with a token of `emac token --operator`; default: the file that EMAC_TOKEN_FILE names
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) of the authorities of an https:// server
    #[arg(long, value_name = "FILE")]
    authorities: Option<PathBuf>,
    /// Client certificate (PEM) of an account of `api.operators`
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// Key of that certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
}

/// A control plane that can be asked.
#[derive(Clone)]
pub(super) struct Server {
    uri: Uri,
    token: Option<String>,
    tls: Option<TlsConnector>,
}

/// What it said to a change.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl ServerArgs {
    /// Reads the files.
    ///
    /// # Errors
    /// For people: which file, and what is wrong.
    pub(super) fn server(&self) -> Result<Server, String> {
        let token_file = self.token_file.clone().or_else(|| std::env::var_os(TOKEN_FILE).map(PathBuf::from));
        let token = token_file.map(|file| read(&file)).transpose()?;
        let token = token.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        let tls = (self.server.scheme_str() == Some("https")).then(|| self.tls()).transpose()?;
        Ok(Server { uri: self.server.clone(), token, tls })
    }

    fn tls(&self) -> Result<TlsConnector, String> {
        let file = self.authorities.as_deref().ok_or("--server https://… needs --authorities FILE")?;
        let mut roots = RootCertStore::empty();
        for authority in certificates(file)? {
            roots.add(authority).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
        let builder = builder.with_root_certificates(roots);
        let settings = match self.certificate.as_deref().zip(self.key.as_deref()) {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let told = |error: &dyn std::fmt::Display| format!("{}: {error}", key.display());
                let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| told(&error))?;
                let chain = certificates(certificate)?;
                builder.with_client_auth_cert(chain, private).map_err(|error| told(&error))?
            }
        };
        Ok(TlsConnector::from(Arc::new(settings)))
    }
}

impl Server {
    /// One that asks for nothing; a token of the environment is sent along.
    ///
    /// # Errors
    /// For people.
    pub(super) fn at(uri: Uri) -> Result<Self, String> {
        let (token_file, authorities, certificate, key) = (None, None, None, None);
        ServerArgs { server: uri, token_file, authorities, certificate, key }.server()
    }

    /// The body of an answer of `/api/v1/<part>`, waited for at most so long.
    pub(super) async fn fetch(&self, part: &str, patience: Duration) -> Result<Bytes, FetchError> {
        let answer = self.ask(Method::GET, part, None, patience).await?;
        if answer.status == StatusCode::OK {
            return Ok(answer.body);
        }
        let said = said(&answer.body);
        Err(format!("/api/v1/{part} answered {}{}", answer.status, said).into())
    }

    /// Sends a change to `/api/v1/<part>`.
    pub(super) async fn change(
        &self,
        part: &str,
        body: &serde_json::Value,
        patience: Duration,
    ) -> Result<Answer, FetchError> {
        self.ask(Method::POST, part, Some(body.to_string()), patience).await
    }

    async fn ask(
        &self,
        method: Method,
        part: &str,
        body: Option<String>,
        patience: Duration,
    ) -> Result<Answer, FetchError> {
        let asked = async {
            let authority = self.uri.authority().ok_or("no host")?;
            let mut request = Request::builder()
                .method(method)
                .uri(format!("/api/v1/{part}"))
                .header(HOST, authority.as_str());
            if let Some(token) = &self.token {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            if body.is_some() {
                request = request.header(CONTENT_TYPE, "application/json");
            }
            let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
            let port = authority.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
            let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            match &self.tls {
                None => send(stream, request).await,
                Some(tls) => send(tls.connect(ServerName::try_from(host)?, stream).await?, request).await,
            }
        };
        tokio::time::timeout(patience, asked).await?
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Answer, FetchError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender.
    tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
    Ok(Answer { status, body })
}

/// The first line of an answer's words, if it has any.
pub(super) fn said(body: &Bytes) -> String {
    let text = String::from_utf8_lossy(body);
    let line: String = text.lines().next().unwrap_or_default().chars().take(500).collect();
    if line.is_empty() {
        line
    } else {
        format!(": {}", line.escape_debug().to_string().replace("\\\"", "\""))
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let bytes = read(file)?;
    let all: Vec<_> =
        CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(|error| told(&error))?;
    if all.is_empty() { Err(told(&"no certificate in it")) } else { Ok(all) }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// Whether an address is one of a control plane: `http://HOST:PORT` or `https://HOST:PORT`.
pub(super) fn is_server(uri: &Uri) -> bool {
    matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
}
