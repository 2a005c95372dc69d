//! The algebra: bounds of journeys of 5, 100 and 1 000 leaves, and the five-step series band beside the straightforward way to
//! compute it.
//!
//! The straightforward way tries every parenthesization (Makarov's bound looks as if it depended on the order) and, for each time
//! of the grid, every split of it, looking both parts up by binary search.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;

use emac_core::bound::latency::{
    Band, Confidence, LatencyFacts, LatencyGrid, Observed, any_dependence, bands, observed,
};
use emac_core::bound::{Component, Domains, Facts, Interval, View, attribute, independent, shared_fate};
use emac_core::journey::{ComponentName, Journey, parse};
use emac_core::sketch::Sketch;
use emac_core::units::Micros;

use super::Section;
use super::table::{Better, Row, markdown};
use super::timing::{Work, side_by_side};

const THRESHOLD: Micros = Micros(400_000);
/// Calls measured of each leaf.
const CALLS: u32 = 2_000;

/// The section of the report; some seconds.
pub fn section() -> Section {
    let mut body = String::new();
    let sizes: Vec<Size> = [5, 100, 1_000].into_iter().map(Size::new).collect();
    let mut rows = Vec::new();
    for (name, target, work) in WORKS {
        let times = side_by_side(sizes.iter().map(|size| Some(work(size))).collect());
        let millis = |time: Option<f64>| time.map(|nanos| nanos / 1e6);
        let mut times = times.into_iter().rev().map(millis);
        let ours = times.next().flatten();
        let row = Row {
            name: name.into(),
            unit: "ms",
            better: Better::Lower,
            target,
            ours,
            others: times.collect(),
        };
        rows.push(row);
    }
    let _ = writeln!(body, "{}", sizes_table(&rows));
    let (row, note) = series();
    body.push_str(&markdown(&["every parenthesization"], &[row]));
    let _ = writeln!(body, "\n{note}");
    Section { title: "Algebra: bounds of a journey, one core", body }
}

/// Rows of sizes rather than of contenders: 1 000 leaves are judged.
pub(super) fn sizes_table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| measured, ms | 5 leaves | 100 leaves | 1 000 leaves | target for 1 000 |\n|---|---|---|---|---|\n",
    );
    let cell = |value: Option<f64>| value.map_or_else(|| "-".into(), |ms| format!("{ms:.3}"));
    for row in rows {
        let [hundred, five] = row.others.as_slice() else { continue };
        let verdict = match row.met() {
            None => "",
            Some(true) => " (met)",
            Some(false) => " (MISSED)",
        };
        let target = row.target.map_or_else(String::new, |target| format!("<= {target:.0}"));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {target}{verdict} |",
            row.name,
            cell(*five),
            cell(*hundred),
            cell(row.ours)
        );
    }
    text
}

type Measured = for<'a> fn(&'a Size) -> Work<'a>;

const WORKS: [(&str, Option<f64>, Measured); 4] = [
    ("availability: independent, envelope, any dependence", None, |size| {
        Box::new(|| {
            black_box(independent(&size.journey, &size.facts, View::Immediate).is_ok());
            black_box(shared_fate(&size.journey, &size.facts, View::Immediate).is_ok());
            let any = emac_core::bound::any_dependence(&size.journey, &size.facts, View::Immediate);
            black_box(any.is_ok());
            1
        })
    }),
    ("attribution: importance and gain of every leaf", None, |size| {
        Box::new(|| {
            black_box(attribute(&size.journey, &size.facts).is_ok());
            1
        })
    }),
    ("latency bands of the leaves from their sketches, exact limits", None, |size| {
        Box::new(|| {
            size.sketches.values().for_each(|sketch| {
                black_box(leaf(&size.latency.grid, sketch));
            });
            1
        })
    }),
    ("bounds and latency bands of the journey, three assumptions", Some(100.0), |size| {
        Box::new(|| {
            black_box(independent(&size.journey, &size.facts, View::Immediate).is_ok());
            black_box(shared_fate(&size.journey, &size.facts, View::Immediate).is_ok());
            black_box(bands(&size.journey, &size.latency, View::Immediate).is_ok());
            1
        })
    }),
];

/// A journey of `n` leaves: checkouts one after the other.
struct Size {
    journey: Journey,
    facts: Facts,
    sketches: BTreeMap<ComponentName, Sketch>,
    latency: LatencyFacts,
}

impl Size {
    fn new(n: usize) -> Self {
        let names: Vec<String> = (0..n).map(|i| format!("c{i}")).collect();
        let journey = journey(&checkouts(&names));
        let grid = LatencyGrid::for_journey(&journey, THRESHOLD);
        let sketches: BTreeMap<ComponentName, Sketch> =
            names.iter().enumerate().map(|(i, n)| (name(n), sketch(i as u64))).collect();
        let components = names.iter().enumerate().map(|(i, n)| (name(n), component(i))).collect();
        let bands = sketches.iter().map(|(name, sketch)| (name.clone(), leaf(&grid, sketch))).collect();
        Self {
            journey,
            facts: Facts::new(components),
            sketches,
            latency: LatencyFacts { grid, components: bands },
        }
    }
}

/// Canonical text of checkouts one after the other.
pub(super) fn checkouts(names: &[String]) -> String {
    let checkout = |c: &[String]| match c {
        [a, b, c, d, e] => format!("Series({a}, Parallel({b}, {c}), Race({d}, {e}))"),
        other => format!("Series({})", other.join(", ")),
    };
    let checkouts: Vec<String> = names.chunks(5).map(checkout).collect();
    format!("Series({})", checkouts.join(", "))
}

fn name(text: &str) -> ComponentName {
    ComponentName::new(text).unwrap_or_else(|error| unreachable!("{error}"))
}

fn journey(text: &str) -> Journey {
    let expr = parse(text).unwrap_or_else(|error| unreachable!("{error}"));
    Journey::new(expr).unwrap_or_else(|errors| unreachable!("{errors:?}"))
}

fn component(i: usize) -> Component {
    let availability = Interval::new(0.999_9, 0.999_9).unwrap_or(Interval::UNKNOWN);
    Component { availability, domains: Domains::Known([format!("zone-{}", i % 3)].into()) }
}

/// Latencies around a millisecond, exponential, all good.
pub(super) fn sketch(seed: u64) -> Sketch {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut sketch = Sketch::new();
    (0..CALLS).for_each(|_| sketch.record(Micros((500.0 - 500.0 * (1.0 - random.f64()).ln()) as u64)));
    sketch
}

fn leaf(grid: &LatencyGrid, latency: &Sketch) -> Band {
    observed(grid, Observed { latency, requests: latency.count() + 1 }, 0.05, Confidence::ClopperPearson)
}

/// Ours beside the straightforward way, and which is tighter.
fn series() -> (Row, String) {
    let journey = journey("Series(a, b, c, d, e)");
    let grid = LatencyGrid::for_journey(&journey, THRESHOLD);
    let names = ["a", "b", "c", "d", "e"];
    let components: BTreeMap<ComponentName, Band> =
        names.into_iter().zip(0..).map(|(n, seed)| (name(n), leaf(&grid, &sketch(seed)))).collect();
    let steps: Vec<Steps> = components.values().map(|band| Steps::of(&grid, band)).collect();
    let facts = LatencyFacts { grid: grid.clone(), components };
    let ours = || {
        black_box(any_dependence(&journey, &facts, View::Immediate).is_ok());
        1
    };
    let theirs = || {
        black_box(Steps::tightest(&grid, every_parenthesization(&grid, &steps)));
        1
    };
    let note = looseness(&grid, &journey, &facts, &steps);
    let times = side_by_side(vec![Some(Box::new(ours)), Some(Box::new(theirs))]);
    let micros = |time: &Option<f64>| time.map(|nanos| nanos / 1e3);
    let row = Row {
        name: "band of a series of five under any dependence".into(),
        unit: "us",
        better: Better::Lower,
        target: times.get(1).and_then(micros).map(|theirs| theirs / 100.0),
        ours: times.first().and_then(micros),
        others: times.iter().skip(1).map(micros).collect(),
    };
    (row, note)
}

fn looseness(grid: &LatencyGrid, journey: &Journey, facts: &LatencyFacts, steps: &[Steps]) -> String {
    let Ok(ours) = any_dependence(journey, facts, View::Immediate) else { return String::new() };
    let theirs = Steps::tightest(grid, every_parenthesization(grid, steps));
    let widths = theirs.lower.iter().zip(&theirs.upper).map(|(lower, upper)| {
        let interval = ours.at(grid, lower.0);
        (
            (lower.1 - interval.lo()).max(interval.hi() - upper.1),
            (interval.lo() - lower.1).max(upper.1 - interval.hi()),
        )
    });
    let (looser, tighter) =
        widths.fold((0.0_f64, 0.0_f64), |most, here| (most.0.max(here.0), most.1.max(here.1)));
    format!(
        "At no point is ours looser than the tightest of the fourteen by more than {looser:.1e}; it is tighter by up to {tighter:.4}."
    )
}

/// A band as two lists of steps, (from this time on, at least or at most this).
#[derive(Clone)]
struct Steps {
    lower: Vec<(Micros, f64)>,
    upper: Vec<(Micros, f64)>,
}

impl Steps {
    fn of(grid: &LatencyGrid, band: &Band) -> Self {
        let ends =
            |end: fn(Interval) -> f64| grid.edges().iter().map(|t| (*t, end(band.at(grid, *t)))).collect();
        Self { lower: ends(Interval::lo), upper: ends(Interval::hi) }
    }

    /// Value at the last step at or before a time.
    fn below(steps: &[(Micros, f64)], time: Micros) -> f64 {
        let at = steps.partition_point(|(t, _)| *t <= time);
        at.checked_sub(1).and_then(|at| steps.get(at)).map_or(0.0, |step| step.1)
    }

    /// Value at the first step at or after a time.
    fn above(steps: &[(Micros, f64)], time: Micros) -> f64 {
        steps.get(steps.partition_point(|(t, _)| *t < time)).map_or(1.0, |step| step.1)
    }

    /// Makarov's bounds of the sum, split by split.
    fn then(&self, grid: &LatencyGrid, other: &Self) -> Self {
        let splits =
            |t: Micros| grid.edges().iter().take_while(move |s| **s <= t).map(move |s| (*s, t.since(*s)));
        let lower = |t| {
            let sums =
                splits(t).map(|(s, rest)| Self::below(&self.lower, s) + Self::below(&other.lower, rest));
            (sums.fold(0.0, f64::max) - 1.0).max(0.0)
        };
        let upper = |t| {
            let sums =
                splits(t).map(|(s, rest)| Self::above(&self.upper, s) + Self::above(&other.upper, rest));
            sums.fold(1.0, f64::min)
        };
        Self {
            lower: grid.edges().iter().map(|t| (*t, lower(*t))).collect(),
            upper: grid.edges().iter().map(|t| (*t, upper(*t))).collect(),
        }
    }

    fn tightest(grid: &LatencyGrid, all: Vec<Self>) -> Self {
        let at = |place: usize, of: fn(&Self) -> &Vec<(Micros, f64)>, fold: fn(f64, f64) -> f64| {
            all.iter().filter_map(|steps| of(steps).get(place).map(|step| step.1)).reduce(fold).unwrap_or(0.0)
        };
        let edges = || grid.edges().iter().enumerate();
        Self {
            lower: edges().map(|(i, t)| (*t, at(i, |s| &s.lower, f64::max))).collect(),
            upper: edges().map(|(i, t)| (*t, at(i, |s| &s.upper, f64::min))).collect(),
        }
    }
}

fn every_parenthesization(grid: &LatencyGrid, steps: &[Steps]) -> Vec<Steps> {
    if let [one] = steps {
        return vec![one.clone()];
    }
    let mut all = Vec::new();
    for cut in 1..steps.len() {
        let (left, right) = steps.split_at(cut);
        for a in every_parenthesization(grid, left) {
            all.extend(every_parenthesization(grid, right).iter().map(|b| a.then(grid, b)));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_never_looser() {
        let journey = journey("Series(a, b, c, d)");
        let grid = LatencyGrid::through(THRESHOLD, 4, &[]);
        let names = ["a", "b", "c", "d"];
        let components: BTreeMap<ComponentName, Band> =
            names.into_iter().zip(0..).map(|(n, seed)| (name(n), leaf(&grid, &sketch(seed)))).collect();
        let steps: Vec<Steps> = components.values().map(|band| Steps::of(&grid, band)).collect();
        let facts = LatencyFacts { grid: grid.clone(), components };
        let ours = any_dependence(&journey, &facts, View::Immediate).unwrap();
        let theirs = Steps::tightest(&grid, every_parenthesization(&grid, &steps));
        for (lower, upper) in theirs.lower.iter().zip(&theirs.upper) {
            let at = ours.at(&grid, lower.0);
            assert!(at.lo() >= lower.1 - 1e-12 && at.hi() <= upper.1 + 1e-12, "{lower:?} {upper:?} {at}");
        }
    }

    #[test]
    fn five_steps_have_fourteen_orders() {
        let grid = LatencyGrid::through(THRESHOLD, 1, &[]);
        let one = Steps::of(&grid, &leaf(&grid, &sketch(1)));
        assert_eq!(every_parenthesization(&grid, &vec![one; 5]).len(), 14);
    }
}
