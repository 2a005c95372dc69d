//! Certificates and keys, read from their files and again whenever these change.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::tls::{Pem, Protocol, Settings};
use super::token::Keys;
use crate::config::{Proof, TlsFiles};

/// How often the files are looked at; their contents, because mounted secrets are replaced by links that keep their times.
const PERIOD: Duration = Duration::from_millis(500);
/// A chain fits a few kilobytes.
const BYTES_MAX: u64 = 1 << 20;

/// Why credentials cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct CredentialsError {
    /// Which file, or which of several.
    file: String,
    /// What is wrong with it.
    problem: String,
}

/// What is in force.
pub struct Credentials {
    tls: Option<TlsFiles>,
    token_keys: Option<PathBuf>,
    settings: ArcSwapOption<Settings>,
    keys: ArcSwapOption<Keys>,
}

/// Contents of all files.
#[derive(Clone, PartialEq, Eq)]
struct Contents {
    pem: Option<Pem>,
    keys: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("tls", &self.tls).field("token_keys", &self.token_keys).finish()
    }
}

impl Credentials {
    /// Reads the files.
    ///
    /// # Errors
    /// [`CredentialsError`] for the first that cannot be used.
    pub fn load(proof: &Proof) -> Result<Self, CredentialsError> {
        let credentials = Self {
            tls: proof.tls.clone(),
            token_keys: proof.token_keys.clone(),
            settings: ArcSwapOption::empty(),
            keys: ArcSwapOption::empty(),
        };
        credentials.take(&credentials.read()?)?;
        Ok(credentials)
    }

    /// Whether `emac serve` ends TLS.
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether tokens are verified.
    pub fn has_token_keys(&self) -> bool {
        self.token_keys.is_some()
    }

    /// When the control plane's own certificate ends, seconds since 1970.
    pub fn until_unix_s(&self) -> Option<u64> {
        self.settings.load().as_ref().map(|settings| settings.until_unix_s)
    }

    pub(super) fn tls(&self, protocol: Protocol) -> Option<Arc<ServerConfig>> {
        self.settings.load().as_ref().map(|settings| match protocol {
            Protocol::Grpc => Arc::clone(&settings.grpc),
            Protocol::Http => Arc::clone(&settings.http),
        })
    }

    pub(super) fn keys(&self) -> Option<Arc<Keys>> {
        self.keys.load_full()
    }

    /// Watches the files until told to stop. What cannot be used leaves what is in force, and is said once.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut last = self.read().ok();
        while stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_some() {
            let this = Arc::clone(&self);
            let read = tokio::task::spawn_blocking(move || this.read()).await;
            let Ok(Ok(contents)) = read else { continue };
            if last.as_ref() == Some(&contents) {
                continue;
            }
            match self.take(&contents) {
                Ok(()) => info!("certificates and keys read again"),
                Err(problem) => {
                    warn!(%problem, "certificates and keys changed and cannot be used; those before stay")
                }
            }
            last = Some(contents);
        }
    }

    fn read(&self) -> Result<Contents, CredentialsError> {
        let pem = |files: &TlsFiles| {
            Ok(Pem {
                certificate: read_file(&files.certificate)?,
                key: read_file(&files.key)?,
                authorities: read_file(&files.authorities)?,
            })
        };
        let pem = self.tls.as_ref().map(pem).transpose()?;
        let keys = self.token_keys.as_deref().map(read_file).transpose()?;
        let keys = keys.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(Contents { pem, keys })
    }

    fn take(&self, contents: &Contents) -> Result<(), CredentialsError> {
        // All or nothing: both are made before either is in force.
        let keys = contents.keys.as_deref().map(Keys::read).transpose();
        let keys = keys.map_err(|error| problem(self.token_keys.as_deref(), &error.to_string()))?;
        // A peer with a token needs no certificate.
        let settings = contents.pem.as_ref().map(|pem| Settings::new(pem, keys.is_none())).transpose();
        let settings =
            settings.map_err(|error| CredentialsError { file: "identity.tls".to_owned(), problem: error })?;
        self.keys.store(keys.map(Arc::new));
        self.settings.store(settings.map(Arc::new));
        Ok(())
    }
}

fn problem(file: Option<&Path>, problem: &str) -> CredentialsError {
    let file = file.map_or_else(String::new, |file| file.display().to_string());
    CredentialsError { file, problem: problem.to_owned() }
}

fn read_file(path: &Path) -> Result<Vec<u8>, CredentialsError> {
    let read = || {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    match read() {
        Ok(bytes) if bytes.len() as u64 > BYTES_MAX => Err(problem(Some(path), "longer than 1 MiB")),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(problem(Some(path), &error.to_string())),
    }
}
