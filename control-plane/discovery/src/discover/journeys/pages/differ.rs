//! Where two classes differ, and whether their orders contradict each other.

use super::super::super::observe::{Occurrence, SiteId};
use super::Class;

/// Pairs of places looked at of two classes.
const PAIRS_MAX: usize = 256;
/// Requests of the larger of two classes whose orders contradict each other: parallel calls that lie one behind the other fall five times one way and
/// eight times the other with 1 in 2^12.
const CONTRADICTING_MIN: u64 = 8;

/// How two calls lie in every request of a class that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Before,
    After,
    Mixed,
}

/// A class that was seen often enough.
pub(super) struct Kind {
    pub(super) class: Class,
    pub(super) requests: u64,
    /// First start and last end of each call, as `class`, of a few requests.
    pub(super) times: Vec<Vec<(i64, i64)>>,
}

pub(super) fn times(class: &[SiteId], occurrence: &Occurrence) -> Vec<(i64, i64)> {
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
pub(super) fn contradict(a: &Kind, b: &Kind, shared: &[SiteId]) -> bool {
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
pub(super) struct Place {
    /// For each call of both, whether it comes before, and whether it comes after.
    spot: (Vec<bool>, Vec<bool>),
    of_a: Vec<SiteId>,
    of_b: Vec<SiteId>,
}

impl Place {
    /// Whether a class is as the first kind here (else as the second); `None`: as neither.
    pub(super) fn side(&self, class: &[SiteId]) -> Option<bool> {
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
pub(super) fn places(
    a: &Kind,
    b: &Kind,
    shared: &[SiteId],
    only_a: &[SiteId],
    only_b: &[SiteId],
) -> Vec<Place> {
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
pub(super) fn separated(places: &[Place]) -> Vec<(&Place, &Place)> {
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
pub(super) fn information(counts: [[u64; 2]; 2]) -> f64 {
    let [[a, b], [c, d]] = counts.map(|row| row.map(|count| count as f64));
    let all = a + b + c + d;
    let term = |count: f64, row: f64, column: f64| {
        if count > 0.0 { count * (count * all / (row * column)).ln() } else { 0.0 }
    };
    term(a, a + b, a + c) + term(b, a + b, b + d) + term(c, c + d, a + c) + term(d, c + d, b + d)
}
