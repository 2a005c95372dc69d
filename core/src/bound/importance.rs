//! Importance of components, as fault-tree tools print it: under independence, for the failure of the journey's immediate outcome.
//!
//! With `q` a component's unavailability, `Q` the journey's, and `Q(1)`, `Q(0)` the journey's when the component is always down and never down:
//!
//! | measure | formula | reads |
//! |---|---|---|
//! | Birnbaum | `Q(1) - Q(0)` | how much hangs on the component |
//! | criticality | `q (Q(1) - Q(0)) / Q` | share of failures that would not be without the component's |
//! | Fussell-Vesely | `q Q(1) / Q` | share of failures during which the component is down |
//! | risk achievement worth | `Q(1) / Q` | how many times as often the journey fails while the component is down |
//! | risk reduction worth | `Q / Q(0)` | how many times as seldom it would fail if the component never did |
//!
//! Lower ends of availabilities are taken. A component that is tried several times is down in every try. All are exact where [`independent`] is. The names
//! are those of `scram` (its DIF is Fussell-Vesely's diagnosis importance); tools that print `(Q - Q(0)) / Q` as Fussell-Vesely print what is criticality here.
//! Source: Birnbaum 1969; Fussell 1975; Vesely, Davis, Denning and Saltos, Measures of risk importance, NUREG/CR-3385 (1983).

use alloc::vec::Vec;

use super::{Facts, Interval, Unbound, View, independent};
use crate::journey::{ComponentName, Journey};

/// Importance of one component.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// Which component.
    pub component: ComponentName,
    /// Its unavailability, 0 ..= 1.
    pub unavailability: f64,
    /// 0 ..= 1.
    pub birnbaum: f64,
    /// 0 ..= 1; `None` when the journey never fails.
    pub criticality: Option<f64>,
    /// 0 ..= 1; `None` when the journey never fails.
    pub fussell_vesely: Option<f64>,
    /// At least 1; `None` when the journey never fails.
    pub achievement_worth: Option<f64>,
    /// At least 1; `None` when the journey never failed without the component's failures.
    pub reduction_worth: Option<f64>,
}

/// These components of a journey, in the order given; those that are no leaves of it have no importance. Costs two evaluations of the journey for each.
///
/// # Errors
/// [`Unbound`].
pub fn importance<'a>(
    journey: &Journey,
    facts: &Facts,
    components: impl IntoIterator<Item = &'a ComponentName>,
) -> Result<Vec<Importance>, Unbound> {
    let mut facts = facts.clone();
    let failure = |facts: &Facts| Ok(1.0 - independent(journey, facts, View::Immediate)?.interval.lo());
    let now = failure(&facts)?;
    let mut found = Vec::new();
    for name in components {
        let Some(known) = facts.components.get(name).map(|component| component.availability) else {
            return Err(Unbound(name.clone()));
        };
        let mut with = |availability: f64| {
            if let Some(component) = facts.components.get_mut(name) {
                component.availability = Interval::of(availability, availability);
            }
            failure(&facts)
        };
        let (down, up) = (with(0.0)?, with(1.0)?);
        if let Some(component) = facts.components.get_mut(name) {
            component.availability = known;
        }
        found.push(measures(name, 1.0 - known.lo(), now, down, up));
    }
    Ok(found)
}

/// See the module: `down` is `Q(1)`, `up` is `Q(0)`.
fn measures(name: &ComponentName, q: f64, now: f64, down: f64, up: f64) -> Importance {
    let birnbaum = (down - up).max(0.0);
    let of_failures = |value: f64| (now > 0.0).then(|| value / now);
    Importance {
        component: name.clone(),
        unavailability: q,
        birnbaum,
        criticality: of_failures(q * birnbaum),
        fussell_vesely: of_failures(q * down),
        achievement_worth: of_failures(down),
        reduction_worth: (up > 0.0).then(|| now / up),
    }
}
