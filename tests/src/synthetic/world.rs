//! A world: services, journeys with their truth, faults, and every request that was ever made in it.

use std::collections::BTreeSet;

use emac_core::journey;
use emac_trace::TraceId;

use super::draw::{Draw, mix};
use super::execute::{Engine, Run};
use super::faults::{Domains, Outages, afflict};
use super::grow::Grower;
use super::service::{Service, ServiceId};
use super::settings::{Settings, Style};
use super::step::Call;
#[cfg(doc)]
use super::tune::UNTUNED;
use super::tune::tune;

/// A world and its truth.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// What it was made from.
    pub settings: Settings,
    /// Its services.
    pub services: Vec<Service>,
    /// Its journeys.
    pub journeys: Vec<Journey>,
    /// When what is down.
    pub outages: Outages,
    /// What fails together.
    pub domains: Domains,
}

/// A journey and its truth.
#[derive(Clone, Debug, PartialEq)]
pub struct Journey {
    /// `journey-3`; nothing in the spans says it.
    pub name: String,
    /// The entry, and what it causes.
    pub entry: Call,
    /// The same as an expression in normal form.
    pub truth: journey::Journey,
}

/// One request of a world.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Which, from 0.
    pub number: u64,
    /// Index of its journey.
    pub journey: usize,
    /// Its trace.
    pub trace: TraceId,
    /// When it began, nanoseconds since the world's beginning.
    pub begin_ns: i64,
    /// What happened.
    pub run: Run,
}

/// The beginning of every world, nanoseconds since 1970 (2023-11-14).
pub const BEGIN_NS: i64 = 1_700_000_000_000_000_000;

impl World {
    /// Grows a world. O(services).
    pub fn new(settings: Settings) -> Self {
        let settings = fitting(settings);
        let mut grower = Grower::new(&settings);
        let entries = entries(&settings, &mut grower);
        let services = std::mem::take(&mut grower.services);
        drop(grower);
        Self::with(settings, services, entries)
    }

    /// A world of given services and entries; of the settings, what bears on structure is not used. Delays and timeouts of
    /// [`UNTUNED`] are set.
    pub fn with(settings: Settings, mut services: Vec<Service>, entries: Vec<Call>) -> Self {
        if settings.signals.style == Style::Envoy {
            // Istio's name of a workload's spans: `<workload>.<namespace>`.
            services.iter_mut().for_each(|service| service.name.push_str(".shop"));
        }
        let roots: BTreeSet<ServiceId> = entries.iter().map(|entry| entry.service).collect();
        let window_ns = (settings.window_s * 1e9) as i64;
        let (outages, domains) = afflict(&mut services, &roots, &settings.faults, window_ns, settings.seed);
        let journeys = entries
            .into_iter()
            .enumerate()
            .map(|(n, entry)| Journey::new(n, entry, &services, settings.seed))
            .collect();
        Self { settings, services, journeys, outages, domains }
    }

    /// Request number `number`, below `settings.requests`. The same each time.
    pub fn request(&self, number: u64) -> Request {
        let seed = self.settings.seed;
        let mut draw = Draw::new(seed, "request", number);
        let journey = draw.below(self.journeys.len());
        let slot_ns = self.settings.window_s * 1e9 / self.settings.requests.max(1) as f64;
        let begin_ns = ((number as f64 + draw.unit()) * slot_ns) as i64;
        let trace = TraceId(u128::from(mix(seed ^ mix(number))) << 64 | u128::from(draw.id()));
        let engine = Engine::new(&self.services, &self.outages, draw, begin_ns);
        let run = engine.request(&self.journeys[journey].entry);
        Request { number, journey, trace, begin_ns, run }
    }

    /// Every request, in the order of their beginnings.
    pub fn requests(&self) -> impl Iterator<Item = Request> {
        (0..self.settings.requests).map(|number| self.request(number))
    }

    /// Whether a trace is kept by head sampling: a property of its id, so that every service decides the same.
    pub fn is_sampled(&self, trace: TraceId) -> bool {
        // 53 bits: exact as a double.
        ((mix(trace.0 as u64) >> 11) as f64) < self.settings.signals.sampling * (1_u64 << 53) as f64
    }
}

impl Journey {
    fn new(number: usize, mut entry: Call, services: &[Service], seed: u64) -> Self {
        tune(&mut entry, services, mix(seed ^ number as u64));
        let truth = journey::Journey::new(entry.expr(services));
        let truth = truth.unwrap_or_else(|problems| unreachable!("grown by the rules: {problems:?}"));
        Self { name: format!("journey-{number}"), entry, truth }
    }
}

/// Where only callees record, what never records itself does not exist; and proxies see no queues and no insides.
fn fitting(mut settings: Settings) -> Settings {
    let (signals, operators) = (&mut settings.signals, &mut settings.operators);
    if matches!(signals.style, Style::ServerOnly | Style::Envoy) {
        signals.databases = 0.0;
    }
    if signals.style == Style::Envoy {
        signals.internal = 0.0;
        operators.forget += std::mem::take(&mut operators.message);
    }
    settings
}

fn entries(settings: &Settings, grower: &mut Grower<'_>) -> Vec<Call> {
    let mut entries: Vec<Call> = Vec::new();
    let mut sizes = Draw::new(settings.seed, "sizes", 0);
    while entries.is_empty() || grower.services.len() < settings.services {
        let beside = entries.len() % settings.journeys_per_root.max(1);
        let root = match entries.last() {
            Some(last) if beside > 0 => last.service,
            _ => grower.root(),
        };
        let room = (settings.services + 1).saturating_sub(grower.services.len()).max(2);
        let (fewest, most) = settings.leaves;
        let wanted = fewest + sizes.below(most.max(fewest) - fewest + 1);
        // What would be left over alone joins.
        let leaves = if wanted + 2 > room { room } else { wanted };
        entries.push(grower.journey(root, leaves));
    }
    entries
}
