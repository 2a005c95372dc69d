//! A first intent for a journey that nobody declared, so that check, diff, accept and gate have something to work with.
//!
//! Structure and names are what was seen. Availabilities of components are what was seen of them, with one failure's half added to every count
//! (Jeffreys' prior), because calls that never failed prove no availability of 1. The objective is the highest of the usual ones that
//! this gives: such a gate passes today and fails when something gets worse, which is what a first gate is for. What users need no trace shows:
//! it is marked DECIDE.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use emac_compile::compile::{Given, Promises, compile, preview};
use emac_compile::model::{AcceptedModel, CandidateModel};
use emac_core::journey::ComponentName;
use emac_discovery::discover::{Discovered, DiscoveryEvidence};
use emac_document::{Limits, Problems, Source, parse};
use emac_journey::intent;
use emac_journey::slo::Slos;
use emac_trace::Symbol;
use serde_json::{Value, json};

use super::super::exit::Exit;
use super::super::output::complain;
use super::answer::one_line;
use super::{Args, is_file};

/// Objectives that people state.
const USUAL: [f64; 11] = [0.5, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999];
/// Objective while the real one is computed.
const ANY: f64 = 0.5;

/// An intent for one journey.
pub(super) struct Draft {
    pub(super) journey: String,
    pub(super) path: PathBuf,
    /// `None`: something is there, which is not touched.
    pub(super) text: Option<String>,
}

impl Draft {
    pub(super) fn to_value(&self) -> Value {
        json!({"path": self.path.display().to_string(), "written": self.text.is_some()})
    }
}

impl fmt::Display for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.text {
            Some(_) => {
                write!(f, "draft of an intent {path}: decide what is marked DECIDE, then emac check {path}")
            }
            None => write!(f, "no draft of an intent: {path} is there already, and stays"),
        }
    }
}

/// Drafts for the journeys that no intent declares; none if nobody asked.
pub(super) fn drafts(
    args: &Args,
    candidates: &[(Discovered, CandidateModel)],
    known: &DiscoveryEvidence<'_>,
) -> Result<Vec<Draft>, Exit> {
    let Some(out) = &args.draft_intent else { return Ok(Vec::new()) };
    let undeclared: Vec<_> = candidates.iter().filter(|(one, _)| one.declared.is_none()).collect();
    if is_file(out) && undeclared.len() > 1 {
        let names: Vec<_> = undeclared.iter().map(|(one, _)| one.name.clone()).collect();
        complain(format!(
            "--draft-intent {} is one file for {} journeys ({}); give a folder, or choose one with --entry",
            out.display(),
            names.len(),
            super::listed(&names)
        ));
        return Err(Exit::Usage);
    }
    let each = undeclared.into_iter().map(|(one, candidate)| {
        let path = path(out, &one.name);
        let text = (!path.exists()).then(|| text(one, candidate, known));
        Draft { journey: one.name.clone(), path, text }
    });
    Ok(each.collect())
}

/// A folder for each journey, where its model and its candidate find their place beside it.
fn path(out: &Path, journey: &str) -> PathBuf {
    if is_file(out) { out.to_owned() } else { out.join(journey).join("intent.yaml") }
}

fn text(one: &Discovered, candidate: &CandidateModel, known: &DiscoveryEvidence<'_>) -> String {
    let components = components(one, known);
    let target = target(&written(one, &components, ANY), candidate);
    written(one, &components, target)
}

/// What an intent says of a component.
struct Drafted {
    /// Its place in traces, where its name does not say it.
    span: Option<Value>,
    availability: f64,
    /// For people.
    seen: String,
}

fn components(one: &Discovered, known: &DiscoveryEvidence<'_>) -> BTreeMap<ComponentName, Drafted> {
    let leaves = one.structure().map(|journey| journey.leaves()).unwrap_or_default();
    leaves.into_iter().map(|name| (name.clone(), component(name, one, known))).collect()
}

fn component(name: &ComponentName, one: &Discovered, known: &DiscoveryEvidence<'_>) -> Drafted {
    let text = |symbol: Symbol| known.symbols.text(symbol).to_owned();
    let called = one.operations.get(name);
    let first = called.and_then(|called| called.first().copied());
    let of_service = |service: Symbol| {
        one.operations.values().filter(|called| called.iter().any(|(other, _)| *other == service)).count()
    };
    let span = first.and_then(|(service, operation)| {
        let mut span = json!({"service": text(service)});
        if of_service(service) > 1 && !operation.is_none() {
            span["operation"] = json!(text(operation));
        }
        (text(service) != name.as_str()).then_some(span)
    });
    let services = one.services.get(name).into_iter().flatten();
    let counts = services.flat_map(|service| known.observations.series().of(*service).into_values());
    let (requests, failures) =
        counts.fold((0, 0), |(all, bad), slot| (all + slot.requests, bad + slot.failures));
    let availability = 1.0 - (failures as f64 + 0.5) / (requests as f64 + 1.0);
    let seen = format!("{} of {requests} calls answered well", requests - failures.min(requests));
    Drafted { span, availability: floor(availability, 4).max(0.0001), seen }
}

/// Rounded down, so that no more is claimed than there is.
fn floor(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).floor() / scale
}

/// The highest usual objective that the draft's own numbers meet, as declared and as the candidate says.
fn target(draft: &str, candidate: &CandidateModel) -> f64 {
    let problems = Problems::new();
    let documents = parse(&Source::new("draft", draft), &Limits::default(), &problems);
    let Some(read) = documents.first().and_then(|document| intent::read(document, &problems)) else {
        return ANY;
    };
    let promises: Promises = Slos::default().resolve(&read, &problems);
    let declared = AcceptedModel::declared(&read);
    let bounds = [
        compile(&read, &declared, Given::promises(&promises)).bounds,
        preview(&read, candidate, Given::promises(&promises)).bounds,
    ];
    let lowest = bounds.into_iter().flatten().map(|bounds| bounds.domain_envelope.lo()).reduce(f64::min);
    let usual = |lowest: f64| USUAL.into_iter().rev().find(|usual| *usual <= lowest);
    lowest.map_or(ANY, |lowest| usual(lowest).unwrap_or_else(|| floor(lowest, 2).max(0.01)))
}

fn written(one: &Discovered, components: &BTreeMap<ComponentName, Drafted>, target: f64) -> String {
    let (service, operation) = &one.entry;
    let structure = one.structure().map(ToString::to_string).unwrap_or_default();
    let mut text = format!(
        "# A draft, written by `emac discover` from {} requests that enter at {}.\n\
         # Structure and names are what was seen. Numbers are placeholders, marked DECIDE: what was seen is no promise, and what users need\n\
         # no trace shows. Delete the comments once you have decided.\n\
         apiVersion: emac.dev/v1alpha1\n\
         kind: JourneyIntent\n\
         metadata: {{name: {}}}\n\
         spec:\n  objectives:\n    \
         # DECIDE: how many requests must be answered well. This is the highest usual objective that the availabilities below give\n    \
         # (emac explain shows how): the gate passes today and fails when something gets worse.\n    \
         availability: {{window: 30d, target: {target}}}\n  \
         operator: {}\n  components:\n",
        one.traces,
        one_line(&format!("{service} {operation}")),
        one.name,
        json!(structure),
    );
    text.push_str("    # DECIDE: availability is what each promises, here what was seen of it. Better: atomicSLORef, the SLO of its team.\n");
    for (name, drafted) in components {
        let span =
            drafted.span.as_ref().map(|span| format!(", telemetry: {{span: {span}}}")).unwrap_or_default();
        let _ = writeln!(
            text,
            "    {}: {{availability: {}{span}}} # {}",
            json!(name.as_str()),
            drafted.availability,
            drafted.seen
        );
    }
    text
}
