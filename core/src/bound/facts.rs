//! What is known of a journey's components.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::sync::Arc;

use super::choices::Chosen;
use super::latency::{self, Band, LatencyFacts};
use super::{Interval, Unbound, View};
use crate::journey::{ComponentName, Expr};
use crate::units::Millis;

/// Name of a failure domain, as the intent or discovery gives it (`k8s/zone`, `payment-network`).
pub type DomainName = String;

/// Availability and domains of every component.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// By name; one for each leaf.
    pub components: BTreeMap<ComponentName, Component>,
    /// For some bodies of a timeout or of a try the share of good answers that come within it. See [`Facts::set_within`].
    within: BTreeMap<(String, Millis), Interval>,
    /// How quickly components answer, where that is known.
    latency: Option<Arc<LatencyFacts>>,
}

/// What is known of one component.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// How often it answers well.
    pub availability: Interval,
    /// What it can fail with.
    pub domains: Domains,
}

/// Failure domains of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Domains {
    /// These, perhaps none.
    Known(BTreeSet<DomainName>),
    /// No evidence: counts as shared with everyone for a lower end and with nobody for an upper, and asks for review.
    Missing,
    /// Evidence against evidence: counts like missing.
    Conflicting,
}

impl Domains {
    /// Whether a person should look.
    pub const fn needs_review(&self) -> bool {
        matches!(self, Self::Missing | Self::Conflicting)
    }
}

impl Facts {
    /// Facts about these components, nothing about time.
    pub const fn new(components: BTreeMap<ComponentName, Component>) -> Self {
        Self { components, within: BTreeMap::new(), latency: None }
    }

    /// Tells how quickly components answer: what timeouts, of a part or of a try, let through. Unknown it is anything from nothing to all.
    pub fn set_latency(&mut self, latency: Arc<LatencyFacts>) {
        self.latency = Some(latency);
    }

    /// States which share of the good answers of `body` come within `after`, in every state of its components; instead of what their latency
    /// says.
    pub fn set_within(&mut self, body: &Expr, after: Millis, share: Interval) {
        self.within.insert((body.to_string(), after), share);
    }

    /// The share that was stated.
    pub(super) fn stated(&self, body: &Expr, after: Millis) -> Option<Interval> {
        if self.within.is_empty() {
            return None;
        }
        self.within.get(&(body.to_string(), after)).copied()
    }

    /// The same facts with another availability of one component.
    #[must_use]
    pub fn with(&self, name: &ComponentName, availability: Interval) -> Self {
        let mut facts = self.clone();
        if let Some(component) = facts.components.get_mut(name) {
            component.availability = availability;
        }
        facts
    }

    /// Share of a component's good answers that come within `after`.
    ///
    /// Both ends of a band belong to a distribution that is worse, or better, than the true one, and so does the availability: the lower end
    /// is what lies in time of the worse, no more than the band states of all requests; the upper end of the better.
    pub(super) fn leaf_within(&self, name: &ComponentName, after: Millis) -> Interval {
        let Some((latency, (known, band))) = self.known(name) else { return Interval::UNKNOWN };
        let (timely, ever) = (band.at(&latency.grid, after.to_micros()), band.availability());
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 1.0 };
        let lo = share(timely.lo(), known.availability.lo().max(ever.lo()));
        Interval::of(lo, share(timely.hi(), known.availability.hi()))
    }

    /// What a component surely answers within `after` of all requests, and its availability at least; all of it where nothing is known of
    /// the latter.
    pub(super) fn leaf_timely(&self, name: &ComponentName, after: Millis) -> (f64, f64) {
        self.known(name).map_or((0.0, 1.0), |(latency, (_, band))| {
            (band.at(&latency.grid, after.to_micros()).lo(), band.availability().lo())
        })
    }

    fn known(&self, name: &ComponentName) -> Option<(&LatencyFacts, (&Component, &Band))> {
        let latency = self.latency.as_deref()?;
        Some((latency, self.components.get(name).zip(latency.components.get(name))?))
    }

    /// Good answers of `body` within `after` when its components are worth `values`: each keeps its shape in time.
    pub(super) fn timely(
        &self,
        body: &Expr,
        after: Millis,
        values: &BTreeMap<&ComponentName, Interval>,
        (view, independent): (View, bool),
        chosen: &Chosen,
    ) -> Result<Interval, Unbound> {
        let Some(latency) = self.latency.as_deref() else { return Ok(Interval::UNKNOWN) };
        let mut bands = BTreeMap::new();
        for (&name, value) in values {
            let Some((_, (known, band))) = self.known(name) else { return Ok(Interval::UNKNOWN) };
            let now = known.availability;
            let whole = (now.lo().max(band.availability().lo()), now.hi());
            bands.insert(name.clone(), band.scaled(*value, whole));
        }
        let when = after.to_micros();
        latency::timely(body, &latency.grid, &bands, (view, independent), chosen)
            .map(|band| band.at(&latency.grid, when))
    }
}
