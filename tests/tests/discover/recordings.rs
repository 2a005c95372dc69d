//! Discovery on recordings of real applications, where they are at hand.

use std::path::Path;

use emac_compile::model::EvidenceSource;
use emac_core::journey::Expr;
use emac_discovery::discover::observe::Observations;
use emac_discovery::discover::{Discovered, DiscoveryContext, discover};
use emac_tests::{not_run, shared_data};
use emac_trace::read::{ReadSettings, read_paths};
use emac_trace::{Assembler, TraceLimits};

fn found(test: &str, dataset: &str, below: &str) -> Option<Vec<Discovered>> {
    let Some(folder) = shared_data(dataset) else {
        not_run(test, &format!("no {dataset} (EMAC_SHARED_DATA)"));
        return None;
    };
    Some(in_files(&folder.join(below)))
}

fn in_files(path: &Path) -> Vec<Discovered> {
    let mut assembler = Assembler::new(TraceLimits::default(), Observations::default());
    let summary = read_paths(&[path.to_owned()], &ReadSettings::default(), &mut assembler, &mut |_| {});
    assert!(summary.problems.is_empty(), "{:?}", summary.problems);
    let assembled = assembler.finish();
    let given = DiscoveryContext { intents: &[], source: EvidenceSource::Traces, evidence: &[] };
    discover(&assembled.consumer, &assembled.symbols, &given)
}

fn only(found: &[Discovered]) -> &Discovered {
    assert_eq!(found.len(), 1, "{:?}", found.iter().map(|one| &one.name).collect::<Vec<_>>());
    &found[0]
}

/// The smallest operator that holds both, and in it the operands of each.
fn joint<'a>(expr: &'a Expr, a: &str, b: &str) -> &'a Expr {
    let holds = |expr: &Expr, name: &str| expr.leaves().iter().any(|leaf| leaf.as_str() == name);
    let both = |expr: &Expr| holds(expr, a) && holds(expr, b);
    assert!(both(expr), "{a} and {b} in {expr}");
    expr.children().into_iter().find(|child| both(child)).map_or(expr, |child| joint(child, a, b))
}

/// Every pair of siblings whose source code is known, by the service that is called.
#[test]
fn the_labelled_siblings_of_a_social_network() {
    let test = "discover: labelled siblings";
    let Some(found) = found(test, "deathstarbench", "") else { return };
    let structure = only(&found).structure().unwrap();
    let together = |a: &str, b: &str| matches!(joint(structure.root(), a, b), Expr::Parallel { .. });
    let (text, user, media, unique) = ("text-service", "user-service", "media-service", "unique-id-service");
    let composed = [text, user, media, unique];
    let stored = ["post-storage-service", "user-timeline-service", "home-timeline-service"];
    let mut pairs = 0;
    for (i, a) in composed.iter().enumerate() {
        for b in &composed[i + 1..] {
            assert!(together(a, b), "{a} {b}");
            pairs += 1;
        }
        for b in stored {
            assert!(!together(a, b), "{a} {b}");
            pairs += 1;
        }
    }
    assert!(together("url-shorten-service", "user-mention-service"));
    for (i, a) in stored.iter().enumerate() {
        for b in &stored[i + 1..] {
            assert!(!together(a, b), "{a} {b}");
            pairs += 1;
        }
    }
    assert_eq!(pairs + 1, 22);
}

#[test]
fn a_hotel_search_is_a_series() {
    let Some(found) = found("discover: hotel reservation", "traceweaver", "hotel_reservation") else {
        return;
    };
    let one = only(&found);
    assert_eq!(one.traces, 150);
    assert_eq!(
        one.structure().unwrap().to_string(),
        "Series(frontend, search, geo, rate, reservation, profile)"
    );
}

#[test]
fn a_fan_out_is_parallel() {
    let Some(found) = found("discover: node.js services", "traceweaver", "nodejs_microservices") else {
        return;
    };
    let one = only(&found);
    assert_eq!(one.traces, 150);
    let expected =
        "Series(init-service, service1, Parallel(Series(service2, service4), Series(service3, service5)))";
    assert_eq!(one.structure().unwrap().to_string(), expected);
}

#[test]
fn one_request_through_a_mesh_is_a_model_that_may_not_act() {
    let Some(found) = found("discover: Istio", "istio-traces", "") else { return };
    let one = only(&found);
    let leaves: Vec<_> = one.structure().unwrap().leaves().into_iter().map(|name| name.to_string()).collect();
    assert_eq!(leaves.len(), 5);
    let identified =
        one.model.findings.values().any(|finding| finding.status == emac_compile::model::Status::Identified);
    assert!(!identified, "{:?}", one.model.findings);
}

#[test]
fn fragments_and_other_formats_give_something_to_look_at() {
    for (dataset, journeys) in [("zipkin", 3), ("otlp", 1)] {
        let Some(found) = found("discover: other formats", dataset, "") else { continue };
        assert!(found.len() >= journeys, "{dataset}: {}", found.len());
        assert!(found.iter().all(|one| one.structure().is_some()));
    }
}
