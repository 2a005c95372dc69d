//! What is stopped, by whom and why; and what that makes of budgets. Pure: the time is handed in.
//!
//! Two voices are heard apart: people's orders by the API ([`Switch`], which is kept) and the configuration's line. A journey is stopped while
//! either says so, so that whoever lifts one cannot lift the other by accident.

use std::collections::BTreeMap;

use emac_core::budget::{Mode, WorkloadBudgets};
use serde::{Deserialize, Serialize};

use super::several::Several;
use crate::config::Stopped;

/// Changes remembered, newest last; older ones are in the log.
const HISTORY_MAX: usize = 64;

/// Who ordered something, why and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Order {
    /// An operator's proven name, or what somebody on this machine said of itself.
    pub(in super::super) by: String,
    /// Whether `by` was proven.
    pub(in super::super) proven: bool,
    pub(in super::super) why: String,
    pub(in super::super) at_unix_ms: u64,
}

/// What is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum Action {
    Stop,
    Resume,
}

/// One order as it was given, whether or not it changed anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Given {
    pub(in super::super) action: Action,
    /// `None`: all.
    pub(in super::super) journeys: Option<Vec<String>>,
    /// Whether anything was otherwise before.
    pub(in super::super) changed: bool,
    #[serde(flatten)]
    pub(in super::super) order: Order,
}

/// People's orders in force: the value that is kept over restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Switch {
    /// Grows with each order that changed something.
    pub(in super::super) revision: u64,
    /// Of the budgets that were published last when it changed: what comes after is above.
    pub(in super::super) generation: u64,
    /// All journeys are stopped, those that nobody has declared yet too.
    pub(in super::super) all: Option<Order>,
    /// But these act again.
    pub(in super::super) resumed: BTreeMap<String, Order>,
    /// Journeys stopped by name.
    pub(in super::super) journeys: BTreeMap<String, Order>,
    /// What was ordered, newest last.
    pub(in super::super) history: Vec<Given>,
    /// What only one of several replicas knows.
    #[serde(default, skip_serializing_if = "Several::is_nothing")]
    pub(in super::super) several: Several,
}

/// Both voices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Stops {
    pub(in super::super) switch: Switch,
    pub(in super::super) configured: Option<Stopped>,
}

/// Why a journey is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Why<'a> {
    Ordered(&'a Order),
    Configured(&'a Stopped),
}

impl Switch {
    /// Takes an order; whether it changed anything. Who stops twice changes nothing: the first order stays, and both are remembered.
    pub(super) fn take(&mut self, action: Action, journeys: Option<Vec<String>>, order: Order) -> bool {
        let before = (self.all.clone(), self.resumed.clone(), self.journeys.clone());
        match (action, &journeys) {
            (Action::Stop, None) if self.all.is_none() || !self.resumed.is_empty() => {
                self.all = Some(order.clone());
                self.resumed.clear();
            }
            (Action::Stop, None) => {}
            (Action::Stop, Some(names)) => names.iter().for_each(|name| self.stop(name, &order)),
            (Action::Resume, None) => {
                self.all = None;
                self.resumed.clear();
                self.journeys.clear();
            }
            (Action::Resume, Some(names)) => names.iter().for_each(|name| self.resume(name, &order)),
        }
        let changed = before != (self.all.clone(), self.resumed.clone(), self.journeys.clone());
        self.revision += u64::from(changed);
        self.history.push(Given { action, journeys, changed, order });
        if self.history.len() > HISTORY_MAX {
            self.history.remove(0);
        }
        changed
    }

    fn stop(&mut self, name: &str, order: &Order) {
        self.resumed.remove(name);
        if self.order(name).is_none() {
            self.journeys.insert(name.to_owned(), order.clone());
        }
    }

    fn resume(&mut self, name: &str, order: &Order) {
        self.journeys.remove(name);
        if self.all.is_some() && !self.resumed.contains_key(name) {
            self.resumed.insert(name.to_owned(), order.clone());
        }
    }

    /// The order by which a journey is stopped.
    fn order(&self, journey: &str) -> Option<&Order> {
        let all = || self.all.as_ref().filter(|_| !self.resumed.contains_key(journey));
        self.journeys.get(journey).or_else(all)
    }
}

impl Stops {
    /// Why a journey is stopped, if it is.
    pub(in super::super) fn why(&self, journey: &str) -> Option<Why<'_>> {
        let named = |stopped: &&Stopped| {
            let journeys = stopped.journeys.as_ref();
            journeys.is_none_or(|names| names.iter().any(|name| name.as_str() == journey))
        };
        let configured = self.configured.as_ref().filter(named).map(Why::Configured);
        configured.or_else(|| self.switch.order(journey).map(Why::Ordered))
    }

    /// Whether all journeys are stopped, those too of which nobody knows any more.
    pub(in super::super) fn all(&self) -> bool {
        let configured = self.configured.as_ref().is_some_and(|stopped| stopped.journeys.is_none());
        configured || self.switch.all.is_some() && self.switch.resumed.is_empty()
    }

    /// Whether anything is stopped.
    pub(in super::super) fn any(&self) -> bool {
        self.configured.is_some() || self.switch.all.is_some() || !self.switch.journeys.is_empty()
    }

    /// How far decisions about a journey go that its intent lets go so far.
    pub(in super::super) fn mode(&self, journey: &str, declared: Mode) -> Mode {
        if self.why(journey).is_some() { Mode::Observe } else { declared }
    }
}

/// Sets every journey that is stopped, and its hops, to observe. Whatever is published has passed here.
pub(super) fn apply(stops: &Stops, budgets: &mut WorkloadBudgets) {
    for journey in &mut budgets.journeys {
        journey.mode = stops.mode(journey.journey.as_str(), journey.mode);
    }
    for hop in &mut budgets.hops {
        hop.mode = stops.mode(hop.journey.as_str(), hop.mode);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emac_core::id::JourneyName;

    fn order(by: &str) -> Order {
        Order { by: by.to_owned(), proven: true, why: "INC-1".to_owned(), at_unix_ms: 1 }
    }

    fn names(of: &[&str]) -> Option<Vec<String>> {
        Some(of.iter().map(|&name| name.to_owned()).collect())
    }

    /// Which of two journeys are stopped, and by whom.
    fn stopped(stops: &Stops) -> [Option<&str>; 2] {
        ["checkout", "search"].map(|journey| {
            stops.why(journey).map(|why| match why {
                Why::Ordered(order) => order.by.as_str(),
                Why::Configured(_) => "configuration",
            })
        })
    }

    #[test]
    fn the_first_who_stops_stays_named_and_both_are_remembered() {
        let mut stops = Stops::default();
        let take = |stops: &mut Stops, action, journeys, by| stops.switch.take(action, journeys, order(by));
        assert!(take(&mut stops, Action::Stop, None, "ann"));
        assert!(!take(&mut stops, Action::Stop, None, "bob"));
        assert!(!take(&mut stops, Action::Stop, names(&["checkout"]), "bob"));
        assert_eq!((stopped(&stops), stops.all()), ([Some("ann"); 2], true));
        assert_eq!(
            stops.switch.history.iter().map(|given| given.changed).collect::<Vec<_>>(),
            [true, false, false]
        );
        // One after the other acts again, and one is stopped once more.
        assert!(take(&mut stops, Action::Resume, names(&["checkout"]), "ann"));
        assert_eq!((stopped(&stops), stops.all(), stops.any()), ([None, Some("ann")], false, true));
        assert!(take(&mut stops, Action::Stop, names(&["checkout"]), "bob"));
        assert_eq!(stopped(&stops), [Some("ann"); 2]);
        assert!(take(&mut stops, Action::Resume, None, "ann"));
        assert!(!take(&mut stops, Action::Resume, None, "ann"));
        assert_eq!((stopped(&stops), stops.any(), stops.switch.revision), ([None; 2], false, 4));
    }

    #[test]
    fn what_the_configuration_stops_only_the_configuration_resumes() {
        let mut stops = Stops::default();
        let journeys = Some(vec![JourneyName::new("search").unwrap()]);
        stops.configured = Some(Stopped { journeys, ..Stopped::default() });
        stops.switch.take(Action::Stop, names(&["checkout"]), order("ann"));
        assert_eq!(stopped(&stops), [Some("ann"), Some("configuration")]);
        stops.switch.take(Action::Resume, None, order("ann"));
        assert_eq!((stopped(&stops), stops.all()), ([None, Some("configuration")], false));
        stops.configured = Some(Stopped::default());
        assert_eq!((stopped(&stops), stops.all()), ([Some("configuration"); 2], true));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut switch = Switch::default();
        for n in 0..200 {
            switch.take(Action::Stop, None, order(&n.to_string()));
        }
        assert_eq!((switch.history.len(), switch.history[0].order.by.as_str()), (HISTORY_MAX, "136"));
        let text = serde_json::to_string(&switch).unwrap();
        assert_eq!(serde_json::from_str::<Switch>(&text).unwrap(), switch);
    }
}
