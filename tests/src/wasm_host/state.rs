//! What one VM's host side holds: its contexts, and what the callback that runs now can see.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use wasmi::{Memory, TypedFunc};

use super::headers::Headers;
use super::properties::{Phase, Properties};
use super::world::{VmMetrics, World};

/// A plugin of one listener in this VM.
#[derive(Default)]
pub(super) struct RootContext {
    pub(super) plugin_name: String,
    pub(super) configuration: Vec<u8>,
    /// `on_configure` runs: the only time the configuration can be read.
    pub(super) configuring: bool,
    pub(super) properties: Properties,
    /// 0: no ticks.
    pub(super) tick_period_ms: u64,
    pub(super) next_tick_ms: u64,
    /// Answer to an HTTP call, while its callback runs.
    pub(super) http_call: Option<(Headers, Vec<u8>)>,
    /// Message of a gRPC stream, while its callback runs.
    pub(super) grpc_message: Option<Vec<u8>>,
    /// gRPC status, while the close callback runs.
    pub(super) status: (u32, Vec<u8>),
}

/// A header map or body of a stream, and whether the filter can reach it now.
#[derive(Default)]
pub(super) struct Part<T> {
    pub(super) value: T,
    pub(super) open: bool,
}

/// An answer made by the filter itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalReply {
    /// HTTP status.
    pub status: u32,
    /// Headers given by the filter.
    pub headers: Headers,
    /// Body.
    pub body: Vec<u8>,
    /// gRPC status, when the answer is a gRPC one.
    pub grpc_status: Option<u32>,
}

/// One HTTP request.
#[derive(Default)]
pub(super) struct StreamContext {
    pub(super) root: u32,
    pub(super) phase: Phase,
    pub(super) properties: Properties,
    pub(super) request_headers: Part<Headers>,
    pub(super) request_trailers: Part<Headers>,
    pub(super) request_body: Part<Vec<u8>>,
    pub(super) response_headers: Part<Headers>,
    pub(super) response_trailers: Part<Headers>,
    pub(super) response_body: Part<Vec<u8>>,
    pub(super) in_log: bool,
    // What the running callback asked for; done when it returns.
    pub(super) local_reply: Option<LocalReply>,
    pub(super) continue_request: bool,
    pub(super) continue_response: bool,
    pub(super) reset: bool,
    pub(super) routes_cleared: u32,
}

pub(super) enum Context {
    Root(Box<RootContext>),
    Stream(Box<StreamContext>),
}

/// A gRPC stream as the client keeps it: gone once both sides are closed.
#[derive(Default)]
pub(super) struct GrpcHandle {
    pub(super) local_closed: bool,
    pub(super) remote_closed: bool,
}

/// Two low bits of a callout's number: HTTP 0, gRPC call 1, gRPC stream 2.
const CALLOUT_INCREMENT: u32 = 4;
const GRPC_STREAM: u32 = 2;

pub(super) struct VmState {
    pub(super) index: usize,
    pub(super) world: Rc<RefCell<World>>,
    pub(super) contexts: BTreeMap<u32, Context>,
    pub(super) current: u32,
    pub(super) effective: u32,
    pub(super) metrics: VmMetrics,
    pub(super) grpc: BTreeMap<u32, GrpcHandle>,
    pub(super) memory: Option<Memory>,
    pub(super) allocate: Option<TypedFunc<u32, u32>>,
    next_context: u32,
    next_http_call: u32,
    next_grpc_stream: u32,
}

impl VmState {
    pub(super) fn new(index: usize, world: Rc<RefCell<World>>) -> Self {
        Self {
            index,
            world,
            contexts: BTreeMap::new(),
            current: 0,
            effective: 0,
            metrics: VmMetrics::default(),
            grpc: BTreeMap::new(),
            memory: None,
            allocate: None,
            // Envoy gives 1 to the VM's own context, which the module never sees.
            next_context: 1,
            next_http_call: 0,
            next_grpc_stream: GRPC_STREAM,
        }
    }

    pub(super) fn add(&mut self, context: Context) -> u32 {
        self.next_context += 1;
        self.contexts.insert(self.next_context, context);
        self.next_context
    }

    pub(super) fn next_http_call(&mut self) -> u32 {
        self.next_http_call += CALLOUT_INCREMENT;
        self.next_http_call
    }

    pub(super) fn next_grpc_stream(&mut self) -> u32 {
        self.next_grpc_stream += CALLOUT_INCREMENT;
        self.next_grpc_stream
    }

    pub(super) fn is_grpc_stream(token: u32) -> bool {
        token % CALLOUT_INCREMENT == GRPC_STREAM
    }

    /// The context host calls act on: the effective one while it lives, else the one called.
    pub(super) fn acting(&self) -> u32 {
        if self.contexts.contains_key(&self.effective) { self.effective } else { self.current }
    }

    pub(super) fn acting_root(&self) -> u32 {
        match self.contexts.get(&self.acting()) {
            Some(Context::Stream(stream)) => stream.root,
            _ => self.acting(),
        }
    }

    pub(super) fn stream(&mut self, id: u32) -> Option<&mut StreamContext> {
        match self.contexts.get_mut(&id) {
            Some(Context::Stream(stream)) => Some(stream),
            _ => None,
        }
    }

    pub(super) fn acting_stream(&mut self) -> Option<&mut StreamContext> {
        self.stream(self.acting())
    }

    pub(super) fn root(&mut self, id: u32) -> Option<&mut RootContext> {
        match self.contexts.get_mut(&id) {
            Some(Context::Root(root)) => Some(root),
            _ => None,
        }
    }

    pub(super) fn roots(&self) -> Vec<u32> {
        let root = |(id, context): (&u32, &Context)| matches!(context, Context::Root(_)).then_some(*id);
        self.contexts.iter().filter_map(root).collect()
    }
}
