//! `enforcement`: the line that stops it.

use emac_core::id::JourneyName;

/// `enforcement`, where it says that something is stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Which journeys; `None`: all.
    pub journeys: Option<Vec<JourneyName>>,
    /// Who says so.
    pub by: Option<String>,
    /// Why.
    pub why: Option<String>,
}

impl Stopped {
    /// What stops whatever either stops; said by the first.
    #[must_use]
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.journeys = match (self.journeys, &other.journeys) {
            (Some(mut journeys), Some(others)) => {
                journeys.extend(
                    others.iter().filter(|name| !journeys.contains(name)).cloned().collect::<Vec<_>>(),
                );
                Some(journeys)
            }
            _ => None,
        };
        self
    }
}
