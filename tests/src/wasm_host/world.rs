//! What the threads of one Envoy share: shared data, queues, metrics, clock, log, and the calls that leave the process.

mod metrics;
mod queues;
mod shared_data;

use std::collections::{BTreeSet, VecDeque};

use super::fault::Faults;
use super::headers::Headers;
pub(super) use metrics::{Metrics, VmMetrics};
pub(super) use queues::Queues;
pub(super) use shared_data::SharedData;

/// A line the module logged.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// Index of the VM.
    pub vm: usize,
    /// 0 trace .. 5 critical; what the module wrote to its standard error arrives as 4.
    pub level: u32,
    /// The text.
    pub text: String,
}

/// A call made with `dispatch_http_call`, still unanswered.
#[derive(Clone, Debug)]
pub struct HttpCall {
    /// Index of the VM.
    pub vm: usize,
    /// Root context that owns it.
    pub root: u32,
    /// Context that made it.
    pub context: u32,
    /// Its number in that VM.
    pub token: u32,
    /// Envoy cluster asked.
    pub cluster: String,
    /// Request headers.
    pub headers: Headers,
    /// Request body.
    pub body: Vec<u8>,
    /// 0: none.
    pub timeout_ms: u32,
}

/// What a VM asked of the gRPC client.
#[derive(Clone, Debug)]
pub(super) enum GrpcOp {
    Open { cluster: String, path: String, metadata: Headers },
    Send { message: Vec<u8>, end: bool },
    Close,
    Cancel,
}

/// A callback that waits for its thread's turn.
#[derive(Clone, Debug)]
pub(super) enum Event {
    QueueReady { root: u32, queue: u32 },
    GrpcInitialMetadata { root: u32, token: u32 },
    GrpcMessage { root: u32, token: u32, message: Vec<u8> },
    GrpcClosed { root: u32, token: u32, status: u32, message: Vec<u8> },
}

impl Event {
    /// The root context it is for.
    pub(super) fn root(&self) -> u32 {
        match self {
            Self::QueueReady { root, .. }
            | Self::GrpcInitialMetadata { root, .. }
            | Self::GrpcMessage { root, .. }
            | Self::GrpcClosed { root, .. } => *root,
        }
    }
}

/// State shared by all VMs of one Envoy.
pub struct World {
    /// Wall clock, nanoseconds since 1970; a test may set it back.
    pub clock_ns: u64,
    /// Time since start for timers; never goes back.
    pub(super) monotonic_ms: u64,
    /// Everything logged.
    pub log: Vec<LogLine>,
    /// HTTP calls not answered yet.
    pub http_calls: Vec<HttpCall>,
    /// Clusters that do not exist: an HTTP call to one is refused, a gRPC stream to one fails at once.
    pub missing_clusters: BTreeSet<String>,
    /// Foreign functions that this Envoy does not have.
    pub missing_functions: BTreeSet<String>,
    pub(super) shared_data: SharedData,
    pub(super) queues: Queues,
    pub(super) metrics: Metrics,
    pub(super) faults: Faults,
    pub(super) grpc: VecDeque<(usize, u32, u32, GrpcOp)>,
    pub(super) events: VecDeque<(usize, Event)>,
    random: u64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            clock_ns: 1_700_000_000_000_000_000,
            monotonic_ms: 0,
            log: Vec::new(),
            http_calls: Vec::new(),
            missing_clusters: BTreeSet::new(),
            missing_functions: BTreeSet::new(),
            shared_data: SharedData::default(),
            queues: Queues::default(),
            metrics: Metrics::default(),
            faults: Faults::default(),
            grpc: VecDeque::new(),
            events: VecDeque::new(),
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }
}

impl World {
    /// Next byte of a fixed random sequence (xorshift): runs repeat exactly.
    pub(super) fn random_byte(&mut self) -> u8 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32) as u8
    }
}
