//! The derivation report in the paper's shape.

use serde_json::{Map, Value, json};

use super::confidence::PaperConfidence;
use super::discover::{ScenarioFindings, labels};
use super::read::{Replay, Scenario};
use super::{Ends, round8};
use emac_compile::compile::Verdict;

/// What a report tells.
pub(super) struct Story<'a> {
    pub(super) replay: &'a Replay,
    pub(super) scenario: &'a Scenario,
    pub(super) found: &'a ScenarioFindings<'a>,
    pub(super) confidence: &'a PaperConfidence,
    pub(super) now: Ends,
    pub(super) race: Ends,
    pub(super) verdict: Verdict,
}

impl Story<'_> {
    pub(super) fn document(&self, reasons: &[String], has_delta: bool) -> Value {
        let name = &self.scenario.name;
        let journey = &self.replay.accepted.journey;
        let delta = has_delta.then(|| format!("generated/deltas/{name}.delta.yaml"));
        json!({
            "apiVersion": "emac.sanity/v1",
            "kind": "SanityDerivationReport",
            "metadata": {"name": format!("{journey}-{name}"), "labels": labels(journey, name)},
            "spec": {
                "scenario": name,
                "inputArtifacts": self.inputs(),
                "generatedArtifacts": {
                    "discoveredModel": format!("generated/models/{name}.discovered-model.yaml"), "delta": delta,
                },
                "operatorGraph": self.replay.structure.to_string(),
                "atomicAvailabilityInputs": self.atomic(),
                "localSloView": self.replay.local_view,
                "policy": self.policy(),
                "failureDomainAssumptions": self.assumptions(),
                "composition": self.composition(),
                "confidence": self.confidence.document(),
                "governance": {
                    "decision": self.verdict.label(), "reasons": reasons, "passRequires": self.replay.policy.pass_requires,
                },
                "dominantContributors": self.contributors(),
                "interpretation": self.interpretation(),
            },
        })
    }

    fn inputs(&self) -> Value {
        let path = |file: &str| format!("{}/{file}", self.scenario.folder);
        json!({
            "canonicalIntent": self.replay.canonical_intent,
            "acceptedModel": self.replay.files.accepted,
            "atomicSloInput": self.replay.files.atomic,
            "policy": self.replay.files.policy,
            "scenario": path("scenario.yaml"),
            "traceEvidence": path("trace-evidence.yaml"),
            "deploymentDomainEvidence": path("deployment-domains.yaml"),
        })
    }

    fn atomic(&self) -> Value {
        let value = |name| (format!("{name}"), json!(self.replay.atomic.get(name).map(|value| value.get())));
        Value::Object(self.replay.atomic_order.iter().map(value).collect())
    }

    fn policy(&self) -> Value {
        let policy = &self.replay.policy;
        json!({
            "objectiveAvailability": policy.objective, "evidenceWindow": policy.window,
            "autoAcceptConfidence": policy.auto_accept, "highImpactDeltaThreshold": policy.high_impact,
        })
    }

    fn rule(&self) -> String {
        let key = match self.found.relation() {
            "separate_effective_domains" => "separateKnownDomains",
            "shared_effective_domain" => "sharedEffectiveDomain",
            _ => "unknownOrConflictingDomain",
        };
        let rule = self.replay.policy.race_rules.get(key).map_or("", String::as_str);
        format!("{key}: {rule}")
    }

    fn assumptions(&self) -> Value {
        let group = self.found.race.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        let assumptions = match self.found.relation() {
            "separate_effective_domains" => [
                format!("{group} have distinct known effective payment domains"),
                "payment race keeps independent redundancy in the pessimistic replay bound".to_owned(),
            ],
            "shared_effective_domain" => [
                format!("{group} share one effective payment domain"),
                "full correlation inside that domain removes race availability gain".to_owned(),
            ],
            _ => [
                format!("{group} have missing or conflicting payment domains"),
                "the pessimistic replay bound does not trust the payment race".to_owned(),
            ],
        };
        let domains = self.found.race.iter().map(|name| {
            (
                name.to_string(),
                json!(self.found.domains_of(name).map(|found| found.names()).unwrap_or_default()),
            )
        });
        json!({
            "paymentRaceRelation": self.found.relation(),
            "paymentDomains": domains.collect::<Map<_, _>>(),
            "pessimisticRule": self.rule(),
            "assumptions": assumptions,
        })
    }

    fn composition(&self) -> Value {
        let optimistic = self.replay.policy.formulas.get("raceOptimistic").cloned().unwrap_or_default();
        let (plus, minus) = (round8(self.now.plus), round8(self.now.minus));
        json!({
            "formulas": self.replay.policy.formulas,
            "optimisticEstimate": {"symbol": "A_plus", "value": plus, "paymentRaceRule": optimistic},
            "pessimisticBound": {"symbol": "A_minus", "value": minus, "paymentRaceRule": self.rule()},
            "boundWidth": round8(self.now.plus - self.now.minus),
            "intermediateValues": {
                "parallelCartPricing": round8(self.parallel()),
                "raceOptimistic": round8(self.race.plus),
                "racePessimistic": round8(self.race.minus),
            },
        })
    }

    /// What the journey's parallel stage alone reaches: the product of its branches.
    fn parallel(&self) -> f64 {
        use emac_core::journey::Expr;
        fn find(expr: &Expr) -> Option<&Expr> {
            match expr {
                Expr::Parallel { .. } => Some(expr),
                other => other.children().into_iter().find_map(find),
            }
        }
        let stage = find(self.replay.structure.root());
        let names = stage.map(Expr::leaves).unwrap_or_default();
        names.into_iter().filter_map(|name| self.replay.atomic.get(name)).map(|value| value.get()).product()
    }

    fn contributors(&self) -> Vec<Value> {
        let mut contributors = Vec::new();
        if self.race.minus < self.race.plus {
            contributors.push(json!({
                "name": "payment_race_domain_correlation",
                "reason": "payment race redundancy is removed or not trusted in the pessimistic bound",
                "raceAPlus": round8(self.race.plus), "raceAMinus": round8(self.race.minus),
                "paymentRaceLoss": round8(self.race.plus - self.race.minus),
            }));
        }
        let objective = self.replay.policy.objective;
        if self.now.minus < objective {
            contributors.push(json!({
                "name": "objective_violation", "reason": "A_minus is below the policy objective",
                "objectiveAvailability": objective, "shortfall": round8(objective - self.now.minus),
            }));
        }
        contributors
    }

    fn interpretation(&self) -> String {
        let group = self.found.race.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        match self.verdict {
            Verdict::Pass => "Evidence supports separate effective payment domains, so the pessimistic replay keeps the payment race \
                              redundancy and the conservative gate passes."
                .to_owned(),
            Verdict::Fail => format!(
                "Local SLO inputs are unchanged, but evidence moves {group} into one effective payment domain. A_plus stays the \
                 same while A_minus collapses the payment race and the conservative gate returns FAIL."
            ),
            Verdict::Review | Verdict::Unassessable => {
                "Evidence is incomplete, in conflict or too uncertain for an automatic decision; a person has to look.".to_owned()
            }
        }
    }
}
