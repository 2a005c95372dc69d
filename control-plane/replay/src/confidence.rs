//! Confidence of profile `paper-v2`: the replay's constants, no statistics.

use serde_json::{Value, json};

use super::discover::{DomainsFound, ScenarioFindings};
use super::round8;

/// Confidence of each field and overall.
pub(super) struct PaperConfidence {
    pub(super) edges: f64,
    pub(super) race: f64,
    pub(super) domains: f64,
    pub(super) overall: f64,
    /// What is incomplete or in conflict, in the paper's order.
    pub(super) flags: Vec<String>,
}

impl PaperConfidence {
    pub(super) fn new(found: &ScenarioFindings<'_>) -> Self {
        let coverage = found.coverage();
        let edges = if coverage >= 1.0 { 0.95 } else { (0.85 * coverage).max(0.20) };
        let race = match (found.overlap.all_seen(), found.overlap.ratio() >= 0.80) {
            (false, _) => 0.35,
            (true, true) => 0.95,
            (true, false) => 0.75,
        };
        let branches = found.race.iter().filter_map(|name| found.domains_of(name));
        let domains = branches.map(DomainsFound::confidence).fold(0.95, f64::min);
        let flags = flags(found, coverage);
        let weighted = 0.40 * edges + 0.25 * race + 0.35 * domains;
        let doubted = if flags.is_empty() { weighted } else { weighted * 0.85 };
        Self {
            edges: round8(edges),
            race,
            domains: round8(domains),
            overall: round8(doubted.clamp(0.0, 0.99)),
            flags,
        }
    }

    pub(super) fn document(&self) -> Value {
        json!({
            "overall": self.overall,
            "fields": {"operatorEdges": self.edges, "paymentRace": self.race, "failureDomains": self.domains},
            "evidenceFlags": self.flags,
            "basis": [
                "operator edges use trace parent/child span linkage",
                "payment race uses overlapping payment alternatives plus accepted intent",
                "failure domains use deployment/provider labels and payment span attributes",
            ],
        })
    }
}

fn flags(found: &ScenarioFindings<'_>, coverage: f64) -> Vec<String> {
    let mut flags = Vec::new();
    if coverage < 1.0 {
        flags.push("incomplete_trace_coverage".to_owned());
    }
    if !found.overlap.all_seen() {
        flags.push("incomplete_payment_branch_coverage".to_owned());
    }
    for name in found.race {
        match found.domains_of(name).map(DomainsFound::status) {
            Some("consistent") => {}
            Some("conflicting") => flags.push(format!("conflicting_domain_evidence:{name}")),
            _ => flags.push(format!("missing_domain_evidence:{name}")),
        }
    }
    flags
}
