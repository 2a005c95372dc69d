//! The port: what the filter's logic asks, answered by Envoy, by the process, or by the environment.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use emac_core::units::{Micros, Millis};
use emac_filter::host::{CalloutAnswer, Contended, GrpcStatus, Host, Level, MetricKind, Read};
use emac_filter::vm::MARK;

use crate::abi::{self, Attribute, Map, Piece, Slot};
use crate::control::Links;
use crate::{clock, identity, metrics, process};

/// Numbers of root contexts lie above those of streams.
const ROOTS: u32 = 1 << 31;

/// The number of a configuration's root context.
pub(crate) const fn root_id(config: u32) -> u32 {
    ROOTS | config
}

/// What is done when nothing of ours is in use any more.
pub(crate) enum Act {
    /// Answers the request.
    Respond { status: u16, headers: Vec<(String, Vec<u8>)>, body: Vec<u8> },
    /// A held response goes on.
    Resume,
}

/// A callout under way.
pub(crate) struct Asked {
    /// As the filter knows it.
    pub(crate) token: u32,
    pub(crate) slot: Slot,
    /// As Envoy knows it, of this stream.
    pub(crate) id: u64,
}

thread_local! {
    /// What a stream that has just been redirected said of itself, and its connection. The redirect makes a new stream at once, before
    /// anything else happens on this thread; that one takes it over. (Envoy keeps what a dynamic module sets only while the stream lasts.)
    static KEPT: RefCell<Option<(u64, Vec<u8>)>> = const { RefCell::new(None) };
}

/// Envoy 1.38 and 1.39 do not say which way a listener goes: what is not said by the configuration is taken for outbound.
fn say_direction_is_unknown() {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        abi::log(
            abi::Level::Warn,
            "emac: this Envoy does not tell a dynamic module which direction a listener has (1.40 does): requests of filters with \
             `role: auto` are taken for outbound; write `role: inbound` or `role: outbound` for each listener",
        );
    }
}

fn take_kept(slot: Slot, read: &mut Read<'_>) {
    if let Some((connection, said)) = KEPT.take()
        && abi::integer(slot, Attribute::ConnectionId) == Some(connection)
    {
        read(&said);
    }
}

/// The proxy, during one hook.
#[derive(Default)]
pub(crate) struct Native {
    config: u32,
    json: Option<Arc<[u8]>>,
    /// The main thread's streams to the control plane.
    links: Option<Rc<Links>>,
    acting: Cell<Option<Slot>>,
    acts: RefCell<Vec<(Slot, Act)>>,
    asked: RefCell<Vec<Asked>>,
    answer: RefCell<CalloutAnswer>,
    message: RefCell<Vec<u8>>,
    tick: Cell<Option<Millis>>,
    /// Streams are over: what is said of them now is for the next pass.
    ending: Cell<bool>,
}

impl Native {
    /// For the streams of a worker.
    pub(crate) fn of_worker() -> Self {
        Self::default()
    }

    /// For a root context that reads its configuration.
    pub(crate) fn configuring(config: u32, json: Arc<[u8]>) -> Self {
        Self { config, json: Some(json), ..Self::default() }
    }

    /// For the main thread's state.
    pub(crate) fn of_main(config: u32, links: Rc<Links>) -> Self {
        Self { config, links: Some(links), ..Self::default() }
    }

    /// What follows concerns this stream.
    pub(crate) fn act_for(&self, slot: Slot) {
        self.acting.set(Some(slot));
    }

    /// What follows concerns a stream that is over.
    pub(crate) fn end(&self) {
        self.ending.set(true);
    }

    /// The answer that is being delivered.
    pub(crate) fn deliver(&self, answer: CalloutAnswer) {
        self.answer.replace(answer);
    }

    /// The message that is being delivered.
    pub(crate) fn hand_over(&self, message: Vec<u8>) {
        self.message.replace(message);
    }

    /// The ticks that were asked for.
    pub(crate) fn tick(&self) -> Option<Millis> {
        self.tick.get()
    }

    /// What remains to be done, and what was asked.
    pub(crate) fn into_parts(self) -> (Vec<(Slot, Act)>, Vec<Asked>) {
        (self.acts.into_inner(), self.asked.into_inner())
    }

    fn on_stream<T>(&self, ask: impl FnOnce(Slot) -> T) -> Option<T> {
        self.acting.get().map(ask)
    }

    fn header(&self, map: Map, name: &str, read: &mut Read<'_>) {
        self.on_stream(|slot| abi::header(slot, map, name, read));
    }

    fn integer(&self, attribute: Attribute, read: &mut Read<'_>) {
        if let Some(number) = self.on_stream(|slot| abi::integer(slot, attribute)).flatten() {
            read(&number.to_le_bytes());
        }
    }

    fn text(&self, attribute: Attribute, read: &mut Read<'_>) {
        self.on_stream(|slot| abi::text(slot, attribute, read));
    }

    fn act(&self, act: Act) {
        if let Some(slot) = self.acting.get() {
            self.acts.borrow_mut().push((slot, act));
        }
    }
}

impl Host for Native {
    fn now(&self) -> Micros {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Micros(since.as_secs().saturating_mul(1_000_000).saturating_add(since.subsec_micros().into()))
    }

    fn uptime(&self) -> Micros {
        clock::uptime()
    }

    fn random(&self) -> u64 {
        getrandom::u64().unwrap_or_default()
    }

    fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Debug => abi::Level::Debug,
            Level::Info => abi::Level::Info,
            Level::Warn => abi::Level::Warn,
        };
        abi::log(level, message);
    }

    fn plugin_configuration(&self) -> Vec<u8> {
        self.json.as_deref().unwrap_or_default().to_vec()
    }

    fn set_tick(&self, period: Millis) {
        // Timers have alarms of their own (`worker::follow`); what remains is how often the clockwork turns.
        self.tick.set(Some(period));
    }

    fn act_on(&self, context: u32) -> bool {
        if context >= ROOTS {
            self.acting.set(None);
            return true;
        }
        let live = abi::is_live(context);
        if live {
            self.acting.set(Some(context));
        }
        live
    }

    fn request_header(&self, name: &str, read: &mut Read<'_>) {
        self.header(Map::Request, name, read);
    }

    fn request_headers(&self, read: &mut dyn FnMut(&[u8], &[u8])) {
        self.on_stream(|slot| abi::headers(slot, Map::Request, read));
    }

    fn set_request_header(&self, name: &str, value: &[u8]) {
        self.on_stream(|slot| abi::set_header(slot, Map::Request, name, Some(value)));
    }

    fn remove_request_header(&self, name: &str) {
        self.on_stream(|slot| abi::set_header(slot, Map::Request, name, None));
    }

    fn request_body(&self, bytes: usize, read: &mut Read<'_>) {
        self.on_stream(|slot| abi::body(slot, Piece::Request, bytes, read));
    }

    fn response_header(&self, name: &str, read: &mut Read<'_>) {
        self.header(Map::Response, name, read);
    }

    fn set_response_header(&self, name: &str, value: &[u8]) {
        self.on_stream(|slot| abi::set_header(slot, Map::Response, name, Some(value)));
    }

    fn remove_response_header(&self, name: &str) {
        self.on_stream(|slot| abi::set_header(slot, Map::Response, name, None));
    }

    fn response_trailer(&self, name: &str, read: &mut Read<'_>) {
        self.header(Map::ResponseTrailers, name, read);
    }

    fn set_response_headers(&self, headers: &[(&str, &[u8])]) {
        let Some(slot) = self.acting.get() else { return };
        let is_kept = |name: &[u8]| headers.iter().any(|(kept, _)| kept.as_bytes() == name);
        let mut gone = Vec::new();
        abi::headers(slot, Map::Response, &mut |name, _| {
            if !is_kept(name) {
                gone.push(String::from_utf8_lossy(name).into_owned());
            }
        });
        for name in &gone {
            abi::set_header(slot, Map::Response, name, None);
        }
        for (name, value) in headers {
            abi::set_header(slot, Map::Response, name, Some(value));
        }
    }

    fn response_body(&self, bytes: usize, read: &mut Read<'_>) {
        self.on_stream(|slot| abi::body(slot, Piece::Response, bytes, read));
    }

    fn property(&self, path: &[&str], read: &mut Read<'_>) {
        match path {
            ["xds", "cluster_name"] => drop(self.on_stream(|slot| abi::cluster_name(slot, read))),
            ["xds", "listener_direction"] => {
                let mut said = false;
                self.integer(Attribute::ListenerDirection, &mut |direction| {
                    said = true;
                    read(direction);
                });
                if !said {
                    say_direction_is_unknown();
                }
            }
            ["xds", "node", path @ ..] => identity::of_node(path).iter().for_each(|value| read(value)),
            ["response", "code"] => self.integer(Attribute::ResponseCode, read),
            ["response", "flags"] => self.integer(Attribute::ResponseFlags, read),
            ["response", "grpc_status"] => self.integer(Attribute::ResponseGrpcStatus, read),
            ["response", "code_details"] => self.text(Attribute::ResponseCodeDetails, read),
            ["response", "headers", name] => self.header(Map::Response, name, read),
            ["request", "method"] => self.text(Attribute::RequestMethod, read),
            ["request", "headers", name] => self.header(Map::Request, name, read),
            ["upstream", "request_attempt_count"] => self.integer(Attribute::RequestAttemptCount, read),
            [name] => {
                if let Some(slot) = self.acting.get() {
                    let mut found = false;
                    abi::state(slot, name, &mut |value| {
                        found = true;
                        read(value);
                    });
                    if !found && *name == MARK {
                        take_kept(slot, read);
                    }
                }
            }
            _ => {}
        }
    }

    fn set_property(&self, name: &str, value: &[u8]) {
        self.on_stream(|slot| {
            if self.ending.get() {
                KEPT.set(
                    abi::integer(slot, Attribute::ConnectionId)
                        .map(|connection| (connection, value.to_vec())),
                );
            } else {
                abi::set_state(slot, name, value);
            }
        });
    }

    fn keep_property(&self, _name: &str) {}

    fn clear_route_cache(&self) -> bool {
        self.on_stream(abi::clear_route_cache).unwrap_or_default()
    }

    fn respond(&self, status: u16, headers: &[(&str, &str)], body: &[u8]) {
        let headers =
            headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        self.act(Act::Respond { status, headers, body: body.to_vec() });
    }

    fn respond_grpc(&self, status: GrpcStatus, message: &str) {
        let code = match status {
            GrpcStatus::DeadlineExceeded => b"4".to_vec(),
        };
        // To a gRPC call Envoy makes trailers of it: the status that stands here, the body as the message.
        let headers = vec![("grpc-status".to_owned(), code)];
        self.act(Act::Respond { status: 200, headers, body: message.as_bytes().to_vec() });
    }

    fn resume_response(&self) {
        self.act(Act::Resume);
    }

    fn callout(&self, cluster: &str, headers: &[(&str, &str)], body: &[u8], timeout: Millis) -> Option<u32> {
        let slot = self.acting.get()?;
        let headers: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let id = abi::callout(slot, cluster, &headers, body, timeout.0)?;
        let token = process::next_token();
        self.asked.borrow_mut().push(Asked { token, slot, id });
        Some(token)
    }

    fn callout_answer(&self, _body_bytes: usize) -> CalloutAnswer {
        self.answer.take()
    }

    fn shared(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        process::shared(key)
    }

    fn set_shared(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Contended> {
        if process::set_shared(key, value, version) { Ok(()) } else { Err(Contended) }
    }

    fn queue(&self, _name: &str) -> Option<u32> {
        Some(0)
    }

    fn enqueue(&self, _queue: u32, item: &[u8]) -> bool {
        process::enqueue(item)
    }

    fn dequeue(&self, _queue: u32) -> Option<Vec<u8>> {
        process::dequeue()
    }

    fn metric(&self, kind: MetricKind, name: &str) -> Option<u32> {
        metrics::find(kind, name)
    }

    fn add_metric(&self, metric: u32, by: u64) {
        metrics::add(metric, by);
    }

    fn record_metric(&self, metric: u32, value: u64) {
        metrics::record(metric, value);
    }

    fn read_metric(&self, metric: u32) -> u64 {
        metrics::read(metric)
    }

    fn open_stream(&self, target: &str, service: &str, method: &str, authorization: &str) -> Option<u32> {
        self.links.as_ref()?.open(self.config, target, (service, method), authorization)
    }

    fn send(&self, stream: u32, message: &[u8]) -> bool {
        self.links.as_ref().is_some_and(|links| links.send(stream, message))
    }

    fn message(&self, _bytes: usize) -> Vec<u8> {
        self.message.take()
    }

    fn forget_stream(&self, _stream: u32) {}

    fn reset_stream(&self, stream: u32) {
        if let Some(links) = &self.links {
            links.reset(stream);
        }
    }
}
