//! Failures that come together in time: domains that no label knows.
//!
//! Per component and slot of time there are requests and failures, its own as far as traces tell (a call that failed although none of the calls it
//! made did). What is looked for are outages at the same time, beyond chance and beyond what the call graph explains.
//!
//! 1. **Outages** (`outage`). Rates, not counts, so that load alone makes none: a slot is elevated when its failures are too many for the
//!    component's usual rate by Chernoff's bound. Elevated slots with small gaps are one outage, since slots of one outage are no independent
//!    witnesses.
//! 2. **Explained** (`explained`). A caller fails with its callee: pairs of ancestor and descendant are not tested. Two callers of one callee fail
//!    with it: slots in which a common descendant is elevated are left out.
//! 3. **Test** (`meeting`). Suppose that the outages of B began at any slot of like load with equal probability, whatever happened to A. Each then meets A's
//!    outages with a probability that is counted exactly, over all slots of its stratum; how many do is Poisson-binomial. That
//!    conditions on A's outages as they are, however long and however clustered, and on load, so that two components that both break at
//!    peaks are not taken for kin. The larger of the two directions' p-values counts.
//! 4. **Many pairs**. Holm's step-down correction (1979) over all pairs that can be tested: it bounds the probability of even one false pair by
//!    `alpha` under any dependence between the tests, and pairs that share a component are dependent. Benjamini and Hochberg would find more, at
//!    the price of a known share of domains that do not exist, each of which costs someone a review.
//! 5. **Size**. At least [`Options::support_min`] outages met, a lift over chance, and a share of the rarer outages: what is merely significant is
//!    no domain.
//!
//! Confidence is `1 / (1 + (1 - w)/w · B)` with prior `w = 1/2` and `B = -e p ln p` of the corrected p, the least factor in favour of chance that any
//! alternative can have (Sellke, Bayarri and Berger, The American Statistician 55 (2001)); the correction makes up for its optimism.
//!
//! Limits. Outages of one component are taken as placed independently of each other: where a whole day is bad for everybody for reasons that load
//! does not show, that is a common cause and found as such. A domain that never failed is not seen. Correlation names no cause.

mod explained;
mod group;
mod meeting;
mod outage;

use std::collections::{BTreeMap, BTreeSet};

use emac_core::journey::ComponentName;
use emac_core::units::Ratio;

use self::explained::Reach;
use self::meeting::{Meeting, Timeline};
use self::outage::Outages;
use super::profile::ratio;
use emac_compile::model::{EvidenceSource, Provenance};

/// Requests of one component in one slot of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Number of the slot: time divided by the slots' length.
    pub slot: u64,
    /// Requests that began in it.
    pub requests: u64,
    /// Those that failed by the component's own doing, at most `requests`.
    pub failures: u64,
}

/// Slots by component, in the order of time, each slot once; slots without requests may be left out.
pub type SlotSeries = BTreeMap<ComponentName, Vec<Slot>>;

/// What counts as together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Probability of any false pair, in (0, 1). Default 0.05.
    pub alpha: f64,
    /// Fewest outages that meet. Default 3.
    pub support_min: u64,
    /// Least ratio of outages that meet to those expected by chance. Default 3.
    pub lift_min: f64,
    /// Least share of the rarer component's outages that meet. Default 0.3.
    pub share_min: f64,
    /// Fewest slots in which both have requests. Default 60.
    pub slots_min: usize,
}

/// Components that fail together.
#[derive(Clone, Debug, PartialEq)]
pub struct CorrelatedGroup {
    /// At least two.
    pub members: BTreeSet<ComponentName>,
    /// Largest p-value among its pairs, not corrected.
    pub p: f64,
    /// The same after Holm's correction, at most `alpha`.
    pub corrected: f64,
    /// Pairs that were tested.
    pub tested: usize,
    /// Fewest outages that meet among its pairs.
    pub support: u64,
    /// Outages that chance alone would let meet, in that pair.
    pub expected: f64,
    /// Share of each member's failures that fell into slots in which another member was out too: an upper estimate of the domain's `beta`.
    pub shares: BTreeMap<ComponentName, Ratio>,
    /// First and last slot of a few outages that meet, at most [`CorrelatedGroup::OUTAGES_MAX`].
    pub outages: Vec<(u64, u64)>,
    /// See the module.
    pub confidence: Ratio,
}

/// Everything the test says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Correlation {
    /// Groups, in the order of names. Every pair found is in one.
    pub groups: Vec<CorrelatedGroup>,
    /// Pairs tested.
    pub tested: usize,
    /// Pairs left out because one calls the other, at whatever distance.
    pub related: usize,
    /// Pairs with too few outages or slots in common: nothing can be said of them.
    pub sparse: usize,
}

impl Default for Options {
    /// The usual level of a test; as many outages as must show anything else (two may meet by chance of a bad day); three times what chance gives and
    /// three in ten of the rarer component's, because what is merely significant costs a review and is no domain; and slots enough that chance can
    /// place an outage elsewhere.
    fn default() -> Self {
        Self { alpha: 0.05, support_min: 3, lift_min: 3.0, share_min: 0.3, slots_min: 60 }
    }
}

impl CorrelatedGroup {
    /// Most outages named.
    pub const OUTAGES_MAX: usize = 5;

    /// `inferred:paya+payb`.
    pub fn name(&self) -> String {
        let members: Vec<_> = self.members.iter().map(ComponentName::as_str).collect();
        format!("inferred:{}", members.join("+"))
    }

    /// The finding in words.
    pub fn provenance(&self) -> Provenance {
        let slots: Vec<_> = self.outages.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        let says = format!(
            "{} had simultaneous outages at least {} times, {:.2} expected by chance; p = {:.1e}, {:.1e} after Holm's correction over {} pairs; slots {}",
            self.members.iter().map(ComponentName::as_str).collect::<Vec<_>>().join(" and "),
            self.support,
            self.expected,
            self.p,
            self.corrected,
            self.tested,
            slots.join(", "),
        );
        Provenance { source: EvidenceSource::Correlation, says, traces: Vec::new(), place: None }
    }
}

/// Two components that fail together.
#[derive(Clone, Debug)]
struct CorrelatedPair<'a> {
    a: &'a ComponentName,
    b: &'a ComponentName,
    meeting: Meeting,
    corrected: f64,
}

/// Finds the groups. `calls` are (caller, callee). O(pairs · (slots + outages · strata)).
pub fn correlated(
    series: &SlotSeries,
    calls: &[(ComponentName, ComponentName)],
    options: &Options,
) -> Correlation {
    let outages: BTreeMap<_, _> = series.iter().map(|(name, slots)| (name, Outages::of(slots))).collect();
    let timeline = Timeline::of(series);
    let reach = Reach::of(calls);
    let mut all = Correlation::default();
    let mut pairs = Vec::new();
    for (a, b) in couples(series) {
        if reach.related(a, b) {
            all.related += 1;
            continue;
        }
        let hidden =
            reach.common(a, b).filter_map(|name| outages.get(name)).flat_map(|one| one.slots.iter().copied());
        let hidden: BTreeSet<u64> = hidden.collect();
        match timeline.meeting(&outages[a], &outages[b], &hidden, options) {
            Some(meeting) => pairs.push(CorrelatedPair { a, b, meeting, corrected: 1.0 }),
            None => all.sparse += 1,
        }
    }
    all.tested = pairs.len();
    holm(&mut pairs);
    pairs.retain(|pair| pair.corrected <= options.alpha && pair.meeting.is_large(options));
    all.groups = group::groups(&pairs, &outages, all.tested);
    all
}

/// Every two, once.
fn couples(series: &SlotSeries) -> impl Iterator<Item = (&ComponentName, &ComponentName)> {
    series.keys().enumerate().flat_map(|(i, a)| series.keys().skip(i + 1).map(move |b| (a, b)))
}

/// Holm's corrected p-values: the k-th smallest of m times `m - k + 1`, never below the one before it.
fn holm(pairs: &mut [CorrelatedPair<'_>]) {
    pairs.sort_by(|x, y| x.meeting.p.total_cmp(&y.meeting.p).then((x.a, x.b).cmp(&(y.a, y.b))));
    let tested = pairs.len();
    let mut floor = 0.0_f64;
    for (k, pair) in pairs.iter_mut().enumerate() {
        floor = floor.max((tested - k) as f64 * pair.meeting.p).min(1.0);
        pair.corrected = floor;
    }
}

/// Probability that a pair is no accident, from its corrected p-value; see the module.
fn confidence(corrected: f64) -> Ratio {
    if corrected <= 0.0 {
        return Ratio::ONE;
    }
    let chance =
        if corrected < (-1.0_f64).exp() { -(1.0_f64).exp() * corrected * corrected.ln() } else { 1.0 };
    ratio(1.0 / (1.0 + chance))
}

#[cfg(test)]
mod tests;
