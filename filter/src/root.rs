//! A root context: one listener direction in one VM. It reads its configuration and lends its ticks to the VM.
//!
//! The first root context of a VM that ticks drives the VM's `clockwork`; streams belong to the root context that opened them, so only
//! the driver uses them. When the driver goes (a configuration push makes new root contexts), or stops ticking, another takes over.

pub(crate) mod clockwork;
mod discovery;
mod evidence;
mod leader;
mod link;
mod published;
pub mod target;

use std::rc::Rc;

use emac_core::units::{Micros, Millis};

use crate::config::Config;
use crate::host::{Host, Level};
use crate::metrics::Metrics;
use crate::stream::Listener;
use crate::vm::Vm;
use crate::vm::counters::Event;

/// How often a filter without a readable configuration flushes its counters.
const IDLE_TICK: Millis = Millis(1_000);

/// A root context.
pub struct Root {
    id: u32,
    listener: Rc<Listener>,
    /// Among those that keep the VM alive.
    counted: bool,
}

impl Root {
    /// Lets everything pass until it is configured.
    pub fn new(id: u32) -> Self {
        Self { id, listener: Rc::new(Listener::pass_through()), counted: false }
    }

    /// What requests of this listener need to know.
    pub fn listener(&self) -> Rc<Listener> {
        Rc::clone(&self.listener)
    }

    /// Reads the configuration; when it cannot be read, everything passes.
    pub fn on_configure(&mut self, vm: &mut Vm, host: &dyn Host) {
        if !core::mem::replace(&mut self.counted, true) && vm.clockwork.enter() {
            Metrics::inherit(host);
        }
        vm.marks.configure(host);
        match Config::parse(&host.plugin_configuration()) {
            Ok(config) => {
                vm.configure(host, &config);
                // What another thread has received already rules from the first request on.
                let now = vm.read_clock(host);
                vm.read_published(host, now);
                self.listener = Rc::new(Listener::new(config, host));
            }
            Err(invalid) => {
                vm.counters.add(Event::ConfigInvalid);
                host.log(Level::Warn, &format!("emac: invalid plugin configuration, the filter passes all requests unchanged: {invalid}"));
                host.set_tick(IDLE_TICK);
                self.listener = Rc::new(Listener::pass_through());
            }
        }
    }

    /// Wakes the streams that are due, then turns the VM's clockwork, if this is the root context that drives it.
    pub fn on_tick(&mut self, vm: &mut Vm, host: &dyn Host) {
        let uptime = host.uptime();
        self.wake(vm, host, uptime);
        let Some(ticks) = self.listener.ticks() else { return self.turn(vm, host) };
        if ticks.turns(uptime) {
            self.turn(vm, host);
        }
        ticks.schedule(host, uptime, vm.timers.next());
    }

    /// An alternate that was asked when a timer fired has answered, or has not.
    pub fn on_callout(&mut self, vm: &mut Vm, host: &dyn Host, token: u32, headers: usize, body: usize) {
        let Some(place) = vm.asked.iter().position(|asked| asked.token == token) else { return };
        let asked = vm.asked.swap_remove(place);
        let Some(stream) = asked.stream.upgrade() else { return };
        // The answer lies with the root context of the stream, which need not be the one whose tick woke the stream.
        if let (true, Ok(mut stream)) = (host.act_on(asked.id), stream.try_borrow_mut()) {
            stream.on_callout(vm, host, token, headers, body);
        }
        host.act_on(self.id);
    }

    /// Wakes the streams that are due: the part of [`Root::on_tick`] that has to be done on the thread of the streams.
    pub fn on_timers(&self, vm: &mut Vm, host: &dyn Host) {
        self.wake(vm, host, host.uptime());
    }

    /// Turns the VM's clockwork, if this is the root context that drives it: the part of [`Root::on_tick`] that touches no stream.
    pub fn on_turn(&self, vm: &mut Vm, host: &dyn Host) {
        self.turn(vm, host);
    }

    fn wake(&self, vm: &mut Vm, host: &dyn Host, uptime: Micros) {
        let due = vm.timers.take_due(uptime);
        if due.is_empty() {
            return;
        }
        for (id, stream) in due {
            if let (true, Ok(mut stream)) = (host.act_on(id), stream.try_borrow_mut()) {
                stream.on_timer(vm, host);
            }
        }
        host.act_on(self.id);
    }

    fn turn(&self, vm: &mut Vm, host: &dyn Host) {
        let now = vm.read_clock(host);
        if vm.clockwork.is_driven_by(self.id, now, vm.settings.tick) {
            vm.turn(host, now);
        }
    }

    /// A message on one of the VM's streams.
    pub fn on_message(&mut self, vm: &mut Vm, host: &dyn Host, token: u32, bytes: usize) {
        vm.on_message(host, token, &host.message(bytes));
    }

    /// One of the VM's streams ended.
    pub fn on_close(&mut self, vm: &mut Vm, host: &dyn Host, token: u32, status: u32) {
        // At once, or the host keeps it and later sends on its number are lost without an error.
        host.forget_stream(token);
        vm.on_close(host, token, status);
    }

    /// The listener goes: what this root context owns goes with it, and what was counted goes on.
    pub fn on_done(&mut self, vm: &mut Vm, host: &dyn Host) {
        vm.clockwork.leave(self.id, Some(host));
        if core::mem::take(&mut self.counted) {
            vm.finish(host);
        }
    }
}
