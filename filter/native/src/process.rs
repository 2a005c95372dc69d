//! What the threads of the process share: its configurations, and the main thread's own state, which sees no requests but keeps the
//! streams to the control plane.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use emac_core::units::Millis;
use emac_filter::root::Root;
use emac_filter::vm::Vm;

use crate::abi::{self, Confined, Level, MainWaker};
use crate::control::Links;
use crate::host::{Native, root_id};
use crate::{clock, metrics, worker};

struct Known {
    json: Arc<[u8]>,
    waker: Option<MainWaker>,
}

static KNOWN: Mutex<BTreeMap<u32, Known>> = Mutex::new(BTreeMap::new());
static MAIN: Confined<Main> = Confined::new(Main::default);
/// The configuration that has the streams to the control plane; 0: none.
static HOST: Mutex<u32> = Mutex::new(0);
static MOVED: Condvar = Condvar::new();
/// How long a worker waits for the main thread, which does nothing long.
const MOVE_MAX: Duration = Duration::from_millis(500);
/// The main thread was woken and has not come yet.
static ASKED: AtomicBool = AtomicBool::new(false);

fn known() -> MutexGuard<'static, BTreeMap<u32, Known>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The main thread's state.
#[derive(Default)]
struct Main {
    vm: Vm,
    /// Of the configuration that hosts the streams.
    root: Option<(u32, Root)>,
    links: Rc<Links>,
}

/// What a configuration that is being made shows, first of all: also that nothing came of it.
pub(crate) fn define(number: u32) {
    if abi::lacks().is_none() {
        metrics::define(number);
    }
}

/// A configuration, on the main thread.
pub(crate) fn add_config(number: u32, json: Vec<u8>) {
    if let Some(missing) = abi::lacks() {
        abi::log(
            Level::Warn,
            &format!(
                "emac: this Envoy lacks {missing}: libemac_filter.so is for Envoy 1.38 to 1.40 and lets all requests pass unchanged; take \
                 the wasm module with this Envoy"
            ),
        );
        return;
    }
    abi::meet_other_copies();
    known().insert(number, Known { json: json.into(), waker: MainWaker::new(number) });
    set_shared(HOSTING_COPY, &own_id(), None);
    abi::take_over();
    MAIN.with(Main::adopt);
    // Also those of the copy before, whose names have just been read.
    metrics::keep(number);
    clock::start();
}

/// A configuration is gone.
pub(crate) fn remove_config(number: u32) {
    // Dropped outside the lock: it asks the proxy to forget the waker.
    let removed = known().remove(&number);
    drop(removed);
    if known().is_empty() {
        if *hosts() == number && !abi::is_at_home(number) {
            // No other is left by which the main thread could be woken to end them.
            say_streams_end_elsewhere();
        }
        // Perhaps another copy goes on: what was counted is written, what was not reported is left where it finds it.
        worker::finish_all();
        MAIN.with(Main::adopt);
        metrics::flush(number);
        if is_hosting_copy() {
            set_shared(HOSTING_COPY, &[], None);
        }
    }
    metrics::forget(number);
    // Whoever was woken by it does not come any more.
    ASKED.store(false, Ordering::Release);
    if *hosts() != number {
        return;
    }
    if abi::is_at_home(number) {
        MAIN.with(Main::adopt);
        return;
    }
    // The newest goes, and nothing newer has come: its listener was removed. The main thread ends its streams, woken by another.
    wake_main();
    let waits = MOVED.wait_timeout_while(hosts(), MOVE_MAX, |host| *host == number);
    let (host, _) = waits.unwrap_or_else(PoisonError::into_inner);
    if *host == number {
        say_streams_end_elsewhere();
    }
}

fn say_streams_end_elsewhere() {
    metrics::internal_error();
    abi::log(
        Level::Warn,
        "emac: the last configuration of the filter went on a worker while its streams to the control plane were open: Envoy ends them on \
         the wrong thread; replace a listener instead of removing it, or restart this Envoy",
    );
}

fn hosts() -> MutexGuard<'static, u32> {
    HOST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which copy of this shared object has the streams to the control plane: the one that was configured last.
const HOSTING_COPY: &str = "emac.copy";

fn own_id() -> [u8; 8] {
    static ID: OnceLock<[u8; 8]> = OnceLock::new();
    *ID.get_or_init(|| (getrandom::u64().unwrap_or_default() | 1).to_le_bytes())
}

/// Whether it is this one; where none is, this one may be.
fn is_hosting_copy() -> bool {
    shared(HOSTING_COPY).is_none_or(|(id, _)| id.is_empty() || id == own_id())
}

/// Another copy takes over; on the main thread.
pub(crate) fn let_go() {
    MAIN.with(Main::adopt);
}

/// What a configuration says.
pub(crate) fn json_of(config: u32) -> Option<Arc<[u8]>> {
    known().get(&config).map(|known| Arc::clone(&known.json))
}

/// Ends the root contexts of configurations that are gone.
pub(crate) fn retain_live(roots: &mut Vec<(u32, Root)>, vm: &mut Vm, host: &Native) {
    let live: Vec<u32> = known().keys().copied().collect();
    roots.retain_mut(|(config, root)| {
        let live = live.contains(config);
        if !live {
            root.on_done(vm, host);
        }
        live
    });
}

/// Wakes the main thread, by its newest configuration. From the clock's thread.
pub(crate) fn wake_main() {
    if ASKED.swap(true, Ordering::AcqRel) {
        return;
    }
    let known = known();
    match known.values().rev().find_map(|known| known.waker.as_ref()) {
        Some(waker) => waker.wake(),
        None => ASKED.store(false, Ordering::Release),
    }
}

/// The main thread has come.
pub(crate) fn ticked() {
    ASKED.store(false, Ordering::Release);
}

/// One tick: first the streams to the control plane, so that workers find what it said; then theirs; then Envoy's counters.
pub(crate) fn turn(config: u32) {
    MAIN.with(Main::adopt);
    MAIN.with(Main::turn);
    worker::turn_all();
    if abi::has_config_metrics() {
        metrics::flush(config);
    } else {
        metrics::flush_soon();
    }
}

/// Something came on a stream to the control plane. What comes while the state is in use waits for its user.
pub(crate) fn hear() {
    MAIN.with(Main::hear);
}

impl Main {
    /// Lets the newest configuration host the streams to the control plane, and the one before none any more: a push replaces
    /// configurations, and the last user of an old one may be a worker, on whose thread Envoy would end streams of the main thread.
    fn adopt(&mut self) {
        let newest = || known().iter().next_back().map(|(number, known)| (*number, Arc::clone(&known.json)));
        let newest = if is_hosting_copy() { newest() } else { None };
        let Self { vm, root, links } = self;
        if root.as_ref().map(|(config, _)| *config) == newest.as_ref().map(|(config, _)| *config) {
            return;
        }
        let host = |config| Native::of_main(config, Rc::clone(links));
        let next = newest.map(|(config, json)| {
            let mut root = Root::new(root_id(config));
            let host = Native::configuring(config, json);
            root.on_configure(vm, &host);
            clock::tick_every(host.tick().unwrap_or(Millis(1_000)));
            (config, root)
        });
        if let Some((config, mut before)) = core::mem::replace(root, next) {
            before.on_done(vm, &host(config));
            links.end_doomed();
        }
        let hosting = root.as_ref().map_or(0, |(config, _)| *config);
        *hosts() = hosting;
        MOVED.notify_all();
    }

    fn turn(&mut self) {
        self.hear();
        self.links.end_doomed();
        let Self { vm, root, links } = self;
        if let Some((config, root)) = root {
            root.on_turn(vm, &Native::of_main(*config, Rc::clone(links)));
        }
        self.hear();
    }

    fn hear(&mut self) {
        let Self { vm, root, links } = self;
        if let Some((config, root)) = root {
            let host = Native::of_main(*config, Rc::clone(links));
            links.hear(|told| crate::control::deliver(told, root, vm, &host));
        }
    }
}

// --------------------------------------------------------------------------------------- what wasm calls shared data and shared queues

/// Keys are few and of fixed tables, but for those of requests under way: these are spread over several locks.
const SHARDS: usize = 16;
/// Deltas of a process nobody fetches are no more than this; a control plane that comes back gets what its leader kept.
const QUEUE_MAX: usize = 1_024;

type Shared = HashMap<String, (Vec<u8>, u32)>;

static SHARED: [Mutex<Option<Shared>>; SHARDS] = [const { Mutex::new(None) }; SHARDS];
static QUEUE: Mutex<VecDeque<Vec<u8>>> = Mutex::new(VecDeque::new());

fn with_shard<T>(key: &str, work: impl FnOnce(&mut Shared) -> T) -> Option<T> {
    // FNV-1a.
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let shard = SHARED.get((hash >> 32) as usize % SHARDS)?;
    Some(work(shard.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Shared::new)))
}

/// A value all threads share, and its version.
pub(crate) fn shared(key: &str) -> Option<(Vec<u8>, u32)> {
    abi::shared_elsewhere(key).unwrap_or_else(|| own_shared(key))
}

/// Writes it; with a version, only over that one. `false`: it is another.
pub(crate) fn set_shared(key: &str, value: &[u8], version: Option<u32>) -> bool {
    abi::set_elsewhere(key, value, version).unwrap_or_else(|| set_own_shared(key, value, version))
}

/// Appends to the queue; `false`: it is full.
pub(crate) fn enqueue(item: &[u8]) -> bool {
    abi::enqueue_elsewhere(item).unwrap_or_else(|| own_enqueue(item))
}

/// Takes the oldest.
pub(crate) fn dequeue() -> Option<Vec<u8>> {
    abi::dequeue_elsewhere().unwrap_or_else(own_dequeue)
}

/// As [`shared`], of the first copy.
pub(crate) fn own_shared(key: &str) -> Option<(Vec<u8>, u32)> {
    with_shard(key, |shared| shared.get(key).cloned()).flatten()
}

/// As [`set_shared`], of the first copy.
pub(crate) fn set_own_shared(key: &str, value: &[u8], version: Option<u32>) -> bool {
    let written = with_shard(key, |shared| match shared.get_mut(key) {
        Some((_, held)) if version.is_some_and(|version| version != *held) => false,
        Some((bytes, held)) => {
            bytes.clear();
            bytes.extend_from_slice(value);
            *held = held.wrapping_add(1).max(1);
            true
        }
        None if version.is_some_and(|version| version != 0) => false,
        None => shared.insert(key.to_owned(), (value.to_vec(), 1)).is_none(),
    });
    written.unwrap_or_default()
}

/// As [`enqueue`], of the first copy.
pub(crate) fn own_enqueue(item: &[u8]) -> bool {
    let mut queue = QUEUE.lock().unwrap_or_else(PoisonError::into_inner);
    let room = queue.len() < QUEUE_MAX;
    if room {
        queue.push_back(item.to_vec());
    }
    room
}

/// As [`dequeue`], of the first copy.
pub(crate) fn own_dequeue() -> Option<Vec<u8>> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// A number nobody else in the process has, for a long time.
pub(crate) fn next_token() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
}
