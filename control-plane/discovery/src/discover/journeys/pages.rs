//! Whether a caller answers one kind of request or several: many pages behind one operation (`Recv`, `POST /graphql`), each with its own steps.
//!
//! What a request called is its *class*. Two classes of one page differ by a choice: in one place of the sequence, or in several that are decided
//! each for itself, so that mixtures of the two are seen. Two classes are of different pages when
//!
//! - some pair of calls is in one order throughout one class, and in the other throughout the other; or
//! - they differ in two places with a call of both between them, and the places are always decided alike: `N * I(place; place)`, the logarithm of
//!   the likelihood ratio of "decided once" against "decided twice", is at least [`EVIDENCE_MIN`], and mixtures are rarer than [`MIXED_MAX`].
//!
//! Where that shows, less is asked of the others: classes behind it are of one page only if they are alike ([`ALIKE_ADDED_MIN`],
//! [`ALIKE_SWAPPED_MIN`]). One class that contains another proves nothing: a request may end early, and a cache that was missed is filled later.
//!
//! Cost: O(classes² · calls² · [`LOOKED_AT`]), with at most [`CLASSES_MAX`] classes of at most [`CALLS_MAX`] calls; more are put to the page most
//! alike.

use std::collections::{BTreeMap, BTreeSet};

use super::super::observe::{Occurrence, SiteId};

/// What a request called, ascending.
pub(in crate::discover) type Class = Vec<SiteId>;

/// Requests that show a class; fewer may be accidents.
const SEEN_MIN: u64 = 5;
/// Requests of the larger of two classes whose orders contradict each other: parallel calls that lie one behind the other fall five times one way and eight times the
/// other with 1 in 2^12.
const CONTRADICTING_MIN: u64 = 8;
/// Natural logarithm: odds of 160 000 to 1, because some thousand pairs of places may be compared.
const EVIDENCE_MIN: f64 = 12.0;
/// Mixtures may be such a share of the rarer class: spans are lost now and then.
const MIXED_MAX: f64 = 0.02;
/// Of two classes of one page, one of which has calls in addition: a step that is left out now and then is less than half of a page.
const ALIKE_ADDED_MIN: f64 = 0.5;
/// Of two classes of one page, each of which has calls of its own: another step in its place is a smaller part of it.
const ALIKE_SWAPPED_MIN: f64 = 2.0 / 3.0;
/// Two pages alone are alternatives of one journey if they are as alike as this.
const ALTERNATIVES_MIN: f64 = 0.5;
/// Classes compared with each other, most frequent first.
const CLASSES_MAX: usize = 128;
/// Calls of a class; one with more is not compared.
const CALLS_MAX: usize = 64;
/// Pairs of places looked at of two classes.
const PAIRS_MAX: usize = 256;
/// Requests of a class whose order is looked at.
const LOOKED_AT: usize = 32;

/// The classes of each page, the most frequent page first; `None` where there is one page only.
pub(in crate::discover) fn pages(occurrences: &[&Occurrence]) -> Option<Vec<BTreeSet<Class>>> {
    let seen = Seen::of(occurrences);
    let (apart, linked) = seen.compare(false);
    let mut pages = grouped(&seen, &apart, &linked);
    if !is_dispatcher(&seen, &pages) {
        return None;
    }
    // It is known to serve several pages: one more is likelier than a page with two faces.
    let (apart, linked) = seen.compare(true);
    pages = grouped(&seen, &apart, &linked);
    let mut classes: Vec<BTreeSet<Class>> = pages.iter().map(|page| seen.classes_of(page)).collect();
    for rare in &seen.rare {
        if let Some(page) = nearest(&classes, rare).and_then(|page| classes.get_mut(page)) {
            page.insert(rare.clone());
        }
    }
    Some(classes)
}

/// What an occurrence called.
pub(in crate::discover) fn class(occurrence: &Occurrence) -> Class {
    let sites: BTreeSet<_> = occurrence.calls.iter().map(|call| call.site).collect();
    sites.into_iter().collect()
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

/// How two calls lie in every request of a class that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Before,
    After,
    Mixed,
}

/// A class that was seen often enough.
struct Kind {
    class: Class,
    requests: u64,
    /// First start and last end of each call, as `class`, of a few requests.
    times: Vec<Vec<(i64, i64)>>,
}

/// Everything a caller called.
struct Seen {
    kinds: Vec<Kind>,
    /// Classes that are seldom, or of requests that failed.
    rare: Vec<Class>,
}

/// How two kinds stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    /// One choice, or choices made each for itself, make one from the other.
    Linked,
    /// They are of different pages.
    Apart,
    /// Too little is seen.
    Unknown,
}

type Pairs = BTreeSet<(usize, usize)>;

impl Seen {
    fn of(occurrences: &[&Occurrence]) -> Self {
        let mut by_class: BTreeMap<Class, (u64, Vec<&Occurrence>)> = BTreeMap::new();
        for occurrence in occurrences {
            let (requests, whole) = by_class.entry(class(occurrence)).or_default();
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

    /// Pairs that are apart, and pairs that are linked.
    fn compare(&self, strict: bool) -> (Pairs, Pairs) {
        let (mut apart, mut linked) = (Pairs::new(), Pairs::new());
        for (i, a) in self.kinds.iter().enumerate() {
            for (j, b) in self.kinds.iter().enumerate().skip(i + 1) {
                match self.relation(a, b, strict) {
                    Relation::Apart => apart.insert((i, j)),
                    Relation::Linked => linked.insert((i, j)),
                    Relation::Unknown => false,
                };
            }
        }
        (apart, linked)
    }

    fn relation(&self, a: &Kind, b: &Kind, strict: bool) -> Relation {
        let shared = common(&a.class, &b.class);
        let (only_a, only_b) = (without(&a.class, &b.class), without(&b.class, &a.class));
        let contains = only_a.is_empty() || only_b.is_empty();
        let likeness = jaccard(&a.class, &b.class);
        let enough = if contains { ALIKE_ADDED_MIN } else { ALIKE_SWAPPED_MIN };
        if contradict(a, b, &shared) {
            return Relation::Apart;
        }
        if !shared.is_empty() && !contains {
            let places = places(a, b, &shared, &only_a, &only_b);
            let pairs = separated(&places);
            if self.decided_alike(a, b, &shared, &pairs) {
                return Relation::Apart;
            }
            if pairs.is_empty() && !(strict && likeness < enough) {
                return Relation::Linked;
            }
        }
        match (strict, likeness < enough) {
            (true, true) => Relation::Apart,
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

    fn requests(&self, page: &[usize]) -> u64 {
        page.iter().filter_map(|&at| self.kinds.get(at)).map(|kind| kind.requests).sum()
    }
}

/// Whether it answered well, and every call that failed was made again with success: what is missing then was not wanted.
fn is_whole(occurrence: &Occurrence) -> bool {
    let mended = |failed: &super::super::observe::SampledCall| {
        let again = |call: &&super::super::observe::SampledCall| {
            call.site == failed.site && call.start_ns >= failed.end_ns && !call.outcome.failed()
        };
        occurrence.calls.iter().any(|call| again(&call))
    };
    occurrence.outcome.answered() && occurrence.calls.iter().filter(|call| call.outcome.failed()).all(mended)
}

fn times(class: &[SiteId], occurrence: &Occurrence) -> Vec<(i64, i64)> {
    let hull = |site: &SiteId| {
        let of = occurrence.calls.iter().filter(|call| call.site == *site);
        of.fold((i64::MAX, i64::MIN), |(start, end), call| (start.min(call.start_ns), end.max(call.end_ns)))
    };
    class.iter().map(hull).collect()
}

impl Kind {
    fn order(&self, a: SiteId, b: SiteId) -> Order {
        let (Ok(a), Ok(b)) = (self.class.binary_search(&a), self.class.binary_search(&b)) else {
            return Order::Mixed;
        };
        let pairs = || self.times.iter().filter_map(|times| Some((times.get(a)?, times.get(b)?)));
        if pairs().all(|(a, b)| a.1 <= b.0) {
            Order::Before
        } else if pairs().all(|(a, b)| b.1 <= a.0) {
            Order::After
        } else {
            Order::Mixed
        }
    }
}

/// Whether two calls of both come in one order in the one, in the other order in the other.
fn contradict(a: &Kind, b: &Kind, shared: &[SiteId]) -> bool {
    let opposite = |first: SiteId, second: SiteId| {
        matches!(
            (a.order(first, second), b.order(first, second)),
            (Order::Before, Order::After) | (Order::After, Order::Before)
        )
    };
    let pair =
        |(at, first): (usize, &SiteId)| shared.iter().skip(at + 1).any(|second| opposite(*first, *second));
    a.requests.max(b.requests) >= CONTRADICTING_MIN && shared.iter().enumerate().any(pair)
}

/// Where two kinds differ: what the one calls there and the other does not.
struct Place {
    /// For each call of both, whether it comes before, and whether it comes after.
    spot: (Vec<bool>, Vec<bool>),
    of_a: Vec<SiteId>,
    of_b: Vec<SiteId>,
}

impl Place {
    /// Whether a class is as the first kind here (else as the second); `None`: as neither.
    fn side(&self, class: &[SiteId]) -> Option<bool> {
        let all = |sites: &[SiteId]| sites.iter().all(|site| class.binary_search(site).is_ok());
        let none = |sites: &[SiteId]| sites.iter().all(|site| class.binary_search(site).is_err());
        if all(&self.of_a) && none(&self.of_b) {
            Some(true)
        } else {
            (all(&self.of_b) && none(&self.of_a)).then_some(false)
        }
    }
}

/// The places of two kinds' differences, by the calls of both before and after them.
fn places(a: &Kind, b: &Kind, shared: &[SiteId], only_a: &[SiteId], only_b: &[SiteId]) -> Vec<Place> {
    let spot = |kind: &Kind, site: SiteId| {
        let of =
            |order: Order| shared.iter().map(|both| kind.order(*both, site) == order).collect::<Vec<bool>>();
        (of(Order::Before), of(Order::After))
    };
    let of_a = only_a.iter().map(|site| (*site, true, spot(a, *site)));
    let of_b = only_b.iter().map(|site| (*site, false, spot(b, *site)));
    let mut found: Vec<Place> = Vec::new();
    for (site, is_a, spot) in of_a.chain(of_b) {
        let at = found.iter().position(|place| place.spot == spot).unwrap_or_else(|| {
            found.push(Place { spot, of_a: Vec::new(), of_b: Vec::new() });
            found.len() - 1
        });
        if let Some(place) = found.get_mut(at) {
            if is_a { place.of_a.push(site) } else { place.of_b.push(site) }
        }
    }
    found
}

/// Pairs of places with a call of both between them.
fn separated(places: &[Place]) -> Vec<(&Place, &Place)> {
    let any = |one: &[bool], other: &[bool]| one.iter().zip(other).any(|(one, other)| *one && *other);
    let apart =
        |one: &Place, other: &Place| any(&one.spot.1, &other.spot.0) || any(&one.spot.0, &other.spot.1);
    let pairs = places
        .iter()
        .enumerate()
        .flat_map(|(at, one)| places.iter().skip(at + 1).map(move |other| (one, other)));
    pairs.filter(|(one, other)| apart(one, other)).take(PAIRS_MAX).collect()
}

/// `N * I`, in nats: N times the mutual information of rows and columns.
fn information(counts: [[u64; 2]; 2]) -> f64 {
    let [[a, b], [c, d]] = counts.map(|row| row.map(|count| count as f64));
    let all = a + b + c + d;
    let term = |count: f64, row: f64, column: f64| {
        if count > 0.0 { count * (count * all / (row * column)).ln() } else { 0.0 }
    };
    term(a, a + b, a + c) + term(b, a + b, b + d) + term(c, c + d, a + c) + term(d, c + d, b + d)
}

/// Pages: kinds that are linked, and then those that nothing holds apart, most frequent first.
fn grouped(seen: &Seen, apart: &Pairs, linked: &Pairs) -> Vec<Vec<usize>> {
    let mut parts: Vec<Vec<usize>> = Vec::new();
    for at in 0..seen.kinds.len() {
        let is_linked =
            |part: &Vec<usize>| part.iter().any(|&other| linked.contains(&(other.min(at), other.max(at))));
        let (near, far): (Vec<_>, Vec<_>) = parts.into_iter().partition(is_linked);
        parts = far;
        parts.push(near.into_iter().flatten().chain([at]).collect());
    }
    parts.sort_by_key(|part| std::cmp::Reverse(seen.requests(part)));
    let mut pages: Vec<Vec<usize>> = Vec::new();
    for part in parts {
        let free = |page: &Vec<usize>| {
            page.iter()
                .all(|&one| part.iter().all(|&other| !apart.contains(&(one.min(other), one.max(other)))))
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

/// Two pages that are much alike are two ways through one journey.
fn is_dispatcher(seen: &Seen, pages: &[Vec<usize>]) -> bool {
    match pages {
        [] | [_] => false,
        [one, other] => likeness(seen, one, other) < ALTERNATIVES_MIN,
        _ => true,
    }
}

#[cfg(test)]
mod tests;
