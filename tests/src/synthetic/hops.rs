//! What our own sidecars would send of the same requests: single calls, an outbound and an inbound record each.
//!
//! A sidecar sees the `traceparent` that stands on a call. An application that traces sets its own span id there; one that does not hands on what
//! came in, so that all calls of a request carry the id that the edge set. Queues pass sidecars by.

use emac_core::evidence::HopRecord;
use emac_core::id::HopKey;
use emac_core::outcome::Outcome;
use emac_core::units::Micros;

use super::draw::{Draw, mix};
use super::execute::{Act, Ended, Side};
use super::spans::Clocks;
use super::world::{BEGIN_NS, Request, World};

/// What applications do with `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Hand it on as it is.
    Forwarded,
    /// Set a span of their own for each call.
    Instrumented,
}

impl World {
    /// Hop records of every request that is sampled; `named`: the edge knew the journey.
    pub fn hop_records(
        &self,
        propagation: Propagation,
        named: bool,
    ) -> impl Iterator<Item = HopRecord> + use<'_> {
        let clocks = Clocks::new(self);
        let sampled = self.requests().filter(|request| self.is_sampled(request.trace));
        sampled.flat_map(move |request| {
            Sidecars { world: self, clocks: &clocks, request: &request, propagation, named }.records()
        })
    }
}

struct Sidecars<'a> {
    world: &'a World,
    clocks: &'a Clocks,
    request: &'a Request,
    propagation: Propagation,
    named: bool,
}

impl Sidecars<'_> {
    fn records(&self) -> Vec<HopRecord> {
        let mut draw = Draw::new(self.world.settings.seed, "hops", self.request.number);
        let edge = mix(self.request.trace.0 as u64);
        let mut records = Vec::new();
        for act in self.request.run.acts.iter().filter(|act| act.happened && !act.message) {
            let own = draw.id();
            let instrumented = self.propagation == Propagation::Instrumented && act.parent.is_some();
            let span = if instrumented { own } else { edge };
            let caller = act.parent.map(|parent| &self.request.run.acts[parent as usize]);
            records.extend(caller.map(|caller| self.outbound(act, caller, span)));
            let inbound = act.server.filter(|_| !self.world.services[act.service].database);
            records.extend(inbound.map(|side| self.inbound(act, side, span)));
        }
        records
    }

    fn outbound(&self, act: &Act, caller: &Act, span: u64) -> HopRecord {
        let callee = &self.world.services[act.service];
        let hop = HopKey {
            journey: self.journey(),
            source: workload(&self.world.services[caller.service].name),
            destination: format!("{}.shop.svc.cluster.local", short(&callee.name)),
            operation: callee.operation(),
        };
        self.record(hop, caller, act.client, span, false)
    }

    fn inbound(&self, act: &Act, side: Side, span: u64) -> HopRecord {
        let destination = workload(&self.world.services[act.service].name);
        let hop = HopKey { journey: self.journey(), destination, ..HopKey::default() };
        self.record(hop, act, side, span, true)
    }

    /// `beside`: whose sidecar it is, and so whose clock.
    fn record(&self, hop: HopKey, beside: &Act, side: Side, span: u64, inbound: bool) -> HopRecord {
        let unix_ns = self.clocks.read(beside, self.request.begin_ns + side.start_ns);
        HopRecord {
            trace_id: self.request.trace.0.to_be_bytes(),
            parent_span_id: span.to_be_bytes(),
            hop,
            start_unix_us: unix_ns.max(BEGIN_NS / 2) as u64 / 1_000,
            duration: Micros((side.end_ns - side.start_ns).max(0) as u64 / 1_000),
            outcome: outcome(side.ended),
            attempts: 1,
            status: status(side.ended),
            inbound,
            request_id: [0; 16],
            ended_by: emac_core::outcome::EndedBy::Unknown,
        }
    }

    fn journey(&self) -> String {
        let journey = &self.world.journeys[self.request.journey];
        if self.named { journey.name.clone() } else { String::new() }
    }
}

fn workload(service: &str) -> String {
    format!("shop/{}", short(service))
}

/// Without the namespace that a mesh puts behind it.
fn short(service: &str) -> &str {
    service.strip_suffix(".shop").unwrap_or(service)
}

const fn outcome(ended: Ended) -> Outcome {
    match ended {
        Ended::Good => Outcome::Success,
        Ended::Error => Outcome::Error,
        Ended::Timeout => Outcome::Timeout,
        Ended::Cancelled => Outcome::Cancelled,
    }
}

const fn status(ended: Ended) -> u16 {
    match ended {
        Ended::Good => 200,
        Ended::Error => 500,
        Ended::Timeout => 504,
        Ended::Cancelled => 0,
    }
}
