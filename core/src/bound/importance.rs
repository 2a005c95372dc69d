//! Importance of components, as fault-tree tools print it: under independence, for the failure of the journey's immediate outcome.
//!
//! With `q` a component's unavailability, `Q` the journey's, and `Q(1)`, `Q(0)` the journey's when the component is always down and never down:
//!
//! | measure | formula | reads |
//! |---|---|---|
//! | Birnbaum | `Q(1) - Q(0)` | how much hangs on the component |
//! | criticality | `(Q - Q(0)) / Q` | share of failures that would not be without the component's |
//! | Fussell-Vesely | `(Q - (1 - q) Q(0)) / Q` | share of failures during which the component is down |
//! | risk achievement worth | `Q(1) / Q` | how many times as often the journey fails while the component is down |
//! | risk reduction worth | `Q / Q(0)` | how many times as seldom it would fail if the component never did |
//!
//! Where a component is one event, `Q = q Q(1) + (1 - q) Q(0)`, and these are the usual `q (Q(1) - Q(0)) / Q` and `q Q(1) / Q`. Of one that is tried several
//! times, which is not, they are the shares that they say, "down" meaning in its first try; `Q(1)` is with all tries down. How quickly it answers when it does stays as it is.
//!
//! Lower ends of availabilities are taken. All are exact where [`independent`] is. The names
//! are those of `scram` (its DIF is Fussell-Vesely's diagnosis importance); tools that print `(Q - Q(0)) / Q` as Fussell-Vesely print what is criticality here.
//! Source: Birnbaum 1969; Fussell 1975; Vesely, Davis, Denning and Saltos, Measures of risk importance, NUREG/CR-3385 (1983).

use alloc::vec::Vec;

use super::independent::independent_if;
use super::{Facts, Unbound, View, independent};
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
    let now = 1.0 - independent(journey, facts, View::Immediate)?.interval.lo();
    let mut found = Vec::new();
    for name in components {
        let Some(known) = facts.components.get(name).map(|component| component.availability) else {
            return Err(Unbound(name.clone()));
        };
        let with = |value: f64| {
            let bound = independent_if(journey, facts, View::Immediate, Some((name, value)))?;
            Ok(1.0 - bound.interval.lo())
        };
        found.push(measures(name, 1.0 - known.lo(), now, with(0.0)?, with(1.0)?));
    }
    Ok(found)
}

/// See the module: `down` is `Q(1)`, `up` is `Q(0)`.
fn measures(name: &ComponentName, q: f64, now: f64, down: f64, up: f64) -> Importance {
    let of_failures = |value: f64| (now > 0.0).then(|| value.max(0.0) / now);
    Importance {
        component: name.clone(),
        unavailability: q,
        birnbaum: (down - up).max(0.0),
        criticality: of_failures(now - up),
        fussell_vesely: of_failures(now - (1.0 - q) * up),
        achievement_worth: of_failures(down),
        reduction_worth: (up > 0.0).then(|| now / up),
    }
}
