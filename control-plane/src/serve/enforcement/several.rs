//! People's orders where several replicas share them. Pure.
//!
//! The shared value is the one that counts; a replica's own is the shared one with the orders after it that the others have not got yet (NATS was away, or
//! is about to answer). Whatever the shared value has become meanwhile, those orders are given once more on top of it, in their order.
//!
//! **Generations.** What is published of a plan has its generations, *raised* by a number that grows with every change of what is stopped and is part of
//! the shared value. So two replicas with the same plan and the same orders publish the same generations, a newer plan or a newer order has a higher one,
//! and nobody has to wait for anybody to number what it publishes.

use serde::{Deserialize, Serialize};

use super::switch::{Action, Order, Switch};

/// What a replica has beside orders and history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in super::super) struct Several {
    /// By how much generations are above those of the plan.
    pub(in super::super) raised: u64,
    /// This was once what all replicas had: what it does not say is not ordered.
    pub(in super::super) shared: bool,
    /// Orders that the others have not got, oldest first.
    pub(in super::super) waiting: Vec<Waiting>,
    /// Generations were raised here, and the others do not know.
    pub(in super::super) lifted: bool,
}

/// An order that waits to be given to all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Waiting {
    action: Action,
    /// `None`: all.
    journeys: Option<Vec<String>>,
    /// The revision that who gave it had seen, if it minds that others came between.
    seen: Option<u64>,
    #[serde(flatten)]
    pub(in super::super) order: Order,
}

impl Several {
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the others lack something.
    pub(in super::super) fn is_untold(&self) -> bool {
        self.lifted || !self.waiting.is_empty()
    }

    /// Adds an order. What it makes pointless of those before it goes, so that there are no more than there are journeys, and one.
    pub(super) fn wait(
        &mut self,
        action: Action,
        journeys: Option<Vec<String>>,
        seen: Option<u64>,
        order: Order,
    ) {
        match &journeys {
            None => self.waiting.clear(),
            Some(names) => {
                for before in &mut self.waiting {
                    before.journeys.iter_mut().for_each(|these| these.retain(|name| !names.contains(name)));
                }
                self.waiting.retain(|before| before.journeys.as_ref().is_none_or(|these| !these.is_empty()));
            }
        }
        self.waiting.push(Waiting { action, journeys, seen, order });
    }
}

/// What a replica has whose own value was never shared (it was alone, or of a version that shared nothing): its orders wait.
pub(super) fn unshared(mut switch: Switch) -> Switch {
    if switch.several.shared || !switch.several.waiting.is_empty() {
        return switch;
    }
    let Switch { all, resumed, journeys, several, .. } = &mut switch;
    if let Some(order) = all {
        several.wait(Action::Stop, None, None, order.clone());
    }
    let named = [(Action::Resume, resumed), (Action::Stop, journeys)];
    for (action, orders) in named {
        for (name, order) in orders {
            several.wait(action, Some(vec![name.clone()]), None, order.clone());
        }
    }
    switch
}

/// The shared value with this replica's waiting orders on top, and those that somebody else's order has overtaken: whoever resumes what it has seen must not
/// lift a stop that it has not.
pub(super) fn merged(shared: &Switch, own: &Switch) -> (Switch, Vec<Waiting>) {
    let (mut next, mut overtaken) = (shared.clone(), Vec::new());
    next.several.waiting.clear();
    (next.several.shared, next.several.lifted) = (true, false);
    for waiting in &own.several.waiting {
        let came_between = waiting.seen.is_some_and(|seen| seen != next.revision);
        if waiting.action == Action::Resume && came_between {
            overtaken.push(waiting.clone());
            continue;
        }
        let changed = next.take(waiting.action, waiting.journeys.clone(), waiting.order.clone());
        next.several.raised += u64::from(changed);
        next.several.waiting.push(waiting.clone());
    }
    number(&mut next, shared, own);
    (next, overtaken)
}

/// Where nothing was ever shared, or somebody deleted it: what this replica has is what all shall have.
pub(super) fn first(own: &Switch) -> Switch {
    let mut next = own.clone();
    next.several.shared = true;
    let anything = own.several.raised > 0 || !own.history.is_empty() || own.all.is_some();
    next.several.lifted = next.several.waiting.is_empty() && anything;
    next
}

/// Numbers grow, also where this replica went on by itself and came to something else than all.
fn number(next: &mut Switch, shared: &Switch, own: &Switch) {
    let other = u64::from(!next.stops_like(own));
    let above = |number: u64, own: u64| if number > own { number } else { own + other };
    next.revision = above(next.revision, own.revision);
    next.several.raised = above(next.several.raised, own.several.raised);
    next.generation = next.generation.max(own.generation);
    let replayed = !next.several.waiting.is_empty();
    next.several.lifted =
        !replayed && (next.several.raised > shared.several.raised || next.revision > shared.revision);
}

impl Switch {
    /// Whether it stops the same, whoever ordered it.
    pub(super) fn stops_like(&self, other: &Self) -> bool {
        self.all.is_some() == other.all.is_some()
            && self.resumed.keys().eq(other.resumed.keys())
            && self.journeys.keys().eq(other.journeys.keys())
    }

    /// As it is shared: what only this replica has to do is left out.
    pub(super) fn to_share(&self) -> Self {
        let mut shared = self.clone();
        shared.several.waiting.clear();
        (shared.several.shared, shared.several.lifted) = (true, false);
        shared
    }

    /// All have got what this value was when it was `told`: what came since still waits.
    pub(super) fn told(&mut self, told: &Self) {
        self.several.shared = true;
        self.several.waiting.retain(|waiting| !told.several.waiting.contains(waiting));
        self.several.lifted = self.several.waiting.is_empty() && self.several.raised > told.several.raised;
    }
}

#[cfg(test)]
mod tests;
