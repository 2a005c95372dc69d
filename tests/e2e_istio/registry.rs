//! A registry of OCI images that holds one artifact: the filter's module. Reading only, of the distribution API what a client
//! asks to pull: `/v2/`, manifests by tag or digest, blobs.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Its name; the shipped manifests' own.
pub(crate) const HOST: &str = "registry.example";
/// What it holds.
const REPOSITORY: &str = "emac/emac-filter";
/// A client asks by TLS first and goes on in plain text once it is answered so.
const PORTS: [u16; 2] = [443, 80];

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const PLUGIN_CONFIG: &str = "application/vnd.module.wasm.config.v1+json";
const MODULE: &str = "application/vnd.module.wasm.content.layer.v1+wasm";

/// Serves until dropped.
#[derive(Debug)]
pub(crate) struct Registry {
    content: Arc<Mutex<Content>>,
    servers: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Content {
    /// Digest of a manifest by tag.
    tags: BTreeMap<String, String>,
    /// Media type and bytes by digest.
    blobs: BTreeMap<String, (&'static str, Bytes)>,
}

impl Registry {
    /// Serves on loopback.
    pub(crate) async fn start() -> std::io::Result<Self> {
        let content = Arc::<Mutex<Content>>::default();
        let mut servers = Vec::new();
        for port in PORTS {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
            servers.push(tokio::spawn(serve(listener, Arc::clone(&content))));
        }
        Ok(Self { content, servers })
    }

    /// Puts a module under a tag; the digest of its manifest, as hex.
    pub(crate) fn push(&self, tag: &str, module: Vec<u8>) -> String {
        let mut content = lock(&self.content);
        let config = content.add(CONFIG, b"{}".to_vec());
        let plugin = content.add(PLUGIN_CONFIG, b"{}".to_vec());
        let module = content.add(MODULE, module);
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [plugin, module]});
        let manifest = content.add(MANIFEST, manifest.to_string().into_bytes());
        let digest = manifest["digest"].as_str().unwrap_or_default().to_owned();
        content.tags.insert(tag.to_owned(), digest.clone());
        digest.trim_start_matches("sha256:").to_owned()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.servers.iter().for_each(JoinHandle::abort);
    }
}

impl Content {
    /// Adds a blob; its descriptor.
    fn add(&mut self, media: &'static str, bytes: Vec<u8>) -> serde_json::Value {
        let hash = Sha256::digest(&bytes);
        let digest = hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"));
        let size = bytes.len();
        self.blobs.insert(digest.clone(), (media, bytes.into()));
        json!({"mediaType": media, "digest": digest, "size": size})
    }

    fn answer(&self, path: &str) -> Option<(String, &'static str, Bytes)> {
        let rest = path.strip_prefix("/v2/")?;
        if rest.is_empty() {
            return Some((String::new(), "application/json", Bytes::from_static(b"{}")));
        }
        let rest = rest.strip_prefix(REPOSITORY)?.strip_prefix('/')?;
        let (_, reference) = rest.split_once('/')?;
        let digest = self.tags.get(reference).cloned().unwrap_or_else(|| reference.to_owned());
        let (media, bytes) = self.blobs.get(&digest).cloned()?;
        Some((digest, media, bytes))
    }
}

async fn serve(listener: TcpListener, content: Arc<Mutex<Content>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let content = Arc::clone(&content);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(&content, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            // A client that speaks TLS reads an error in plain text here, and asks again at the other port.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn answer(content: &Mutex<Content>, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let found = lock(content).answer(request.uri().path());
    let mut response = Response::builder();
    let body = match found {
        Some((digest, media, bytes)) => {
            response = response.header("content-type", media).header("content-length", bytes.len());
            if !digest.is_empty() {
                response = response.header("docker-content-digest", digest);
            }
            if request.method() == Method::HEAD { Bytes::new() } else { bytes }
        }
        None => {
            response = response.status(StatusCode::NOT_FOUND).header("content-type", "application/json");
            Bytes::from_static(br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"not here"}]}"#)
        }
    };
    response.body(Full::new(body)).unwrap_or_default()
}

fn lock(content: &Mutex<Content>) -> std::sync::MutexGuard<'_, Content> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}
