use emac_core::units::Ratio;

use super::*;
use emac_document::{Limits, Problems, Source, parse, to_yaml};
use emac_journey::intent;
use emac_journey::slo::Slos;

/// The paper's journey with failure domains of the payment providers as given.
fn intent(paya: &str, payb: &str, governance: &str) -> Intent {
    let text = format!(
        "apiVersion: emac.dev/v1alpha1
kind: JourneyIntent
metadata: {{name: checkout}}
spec:
  objectives: {{availability: {{window: 30d, target: 0.995}}}}
  operator: Series(front, Parallel(cart, pricing), Race(paya, payb))
  components:
    front: {{availability: 0.9995, failureDomains: [k8s]}}
    cart: {{availability: 0.999, failureDomains: [k8s]}}
    pricing: {{availability: 0.999, failureDomains: [k8s]}}
    paya: {{availability: 0.995, failureDomains: [{paya}]}}
    payb: {{availability: 0.995, failureDomains: [{payb}]}}
  governance: {{{governance}}}
"
    );
    read(&text)
}

fn read(text: &str) -> Intent {
    let problems = Problems::new();
    let documents = parse(&Source::new("intent.yaml", text), &Limits::default(), &problems);
    intent::read(&documents[0], &problems).unwrap_or_else(|| panic!("{:?}", problems.list()))
}

fn promises(intent: &Intent) -> Promises {
    Slos::default().resolve(intent, &Problems::new())
}

fn declared(intent: &Intent, check: impl FnOnce(&Compiled<'_>)) {
    let model = AcceptedModel::declared(intent);
    check(&compile(intent, &model, Given::promises(&promises(intent))));
}

#[test]
fn the_papers_numbers_come_out() {
    declared(&intent("net", "net", ""), |compiled| {
        let bounds = compiled.bounds.as_ref().unwrap();
        assert_eq!(exact8(bounds.a_plus()), "0.99747706");
        assert_eq!(exact8(bounds.a_minus()), "0.99251449");
        assert_eq!(
            (exact8(bounds.any_dependence.lo()), exact8(bounds.any_dependence.hi())),
            ("0.99250000".into(), "0.99900000".into())
        );
        let beta = bounds.break_even["net"].unwrap();
        assert!((0.5003..0.5005).contains(&beta), "{beta}");
        let race = bounds.nodes.iter().find(|node| node.redundant).unwrap();
        assert_eq!(exact8(race.shared_fate_loss()), "0.00497500");
        assert_eq!(compiled.decision.verdict, Verdict::Fail);
        assert_eq!(compiled.decision.reasons, ["A- 0.99251449 is below the objective 0.99500000"]);
    });
    declared(&intent("net-a", "net-b", ""), |compiled| {
        assert_eq!(exact8(compiled.bounds.as_ref().unwrap().a_minus()), "0.99747706");
        assert_eq!(compiled.decision.verdict, Verdict::Pass);
    });
}

#[test]
fn a_selective_gate_asks_a_person_between_the_ends() {
    declared(&intent("net", "net", "evaluationMode: selective"), |compiled| {
        assert_eq!(compiled.decision.verdict, Verdict::Review);
    });
    declared(&intent("a", "b", "evaluationMode: selective"), |compiled| {
        assert_eq!(compiled.decision.verdict, Verdict::Pass);
    });
    declared(&intent("net", "net", "useBoundsForAutomation: {availability: optimistic}"), |compiled| {
        assert_eq!(compiled.decision.verdict, Verdict::Pass);
    });
}

#[test]
fn domains_that_nobody_states_ask_a_person_where_redundancy_depends_on_them() {
    declared(&intent("", "net", ""), |compiled| {
        assert_eq!(compiled.decision.verdict, Verdict::Review);
        assert_eq!(compiled.decision.reasons[0], "missing_domain_evidence:paya");
        assert!(!compiled.decision.domains_resolved);
        assert_eq!(exact8(compiled.bounds.as_ref().unwrap().a_minus()), "0.99251449");
    });
}

#[test]
fn a_component_without_a_promise_is_unassessable() {
    let text = "apiVersion: emac.dev/v1alpha1\nkind: JourneyIntent\nmetadata: {name: j}\nspec:\n  objectives: {availability: {window: 1d, \
                target: 0.9}}\n  operator: Series(a, b)\n  components: {a: {availability: 0.99}, b: {}}\n";
    declared(&read(text), |compiled| {
        assert_eq!(compiled.decision.verdict, Verdict::Unassessable);
        assert_eq!(compiled.decision.reasons, ["the availability of b is unknown"]);
    });
}

#[test]
fn a_kept_answer_is_always_there_and_an_async_part_counts_in_the_end() {
    let text = "apiVersion: emac.dev/v1alpha1\nkind: JourneyIntent\nmetadata: {name: j}\nspec:\n  objectives: {availability: {window: 1d, \
                target: 0.9}}\n  operator: Series(Fallback(a, 0.5*kept), Async(mail))\n  components: {a: {availability: 0.9, failureDomains: [x]}, kept: \
                {response: {}, failureDomains: [y]}, mail: {availability: 0.5}}\n";
    declared(&read(text), |compiled| {
        let bounds = compiled.bounds.as_ref().unwrap();
        assert_eq!(exact8(bounds.a_plus()), "0.95000000");
        assert_eq!(exact8(bounds.eventual.unwrap().0.hi()), "0.47500000");
    });
}

fn candidate(text: &str) -> CandidateModel {
    let problems = Problems::new();
    let documents = parse(&Source::new("model.yaml", text), &Limits::default(), &problems);
    CandidateModel::read(&documents[0], &problems).unwrap_or_else(|| panic!("{:?}", problems.list()))
}

const CANDIDATE: &str = "
apiVersion: emac.dev/v1alpha1
kind: DiscoveredJourneyModel
metadata: {name: checkout}
spec:
  failureDomains: {effective: {front: [k8s], cart: [k8s], pricing: [k8s], paya: [net], payb: [net]}}
  redundancy: [{pattern: race, group: [paya, payb]}]
  confidence: {overall: 0.78}
";

#[test]
fn a_doubtful_candidate_is_reviewed_before_it_fails() {
    let model = candidate(CANDIDATE);
    let strict = intent("a", "b", "");
    let compiled = preview(&strict, &model, Given::promises(&promises(&strict)));
    assert_eq!(compiled.decision.verdict, Verdict::Review);
    assert_eq!(compiled.decision.reasons[0], "the model's overall confidence 0.78 is below 0.8");
    assert!(compiled.decision.reasons[1].starts_with("otherwise FAIL"));
    let lenient = intent("net", "net", "autoAcceptConfidence: 0.75");
    let compiled = preview(&lenient, &model, Given::promises(&promises(&lenient)));
    assert_eq!(compiled.decision.verdict, Verdict::Fail);
}

#[test]
fn disagreement_between_intent_and_model_is_reviewed() {
    let intent = intent("a", "b", "");
    for (old, new, told) in [
        (
            "group: [paya, payb]",
            "group: [cart, pricing]",
            "the model has a race of cart, pricing, the structure has none",
        ),
        (
            "  confidence: {overall: 0.78}",
            "  expression: Series(front, cart, pricing, Race(paya, payb))",
            "the intent declares Series(front, Parallel(cart, pricing), Race(paya, payb)), the model has Series(front, cart, pricing, Race(paya, payb))",
        ),
        ("{name: checkout}", "{name: other}", "the model belongs to journey other, the intent to checkout"),
        (
            "overall: 0.78",
            "overall: 0.9, evidenceFlags: [incomplete_trace_coverage]",
            "evidence flag: incomplete_trace_coverage",
        ),
    ] {
        let model = candidate(&CANDIDATE.replace(old, new));
        let compiled = preview(&intent, &model, Given::promises(&promises(&intent)));
        assert_eq!(compiled.decision.verdict, Verdict::Review, "{new}");
        assert!(compiled.decision.reasons.contains(&told.to_owned()), "{:?}", compiled.decision.reasons);
    }
}

#[test]
fn a_candidate_of_high_impact_holds_up_what_would_pass() {
    let intent = intent("net-a", "net-b", "");
    let accepted = AcceptedModel::declared(&intent);
    let beside = |text: &str| {
        let model = candidate(text);
        let promises = promises(&intent);
        let candidate = preview(&intent, &model, Given::promises(&promises));
        let compiled = compile(&intent, &accepted, Given::promises(&promises)).beside(&candidate);
        (compiled.decision.verdict, compiled.decision.reasons)
    };
    let (verdict, reasons) = beside(CANDIDATE);
    assert_eq!(verdict, Verdict::Review);
    assert_eq!(reasons[0], "unresolved high-impact delta: A- would change from 0.99747706 to 0.99251449");
    let same = CANDIDATE.replace("paya: [net], payb: [net]", "paya: [net-a], payb: [net-b]");
    assert_eq!(beside(&same).0, Verdict::Pass);
}

#[test]
fn the_report_tells_everything() {
    let model = candidate(CANDIDATE);
    let intent = intent("net-a", "net-b", "");
    let compiled = preview(&intent, &model, Given::promises(&promises(&intent)));
    insta::assert_snapshot!(to_yaml(&derivation(&compiled), ""));
}

#[test]
fn budgets_follow_promises() {
    declared(&intent("net", "net", ""), |compiled| {
        let bounds = compiled.bounds.as_ref().unwrap();
        assert!(bounds.budget.is_some());
        let change = bounds.restoring.as_ref().unwrap();
        assert_eq!(change.component.as_str(), "paya");
        assert_eq!(exact8(change.to), "0.99749173", "what the race must reach");
        assert_eq!(bounds.attribution.len(), 5);
        assert_eq!(Ratio::new(change.from).unwrap().get(), 0.995);
    });
}

/// A series of two with a latency objective of 400 ms at p99, SLOs and evidence as given, asked at noon.
fn measured(governance: &str, slos: &str, evidence: &str, check: impl FnOnce(&Compiled<'_>)) {
    let text = format!(
        "apiVersion: emac.dev/v1alpha1
kind: JourneyIntent
metadata: {{name: j}}
spec:
  objectives:
    availability: {{window: 30d, target: 0.95}}
    latency: {{window: 30d, objective: {{metric: p99, threshold: 400ms}}}}
  operator: Series(a, b)
  components: {{a: {{atomicSLORef: ['openslo:a', 'openslo:a-latency']}}, b: {{atomicSLORef: ['openslo:b', 'openslo:b-latency']}}}}
  evidence: {{modelDiscovery: {{freshness: {{maxAge: 1h}}}}}}
  governance: {{{governance}, actions: [{{kind: promote, guard: 'A_minus >= 0.9 && p99_U <= 0.4'}}]}}
"
    );
    let intent = read(&text);
    let problems = Problems::new();
    let documents = parse(&Source::new("slos.yaml", slos), &Limits::default(), &problems);
    let promises = Slos::read(&documents, &problems).resolve(&intent, &problems);
    assert_eq!(problems.errors(), 0, "{:?}", problems.list());
    let head = "apiVersion: emac.dev/v1alpha1\nkind: JourneyEvidence\nmetadata: {name: j}\nspec: ";
    let documents =
        parse(&Source::new("evidence.yaml", format!("{head}{evidence}\n")), &Limits::default(), &problems);
    let evidence = emac_journey::measured::read(&documents[0], &problems)
        .unwrap_or_else(|| panic!("{:?}", problems.list()));
    let noon = emac_document::parse_timestamp("2026-01-31T12:00:00Z").unwrap();
    let evidence = (!evidence.components.is_empty()).then_some(&evidence);
    let model = AcceptedModel::declared(&intent);
    check(&compile(&intent, &model, Given { promises: &promises, evidence, now_unix_ms: noon }));
}

/// Ratio and latency SLOs of a and b: 0.999, and these shares within 100 and 200 ms.
fn slos(within_100: f64, within_200: f64) -> String {
    let slo = |name: &str| {
        format!(
            "apiVersion: openslo/v1\nkind: SLO\nmetadata: {{name: {name}}}\nspec:\n  service: {name}\n  budgetingMethod: Occurrences\n  indicator: {{spec: {{ratioMetric: \
             {{good: {{metricSource: {{}}}}, total: {{metricSource: {{}}}}}}}}}}\n  objectives: [{{target: 0.999}}]\n---\napiVersion: openslo/v1\nkind: SLO\nmetadata: {{name: \
             {name}-latency}}\nspec:\n  service: {name}\n  budgetingMethod: Occurrences\n  indicator: {{spec: {{thresholdMetric: {{metricSource: {{spec: {{query: duration}}}}}}}}}}\n  objectives: [{{op: lte, \
             value: 0.1, target: {within_100}}}, {{op: lte, value: 0.2, target: {within_200}}}]\n---\n"
        )
    };
    slo("a") + &slo("b")
}

#[test]
fn promised_latencies_bound_the_journeys() {
    measured("evaluationMode: conservative", &slos(0.9, 0.998), "{}", |compiled| {
        let latency = compiled.latency.as_ref().unwrap();
        // Each answers 0.998 of requests within 200 ms, of which 0.001 may be failures; whatever the dependence at most both miss: 1 - 2 * 0.003.
        assert_eq!(exact8(latency.any_dependence.within.lo()), "0.99400000");
        assert_eq!(exact8(latency.independent.within.lo()), "0.99400900");
        assert_eq!(compiled.decision.verdict, Verdict::Pass, "{:?}", compiled.decision);
        let (kind, guard) = &compiled.guards[0];
        assert_eq!((kind.as_str(), &guard.answer), ("promote", &emac_journey::guard::Answer::Allowed));
    });
    measured("evaluationMode: conservative", &slos(0.9, 0.99), "{}", |compiled| {
        assert_eq!(compiled.decision.verdict, Verdict::Fail);
        assert_eq!(
            compiled.decision.reasons[0],
            "between 97.80 % and 99.90 % finish within 400 ms (objective: 99 %)"
        );
        assert_eq!(
            compiled.guards[0].1.answer,
            emac_journey::guard::Answer::Unknown("not known: p99_U".to_owned())
        );
    });
    measured("evaluationMode: selective", &slos(0.9, 0.99), "{}", |compiled| {
        assert_eq!(compiled.decision.verdict, Verdict::Review);
    });
}

const SEEN: &str = "{requests: 100000, good: 99950, latency: [{within: 100ms, count: 99000}, {within: 200ms, count: 99900}]}";

#[test]
fn evidence_replaces_promises_with_intervals() {
    let evidence = format!(
        "{{observedAt: 2026-01-31T11:30:00Z, journey: {{requests: 1000, good: 980}}, components: {{a: {SEEN}, b: {SEEN}}}}}"
    );
    measured("evaluationMode: selective", &slos(0.9, 0.99), &evidence, |compiled| {
        let leaf = &compiled.leaves[&ComponentName::new("a").unwrap()];
        let measured = leaf.availability.unwrap();
        assert!(
            measured.lo() < 0.9995 && 0.9995 < measured.hi() && measured.width() < 0.0006,
            "{measured:?}"
        );
        assert_eq!(leaf.source, "99950 good of 100000 requests");
        assert_eq!(compiled.decision.verdict, Verdict::Pass, "{:?}", compiled.decision);
        assert_eq!(compiled.decision.fresh, Some(true));
        let report = derivation(compiled);
        assert_eq!(report["spec"]["budget"]["measured"]["spent"], 0.4);
        assert_eq!(report["spec"]["guards"][0]["answer"], "allowed");
    });
    measured("evaluationMode: conservative", &slos(0.9, 0.99), &evidence, |compiled| {
        let leaf = &compiled.leaves[&ComponentName::new("a").unwrap()];
        assert!(leaf.availability.unwrap().hi() <= 0.999, "the lower of promise and measurement");
    });
}

#[test]
fn evidence_that_is_old_or_silent_is_reviewed() {
    for (evidence, told) in [
        (
            format!("{{observedAt: 2026-01-31T10:00:00Z, components: {{a: {SEEN}, b: {SEEN}}}}}"),
            "evidence is 120 minutes old",
        ),
        (
            format!("{{observedAt: 2026-01-31T13:00:00Z, components: {{a: {SEEN}, b: {SEEN}}}}}"),
            "evidence is dated 60 minutes after this decision: is observedAt right, and the clock here?",
        ),
        (format!("{{components: {{a: {SEEN}}}}}"), "no evidence for b"),
        (format!("{{components: {{a: {SEEN}, b: {{requests: 0, good: 0}}}}}}"), "no evidence for b"),
    ] {
        measured("evaluationMode: selective", &slos(0.9, 0.998), &evidence, |compiled| {
            assert_eq!(compiled.decision.verdict, Verdict::Review, "{evidence}");
            assert!(compiled.decision.reasons.contains(&told.to_owned()), "{:?}", compiled.decision.reasons);
        });
    }
}

#[test]
fn a_timeout_counts_what_its_latency_lets_through() {
    let text = "apiVersion: emac.dev/v1alpha1\nkind: JourneyIntent\nmetadata: {name: j}\nspec:\n  objectives: {availability: {window: 1d, target: \
                0.9}}\n  operator: Timeout(after=200ms, a)\n  components: {a: {atomicSLORef: ['openslo:a', 'openslo:a-latency']}}\n";
    let intent = read(text);
    let problems = Problems::new();
    let documents = parse(&Source::new("slos.yaml", slos(0.9, 0.998)), &Limits::default(), &problems);
    let promises = Slos::read(&documents, &problems).resolve(&intent, &problems);
    let model = AcceptedModel::declared(&intent);
    let compiled = compile(&intent, &model, Given::promises(&promises));
    // Of the 0.998 within 200 ms 0.001 may be failures.
    assert_eq!(exact8(compiled.bounds.as_ref().unwrap().a_minus()), "0.99700000");
}

/// Three components of which one occurs twice, at these availabilities.
fn three(values: [f64; 3], operator: &str, target: f64) -> Intent {
    let [a, b, c] = values;
    read(&format!(
        "apiVersion: emac.dev/v1alpha1\nkind: JourneyIntent\nmetadata: {{name: j}}\nspec:\n  objectives: {{availability: {{window: 30d, target: \
         {target}}}}}\n  operator: {operator}\n  components:\n    a: {{availability: {a}, failureDomains: [x]}}\n    b: {{availability: {b}, failureDomains: \
         [x]}}\n    c: {{availability: {c}, failureDomains: [y]}}\n"
    ))
}

#[test]
fn what_is_printed_restores_the_objective_when_it_is_applied() {
    let verdict = |intent: &Intent| {
        let model = AcceptedModel::declared(intent);
        compile(intent, &model, Given::promises(&promises(intent))).decision.verdict
    };
    let (mut restored, mut split) = (0, 0);
    for operator in [
        "Repeat(count=3, Series(a, b, c))",
        "Series(a, Race(b, c))",
        "Series(a, Race(Series(a, b), Series(a, c)))",
        "Parallel(atLeast=2, a, b, c)",
        "Fallback(a, Series(b, c), 0.5*b)",
        "Retry(attempts=2, Branch([0.2,0.4]*a, [0.6,0.8]*Series(b, c)))",
    ] {
        for place in 0..40 {
            let at = |step: u32| 0.5 + 0.499 * f64::from(place * step % 41) / 41.0;
            let values = [at(3), at(7), at(13)];
            let target = 0.700_001 + 0.007_123_4 * f64::from(place);
            let intent = three(values, operator, target);
            let model = AcceptedModel::declared(&intent);
            let promises = promises(&intent);
            let report = derivation(&compile(&intent, &model, Given::promises(&promises)));
            let budget = &report["spec"]["budget"];
            let change = &budget["smallestRestoringChange"];
            let names = ["a", "b", "c"];
            if let Some(of) = change["component"].as_str() {
                let mut applied = values;
                applied[names.iter().position(|name| *name == of).unwrap()] = change["to"].as_f64().unwrap();
                assert_eq!(
                    verdict(&three(applied, operator, target)),
                    Verdict::Pass,
                    "{operator} {values:?} {target}"
                );
                restored += 1;
            }
            if budget["unavailability"].is_object() {
                // What may always be down is still written as something that can be promised.
                let allowed =
                    names.map(|name| (1.0 - budget["unavailability"][name].as_f64().unwrap()).max(1e-9));
                assert_eq!(
                    verdict(&three(allowed, operator, target)),
                    Verdict::Pass,
                    "{operator} {values:?} {target}"
                );
                split += 1;
            }
        }
    }
    assert!(restored > 60 && split > 120, "{restored} {split}");
}

#[test]
fn what_is_asked_of_evidence_and_not_stated_is_reviewed() {
    let text = |evidence: &str, operator: &str| {
        read(&format!(
            "apiVersion: emac.dev/v1alpha1\nkind: JourneyIntent\nmetadata: {{name: j}}\nspec:\n  objectives: {{availability: {{window: 1d, target: \
             0.9}}}}\n  operator: {operator}\n  components: {{a: {{availability: 0.99, failureDomains: [x]}}}}\n  evidence: {{modelDiscovery: {evidence}}}\n"
        ))
    };
    declared(&text("{coveragePolicy: {minTraceEdgeCoverage: 0.8}}", "a"), |compiled| {
        assert_eq!(compiled.decision.verdict, Verdict::Review);
        let told = "nothing says how many of the expected edges traces cover, 0.8 are required";
        assert!(compiled.decision.reasons.iter().any(|reason| reason == told));
    });
    let races = text("{coveragePolicy: {requireBranchCoverage: true}}", "Race(a, Series(a, a))");
    declared(&races, |compiled| {
        assert_eq!(compiled.decision.verdict, Verdict::Review);
        assert_eq!(
            compiled.decision.reasons,
            [
                "nothing says that every branch was observed of the race of a",
                "A- 0.99000000 meets the objective 0.90000000"
            ]
        );
    });
    declared(&text("{coveragePolicy: {requireBranchCoverage: true}}", "Retry(attempts=2, a)"), |compiled| {
        assert_eq!(compiled.decision.verdict, Verdict::Pass);
    });
    declared(&text("{enabled: false}", "Retry(attempts=2, perTry=50ms, a)"), |compiled| {
        assert_eq!(compiled.decision.verdict, Verdict::Review);
        assert_eq!(
            compiled.decision.reasons[0],
            "a time limit applies to a, which has neither a latency promise nor latency evidence"
        );
    });
    measured(
        "evaluationMode: selective",
        &slos(0.9, 0.998),
        &format!("{{components: {{a: {SEEN}, b: {SEEN}}}}}"),
        |compiled| {
            assert_eq!(compiled.decision.verdict, Verdict::Review);
            let told =
                "some evidence does not say when it was observed (observedAt), and may be older than 1h";
            assert_eq!(compiled.decision.reasons[0], told);
        },
    );
}
