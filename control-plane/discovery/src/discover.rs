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
mod templates;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use emac_core::journey::{ComponentName, Journey};

pub use candidate::IDENTIFIED_MIN;
pub use complete::{DiscoveryEvidence, complete, complete_wanted};
use journeys::TraceGroup;
use journeys::naming::{self, Subject};
pub(crate) use model::confidence;
use names::Names;
use observe::{Observations, Site};
pub use templates::{Crowd, Generalized, KnownTemplates, named_operations};

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

/// Which journeys are worked out, of those that are found.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// By service and operation of their entry.
    pub entry: &'a dyn Fn(&str, &str) -> bool,
    /// Most journeys that nobody declared, the most frequent first; those that an intent declares always are.
    pub undeclared_max: usize,
}

/// A journey that was found and not worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The name it would have.
    pub name: String,
    /// Where it enters: service and operation.
    pub entry: (String, String),
    /// Its traces.
    pub traces: u64,
    /// It is left out for the number of journeys; else for its entry.
    pub for_number: bool,
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
    /// What is called of each component: service and operation.
    pub operations: BTreeMap<ComponentName, BTreeSet<(Symbol, Symbol)>>,
    /// What a candidate says. Failure domains and runtime parameters are added by their own stages.
    pub model: Model,
}

/// Flag of a model that no whole trace shows: it makes a decision REVIEW.
const INCOMPLETE: &str = "incomplete_trace_coverage";
/// An intent must find this share of its components among the calls of a journey to be taken for its declaration: with fewer than half it fits
/// another journey as well.
const FIT_MIN: f64 = 0.5;
/// An intent that a single page fits this well, next to all pages of its entry, declares that page: a component or two may not have been needed.
const PAGE_FITS: f64 = 0.75;

impl std::fmt::Debug for Wanted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wanted").field("undeclared_max", &self.undeclared_max).finish_non_exhaustive()
    }
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        Self { entry: &|_, _| true, undeclared_max: usize::MAX }
    }
}

/// Finds every journey, most frequent first.
///
/// Costs what [`structure::infer`] does for each caller, on samples of bounded size: independent of the number of traces.
pub fn discover(
    observations: &Observations,
    symbols: &Symbols,
    given: &DiscoveryContext<'_>,
) -> Vec<Discovered> {
    discover_wanted(observations, symbols, given, &Wanted::default()).0
}

/// Finds the journeys that are wanted, and names the others. Names do not depend on what is wanted.
pub fn discover_wanted(
    observations: &Observations,
    symbols: &Symbols,
    given: &DiscoveryContext<'_>,
    wanted: &Wanted<'_>,
) -> (Vec<Discovered>, Vec<LeftOut>) {
    let fragmentary = observations.is_fragmentary();
    let groups = groups(observations, symbols, given.intents);
    let declared = declared(&groups, symbols, given);
    let names = names_of_groups(&groups, &declared, symbols, given.intents);
    let (mut found, mut left) = (Vec::new(), Vec::new());
    let mut undeclared = 0;
    for (((observations, group), declared), name) in groups.iter().zip(declared).zip(names) {
        let entry = entry(observations.sites().get(group.root), symbols);
        let is_wanted = (wanted.entry)(&entry.0, &entry.1);
        if !is_wanted || (declared.is_none() && undeclared >= wanted.undeclared_max) {
            left.push(LeftOut { name, entry, traces: group.traces, for_number: is_wanted });
            continue;
        }
        undeclared += usize::from(declared.is_none());
        let Some(mut one) = journey(name, group, declared, observations, symbols, given) else { continue };
        if fragmentary {
            one.model.confidence.flags.push(INCOMPLETE.to_owned());
        }
        found.push(one);
    }
    (found, left)
}

/// Groups of traces with where they were observed, most frequent first: those of whole traces, and those whose entry names a caller that is never
/// seen. Where an entry was called within whole traces more often than it was an entry, its caller's spans were lost: a part is no journey.
fn groups<'a>(
    observations: &'a Observations,
    symbols: &Symbols,
    intents: &[&Intent],
) -> Vec<(&'a Observations, TraceGroup)> {
    let group = |observations: &Observations| {
        journeys::group(observations, &|all, each| declared_whole(all, each, observations, symbols, intents))
    };
    let best = observations.best();
    let mut groups: Vec<_> = group(best).into_iter().map(|group| (best, group)).collect();
    if let Some(headless) = observations.headless() {
        let called = best.called();
        let is_entry = |group: &TraceGroup| {
            let site = headless.sites().get(group.root);
            let within = site.and_then(|site| called.get(&(site.service, site.operation)));
            group.traces > within.copied().unwrap_or_default()
        };
        groups.extend(group(headless).into_iter().filter(is_entry).map(|group| (headless, group)));
        groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.traces));
    }
    groups
}

/// Whether an intent declares all pages of an entry as one journey: it names what all of them call, and no page calls most of it.
fn declared_whole(
    all: &TraceGroup,
    each: &[TraceGroup],
    observations: &Observations,
    symbols: &Symbols,
    intents: &[&Intent],
) -> bool {
    intents.iter().any(|intent| {
        let fit = |group: &TraceGroup| names::fit(group, observations, symbols, intent).0;
        let whole = fit(all);
        whole >= FIT_MIN && each.iter().all(|page| fit(page) < PAGE_FITS * whole)
    })
}

/// The name of each group: its intent's, that of its traces, or one made from what it is.
fn names_of_groups(
    groups: &[(&Observations, TraceGroup)],
    declared: &[Option<usize>],
    symbols: &Symbols,
    intents: &[&Intent],
) -> Vec<String> {
    let of_intent = |declared: &Option<usize>| declared.and_then(|place| intents.get(place));
    let mut said: BTreeSet<&str> =
        declared.iter().filter_map(of_intent).map(|intent| intent.name.as_str()).collect();
    let subject = |((observations, group), declared): (&(&Observations, TraceGroup), &Option<usize>)| {
        let sites = || group.sites.iter().filter(|id| **id != group.root);
        // Groups of whole traces and of headless ones may both have the name of one journey.
        let free = || Some(symbols.text(group.journey)).filter(|name| said.insert(name));
        let name = of_intent(declared).map(|intent| intent.name.as_str()).or_else(free);
        let calls: BTreeSet<_> = sites().map(|id| entry(observations.sites().get(*id), symbols)).collect();
        Subject {
            said: name.unwrap_or_default().to_owned(),
            entry: entry(observations.sites().get(group.root), symbols),
            calls: calls.into_iter().collect(),
        }
    };
    naming::names(&groups.iter().zip(declared).map(subject).collect::<Vec<_>>())
}

/// The journey of a group, declared by the intent at `declared`; `None` when it has no component.
fn journey(
    name: String,
    group: &TraceGroup,
    declared: Option<usize>,
    observations: &Observations,
    symbols: &Symbols,
    given: &DiscoveryContext<'_>,
) -> Option<Discovered> {
    let intent = declared.and_then(|place| given.intents.get(place).copied());
    let entry = entry(observations.sites().get(group.root), symbols);
    let names = Names::of(group, observations, symbols, intent);
    let model = model::model(&name, group, &names, observations, intent, given)?;
    let services = names.services(observations);
    let operations = names.operations(observations);
    let (traces, examples) = (group.traces, group.examples.clone());
    Some(Discovered { name, declared, entry, traces, examples, services, operations, model })
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
                "" if by_sidecars && !intent.entry.is_empty() => (0.0, 1.0),
                "" => names::fit(group, observations, symbols, intent),
                // Whose name it is, no likeness of another's calls can be.
                said => (2.0 * f64::from(u8::from(said == intent.name.as_str())), 1.0),
            };
            let (seen, explained) = fit;
            fits.extend((seen >= FIT_MIN).then_some((seen * explained, group.traces, at, place)));
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
