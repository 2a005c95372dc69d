//! What happens when Envoy calls: on a worker for a stream, on the main thread for ticks and the streams to the control plane.
//!
//! What ends or moves a stream on (`abi::respond`, `abi::resume`) may call further hooks of it before it returns, so it is done last,
//! when nothing of ours is in use any more.

use std::sync::atomic::{AtomicU64, Ordering};

use emac_filter::host::CalloutAnswer;
use emac_filter::stream::{Flow, Stream};
use emac_filter::vm::Vm;

use crate::abi::{self, Go, Header, Level, Piece, Slot};
use crate::control::{self, StreamKey};
use crate::host::Native;
use crate::worker::{self, Worker};
use crate::{metrics, process};

/// Where Envoy called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    ConfigNew,
    ConfigDestroy,
    Tick,
    New,
    Destroy,
    RequestHeaders,
    RequestBody,
    RequestTrailers,
    ResponseHeaders,
    ResponseBody,
    ResponseTrailers,
    Complete,
    Woken,
    Callout,
    Stream,
    /// Not a hook: another copy of this shared object asks.
    Copies,
    /// Not a hook: our own thread.
    Clock,
}

impl Hook {
    const fn name(self) -> &'static str {
        match self {
            Self::ConfigNew => "config_new",
            Self::ConfigDestroy => "config_destroy",
            Self::Tick => "tick",
            Self::New => "new",
            Self::Destroy => "destroy",
            Self::RequestHeaders => "request_headers",
            Self::RequestBody => "request_body",
            Self::RequestTrailers => "request_trailers",
            Self::ResponseHeaders => "response_headers",
            Self::ResponseBody => "response_body",
            Self::ResponseTrailers => "response_trailers",
            Self::Complete => "complete",
            Self::Woken => "woken",
            Self::Callout => "callout",
            Self::Stream => "stream",
            Self::Copies => "copies",
            Self::Clock => "clock",
        }
    }

    /// Panics where a test wants it to: with `EMAC_PROVOKE=<name of the hook>` in the environment of a build that has the feature.
    #[cfg(feature = "provoke")]
    #[allow(clippy::panic)]
    pub(crate) fn provoke(self) {
        if std::env::var("EMAC_PROVOKE").is_ok_and(|name| name == self.name()) {
            panic!("provoked in {}", self.name());
        }
    }

    #[cfg(not(feature = "provoke"))]
    #[inline]
    pub(crate) const fn provoke(self) {}
}

/// What a test wants the proxy to lack: `EMAC_PROVOKE=lack`, in a build that has the feature.
#[cfg(feature = "provoke")]
pub(crate) fn provoked_lack() -> Option<&'static str> {
    std::env::var("EMAC_PROVOKE").is_ok_and(|name| name == "lack").then_some("what a test wants it to lack")
}

#[cfg(not(feature = "provoke"))]
#[inline]
pub(crate) const fn provoked_lack() -> Option<&'static str> {
    None
}

/// Counts a panic, and says it: at first each, then ever more seldom.
pub(crate) fn on_panic(hook: Hook) {
    static PANICS: AtomicU64 = AtomicU64::new(0);
    let panics = PANICS.fetch_add(1, Ordering::Relaxed) + 1;
    metrics::internal_error();
    // Perhaps there will be no tick.
    metrics::flush_soon();
    if panics.is_power_of_two() {
        let name = hook.name();
        abi::log(
            Level::Warn,
            &format!(
                "emac: panic in {name} ({panics} so far in this process), the request passes and counts kept by this worker since its \
                 last report are lost; please report it with the message on stderr"
            ),
        );
    }
}

/// A configuration, on the main thread.
pub(crate) fn on_config(number: u32, json: Vec<u8>) {
    process::define(number);
    Hook::ConfigNew.provoke();
    process::add_config(number, json);
}

/// A configuration is gone, on whatever thread had it last.
pub(crate) fn on_config_gone(number: u32) {
    process::remove_config(number);
    Hook::ConfigDestroy.provoke();
}

/// On the main thread, as often as configured.
pub(crate) fn on_tick(number: u32) {
    process::ticked();
    Hook::Tick.provoke();
    process::turn(number);
}

/// A stream; its state comes with its request.
pub(crate) fn on_new(_slot: Slot, _config: u32) {
    Hook::New.provoke();
}

pub(crate) fn on_destroy(slot: Slot) {
    worker::close(slot);
    Hook::Destroy.provoke();
}

pub(crate) fn on_request_headers(slot: Slot, end: bool) -> Go {
    let Some(config) = abi::config_of(slot) else { return Go::On };
    let open = move |worker: &mut Worker, host: &Native| {
        Hook::RequestHeaders.provoke();
        worker.open(slot, config);
        worker.run(slot, host, |stream, vm, host| stream.on_request_headers(vm, host, end))
    };
    go(worker::with(open).flatten())
}

pub(crate) fn on_request_body(slot: Slot, end: bool) {
    let bytes = abi::body_bytes(slot, Piece::Request);
    on_stream(slot, Hook::RequestBody, move |stream, vm, host| stream.on_request_body(vm, host, bytes, end));
}

pub(crate) fn on_request_trailers(slot: Slot) {
    on_stream(slot, Hook::RequestTrailers, |stream, vm, host| stream.on_request_end(vm, host));
}

pub(crate) fn on_response_headers(slot: Slot, end: bool) -> Go {
    go(on_stream(slot, Hook::ResponseHeaders, move |stream, vm, host| {
        stream.on_response_headers(vm, host, end)
    }))
}

pub(crate) fn on_response_body(slot: Slot, end: bool) -> Go {
    let bytes = abi::body_bytes(slot, Piece::Response);
    go(on_stream(slot, Hook::ResponseBody, move |stream, _, host| stream.on_response_body(host, bytes, end)))
}

pub(crate) fn on_response_trailers(slot: Slot) -> Go {
    go(on_stream(slot, Hook::ResponseTrailers, |stream, _, host| stream.on_response_trailers(host)))
}

pub(crate) fn on_complete(slot: Slot) {
    on_stream(slot, Hook::Complete, |stream, vm, host| {
        host.end();
        stream.on_log(vm, host);
    });
    metrics::flush_by_stream(slot);
}

/// The alarm of this worker went off.
pub(crate) fn on_woken(_slot: Slot) {
    worker::on_alarm();
}

/// A callout was answered, or was not.
pub(crate) fn on_callout(slot: Slot, id: u64, answer: Option<(Vec<Header>, Vec<u8>)>) {
    let deliver = move |worker: &mut Worker, host: &Native| {
        Hook::Callout.provoke();
        let (headers, body) = answer.unwrap_or_default();
        let sizes = (headers.len(), body.len());
        host.deliver(CalloutAnswer { headers, body });
        worker.on_callout(slot, id, host, sizes);
    };
    worker::with(deliver);
}

/// Lets a response go on that waits for nobody.
pub(crate) fn release(slot: Slot) {
    let known = move |worker: &mut Worker, _: &Native| worker.knows(slot);
    if abi::is_held(slot) && worker::with(known) == Some(false) {
        abi::resume(slot);
    }
}

pub(crate) fn on_stream_headers(key: StreamKey, headers: &[Header], end: bool) {
    Hook::Stream.provoke();
    control::on_headers(key, headers, end);
    process::hear();
}

pub(crate) fn on_stream_data(key: StreamKey, bytes: Vec<u8>, end: bool) {
    Hook::Stream.provoke();
    control::on_data(key, bytes, end);
    process::hear();
}

pub(crate) fn on_stream_gone(key: StreamKey) {
    control::on_gone(key);
    Hook::Stream.provoke();
    process::hear();
}

fn on_stream<R: Send>(
    slot: Slot,
    hook: Hook,
    work: impl FnOnce(&mut Stream, &mut Vm, &Native) -> R + Send,
) -> Option<R> {
    worker::with(move |worker, host| {
        hook.provoke();
        worker.run(slot, host, work)
    })
    .flatten()
}

fn go(flow: Option<Flow>) -> Go {
    match flow {
        Some(Flow::Pause) => Go::Wait,
        Some(Flow::Continue) | None => Go::On,
    }
}
