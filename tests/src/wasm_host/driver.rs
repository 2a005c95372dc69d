//! One Envoy: its threads, its clock, and the order in which things happen.

use std::cell::{Ref, RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::control_plane::ControlPlane;
use super::fault::{Fault, HostCall};
use super::headers::Headers;
use super::request::RequestBuilder;
use super::setup::{Direction, Setup};
use super::vm::{Trap, Vm};
use super::world::{Event, HttpCall, World};

/// Callbacks one quiet point may take; more is two sides talking for ever.
const SETTLE_MAX: usize = 100_000;

/// A running Envoy. Clones are the same Envoy.
#[derive(Clone)]
pub struct Host {
    world: Rc<RefCell<World>>,
    vms: Rc<RefCell<Vec<Vm>>>,
    roots: Rc<RefCell<Vec<BTreeMap<Direction, u32>>>>,
    control_plane: Rc<RefCell<ControlPlane>>,
    frozen: Rc<RefCell<BTreeSet<usize>>>,
    setup: Rc<Setup>,
}

/// A trap is a failed test.
pub(super) fn survive<T>(result: Result<T, Trap>) -> T {
    result.unwrap_or_else(|trap| panic!("{trap}"))
}

impl Host {
    pub(super) fn start(setup: &Setup) -> Self {
        let host = Self {
            world: Rc::default(),
            vms: Rc::default(),
            roots: Rc::default(),
            control_plane: Rc::default(),
            frozen: Rc::default(),
            setup: Rc::new(setup.clone()),
        };
        (0..=setup.workers).for_each(|index| host.boot(index));
        host.settle();
        host
    }

    fn boot(&self, index: usize) {
        let mut vm = survive(Vm::new(&self.setup.module, index, Rc::clone(&self.world)));
        // Envoy keeps one root context a thread for plugins that say the same, also where listeners differ.
        let mut by_text: BTreeMap<&str, u32> = BTreeMap::new();
        let mut roots = BTreeMap::new();
        for (direction, text) in &self.setup.plugins {
            let configured = by_text.get(text.as_str()).copied();
            let root = configured.unwrap_or_else(|| survive(vm.configure(&self.setup, *direction, text)));
            by_text.insert(text, root);
            roots.insert(*direction, root);
        }
        if index < self.vms.borrow().len() {
            self.vms.borrow_mut()[index] = vm;
            self.roots.borrow_mut()[index] = roots;
        } else {
            self.vms.borrow_mut().push(vm);
            self.roots.borrow_mut().push(roots);
        }
    }

    /// The thread's VM is gone and comes back empty, as after a crash with FAIL_RELOAD.
    pub fn reload(&self, vm: usize) {
        self.world.borrow_mut().events.retain(|(of, _)| *of != vm);
        self.world.borrow_mut().http_calls.retain(|call| call.vm != vm);
        self.control_plane.borrow_mut().forget(vm, None);
        self.boot(vm);
        self.settle();
    }

    /// A listener gets a new configuration: every VM makes a new root context, then the old one goes, and its streams with it.
    pub fn reconfigure(&self, direction: Direction, text: &str) {
        let threads = self.vms.borrow().len();
        for vm in 0..threads {
            let old = self.root_of(vm, direction);
            let new = survive(self.vms.borrow_mut()[vm].configure(&self.setup, direction, text));
            self.roots.borrow_mut()[vm].insert(direction, new);
            if self.roots.borrow()[vm].values().any(|root| *root == old) {
                // The other listener still has it.
                continue;
            }
            self.call(vm, old, "proxy_on_done", &[old]);
            self.call(vm, old, "proxy_on_delete", &[old]);
            self.with_vm(vm, |vm| vm.forget_root(old));
            self.world.borrow_mut().events.retain(|(of, event)| *of != vm || event.root() != old);
            self.control_plane.borrow_mut().forget(vm, Some(old));
        }
        self.settle();
    }

    /// The thread hangs: no tick, no message reaches it until [`Host::thaw`]. What it sent is on its way.
    pub fn freeze(&self, vm: usize) {
        self.frozen.borrow_mut().insert(vm);
    }

    /// The thread goes on; what arrived meanwhile reaches it now.
    pub fn thaw(&self, vm: usize) {
        self.frozen.borrow_mut().remove(&vm);
        let now = self.world.borrow().monotonic_ms;
        for root in self.with_vm(vm, |vm| vm.state().roots()) {
            self.with_vm(vm, |vm| vm.with_root(root, |r| r.next_tick_ms = r.next_tick_ms.max(now)));
        }
        self.settle();
    }

    /// Begins a request on a listener, on the first worker unless said otherwise.
    pub fn request(&self, direction: Direction) -> RequestBuilder {
        RequestBuilder::new(self.clone(), direction)
    }

    /// Fires the tick of every root context of a VM (0 is the main thread), whatever the clock says.
    pub fn tick(&self, vm: usize) {
        let roots = self.with_vm(vm, |vm| vm.state().roots());
        for root in roots {
            let ticking = self.with_vm(vm, |vm| vm.with_root(root, |r| r.tick_period_ms > 0));
            if ticking == Some(true) {
                self.call(vm, root, "proxy_on_tick", &[root]);
            }
        }
        self.settle();
    }

    /// Moves both clocks on without firing anything.
    pub fn advance(&self, milliseconds: u64) {
        let mut world = self.world.borrow_mut();
        world.clock_ns += milliseconds * 1_000_000;
        world.monotonic_ms += milliseconds;
    }

    /// Moves both clocks on and fires every tick that falls due, in order of time, then of thread.
    pub fn run_for(&self, milliseconds: u64) {
        let end = self.world.borrow().monotonic_ms + milliseconds;
        loop {
            let now = self.world.borrow().monotonic_ms;
            match self.next_tick().filter(|(at, ..)| *at <= end) {
                Some((at, vm, root)) => {
                    self.advance(at.saturating_sub(now));
                    self.fire(vm, root);
                }
                None => return self.advance(end - now),
            }
        }
    }

    fn next_tick(&self) -> Option<(u64, usize, u32)> {
        let mut due = Vec::new();
        let threads = self.vms.borrow().len();
        for vm in (0..threads).filter(|vm| !self.frozen.borrow().contains(vm)) {
            for root in self.with_vm(vm, |vm| vm.state().roots()) {
                let next = self.with_vm(vm, |vm| {
                    vm.with_root(root, |r| (r.tick_period_ms > 0).then_some(r.next_tick_ms))
                });
                due.extend(next.flatten().map(|at| (at, vm, root)));
            }
        }
        due.into_iter().min()
    }

    fn fire(&self, vm: usize, root: u32) {
        self.with_vm(vm, |vm| vm.with_root(root, |r| r.next_tick_ms += r.tick_period_ms));
        self.call(vm, root, "proxy_on_tick", &[root]);
        self.settle();
    }

    /// Lets queues, gRPC client and control plane talk until all are quiet.
    ///
    /// # Panics
    /// On a trap, and when they never become quiet.
    pub fn settle(&self) {
        for _ in 0..SETTLE_MAX {
            self.control_plane.borrow_mut().serve(&mut self.world.borrow_mut());
            let event = self.next_event();
            match event {
                Some((vm, event)) => self.deliver(vm, event),
                None => return,
            }
        }
        panic!("the filter and its surroundings never become quiet");
    }

    fn next_event(&self) -> Option<(usize, Event)> {
        let mut world = self.world.borrow_mut();
        let ready = world.events.iter().position(|(vm, _)| !self.frozen.borrow().contains(vm))?;
        world.events.remove(ready)
    }

    /// A queue may have been registered by a root context that is gone; Envoy then tells nobody.
    fn deliver(&self, vm: usize, event: Event) {
        let root = event.root();
        if self.with_vm(vm, |vm| vm.with_root(root, |_| ())).is_none() {
            return;
        }
        match event {
            Event::QueueReady { root, queue } => self.call(vm, root, "proxy_on_queue_ready", &[root, queue]),
            Event::GrpcInitialMetadata { root, token } => {
                self.call(vm, root, "proxy_on_grpc_receive_initial_metadata", &[root, token, 0])
            }
            Event::GrpcMessage { root, token, message } => self.grpc_message(vm, root, token, message),
            Event::GrpcClosed { root, token, status, message } => {
                self.grpc_closed(vm, root, token, (status, message))
            }
        };
    }

    fn grpc_message(&self, vm: usize, root: u32, token: u32, message: Vec<u8>) -> u32 {
        // A message for a stream that the filter closed meanwhile never arrives.
        let open =
            self.with_vm(vm, |vm| vm.state().grpc.get(&token).is_some_and(|handle| !handle.local_closed));
        if !open {
            return 0;
        }
        let len = message.len() as u32;
        self.with_vm(vm, |vm| vm.with_root(root, |r| r.grpc_message = Some(message)));
        self.with_vm(vm, |vm| vm.state().receiving = token);
        let result = self.call(vm, root, "proxy_on_grpc_receive", &[root, token, len]);
        self.with_vm(vm, |vm| vm.state().receiving = 0);
        self.with_vm(vm, |vm| vm.with_root(root, |r| r.grpc_message = None));
        result
    }

    fn grpc_closed(&self, vm: usize, root: u32, token: u32, status: (u32, Vec<u8>)) -> u32 {
        self.with_vm(vm, |vm| {
            if let Some(handle) = vm.state().grpc.get_mut(&token) {
                handle.remote_closed = true;
                if handle.local_closed {
                    vm.state().grpc.remove(&token);
                }
            }
        });
        let code = status.0;
        self.with_vm(vm, |vm| vm.with_root(root, |r| r.status = status));
        let result = self.call(vm, root, "proxy_on_grpc_close", &[root, token, code]);
        self.with_vm(vm, |vm| vm.with_root(root, |r| r.status.1.clear()));
        result
    }

    /// Answers every HTTP call still open with a 200, also those whose stream is over.
    pub fn answer_every_http_call(&self) {
        let calls = self.world.borrow().http_calls.clone();
        for call in &calls {
            self.end_http_call(call, Some((Headers::of([(":status", "200")]), Vec::new())));
        }
        self.settle();
    }

    pub(super) fn end_http_call(&self, call: &HttpCall, answer: Option<(Headers, Vec<u8>)>) {
        let (vm, root, token) = (call.vm, call.root, call.token);
        self.world.borrow_mut().http_calls.retain(|other| (other.vm, other.token) != (vm, token));
        let (count, len) = answer.as_ref().map_or((0, 0), |(headers, body)| (headers.len(), body.len()));
        self.with_vm(vm, |vm| vm.with_root(root, |root| root.http_call = answer));
        let args = [root, token, count as u32, len as u32, 0];
        self.call(vm, root, "proxy_on_http_call_response", &args);
        self.with_vm(vm, |vm| vm.with_root(root, |root| root.http_call = None));
    }

    pub(super) fn call(&self, vm: usize, context: u32, name: &str, args: &[u32]) -> u32 {
        survive(self.vms.borrow_mut()[vm].call(context, name, args))
    }

    pub(super) fn with_vm<R>(&self, vm: usize, act: impl FnOnce(&mut Vm) -> R) -> R {
        act(&mut self.vms.borrow_mut()[vm])
    }

    /// # Panics
    /// Without a listener of that direction.
    pub(super) fn root_of(&self, vm: usize, direction: Direction) -> u32 {
        *self.roots.borrow()[vm].get(&direction).expect("no listener of this direction was set up")
    }

    /// A VM, for its numbers.
    pub fn vm(&self, vm: usize) -> Ref<'_, Vm> {
        Ref::map(self.vms.borrow(), |vms| &vms[vm])
    }

    /// The shared state, to look at or to bend: clock, log, missing clusters.
    pub fn world(&self) -> RefMut<'_, World> {
        self.world.borrow_mut()
    }

    /// The other end of the filter's streams. Call [`Host::settle`] after changing it.
    pub fn control_plane(&self) -> RefMut<'_, ControlPlane> {
        self.control_plane.borrow_mut()
    }

    /// The control plane stops: every stream breaks with UNAVAILABLE, new ones are refused.
    pub fn kill_control_plane(&self) {
        self.control_plane.borrow_mut().kill(&mut self.world.borrow_mut());
        self.settle();
    }

    /// Arms a fault.
    pub fn inject(&self, fault: Fault) {
        self.world.borrow_mut().faults.arm(fault);
    }

    /// Disarms every fault; how many calls were made to fail so far.
    pub fn clear_faults(&self) -> u64 {
        let mut world = self.world.borrow_mut();
        world.faults.clear();
        world.faults.struck()
    }

    /// How often a host call was made, over all VMs.
    pub fn calls(&self, call: HostCall) -> u64 {
        self.world.borrow().faults.count(call)
    }

    /// How many host calls were made, over all VMs.
    pub fn calls_total(&self) -> u64 {
        self.world.borrow().faults.total()
    }

    /// How often each host call was made, over all VMs.
    pub fn calls_by_kind(&self) -> BTreeMap<HostCall, u64> {
        self.world.borrow().faults.counts().clone()
    }

    /// How many host calls handed bytes over, over all VMs: the dear ones, as the module is called back for room.
    pub fn calls_with_bytes(&self) -> u64 {
        self.world.borrow().faults.given()
    }

    /// Counters and gauges by name, summed over the process.
    pub fn metric(&self, name: &str) -> u64 {
        let world = self.world.borrow();
        let found = world.metrics.counters.get(name).or_else(|| world.metrics.gauges.get(name));
        found.copied().unwrap_or(0)
    }

    /// Every counter and gauge whose name contains all of the parts, summed.
    pub fn metric_sum(&self, parts: &[&str]) -> u64 {
        let world = self.world.borrow();
        let all = world.metrics.counters.iter().chain(world.metrics.gauges.iter());
        all.filter(|(name, _)| parts.iter().all(|part| name.contains(part))).map(|(_, value)| value).sum()
    }

    /// Values recorded in the histograms whose name contains all of the parts.
    pub fn histogram(&self, parts: &[&str]) -> Vec<u64> {
        let world = self.world.borrow();
        let named =
            world.metrics.histograms.iter().filter(|(name, _)| parts.iter().all(|part| name.contains(part)));
        named.flat_map(|(_, values)| values.iter().copied()).collect()
    }

    /// Names of every metric there is.
    pub fn metric_names(&self) -> Vec<String> {
        let world = self.world.borrow();
        let metrics = &world.metrics;
        metrics
            .counters
            .keys()
            .chain(metrics.gauges.keys())
            .chain(metrics.histograms.keys())
            .cloned()
            .collect()
    }

    /// The value of a shared-data key.
    pub fn shared_data(&self, key: &str) -> Option<Vec<u8>> {
        self.world.borrow().shared_data.get(key.as_bytes()).map(|(value, _)| value.clone())
    }

    /// Every shared-data key.
    pub fn shared_keys(&self) -> Vec<String> {
        self.world.borrow().shared_data.keys().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }

    /// Bytes held in shared data.
    pub fn shared_bytes(&self) -> usize {
        self.world.borrow().shared_data.bytes()
    }

    /// Messages waiting in shared queues.
    pub fn queued(&self) -> usize {
        self.world.borrow().queues.len()
    }

    /// Log lines at or above a level that contain a text.
    pub fn logged(&self, level: u32, text: &str) -> usize {
        let world = self.world.borrow();
        world.log.iter().filter(|line| line.level >= level && line.text.contains(text)).count()
    }
}
