//! The one thread of ours: it wakes the main thread for ticks, and workers when a timer is due. It does nothing else, so that all work is
//! done on Envoy's own threads.

use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use emac_core::units::{Micros, Millis};

use crate::abi::{self, Level, Waker};
use crate::hooks::{self, Hook};
use crate::process;

/// A worker's place among the alarms.
#[derive(Clone, Copy)]
pub(crate) struct Place(usize);

struct Clock {
    runs: bool,
    period: Duration,
    alarms: Vec<Option<(Instant, Waker)>>,
    /// When the thread will look again by itself.
    sleeps_until: Option<Instant>,
    next_tick: Option<Instant>,
}

static CLOCK: Mutex<Clock> = Mutex::new(Clock {
    runs: false,
    period: Duration::from_secs(1),
    alarms: Vec::new(),
    sleeps_until: None,
    next_tick: None,
});
static CHANGED: Condvar = Condvar::new();

/// After a panic of the thread.
const PAUSE: Duration = Duration::from_secs(1);

fn clock() -> MutexGuard<'static, Clock> {
    CLOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

/// Time since some moment of this process.
pub(crate) fn uptime() -> Micros {
    Micros(u64::try_from(origin().elapsed().as_micros()).unwrap_or(u64::MAX))
}

/// A worker gets its place.
pub(crate) fn enter() -> Place {
    let mut clock = clock();
    clock.alarms.push(None);
    Place(clock.alarms.len() - 1)
}

/// A worker is to be woken at a time of [`uptime`], and not at the one that was said before.
pub(crate) fn set(place: Place, at: Micros, waker: Waker) {
    let Some(at) = origin().checked_add(Duration::from_micros(at.0)) else { return };
    let mut clock = clock();
    let before = clock.alarms.get_mut(place.0).and_then(|alarm| alarm.replace((at, waker)));
    if clock.sleeps_until.is_some_and(|until| at < until) {
        CHANGED.notify_one();
    }
    drop(clock);
    drop(before);
}

/// A worker needs not be woken.
pub(crate) fn clear(place: Place) {
    let before = clock().alarms.get_mut(place.0).and_then(Option::take);
    drop(before);
}

/// Ticks come at least as often as this.
pub(crate) fn tick_every(period: Millis) {
    let mut clock = clock();
    let period = Duration::from_millis(period.0.max(1));
    if !clock.runs || period < clock.period {
        clock.period = period;
        clock.next_tick = None;
        CHANGED.notify_one();
    }
}

/// Starts the thread, once. Where it cannot be started, the next configuration tries again.
pub(crate) fn start() {
    let mut clock = clock();
    if clock.runs {
        return;
    }
    match std::thread::Builder::new().name("emac".to_owned()).spawn(run) {
        Ok(_) => clock.runs = true,
        Err(error) => {
            drop(clock);
            abi::log(
                Level::Warn,
                &format!(
                    "emac: no thread for the filter's clock: {error}; requests pass, nothing is reported or bounded until a configuration \
                     comes when there is room for one"
                ),
            );
        }
    }
}

/// For the process's life: what went wrong once is said, and the clock goes on.
fn run() {
    loop {
        if std::panic::catch_unwind(wake_whoever_is_due).is_err() {
            let _ = std::panic::catch_unwind(|| hooks::on_panic(Hook::Clock));
            std::thread::sleep(PAUSE);
        }
    }
}

fn wake_whoever_is_due() {
    loop {
        let mut held = clock();
        let now = Instant::now();
        for alarm in &mut held.alarms {
            if let Some((_, waker)) = alarm.take_if(|(at, _)| *at <= now) {
                waker.wake();
            }
        }
        let period = held.period;
        let next_tick = *held.next_tick.get_or_insert(now + period);
        if next_tick <= now {
            held.next_tick = Some(now + period);
            drop(held);
            Hook::Clock.provoke();
            process::wake_main();
            continue;
        }
        let next = held.alarms.iter().flatten().map(|(at, _)| *at).fold(next_tick, Instant::min);
        held.sleeps_until = Some(next);
        let waited = CHANGED.wait_timeout(held, next.saturating_duration_since(now));
        waited.unwrap_or_else(PoisonError::into_inner).0.sleeps_until = None;
    }
}
