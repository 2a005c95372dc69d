//! What is known of a journey's components.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};

use super::Interval;
use crate::journey::{ComponentName, Expr};
use crate::units::Millis;

/// Name of a failure domain, as the intent or discovery gives it (`k8s/zone`, `payment-network`).
pub type DomainName = String;

/// Availability and domains of every component.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// By name; one for each leaf.
    pub components: BTreeMap<ComponentName, Component>,
    /// For each timeout of the expression the share of its body's good answers that come within it. See [`Facts::set_within`].
    within: BTreeMap<(String, Millis), Interval>,
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
    /// Facts about these components, nothing about timeouts.
    pub const fn new(components: BTreeMap<ComponentName, Component>) -> Self {
        Self { components, within: BTreeMap::new() }
    }

    /// States which share of the good answers of `body` come within `after`, from its latency. Unstated it is anything from none
    /// to all.
    pub fn set_within(&mut self, body: &Expr, after: Millis, share: Interval) {
        self.within.insert((body.to_string(), after), share);
    }

    pub(super) fn within(&self, body: &Expr, after: Millis) -> Interval {
        if self.within.is_empty() {
            return Interval::UNKNOWN;
        }
        self.within.get(&(body.to_string(), after)).copied().unwrap_or(Interval::UNKNOWN)
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
}
