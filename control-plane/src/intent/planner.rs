//! The runtime part of an intent, as the planner takes it.

use emac_core::journey::ComponentName;
use emac_core::units::{Micros, Millis, Ratio};

use super::Intent;
use crate::plan;

impl Intent {
    /// From the end of the request at the edge to the first byte of a useful answer: said explicitly, else the latency objective's threshold.
    pub fn deadline(&self) -> Option<Millis> {
        let threshold = self.objectives.latency.as_ref().map(|latency| latency.threshold);
        // Rounded up: a threshold below a millisecond is not a deadline of zero.
        self.runtime.deadline.or_else(|| threshold.map(|Micros(micros)| Millis(micros.div_ceil(1_000))))
    }

    /// What the planner needs; `None` for a journey that nobody enters or that has no deadline, which is computed but not enforced.
    ///
    /// `availability` gives the promised share of good answers of a component that refers to an SLO, where it is known.
    pub fn for_planner(
        &self,
        availability: impl Fn(&ComponentName) -> Option<Ratio>,
    ) -> Option<plan::JourneyIntent> {
        if self.entry.is_empty() {
            return None;
        }
        let components = self.components.iter().map(|(name, component)| {
            let promised = component.availability.or_else(|| availability(name));
            let default = plan::Component::default();
            let component = plan::Component {
                reach: component.reach.clone(),
                availability: promised.unwrap_or(default.availability),
                latency: component.latency,
                success: component.success.clone(),
                fallback_budget: component.fallback_budget,
            };
            (name.clone(), component)
        });
        Some(plan::JourneyIntent {
            name: self.name.clone(),
            model_digest: self.digest.clone(),
            structure: self.structure.clone(),
            deadline: self.deadline()?,
            objective: self.objectives.availability.target,
            entry: self.entry.clone(),
            runtime: self.runtime.policy.clone(),
            components: components.collect(),
        })
    }
}
