//! The bound of a call: from the end of the request to the first byte of its answer, by the filter's own timer.
//!
//! Not by `x-envoy-upstream-rq-timeout-ms`: that header replaces the route's timeout, also with a longer one, bounds the whole of an answer
//! that has begun well, begins before a slow upload has ended, and makes the proxy count a host as failing that was only given up on. A
//! call that is cut here ends for its upstream as if the caller had left.

use std::cell::RefCell;
use std::rc::Weak;

use emac_core::outcome::Outcome;

use super::Stream;
use super::call::CallState;
use super::fallback::{self, Replaced};
use crate::host::{GrpcStatus, Host};
use crate::vm::counters::Event;
use crate::vm::timers::Ticks;
use crate::vm::{Asked, Vm, live};

const WHY: &str = "no answer within the time that the journey can give";

/// The request was sent: its answer is due.
pub(super) fn arm(
    call: &mut CallState,
    vm: &mut Vm,
    host: &dyn Host,
    ticks: &Ticks,
    (id, stream): (u32, &Weak<RefCell<Stream>>),
) {
    let (Some(bound), None) = (call.bound.take(), call.timer) else { return };
    // Read as this callback began.
    let now = vm.uptime();
    let at = now.after(bound.to_micros());
    vm.timers.set(at, id, Weak::clone(stream));
    call.timer = Some(at);
    ticks.hurry(host, now, at);
}

/// The answer has begun, or the request is over.
pub(super) fn disarm(call: &mut CallState, vm: &mut Vm, id: u32) {
    call.bound = None;
    if let Some(at) = call.timer.take() {
        vm.timers.clear(at, id);
    }
}

/// There was no answer in time: somebody else's, or none.
pub(super) fn expire(
    call: &mut CallState,
    vm: &mut Vm,
    host: &dyn Host,
    (id, stream): (u32, &Weak<RefCell<Stream>>),
) {
    call.timer = None;
    if call.request != 0 && live::is_over(host, call.request, host.now()) {
        // Nobody waits for the journey any more; what goes on in its name has no deadline.
        return vm.counters.add(Event::Late);
    }
    if !call.still_acts(vm) {
        // Enforcement was stopped while it waited: it waits as if there were no filter.
        return;
    }
    match fallback::after_timeout(call, vm, host) {
        Replaced::Answered => {}
        Replaced::Asked(token) => vm.asked.push(Asked { token, id, stream: Weak::clone(stream) }),
        Replaced::No => cut(call, host),
    }
}

/// Ends a call that nobody answered.
pub(super) fn cut(call: &mut CallState, host: &dyn Host) {
    call.ending = Some(Outcome::Timeout);
    call.settled = true;
    if call.grpc {
        // UNAVAILABLE would be retried by default policies.
        host.respond_grpc(GrpcStatus::DeadlineExceeded, WHY);
    } else {
        host.respond(504, &[], WHY.as_bytes());
    }
}
