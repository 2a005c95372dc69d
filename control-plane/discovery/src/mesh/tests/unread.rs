//! What is not read is told, and never a fact; what holds for some calls is never taken for all.

use super::super::unread::{FIELDS, paths};
use super::*;

fn status(facts: &MeshFacts) -> Option<Status> {
    let call = ModelCall {
        from_name: Name::new("front.shop"),
        to_name: Name::new("cart.shop"),
        ..ModelCall::new("front", "cart")
    };
    runtime(facts, &[call]).findings.into_values().next().map(|finding| finding.status)
}

/// An object of a kind that says whom it is about, and besides that one field.
fn with(kind: &str, path: &str) -> String {
    let keys: Vec<&str> = path.split('.').collect();
    let own: String = keys.iter().rev().fold("{}".to_owned(), |inner, key| {
        let listed = ["http", "rules", "filters", "backendRefs", "routes", "subsets", "portLevelSettings"];
        let inner =
            if listed.contains(key) && !inner.starts_with('[') { format!("[{inner}]") } else { inner };
        // `connectionPool.http` is a mapping.
        let inner = if *key == "http" && kind == "DestinationRule" {
            inner.trim_matches(['[', ']']).to_owned()
        } else {
            inner
        };
        format!("{{{key}: {inner}}}")
    });
    let own = own.strip_prefix('{').and_then(|own| own.strip_suffix('}')).unwrap();
    let (group, about) = match kind {
        "VirtualService" => ("networking.istio.io/v1", "hosts: [cart], "),
        "DestinationRule" => ("networking.istio.io/v1", "host: cart, "),
        "ServiceProfile" => ("linkerd.io/v1alpha2", ""),
        "MeshConfig" => return format!("rootNamespace: a\ntrustDomain: b\ndefaultConfig: {{}}\n{own}\n"),
        _ => ("gateway.networking.k8s.io/v1", "parentRefs: [{kind: Service, name: cart}], "),
    };
    format!(
        "apiVersion: {group}\nkind: {kind}\nmetadata: {{name: cart, namespace: shop}}\nspec: {{{about}{own}}}\n"
    )
}

#[test]
fn every_field_that_is_not_read_is_told_with_its_number_and_is_no_fact() {
    for (kind, field, _) in FIELDS {
        for path in paths(kind, field) {
            let text = with(kind, &path);
            let facts = facts(&text);
            let told: Vec<_> = facts.passed_over.iter().collect();
            let [(what, 1)] = told[..] else { panic!("{text}: {told:?}") };
            assert!(what.starts_with(&format!("{kind} {field} (")), "{what}");
            assert_eq!((facts.statements.len(), status(&facts)), (0, None), "{text}");
        }
    }
}

#[test]
fn fields_of_many_objects_are_counted_together() {
    let one = with("DestinationRule", "trafficPolicy.connectionPool.tcp.connectTimeout");
    let ports = with("DestinationRule", "trafficPolicy.portLevelSettings.connectionPool.tcp.connectTimeout");
    let facts = facts(&format!("{one}---\n{ports}---\n{one}"));
    let what = "DestinationRule connectionPool.tcp.connectTimeout (bounds a connection, not a call)";
    assert_eq!(facts.passed_over.into_iter().collect::<Vec<_>>(), [(what.to_owned(), 3)]);
}

#[test]
fn a_match_that_asks_for_anything_is_a_condition() {
    let route = |matched: &str| {
        let spec = format!(
            "  hosts: [cart]\n  http: [{{match: [{{{matched}}}], route: [{{destination: {{host: cart}}}}], timeout: 1s}}]"
        );
        status(&facts(&shop("VirtualService", "v1", &spec)))
    };
    for some in
        ["gateways: [public]", "sourceNamespace: web", "somethingNew: {exact: x}", "uri: {prefix: /a}"]
    {
        assert_eq!(route(some), Some(Status::Unresolved), "{some}");
    }
    for all in ["", "name: all", "statPrefix: x, ignoreUriCase: true", "gateways: [mesh, public]"] {
        assert_eq!(route(all), Some(Status::Identified), "{all}");
    }
}

#[test]
fn a_rule_of_selected_workloads_and_a_route_of_a_named_port_hold_for_some_calls() {
    let policy = "trafficPolicy: {connectionPool: {tcp: {maxConnections: 5}}}";
    let rule = shop("DestinationRule", "v1", &format!("  host: cart\n  {policy}"));
    assert_eq!(status(&facts(&rule)), Some(Status::Identified));
    let some = format!("{rule}  workloadSelector: {{matchLabels: {{app: batch}}}}\n");
    assert_eq!(status(&facts(&some)), Some(Status::Unresolved));
    let route = |parent: &str| {
        facts(&format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: cart, namespace: shop}}\nspec: {{parentRefs: [{{{parent}}}], rules: [{{timeouts: {{request: 1s}}}}]}}\n"
        ))
    };
    assert_eq!(status(&route("kind: Service, name: cart")), Some(Status::Identified));
    assert_eq!(status(&route("kind: Service, name: cart, sectionName: grpc")), Some(Status::Unresolved));
}

/// As Linkerd's reference on retries and timeouts has them.
#[test]
fn linkerds_routes_are_read_and_its_annotations_told() {
    let route = |parent: &str| {
        facts(&format!(
            "apiVersion: policy.linkerd.io/v1beta3\nkind: HTTPRoute\nmetadata: {{name: cart, namespace: shop, annotations: {{retry.linkerd.io/http: 5xx}}}}\nspec: {{parentRefs: [{parent}], rules: [{{timeouts: {{request: 1s}}}}]}}\n"
        ))
    };
    let told = |facts: &MeshFacts| facts.passed_over.keys().cloned().collect::<Vec<_>>();
    let annotation = "HTTPRoute with annotation retry.linkerd.io/http (Linkerd's; not read)".to_owned();
    let client = route("{group: core, kind: Service, name: cart, port: 80}");
    assert_eq!(client.statements[0].parameters.timeout_ms, Some(1_000));
    assert_eq!(told(&client), std::slice::from_ref(&annotation));
    // A policy of what comes in says nothing of a call's time.
    let server = route("{group: policy.linkerd.io, kind: Server, name: cart-http}");
    assert!(server.statements.is_empty());
    let parent = "parent of HTTPRoute of kind Server (neither a Service nor a gateway)".to_owned();
    assert_eq!(told(&server), [annotation, parent]);
    let service = facts(
        "apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: shop, annotations: {timeout.linkerd.io/request: 1s, other: x}}\nspec: {}\n",
    );
    assert_eq!(told(&service), ["Service with annotation timeout.linkerd.io/request (Linkerd's; not read)"]);
}

#[test]
fn a_retry_budget_that_no_route_uses_and_a_delegate_are_told() {
    let profile = |retryable: bool| {
        facts(&format!(
            "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata: {{name: cart.shop.svc.cluster.local, namespace: shop}}\nspec:\n  routes: [{{name: a, condition: {{method: GET}}, isRetryable: {retryable}}}]\n  retryBudget: {{retryRatio: 0.2, minRetriesPerSecond: 10, ttl: 10s}}\n"
        ))
    };
    let unused = profile(false);
    assert!(unused.statements.is_empty());
    assert_eq!(unused.passed_over["ServiceProfile retryBudget (none of its routes is retried)"], 1);
    let used = profile(true);
    assert!(used.passed_over.is_empty() && used.statements[0].more["retries"].contains("0.2"));
    let delegate =
        facts(&shop("VirtualService", "v1", "  http: [{route: [{destination: {host: cart}}], timeout: 1s}]"));
    assert_eq!((delegate.passed_over.len(), delegate.read["VirtualService"]), (1, 1));
}
