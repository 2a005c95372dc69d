//! Names that are stopped and that no journey has.
//!
//! They are taken all the same, whichever way they come: an emergency is no time for a refusal, a journey may appear later, and of several names in one
//! order the right ones must not wait for the wrong one. So it is said wherever a stop is told: in the answer, in the status, in the log.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use emac_document::did_you_mean;
use tracing::{info, warn};

use super::super::state::Shared;
use super::switch::Stops;
use crate::plan::JourneyInput;

/// Names that are told, with a guess at what was meant; the rest are counted.
pub(in super::super) const TOLD_MAX: usize = 16;
/// Journeys named where no name is near.
const NAMED_MAX: usize = 8;

/// A name that is stopped and that no journey has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Unknown {
    pub(in super::super) journey: String,
    /// What may have been meant.
    pub(in super::super) near: Option<String>,
}

/// Names that are stopped, by whichever voice, and that no journey has: some, and how many more there are.
///
/// Cost: a comparison of each of [`TOLD_MAX`] names with every journey's.
pub(in super::super) fn unknown(stops: &Stops, planned: &[JourneyInput]) -> (Vec<Unknown>, usize) {
    let known: Vec<&str> = planned.iter().map(|intent| intent.name.as_str()).collect();
    let names = unknown_names(stops, planned);
    let told = names.iter().take(TOLD_MAX).map(|&name| Unknown {
        journey: name.to_owned(),
        near: did_you_mean(name, known.iter().copied()).map(str::to_owned),
    });
    (told.collect(), names.len().saturating_sub(TOLD_MAX))
}

fn unknown_names<'a>(stops: &'a Stops, planned: &[JourneyInput]) -> BTreeSet<&'a str> {
    let ordered = stops.switch.journeys.keys().map(String::as_str);
    let configured = stops.configured.iter().flat_map(|stopped| &stopped.journeys).flatten();
    let mut names: BTreeSet<&str> = ordered.chain(configured.map(|name| name.as_str())).collect();
    if !names.is_empty() {
        let known: HashSet<&str> = planned.iter().map(|intent| intent.name.as_str()).collect();
        names.retain(|name| !known.contains(name));
    }
    names
}

/// Logs names that no journey has once when they come, and once when a journey does.
#[derive(Debug, Default)]
pub(super) struct Teller {
    seen: Option<(Arc<Stops>, Arc<[JourneyInput]>)>,
    told: BTreeSet<String>,
}

impl Teller {
    /// To be called now and then. Costs nothing while nothing has changed.
    pub(super) fn look(&mut self, shared: &Shared) {
        let (stops, planned) = (shared.enforcement.stops(), shared.planned());
        let same = |(was, had): &(Arc<Stops>, Arc<[JourneyInput]>)| {
            Arc::ptr_eq(was, &stops) && Arc::ptr_eq(had, &planned)
        };
        if self.seen.as_ref().is_some_and(same) {
            return;
        }
        let now: BTreeSet<String> = unknown_names(&stops, &planned).into_iter().map(str::to_owned).collect();
        for name in self.told.difference(&now).filter(|name| stops.why(name).is_some()) {
            info!(journey = name, "a journey of this name is planned now, and is stopped as was said before");
        }
        if now.difference(&self.told).next().is_some() {
            let (unknown, more) = unknown(&stops, &planned);
            unknown.iter().for_each(|one| warn!("{}", said(one, &planned)));
            if more > 0 {
                warn!("and {more} more names that are stopped and that no journey has");
            }
        }
        (self.told, self.seen) = (now, Some((stops, planned)));
    }
}

fn said(unknown: &Unknown, planned: &[JourneyInput]) -> String {
    let known = planned.iter().map(|intent| intent.name.as_str());
    sentence(&unknown.journey, unknown.near.as_deref(), known)
}

/// That a name is stopped and no journey has it, and what may have been meant.
pub(crate) fn sentence<'a>(
    name: &str,
    near: Option<&str>,
    planned: impl ExactSizeIterator<Item = &'a str>,
) -> String {
    let count = planned.len();
    let meant = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if count == 0 => "none is planned".to_owned(),
        None => {
            let some: Vec<&str> = planned.take(NAMED_MAX).collect();
            let more = count.saturating_sub(NAMED_MAX);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            format!("planned: {}{more}", some.join(", "))
        }
    };
    format!(
        "no journey `{name}` is planned at present; one that appears under this name is stopped ({meant})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_or_some_names_are_told() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let of = |near, count: usize| sentence("x", near, names[..count].iter().copied());
        assert!(of(Some("xy"), 10).ends_with("is stopped (did you mean `xy`?)"));
        assert!(of(None, 0).ends_with("(none is planned)"));
        assert!(of(None, 8).ends_with("(planned: a, b, c, d, e, f, g, h)"), "{}", of(None, 8));
        assert!(of(None, 10).ends_with("(planned: a, b, c, d, e, f, g, h and 2 more)"));
    }
}
