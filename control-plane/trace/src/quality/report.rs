//! The signal-quality report, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::{Oddity, Refused};

/// How good the signal was. All counts are exact.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SignalQuality {
    /// Spans and hop records that were taken.
    pub spans: u64,
    /// Of them, hop records.
    pub hops: u64,
    /// Spans that could not be taken, by reason.
    pub refused: BTreeMap<Refused, Counted>,
    /// Spans that are odd but taken, by what is odd.
    pub odd: BTreeMap<Oddity, Counted>,
    /// Traces that begin with a link to another trace, by who sent the message and who took it.
    pub links: Vec<Link>,
    /// Duplicate spans, ignored.
    pub duplicates: u64,
    /// Spans that share their id with another one of their trace and are not the other half of its call.
    pub conflicting: u64,
    /// Spans that came after their trace was handed on.
    pub late: u64,
    /// Spans above the limit of one trace.
    pub cut: u64,
    /// Requests that were handed on.
    pub traces: u64,
    /// Of them, those that lack nothing.
    pub complete: u64,
    /// Of them, those that lack something.
    pub incomplete: u64,
    /// Of these, those that lack nothing but who called their entry (a browser, a load balancer).
    pub headless: u64,
    /// Requests none of whose spans is a root.
    pub rootless: u64,
    /// Requests handed on early, for want of room.
    pub evicted: u64,
    /// Spans with a missing parent.
    pub orphans: u64,
    /// Spans that were their own ancestors.
    pub circles: u64,
    /// Share of all requests that was recorded, in (0, 1]; `None`: unknown.
    pub sampling_rate: Option<f64>,
    /// Clocks that were certainly wrong, by service and instance.
    pub skews: Vec<Skew>,
    /// How often what was known of two clocks turned out wrong: one was set, drifted, or is several hosts' that say no name.
    pub clock_restarts: u64,
    /// By service, who recorded its calls.
    pub services: BTreeMap<String, ServiceRecorders>,
    /// Names that were one too many.
    pub names_overflowed: u64,
}

/// How many, and one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many.
    pub count: u64,
    /// The first one.
    pub example: String,
}

impl Counted {
    /// Longest example kept, in characters: it may be the input's.
    const EXAMPLE_MAX: usize = 200;

    /// Counts one more.
    pub fn count(&mut self, example: fmt::Arguments<'_>) {
        if self.count == 0 {
            let printable = |c: char| if c.is_control() { ' ' } else { c };
            self.example = example.to_string().chars().take(Self::EXAMPLE_MAX).map(printable).collect();
        }
        self.count += 1;
    }

    /// Takes what was counted elsewhere, after its own.
    pub(crate) fn add(&mut self, other: Self) {
        if self.count == 0 {
            self.example = other.example;
        }
        self.count += other.count;
    }

    fn to_value(&self) -> Value {
        json!({"count": self.count, "example": self.example})
    }
}

/// Traces whose root is linked to a span of another trace: journeys of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Who sent the message, and to where: `front kafka:orders`.
    pub from: String,
    /// Service and operation of the root: `worker orders process`.
    pub to: String,
    /// How many traces, and one of them.
    pub traces: Counted,
}

impl Link {
    fn to_value(&self) -> Value {
        json!({"from": self.from, "to": self.to, "count": self.traces.count, "example": self.traces.example})
    }
}

/// A clock that was certainly wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skew {
    /// Whose.
    pub service: String,
    /// On which host; empty: not said.
    pub instance: String,
    /// At least what must be added to its times to have them on a caller's clock, nanoseconds.
    pub offset_ns: i64,
}

/// Who recorded the calls of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceRecorders {
    /// Nobody is known to have called it: a root.
    pub as_root: u64,
    /// Its callers alone.
    pub by_caller: u64,
    /// It alone.
    pub by_callee: u64,
    /// Both.
    pub by_both: u64,
}

impl SignalQuality {
    /// Services that recorded nothing themselves: their structure is unknown.
    pub fn silent(&self) -> impl Iterator<Item = &str> {
        self.services
            .iter()
            .filter(|(_, seen)| seen.as_root + seen.by_callee + seen.by_both == 0)
            .map(|(name, _)| &**name)
    }

    /// Services whose callers recorded nothing: how their calls looked to those is unknown.
    pub fn unasked(&self) -> impl Iterator<Item = &str> {
        let unasked = |seen: &ServiceRecorders| seen.by_callee > 0 && seen.by_caller + seen.by_both == 0;
        self.services.iter().filter(move |(_, seen)| unasked(seen)).map(|(name, _)| &**name)
    }

    /// Everything, for programs.
    pub fn to_value(&self) -> Value {
        let refused =
            self.refused.iter().map(|(reason, counted)| (reason.label().to_owned(), counted.to_value()));
        let odd = self.odd.iter().map(|(oddity, counted)| (oddity.label().to_owned(), counted.to_value()));
        let services = self.services.iter().map(|(name, seen)| (name.clone(), seen.to_value()));
        json!({
            "spans": {
                "taken": self.spans,
                "hops": self.hops,
                "refused": refused.collect::<serde_json::Map<String, Value>>(),
                "odd": odd.collect::<serde_json::Map<String, Value>>(),
                "duplicates": self.duplicates,
                "conflicting": self.conflicting,
                "late": self.late,
                "cut": self.cut,
                "orphans": self.orphans,
                "circles": self.circles,
            },
            "traces": {
                "handedOn": self.traces,
                "complete": self.complete,
                "incomplete": self.incomplete,
                "headless": self.headless,
                "rootless": self.rootless,
                "evicted": self.evicted,
                "linked": self.links.iter().map(Link::to_value).collect::<Vec<_>>(),
            },
            "samplingRate": self.sampling_rate,
            "clocks": {
                "skewed": self.skews.iter().map(Skew::to_value).collect::<Vec<_>>(),
                "restarts": self.clock_restarts,
            },
            "services": services.collect::<serde_json::Map<String, Value>>(),
            "namesOverflowed": self.names_overflowed,
        })
    }
}

impl Skew {
    fn to_value(&self) -> Value {
        json!({"service": self.service, "instance": self.instance, "offsetNs": self.offset_ns})
    }
}

impl ServiceRecorders {
    fn to_value(self) -> Value {
        let Self { as_root, by_caller, by_callee, by_both } = self;
        json!({"asRoot": as_root, "byCaller": by_caller, "byCallee": by_callee, "byBoth": by_both})
    }
}

/// A few lines; what is zero is not mentioned.
impl fmt::Display for SignalQuality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { spans, traces, complete, incomplete, .. } = self;
        writeln!(f, "{spans} spans in {traces} traces: {complete} complete, {incomplete} incomplete")?;
        for (count, what) in self.troubles() {
            if count > 0 {
                writeln!(f, "  {count} {what}")?;
            }
        }
        for (reason, Counted { count, example }) in &self.refused {
            writeln!(f, "  {count} spans refused {}, the first: {example}", reason.says())?;
        }
        for (oddity, Counted { count, example }) in &self.odd {
            writeln!(f, "  {count} {}, the first: {example}", oddity.says())?;
        }
        for Link { from, to, traces: Counted { count, example } } in self.links.iter().take(NAMES_MAX) {
            writeln!(
                f,
                "{to} is linked to {from}, and a journey of its own: {count} traces, the first: {example}"
            )?;
        }
        if self.links.len() > NAMES_MAX {
            writeln!(f, "and {} more kinds of linked traces", self.links.len() - NAMES_MAX)?;
        }
        match self.sampling_rate {
            Some(rate) => writeln!(f, "sampling rate {:.2} %, from span attributes", rate * 100.0)?,
            None => writeln!(f, "sampling rate unknown: spans carry none")?,
        }
        for Skew { service, instance, offset_ns } in &self.skews {
            let host = if instance.is_empty() { String::new() } else { format!(" on {instance}") };
            let ms = *offset_ns as f64 / 1e6;
            writeln!(f, "clock of {service}{host} corrected by at least {ms:+.3} ms")?;
        }
        list(f, "recorded by their callers only", self.silent())?;
        list(f, "recorded by themselves only", self.unasked())
    }
}

impl SignalQuality {
    fn troubles(&self) -> [(u64, &'static str); 11] {
        [
            (
                self.headless,
                "traces whose entry names a caller that is never seen (a browser, a load balancer)",
            ),
            (self.duplicates, "duplicate spans ignored"),
            (self.conflicting, "spans share an id with another span"),
            (self.late, "late spans dropped"),
            (self.cut, "spans dropped, over the limit per trace"),
            (self.orphans.saturating_sub(self.headless), "spans with a missing parent"),
            (self.circles, "parent cycles cut"),
            (self.rootless.saturating_sub(self.headless), "traces without a root"),
            (self.evicted, "traces evicted early, buffer full"),
            (self.clock_restarts, "clock offsets reset after contradictory bounds"),
            (self.names_overflowed, "names over the limit"),
        ]
    }
}

/// At most this many names in a line.
const NAMES_MAX: usize = 20;

fn list<'a>(f: &mut fmt::Formatter<'_>, what: &str, names: impl Iterator<Item = &'a str>) -> fmt::Result {
    let names: Vec<&str> = names.collect();
    let shown = names.get(..NAMES_MAX.min(names.len())).unwrap_or_default().join(", ");
    match names.len() {
        0 => Ok(()),
        count if count > NAMES_MAX => writeln!(f, "{what}: {shown} and {} more", count - NAMES_MAX),
        _ => writeln!(f, "{what}: {shown}"),
    }
}
