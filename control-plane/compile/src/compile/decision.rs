//! The decision: PASS, FAIL, REVIEW or UNASSESSABLE, with every reason.
//!
//! A model is admissible when intent and model agree, its evidence covers enough and is young enough, as far as that is asked and said,
//! nothing about failure domains is unresolved where it matters, no evidence flag is raised, and its confidence suffices. What is not
//! admissible is REVIEW: a person looks. So is an objective of which nothing is known. Then, conservative: the
//! careful end below the objective is FAIL, else PASS; selective: FAIL only when even the optimistic end misses it, PASS only when the
//! careful end meets it, else REVIEW. Source: the paper's replay policy; selective from its OpenTelemetry-demo protocol.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::bound::{View, seen};
use emac_core::journey::{ComponentName, Expr, Journey};

use super::nodes::is_redundant;
use super::report::exact8;
use super::{Bounds, Given, LatencyBounds, Leaf};
use crate::model::{Model, Status};
use emac_document::format_duration;
use emac_journey::intent::{AvailabilityEnd, EvaluationMode, Intent, LatencyEnd};

/// Below this a difference is rounding: bounds are computed in doubles from promises with few digits.
const TOLERANCE: f64 = 1e-12;

/// Error of a share times a power of ten, in units of the last decimal shown.
const ROUNDING: f64 = 1e-6;

/// What is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The objective holds.
    Pass,
    /// It does not.
    Fail,
    /// A person has to look.
    Review,
    /// There is nothing to decide on.
    Unassessable,
}

impl Verdict {
    /// Stable label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Review => "REVIEW",
            Self::Unassessable => "UNASSESSABLE",
        }
    }

    /// The careful order: what is worse is greater.
    const fn rank(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Review => 1,
            Self::Fail => 2,
            Self::Unassessable => 3,
        }
    }
}

/// A decision with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is decided.
    pub verdict: Verdict,
    /// Why, the worst first.
    pub reasons: Vec<String>,
    /// What a reader should know besides.
    pub notes: Vec<String>,
    /// Nothing about failure domains is missing or contradictory where it matters.
    pub domains_resolved: bool,
    /// Evidence is younger than the intent asks; `None` when that cannot be said.
    pub fresh: Option<bool>,
}

/// Everything a decision looks at.
pub(super) struct Asked<'a> {
    pub(super) intent: &'a Intent,
    pub(super) model: &'a Model,
    pub(super) structure: &'a Journey,
    pub(super) leaves: &'a BTreeMap<ComponentName, Leaf>,
    pub(super) bounds: Option<&'a Bounds>,
    pub(super) latency: Option<&'a LatencyBounds>,
    /// Components that the answer waits for and of whose latency nothing is known, and those of them under a time limit.
    pub(super) slow: &'a [ComponentName],
    pub(super) untimed: &'a [ComponentName],
    pub(super) given: &'a Given<'a>,
}

impl Asked<'_> {
    pub(super) fn decide(&self) -> Decision {
        let unresolved = unresolved_domains(self.structure.root(), self.leaves);
        let (notes, fresh) = (self.notes(), self.fresh());
        let domains_resolved = unresolved.is_empty();
        let decided = |verdict, reasons| Decision { verdict, reasons, notes, domains_resolved, fresh };
        let Some(bounds) = self.bounds else {
            return decided(Verdict::Unassessable, unassessable(self.leaves));
        };
        let mut doubts = disagreements(self.intent, self.model, self.structure);
        doubts.extend(doubts_about(self.intent, self.model));
        doubts.extend(self.doubts_about_evidence());
        doubts.extend(self.untimed.iter().map(|name| {
            format!(
                "a time limit applies to {name}, which has neither a latency promise nor latency evidence"
            )
        }));
        doubts.extend(unresolved);
        let judged = self.by_bounds(bounds);
        if doubts.is_empty() {
            let verdict = judged.first().map_or(Verdict::Review, |(verdict, _)| *verdict);
            return decided(verdict, judged.into_iter().map(|(_, reason)| reason).collect());
        }
        let otherwise =
            |(verdict, reason): (Verdict, String)| format!("otherwise {}: {reason}", verdict.label());
        doubts.extend(judged.into_iter().map(otherwise));
        decided(Verdict::Review, doubts)
    }

    /// What the bounds alone say of each objective, and what is asked of evidence and said nowhere; the worst first, which decides.
    fn by_bounds(&self, bounds: &Bounds) -> Vec<(Verdict, String)> {
        let mut judged = vec![availability(self.intent, bounds)];
        judged.extend(match self.latency {
            Some(latency) => latency_verdict(self.intent, latency),
            None => self.unassessed_latency().map(|reason| (Verdict::Review, reason)),
        });
        judged.extend(self.unstated_coverage().map(|reason| (Verdict::Review, reason)));
        judged.extend(self.unstated_branches().map(|reason| (Verdict::Review, reason)));
        judged.sort_by_key(|(verdict, _)| core::cmp::Reverse(verdict.rank()));
        judged
    }

    /// Coverage that is demanded and that nobody states cannot be enough; what the bounds refuse stays refused.
    fn unstated_coverage(&self) -> Option<String> {
        let least = self.intent.evidence.edge_coverage_min.filter(|_| self.model.edge_coverage.is_none())?;
        let least = least.get();
        Some(format!("nothing says how many of the expected edges traces cover, {least} are required"))
    }

    /// Races of which nothing says that every branch was seen, where that is demanded. A model that was discovered lists those that it has seen, and
    /// raises a flag for what it has not.
    fn unstated_branches(&self) -> Option<String> {
        if !self.intent.evidence.require_branch_coverage {
            return None;
        }
        let seen = |group: &BTreeSet<ComponentName>| {
            self.model.redundancy.iter().any(|redundancy| redundancy.group == *group)
        };
        let unseen = redundant_groups(self.structure.root(), |expr| matches!(expr, Expr::Race { .. }));
        let unseen: Vec<_> =
            unseen.into_iter().filter(|group| !seen(group)).map(|group| listed(&group)).collect();
        let told = || {
            format!(
                "nothing says that every branch was observed of the race of {}",
                unseen.join(", nor of that of ")
            )
        };
        (!unseen.is_empty()).then(told)
    }

    /// An objective of which nothing is known is neither met nor missed.
    fn unassessed_latency(&self) -> Option<String> {
        let objective = self.intent.objectives.latency.as_ref()?;
        let names: Vec<_> = self.slow.iter().map(ComponentName::as_str).collect();
        let of = if names.is_empty() { "some component".to_owned() } else { names.join(", ") };
        Some(format!(
            "{} within {} is not assessed: neither a latency promise nor latency evidence for {of}",
            objective.metric.name,
            spaced(&format_duration(objective.threshold))
        ))
    }

    /// Whether evidence is younger than the intent asks; `None` when it does not say when it was taken, or nothing is asked.
    fn fresh(&self) -> Option<bool> {
        let age = self.age_ms()?;
        let max = self.intent.evidence.max_age?.to_millis_floor().0;
        Some((0..=i128::from(max)).contains(&age))
    }

    fn age_ms(&self) -> Option<i128> {
        let observed = self.given.evidence?.observed_at_unix_ms?;
        Some(i128::from(self.given.now_unix_ms) - i128::from(observed))
    }

    /// Evidence that was given must be young enough and say something of every component.
    fn doubts_about_evidence(&self) -> Vec<String> {
        let Some(evidence) = self.given.evidence else { return Vec::new() };
        let mut doubts = Vec::new();
        match self.intent.evidence.max_age {
            Some(_) if self.fresh() == Some(false) => {
                let age = self.age_ms().unwrap_or_default();
                let minutes = age.unsigned_abs() / 60_000;
                doubts.push(if age < 0 {
                    format!("evidence is dated {minutes} minutes after this decision: is observedAt right, and the clock here?")
                } else {
                    format!("evidence is {minutes} minutes old")
                });
            }
            Some(max) if self.age_ms().is_none() => doubts.push(format!(
                "some evidence does not say when it was observed (observedAt), and may be older than {}",
                format_duration(max)
            )),
            _ => {}
        }
        let silent = self.leaves.iter().filter(|(_, leaf)| !leaf.kept).map(|(name, _)| name);
        let silent =
            silent.filter(|name| evidence.components.get(*name).is_none_or(|seen| seen.counts.requests == 0));
        doubts.extend(silent.map(|name| format!("no evidence for {name}")));
        doubts
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(bounds) = self.bounds {
            notes.extend(bounds.loose.iter().cloned());
        }
        notes.extend(domain_notes(self.intent, self.model));
        notes
    }
}

/// Share answered within the threshold, under any dependence, against the objective's quantile. `None` without an objective.
fn latency_verdict(intent: &Intent, latency: &LatencyBounds) -> Option<(Verdict, String)> {
    let objective = intent.objectives.latency.as_ref()?;
    let quantile = objective.metric.quantile.get();
    let within = latency.any_dependence.within;
    let meets = |share: f64| share >= quantile - TOLERANCE;
    let target = percent(quantile);
    // Outward, and never with fewer decimals than the objective has: what is shown compares as what is judged.
    let decimals = target.split_once('.').map_or(0, |(_, decimals)| decimals.len()).max(2);
    let shown = |share: f64, round: fn(f64) -> f64| {
        let scale = 10f64.powi(decimals as i32);
        format!("{:.decimals$} %", round(share * 100.0 * scale) / scale)
    };
    let reason = format!(
        "between {} and {} finish within {} (objective: {target} %)",
        shown(within.lo(), |value| (value + ROUNDING).floor()),
        shown(within.hi(), |value| (value - ROUNDING).ceil()),
        spaced(&format_duration(objective.threshold))
    );
    let verdict = match (intent.governance.mode, intent.governance.latency_end) {
        (EvaluationMode::Selective, _) if meets(within.lo()) => Verdict::Pass,
        (EvaluationMode::Selective, _) if !meets(within.hi()) => Verdict::Fail,
        (EvaluationMode::Selective, _) => Verdict::Review,
        (EvaluationMode::Conservative, LatencyEnd::UpperConfidence) => one_end(meets(within.lo())),
        (EvaluationMode::Conservative, LatencyEnd::LowerConfidence) => one_end(meets(within.hi())),
    };
    Some((verdict, reason))
}

/// A share in percent, to eight decimals of the share, without trailing zeros.
fn percent(share: f64) -> String {
    format!("{:.6}", share * 100.0).trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `400ms` as `400 ms`.
fn spaced(duration: &str) -> String {
    let unit = duration.find(|c: char| !c.is_ascii_digit()).unwrap_or(duration.len());
    let (number, unit) = duration.split_at(unit);
    format!("{number} {unit}")
}

/// What the availability bounds say.
fn availability(intent: &Intent, bounds: &Bounds) -> (Verdict, String) {
    let objective = intent.objectives.availability.target.get();
    let (minus, plus) = (bounds.a_minus(), bounds.a_plus());
    let meets = |value: f64| value >= objective - TOLERANCE;
    let said = |name: &str, value: f64| {
        let relation = if meets(value) { "meets" } else { "is below" };
        format!("{name} {} {relation} the objective {}", exact8(value), exact8(objective))
    };
    match (intent.governance.mode, intent.governance.availability_end) {
        (EvaluationMode::Selective, _) if meets(minus) => (Verdict::Pass, said("A-", minus)),
        (EvaluationMode::Selective, _) if !meets(plus) => (Verdict::Fail, said("A+", plus)),
        (EvaluationMode::Selective, _) => {
            (Verdict::Review, format!("{}, {}", said("A-", minus), said("A+", plus)))
        }
        (EvaluationMode::Conservative, AvailabilityEnd::Pessimistic) => {
            (one_end(meets(minus)), said("A-", minus))
        }
        (EvaluationMode::Conservative, AvailabilityEnd::Optimistic) => {
            (one_end(meets(plus)), said("A+", plus))
        }
    }
}

fn one_end(meets: bool) -> Verdict {
    if meets { Verdict::Pass } else { Verdict::Fail }
}

fn unassessable(leaves: &BTreeMap<ComponentName, Leaf>) -> Vec<String> {
    let silent = leaves.iter().filter(|(_, leaf)| leaf.availability.is_none());
    let reason = |(name, _): (&ComponentName, &Leaf)| format!("the availability of {name} is unknown");
    let reasons: Vec<_> = silent.map(reason).collect();
    if reasons.is_empty() { vec!["the structure cannot be computed".to_owned()] } else { reasons }
}

/// Where the intent says one thing and the model another.
fn disagreements(intent: &Intent, model: &Model, structure: &Journey) -> Vec<String> {
    let mut found = Vec::new();
    if model.journey != intent.name.as_str() {
        found.push(format!("the model belongs to journey {}, the intent to {}", model.journey, intent.name));
    }
    if *structure != intent.structure {
        found.push(format!("the intent declares {}, the model has {structure}", intent.structure));
    }
    let groups = redundant_groups(structure.root(), is_redundant);
    for redundancy in &model.redundancy {
        if !groups.contains(&redundancy.group) {
            found.push(format!(
                "the model has a {} of {}, the structure has none",
                redundancy.pattern.label(),
                listed(&redundancy.group)
            ));
        }
    }
    found
}

fn listed(names: &BTreeSet<ComponentName>) -> String {
    names.iter().map(ComponentName::as_str).collect::<Vec<_>>().join(", ")
}

/// Components below each operator that `is_one`.
fn redundant_groups(expr: &Expr, is_one: impl Fn(&Expr) -> bool) -> BTreeSet<BTreeSet<ComponentName>> {
    let mut groups = BTreeSet::new();
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        if is_one(expr) {
            groups.insert(expr.leaves().into_iter().cloned().collect());
        }
        open.extend(expr.children());
    }
    groups
}

fn doubts_about(intent: &Intent, model: &Model) -> Vec<String> {
    let mut doubts = Vec::new();
    let least = intent.governance.auto_accept_confidence.get();
    if let Some(overall) =
        model.confidence.overall.map(emac_core::units::Ratio::get).filter(|overall| *overall < least)
    {
        doubts.push(format!("the model's overall confidence {overall} is below {least}"));
    }
    doubts.extend(intent.evidence.edge_coverage_min.and_then(|least| match model.edge_coverage {
        Some(seen) if seen < least => {
            Some(format!("traces cover {} of the expected edges, {} are required", seen.get(), least.get()))
        }
        _ => None,
    }));
    doubts.extend(model.confidence.flags.iter().map(|flag| format!("evidence flag: {flag}")));
    doubts
}

/// Domains that are missing or contradictory where redundancy depends on them.
fn unresolved_domains(root: &Expr, leaves: &BTreeMap<ComponentName, Leaf>) -> Vec<String> {
    let matters = redundant(root);
    let of = |name: &&ComponentName| match leaves.get(*name).map(|leaf| leaf.domain_status) {
        Some(Status::Unresolved) => Some(format!("missing_domain_evidence:{name}")),
        Some(Status::Contradictory) => Some(format!("conflicting_domain_evidence:{name}")),
        _ => None,
    };
    matters.iter().filter_map(of).collect()
}

/// Components below redundant operators that the answer waits for.
fn redundant(root: &Expr) -> BTreeSet<&ComponentName> {
    let mut found = BTreeSet::new();
    let mut open = vec![root];
    while let Some(expr) = open.pop() {
        if is_redundant(expr) {
            found.extend(seen(expr, View::Immediate));
        }
        if !matches!(expr, Expr::Async(_)) {
            open.extend(expr.children());
        }
    }
    found
}

fn domain_notes(intent: &Intent, model: &Model) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, component) in &intent.components {
        let declared: BTreeSet<_> = component.failure_domains.iter().cloned().collect();
        let (_, found) = model.domains_of(name);
        if let Some(found) = found.filter(|found| **found != declared && !declared.is_empty()) {
            let list = |domains: &BTreeSet<String>| domains.iter().cloned().collect::<Vec<_>>().join(", ");
            notes.push(format!(
                "{name}: the intent declares domains {}, the model has {}",
                list(&declared),
                list(found)
            ));
        }
    }
    notes
}
