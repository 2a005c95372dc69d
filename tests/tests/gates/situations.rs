//! What may happen to a canary, as series of two zones, of the canary and of the stable version.

use super::live::Made;
use super::shapes::Shape;

/// How a run of an analysis ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Successful,
    Inconclusive,
    Failed,
    Error,
}

/// What happens, under metric names that begin with a prefix.
pub(crate) struct Situation {
    pub(crate) name: &'static str,
    pub(crate) prefix: &'static str,
    pub(crate) expected: Phase,
    canary: &'static [Stream],
    stable: &'static [Stream],
    until: i64,
    is_number: bool,
}

/// Answers of one kind in a zone: zone, code, number a minute; below zero: one, three minutes ago.
type Stream = (&'static str, &'static str, f64);

const WELL: &[Stream] = &[
    ("a", "200", 300.0),
    ("a", "301", 50.0),
    ("b", "204", 300.0),
    ("b", "301", 50.0),
    ("b", "200", 1.0),
    ("a", "204", 1.0),
];
const ALL_FAIL: &[Stream] = &[("a", "500", 350.0), ("b", "503", 350.0)];

const fn situation(
    name: &'static str,
    prefix: &'static str,
    expected: Phase,
    canary: &'static [Stream],
) -> Situation {
    Situation { name, prefix, expected, canary, stable: WELL, until: i64::MAX, is_number: true }
}

pub(crate) const SITUATIONS: &[Situation] = &[
    situation("healthy, nothing ever failed", "healthy", Phase::Successful, WELL),
    situation(
        "healthy, a few failures within the budget",
        "rare",
        Phase::Successful,
        &[
            ("a", "200", 400.0),
            ("b", "200", 400.0),
            ("a", "301", 9.0),
            ("b", "301", 9.0),
            ("a", "500", 1.0),
            ("b", "500", 1.0),
        ],
    ),
    situation(
        "all fail, success series stand still",
        "stuck",
        Phase::Failed,
        &[
            ("a", "200", 0.0),
            ("b", "200", 0.0),
            ("a", "301", 0.0),
            ("b", "301", 0.0),
            ("a", "500", 350.0),
            ("b", "503", 350.0),
        ],
    ),
    situation("all fail, no success was ever seen", "never", Phase::Failed, ALL_FAIL),
    situation(
        "2 % fail",
        "two",
        Phase::Failed,
        &[
            ("a", "200", 430.0),
            ("b", "200", 430.0),
            ("a", "301", 10.0),
            ("b", "301", 10.0),
            ("a", "500", 9.0),
            ("b", "500", 9.0),
        ],
    ),
    Situation { stable: &[], ..situation("no data", "nodata", Phase::Inconclusive, &[]) },
    situation("no canary", "nocanary", Phase::Inconclusive, &[]),
    Situation {
        stable: ALL_FAIL,
        ..situation("stable fails, the canary does not", "stablefails", Phase::Successful, WELL)
    },
    Situation { is_number: false, ..situation("no numbers", "nan", Phase::Inconclusive, WELL) },
    situation(
        "one of several series fails",
        "zone",
        Phase::Failed,
        &[("a", "200", 300.0), ("a", "301", 50.0), ("b", "200", 70.0), ("b", "500", 280.0)],
    ),
    Situation {
        until: -12,
        ..situation("the canary's series vanish", "vanished", Phase::Inconclusive, WELL)
    },
    situation("one failure of thirty", "one", Phase::Inconclusive, &[("a", "200", 6.0), ("a", "500", -1.0)]),
    situation("forty requests, all failing", "forty", Phase::Failed, &[("a", "500", 8.0)]),
];

impl Situation {
    /// What must come of a shape: where requests cannot be counted, few of them decide.
    pub(crate) fn expected_of(&self, shape: &Shape) -> Phase {
        if self.prefix == "one" && !shape.counts { Phase::Failed } else { self.expected }
    }

    fn streams(&self) -> impl Iterator<Item = (&'static str, &'static Stream, i64)> {
        let canary = self.canary.iter().map(|stream| ("canary", stream, self.until));
        canary.chain(self.stable.iter().map(|stream| ("stable", stream, i64::MAX)))
    }

    fn made(&self) -> Vec<Made> {
        let mut all = Vec::new();
        for (rollout, &(zone, code, each), until) in self.streams() {
            let app = if rollout == "canary" { "desk" } else { "desk-primary" };
            let of = format!("rollout=\"{rollout}\",app=\"{app}\",zone=\"{zone}\",pod=\"{rollout}-{zone}\"");
            let is_number = self.is_number || rollout == "stable";
            let counter = move |minute: i64| {
                let value =
                    if each < 0.0 { f64::from(u8::from(minute > -3)) } else { each * (minute + 100) as f64 };
                (minute <= until).then_some(if is_number { value } else { f64::NAN })
            };
            let gauge = move |minute: i64| {
                (minute <= until).then_some(if is_number { each.max(0.0) / 60.0 } else { f64::NAN })
            };
            let mut add =
                |name: String, value: Box<dyn Fn(i64) -> Option<f64>>| all.push(Made { name, value });
            let p = self.prefix;
            add(format!("{p}_desk_total{{{of},code=\"{code}\",route=\"/v1/x\"}}"), Box::new(counter));
            let good = !code.starts_with('5');
            // One series for all good codes would be added up here: each code has its own.
            let kind = if good { "ok" } else { "err" };
            add(format!("{p}_{kind}_total{{{of},code=\"{code}\"}}"), Box::new(counter));
            add(format!("{p}_lat_count{{{of},code=\"{code}\"}}"), Box::new(counter));
            for (end, within) in [("0.1", good), ("0.4", good), ("1.0", true), ("+Inf", true)] {
                let value =
                    move |minute: i64| counter(minute).map(|count| if within { count } else { count * 0.0 });
                add(format!("{p}_lat_bucket{{{of},code=\"{code}\",le=\"{end}\"}}"), Box::new(value));
            }
            add(format!("{p}:all:rate5m{{{of},code=\"{code}\"}}"), Box::new(gauge));
            if good {
                add(format!("{p}:good:rate5m{{{of},code=\"{code}\"}}"), Box::new(gauge));
            }
        }
        all
    }
}

/// Series of every situation, and those that the compiled journey's own rules would record.
pub(crate) fn series() -> Vec<Made> {
    let constant =
        |name: &str, value: f64| Made { name: name.to_owned(), value: Box::new(move |_| Some(value)) };
    let mut all: Vec<Made> = SITUATIONS.iter().flat_map(Situation::made).collect();
    all.extend([
        constant("journey:booking:availability_bound{bound=\"pessimistic\"}", 0.99999),
        constant("journey:booking:model_delta:confidence", 1.0),
        constant("journey:booking:model:unresolved_domain_conflict", 0.0),
    ]);
    all
}
