//! Envoy: the only file that names the SDK.
//!
//! Its traits' own methods unwrap what the host answers, so they are not used: `hostcalls` is, with results matched. Even those panic on
//! statuses they do not list; inputs are guarded so that the host has no reason to give one (headers only in their phase, buffers from
//! zero). Header values are taken as bytes: the SDK's strings unwrap UTF-8.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use emac_core::units::{Micros, Millis};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, GrpcStatusCode, LogLevel, MapType, MetricType};

use crate::host::{CalloutAnswer, Contended, GrpcStatus, Host, Level, MetricKind, Read};
use crate::root::Root;
use crate::stream::{Flow, Stream};
use crate::vm::Vm;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|id| Box::new(EnvoyRoot { vm: VM.with(Rc::clone), root: Root::new(id) }));
}}

thread_local! {
    // One instance of this module is one VM on one thread; its root contexts (one a listener direction) share this.
    static VM: Rc<RefCell<Vm>> = Rc::default();
    static ORIGIN: Instant = Instant::now();
}

struct EnvoyRoot {
    vm: Rc<RefCell<Vm>>,
    root: Root,
}

struct EnvoyStream {
    vm: Rc<RefCell<Vm>>,
    stream: Rc<RefCell<Stream>>,
}

impl EnvoyStream {
    fn with<T>(&self, work: impl FnOnce(&mut Stream, &mut Vm) -> T) -> Option<T> {
        let mut stream = self.stream.try_borrow_mut().ok()?;
        with(&self.vm, |vm| work(&mut stream, vm))
    }
}

impl Context for EnvoyRoot {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, _trailers: usize) {
        with(&self.vm, |vm| self.root.on_callout(vm, &Envoy, token, headers, body));
    }

    fn on_grpc_stream_message(&mut self, token: u32, bytes: usize) {
        with(&self.vm, |vm| self.root.on_message(vm, &Envoy, token, bytes));
    }

    fn on_grpc_stream_close(&mut self, token: u32, status: u32) {
        with(&self.vm, |vm| self.root.on_close(vm, &Envoy, token, status));
    }
}

impl RootContext for EnvoyRoot {
    fn on_configure(&mut self, _bytes: usize) -> bool {
        with(&self.vm, |vm| self.root.on_configure(vm, &Envoy));
        // Refusing would leave the listener without a filter chain: what cannot be read passes everything.
        true
    }

    fn on_tick(&mut self) {
        with(&self.vm, |vm| self.root.on_tick(vm, &Envoy));
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(EnvoyStream { vm: Rc::clone(&self.vm), stream: Stream::new(self.root.listener(), id) }))
    }
}

/// The proxy deletes a root context right after it is done with it, and `proxy_on_done` would be called for every request as well
/// (`linker.sh`).
impl Drop for EnvoyRoot {
    fn drop(&mut self) {
        with(&self.vm, |vm| self.root.on_done(vm, &Envoy));
    }
}

impl Context for EnvoyStream {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, _trailers: usize) {
        self.with(|stream, vm| stream.on_callout(vm, &Envoy, token, headers, body));
    }
}

impl HttpContext for EnvoyStream {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        action(self.with(|stream, vm| stream.on_request_headers(vm, &Envoy, end)))
    }

    fn on_http_request_body(&mut self, bytes: usize, end: bool) -> Action {
        self.with(|stream, vm| stream.on_request_body(vm, &Envoy, bytes, end));
        Action::Continue
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        self.with(|stream, vm| stream.on_request_end(vm, &Envoy));
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        action(self.with(|stream, vm| stream.on_response_headers(vm, &Envoy, end)))
    }

    fn on_http_response_body(&mut self, bytes: usize, end: bool) -> Action {
        action(self.with(|stream, _| stream.on_response_body(&Envoy, bytes, end)))
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        action(self.with(|stream, _| stream.on_response_trailers(&Envoy)))
    }

    fn on_log(&mut self) {
        self.with(|stream, vm| stream.on_log(vm, &Envoy));
    }
}

/// Host calls do not call back, so the state is never borrowed twice; if it were, the request passes.
fn with<T>(vm: &Rc<RefCell<Vm>>, work: impl FnOnce(&mut Vm) -> T) -> Option<T> {
    vm.try_borrow_mut().ok().map(|mut vm| work(&mut vm))
}

fn action(flow: Option<Flow>) -> Action {
    match flow {
        Some(Flow::Pause) => Action::Pause,
        Some(Flow::Continue) | None => Action::Continue,
    }
}

/// The proxy this module runs in.
struct Envoy;

impl Host for Envoy {
    fn now(&self) -> Micros {
        let since = hostcalls::get_current_time().ok().and_then(|now| now.duration_since(UNIX_EPOCH).ok());
        since.map(micros).unwrap_or_default()
    }

    fn uptime(&self) -> Micros {
        // The proxy gives WASI's monotonic clock; its origin is not ours to know.
        micros(ORIGIN.with(Instant::elapsed))
    }

    fn random(&self) -> u64 {
        // proxy-wasm has no call for it; WASI has (`random_get`), which Envoy answers.
        getrandom::u64().unwrap_or_default()
    }

    fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
        };
        let _ = hostcalls::log(level, message);
    }

    fn plugin_configuration(&self) -> Vec<u8> {
        buffer(BufferType::PluginConfiguration, usize::MAX)
    }

    fn set_tick(&self, period: Millis) {
        let _ = hostcalls::set_tick_period(Duration::from_millis(period.0));
    }

    fn act_on(&self, context: u32) -> bool {
        hostcalls::set_effective_context(context).is_ok()
    }

    fn request_header(&self, name: &str, read: &mut Read<'_>) {
        header(MapType::HttpRequestHeaders, name, read);
    }

    fn request_headers(&self, read: &mut dyn FnMut(&[u8], &[u8])) {
        let headers = hostcalls::get_map_bytes(MapType::HttpRequestHeaders).unwrap_or_default();
        headers.iter().for_each(|(name, value)| read(name.as_bytes(), value));
    }

    fn set_request_header(&self, name: &str, value: &[u8]) {
        let _ = hostcalls::set_map_value_bytes(MapType::HttpRequestHeaders, name, Some(value));
    }

    fn remove_request_header(&self, name: &str) {
        let _ = hostcalls::remove_map_value(MapType::HttpRequestHeaders, name);
    }

    fn request_body(&self, bytes: usize, read: &mut Read<'_>) {
        read(&buffer(BufferType::HttpRequestBody, bytes));
    }

    fn response_header(&self, name: &str, read: &mut Read<'_>) {
        header(MapType::HttpResponseHeaders, name, read);
    }

    fn set_response_header(&self, name: &str, value: &[u8]) {
        let _ = hostcalls::set_map_value_bytes(MapType::HttpResponseHeaders, name, Some(value));
    }

    fn remove_response_header(&self, name: &str) {
        let _ = hostcalls::remove_map_value(MapType::HttpResponseHeaders, name);
    }

    fn response_trailer(&self, name: &str, read: &mut Read<'_>) {
        header(MapType::HttpResponseTrailers, name, read);
    }

    fn set_response_headers(&self, headers: &[(&str, &[u8])]) {
        let _ = hostcalls::set_map_bytes(MapType::HttpResponseHeaders, headers.to_vec());
    }

    fn response_body(&self, bytes: usize, read: &mut Read<'_>) {
        read(&buffer(BufferType::HttpResponseBody, bytes));
    }

    fn property(&self, path: &[&str], read: &mut Read<'_>) {
        if let Ok(Some(value)) = hostcalls::get_property(path.to_vec()) {
            read(&value);
        }
    }

    fn set_property(&self, name: &str, value: &[u8]) {
        let _ = hostcalls::set_property(vec![name], Some(value));
    }

    fn keep_property(&self, name: &str) {
        // envoy.source.extensions.common.wasm.DeclarePropertyArguments: name = 1, span = 5 (DownstreamRequest = 1). Declaring twice
        // is refused and changes nothing.
        let mut declaration = vec![0x0a, u8::try_from(name.len()).unwrap_or_default()];
        declaration.extend_from_slice(name.as_bytes());
        declaration.extend_from_slice(&[0x28, 1]);
        let _ = hostcalls::call_foreign_function("declare_property", Some(&declaration));
    }

    fn clear_route_cache(&self) -> bool {
        hostcalls::call_foreign_function("clear_route_cache", None).is_ok()
    }

    fn respond(&self, status: u16, headers: &[(&str, &str)], body: &[u8]) {
        let _ = hostcalls::send_http_response(status.into(), headers.to_vec(), Some(body));
    }

    fn respond_grpc(&self, status: GrpcStatus, message: &str) {
        let code = match status {
            GrpcStatus::DeadlineExceeded => GrpcStatusCode::DeadlineExceeded,
        };
        let _ = hostcalls::send_grpc_response(code, Some(message), Vec::new());
    }

    fn resume_response(&self) {
        let _ = hostcalls::resume_http_response();
    }

    fn callout(&self, cluster: &str, headers: &[(&str, &str)], body: &[u8], timeout: Millis) -> Option<u32> {
        let body = Some(body).filter(|body| !body.is_empty());
        let timeout = Duration::from_millis(timeout.0);
        hostcalls::dispatch_http_call(cluster, headers.to_vec(), body, Vec::new(), timeout).ok()
    }

    fn callout_answer(&self, body_bytes: usize) -> CalloutAnswer {
        CalloutAnswer {
            headers: hostcalls::get_map_bytes(MapType::HttpCallResponseHeaders).unwrap_or_default(),
            body: buffer(BufferType::HttpCallResponseBody, body_bytes),
        }
    }

    fn shared(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        match hostcalls::get_shared_data(key) {
            Ok((Some(value), version)) => Some((value, version.unwrap_or_default())),
            _ => None,
        }
    }

    fn set_shared(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Contended> {
        hostcalls::set_shared_data(key, Some(value), version).map_err(|_| Contended)
    }

    fn queue(&self, name: &str) -> Option<u32> {
        hostcalls::register_shared_queue(name).ok()
    }

    fn enqueue(&self, queue: u32, item: &[u8]) -> bool {
        hostcalls::enqueue_shared_queue(queue, Some(item)).is_ok()
    }

    fn dequeue(&self, queue: u32) -> Option<Vec<u8>> {
        hostcalls::dequeue_shared_queue(queue).ok().flatten()
    }

    fn metric(&self, kind: MetricKind, name: &str) -> Option<u32> {
        let kind = match kind {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Gauge => MetricType::Gauge,
            MetricKind::Histogram => MetricType::Histogram,
        };
        hostcalls::define_metric(kind, name).ok()
    }

    fn add_metric(&self, metric: u32, by: u64) {
        let _ = hostcalls::increment_metric(metric, i64::try_from(by).unwrap_or(i64::MAX));
    }

    fn record_metric(&self, metric: u32, value: u64) {
        let _ = hostcalls::record_metric(metric, value);
    }

    fn read_metric(&self, metric: u32) -> u64 {
        hostcalls::get_metric(metric).unwrap_or_default()
    }

    fn open_stream(&self, target: &str, service: &str, method: &str, authorization: &str) -> Option<u32> {
        let mut headers = Vec::new();
        if !authorization.is_empty() {
            headers.push(("authorization", authorization.as_bytes()));
        }
        hostcalls::open_grpc_stream(target, service, method, headers).ok()
    }

    fn send(&self, stream: u32, message: &[u8]) -> bool {
        hostcalls::send_grpc_stream_message(stream, Some(message), false).is_ok()
    }

    fn message(&self, bytes: usize) -> Vec<u8> {
        buffer(BufferType::GrpcReceiveBuffer, bytes)
    }

    fn forget_stream(&self, stream: u32) {
        let _ = hostcalls::close_grpc_stream(stream);
    }

    fn reset_stream(&self, stream: u32) {
        let _ = hostcalls::cancel_grpc_stream(stream);
    }
}

/// Without the 128 bits of [`Duration::as_micros`], which cost code.
const fn micros(duration: Duration) -> Micros {
    Micros(duration.as_secs().saturating_mul(1_000_000).saturating_add(duration.subsec_micros() as u64))
}

fn header(map: MapType, name: &str, read: &mut Read<'_>) {
    if let Ok(Some(value)) = hostcalls::get_map_value_bytes(map, name) {
        read(&value);
    }
}

fn buffer(kind: BufferType, bytes: usize) -> Vec<u8> {
    if bytes == 0 {
        return Vec::new();
    }
    // `start + size` must not wrap in the host's 32 bits.
    hostcalls::get_buffer(kind, 0, bytes.min(i32::MAX as usize)).ok().flatten().unwrap_or_default()
}
