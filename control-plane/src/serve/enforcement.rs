//! The kill switch: between the plan and what is published.
//!
//! Planning goes on as if nothing were stopped; whatever it hands over passes here on its way to the publisher, and what is stopped leaves
//! with mode `observe`. Publishing and changing the switch hold one lock, so that after a stop was taken no budgets that act are published,
//! however a plan crosses it; a stop publishes the last plan again by itself and waits for no planner.
//!
//! **Generations.** A sidecar takes budgets anew only under a higher generation. So what is published has a generation of its own: the plan's,
//! or one more than the last, whichever is higher. It is kept with the switch, so that it grows over restarts too.
//!
//! **Several replicas.** They share orders ([`several`], [`share`]): one given here is in force here at once, and elsewhere as soon as NATS has it.
//! Generations are then those of the plan, raised by a number that is shared with the orders.
//!
//! **Sidecars without a plan.** While all journeys are stopped a connected workload that no plan knows (its intents are gone, or none was planned
//! yet) gets budgets without any journey: it may hold others for ever (`lease.onExpiry: hold`).

mod keep;
pub(crate) mod names;
mod publication;
mod several;
pub(super) mod share;
mod switch;
pub(super) mod watch;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use emac_core::units::{Generation, Moment};
use emac_push::proxies::Proxies;
use emac_push::snapshot::{Published, Publisher};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::state::Shared;
use crate::config::Stopped;
use crate::plan::PlanSnapshot;
pub(super) use keep::Keep;
use keep::Loaded;
use names::Teller;
pub(super) use publication::Out;
use publication::Publication;
pub(super) use switch::{Action, Given, Order, Stops, Switch, Why};

/// A sidecar that connects while all is stopped and that no plan knows waits no longer.
const TEND_EVERY: Duration = Duration::from_millis(250);
/// After a restart, an order younger than this may not have reached every sidecar.
const FRESH_MS: u64 = 60_000;

/// What is in force and what was published.
#[derive(Debug)]
pub(super) struct Enforcement {
    publisher: Arc<Publisher>,
    proxies: Arc<Proxies>,
    keep: Keep,
    /// One order at a time, from taking it to having it kept.
    turn: Mutex<()>,
    inner: Mutex<Publication>,
    /// NATS is not there, where several replicas share orders.
    apart: AtomicBool,
    /// Orders that somebody else's has overtaken, the last few.
    overtaken: Mutex<Vec<Order>>,
    /// What readers see: they do not wait while a plan of thousands is published.
    view: Arc<ArcSwap<View>>,
}

/// What is in force, at one moment.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) stops: Arc<Stops>,
    pub(super) out: Arc<Out>,
    /// A sidecar may act that should not, or not act that should, until there is a plan.
    unheard: bool,
    /// Whether orders survive a restart.
    pub(super) durable: bool,
    /// Why not, where they should.
    pub(super) unkept: Option<String>,
    /// What somebody should know who reads what is in force.
    pub(super) told: Told,
}

/// What somebody should know beside what is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Of the record of orders, until the next order: it was lost.
    pub(super) record: Option<String>,
    /// Of the configuration's file, as it is now: it cannot be read as a whole.
    pub(super) file: Option<String>,
}

/// An order that cannot be taken: somebody else's came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overtaken {
    /// The revision in force.
    pub(super) revision: u64,
}

impl Enforcement {
    /// Begins with what was kept. A record that cannot be read may have said that everything is stopped: then it is.
    pub(super) fn new(
        publisher: Arc<Publisher>,
        proxies: Arc<Proxies>,
        keep: Keep,
        configured: Option<Stopped>,
        stored: Generation,
        now_unix_ms: u64,
    ) -> Self {
        let (loaded, readable) = match keep.load() {
            Ok(loaded) => (loaded, true),
            Err(why) => (Loaded { switch: unreadable(&why, now_unix_ms), told: None }, false),
        };
        let Loaded { switch, told: record } = loaded;
        if let Some(told) = &record {
            warn!("{told}");
        }
        let stops = Arc::new(Stops { switch, configured });
        let generation = stored.max(Generation(stops.switch.generation));
        let newest = stops.switch.history.last().map_or(0, |given| given.order.at_unix_ms);
        let unheard = stops.all() || stops.any() && now_unix_ms.saturating_sub(newest) < FRESH_MS;
        if stops.any() {
            warn!("{}", said(&stops));
        }
        let out = Arc::new(Out::nothing(generation));
        let durable = matches!(keep, Keep::Folder { .. });
        let told = Told { record, file: None };
        let inner = Publication::begin(stops, (out, durable), unheard, told);
        let view = Arc::clone(&inner.view);
        let this = Self {
            publisher,
            proxies,
            keep,
            turn: Mutex::new(()),
            inner: Mutex::new(inner),
            apart: AtomicBool::new(false),
            overtaken: Mutex::default(),
            view,
        };
        // A damaged one stays for who wants to look at it, until there is an order.
        if readable && this.keep.is_lost() {
            this.keep_now();
        }
        this
    }

    /// Publishes a plan, less what is stopped.
    pub(super) fn publish(&self, plan: Arc<PlanSnapshot>, now: Moment) -> Published {
        self.lock().plan(plan, (&self.publisher, &self.proxies), now)
    }

    /// Reaches whoever connected since, and keeps what could not be kept. To be called now and then; blocks.
    fn tend(&self, now: Moment) {
        let unkept = {
            let mut inner = self.lock();
            if inner.stops.all() {
                inner.put_out(&self.publisher, &self.proxies, now);
                inner.show();
            }
            inner.unkept.is_some()
        };
        // Somebody who gives an order right now keeps it, and with it what was not.
        if let (true, Ok(_turn)) = (unkept || self.keep.is_lost(), self.turn.try_lock()) {
            if !unkept {
                warn!(
                    "the record of orders about enforcement was removed or emptied while it was in use; it is written anew"
                );
            }
            self.keep_now();
        }
    }

    /// Takes an order, publishes what it makes of the plan, and keeps it. Whether it changed anything. `seen`: the revision that the sender has
    /// seen, if it minds that others came between.
    ///
    /// Cost: a write to disk. Blocks.
    ///
    /// # Errors
    /// [`Overtaken`]; nothing changes then.
    pub(super) fn order(
        &self,
        action: Action,
        journeys: Option<Vec<String>>,
        order: Order,
        seen: Option<u64>,
        now: Moment,
    ) -> Result<bool, Overtaken> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = {
            let mut inner = self.lock();
            let mut switch = inner.stops.switch.clone();
            if seen.is_some_and(|seen| seen != switch.revision) {
                return Err(Overtaken { revision: switch.revision });
            }
            let changed = switch.take(action, journeys.clone(), order.clone());
            // Whoever gives one says how it shall be.
            inner.told.record = None;
            if inner.several {
                switch.several.wait(action, journeys, seen, order);
                if changed {
                    switch.several.raised = self.raise(&mut inner, now);
                }
            }
            inner.obey(switch, changed, (&self.publisher, &self.proxies), now);
            changed
        };
        // After it is in force: a slow disk must not delay a stop. Before it is answered: what was answered survives.
        self.keep_now();
        Ok(changed)
    }

    /// Takes what the configuration says now. Whether it changed anything.
    pub(super) fn configure(&self, configured: Option<Stopped>, now: Moment) -> bool {
        let mut inner = self.lock();
        if inner.stops.configured == configured {
            return false;
        }
        let mut stops = Stops { configured, switch: inner.stops.switch.clone() };
        if inner.several {
            // Every replica reads its own file; numbers are everybody's.
            stops.switch.several.raised = self.raise(&mut inner, now);
            stops.switch.several.lifted = stops.switch.several.waiting.is_empty();
        }
        inner.change(stops, (&self.publisher, &self.proxies), now);
        true
    }

    /// Tells what is wrong with the configuration's file, or that nothing is.
    fn tell_of_file(&self, problem: Option<String>) {
        let mut inner = self.lock();
        inner.told.file = problem;
        inner.show();
    }

    /// What is in force.
    pub(super) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// What is stopped.
    pub(super) fn stops(&self) -> Arc<Stops> {
        Arc::clone(&self.view.load().stops)
    }

    /// The generation published last; what is published next is above.
    pub(super) fn generation(&self) -> Generation {
        self.view.load().out.generation
    }

    /// Whether a plan should not wait: a sidecar may act that should not, or not act that should.
    pub(super) fn is_unheard(&self) -> bool {
        self.view.load().unheard
    }

    fn raise(&self, inner: &mut Publication, now: Moment) -> u64 {
        let raised = inner.stops.switch.several.raised;
        inner.raise(raised, self.apart.load(Relaxed), now.unix_ms)
    }

    /// For who holds the turn.
    fn keep_now(&self) {
        let stops = self.stops();
        let unkept = self.keep.save(&stops.switch).err();
        let mut inner = self.lock();
        if let (Some(why), None) = (&unkept, &inner.unkept) {
            error!(%why, "orders about enforcement are in force, but would not survive a restart; tried again and again");
        }
        inner.unkept = unkept;
        inner.show();
    }

    /// Every change under the lock leaves whole values.
    fn lock(&self) -> MutexGuard<'_, Publication> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tends to it until told to stop.
pub(super) async fn tend(shared: Arc<Shared>, stop: CancellationToken) {
    let mut names = Teller::default();
    while stop.run_until_cancelled(tokio::time::sleep(TEND_EVERY)).await.is_some() {
        let shared = Arc::clone(&shared);
        let mut teller = std::mem::take(&mut names);
        let tended = tokio::task::spawn_blocking(move || {
            shared.enforcement.tend(shared.moment());
            teller.look(&shared);
            teller
        });
        match tended.await {
            Ok(teller) => names = teller,
            Err(problem) => error!(%problem, "tending to enforcement failed"),
        }
    }
}

/// Nobody may lose a stop because its record was damaged.
fn unreadable(why: &str, now_unix_ms: u64) -> Switch {
    let mut switch = Switch::default();
    let order = Order {
        by: "emac".to_owned(),
        proven: true,
        why: format!("the record of stops cannot be read: {why}"),
        at_unix_ms: now_unix_ms,
    };
    error!(%why, "the record of stops cannot be read, so everything is stopped; `emac resume-enforcing` writes a new one");
    switch.take(Action::Stop, None, order);
    switch
}

/// Who stopped what and why, in a line.
fn said(stops: &Stops) -> String {
    let Stops { switch, configured } = stops;
    let by = |order: &Order| {
        format!("by {}{}: {}", order.by, if order.proven { "" } else { " (not proven)" }, order.why)
    };
    let mut said = Vec::new();
    if let Some(order) = &switch.all {
        let but = switch.resumed.keys().cloned().collect::<Vec<_>>().join(", ");
        let but = if but.is_empty() { but } else { format!(" but {but}") };
        said.push(format!("for all journeys{but} {}", by(order)));
    }
    said.extend(switch.journeys.iter().map(|(name, order)| format!("for {name} {}", by(order))));
    if let Some(Stopped { journeys, by, why }) = configured {
        let names = journeys.as_ref().map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
        let which = names.map_or("all journeys".to_owned(), |names| names.join(", "));
        let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        said.push(format!("for {which} in the configuration{by}{why}"));
    }
    match said.is_empty() {
        true => "enforcement is as the intents say".to_owned(),
        false => format!("enforcement is stopped {}", said.join("; ")),
    }
}

#[cfg(test)]
mod tests;
