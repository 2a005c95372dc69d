//! What is kept of the traces: who calls whom and where, how often, and a sample of how each caller's calls lay in time.
//!
//! Calls are filed by *site*: the path of (service, operation) from the entry, so that the same service called from two places is two sites. Traces
//! are filed by *shape*: the set of their sites. Counts are exact; the calls of a caller are sampled, at most [`ObservationLimits::sample`] a site, those
//! with the smallest hash of their trace id (a bottom-k sample: the same whatever the order, and every request equally likely).
//!
//! Cost: O(1) hash look-ups a call, O(c log c) for a caller with c calls. Bounded by [`ObservationLimits`]; what does not fit is counted in [`Left`].

mod generalize;
mod sample;
mod series;
mod site;

use emac_core::mix::mix;
use hashbrown::{HashMap, HashTable};

use emac_trace::{Call, CallKind, Symbol, Trace, TraceId};

pub use sample::{Occurrence, Sample, SampledCall};
pub use series::{Series, SlotCount};
pub use site::{Site, SiteId, Sites};

/// Bounds of what is kept.
#[derive(Clone, Copy, Debug)]
pub struct ObservationLimits {
    /// Most sites kept apart.
    pub sites: usize,
    /// Most shapes kept apart.
    pub shapes: usize,
    /// Most occurrences sampled a site.
    pub sample: usize,
    /// Most calls sampled in all; beyond it every site's sample is halved.
    pub sampled_calls: usize,
    /// Most calls of one caller that are looked at one by one.
    pub fan_out: usize,
    /// Deepest chain of calls; what is deeper is filed under the deepest.
    pub depth: u16,
}

impl Default for ObservationLimits {
    /// 2 048 occurrences tell a share of 1 in 500 apart from none with 98 %; the rest is what a laptop holds (about 200 MB when all is used).
    fn default() -> Self {
        Self {
            sites: 1 << 18,
            shapes: 1 << 14,
            sample: 2_048,
            sampled_calls: 4 << 20,
            fan_out: 1_024,
            depth: 30,
        }
    }
}

/// What did not fit, in calls or traces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Calls at sites above the limit.
    pub sites: u64,
    /// Traces of shapes above the limit.
    pub shapes: u64,
    /// Calls beyond [`ObservationLimits::fan_out`] of one caller.
    pub fan_out: u64,
    /// Calls deeper than [`ObservationLimits::depth`].
    pub deep: u64,
}

/// Traces that have the same sites.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Name of their journey; none where traces do not say.
    pub journey: Symbol,
    /// Ascending.
    pub sites: Vec<SiteId>,
    /// How often each site occurred, as `sites`.
    pub counts: Vec<Count>,
    /// Traces.
    pub traces: u64,
    /// The first few by hash.
    pub examples: Vec<TraceId>,
}

/// Occurrences of a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All.
    pub times: u64,
    /// Those that made calls.
    pub calling: u64,
    /// Those that made none and ended well: nothing was left to call.
    pub content: u64,
    /// Those that the mesh tried again, by its own configuration.
    pub mesh_retried: u64,
    /// Those that the filter gave up on, because the journey's budget was spent.
    pub cut: u64,
}

impl Count {
    /// Adds another count.
    pub const fn add(&mut self, other: Self) {
        self.times += other.times;
        self.calling += other.calling;
        self.content += other.content;
        self.mesh_retried += other.mesh_retried;
        self.cut += other.cut;
    }
}

/// Everything kept.
#[derive(Debug)]
pub struct Observations {
    limits: ObservationLimits,
    sites: Sites,
    shapes: Vec<Shape>,
    /// By hash; the shape itself is compared, since hashes meet.
    shape_of: HashTable<u32>,
    samples: HashMap<SiteId, Sample>,
    series: Series,
    /// Traces looked at, and those of them that are complete.
    traces: (u64, u64),
    left: Left,
    /// Traces that lack nothing but the caller of their entry.
    headless: Option<Box<Self>>,
    /// What traces with lost parents show, until there are enough whole ones.
    fragments: Option<Box<Self>>,
    scratch: Scratch,
}

/// Whole traces from which fragments are not needed any more.
const WHOLE_ENOUGH: u64 = 64;

/// Work space, kept between traces.
#[derive(Debug, Default)]
struct Scratch {
    site: Vec<Option<SiteId>>,
    depth: Vec<u16>,
    /// (parent, start, call), sorted: each caller's calls together and in time.
    order: Vec<(u32, i64, u32)>,
    /// Which calls made calls.
    calling: Vec<bool>,
    /// Sites of the trace with their counts.
    counts: Vec<(SiteId, Count)>,
    /// Calls of a caller, before they are kept in a box of their length.
    calls: Vec<SampledCall>,
}

impl Default for Observations {
    fn default() -> Self {
        Self::new(ObservationLimits::default())
    }
}

impl Observations {
    /// Nothing seen.
    pub fn new(limits: ObservationLimits) -> Self {
        Self {
            limits,
            sites: Sites::default(),
            shapes: Vec::new(),
            shape_of: HashTable::new(),
            samples: HashMap::new(),
            series: Series::default(),
            traces: (0, 0),
            left: Left::default(),
            headless: None,
            fragments: None,
            scratch: Scratch::default(),
        }
    }

    /// All sites.
    pub const fn sites(&self) -> &Sites {
        &self.sites
    }

    /// All shapes, in the order first seen.
    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// The sampled calls of a caller; `None` when it never made one.
    pub fn sample(&self, site: SiteId) -> Option<&Sample> {
        self.samples.get(&site)
    }

    /// Requests and own failures of each service in time.
    pub const fn series(&self) -> &Series {
        &self.series
    }

    /// Traces looked at, and those of them that are complete.
    pub const fn traces(&self) -> (u64, u64) {
        self.traces
    }

    /// What did not fit.
    pub const fn left(&self) -> Left {
        self.left
    }

    /// What there is to infer from: whole traces; where there is none at all, fragments, which show what was called but not what was left out.
    pub fn best(&self) -> &Self {
        match &self.fragments {
            Some(fragments) if self.is_fragmentary() => fragments,
            _ => self,
        }
    }

    /// Whether [`Observations::best`] are fragments.
    pub const fn is_fragmentary(&self) -> bool {
        self.traces.1 == 0 && self.headless.is_none() && self.fragments.is_some()
    }

    /// Traces that lack nothing but the caller of their entry, which may be an entry (its caller is a browser that exports nothing) or a part of
    /// another journey (its caller's spans were lost).
    pub fn headless(&self) -> Option<&Self> {
        self.headless.as_deref()
    }

    /// How often something was called within whole traces, by service and operation.
    pub(super) fn called(&self) -> HashMap<(Symbol, Symbol), u64> {
        let mut called = HashMap::new();
        for (id, count) in self.shapes.iter().flat_map(|shape| shape.sites.iter().zip(&shape.counts)) {
            let Some(site) = self.sites.get(*id).filter(|site| site.parent.is_some()) else { continue };
            *called.entry((site.service, site.operation)).or_default() += count.times;
        }
        called
    }

    /// Takes a trace. One with a lost caller tells nothing of what did *not* happen, so it counts for failures in time only, while there are others.
    pub fn observe(&mut self, trace: &Trace) {
        self.traces.0 += 1;
        self.series.observe(trace);
        if trace.calls.is_empty() {
            return;
        }
        if trace.complete {
            self.observe_whole(trace);
        } else if trace.headless {
            let limits = self.limits;
            self.headless.get_or_insert_with(|| Box::new(Self::new(limits))).observe_whole(trace);
        } else if self.traces.1 < WHOLE_ENOUGH {
            let limits = self.limits;
            self.fragments.get_or_insert_with(|| Box::new(Self::new(limits))).observe_whole(trace);
        }
    }

    fn observe_whole(&mut self, trace: &Trace) {
        self.traces.1 += 1;
        if self.traces.1 >= WHOLE_ENOUGH {
            self.fragments = None;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        self.file_sites(trace, &mut scratch);
        scratch.order_calls(trace);
        if let Some(shape) = self.file_shape(trace, &mut scratch) {
            self.file_samples(trace, shape, &mut scratch);
        }
        self.scratch = scratch;
    }

    /// The site of each call; a call at the limit has none, nor has what it calls.
    fn file_sites(&mut self, trace: &Trace, scratch: &mut Scratch) {
        scratch.site.clear();
        scratch.depth.clear();
        for call in &trace.calls {
            let parent = call.parent.map(|parent| parent as usize);
            let depth = parent
                .map_or(0, |parent| scratch.depth.get(parent).map_or(0, |depth| depth.saturating_add(1)));
            let above = parent.map(|parent| scratch.site.get(parent).copied().flatten());
            let site = match above {
                Some(None) => None,
                _ if depth > self.limits.depth => {
                    self.left.deep += 1;
                    None
                }
                above => self.site(above.flatten(), call),
            };
            scratch.site.push(site);
            scratch.depth.push(depth);
        }
    }

    fn site(&mut self, parent: Option<SiteId>, call: &Call) -> Option<SiteId> {
        let message = call.kind == CallKind::Message;
        let Call { service, operation, via, .. } = *call;
        let site = Site { parent, service, operation, via, message };
        let site = self.sites.file(site, call.nameless, self.limits.sites);
        self.left.sites += u64::from(site.is_none());
        site
    }

    /// Counts the trace under the set of its sites.
    fn file_shape(&mut self, trace: &Trace, scratch: &mut Scratch) -> Option<u32> {
        scratch.count_sites(trace);
        let sites = || scratch.counts.iter().map(|(site, _)| *site);
        let hash = shape_hash(trace.journey, sites());
        let is_same = |&number: &u32| {
            let shape = self.shapes.get(number as usize);
            shape.is_some_and(|shape| {
                shape.journey == trace.journey && shape.sites.iter().copied().eq(sites())
            })
        };
        let known = self.shape_of.find(hash, is_same).copied();
        let shape = known.or_else(|| self.new_shape(trace.journey, hash, sites().collect()))?;
        let found = self.shapes.get_mut(shape as usize)?;
        found.traces += 1;
        for (count, (_, more)) in found.counts.iter_mut().zip(&scratch.counts) {
            count.add(*more);
        }
        if found.examples.len() < emac_compile::model::Provenance::TRACES_MAX {
            found.examples.push(trace.id);
        }
        Some(shape)
    }

    /// The number of a shape that was not seen before; `None` at the limit.
    fn new_shape(&mut self, journey: Symbol, hash: u64, sites: Vec<SiteId>) -> Option<u32> {
        if self.shapes.len() >= self.limits.shapes {
            self.left.shapes += 1;
            return None;
        }
        let number = u32::try_from(self.shapes.len()).ok()?;
        let counts = vec![Count::default(); sites.len()];
        self.shapes.push(Shape { journey, sites, counts, traces: 0, examples: Vec::new() });
        let hash_of = |number: &u32| {
            let shape = self.shapes.get(*number as usize);
            shape.map_or(0, |shape| shape_hash(shape.journey, shape.sites.iter().copied()))
        };
        self.shape_of.insert_unique(hash, number, hash_of);
        Some(number)
    }

    /// Samples how each caller's calls lay in time.
    fn file_samples(&mut self, trace: &Trace, shape: u32, scratch: &mut Scratch) {
        let Scratch { site: sites, order, calls: seen, .. } = scratch;
        for calls in order.chunk_by(|a, b| a.0 == b.0) {
            let Some(&(caller, ..)) = calls.first() else { continue };
            let Some(site) = sites.get(caller as usize).copied().flatten() else { continue };
            let Some(call) = trace.calls.get(caller as usize) else { continue };
            // The same caller may occur twice in a trace; its place keeps the two apart.
            let hash = mix(low64(trace.id) ^ mix(u64::from(caller)));
            let sample = self.samples.entry(site).or_default();
            if !sample.wants(hash, self.limits.sample) {
                continue;
            }
            self.left.fan_out += calls.len().saturating_sub(self.limits.fan_out) as u64;
            seen.clear();
            seen.extend(calls.iter().take(self.limits.fan_out).filter_map(|&(.., child)| {
                let site = sites.get(child as usize).copied().flatten()?;
                Some(SampledCall::of(site, trace.calls.get(child as usize)?, call.start_ns))
            }));
            let occurrence = Occurrence {
                hash,
                shape,
                trace: trace.id,
                calls: seen.as_slice().into(),
                end_ns: since(call.done_ns, call.start_ns),
                outcome: call.served,
            };
            sample.take(occurrence, self.limits.sample);
        }
        self.keep_within();
    }

    /// Smallest sample that is still halved: with fewer, choices and races of a caller are too few to be told.
    const SAMPLE_MIN: usize = 64;
    /// Traces between two looks at all samples: each look costs, and a trace adds few calls.
    const LOOK_EVERY: u64 = 1_024;

    /// Halves every sample when all together are too many.
    fn keep_within(&mut self) {
        if !self.traces.1.is_multiple_of(Self::LOOK_EVERY) {
            return;
        }
        let calls: usize = self.samples.values().map(Sample::calls).sum();
        if calls > self.limits.sampled_calls && self.limits.sample > Self::SAMPLE_MIN {
            self.limits.sample /= 2;
            let most = self.limits.sample;
            self.samples.values_mut().for_each(|sample| sample.shrink(most));
        }
    }
}

impl Scratch {
    fn order_calls(&mut self, trace: &Trace) {
        self.order.clear();
        let of =
            |(index, call): (usize, &Call)| Some((call.parent?, call.start_ns, u32::try_from(index).ok()?));
        self.order.extend(trace.calls.iter().enumerate().filter_map(of));
        self.order.sort_unstable();
    }

    /// Sites ascending, each with its occurrences.
    fn count_sites(&mut self, trace: &Trace) {
        self.calling.clear();
        self.calling.resize(trace.calls.len(), false);
        for (parent, ..) in &self.order {
            if let Some(calling) = self.calling.get_mut(*parent as usize) {
                *calling = true;
            }
        }
        self.counts.clear();
        let calls = trace.calls.iter().zip(&self.calling).zip(&self.site);
        self.counts.extend(calls.filter_map(|((call, &calling), site)| {
            let content = !calling && call.served.answered();
            let count = Count {
                times: 1,
                calling: u64::from(calling),
                content: u64::from(content),
                mesh_retried: u64::from(call.mesh_retries > 0),
                cut: u64::from(call.cut),
            };
            Some(((*site)?, count))
        }));
        self.counts.sort_unstable_by_key(|(site, _)| *site);
        self.counts.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1.add(next.1);
            }
            same
        });
    }
}

impl SampledCall {
    fn of(site: SiteId, call: &Call, from_ns: i64) -> Self {
        Self {
            site,
            start_ns: since(call.start_ns, from_ns),
            end_ns: since(call.end_ns, from_ns),
            outcome: call.outcome,
            attempts: call.attempts.max(1),
            message: call.kind == CallKind::Message,
        }
    }
}

/// Of a journey's name and ascending sites.
fn shape_hash(journey: Symbol, sites: impl Iterator<Item = SiteId>) -> u64 {
    sites.fold(mix(journey.index() as u64), |hash, site| mix(hash ^ site.index() as u64))
}

/// Nanoseconds from one moment to another, within 36 years: further apart are only times that no clock shows, and sums of these must fit.
fn since(ns: i64, from_ns: i64) -> i64 {
    const FAR_NS: i64 = 1 << 60;
    ns.saturating_sub(from_ns).clamp(-FAR_NS, FAR_NS)
}

fn low64(id: TraceId) -> u64 {
    // Both halves: some tracers put a time into one of them.
    (id.0 ^ (id.0 >> 64)) as u64
}

#[cfg(test)]
mod tests;
