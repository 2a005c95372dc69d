//! Asking a running control plane, over HTTP or HTTPS, as an operator if need be.

use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;

use super::access::{Access, Duplex};
use super::exit::Exit;
use super::output::complain;

/// Bytes of an answer we are ready to read.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Names the file with a token where no flag does.
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
    #[command(flatten)]
    access: Access,
}

/// A control plane that can be asked.
#[derive(Clone)]
pub(super) struct Server {
    uri: Uri,
    token: Option<String>,
    access: Access,
}

/// What it said to a change.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl ServerArgs {
    /// Runs a command that asks the control plane; what is wrong with the arguments is told.
    pub(super) fn ask(&self, command: impl AsyncFnOnce(Server) -> Exit) -> Exit {
        let uri = &self.server;
        if !is_server(uri) {
            complain(format!("--server {uri} is not of the form http://HOST:PORT or https://HOST:PORT"));
            return Exit::Usage;
        }
        let server = match self.server() {
            Ok(server) => server,
            Err(problem) => {
                complain(problem);
                return Exit::InvalidInput;
            }
        };
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(command(server)),
            Err(error) => {
                complain(error);
                Exit::Runtime
            }
        }
    }

    /// Reads the token.
    ///
    /// # Errors
    /// For people: which file, and what is wrong.
    fn server(&self) -> Result<Server, String> {
        let token_file = self.token_file.clone().or_else(|| std::env::var_os(TOKEN_FILE).map(PathBuf::from));
        let read =
            |file: PathBuf| std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()));
        let token = token_file.map(read).transpose()?;
        let token = token.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        Ok(Server { uri: self.server.clone(), token, access: self.access.clone() })
    }
}

impl Server {
    /// One that asks for nothing; a token of the environment is sent along.
    ///
    /// # Errors
    /// For people.
    pub(super) fn at(uri: Uri) -> Result<Self, String> {
        ServerArgs { server: uri, token_file: None, access: Access::default() }.server()
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
            send(self.access.connect(&self.uri).await?, request).await
        };
        tokio::time::timeout(patience, asked).await?.map_err(|error: FetchError| causes(&*error).into())
    }
}

async fn send(stream: Box<dyn Duplex>, request: Request<Full<Bytes>>) -> Result<Answer, FetchError> {
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

/// An error with what caused it: the outermost alone says "connection error" of everything.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_told = next.to_string();
        if !told.contains(&next_told) {
            told = format!("{told}: {next_told}");
        }
        cause = next.source();
    }
    told
}

/// Whether an address is one of a control plane: `http://HOST:PORT` or `https://HOST:PORT`.
pub(super) fn is_server(uri: &Uri) -> bool {
    matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
}
