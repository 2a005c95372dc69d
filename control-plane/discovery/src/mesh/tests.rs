use super::*;
use emac_compile::model::{Field, Status};
use emac_document::{Problems, render_text};

mod defaults;
mod envoy;
mod gateway_api;
mod kubernetes;
mod laws;
mod scopes;
mod shared;
mod unread;

/// Facts of a text that has no problem.
fn facts(text: &str) -> MeshFacts {
    let problems = Problems::new();
    let facts = read_text("mesh.yaml", text, &problems);
    assert!(problems.is_empty(), "{}", render_text(&problems, false));
    facts
}

fn shop(kind: &str, version: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/{version}\nkind: {kind}\nmetadata: {{name: x, namespace: shop}}\nspec:\n{spec}\n"
    )
}

const ROUTES: &str = "
  hosts: [cart]
  http:
  - match: [{uri: {prefix: /bulk}}]
    route: [{destination: {host: cart, subset: v2}}]
    timeout: 3s
  - route:
    - {destination: {host: cart, subset: v1}, weight: 90}
    - {destination: {host: cart, subset: v2}, weight: 10}
    timeout: 0.5s
    retries: {attempts: 2, perTryTimeout: 200ms, retryOn: 5xx}
    mirror: {host: cart-shadow}
    mirrorPercentage: {value: 25}
";

#[test]
fn a_virtual_service_says_timeouts_retries_weights_and_mirrors() {
    for version in ["v1", "v1beta1", "v1alpha3"] {
        let facts = facts(&shop("VirtualService", version, ROUTES));
        let all: Vec<_> = facts.statements.iter().filter(|one| one.scope.condition.is_empty()).collect();
        assert_eq!(all.len(), 1, "host and destination are one name");
        assert_eq!(all[0].to, Name::new("cart.shop"));
        let RuntimeParameters { timeout_ms, per_try_timeout_ms, attempts, ref retry_on, .. } =
            all[0].parameters;
        assert_eq!((timeout_ms, per_try_timeout_ms, attempts), (Some(500), Some(200), Some(3)));
        assert_eq!(retry_on.as_deref(), Some("5xx"));
        assert_eq!(all[0].provenance.place, Some(("mesh.yaml".into(), "spec.http[1]".into())));
        let [split] = facts.splits.as_slice() else { panic!("one split") };
        let shares: Vec<_> =
            split.shares.iter().map(|(to, share)| (to.subset.as_deref(), share.get())).collect();
        assert_eq!(shares, [(Some("v1"), 0.9), (Some("v2"), 0.1)]);
        let [mirror] = facts.mirrors.as_slice() else { panic!("one mirror") };
        assert_eq!((mirror.to.to.to_string().as_str(), mirror.share.get()), ("cart-shadow.shop", 0.25));
        assert!(facts.conflicts().is_empty());
    }
}

#[test]
fn a_destination_rule_says_breakers_outliers_and_subsets() {
    let facts = facts(&shop(
        "DestinationRule",
        "v1",
        "
  host: cart.shop.svc.cluster.local
  trafficPolicy:
    connectionPool: {tcp: {maxConnections: 100}, http: {http1MaxPendingRequests: 10, maxRetries: 3}}
    outlierDetection: {consecutive5xxErrors: 7, interval: 5s, baseEjectionTime: 30s, maxEjectionPercent: 50}
    loadBalancer: {consistentHash: {httpHeaderName: x-user}}
  subsets:
  - {name: v1, labels: {version: v1}, trafficPolicy: {connectionPool: {tcp: {maxConnections: 5}}}}
",
    ));
    let statement = &facts.statements[0];
    let RuntimeParameters { max_connections, max_pending, consecutive_errors, .. } = statement.parameters;
    assert_eq!((max_connections, max_pending, consecutive_errors), (Some(100), Some(10), Some(7)));
    assert_eq!(statement.more["hash"], "httpHeaderName x-user");
    assert_eq!(statement.more["outlier.most"], "50 %");
    assert_eq!(facts.statements[1].scope.subset.as_deref(), Some("v1"));
    assert_eq!(facts.subsets[0].labels["version"], "v1");
    assert!(facts.conflicts().is_empty(), "a subset's own limit is no contradiction");
}

#[test]
fn two_virtual_services_of_one_host_are_both_kept_and_told() {
    let one = "  hosts: [cart]\n  http: [{route: [{destination: {host: cart}}], timeout: 1s}]";
    let text = shop("VirtualService", "v1", one) + &shop("VirtualService", "v1", &one.replace("1s", "2s"));
    let facts = facts(&text);
    let conflicts = facts.conflicts();
    assert_eq!(conflicts.len(), 1);
    assert_eq!((conflicts[0].about.as_str(), conflicts[0].parameter.as_str()), ("cart.shop", "timeout"));
    assert_eq!(conflicts[0].values.keys().collect::<Vec<_>>(), ["1000 ms", "2000 ms"]);
    let found = runtime(&facts, &[ModelCall::new("front", "cart")]);
    let field = Field::Runtime { from: "front".into(), to: "cart".into() };
    assert_eq!(found.findings[&field].status, Status::Contradictory);
    assert_eq!(found.findings[&field].provenance.len(), 2);
    assert!(found.parameters.is_empty(), "none of the two is chosen");
    let gateway = text.replacen("  hosts: [cart]", "  hosts: [cart]\n  gateways: [public]", 1);
    assert!(super::tests::facts(&gateway).conflicts().is_empty(), "a gateway's route is for other calls");
}

fn observed(attempts_max: u32, slowest_ms: u64) -> Option<ObservedCall> {
    Some(ObservedCall { calls: 1_000, attempts_max, slowest_ms: Some(slowest_ms), traces: vec!["ab".into()] })
}

#[test]
fn runtime_parameters_come_with_a_finding_and_disagree_with_traces_aloud() {
    let text = "  hosts: [cart]\n  http: [{route: [{destination: {host: cart}}], timeout: 1s, retries: {attempts: 1}}]";
    let facts = facts(&shop("VirtualService", "v1", text));
    let field = Field::Runtime { from: "front".into(), to: "cart".into() };
    let of = |observed| runtime(&facts, &[ModelCall { observed, ..ModelCall::new("front", "cart") }]);
    let calm = of(observed(2, 900));
    assert_eq!(calm.findings[&field].status, Status::Identified);
    assert!((calm.findings[&field].confidence.get() - 0.9975).abs() < 1e-12);
    assert_eq!(calm.parameters[&("front".into(), "cart".into())].attempts, Some(2));
    let more = of(observed(5, 900));
    assert_eq!(more.findings[&field].status, Status::Contradictory);
    assert_eq!(more.disagreements[0].declared, "configured: 2 attempts at most");
    assert_eq!(more.disagreements[0].observed, "5 attempts in one call");
    assert_eq!(of(observed(1, 1_400)).disagreements[0].observed, "a call of 1400 ms");
    let unsaid =
        runtime(&facts, &[ModelCall { observed: observed(3, 10), ..ModelCall::new("front", "pricing") }]);
    assert_eq!(
        unsaid.parameters[&("front".into(), "pricing".into())].attempts,
        Some(3),
        "the application's own"
    );
    assert_eq!(runtime(&facts, &[ModelCall::new("front", "pricing")]), Runtime::default());
}

#[test]
fn what_depends_on_the_route_is_unresolved() {
    let facts = facts(&shop("VirtualService", "v1", ROUTES));
    let found = runtime(&facts, &[ModelCall::new("front", "cart.shop")]);
    let finding = found.findings.values().next().unwrap();
    assert_eq!(finding.status, Status::Unresolved);
    let parameters = found.parameters.values().next().unwrap();
    assert_eq!((parameters.timeout_ms, parameters.attempts), (None, Some(3)));
    assert_eq!(parameters.mirror.as_ref().unwrap().0, "cart-shadow.shop");
}

#[test]
fn a_name_of_two_services_is_nobodys() {
    let one = "  hosts: [cart]\n  http: [{route: [{destination: {host: cart}}], timeout: 1s}]";
    let text =
        shop("VirtualService", "v1", one) + &shop("VirtualService", "v1", one).replace("shop", "other");
    let found =
        runtime(&facts(&text), &[ModelCall::new("front", "cart"), ModelCall::new("front", "cart.other")]);
    let status: Vec<_> = found.findings.values().map(|finding| finding.status).collect();
    assert_eq!(status, [Status::Unresolved, Status::Identified]);
}

#[test]
fn wrong_fields_are_problems_with_their_place_and_the_rest_is_read() {
    let problems = Problems::new();
    let text = shop("VirtualService", "v1", ROUTES)
        .replace("0.5s", "soon")
        .replace("value: 25", "value: 250")
        + "---\napiVersion: v1\nkind: ConfigMap\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: TLSRoute\n---\nfoo: 1\n";
    let facts = read_text("mesh.yaml", &text, &problems);
    let told: Vec<_> = problems
        .list()
        .iter()
        .map(|problem| (problem.location().unwrap(), problem.message.clone()))
        .collect();
    assert_eq!(
        told,
        [
            ("mesh.yaml:15:14".to_owned(), "`soon` is not a duration".to_owned()),
            ("mesh.yaml:18:31".to_owned(), "250 is not a percentage between 0 and 100".to_owned()),
        ]
    );
    assert_eq!(facts.splits.len(), 1);
    let passed: Vec<_> = facts.passed_over.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(passed, [("ConfigMap", 1), ("TLSRoute", 1), ("no apiVersion or kind", 1)]);
    assert_eq!(facts.read["VirtualService"], 1);
}

#[test]
fn a_service_entry_is_an_external_dependency_with_its_places() {
    let facts = facts(&shop(
        "ServiceEntry",
        "v1beta1",
        "
  hosts: [api.paya.example, '*.payb.example']
  endpoints: [{address: 192.0.2.1, locality: eu/eu-1, labels: {provider: acme}, network: net1}]
",
    ));
    assert!(facts.is_external(&Name::new("api.paya.example:443")));
    assert!(facts.is_external(&Name::new("eu.payb.example")));
    assert!(!facts.is_external(&Name::new("cart")));
    let seen: Vec<_> = facts.observations(&Name::new("api.paya.example"));
    let seen: Vec<_> = seen.iter().map(|one| (one.key.as_str(), one.value.as_str())).collect();
    let expected = [
        ("provider", "acme"),
        ("topology.istio.io/network", "net1"),
        ("topology.kubernetes.io/region", "eu"),
        ("topology.kubernetes.io/zone", "eu-1"),
    ];
    assert_eq!(seen, expected);
}
