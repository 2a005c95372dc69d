//! What a delta would do to the journey's numbers: the journey is compiled with it alone and compared.

use std::collections::BTreeSet;

use super::{Delta, DeltaId, Proposal};
use crate::compile::{Bounds, Compiled, Given, HIGH_IMPACT, Verdict, preview};
use crate::model::{CandidateModel, Model};
use emac_journey::intent::Intent;

/// A number before and after.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// As accepted.
    pub before: f64,
    /// With the change.
    pub after: f64,
}

impl Shift {
    /// After less before.
    pub fn delta(self) -> f64 {
        self.after - self.before
    }
}

/// Predicted impact; each with the reason where it cannot be computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Impact {
    /// A-: the careful end of availability.
    pub a_minus: Result<Shift, String>,
    /// The later end of the latency objective's quantile under any dependence, seconds.
    pub p99: Result<Shift, String>,
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A- moves by [`HIGH_IMPACT`] or more.
    High,
    /// By less.
    Low,
    /// Cannot be computed: to be treated as high.
    Unknown,
}

impl Class {
    /// All, the one that matters most first.
    pub const ALL: [Self; 3] = [Self::High, Self::Unknown, Self::Low];

    /// Stable label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Low => "low",
            Self::Unknown => "unknown",
        }
    }
}

impl Impact {
    /// How much it matters.
    pub fn class(&self) -> Class {
        match &self.a_minus {
            Ok(shift) if shift.delta().abs() >= HIGH_IMPACT => Class::High,
            Ok(_) => Class::Low,
            Err(_) => Class::Unknown,
        }
    }
}

/// What several deltas would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Together {
    /// To the numbers.
    pub impact: Impact,
    /// The gate's decision as accepted.
    pub before: Verdict,
    /// With the changes.
    pub after: Verdict,
}

/// The numbers of one model.
#[derive(Clone, Debug)]
pub(super) struct Outlook {
    a_minus: Result<f64, String>,
    p99: Result<f64, String>,
    pub(super) verdict: Verdict,
}

impl Outlook {
    pub(super) fn new(intent: &Intent, model: Model, given: Given<'_>) -> Self {
        let model = CandidateModel::looked_at(model);
        let compiled = preview(intent, &model, given);
        Self { a_minus: a_minus(&compiled), p99: p99(&compiled), verdict: compiled.decision.verdict }
    }

    pub(super) fn to(&self, after: &Self) -> Impact {
        let shift = |before: &Result<f64, String>, after: &Result<f64, String>| match (before, after) {
            (Ok(before), Ok(after)) => Ok(Shift { before: *before, after: *after }),
            (Err(reason), _) | (_, Err(reason)) => Err(reason.clone()),
        };
        Impact { a_minus: shift(&self.a_minus, &after.a_minus), p99: shift(&self.p99, &after.p99) }
    }
}

fn a_minus(compiled: &Compiled<'_>) -> Result<f64, String> {
    let reason = || compiled.decision.reasons.join("; ");
    compiled.bounds.as_ref().map(Bounds::a_minus).ok_or_else(reason)
}

fn p99(compiled: &Compiled<'_>) -> Result<f64, String> {
    if compiled.intent.objectives.latency.is_none() {
        return Err("the intent has no latency objective".to_owned());
    }
    let Some(latency) = &compiled.latency else {
        return Err("the latency of some component is unknown".to_owned());
    };
    let later = latency.any_dependence.quantile.1;
    later.map(|time| time.0 as f64 / 1e6).ok_or_else(|| "no finite bound".to_owned())
}

impl Proposal<'_> {
    /// Predicts the impact of every delta, each taken alone with what it follows from. One compilation for each that enters the bounds.
    pub fn predict(&mut self, intent: &Intent, given: Given<'_>) {
        let before = Outlook::new(intent, self.before.clone(), given);
        let impacts: Vec<_> =
            self.deltas.iter().map(|delta| self.impact_of(delta, &before, intent, given)).collect();
        for (delta, impact) in self.deltas.iter_mut().zip(impacts) {
            delta.impact = Some(impact);
        }
    }

    fn impact_of(&self, delta: &Delta, before: &Outlook, intent: &Intent, given: Given<'_>) -> Impact {
        if !delta.change.enters_bounds() {
            return before.to(before);
        }
        let mut ids: BTreeSet<DeltaId> = delta.follows.iter().cloned().collect();
        ids.insert(delta.id.clone());
        match self.apply(&ids) {
            Ok(model) => before.to(&Outlook::new(intent, model, given)),
            Err(refusal) => {
                let reason = refusal.to_string();
                Impact { a_minus: Err(reason.clone()), p99: Err(reason) }
            }
        }
    }

    /// What all deltas would do together, and the decision before and after; the reason where they form no model.
    pub fn together(&self, intent: &Intent, given: Given<'_>) -> Result<Together, String> {
        let all: BTreeSet<DeltaId> = self.deltas.iter().map(|delta| delta.id.clone()).collect();
        let (impact, before, after) =
            self.impact_together(&all, intent, given).map_err(|refusal| refusal.to_string())?;
        Ok(Together { impact, before, after })
    }

    /// What some deltas would do together, and the decision before and after.
    pub(super) fn impact_together(
        &self,
        ids: &BTreeSet<DeltaId>,
        intent: &Intent,
        given: Given<'_>,
    ) -> Result<(Impact, Verdict, Verdict), super::Refusal> {
        let before = Outlook::new(intent, self.before.clone(), given);
        let after = Outlook::new(intent, self.apply(ids)?, given);
        Ok((before.to(&after), before.verdict, after.verdict))
    }
}
