//! From a component's references to what it promises.

use std::collections::BTreeMap;

use emac_core::journey::ComponentName;
use emac_core::units::{Micros, Ratio};

use super::{Budgeting, Indicator, Objective, Slo, Slos};
use crate::intent::{Component, Intent, SloRef};
use emac_document::{Located, Problem, Problems, did_you_mean};

/// What a component promises.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Promise {
    /// Share of good answers.
    pub availability: Option<Ratio>,
    /// Where the share comes from, such as `slo.cart.availability (slos/cart.yaml:1)`.
    pub availability_source: String,
    /// Shares of answers within a time, by time.
    pub latency: Vec<LatencyPoint>,
}

/// What the components of a journey promise, by name.
pub type Promises = BTreeMap<ComponentName, Promise>;

/// At least this share of answers comes within this time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatencyPoint {
    /// The time.
    pub within: Micros,
    /// The share.
    pub share: Ratio,
}

impl Slos {
    /// What every component of an intent promises. A reference to nothing is a problem at its place.
    ///
    /// Of a ratio SLO with several targets all are promised, so the highest counts. A threshold SLO with `lte` or `lt` promises shares of
    /// answers within times, and nothing about the rest. A promise in the intent itself (`availability`) stands beside.
    pub fn resolve(&self, intent: &Intent, problems: &Problems) -> Promises {
        let promise = |(name, component): (&ComponentName, &Component)| {
            (name.clone(), self.promise(component, problems))
        };
        intent.components.iter().map(promise).collect()
    }

    fn promise(&self, component: &Component, problems: &Problems) -> Promise {
        let mut promise = Promise::default();
        if let Some(availability) = component.availability {
            promise.availability = Some(availability);
            promise.availability_source = "declared in the intent".to_owned();
        }
        for reference in &component.slos {
            match self.get(&reference.value.name) {
                Some(slo) => promise.add(slo, reference, problems),
                None => problems.push(self.dangling(reference)),
            }
        }
        promise.latency.sort_by_key(|point| point.within);
        promise
    }

    fn dangling(&self, reference: &Located<SloRef>) -> Problem {
        let name = &reference.value.name;
        let near = did_you_mean(name, self.by_name.keys().map(String::as_str));
        let help = near.map_or_else(
            || {
                "add its OpenSLO document under `slos` above the intent, or say where it is with --slo"
                    .to_owned()
            },
            |near| format!("did you mean `openslo:{near}`?"),
        );
        reference.place(Problem::error(format!("there is no SLO `{name}`")).help(help))
    }
}

impl Promise {
    fn add(&mut self, slo: &Slo, reference: &Located<SloRef>, problems: &Problems) {
        let objectives = select(slo, reference.value.objective.as_deref());
        if objectives.is_empty() {
            let wanted = reference.value.objective.as_deref().unwrap_or_default();
            let message = format!("the SLO `{}` has no objective `{wanted}`", slo.name);
            problems.push(reference.place(Problem::error(message).help(known_objectives(slo))));
            return;
        }
        if slo.budgeting != Budgeting::Occurrences {
            let message =
                format!("`{}` counts slices of time, not requests; its target is taken as it is", slo.name);
            problems.push(reference.place(Problem::warning(message)));
        }
        match slo.indicator {
            Indicator::Threshold(_) => {
                self.latency.extend(objectives.iter().filter_map(|one| latency_point(one)))
            }
            Indicator::Ratio { .. } | Indicator::Raw { .. } => self.raise(slo, &objectives),
        }
    }

    fn raise(&mut self, slo: &Slo, objectives: &[&Objective]) {
        for objective in objectives {
            if self.availability.is_none_or(|known| known < objective.target) {
                self.availability = Some(objective.target);
                self.availability_source = format!("{} ({})", slo.name, short(&slo.place));
            }
        }
    }
}

/// The objective of a name or number, or all of them.
fn select<'a>(slo: &'a Slo, wanted: Option<&str>) -> Vec<&'a Objective> {
    let Some(wanted) = wanted else { return slo.objectives.iter().collect() };
    let named = slo.objectives.iter().find(|objective| objective.name.as_deref() == Some(wanted));
    let numbered = || wanted.parse().ok().and_then(|number: usize| slo.objectives.get(number));
    named.or_else(numbered).into_iter().collect()
}

fn known_objectives(slo: &Slo) -> String {
    let names = slo
        .objectives
        .iter()
        .enumerate()
        .map(|(number, one)| one.name.clone().unwrap_or_else(|| number.to_string()));
    format!("it has: {}", names.collect::<Vec<_>>().join(", "))
}

fn latency_point(objective: &Objective) -> Option<LatencyPoint> {
    let threshold = objective.threshold.filter(|threshold| threshold.below)?;
    Some(LatencyPoint { within: threshold.time?, share: objective.target })
}

/// The place without its folders: reports must not differ by where a checkout lies.
fn short(place: &str) -> &str {
    place.rsplit(['/', '\\']).next().unwrap_or(place)
}
