//! Whether a caller answers one kind of request or several: many pages behind one operation (`Recv`, `POST /graphql`), each with its own steps.
//!
//! What a request called is its *class*. Two classes of one page differ by a choice: in one place of the sequence, or in several that are decided
//! each for itself, so that mixtures of the two are seen. Two classes are of different pages when
//!
//! - some pair of calls is in one order throughout one class, and in the other throughout the other; or
//! - they differ in two places with a call of both between them, and the places are always decided alike: `N * I(place; place)`, the logarithm of
//!   the likelihood ratio of "decided once" against "decided twice", is at least [`EVIDENCE_MIN`], and mixtures are rarer than [`MIXED_MAX`].
//!
//! Where that shows, less is asked of the others: classes behind it are of one page only if they are alike ([`ALIKE_MIN`]). One class that contains
//! another proves nothing: a request may end early, and a cache that was missed is filled later.
//!
//! Cost: O(classes² · calls² · [`LOOKED_AT`]), with at most [`CLASSES_MAX`] classes of at most [`CALLS_MAX`] calls; more are put to the page
//! most alike, or are pages of their own.

mod differ;

use std::collections::{BTreeMap, BTreeSet};

use self::differ::{Kind, Place, contradict, information, places, separated, times};
use super::super::observe::{Occurrence, SampledCall, SiteId};

/// What a request called, ascending.
pub(in crate::discover) type Class = Vec<SiteId>;

/// Requests that show a class; fewer may be accidents.
const SEEN_MIN: u64 = 5;
/// Natural logarithm: odds of 160 000 to 1, because some thousand pairs of places may be compared.
const EVIDENCE_MIN: f64 = 12.0;
/// Mixtures may be such a share of the rarer class: spans are lost now and then.
const MIXED_MAX: f64 = 0.02;
/// Classes of one page behind an entry that is known to serve several have this much in common. Nothing but experience tells two pages that differ in
/// one place from two ways through one: among ten journeys behind each entry, with choices of their own, 98 of 108 are found with this, 99 with a
/// quarter and 96 with two thirds (97 before pages were looked at); of thirty gateways with three to seven pages without choices the number is right for 22, 11 and 24.
const ALIKE_MIN: f64 = 0.5;
/// Two pages alone are alternatives of one journey if they are as alike as this.
const ALTERNATIVES_MIN: f64 = 0.5;
/// Classes compared with each other, most frequent first.
const CLASSES_MAX: usize = 256;
/// Calls of a class; one with more is not compared.
const CALLS_MAX: usize = 64;
/// Requests of a class whose order is looked at.
const LOOKED_AT: usize = 32;

/// The classes of each page, the most frequent page first; `None` where there is one page only.
pub(in crate::discover) fn pages(occurrences: &[&Occurrence]) -> Option<Vec<BTreeSet<Class>>> {
    let seen = Seen::of(occurrences);
    let relations = seen.compare(false);
    if !is_dispatcher(&seen, &relations, &grouped(&seen, &relations)) {
        return None;
    }
    // It is known to serve several pages: one more is likelier than a page with two faces.
    let pages = grouped(&seen, &seen.compare(true));
    let mut classes: Vec<BTreeSet<Class>> = pages.iter().map(|page| seen.classes_of(page)).collect();
    for rare in &seen.rare {
        let like = |page: &BTreeSet<Class>| page.iter().any(|one| alike(one, rare) >= ALIKE_MIN);
        let page = nearest(&classes, rare).and_then(|page| classes.get_mut(page));
        match page.filter(|page| like(page)) {
            Some(page) => drop(page.insert(rare.clone())),
            None => classes.push(BTreeSet::from([rare.clone()])),
        }
    }
    Some(classes)
}

/// What an occurrence called.
pub(in crate::discover) fn class(occurrence: &Occurrence) -> Class {
    let mut sites = Class::new();
    class_into(occurrence, &mut sites);
    sites
}

/// The same into what was allocated before.
fn class_into(occurrence: &Occurrence, sites: &mut Class) {
    sites.clear();
    sites.extend(occurrence.calls.iter().map(|call| call.site));
    sites.sort_unstable();
    sites.dedup();
}

/// Position of the page most like a class; the most frequent page among equals.
pub(in crate::discover) fn nearest(pages: &[BTreeSet<Class>], class: &[SiteId]) -> Option<usize> {
    let like = |page: &BTreeSet<Class>| page.iter().map(|one| alike(one, class)).fold(0.0, f64::max);
    let scored = pages.iter().map(like).enumerate().rev();
    scored.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(place, _)| place)
}

/// Jaccard's index; a class that is contained is wholly alike.
fn alike(of: &[SiteId], class: &[SiteId]) -> f64 {
    let common = common(of, class).len();
    let either = of.len() + class.len() - common;
    if common == class.len() { 1.0 } else { common as f64 / either as f64 }
}

fn jaccard(a: &[SiteId], b: &[SiteId]) -> f64 {
    let common = common(a, b).len();
    common as f64 / (a.len() + b.len() - common).max(1) as f64
}

fn common(a: &[SiteId], b: &[SiteId]) -> Vec<SiteId> {
    a.iter().filter(|site| b.binary_search(site).is_ok()).copied().collect()
}

fn without(a: &[SiteId], b: &[SiteId]) -> Vec<SiteId> {
    a.iter().filter(|site| b.binary_search(site).is_err()).copied().collect()
}

/// Everything a caller called.
struct Seen {
    kinds: Vec<Kind>,
    /// Classes that are seldom, of requests that failed, or beyond what is compared.
    rare: Vec<Class>,
}

/// How two kinds stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    /// One choice, or choices made each for itself, make one from the other.
    Linked,
    /// Their orders contradict each other.
    Contrary,
    /// Choices that are always made alike tell them apart.
    Apart,
    /// They have little in common, behind an entry that serves several pages.
    Unlike,
    /// Too little is seen.
    Unknown,
}

/// How all kinds stand to each other, by their positions.
#[derive(Default)]
struct Relations {
    contrary: BTreeSet<(usize, usize)>,
    apart: BTreeSet<(usize, usize)>,
    unlike: BTreeSet<(usize, usize)>,
    linked: Vec<(usize, usize)>,
}

impl Relations {
    fn holds(pairs: &BTreeSet<(usize, usize)>, one: &[usize], other: &[usize]) -> bool {
        one.iter().any(|&a| other.iter().any(|&b| pairs.contains(&(a.min(b), a.max(b)))))
    }

    /// Whether two parts are of different pages, whatever links them.
    fn divide(&self, one: &[usize], other: &[usize]) -> bool {
        Self::holds(&self.contrary, one, other) || Self::holds(&self.apart, one, other)
    }
}

impl Seen {
    fn of(occurrences: &[&Occurrence]) -> Self {
        let mut by_class: BTreeMap<Class, (u64, Vec<&Occurrence>)> = BTreeMap::new();
        let mut class = Class::new();
        for occurrence in occurrences {
            class_into(occurrence, &mut class);
            if !by_class.contains_key(&class) {
                by_class.insert(class.clone(), Default::default());
            }
            let Some((requests, whole)) = by_class.get_mut(&class) else { continue };
            if is_whole(occurrence) {
                *requests += 1;
                whole.extend((whole.len() < LOOKED_AT).then_some(*occurrence));
            }
        }
        let mut all: Vec<_> = by_class.into_iter().collect();
        all.sort_by_key(|(_, (requests, _))| std::cmp::Reverse(*requests));
        let (mut kinds, mut rare) = (Vec::new(), Vec::new());
        for (class, (requests, whole)) in all {
            if requests < SEEN_MIN || class.len() > CALLS_MAX || kinds.len() >= CLASSES_MAX {
                rare.push(class);
            } else {
                let times = whole.iter().map(|occurrence| times(&class, occurrence)).collect();
                kinds.push(Kind { class, requests, times });
            }
        }
        Self { kinds, rare }
    }

    fn compare(&self, strict: bool) -> Relations {
        let mut relations = Relations::default();
        for (i, a) in self.kinds.iter().enumerate() {
            for (j, b) in self.kinds.iter().enumerate().skip(i + 1) {
                match self.relation(a, b, strict) {
                    Relation::Linked => relations.linked.push((i, j)),
                    Relation::Contrary => drop(relations.contrary.insert((i, j))),
                    Relation::Apart => drop(relations.apart.insert((i, j))),
                    Relation::Unlike => drop(relations.unlike.insert((i, j))),
                    Relation::Unknown => {}
                }
            }
        }
        relations
    }

    fn relation(&self, a: &Kind, b: &Kind, strict: bool) -> Relation {
        let shared = common(&a.class, &b.class);
        let (only_a, only_b) = (without(&a.class, &b.class), without(&b.class, &a.class));
        let contains = only_a.is_empty() || only_b.is_empty();
        let likeness = jaccard(&a.class, &b.class);
        if contradict(a, b, &shared) {
            return Relation::Contrary;
        }
        if !shared.is_empty() && !contains {
            let places = places(a, b, &shared, &only_a, &only_b);
            let pairs = separated(&places);
            if self.decided_alike(a, b, &shared, &pairs) {
                return Relation::Apart;
            }
            if pairs.is_empty() && !(strict && likeness < ALIKE_MIN) {
                return Relation::Linked;
            }
        }
        match (strict, likeness < ALIKE_MIN) {
            (true, true) => Relation::Unlike,
            (true, false) => Relation::Linked,
            (false, _) => Relation::Unknown,
        }
    }

    /// Whether two places with a call of both between them are never decided each for itself.
    fn decided_alike(&self, a: &Kind, b: &Kind, shared: &[SiteId], pairs: &[(&Place, &Place)]) -> bool {
        let either: BTreeSet<_> = a.class.iter().chain(&b.class).collect();
        let between = |kind: &&Kind| {
            common(&kind.class, shared).len() == shared.len()
                && kind.class.iter().all(|site| either.contains(site))
        };
        let kinds: Vec<&Kind> = self.kinds.iter().filter(between).collect();
        pairs.iter().any(|(one, other)| {
            let mut counts = [[0_u64; 2]; 2];
            for kind in &kinds {
                if let (Some(x), Some(y)) = (one.side(&kind.class), other.side(&kind.class)) {
                    let [left, right] = &mut counts;
                    let [first, second] = if x { left } else { right };
                    *(if y { first } else { second }) += kind.requests;
                }
            }
            let [[both_a, mixed], [also_mixed, both_b]] = counts;
            let rarer = both_a.min(both_b) as f64;
            (mixed + also_mixed) as f64 <= MIXED_MAX * rarer && information(counts) >= EVIDENCE_MIN
        })
    }

    fn classes_of(&self, page: &[usize]) -> BTreeSet<Class> {
        page.iter().filter_map(|&at| self.kinds.get(at)).map(|kind| kind.class.clone()).collect()
    }

    fn alike(&self, (one, other): (usize, usize)) -> f64 {
        likeness(self, &[one], &[other])
    }

    fn requests(&self, page: &[usize]) -> u64 {
        page.iter().filter_map(|&at| self.kinds.get(at)).map(|kind| kind.requests).sum()
    }
}

/// Whether it answered well, and every call that failed was made again with success: what is missing then was not wanted.
fn is_whole(occurrence: &Occurrence) -> bool {
    let mended = |failed: &SampledCall| {
        let again = |call: &&SampledCall| {
            call.site == failed.site && call.start_ns >= failed.end_ns && !call.outcome.failed()
        };
        occurrence.calls.iter().any(|call| again(&call))
    };
    occurrence.outcome.answered() && occurrence.calls.iter().filter(|call| call.outcome.failed()).all(mended)
}

/// Pages: kinds that are linked, the most alike first, and then those that nothing holds apart; the most frequent page first.
fn grouped(seen: &Seen, relations: &Relations) -> Vec<Vec<usize>> {
    let mut parts: Vec<Vec<usize>> = (0..seen.kinds.len()).map(|at| vec![at]).collect();
    let mut links = relations.linked.clone();
    links.sort_by(|a, b| seen.alike(*b).total_cmp(&seen.alike(*a)).then(a.cmp(b)));
    for (one, other) in links {
        let part = |at: usize| parts.iter().position(|part| part.contains(&at));
        let (Some(into), Some(from)) = (part(one), part(other)) else { continue };
        let together = |into: &[usize], from: &[usize]| into != from && !relations.divide(into, from);
        if parts.get(into).zip(parts.get(from)).is_some_and(|(into, from)| together(into, from)) {
            let moved = parts.get_mut(from).map(std::mem::take).unwrap_or_default();
            parts.get_mut(into).into_iter().for_each(|part| part.extend_from_slice(&moved));
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.sort_by_key(|part| (std::cmp::Reverse(seen.requests(part)), part.first().copied()));
    let mut pages: Vec<Vec<usize>> = Vec::new();
    for part in parts {
        let free = |page: &Vec<usize>| {
            !relations.divide(page, &part) && !Relations::holds(&relations.unlike, page, &part)
        };
        let like = |page: &Vec<usize>| likeness(seen, page, &part);
        match pages.iter_mut().filter(|page| free(page)).max_by(|a, b| like(a).total_cmp(&like(b))) {
            Some(page) => page.extend(part),
            None => pages.push(part),
        }
    }
    pages.sort_by_key(|page| (std::cmp::Reverse(seen.requests(page)), page.first().copied()));
    pages
}

/// Of the two kinds most alike.
fn likeness(seen: &Seen, one: &[usize], other: &[usize]) -> f64 {
    let kinds = |part: &[usize]| part.iter().filter_map(|&at| seen.kinds.get(at)).collect::<Vec<_>>();
    let (one, other) = (kinds(one), kinds(other));
    let pairs = one.iter().flat_map(|a| other.iter().map(|b| jaccard(&a.class, &b.class)));
    pairs.fold(0.0, f64::max)
}

/// Two pages that are much alike are two ways through one journey, unless no order fits both.
fn is_dispatcher(seen: &Seen, relations: &Relations, pages: &[Vec<usize>]) -> bool {
    match pages {
        [] | [_] => false,
        [one, other] => {
            likeness(seen, one, other) < ALTERNATIVES_MIN || Relations::holds(&relations.contrary, one, other)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests;
