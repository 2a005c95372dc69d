use std::path::PathBuf;

use super::*;
use crate::model::{CandidateModel, Model};
use emac_document::{Limits, Problems, Source, parse, render_text};

fn document(text: &str) -> emac_document::Document {
    let problems = Problems::new();
    let mut documents = parse(&Source::new("x.yaml", text), &Limits::default(), &problems);
    assert!(problems.is_empty(), "{}", render_text(&problems, false));
    documents.remove(0)
}

fn model(spec: &str) -> Model {
    let text = format!(
        "apiVersion: emac.dev/v1alpha1\nkind: DiscoveredJourneyModel\nmetadata: {{name: j}}\nspec: {spec}\n"
    );
    CandidateModel::read(&document(&text), &Problems::new()).unwrap().model().clone()
}

fn profile(spec: &str) -> Profile {
    let problems = Problems::new();
    let text = format!("apiVersion: emac.dev/v1alpha1\nkind: SimulationProfile\nspec: {spec}\n");
    read(&document(&text), &problems).unwrap_or_else(|| panic!("{}", render_text(&problems, false)))
}

fn world(model_spec: &str, profile_spec: &str) -> World {
    profile(profile_spec).world(&model(model_spec)).unwrap()
}

const QUICK: SimulationSettings = SimulationSettings { trials: 20_000, seed: 7, threads: 2 };

/// Exact value of the only endpoint; the estimate's interval must hold it.
fn value(world: &World) -> f64 {
    let estimate = &availability(world, QUICK)[0];
    let exact = estimate.exact.unwrap();
    let slack = 2.0 * (estimate.interval.1 - estimate.interval.0);
    assert!((estimate.mean - exact).abs() < slack, "{estimate:?}");
    exact
}

fn close(value: f64, expected: f64) {
    assert!((value - expected).abs() < 5e-7, "{value} is not {expected}");
}

#[test]
fn a_fan_out_multiplies_what_can_fail() {
    for (d, expected) in [(1, 0.893855), (2, 0.823687), (4, 0.699444), (8, 0.504353)] {
        let edges: Vec<_> = (0..d).map(|n| format!("{{from: entry, to: s{n}}}")).collect();
        let targets: Vec<_> = (0..d).map(|n| format!("s{n}")).collect();
        let profile = format!(
            "{{defaults: {{nodeAvailability: 0.97, edgeAvailability: 0.95}}, endpoints: [{{name: all, entry: entry, targets: [{}]}}]}}",
            targets.join(", ")
        );
        close(value(&world(&format!("{{topology: {{edges: [{}]}}}}", edges.join(", ")), &profile)), expected);
    }
}

#[test]
fn twelve_ways_out_are_too_many_to_enumerate_and_are_estimated() {
    let edges: Vec<_> = (0..12).map(|n| format!("{{from: entry, to: s{n}}}")).collect();
    let targets: Vec<_> = (0..12).map(|n| format!("s{n}")).collect();
    let profile = format!(
        "{{defaults: {{nodeAvailability: 0.97, edgeAvailability: 0.95}}, endpoints: [{{name: all, entry: entry, targets: [{}]}}]}}",
        targets.join(", ")
    );
    let world = world(&format!("{{topology: {{edges: [{}]}}}}", edges.join(", ")), &profile);
    let estimate = availability(&world, SimulationSettings { trials: 200_000, ..QUICK }).remove(0);
    assert_eq!(estimate.exact, None);
    assert!(estimate.interval.0 < 0.363677 && 0.363677 < estimate.interval.1, "{estimate:?}");
}

#[test]
fn replicas_help_up_to_the_bottleneck() {
    for (replicas, expected) in [(1, 0.738), (2, 0.8118), (3, 0.81918)] {
        let profile = format!(
            "{{nodes: {{service: {{replicas: {replicas}, availability: 0.9}}}}, defaults: {{edgeAvailability: 0.82}}, endpoints: [{{name: a, \
             entry: client, targets: [service]}}]}}"
        );
        close(value(&world("{topology: {edges: [{from: client, to: service}]}}", &profile)), expected);
    }
}

#[test]
fn what_is_asynchronous_counts_in_the_end() {
    let topology = "{topology: {edges: [{from: a, to: b}, {from: a, to: queue, callType: async}, {from: queue, to: c, callType: async}]}}";
    for (semantics, expected) in [("immediate", 0.903264), ("eventual", 0.614039)] {
        let profile = format!(
            "{{defaults: {{nodeAvailability: 0.97}}, edges: [{{from: a, to: b, availability: 0.96}}, {{from: a, to: queue, availability: 0.85}}, \
             {{from: queue, to: c, availability: 0.85}}], endpoints: [{{name: x, entry: a, targets: [b, c], semantics: {semantics}}}]}}"
        );
        close(value(&world(topology, &profile)), expected);
    }
}

#[test]
fn replicas_of_one_domain_fail_together() {
    for (beta, expected) in [(0.0, 0.94905), (1.0, 0.855)] {
        let profile = format!(
            "{{nodes: {{entry: {{availability: 0.95}}, service: {{replicas: 3, availability: 0.9}}}}, domains: [{{name: zone, members: [service], beta: \
             {beta}}}], endpoints: [{{name: x, entry: entry, targets: [service]}}]}}"
        );
        close(value(&world("{topology: {edges: [{from: entry, to: service}]}}", &profile)), expected);
    }
}

#[test]
fn a_chain_of_three() {
    let profile = "{defaults: {nodeAvailability: 0.98, edgeAvailability: 0.97}, endpoints: [{name: x, entry: a, targets: [c]}]}";
    let exact = value(&world("{topology: {edges: [{from: a, to: b}, {from: b, to: c}]}}", profile));
    assert!((exact - 0.885_567_552_8).abs() < 1e-10, "{exact}");
}

#[test]
fn predicates_ask_for_any_all_or_some() {
    let topology = "{topology: {edges: [{from: e, to: a}, {from: e, to: b}, {from: e, to: c}]}}";
    for (predicate, expected) in [("all", 0.729), ("any", 0.999), ("{atLeast: 2}", 0.972)] {
        let profile = format!(
            "{{nodes: {{a: {{availability: 0.9}}, b: {{availability: 0.9}}, c: {{availability: 0.9}}}}, endpoints: [{{name: x, entry: e, targets: [a, b, \
             c], predicate: {predicate}}}]}}"
        );
        close(value(&world(topology, &profile)), expected);
    }
}

#[test]
fn a_models_expression_is_asked_when_nothing_else_is() {
    let expression = "{expression: 'Series(front, Race(paya, payb), Async(mail))'}";
    let profile = "{nodes: {front: {availability: 0.99}, paya: {availability: 0.9}, payb: {availability: 0.9}, mail: {availability: 0.5}}}";
    let estimates = availability(&world(expression, profile), QUICK);
    close(estimates[0].exact.unwrap(), 0.99 * 0.99);
    close(estimates[1].exact.unwrap(), 0.99 * 0.99 * 0.5);
    let weights =
        "{expression: 'Series(Fallback(a, 0.5*b), Branch(0.25*c, 0.75*d), Parallel(atLeast=1, c, d))'}";
    let profile = "{nodes: {a: {availability: 0.8}, c: {availability: 0.9}}}";
    close(value(&world(weights, profile)), 0.9 * (0.9 + 0.1 * 0.75));
}

#[test]
fn threads_change_nothing_and_seeds_do() {
    let world = world("{expression: 'Race(a, b)'}", "{defaults: {nodeAvailability: 0.7}}");
    let with =
        |seed, threads| availability(&world, SimulationSettings { trials: 10_000, seed, threads })[0].mean;
    assert_eq!(with(1, 1), with(1, 4));
    assert_ne!(with(1, 1), with(2, 1));
}

/// The social network's dependency graph as a model, and the paper's endpoints.
fn social_network() -> Option<Model> {
    let root = std::env::var_os("EMAC_SHARED_DATA").map(PathBuf::from);
    let root =
        root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")));
    let Ok(text) = std::fs::read_to_string(root.join("socialnet/deps.json")) else {
        println!("not run: no socialnet under EMAC_SHARED_DATA or ../shared/data");
        return None;
    };
    let deps: Value = serde_json::from_str(&text).unwrap();
    let edges = deps["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| format!("{{from: {}, to: {}}}", edge["parent"], edge["child"]));
    Some(model(&format!("{{topology: {{edges: [{}]}}}}", edges.collect::<Vec<_>>().join(", "))))
}

const ENDPOINTS: &str = "
    - {name: home, entry: nginx-web-server, weight: 0.6, targets: [home-timeline-service, post-storage-service, social-graph-service]}
    - {name: user, entry: nginx-web-server, weight: 0.3, targets: [user-timeline-service, post-storage-service]}
    - {name: compose, entry: nginx-web-server, weight: 0.1, targets: [compose-post-service, home-timeline-service, media-service, post-storage-service, \
       social-graph-service, text-service, unique-id-service, url-shorten-service, user-mention-service, user-service, user-timeline-service]}";

#[test]
fn the_social_network_under_fail_stop() {
    let Some(model) = social_network() else { return };
    let replicated = "compose-post home-timeline user-timeline text media"
        .split(' ')
        .map(|name| format!("{name}-service: {{replicas: 3}}"));
    let replicated = replicated.collect::<Vec<_>>().join(", ");
    for (nodes, counts, expected) in [
        (String::new(), "2, 4, 6, 9, 11", [0.418182, 0.161212, 0.045455, 0.001364, 0.0]),
        (replicated, "3, 7, 11, 16, 20", [0.628247, 0.305421, 0.114429, 0.0132, 0.0]),
    ] {
        let profile = profile(&format!(
            "\n  nodes: {{{nodes}}}\n  failStop: {{fractions: [0.1, 0.3, 0.5, 0.7, 0.9], counts: [{counts}]}}\n  endpoints: {ENDPOINTS}"
        ));
        let world = profile.world(&model).unwrap();
        let sweep = fail_stop(&world, &profile.stops, SimulationSettings { trials: 20_000, ..QUICK });
        // Shares first, then the same numbers of containers.
        for (point, expected) in sweep.iter().zip(expected.into_iter().cycle()) {
            let weighted = point.estimates.last().unwrap();
            let exact = weighted.exact.unwrap();
            assert!(
                (exact - expected).abs() < 1e-6,
                "{} of {}: {exact} is not {expected}",
                point.stopped,
                world.containers()
            );
            assert!((weighted.mean - exact).abs() < 0.02, "{weighted:?}");
        }
    }
}

/// The second table of the papers: three endpoints of one service each and one that needs four, behind an entry that is never stopped.
#[test]
fn fifteen_containers_behind_a_protected_entry() {
    let services: Vec<_> = (1..=15).map(|n| format!("{{from: entry, to: s{n}}}")).collect();
    let endpoints = [("a", "s1"), ("b", "s2"), ("c", "s3"), ("d", "s4, s5, s6, s7")]
        .map(|(name, targets)| format!("{{name: {name}, entry: entry, weight: 0.25, targets: [{targets}]}}"));
    let profile = profile(&format!(
        "{{nodes: {{entry: {{protected: true}}}}, failStop: {{counts: [2, 4, 8, 10, 14, 0, 15]}}, endpoints: [{}]}}",
        endpoints.join(", ")
    ));
    let world =
        profile.world(&model(&format!("{{topology: {{edges: [{}]}}}}", services.join(", ")))).unwrap();
    assert_eq!(world.containers(), 15);
    let sweep = fail_stop(&world, &profile.stops, SimulationSettings { trials: 50_000, ..QUICK });
    for (point, expected) in sweep.iter().zip([0.780952, 0.610440, 0.356410, 0.250916, 0.05, 1.0, 0.0]) {
        let weighted = point.estimates.last().unwrap();
        close(weighted.exact.unwrap(), expected);
        assert!((weighted.mean - expected).abs() < 0.01, "{weighted:?}");
    }
}

#[test]
fn numbers_of_ways_to_stop_containers_may_have_a_thousand_digits() {
    let edges = "{topology: {edges: [{from: a, to: b}, {from: a, to: c}]}}";
    let profile = profile(
        "{defaults: {replicas: 1000}, failStop: {fractions: [0], counts: [1500, 2990]}, endpoints: [{name: e, entry: a, targets: [b]}]}",
    );
    let world = profile.world(&model(edges)).unwrap();
    let sweep = fail_stop(&world, &profile.stops, SimulationSettings { trials: 200, ..QUICK });
    let exact: Vec<_> = sweep.iter().map(|point| point.estimates[0].exact.unwrap()).collect();
    // Of ten that are left some are of a and some of b: neither all ten are of the other two thousand, nor none of each counted twice.
    let none_of = |others: f64| {
        (0..10).map(|drawn| (others - f64::from(drawn)) / (3000.0 - f64::from(drawn))).product::<f64>()
    };
    let expected = [1.0, 1.0, 1.0 - 2.0 * none_of(2000.0) + none_of(1000.0)];
    exact.iter().zip(expected).for_each(|(exact, expected)| close(*exact, expected));
    assert_eq!(sweep.iter().map(|point| point.stopped).collect::<Vec<_>>(), [0, 1500, 2990]);
}

#[test]
fn a_target_that_no_call_reaches_is_refused_whichever_outcome_is_asked() {
    for semantics in ["immediate", "eventual"] {
        let profile = profile(&format!(
            "{{defaults: {{nodeAvailability: 0.9}}, endpoints: [{{name: e, entry: a, targets: [b], semantics: {semantics}}}]}}"
        ));
        let of = |edges: &str| profile.world(&model(&format!("{{topology: {{edges: [{edges}]}}}}")));
        let unreached = InvalidWorld::Unreachable {
            endpoint: "e".to_owned(),
            entry: "a".to_owned(),
            target: "b".to_owned(),
        };
        for edges in ["{from: b, to: a}", "{from: a, to: c}", "{from: c, to: b}"] {
            assert_eq!(of(edges), Err(unreached.clone()), "{semantics}: {edges}");
        }
        close(value(&of("{from: a, to: b}").unwrap()), 0.81);
        close(value(&of("{from: a, to: c}, {from: c, to: b}").unwrap()), 0.729);
    }
    // Of what is asked for at once no more can be reached than there is.
    let two = "{topology: {edges: [{from: a, to: b, callType: async}, {from: a, to: c}]}}";
    let least = "{nodes: {c: {availability: 0.9}}, endpoints: [{name: e, entry: a, targets: [b, c], predicate: {atLeast: 2}}]}";
    close(value(&world(two, least)), 0.9);
    // What is behind an asynchronous call is not asked for at once, and that is no mistake.
    let behind = "{topology: {edges: [{from: a, to: b, callType: async}]}}";
    close(
        value(&world(
            behind,
            "{defaults: {nodeAvailability: 0.9}, endpoints: [{name: e, entry: a, targets: [b]}]}",
        )),
        0.9,
    );
}

#[test]
fn broken_profiles_and_worlds_say_why() {
    let told = |spec: &str| {
        let problems = Problems::new();
        let text = format!("apiVersion: emac.dev/v1alpha1\nkind: SimulationProfile\nspec: {spec}\n");
        assert!(read(&document(&text), &problems).is_none());
        problems.list()[0].message.clone()
    };
    assert_eq!(told("{nodes: {a: {replicas: 0}}}"), "0 is not within 1 to 10000");
    assert_eq!(told("{edges: [{from: a}]}"), "the field `to` is missing");
    assert_eq!(told("{endpoints: [{name: x, entry: a}]}"), "the field `targets` is missing");
    assert_eq!(told("{node: {}}"), "unknown field `node`");
    assert_eq!(told("{failStop: {}}"), "give `fractions` or `counts`");
    assert_eq!(told("{failStop: {counts: [-1]}}"), "-1 is not within 0 to 1000000000");
    let stops = "{nodes: {a: {replicas: 2}, b: {protected: true}}, failStop: {counts: [2, 3]}}";
    assert_eq!(
        profile(stops).world(&model("{expression: 'Series(a, b)'}")),
        Err(InvalidWorld::TooMany(3, 2))
    );
    let few = "{endpoints: [{name: e, entry: a, targets: [b], predicate: {atLeast: 2}}]}";
    let edges = "{topology: {edges: [{from: a, to: b}]}}";
    assert_eq!(profile(few).world(&model(edges)), Err(InvalidWorld::TooFewTargets("e".to_owned(), 2, 1)));
    assert_eq!(profile("{}").world(&model("{topology: {edges: []}}")), Err(InvalidWorld::NoEndpoint));
    let spec = "{nodes: {a: {availability: 0.5}, b: {availability: 0.9}}, domains: [{name: x, members: [a], beta: 1}, {name: y, members: [a], beta: 1}]}";
    assert_eq!(profile(spec).world(&model("{expression: a}")), Err(InvalidWorld::Excess("a".to_owned())));
}
