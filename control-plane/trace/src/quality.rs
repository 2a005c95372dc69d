//! How good the signal is: what discovery says rests on what was seen, and this says what was not.
//!
//! The sampling rate is what spans themselves say of it: the mean number of traces that a recorded one stands for, inverted (so the
//! harmonic mean of their probabilities). Spans that say nothing leave it unknown, as nothing in a sample tells its own size.

mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::join::{Repairs, Root};
use super::skew::Clocks;
use super::{Oddity, Refused, Symbol, Symbols, TraceId};
pub use report::{Counted, Link, ServiceRecorders, SignalQuality, Skew};

/// Counts, while they are made.
#[derive(Clone, Debug, Default)]
pub(super) struct Quality {
    pub(super) spans: u64,
    pub(super) hops: u64,
    pub(super) late: u64,
    pub(super) cut: u64,
    pub(super) evicted: u64,
    pub(super) refused: BTreeMap<Refused, Counted>,
    pub(super) odd: BTreeMap<Oddity, Counted>,
    pub(super) sampling: Sampling,
    pub(super) duplicates: u64,
    conflicting: u64,
    orphans: u64,
    circles: u64,
    rootless: u64,
    headless: u64,
    complete: u64,
    incomplete: u64,
    /// By the symbol's position.
    services: Vec<ServiceRecorders>,
}

/// Who recorded a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// A root: nobody is known to have called it.
    Root,
    Caller,
    Callee,
    Both,
}

/// What spans say of their sampling.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sampling {
    said: u64,
    stands_for: f64,
}

impl Sampling {
    /// A probability in (0, 1]; anything else says nothing.
    pub(super) fn add(&mut self, probability: f64) {
        if probability > 0.0 && probability <= 1.0 {
            self.said += 1;
            self.stands_for += probability.recip();
        }
    }

    fn rate(self) -> Option<f64> {
        (self.said > 0).then(|| self.said as f64 / self.stands_for)
    }
}

impl Quality {
    pub(super) fn add_tree(&mut self, found: &Repairs, roots: &[(u32, Root)]) {
        let count = |kind: Root| roots.iter().filter(|(_, root)| *root == kind).count() as u64;
        self.duplicates += found.duplicates;
        self.conflicting += found.conflicting;
        self.orphans += count(Root::Orphan);
        self.circles += count(Root::Circle);
        self.rootless += u64::from(count(Root::Said) == 0);
    }

    /// Spans whose times nothing told.
    pub(super) fn refuse_untimed(&mut self, count: u64, trace: TraceId) {
        let counted = self.refused.entry(Refused::Time).or_default();
        (0..count).for_each(|_| counted.count(format_args!("a span of trace {trace} without times")));
    }

    /// Counts a request, however many trees it fell into.
    pub(super) const fn add_request(&mut self, complete: bool, headless: bool) {
        if complete {
            self.complete += 1;
        } else {
            self.incomplete += 1;
        }
        self.headless += headless as u64;
    }

    /// A call of a service was recorded.
    pub(super) fn saw(&mut self, service: Symbol, side: Side) {
        if service.index() >= self.services.len() {
            self.services.resize(service.index() + 1, ServiceRecorders::default());
        }
        let Some(seen) = self.services.get_mut(service.index()) else { return };
        match side {
            Side::Root => seen.as_root += 1,
            Side::Caller => seen.by_caller += 1,
            Side::Callee => seen.by_callee += 1,
            Side::Both => seen.by_both += 1,
        }
    }

    /// With names, as of now.
    pub(super) fn report(&self, symbols: &Symbols, clocks: &Clocks) -> SignalQuality {
        let name = |symbol: Symbol| symbols.text(symbol).to_owned();
        let skews = clocks.certain().into_iter().map(|((service, instance), offset_ns)| Skew {
            service: name(service),
            instance: name(instance),
            offset_ns,
        });
        let mut skews: Vec<Skew> = skews.collect();
        skews.sort();
        SignalQuality {
            spans: self.spans,
            hops: self.hops,
            refused: self.refused.clone(),
            odd: self.odd.clone(),
            links: Vec::new(),
            duplicates: self.duplicates,
            conflicting: self.conflicting,
            late: self.late,
            cut: self.cut,
            traces: self.complete + self.incomplete,
            complete: self.complete,
            incomplete: self.incomplete,
            rootless: self.rootless,
            headless: self.headless,
            evicted: self.evicted,
            orphans: self.orphans,
            circles: self.circles,
            sampling_rate: self.sampling.rate(),
            skews,
            clock_restarts: clocks.restarts(),
            services: self
                .services
                .iter()
                .zip((0..).map(Symbol::of_index))
                .filter(|(seen, _)| **seen != ServiceRecorders::default())
                .map(|(seen, service)| (name(service), *seen))
                .collect(),
            names_overflowed: symbols.overflowed(),
        }
    }
}
