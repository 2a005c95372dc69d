//! What one instance of the module knows: shared by its root contexts (one a listener direction) and by every request on its thread.

mod clock;
pub(crate) mod counters;
pub(crate) mod entries;
pub(crate) mod hops;
pub(crate) mod live;
pub(crate) mod marks;
mod name;
pub(crate) mod passes;
pub(crate) mod settings;
pub(crate) mod slots;
pub(crate) mod timers;
mod workers;

use std::cell::RefCell;
use std::rc::Weak;

use emac_core::budget::{Mode, WorkloadBudgets};
use emac_core::enforce::Enforcer;
use emac_core::evidence::{EvidenceLimits, Recorder};
use emac_core::units::Micros;

use crate::config::Config;
use crate::host::{Host, Level};
use crate::metrics::Metrics;
use crate::root::clockwork::Clockwork;
use crate::stream::Stream;
use clock::Clock;
use counters::{Counters, Event};
use entries::Entries;
use hops::Hops;
use marks::Marks;
use name::Name;
pub use passes::MARK;
use passes::Passes;
use settings::Settings;
use timers::Timers;
use workers::Workers;

/// A stream that waits for an alternate's answer under a token.
pub(crate) struct Asked {
    pub(crate) token: u32,
    pub(crate) id: u32,
    pub(crate) stream: Weak<RefCell<Stream>>,
}

/// Whether the last request on a side carried baggage, so that the next one probably does.
#[derive(Debug, Default)]
pub(crate) struct Expects {
    pub(crate) inbound: bool,
    pub(crate) outbound: bool,
}

/// The cluster that the route of the request at hand chose.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    name: Vec<u8>,
    known: bool,
    /// Clusters are named as Istio names them: by direction, first of all.
    by_direction: bool,
}

impl Cluster {
    const INBOUND: &[u8] = b"inbound|";
    const OUTBOUND: &[u8] = b"outbound|";

    /// Another request.
    pub(crate) const fn forget(&mut self) {
        self.known = false;
    }

    /// Its name; empty where there is none.
    pub(crate) fn read(&mut self, host: &dyn Host) -> &[u8] {
        if !core::mem::replace(&mut self.known, true) {
            self.name.clear();
            host.property(&["xds", "cluster_name"], &mut |name| self.name.extend_from_slice(name));
            self.by_direction |= self.name.starts_with(Self::OUTBOUND);
        }
        &self.name
    }

    /// Whether it lies towards the application, where such names say so: then a call's direction and destination are one question.
    pub(crate) fn is_inbound(&mut self, host: &dyn Host) -> Option<bool> {
        if !self.by_direction {
            return None;
        }
        let name = self.read(host);
        let (inbound, outbound) = (name.starts_with(Self::INBOUND), name.starts_with(Self::OUTBOUND));
        (inbound || outbound).then_some(inbound)
    }
}

/// State of one VM on one thread.
pub struct Vm {
    pub(crate) enforcer: Enforcer,
    pub(crate) recorder: Recorder,
    pub(crate) hops: Hops,
    pub(crate) marks: Marks,
    pub(crate) metrics: Metrics,
    pub(crate) counters: Counters,
    pub(crate) settings: Settings,
    pub(crate) entries: Entries,
    pub(crate) clockwork: Clockwork,
    pub(crate) name: Name,
    pub(crate) workers: Workers,
    pub(crate) passes: Passes,
    pub(crate) timers: Timers,
    pub(crate) expects: Expects,
    pub(crate) cluster: Cluster,
    /// Alternates that were asked when a timer fired, which the proxy answers to the root context.
    pub(crate) asked: Vec<Asked>,
    configured: bool,
    /// Of the plugin configuration that had any.
    budgets: Option<WorkloadBudgets>,
    clock: Clock,
}

impl Default for Vm {
    fn default() -> Self {
        Self {
            enforcer: Enforcer::new(Mode::Observe),
            recorder: Recorder::new(EvidenceLimits::default()),
            hops: Hops::default(),
            marks: Marks::default(),
            metrics: Metrics::default(),
            counters: Counters::default(),
            settings: Settings::default(),
            entries: Entries::default(),
            clockwork: Clockwork::default(),
            name: Name::default(),
            workers: Workers::default(),
            passes: Passes::default(),
            timers: Timers::default(),
            expects: Expects::default(),
            cluster: Cluster::default(),
            asked: Vec::new(),
            configured: false,
            budgets: None,
            clock: Clock::default(),
        }
    }
}

impl Vm {
    /// Takes the settings that concern the whole VM from a listener's configuration; the last one that was configured rules, and so
    /// do the last static budgets. What is not changed stays: a push of the same configuration refills no budget.
    pub(crate) fn configure(&mut self, host: &dyn Host, config: &Config) {
        self.name.draw(host);
        self.passes.configure(host);
        let settings = Settings::new(host, config);
        if !self.configured {
            // Later caps wait for another VM: requests under way hold places in this recorder.
            self.recorder =
                Recorder::new(EvidenceLimits { hops: settings.hops_max, ..EvidenceLimits::default() });
            self.hops = Hops::new(settings.hops_max);
        } else if settings.source != self.settings.source {
            self.hops = Hops::new(self.hops.cap());
        }
        self.settings = settings;
        let new_budgets = config.budgets.is_some() && config.budgets != self.budgets;
        if new_budgets || !self.configured {
            self.budgets = config.budgets.clone().or_else(|| self.budgets.take());
            self.configured = true;
            self.enforcer = self.new_enforcer(host);
            self.workers.tick(host, self.name.to_bytes(), host.now(), config.tick);
            self.enforcer.share_among(self.workers.count());
            self.clockwork.read_budgets_again();
        }
    }

    /// How far its decisions go is each listener's to say, request by request.
    fn new_enforcer(&mut self, host: &dyn Host) -> Enforcer {
        let Some(budgets) = &self.budgets else { return Enforcer::new(Mode::Enforce) };
        Enforcer::with_static(Mode::Enforce, budgets, host.now()).unwrap_or_else(|refused| {
            self.counters.add(Event::ConfigInvalid);
            host.log(
                Level::Warn,
                &format!(
                    "emac: the plugin configuration has invalid budgets, they were not applied: {refused}"
                ),
            );
            Enforcer::new(Mode::Enforce)
        })
    }

    /// When the next stream wants to be woken by [`crate::root::Root::on_timers`], and which: for a host that has alarms instead of ticks.
    /// A time of [`Host::uptime`].
    pub fn next_timer(&self) -> Option<(Micros, u32)> {
        self.timers.first()
    }

    /// Tells requests of this pod apart.
    pub(crate) const fn next_id(&mut self) -> u64 {
        self.name.next_id()
    }

    /// The wall clock, as last read.
    pub(crate) const fn clock(&self) -> Micros {
        self.clock.wall
    }

    /// The clock that nobody sets, as last read.
    pub(crate) const fn uptime(&self) -> Micros {
        self.clock.uptime
    }

    /// Reads the clocks and notices when the wall clock went backwards.
    pub(crate) fn read_clock(&mut self, host: &dyn Host) -> Micros {
        if self.clock.read(host) {
            let health = self.recorder.health_mut();
            health.clock_backwards = health.clock_backwards.saturating_add(1);
        }
        self.clock.wall
    }

    /// The time of a request.
    pub(crate) fn read_time(&mut self, host: &dyn Host) -> Micros {
        if self.clock.go_on(host) { self.clock.wall } else { self.read_clock(host) }
    }
}
