//! What the streams of one thread share: a VM as wasm would have it, under a lock of its own, and the alarm of its timers.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use emac_core::units::Micros;
use emac_filter::root::Root;
use emac_filter::stream::{Listener, Stream};
use emac_filter::vm::Vm;

use crate::abi::{self, Confined, Slot};
use crate::clock;
use crate::hooks::Hook;
use crate::host::{Act, Asked, Native, root_id};
use crate::process;

/// All of this process.
static WORKERS: Mutex<Vec<Arc<Confined<Worker>>>> = Mutex::new(Vec::new());

thread_local! {
    static WORKER: OnceCell<(Arc<Confined<Worker>>, clock::Place)> = const { OnceCell::new() };
    /// When the clock will wake this thread, and by which stream.
    static ALARM: Cell<Option<(Micros, Slot)>> = const { Cell::new(None) };
}

/// One thread's state.
#[derive(Default)]
pub(crate) struct Worker {
    vm: Vm,
    roots: Vec<(u32, Root)>,
    /// By their places.
    streams: Vec<Option<Rc<RefCell<Stream>>>>,
    /// Callouts under way.
    asked: Vec<Asked>,
}

/// Uses the state of this thread, then does what may call further hooks. `None`: it is in use, or was lost.
pub(crate) fn with<R: Send>(work: impl FnOnce(&mut Worker, &Native) -> R + Send) -> Option<R> {
    let (result, acts, timer) = on_this_thread(|worker| {
        worker.with(|worker| {
            let host = Native::of_worker();
            let result = work(worker, &host);
            let (acts, asked) = host.into_parts();
            worker.asked.extend(asked);
            (result, acts, worker.vm.next_timer())
        })
    })?;
    follow(timer);
    for (slot, act) in acts {
        perform(slot, act);
    }
    Some(result)
}

fn on_this_thread<R>(work: impl FnOnce(&Confined<Worker>) -> R) -> R {
    WORKER.with(|cell| {
        let (worker, _) = cell.get_or_init(|| {
            let worker = Arc::new(Confined::new(Worker::default));
            WORKERS.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&worker));
            (worker, clock::enter())
        });
        work(worker)
    })
}

fn perform(slot: Slot, act: Act) {
    match act {
        // It may have gone by what was done for another.
        _ if !abi::is_live(slot) => {}
        Act::Resume => abi::resume(slot),
        Act::Respond { status, headers, body } => {
            let headers: Vec<(&str, &[u8])> =
                headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
            abi::respond(slot, status, &headers, &body);
        }
    }
}

/// The clock must wake this thread when the first timer is due, by the stream whose timer it is: that one is alive as long as its timer is.
fn follow(timer: Option<(Micros, Slot)>) {
    let Some((at, slot)) = timer else { return };
    if ALARM.get().is_some_and(|(set, _)| set <= at) {
        return;
    }
    if let Some(waker) = abi::Waker::new(slot) {
        ALARM.set(Some((at, slot)));
        WORKER.with(|cell| cell.get().map(|(_, place)| clock::set(*place, at, waker)));
    }
}

/// The clock woke this thread.
pub(crate) fn on_alarm() {
    ALARM.set(None);
    with(|worker, host| {
        Hook::Woken.provoke();
        let Worker { vm, roots, .. } = worker;
        if let Some((_, root)) = roots.first() {
            root.on_timers(vm, host);
        }
    });
}

/// A stream is gone.
pub(crate) fn close(slot: Slot) {
    if ALARM.get().is_some_and(|(_, carrier)| carrier == slot) {
        ALARM.set(None);
        WORKER.with(|cell| cell.get().map(|(_, place)| clock::clear(*place)));
    }
    with(move |worker, host| worker.close(slot, host));
}

/// Every worker's clockwork, on the main thread.
pub(crate) fn turn_all() {
    for worker in all() {
        worker.with(Worker::turn);
    }
}

/// The last configuration is gone, and with it every stream: what is left is handed over, on whatever thread.
pub(crate) fn finish_all() {
    for worker in all() {
        worker.with(Worker::finish);
    }
}

fn all() -> Vec<Arc<Confined<Worker>>> {
    WORKERS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

impl Worker {
    /// A request begins.
    pub(crate) fn open(&mut self, slot: Slot, config: u32) {
        let stream = Stream::new(self.listener(config), slot);
        let place = slot as usize;
        if self.streams.len() <= place {
            self.streams.resize_with(place + 1, || None);
        }
        if let Some(free) = self.streams.get_mut(place) {
            *free = Some(stream);
        }
    }

    /// Whether the state of a stream is here.
    pub(crate) fn knows(&self, slot: Slot) -> bool {
        self.streams.get(slot as usize).is_some_and(Option::is_some)
    }

    /// Does something with a stream; `None`: there is no such stream here.
    pub(crate) fn run<R>(
        &mut self,
        slot: Slot,
        host: &Native,
        work: impl FnOnce(&mut Stream, &mut Vm, &Native) -> R,
    ) -> Option<R> {
        let stream = self.streams.get(slot as usize)?.as_ref()?;
        host.act_for(slot);
        let mut stream = stream.try_borrow_mut().ok()?;
        Some(work(&mut stream, &mut self.vm, host))
    }

    /// A callout was answered (with so many headers and bytes), or was not (without).
    pub(crate) fn on_callout(&mut self, slot: Slot, id: u64, host: &Native, (headers, body): (usize, usize)) {
        let Some(place) = self.asked.iter().position(|asked| (asked.slot, asked.id) == (slot, id)) else {
            return;
        };
        let token = self.asked.swap_remove(place).token;
        // Those that were asked when a timer fired are known to the VM, the others to their stream.
        if let Some((_, root)) = self.roots.first_mut() {
            root.on_callout(&mut self.vm, host, token, headers, body);
        }
        self.run(slot, host, |stream, vm, host| stream.on_callout(vm, host, token, headers, body));
    }

    fn close(&mut self, slot: Slot, host: &Native) {
        if let Some(place) = self.streams.get_mut(slot as usize) {
            *place = None;
        }
        let Self { vm, roots, asked, .. } = self;
        asked.retain(|asked| {
            // The proxy answers no more; the VM finds that nobody is left.
            if asked.slot == slot
                && let Some((_, root)) = roots.first_mut()
            {
                root.on_callout(vm, host, asked.token, 0, 0);
            }
            asked.slot != slot
        });
    }

    fn listener(&mut self, config: u32) -> Rc<Listener> {
        if let Some((_, root)) = self.roots.iter().find(|(known, _)| *known == config) {
            return root.listener();
        }
        let Some(json) = process::json_of(config) else { return Rc::new(Listener::pass_through()) };
        let mut root = Root::new(root_id(config));
        root.on_configure(&mut self.vm, &Native::configuring(config, json));
        let listener = root.listener();
        self.roots.push((config, root));
        listener
    }

    fn finish(&mut self) {
        let host = Native::of_worker();
        for (_, mut root) in core::mem::take(&mut self.roots) {
            root.on_done(&mut self.vm, &host);
        }
    }

    /// On the main thread, which has no streams: nothing here asks about one.
    fn turn(&mut self) {
        let Self { vm, roots, .. } = self;
        let host = Native::of_worker();
        process::retain_live(roots, vm, &host);
        for (_, root) in roots.iter() {
            root.on_turn(vm, &host);
        }
    }
}
