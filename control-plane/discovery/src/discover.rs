//! Discovery: from many traces to a candidate model of each journey, with a reason for every field.
//!
//! In the order of the data: [`observe`] takes traces one by one and keeps what inference needs, bounded; [`journeys`] tells which traces are of one
//! journey; [`structure`] finds, for every caller, how its calls combine, by statistics over many requests and never by one trace's overlap;
//! `tree` puts the callers together, `candidate` writes the expression and a finding for each field, `reconcile` holds it against the intent, and [`complete`] adds
//! [`domains`] and runtime parameters.
//!
//! Everything here is pure: no clock, no file, no randomness. What is sampled is chosen by a hash of the trace id, so that the same traces give the
//! same model in whatever order they come.

mod candidate;
mod complete;
pub mod domains;
pub mod journeys;
mod model;
mod names;
pub mod observe;
mod reconcile;
pub mod structure;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use emac_core::journey::{ComponentName, Journey};

pub use candidate::IDENTIFIED_MIN;
pub use complete::{DiscoveryEvidence, complete};
use journeys::TraceGroup;
pub(crate) use model::confidence;
use names::Names;
use observe::{Observations, Site};

use emac_compile::model::{EvidenceRef, EvidenceSource, Model};
use emac_journey::intent::Intent;
use emac_trace::{Symbol, Symbols, TraceId};

/// What discovery works with besides traces.
#[derive(Clone, Copy, Debug)]
pub struct DiscoveryContext<'a> {
    /// Declared journeys; may be none.
    pub intents: &'a [&'a Intent],
    /// Where the traces come from.
    pub source: EvidenceSource,
    /// Files and streams they were read from.
    pub evidence: &'a [EvidenceRef],
}

/// A journey that was found.
#[derive(Clone, Debug)]
pub struct Discovered {
    /// The intent's name, else one made from the entry.
    pub name: String,
    /// Position of its intent; `None`: nobody declared it.
    pub declared: Option<usize>,
    /// Where it enters: service and operation.
    pub entry: (String, String),
    /// Traces it rests on.
    pub traces: u64,
    /// A few of them.
    pub examples: Vec<TraceId>,
    /// Services of each component.
    pub services: BTreeMap<ComponentName, BTreeSet<Symbol>>,
    /// What a candidate says. Failure domains and runtime parameters are added by their own stages.
    pub model: Model,
}

/// Flag of a model that no whole trace shows: it makes a decision REVIEW.
const INCOMPLETE: &str = "incomplete_trace_coverage";
/// An intent must find this share of its components among the calls of a journey to be taken for its declaration: with fewer than half it fits
/// another journey as well.
const FIT_MIN: f64 = 0.5;

/// Finds every journey, most frequent first.
///
/// Costs what [`structure::infer`] does for each caller, on samples of bounded size: independent of the number of traces.
pub fn discover(
    observations: &Observations,
    symbols: &Symbols,
    given: &DiscoveryContext<'_>,
) -> Vec<Discovered> {
    let fragmentary = observations.is_fragmentary();
    let groups = groups(observations);
    let declared = declared(&groups, symbols, given);
    let mut found: Vec<Discovered> = Vec::new();
    for ((observations, group), declared) in groups.iter().zip(declared) {
        let taken: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
        let Some(mut one) = journey(group, declared, &taken, observations, symbols, given) else { continue };
        if fragmentary {
            one.model.confidence.flags.push(INCOMPLETE.to_owned());
        }
        found.push(one);
    }
    found
}

/// Groups of traces with where they were observed, most frequent first: those of whole traces, and those whose entry names a caller that is never
/// seen. Where an entry was called within whole traces more often than it was an entry, its caller's spans were lost: a part is no journey.
fn groups(observations: &Observations) -> Vec<(&Observations, TraceGroup)> {
    let best = observations.best();
    let mut groups: Vec<_> = journeys::group(best).into_iter().map(|group| (best, group)).collect();
    if let Some(headless) = observations.headless() {
        let called = best.called();
        let is_entry = |group: &TraceGroup| {
            let site = headless.sites().get(group.root);
            let within = site.and_then(|site| called.get(&(site.service, site.operation)));
            group.traces > within.copied().unwrap_or_default()
        };
        groups.extend(journeys::group(headless).into_iter().filter(is_entry).map(|group| (headless, group)));
        groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.traces));
    }
    groups
}

/// The journey of a group, declared by the intent at `declared`, under none of the names that are taken; `None` when it has no component.
fn journey(
    group: &TraceGroup,
    declared: Option<usize>,
    taken: &[&str],
    observations: &Observations,
    symbols: &Symbols,
    given: &DiscoveryContext<'_>,
) -> Option<Discovered> {
    let intent = declared.and_then(|place| given.intents.get(place).copied());
    let entry = entry(observations.sites().get(group.root), symbols);
    let said = symbols.text(group.journey);
    let name = match intent {
        Some(intent) => intent.name.to_string(),
        None if said.is_empty() || taken.contains(&said) => proposed(&entry, taken),
        None => said.to_owned(),
    };
    let names = Names::of(group, observations, symbols, intent);
    let model = model::model(&name, group, &names, observations, intent, given)?;
    let services = names.services(observations);
    let (traces, examples) = (group.traces, group.examples.clone());
    Some(Discovered { name, declared, entry, traces, examples, services, model })
}

/// For each group the intent that declares it: the best fit of both, each intent once.
fn declared(
    groups: &[(&Observations, TraceGroup)],
    symbols: &Symbols,
    given: &DiscoveryContext<'_>,
) -> Vec<Option<usize>> {
    let intents = given.intents;
    let by_sidecars = given.source == EvidenceSource::HopRecords;
    let mut fits = Vec::new();
    for (at, (observations, group)) in groups.iter().enumerate() {
        for (place, intent) in intents.iter().enumerate() {
            let said = symbols.text(group.journey);
            let fit = match said {
                // The edge knew its entries, and this was none of them.
                "" if by_sidecars && !intent.entry.is_empty() => 0.0,
                "" => names::fit(group, observations, symbols, intent),
                // Whose name it is, no likeness of another's calls can be.
                said => 2.0 * f64::from(u8::from(said == intent.name.as_str())),
            };
            fits.extend((fit >= FIT_MIN).then_some((fit, group.traces, at, place)));
        }
    }
    fits.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)).then(a.2.cmp(&b.2)).then(a.3.cmp(&b.3)));
    let mut declared = vec![None; groups.len()];
    let mut used = vec![false; intents.len()];
    for (_, _, at, place) in fits {
        if let (Some(slot @ None), Some(used @ false)) = (declared.get_mut(at), used.get_mut(place)) {
            (*slot, *used) = (Some(place), true);
        }
    }
    declared
}

fn entry(site: Option<&Site>, symbols: &Symbols) -> (String, String) {
    let text = |symbol| symbols.text(symbol).to_owned();
    site.map_or_else(Default::default, |site| (text(site.service), text(site.operation)))
}

/// A name for a journey that nobody declared: letters of its entry, and a number where several have one entry.
fn proposed((service, operation): &(String, String), taken: &[&str]) -> String {
    let text = if operation.is_empty() { service } else { operation };
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let slug: String = text.chars().map(letter).collect();
    let parts: Vec<_> = slug.split('-').filter(|part| !part.is_empty()).collect();
    let mut base: String = parts.join("-").chars().take(50).collect();
    if base.is_empty() {
        base = "journey".to_owned();
    }
    let numbered = (2..).map(|n| format!("{base}-{n}"));
    std::iter::once(base.clone()).chain(numbered).find(|name| !taken.contains(&name.as_str())).unwrap_or(base)
}

impl emac_trace::Consumer for Observations {
    fn trace(&mut self, trace: &emac_trace::Trace, _: &Symbols) {
        self.observe(trace);
    }
}

/// The structure of a found journey; every candidate has one.
impl Discovered {
    /// Operators of the journey.
    pub fn structure(&self) -> Option<&Journey> {
        self.model.structure.as_ref()
    }
}
