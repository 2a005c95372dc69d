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
