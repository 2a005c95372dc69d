//! Load, and an exact account of every answer.
//!
//! Open loop: requests start at instants fixed in advance, whether or not earlier ones were answered, and latency counts from
//! the intended start. So a stalled system cannot slow the generator down and hide its stall (coordinated omission). Closed
//! loop: a fixed number of clients, each waiting for its answer; for benches, which want cost at saturation.
//!
//! Every request ends in exactly one [`Sample`], decided by the response its user sees. Samples are kept whole (32 bytes each);
//! [`Tally`] sums them. Dropping a [`Run`] aborts what is in flight.

mod run;
mod sample;

use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use hyper::body::Bytes;

pub use run::Run;
pub use sample::{Sample, Tally};

/// When requests start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// `rate` a second, evenly; with `jitter`, gaps are exponential with that mean (Poisson arrivals).
    Open {
        /// Requests a second.
        rate: f64,
        /// Exponential gaps instead of even ones.
        jitter: bool,
    },
    /// So many clients, each sending its next request when the last was answered.
    Closed {
        /// Requests in flight.
        clients: usize,
    },
}

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Requests are started for so long.
    Elapsed(Duration),
    /// So many requests are sent.
    Sent(u64),
}

/// What to ask, how often, and how to read the answers.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where requests go.
    pub target: SocketAddr,
    /// `:authority` or Host.
    pub host: String,
    /// GET unless there is a body.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Added to each request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Sent with each request.
    pub body: Bytes,
    /// HTTP/2 and `content-type: application/grpc`; the answer's grpc-status counts.
    pub grpc: bool,
    /// Sends a `traceparent` with a trace id of its own for each request.
    pub trace: bool,
    /// When requests start.
    pub pace: Pace,
    /// When to stop.
    pub until: Until,
    /// Longest an answer is waited for; then the request counts as an error without status.
    pub patience: Duration,
    /// Seeds gaps and trace ids.
    pub seed: u64,
    /// Names of services whose answer means that an alternate helped.
    pub alternates: Vec<String>,
}

impl Load {
    /// `GET path` with Host `host`, 100 a second for a second, traced.
    pub fn get(target: SocketAddr, host: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            target,
            host: host.into(),
            method: Method::GET,
            path: path.into(),
            headers: Vec::new(),
            body: Bytes::new(),
            grpc: false,
            trace: true,
            pace: Pace::Open { rate: 100.0, jitter: false },
            until: Until::Elapsed(Duration::from_secs(1)),
            patience: Duration::from_secs(10),
            seed: 1,
            alternates: Vec::new(),
        }
    }

    /// Open loop at `rate` a second, evenly spaced.
    #[must_use]
    pub fn rate(mut self, rate: f64) -> Self {
        self.pace = Pace::Open { rate, jitter: false };
        self
    }

    /// Open loop at `rate` a second on average, with exponential gaps.
    #[must_use]
    pub fn poisson(mut self, rate: f64) -> Self {
        self.pace = Pace::Open { rate, jitter: true };
        self
    }

    /// Closed loop.
    #[must_use]
    pub fn clients(mut self, clients: usize) -> Self {
        self.pace = Pace::Closed { clients };
        self
    }

    /// Stops starting requests after `duration`.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.until = Until::Elapsed(duration);
        self
    }

    /// Stops after `count` requests.
    #[must_use]
    pub fn count(mut self, count: u64) -> Self {
        self.until = Until::Sent(count);
        self
    }

    /// Adds a header to each request. Ignored when name or value is not legal in HTTP.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (name.parse(), value.parse()) {
            self.headers.push((name, value));
        }
        self
    }

    /// POST with this body.
    #[must_use]
    pub fn post(mut self, body: impl Into<Bytes>) -> Self {
        self.method = Method::POST;
        self.body = body.into();
        self
    }

    /// gRPC unary call: `path` must be `/package.Service/Method`, `message` is the encoded message.
    #[must_use]
    pub fn grpc(mut self, message: &[u8]) -> Self {
        self.grpc = true;
        self.post(crate::testbed::grpc::frame(message))
    }

    /// Seeds gaps and trace ids.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Starts; watch it or [`Run::finish`] it.
    pub fn start(self) -> Run {
        Run::start(self)
    }

    /// Runs to the end: every request sent has its sample.
    pub async fn run(self) -> Vec<Sample> {
        self.start().finish().await
    }
}
