//! The generator: one task that starts requests, one task a request, samples as they end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::body::Incoming;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::{Load, Pace, Sample, Until};
use crate::testbed::client::{Client, client};
use crate::testbed::headers;

/// A load in progress.
#[derive(Debug)]
pub struct Run {
    samples: Arc<Mutex<Vec<Sample>>>,
    stopping: Arc<AtomicBool>,
    generator: JoinHandle<()>,
}

/// What each request needs; shared.
struct Shared {
    load: Load,
    uri: Uri,
    client: Client,
    began: Instant,
    samples: Arc<Mutex<Vec<Sample>>>,
    stopping: Arc<AtomicBool>,
}

impl Run {
    pub(super) fn start(load: Load) -> Self {
        let samples = Arc::default();
        let stopping = Arc::<AtomicBool>::default();
        let shared = Shared {
            uri: format!("http://{}{}", load.host, load.path).parse().unwrap_or_default(),
            client: client(load.target, load.grpc),
            began: Instant::now(),
            samples: Arc::clone(&samples),
            stopping: Arc::clone(&stopping),
            load,
        };
        let generator = tokio::spawn(generate(Arc::new(shared)));
        Self { samples, stopping, generator }
    }

    /// Samples of requests that have ended so far, in order of their end.
    pub fn so_far(&self) -> Vec<Sample> {
        lock(&self.samples).clone()
    }

    /// Whether every request has ended.
    pub fn is_finished(&self) -> bool {
        self.generator.is_finished()
    }

    /// Starts no more requests; those in flight end as they would, so that every one sent still has its sample.
    pub async fn stop(self) -> Vec<Sample> {
        self.stopping.store(true, Ordering::Relaxed);
        self.finish().await
    }

    /// Waits until every request has ended. Samples in order of their end.
    pub async fn finish(mut self) -> Vec<Sample> {
        let _ = (&mut self.generator).await;
        std::mem::take(&mut lock(&self.samples))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Its JoinSet goes with it and aborts the requests in flight.
        self.generator.abort();
    }
}

async fn generate(shared: Arc<Shared>) {
    match shared.load.pace {
        Pace::Open { rate, jitter } => open_loop(shared, rate, jitter).await,
        Pace::Closed { clients } => closed_loop(shared, clients).await,
    }
}

async fn open_loop(shared: Arc<Shared>, rate: f64, jitter: bool) {
    let mut random = fastrand::Rng::with_seed(shared.load.seed);
    let mut requests = JoinSet::new();
    let (mut at, mut index) = (Duration::ZERO, 0_u64);
    while shared.more(index, at) {
        tokio::time::sleep_until(shared.began + at).await;
        requests.spawn(one(Arc::clone(&shared), index, at));
        // Ended tasks are collected on the way, so that memory follows what is in flight.
        while requests.try_join_next().is_some() {}
        index += 1;
        at = if jitter {
            at + Duration::from_secs_f64(-(1.0 - random.f64()).ln() / rate)
        } else {
            Duration::from_secs_f64(index as f64 / rate)
        };
    }
    while requests.join_next().await.is_some() {}
}

async fn closed_loop(shared: Arc<Shared>, clients: usize) {
    let next = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let mut loops = JoinSet::new();
    for _ in 0..clients {
        let (shared, next) = (Arc::clone(&shared), Arc::clone(&next));
        loops.spawn(async move {
            loop {
                let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let at = shared.began.elapsed();
                if !shared.more(index, at) {
                    break;
                }
                one(Arc::clone(&shared), index, at).await;
            }
        });
    }
    while loops.join_next().await.is_some() {}
}

/// Sends one request and files its sample.
async fn one(shared: Arc<Shared>, index: u64, at: Duration) {
    let answer = tokio::time::timeout(shared.load.patience, shared.ask(index)).await;
    let latency = shared.began.elapsed().saturating_sub(at);
    let blank = Sample { at, latency, status: 0, grpc_status: None, degraded: false, alternate: false };
    let sample = match answer {
        Ok(Some((status, headers))) => shared.read(blank, status, &headers),
        Ok(None) | Err(_) => blank,
    };
    lock(&shared.samples).push(sample);
}

impl Shared {
    fn more(&self, index: u64, at: Duration) -> bool {
        if self.stopping.load(Ordering::Relaxed) {
            return false;
        }
        match self.load.until {
            Until::Elapsed(duration) => at < duration,
            Until::Sent(count) => index < count,
        }
    }

    /// Status and headers (trailers among them) of the whole answer, or `None` when it broke off.
    async fn ask(&self, index: u64) -> Option<(StatusCode, HeaderMap)> {
        let response = self.client.request(self.request(index)).await.ok()?;
        let (head, body) = response.into_parts();
        let mut headers = head.headers;
        headers.extend(read_to_end(body).await?);
        Some((head.status, headers))
    }

    fn request(&self, index: u64) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.load.body.clone()));
        *request.method_mut() = self.load.method.clone();
        *request.uri_mut() = self.uri.clone();
        if self.load.grpc {
            *request.version_mut() = http::Version::HTTP_2;
        }
        let headers = request.headers_mut();
        for (name, value) in &self.load.headers {
            headers.append(name, value.clone());
        }
        if self.load.grpc {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.insert("te", HeaderValue::from_static("trailers"));
        }
        if self.load.trace {
            headers.insert(headers::TRACEPARENT, headers::new_trace(self.load.seed, index));
        }
        request
    }

    fn read(&self, blank: Sample, status: StatusCode, headers: &HeaderMap) -> Sample {
        let served = headers::served_by(headers);
        Sample {
            status: status.as_u16(),
            grpc_status: headers.get("grpc-status").and_then(|v| v.to_str().ok()?.parse().ok()),
            degraded: headers.contains_key(headers::DEGRADED),
            alternate: self.load.alternates.iter().any(|a| served.contains(a)),
            ..blank
        }
    }
}

/// Reads a body to its end for its trailers.
async fn read_to_end(body: Incoming) -> Option<HeaderMap> {
    let collected = body.collect().await.ok()?;
    Some(collected.trailers().cloned().unwrap_or_default())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
