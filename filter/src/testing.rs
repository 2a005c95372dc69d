//! A host in memory, for tests of the logic: one process, whose VMs share data, queues and metrics through one [`World`].
//!
//! The module itself is tested under a full mock host in the crate `emac-tests`.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use emac_core::units::{Micros, Millis};

use crate::host::{CalloutAnswer, Contended, GrpcStatus, Header, Host, Level, MetricKind, Read, taken};

/// What all threads of the process share.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) shared: BTreeMap<String, (Vec<u8>, u32)>,
    pub(crate) queue: VecDeque<Vec<u8>>,
    pub(crate) metrics: Vec<(String, u64)>,
}

/// The host of one thread.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) world: Rc<RefCell<World>>,
    pub(crate) now: Cell<u64>,
    /// Where it is not the same.
    pub(crate) uptime: Cell<Option<u64>>,
    pub(crate) tick: Cell<u64>,
    pub(crate) acting: Cell<u32>,
    pub(crate) gone: Cell<bool>,
    pub(crate) resumed: Cell<u32>,
    pub(crate) configuration: RefCell<String>,
    pub(crate) request: RefCell<Vec<Header>>,
    pub(crate) response: RefCell<Vec<Header>>,
    pub(crate) properties: RefCell<BTreeMap<String, Vec<u8>>>,
    pub(crate) answer: RefCell<CalloutAnswer>,
    pub(crate) responded: RefCell<Vec<u16>>,
    pub(crate) refuses_streams: Cell<bool>,
    pub(crate) opened: Cell<u32>,
    pub(crate) sent: RefCell<Vec<Vec<u8>>>,
    pub(crate) closed: RefCell<Vec<u32>>,
    pub(crate) message: RefCell<Vec<u8>>,
    pub(crate) drawn: Cell<u64>,
}

impl Fake {
    /// Another thread of the same process.
    pub(crate) fn sibling(&self) -> Self {
        Self { world: Rc::clone(&self.world), now: self.now.clone(), ..Self::default() }
    }

    pub(crate) fn set_property(&self, path: &str, value: &[u8]) {
        self.properties.borrow_mut().insert(path.to_owned(), value.to_vec());
    }

    /// A request header as it stands.
    pub(crate) fn header(&self, name: &str) -> Option<Vec<u8>> {
        taken(|read| self.request_header(name, read), <[u8]>::to_vec)
    }

    pub(crate) fn counter(&self, name: &str) -> u64 {
        self.world.borrow().metrics.iter().find(|(known, _)| known == name).map_or(0, |(_, value)| *value)
    }
}

fn find(headers: &RefCell<Vec<Header>>, name: &str, read: &mut Read<'_>) {
    headers.borrow().iter().filter(|(key, _)| key == name).for_each(|(_, value)| read(value));
}

fn remove(headers: &RefCell<Vec<Header>>, name: &str) {
    headers.borrow_mut().retain(|(key, _)| key != name);
}

fn set(headers: &RefCell<Vec<Header>>, name: &str, value: &[u8]) {
    remove(headers, name);
    headers.borrow_mut().push((name.to_owned(), value.to_vec()));
}

impl Host for Fake {
    fn now(&self) -> Micros {
        Micros(self.now.get())
    }
    fn uptime(&self) -> Micros {
        Micros(self.uptime.get().unwrap_or(self.now.get()))
    }
    fn random(&self) -> u64 {
        self.drawn.set(self.drawn.get() + 1);
        emac_core::mix::mix(self.drawn.get())
    }
    fn log(&self, _level: Level, _message: &str) {}
    fn plugin_configuration(&self) -> Vec<u8> {
        self.configuration.borrow().clone().into_bytes()
    }
    fn set_tick(&self, period: Millis) {
        self.tick.set(period.0);
    }
    fn act_on(&self, context: u32) -> bool {
        self.acting.set(context);
        !self.gone.get()
    }
    fn request_header(&self, name: &str, read: &mut Read<'_>) {
        find(&self.request, name, read);
    }
    fn request_headers(&self, read: &mut dyn FnMut(&[u8], &[u8])) {
        self.request.borrow().iter().for_each(|(name, value)| read(name.as_bytes(), value));
    }
    fn set_request_header(&self, name: &str, value: &[u8]) {
        set(&self.request, name, value);
    }
    fn remove_request_header(&self, name: &str) {
        remove(&self.request, name);
    }
    fn request_body(&self, bytes: usize, read: &mut Read<'_>) {
        read(&vec![b'x'; bytes]);
    }
    fn response_header(&self, name: &str, read: &mut Read<'_>) {
        find(&self.response, name, read);
    }
    fn set_response_header(&self, name: &str, value: &[u8]) {
        set(&self.response, name, value);
    }
    fn remove_response_header(&self, name: &str) {
        remove(&self.response, name);
    }
    fn response_trailer(&self, name: &str, read: &mut Read<'_>) {
        find(&self.response, name, read);
    }
    fn set_response_headers(&self, headers: &[(&str, &[u8])]) {
        *self.response.borrow_mut() =
            headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
    }
    fn response_body(&self, bytes: usize, read: &mut Read<'_>) {
        read(&vec![b'x'; bytes]);
    }
    fn set_property(&self, name: &str, value: &[u8]) {
        Fake::set_property(self, name, value);
    }
    fn keep_property(&self, _name: &str) {}
    fn property(&self, path: &[&str], read: &mut Read<'_>) {
        if let Some(value) = self.properties.borrow().get(&path.join(".")) {
            read(value);
        }
    }
    fn clear_route_cache(&self) -> bool {
        true
    }
    fn respond(&self, status: u16, _headers: &[(&str, &str)], _body: &[u8]) {
        self.responded.borrow_mut().push(status);
    }
    fn respond_grpc(&self, _status: GrpcStatus, _message: &str) {
        self.responded.borrow_mut().push(200);
    }
    fn resume_response(&self) {
        self.resumed.set(self.resumed.get() + 1);
    }
    fn callout(
        &self,
        cluster: &str,
        _headers: &[(&str, &str)],
        _body: &[u8],
        _timeout: Millis,
    ) -> Option<u32> {
        (cluster != "gone").then_some(77)
    }
    fn callout_answer(&self, _body_bytes: usize) -> CalloutAnswer {
        self.answer.borrow().clone()
    }
    fn shared(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.world.borrow().shared.get(key).cloned()
    }
    fn set_shared(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Contended> {
        let mut world = self.world.borrow_mut();
        let held = world.shared.get(key).map_or(0, |(_, version)| *version);
        if version.is_some_and(|version| version != held) {
            return Err(Contended);
        }
        world.shared.insert(key.to_owned(), (value.to_vec(), held + 1));
        Ok(())
    }
    fn queue(&self, _name: &str) -> Option<u32> {
        Some(1)
    }
    fn enqueue(&self, _queue: u32, item: &[u8]) -> bool {
        self.world.borrow_mut().queue.push_back(item.to_vec());
        true
    }
    fn dequeue(&self, _queue: u32) -> Option<Vec<u8>> {
        self.world.borrow_mut().queue.pop_front()
    }
    fn metric(&self, _kind: MetricKind, name: &str) -> Option<u32> {
        let metrics = &mut self.world.borrow_mut().metrics;
        let known = metrics.iter().position(|(known, _)| known == name);
        let at = known.unwrap_or(metrics.len());
        if known.is_none() {
            metrics.push((name.to_owned(), 0));
        }
        u32::try_from(at).ok()
    }
    fn add_metric(&self, metric: u32, by: u64) {
        self.world.borrow_mut().metrics[metric as usize].1 += by;
    }
    fn record_metric(&self, metric: u32, value: u64) {
        self.world.borrow_mut().metrics[metric as usize].1 = value;
    }
    fn read_metric(&self, metric: u32) -> u64 {
        self.world.borrow().metrics[metric as usize].1
    }
    fn open_stream(&self, _target: &str, _service: &str, _method: &str, _: &str) -> Option<u32> {
        self.opened.set(self.opened.get() + 1);
        (!self.refuses_streams.get()).then(|| self.opened.get())
    }
    fn send(&self, _stream: u32, message: &[u8]) -> bool {
        self.sent.borrow_mut().push(message.to_vec());
        true
    }
    fn message(&self, _bytes: usize) -> Vec<u8> {
        self.message.borrow().clone()
    }
    fn forget_stream(&self, stream: u32) {
        self.closed.borrow_mut().push(stream);
    }
    fn reset_stream(&self, stream: u32) {
        self.closed.borrow_mut().push(stream);
    }
}
