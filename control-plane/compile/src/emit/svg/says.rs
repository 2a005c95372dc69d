//! What a model says of its journey's picture: how often each component is called from where it stands, how often each choice was seen.

use std::collections::BTreeMap;

use emac_core::journey::{Choice, ComponentName, Expr, Probability};

use super::Captions;
use crate::model::{Field, Model, shares_said};

/// Where a component stands in a picture.
#[derive(Clone, Debug, Default)]
pub struct Place<'a> {
    /// Components that were passed on the way, in their order: whoever calls what stands here is among them.
    passed: Vec<&'a ComponentName>,
    /// Share of the journey's requests that come here, from and to; `None`: all that get so far.
    share: Option<(f64, f64)>,
}

impl<'a> Place<'a> {
    /// A step was passed.
    pub(super) fn passed(&mut self, step: &'a Expr) {
        self.passed.extend(step.leaves());
    }

    pub(super) fn has_passed(&self, name: &ComponentName) -> bool {
        self.passed.contains(&name)
    }

    /// Behind a choice.
    pub(super) fn chosen(&self, probability: Probability) -> Self {
        let (lo, hi) = self.share.unwrap_or((1.0, 1.0));
        Self { passed: self.passed.clone(), share: Some((lo * probability.lo(), hi * probability.hi())) }
    }

    /// Where nobody knows from the structure how often it is asked.
    pub(super) fn unsure(&self) -> Self {
        let (_, hi) = self.share.unwrap_or((1.0, 1.0));
        Self { passed: self.passed.clone(), share: Some((0.0, hi)) }
    }

    /// Whether a share is what the structure says of this place.
    fn fits(&self, share: f64) -> bool {
        /// Intervals are of the requests that came to the choice, shares of all.
        const ERROR: f64 = 0.005;
        self.share.is_none_or(|(lo, hi)| lo - ERROR <= share && share <= hi + ERROR)
    }
}

/// Captions from a model: below each component the share of the journey's requests that call it from there.
#[derive(Clone, Debug)]
pub struct ModelCaptions<'a> {
    model: &'a Model,
    /// By who is called: who calls, and how often.
    calls: BTreeMap<&'a str, Vec<(&'a str, Option<f64>)>>,
}

impl<'a> ModelCaptions<'a> {
    /// Of a model.
    pub fn new(model: &'a Model) -> Self {
        let mut calls: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for edge in &model.edges {
            let share = edge.probability.map(|probability| probability.get());
            calls.entry(edge.to.as_str()).or_default().push((edge.from.as_str(), share));
        }
        Self { model, calls }
    }

    /// The share of the call that leads here: of the last component passed that makes it, of those with the share that the structure says.
    fn share(&self, name: &ComponentName, place: &Place<'_>) -> Option<f64> {
        let calls = self.calls.get(name.as_str())?;
        let of = |caller: &&ComponentName| calls.iter().find(|(from, _)| *from == caller.as_str())?.1;
        let callers = || place.passed.iter().rev().filter_map(of);
        // What stands here may be called by somebody who is no component: the mesh's edge.
        let others = || calls.iter().filter_map(|(_, share)| *share).reduce(f64::max);
        callers().find(|share| place.fits(*share)).or_else(|| callers().next()).or_else(others)
    }
}

impl Captions for ModelCaptions<'_> {
    fn below(&self, name: &ComponentName, place: &Place<'_>) -> String {
        self.share(name, place).map_or_else(String::new, percent)
    }

    fn observed(&self, branch: &Expr) -> Option<Vec<f64>> {
        let Expr::Branch(choices) = branch else { return None };
        let finding = self.model.findings.get(&Field::Probability(branch.to_string()))?;
        let told = finding.provenance.iter().find_map(|one| shares_said(&one.says))?;
        let fits = |choice: &Choice, share: &f64| {
            (choice.probability.lo()..=choice.probability.hi()).contains(share)
        };
        if told.len() == choices.len() && choices.iter().zip(&told).all(|(choice, share)| fits(choice, share))
        {
            return Some(told);
        }
        // A canonical text has its choices in an order of its own: each has a share that lies in its interval.
        let mut left = told;
        let each = choices.iter().map(|choice| {
            let place = left.iter().position(|share| fits(choice, share))?;
            Some(left.remove(place))
        });
        each.collect()
    }

    fn calls(&self, from: &ComponentName, to: &ComponentName) -> Option<bool> {
        let calls = |(caller, _): &(&str, Option<f64>)| *caller == from.as_str();
        (!self.calls.is_empty()).then(|| self.calls.get(to.as_str()).is_some_and(|all| all.iter().any(calls)))
    }
}

/// `20.0 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
