//! When calls are cut: the streams of this VM whose bound ends, in order of time.
//!
//! The proxy lends ticks, not timers, so a listener's tick is brought forward to the earliest end ([`Ticks`]). Time here is the proxy's
//! monotonic clock: a clock that is set must cut nothing. As many entries as calls are under way.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use emac_core::units::{Micros, Millis};

use crate::host::Host;
use crate::stream::Stream;

/// Streams by the time at which they want to be woken.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// Ascending. Ends mostly come in the order of beginnings, so that inserting is appending.
    due: Vec<Timer>,
}

#[derive(Debug)]
struct Timer {
    at: Micros,
    id: u32,
    stream: Weak<RefCell<Stream>>,
}

impl Timers {
    /// Wakes a stream once, at a time of [`Host::uptime`].
    pub(crate) fn set(&mut self, at: Micros, id: u32, stream: Weak<RefCell<Stream>>) {
        let place = self.due.partition_point(|timer| (timer.at, timer.id) < (at, id));
        self.due.insert(place, Timer { at, id, stream });
    }

    /// It needs not be woken any more.
    pub(crate) fn clear(&mut self, at: Micros, id: u32) {
        let place = self.due.partition_point(|timer| (timer.at, timer.id) < (at, id));
        if self.due.get(place).is_some_and(|timer| (timer.at, timer.id) == (at, id)) {
            self.due.remove(place);
        }
    }

    /// The streams to be woken by `now`; those that are gone are left out.
    pub(crate) fn take_due(&mut self, now: Micros) -> Vec<(u32, Rc<RefCell<Stream>>)> {
        let count = self.due.partition_point(|timer| timer.at <= now);
        let due = self.due.drain(..count);
        due.filter_map(|timer| Some((timer.id, timer.stream.upgrade()?))).collect()
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Micros> {
        self.due.first().map(|timer| timer.at)
    }

    /// The same, and whose it is.
    pub(crate) fn first(&self) -> Option<(Micros, u32)> {
        self.due.first().map(|timer| (timer.at, timer.id))
    }
}

/// The ticks of one root context: as often as configured, and sooner when a timer wants it.
#[derive(Debug)]
pub(crate) struct Ticks {
    period: Millis,
    /// When the proxy will tick next.
    next: Cell<Micros>,
    /// When the clockwork is to be turned next.
    turn: Cell<Micros>,
    /// The period was shortened for a timer.
    hurried: Cell<bool>,
}

impl Ticks {
    /// Asks for the first tick.
    pub(crate) fn start(host: &dyn Host, period: Millis) -> Self {
        host.set_tick(period);
        let next = host.uptime().after(period.to_micros());
        Self { period, next: Cell::new(next), turn: Cell::new(next), hurried: Cell::new(false) }
    }

    /// A timer was set: the tick must not come later.
    pub(crate) fn hurry(&self, host: &dyn Host, now: Micros, at: Micros) {
        if at < self.next.get() {
            self.set(host, now, at);
        }
    }

    /// A tick came. Whether it is one of the configured ones, on which the clockwork turns.
    pub(crate) fn turns(&self, now: Micros) -> bool {
        let turns = !self.hurried.get() || now >= self.turn.get();
        if turns {
            self.turn.set(now.after(self.period.to_micros()));
        }
        turns
    }

    /// The next tick after this one.
    pub(crate) fn schedule(&self, host: &dyn Host, now: Micros, timer: Option<Micros>) {
        let turn = self.turn.get();
        let at = timer.map_or(turn, |timer| timer.min(turn));
        if self.hurried.get() || at < turn {
            self.set(host, now, at);
        } else {
            self.next.set(turn);
        }
    }

    fn set(&self, host: &dyn Host, now: Micros, at: Micros) {
        // Rounded up: a tick that comes too early would have to be repeated.
        let period = Millis(at.since(now).0.div_ceil(1_000).min(self.period.0).max(1));
        host.set_tick(period);
        self.next.set(now.after(period.to_micros()));
        self.hurried.set(period != self.period);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_woken_in_order_and_only_while_they_live() {
        let stream = Stream::new(Rc::new(crate::stream::Listener::pass_through()), 1);
        let mut timers = Timers::default();
        timers.set(Micros(30), 3, Rc::downgrade(&stream));
        timers.set(Micros(10), 1, Rc::downgrade(&stream));
        timers.set(Micros(20), 2, Weak::new());
        timers.set(Micros(40), 4, Rc::downgrade(&stream));
        timers.clear(Micros(40), 4);
        timers.clear(Micros(40), 4);
        assert_eq!(timers.next(), Some(Micros(10)));
        let woken: Vec<u32> = timers.take_due(Micros(30)).into_iter().map(|(id, _)| id).collect();
        assert_eq!((woken, timers.next()), (vec![1, 3], None));
    }
}
