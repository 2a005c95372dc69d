//! What a journey that nobody declared is called: after its entry, and where several would have one name, after what tells them apart.
//!
//! A name does not depend on which journey is more frequent, so that it is the same tomorrow: where two would have one, both get more, not the
//! second alone. In this order: the operation of the entry; its service before it, or, of several journeys behind one entry, the calls that the others
//! do not make; the operation between them; six digits of a digest of what it is.

use std::collections::{BTreeMap, BTreeSet};

use emac_document::hex;
use sha2::{Digest, Sha256};

/// What there is to make a name from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::discover) struct Subject {
    /// The name that its traces or its intent give it; empty: none.
    pub(in crate::discover) said: String,
    /// Service and operation of its entry.
    pub(in crate::discover) entry: (String, String),
    /// Services and operations that are called, in the order of their names.
    pub(in crate::discover) calls: Vec<(String, String)>,
}

/// Longest name but for a digest and a number, which leave it within `JourneyName::BYTES_MAX`.
const LETTERS_MAX: usize = 50;
/// Most calls in a name.
const TOLD_MAX: usize = 3;
/// Digits of a digest: of a hundred journeys with one name two have the same with 1 in 3 000.
const DIGITS: usize = 6;

/// A name for each, all different. O(n log n) and, among journeys of one entry, O(n² · calls).
pub(in crate::discover) fn names(subjects: &[Subject]) -> Vec<String> {
    let mut by_entry: BTreeMap<&(String, String), Vec<&Subject>> = BTreeMap::new();
    subjects.iter().for_each(|subject| by_entry.entry(&subject.entry).or_default().push(subject));
    let tried = |subject: &Subject| {
        let siblings = by_entry.get(&subject.entry).map_or(&[][..], Vec::as_slice);
        if subject.said.is_empty() { subject.names(siblings) } else { vec![subject.said.clone()] }
    };
    let tried: Vec<Vec<String>> = subjects.iter().map(tried).collect();
    let mut names: Vec<Option<String>> =
        subjects.iter().map(|one| Some(one.said.clone()).filter(|said| !said.is_empty())).collect();
    let mut taken: BTreeSet<String> = names.iter().flatten().cloned().collect();
    let most = tried.iter().map(Vec::len).max().unwrap_or_default();
    for level in 0..most {
        let open = |(at, name): (usize, &Option<String>)| {
            name.is_none().then(|| tried.get(at)?.get(level)).flatten()
        };
        let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
        names
            .iter()
            .enumerate()
            .filter_map(open)
            .for_each(|name| *wanted.entry(name.clone()).or_default() += 1);
        for (name, tried) in names.iter_mut().zip(&tried).filter(|(name, _)| name.is_none()) {
            *name =
                tried.get(level).filter(|one| wanted.get(*one) == Some(&1) && !taken.contains(*one)).cloned();
        }
        taken.extend(names.iter().flatten().cloned());
    }
    names
        .into_iter()
        .zip(&tried)
        .map(|(name, tried)| name.unwrap_or_else(|| numbered(tried, &mut taken)))
        .collect()
}

/// The last name tried, with a number: two journeys that nothing tells apart.
fn numbered(tried: &[String], taken: &mut BTreeSet<String>) -> String {
    let base = tried.last().map_or("journey", String::as_str);
    let mut n = 2_u64;
    while taken.contains(&format!("{base}-{n}")) {
        n += 1;
    }
    let name = format!("{base}-{n}");
    taken.insert(name.clone());
    name
}

impl Subject {
    /// Names to try, shortest first.
    fn names(&self, siblings: &[&Self]) -> Vec<String> {
        let (service, operation) = (slug(&self.entry.0), slug(&self.entry.1));
        let several = siblings.len() > 1;
        let told = if several { self.told(siblings) } else { String::new() };
        let plain = if operation.is_empty() { service.clone() } else { operation.clone() };
        let first = if several { joined(&[&service, &told]) } else { joined(&[&plain]) };
        let all = joined(&[&service, &operation, &told]);
        let digest = format!("{all}-{}", self.digest());
        vec![first, all, digest]
    }

    /// Calls that the other journeys of this entry do not make: one if one is enough, by its service if that is enough. Of a journey that another one
    /// contains, its first.
    fn told(&self, siblings: &[&Self]) -> String {
        let others: Vec<&Self> = siblings.iter().filter(|other| ***other != *self).copied().collect();
        let service = |(service, _): &(String, String)| slug(service);
        let both = |call: &(String, String)| label(call);
        let by_service = self.chosen(&others, &service);
        let by_both = self.chosen(&others, &both);
        let best = match (&by_service, &by_both) {
            (Some(services), Some(both)) if both.len() < services.len() => &by_both,
            (None, Some(_)) => &by_both,
            _ => &by_service,
        };
        best.clone().unwrap_or_else(|| self.calls.first().map(label).into_iter().collect()).join("-")
    }

    /// The fewest keys, greedily, which no other journey has all of; `None` where there are none, or too many.
    fn chosen(&self, others: &[&Self], key: &dyn Fn(&(String, String)) -> String) -> Option<Vec<String>> {
        let keys = |one: &Self| one.calls.iter().map(key).filter(|key| !key.is_empty()).collect::<Vec<_>>();
        let own = keys(self);
        let mut left: Vec<BTreeSet<String>> =
            others.iter().map(|other| keys(other).into_iter().collect()).collect();
        let mut chosen: Vec<String> = Vec::new();
        while !left.is_empty() && chosen.len() < TOLD_MAX {
            let having = |key: &String| left.iter().filter(|other| other.contains(key)).count();
            let best =
                own.iter().filter(|key| !chosen.contains(key)).min_by_key(|key| (having(key), *key))?;
            if having(best) == left.len() {
                return None;
            }
            left.retain(|other| other.contains(best));
            chosen.push(best.clone());
        }
        left.is_empty().then_some(chosen)
    }

    fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let texts =
            self.calls.iter().chain([&self.entry]).flat_map(|(service, operation)| [service, operation]);
        texts.for_each(|text| {
            hash.update(text);
            hash.update([0]);
        });
        hex(&hash.finalize()).chars().take(DIGITS).collect()
    }
}

/// A call in a few letters: `goods-one` of `goods/One` at `goods`, `cart-add` of `/shop.CartService/Add` at `cart`.
fn label((service, operation): &(String, String)) -> String {
    let is_rpc = operation.starts_with('/') && operation.matches('/').count() == 2 && operation.contains('.');
    let operation = if is_rpc { operation.rsplit('/').next().unwrap_or_default() } else { operation };
    let (service, operation) = (slug(service), slug(operation));
    match operation.strip_prefix(&service) {
        Some(rest) if rest.is_empty() || rest.starts_with('-') => operation,
        _ => joined(&[&service, &operation]),
    }
}

/// Parts with `-` between them; `journey` where nothing is left of them.
fn joined(parts: &[&str]) -> String {
    let parts: Vec<_> = parts.iter().filter(|part| !part.is_empty()).copied().collect();
    let name: String = parts.join("-").chars().take(LETTERS_MAX).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "journey".to_owned() } else { name.to_owned() }
}

/// Small letters and digits, what is between them one `-`.
fn slug(text: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let text: String = text.chars().map(letter).collect();
    text.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use emac_core::id::JourneyName;

    use super::*;

    fn subject(entry: (&str, &str), calls: &[(&str, &str)]) -> Subject {
        let pair = |(service, operation): (&str, &str)| (service.to_owned(), operation.to_owned());
        Subject {
            said: String::new(),
            entry: pair(entry),
            calls: calls.iter().map(|call| pair(*call)).collect(),
        }
    }

    #[test]
    fn an_entry_alone_is_its_operation() {
        assert_eq!(names(&[subject(("front", "POST /checkout"), &[])]), ["post-checkout"]);
        assert_eq!(names(&[subject(("front", ""), &[])]), ["front"]);
        assert_eq!(names(&[subject(("検索", "検索"), &[])]), ["journey"]);
    }

    #[test]
    fn entries_of_one_name_are_told_by_their_services() {
        let found = names(&[subject(("shop", "GET /"), &[]), subject(("admin", "GET /"), &[])]);
        assert_eq!(found, ["shop-get", "admin-get"]);
    }

    #[test]
    fn journeys_of_one_entry_are_told_by_what_they_call() {
        let gate = ("gate", "Recv");
        let page = |calls: &[&'static str]| {
            let calls: Vec<_> = calls.iter().map(|call| (call.split('/').next().unwrap(), *call)).collect();
            subject(gate, &calls)
        };
        let found = names(&[
            page(&["goods/One", "money/List", "hints/Get", "ads/Get"]),
            page(&["money/List", "goods/All", "ads/Get"]),
            page(&["money/List", "hints/Get", "ship/Quote"]),
            page(&["goods/One", "cart/Add"]),
            page(&["goods/One"]),
        ]);
        assert_eq!(found, ["gate-ads-hints", "gate-goods-all", "gate-ship", "gate-cart", "gate-goods-one"]);
    }

    #[test]
    fn no_two_have_one_name_in_any_order() {
        let (a, b) = (subject(("s", "GET /a.b"), &[]), subject(("s", "GET /a-b"), &[]));
        let long = "x".repeat(300);
        let (c, d) = (subject(("s", &format!("{long}1")), &[]), subject(("s", &format!("{long}2")), &[]));
        let (e, f) = (subject(("ü", "ü"), &[]), subject(("ö", "ö"), &[]));
        let twins = [subject(("t", "GET /"), &[("u", "v")]), subject(("t", "GET /"), &[("u", "v")])];
        let all: Vec<_> = [a, b, c, d, e, f].into_iter().chain(twins).collect();
        let found = names(&all);
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), all.len(), "{found:?}");
        assert!(found.iter().all(|name| JourneyName::new(name).is_ok()), "{found:?}");
        let turned: Vec<_> = all.iter().rev().cloned().collect();
        let mut again = names(&turned);
        again.reverse();
        assert_eq!(again[..6], found[..6]);
    }

    #[test]
    fn a_name_that_is_given_is_kept() {
        let given = Subject { said: "get".to_owned(), ..subject(("a", "GET"), &[]) };
        assert_eq!(names(&[subject(("b", "GET"), &[]), given]), ["b-get", "get"]);
    }
}
