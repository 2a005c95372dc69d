//! A request and its response: the test is the upstream, the network and the client.

mod callout;
mod request_path;
mod response_path;

use super::driver::Host;
use super::headers::Headers;
use super::properties::{Flags, Phase};
use super::request::Route;
pub use super::state::LocalReply;
pub use callout::Callout;

/// What the client got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Headers, with `:status`.
    pub headers: Headers,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers, where there were some.
    pub trailers: Headers,
    /// The filter answered, not upstream.
    pub local: bool,
}

impl Response {
    /// HTTP status, or 0.
    pub fn status(&self) -> u16 {
        self.headers.get(":status").and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// gRPC status from headers or trailers.
    pub fn grpc_status(&self) -> Option<u32> {
        let text = self.headers.get("grpc-status").or_else(|| self.trailers.get("grpc-status"));
        text.and_then(|status| status.parse().ok())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// How far one direction of the stream has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Progress {
    #[default]
    Headers,
    /// Stopped at headers; nothing behind them moves.
    HeadersPaused,
    Body,
    TrailersPaused,
    Complete,
}

/// One request under way.
pub struct Exchange {
    host: Host,
    vm: usize,
    id: u32,
    started_ns: u64,
    chunks: Vec<Vec<u8>>,
    trailers: Option<Headers>,
    /// The client has not sent all of its request.
    open: bool,
    cluster: String,
    routes: Vec<Route>,
    request: Progress,
    response: Progress,
    forwarded_body: Vec<u8>,
    upstream: Option<Response>,
    answer: Option<Response>,
    local_reply: Option<LocalReply>,
    flags: i64,
    reset: bool,
    over: bool,
}

impl Exchange {
    /// Index of the VM that runs it.
    pub fn vm(&self) -> usize {
        self.vm
    }

    /// Request headers as the filter left them.
    pub fn request_headers(&self) -> Headers {
        self.host.with_vm(self.vm, |vm| vm.stream(self.id).request_headers.value.clone())
    }

    /// One request header as the filter left it.
    pub fn request_header(&self, name: &str) -> Option<String> {
        self.request_headers().get(name).map(str::to_string)
    }

    /// A property of the request, as other filters see it.
    pub fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        let path = path.join("\0").into_bytes();
        self.host.with_vm(self.vm, |vm| {
            vm.stream(self.id).properties.get(Phase::Request, &path).map(<[u8]>::to_vec)
        })
    }

    /// Waits for the filter to end the call by itself, or to ask somebody else: after how many milliseconds it did; `None` when it does
    /// not within five seconds. The clock goes on meanwhile.
    pub fn cut_after_ms(&mut self) -> Option<u64> {
        const PATIENCE_MS: u64 = 5_000;
        (1..=PATIENCE_MS).find(|_| {
            self.host.run_for(1);
            self.after_tick();
            self.local_reply.is_some() || self.callout().is_some()
        })
    }

    /// Body that went upstream.
    pub fn forwarded_body(&self) -> &[u8] {
        &self.forwarded_body
    }

    /// The request went upstream, all of it.
    pub fn forwarded(&self) -> bool {
        self.request == Progress::Complete && self.local_reply.is_none() && !self.reset
    }

    /// Something is held back by the filter.
    pub fn paused(&self) -> bool {
        let paused = |progress| matches!(progress, Progress::HeadersPaused | Progress::TrailersPaused);
        paused(self.request) || paused(self.response)
    }

    /// Cluster of the route, after any new choice.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The route was chosen again.
    pub fn rerouted(&self) -> bool {
        self.host.with_vm(self.vm, |vm| vm.stream(self.id).routes_cleared > 0)
    }

    /// The filter's own answer, if it gave one.
    pub fn local_reply(&self) -> Option<&LocalReply> {
        self.local_reply.as_ref()
    }

    /// The filter reset the stream.
    pub fn was_reset(&self) -> bool {
        self.reset
    }

    /// What the client got; `None` while nothing came through.
    pub fn response(&self) -> Option<&Response> {
        self.answer.as_ref()
    }

    /// Status the client got, or 0.
    pub fn status(&self) -> u16 {
        self.answer.as_ref().map_or(0, Response::status)
    }

    /// The stream ends: log, done, delete. What the client got.
    pub fn finish(mut self) -> Response {
        self.end();
        self.answer.take().unwrap_or_default()
    }

    /// The client goes away; the filter sees only log and done.
    pub fn cancel(mut self) {
        self.flags |= Flags::DOWNSTREAM_CONNECTION_TERMINATION;
        self.set(Phase::Log, &["response", "code_details"], "downstream_remote_disconnect");
        if self.answer.is_none() {
            self.set(Phase::Log, &["response", "code"], 0_i64);
        }
        self.end();
    }

    fn end(&mut self) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let duration = self.host.world().clock_ns.saturating_sub(self.started_ns);
        self.set(Phase::Log, &["response", "flags"], self.flags);
        self.set(Phase::Log, &["request", "duration"], duration as i64);
        self.with(|stream| (stream.phase, stream.in_log) = (Phase::Log, true));
        if let Some(answer) = self.answer.clone() {
            self.with(|stream| {
                stream.response_headers.value = answer.headers;
                stream.response_trailers.value = answer.trailers;
            });
        }
        self.call("proxy_on_log", &[]);
        self.with(|stream| stream.in_log = false);
        self.call("proxy_on_done", &[]);
        self.call("proxy_on_delete", &[]);
        self.host.with_vm(self.vm, |vm| vm.state().contexts.remove(&self.id));
        self.host.settle();
    }

    fn call(&self, name: &str, args: &[u32]) -> u32 {
        let args: Vec<u32> = [self.id].into_iter().chain(args.iter().copied()).collect();
        self.host.call(self.vm, self.id, name, &args)
    }

    fn with<R>(&self, act: impl FnOnce(&mut super::state::StreamContext) -> R) -> R {
        self.host.with_vm(self.vm, |vm| act(vm.stream(self.id)))
    }

    fn set(&self, phase: Phase, path: &[&str], value: impl Into<super::properties::Property>) {
        self.with(|stream| stream.properties.set(phase, path, value));
    }
}
