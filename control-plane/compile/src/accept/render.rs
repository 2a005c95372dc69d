//! A proposal for people and programs: text for a terminal, Markdown for a pull request, JSON for scripts.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Change, Class, Delta, Impact, Proposal, Shift};
use crate::compile::{Bounds, Compiled, exact8};
use crate::model::Provenance;

/// A proposal with both sides compiled.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// The difference.
    pub proposal: &'a Proposal<'a>,
    /// What acts.
    pub before: &'a Compiled<'a>,
    /// What the candidate would mean.
    pub after: &'a Compiled<'a>,
}

impl Comparison<'_> {
    fn a_minus(&self) -> (Option<f64>, Option<f64>) {
        let of = |compiled: &Compiled<'_>| compiled.bounds.as_ref().map(Bounds::a_minus);
        (of(self.before), of(self.after))
    }

    /// `3 changes; A- 0.99747706 -> 0.99251449 (-0.00496257, high impact); decision PASS -> FAIL`.
    fn summary(&self) -> String {
        let count = match self.proposal.deltas.len() {
            0 => "no changes".to_owned(),
            1 => "1 change".to_owned(),
            count => format!("{count} changes"),
        };
        let bounds = match self.a_minus() {
            (Some(before), Some(after)) => {
                let class = Impact { a_minus: Ok(Shift { before, after }), p99: Err(String::new()) }.class();
                let (was, is) = (exact8(before), exact8(after));
                format!("A- {was} -> {is} ({:+.8}, {} impact)", tidy(after - before), class.label())
            }
            _ => "A- cannot be computed for both models".to_owned(),
        };
        format!("{count}; {bounds}; decision {}", self.decision())
    }

    fn decision(&self) -> String {
        format!("{} -> {}", self.before.decision.verdict.label(), self.after.decision.verdict.label())
    }

    /// Deltas with those that matter most first.
    fn sorted(&self) -> Vec<&Delta> {
        let mut deltas: Vec<_> = self.proposal.deltas.iter().collect();
        deltas.sort_by_key(|delta| match delta.impact.as_ref().map(Impact::class) {
            Some(Class::High) => 0,
            Some(Class::Unknown) => 1,
            _ => 2,
        });
        deltas
    }

    /// Why impact on the latency is unknown, each reason once.
    fn unknown_p99(&self) -> Option<String> {
        let impacts = self.proposal.deltas.iter().filter_map(|delta| delta.impact.as_ref());
        let reasons: BTreeSet<_> = impacts.filter_map(|impact| impact.p99.as_ref().err()).collect();
        let reasons: Vec<_> = reasons.into_iter().map(String::as_str).collect();
        (!reasons.is_empty()).then(|| format!("p99 is unknown: {}", reasons.join("; ")))
    }

    fn base(&self) -> String {
        let version = |text: &str| text.chars().take(12).collect::<String>();
        let model = self.proposal.accepted().version().map_or("the intent".to_owned(), version);
        format!("model {model}, candidate {}", version(self.proposal.candidate().version()))
    }
}

/// No `-0.00000000`.
fn tidy(value: f64) -> f64 {
    if value.abs() < 5e-9 { 0.0 } else { value }
}

fn impact(delta: &Delta) -> (String, String) {
    let Some(impact) = &delta.impact else { return ("not predicted".to_owned(), "not predicted".to_owned()) };
    let a_minus = match &impact.a_minus {
        Ok(shift) => format!("{:+.8} {}", tidy(shift.delta()), impact.class().label()),
        Err(_) => "unknown".to_owned(),
    };
    let p99 = match &impact.p99 {
        Ok(shift) => format!("{:+.1} ms", shift.delta() * 1e3),
        Err(_) => "unknown".to_owned(),
    };
    (a_minus, p99)
}

fn evidence(delta: &Delta) -> String {
    let evidence = delta.evidence();
    format!("{} {}", evidence.status.label(), evidence.confidence.get())
}

fn source(provenance: &Provenance) -> String {
    let mut text = format!("{}: {}", provenance.source.label(), provenance.says);
    if let Some((file, field)) = &provenance.place {
        text.push_str(&format!(" ({file} {field})"));
    }
    if !provenance.traces.is_empty() {
        text.push_str(&format!(" [{}]", provenance.traces.join(", ")));
    }
    text
}

fn follows(delta: &Delta) -> Option<String> {
    let ids: Vec<_> = delta.follows.iter().map(ToString::to_string).collect();
    (!ids.is_empty()).then(|| format!("depends on {}", ids.join(", ")))
}

/// What A- means, for readers who meet it here first.
const A_MINUS: &str =
    "A-: lower end of the availability if components that share a failure domain may fail together";

/// For a terminal.
pub fn text(comparison: &Comparison<'_>) -> String {
    let Comparison { proposal, before, after } = comparison;
    let mut lines = vec![comparison.summary(), A_MINUS.to_owned(), comparison.base()];
    if before.structure != after.structure {
        lines.push(format!("- {}", before.structure));
        lines.push(format!("+ {}", after.structure));
    }
    for delta in comparison.sorted() {
        let (a_minus, p99) = impact(delta);
        lines.push(String::new());
        lines.push(format!("{}  {}", delta.id, delta.change));
        lines.push(format!("  {}; A- {a_minus}; p99 {p99}", evidence(delta)));
        lines.extend(reason(delta).map(|reason| format!("  unknown: {reason}")));
        lines.extend(follows(delta).map(|follows| format!("  {follows}")));
        lines.extend(delta.evidence().provenance.iter().map(|one| format!("  {}", source(one))));
    }
    lines.push(String::new());
    lines.extend(comparison.unknown_p99());
    lines.extend(proposal.unfounded.iter().map(unfounded));
    lines.extend(after.decision.reasons.iter().map(|reason| format!("candidate: {reason}")));
    lines.join("\n") + "\n"
}

fn unfounded(change: &Change) -> String {
    format!("not proposed, no provenance: {change}")
}

/// Why the impact on A- is unknown.
fn reason(delta: &Delta) -> Option<&String> {
    delta.impact.as_ref().filter(|impact| impact.class() == Class::Unknown)?.a_minus.as_ref().err()
}

/// What Markdown and HTML would read is written as text. Inside a table.
fn cell(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut safe = String::with_capacity(one_line.len());
    for c in one_line.chars() {
        match c {
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '~' | '#' | '@' => safe.extend(['\\', c]),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            c => safe.push(c),
        }
    }
    safe
}

/// For a pull request.
pub fn markdown(comparison: &Comparison<'_>) -> String {
    let Comparison { proposal, before, after } = comparison;
    let mut text = format!("### {}: {}\n\n", cell(before.intent.name.as_str()), comparison.summary());
    if before.structure == after.structure {
        text.push_str(&format!("```\n{}\n```\n\n", before.structure));
    } else {
        text.push_str(&format!("```diff\n- {}\n+ {}\n```\n\n", before.structure, after.structure));
    }
    text.push_str(&format!("**Decision:** {}\n\n", comparison.decision()));
    text.extend(after.decision.reasons.iter().map(|reason| format!("- {}\n", cell(reason))));
    if !proposal.deltas.is_empty() {
        text.push_str(
            "\n| id | change | before | after | A- | p99 | evidence |\n|---|---|---|---|---|---|---|\n",
        );
        comparison.sorted().into_iter().for_each(|delta| text.push_str(&row(delta)));
        text.push_str("\n<details><summary>Provenance</summary>\n\n");
        comparison.sorted().into_iter().for_each(|delta| text.push_str(&provenance(delta)));
        text.push_str("\n</details>\n");
    }
    text.extend(comparison.unknown_p99().map(|reason| format!("\n{}\n", cell(&reason))));
    text.extend(proposal.unfounded.iter().map(|change| format!("\n{}\n", cell(&unfounded(change)))));
    text.push_str(&format!("\n{A_MINUS}\n\n{}\n", comparison.base()));
    text
}

fn row(delta: &Delta) -> String {
    let (what, before, after) = delta.change.parts();
    let (a_minus, p99) = impact(delta);
    let (what, before, after, sure) = (cell(&what), cell(&before), cell(&after), evidence(delta));
    format!("| `{}` | {what} | {before} | {after} | {a_minus} | {p99} | {sure} |\n", delta.id)
}

fn provenance(delta: &Delta) -> String {
    let mut text = format!("- `{}`, {} samples\n", delta.id, delta.evidence().samples);
    let mut more: Vec<String> =
        reason(delta).map(|reason| format!("impact unknown: {reason}")).into_iter().collect();
    more.extend(follows(delta));
    more.extend(delta.evidence().provenance.iter().map(source));
    more.iter().for_each(|line| text.push_str(&format!("  - {}\n", cell(line))));
    text
}

/// For programs.
pub fn to_json(comparison: &Comparison<'_>) -> Value {
    let Comparison { proposal, before, after } = comparison;
    let side = |compiled: &Compiled<'_>, version: Option<&str>| {
        json!({
            "version": version,
            "expression": compiled.structure.to_string(),
            "A_plus": compiled.bounds.as_ref().map(|bounds| round8(bounds.a_plus())),
            "A_minus": compiled.bounds.as_ref().map(|bounds| round8(bounds.a_minus())),
            "verdict": compiled.decision.verdict.label(),
            "reasons": compiled.decision.reasons,
        })
    };
    json!({
        "journey": before.intent.name.as_str(),
        "before": side(before, proposal.accepted().version()),
        "after": side(after, Some(proposal.candidate().version())),
        "deltas": proposal.deltas.iter().map(delta).collect::<Vec<_>>(),
        "withoutProvenance": proposal.unfounded.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn delta(delta: &Delta) -> Value {
    let (what, before, after) = delta.change.parts();
    let evidence = delta.evidence();
    let mut json = Map::new();
    let mut put = |key: &str, value: Value| json.insert(key.to_owned(), value);
    put("id", json!(delta.id.as_str()));
    put("type", json!(delta.change.kind().label()));
    put("what", json!(what));
    put("before", json!(before));
    put("after", json!(after));
    put("status", json!(evidence.status.label()));
    put("confidence", json!(evidence.confidence.get()));
    put("samples", json!(evidence.samples));
    put("provenance", evidence.provenance.iter().map(crate::model::provenance_json).collect());
    put("followsFrom", delta.follows.iter().map(|id| json!(id.as_str())).collect());
    if let Some(impact) = &delta.impact {
        let shift = |shift: &Result<Shift, String>| match shift {
            Ok(Shift { before, after }) => {
                json!({"before": round8(*before), "after": round8(*after), "delta": round8(after - before)})
            }
            Err(reason) => json!({"unknown": reason}),
        };
        put(
            "impact",
            json!({"A_minus": shift(&impact.a_minus), "p99_seconds": shift(&impact.p99), "class": impact.class().label()}),
        );
    }
    Value::Object(json)
}

fn round8(value: f64) -> f64 {
    (value * 1e8).round() / 1e8 + 0.0
}
