//! What the call graph explains: who fails because somebody below failed.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::journey::ComponentName;

/// Who is called by whom, at whatever distance.
#[derive(Debug, Default)]
pub(super) struct Reach<'a> {
    below: BTreeMap<&'a ComponentName, BTreeSet<&'a ComponentName>>,
}

impl<'a> Reach<'a> {
    /// O(components · calls); cycles are followed once.
    pub(super) fn of(calls: &'a [(ComponentName, ComponentName)]) -> Self {
        let mut callees: BTreeMap<_, Vec<_>> = BTreeMap::new();
        calls.iter().for_each(|(caller, callee)| callees.entry(caller).or_default().push(callee));
        let below = |from| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
            while let Some(next) = open.pop() {
                let callees = callees.get(next).into_iter().flatten().copied();
                open.extend(callees.filter(|&callee| seen.insert(callee)));
            }
            seen
        };
        Self { below: callees.keys().map(|&from| (from, below(from))).collect() }
    }

    /// Whether one of the two calls the other.
    pub(super) fn related(&self, a: &ComponentName, b: &ComponentName) -> bool {
        let calls = |from, to| self.below.get(from).is_some_and(|below| below.contains(to));
        calls(a, b) || calls(b, a)
    }

    /// Whom both call.
    pub(super) fn common(
        &self,
        a: &ComponentName,
        b: &ComponentName,
    ) -> impl Iterator<Item = &'a ComponentName> {
        let below = |name| self.below.get(name).cloned().unwrap_or_default();
        let other: BTreeSet<_> = below(b);
        below(a).into_iter().filter(move |name| other.contains(name))
    }
}
