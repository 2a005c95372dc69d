//! What a client is interested in, and how requests change it.
//!
//! Three things look alike and are not: a first request without names (legacy wildcard), the name `*` (explicit wildcard), and a
//! later empty list (nothing). In the state-of-the-world variant a list replaces the one before, and the legacy wildcard ends with
//! the first list that has names; in the incremental variant it stays until `*` is unsubscribed.

use super::resource::{Name, Resource, ResourceSet};
use std::collections::BTreeSet;

/// The name that stands for every name.
pub(crate) const WILDCARD: &str = "*";

/// The resources of one kind that one client wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interest {
    wildcard: bool,
    /// Wildcard only because no name was ever given.
    legacy: bool,
    names: BTreeSet<Name>,
}

impl Interest {
    pub(super) fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.wildcard && self.names.is_empty()
    }

    pub(super) fn names_len(&self) -> usize {
        self.names.len()
    }

    /// Every name asked for, and the wildcard as `*`.
    pub(super) fn asked(&self) -> impl Iterator<Item = &str> {
        self.wildcard.then_some(WILDCARD).into_iter().chain(self.names.iter().map(|name| &**name))
    }

    /// Whether the client asked for this very name.
    pub(super) fn names(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Whether the client wants this resource, by name or by wildcard.
    pub(super) fn covers(&self, name: &str) -> bool {
        self.wildcard || self.names(name)
    }

    /// The resources of a set that the client wants, in the order of their names.
    pub(super) fn pick<'a>(&'a self, set: &'a ResourceSet) -> impl Iterator<Item = (&'a Name, &'a Resource)> {
        // A handful of names out of thousands of resources is the usual case: look the names up instead of walking the set.
        let all = self.wildcard.then(|| set.resources.iter());
        let named =
            (!self.wildcard).then(|| self.names.iter().filter_map(|n| set.resources.get_key_value(n)));
        all.into_iter().flatten().chain(named.into_iter().flatten())
    }

    /// State of the world: the list of a request replaces the interest. Returns the interest before.
    pub(super) fn replace(&mut self, list: &[String], first: bool) -> Self {
        let legacy = list.is_empty() && (first || self.legacy);
        let names = list.iter().filter(|n| *n != WILDCARD).map(|n| n.as_str().into()).collect();
        let wildcard = legacy || list.iter().any(|n| n == WILDCARD);
        std::mem::replace(self, Self { wildcard, legacy, names })
    }

    /// Incremental: adds a name or the wildcard.
    pub(super) fn add(&mut self, name: &str) {
        if name == WILDCARD {
            self.wildcard = true;
        } else {
            self.names.insert(name.into());
        }
    }

    /// Incremental: takes a name or the wildcard away. Returns whether it was there.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        if name == WILDCARD { std::mem::replace(&mut self.wildcard, false) } else { self.names.remove(name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn there_is_no_way_back_to_the_legacy_wildcard() {
        let mut interest = Interest::default();
        interest.replace(&[], true);
        assert!(interest.is_wildcard());
        interest.replace(&[], false);
        assert!(interest.is_wildcard());
        interest.replace(&list(&["a"]), false);
        assert!(interest.covers("a") && !interest.covers("b"));
        interest.replace(&[], false);
        assert!(interest.is_empty());
    }

    #[test]
    fn the_explicit_wildcard_comes_and_goes_with_its_name() {
        let mut interest = Interest::default();
        interest.replace(&list(&["*", "a"]), true);
        assert!(interest.is_wildcard() && interest.names("a"));
        interest.replace(&[], false);
        assert!(interest.is_empty(), "an explicit wildcard is not a legacy one");
    }
}
