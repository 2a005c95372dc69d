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

impl StreamContext {
    /// Attributes that Envoy takes from the messages themselves. Those of the request are gone once its headers went on, and are back in
    /// the access log; seen on Envoy 1.40.
    pub(super) fn attribute(&self, path: &[u8]) -> Option<Vec<u8>> {
        let path = std::str::from_utf8(path).ok()?;
        let parts: Vec<&str> = path.splitn(3, '\0').collect();
        match parts[..] {
            ["request", "headers", name] => self.of(&self.request_headers, name),
            ["response", "headers", name] => self.of(&self.response_headers, name),
            ["response", "grpc_status"] if self.phase >= Phase::Response => self.grpc_status(),
            ["request", "method"] => self.of(&self.request_headers, ":method"),
            ["request", "path"] => self.of(&self.request_headers, ":path"),
            ["request", "host"] => self.of(&self.request_headers, ":authority"),
            _ => None,
        }
    }

    fn of(&self, part: &Part<Headers>, name: &str) -> Option<Vec<u8>> {
        (part.open || self.in_log).then(|| part.value.get_bytes(name).map(<[u8]>::to_vec))?
    }

    /// Trailers, then headers, then what the HTTP status stands for.
    fn grpc_status(&self) -> Option<Vec<u8>> {
        let parts = [&self.response_trailers, &self.response_headers];
        let said = parts.into_iter().find_map(|part| self.of(part, "grpc-status"));
        let number = |bytes: Vec<u8>| std::str::from_utf8(&bytes).ok()?.parse::<i64>().ok();
        let code = || self.properties.get(self.phase, b"response\0code").map(<[u8]>::to_vec);
        match said.and_then(number) {
            Some(status) => Some(status.to_le_bytes().to_vec()),
            None => code().and_then(|code| code.try_into().ok()).map(i64::from_le_bytes).map(grpc_of_http),
        }
    }
}

/// Envoy's table (`Grpc::Utility::httpToGrpcStatus`), as an attribute.
fn grpc_of_http(status: i64) -> Vec<u8> {
    let grpc = grpc_status_of_http(u32::try_from(status).unwrap_or_default());
    i64::from(grpc).to_le_bytes().to_vec()
}

/// The gRPC status an HTTP status stands for.
pub(super) fn grpc_status_of_http(status: u32) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

pub(super) enum Context {
    Root(Box<RootContext>),
    Stream(Box<StreamContext>),
}

/// A gRPC stream as the client keeps it: gone once both sides are closed.
#[derive(Default)]
pub(super) struct GrpcHandle {
    pub(super) root: u32,
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
    /// The stream whose message is being delivered, or 0.
    pub(super) receiving: u32,
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
            receiving: 0,
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
