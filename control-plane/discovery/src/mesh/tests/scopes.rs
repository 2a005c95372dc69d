//! What holds for some of the calls is never taken for all of them.

use super::*;

/// Status and timeout of the calls of `cart` by `front`, a workload of the namespace shop.
fn timeout(spec: &str) -> Option<(Status, Option<u64>)> {
    let facts = facts(&shop("VirtualService", "v1", spec));
    let call = ModelCall { from_name: Name::new("front.shop"), ..ModelCall::new("front", "cart") };
    let found = runtime(&facts, &[call]);
    let status = found.findings.into_values().next()?.status;
    Some((status, found.parameters.into_values().next().and_then(|parameters| parameters.timeout_ms)))
}

#[test]
fn conditions_leave_a_call_of_the_model_unresolved() {
    let route = "route: [{destination: {host: cart}}], timeout: 1s";
    for (spec, expected) in [
        (format!("  hosts: [cart]\n  http: [{{{route}}}]"), Some((Status::Identified, Some(1_000)))),
        (format!("  hosts: ['*']\n  http: [{{{route}}}]"), Some((Status::Identified, Some(1_000)))),
        (
            format!("  hosts: ['*.shop.svc.cluster.local', cart]\n  http: [{{{route}}}]"),
            Some((Status::Identified, Some(1_000))),
        ),
        (
            format!("  hosts: [cart]\n  gateways: [mesh, public]\n  http: [{{{route}}}]"),
            Some((Status::Identified, Some(1_000))),
        ),
        (
            format!("  hosts: [cart]\n  gateways: [public]\n  http: [{{{route}}}]"),
            Some((Status::Unresolved, None)),
        ),
        (
            format!("  hosts: [cart]\n  http: [{{match: [{{headers: {{x-user: {{exact: a}}}}}}], {route}}}]"),
            Some((Status::Unresolved, None)),
        ),
        (
            format!("  hosts: [cart]\n  http: [{{match: [{{uri: {{prefix: /}}}}], {route}}}]"),
            Some((Status::Identified, Some(1_000))),
        ),
        (
            format!("  hosts: [cart]\n  http: [{{match: [{{sourceLabels: {{app: x}}}}], {route}}}]"),
            Some((Status::Unresolved, None)),
        ),
        // Visible to its own namespace, which is the caller's; and to another one.
        (
            format!("  hosts: [cart]\n  exportTo: ['.']\n  http: [{{{route}}}]"),
            Some((Status::Identified, Some(1_000))),
        ),
        (format!("  hosts: [cart]\n  exportTo: [bank]\n  http: [{{{route}}}]"), None),
    ] {
        assert_eq!(timeout(&spec), expected, "{spec}");
    }
}

#[test]
fn whom_it_is_exported_to_matters_where_the_caller_may_be_anybody() {
    let spec =
        "  hosts: [cart]\n  exportTo: [bank]\n  http: [{route: [{destination: {host: cart}}], timeout: 1s}]";
    let facts = facts(&shop("VirtualService", "v1", spec));
    let found = runtime(&facts, &[ModelCall::new("front", "cart")]);
    assert_eq!(found.findings.into_values().next().unwrap().status, Status::Unresolved);
    assert!(found.parameters.is_empty());
}

#[test]
fn a_rule_of_another_namespace_is_about_another_service() {
    let rule = "  host: cart\n  trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}";
    let facts = facts(&shop("DestinationRule", "v1", rule).replace("namespace: shop", "namespace: bank"));
    let call = ModelCall { to_name: Name::new("cart.shop"), ..ModelCall::new("front", "cart") };
    assert!(runtime(&facts, &[call]).findings.is_empty());
}

#[test]
fn injected_faults_are_told() {
    let spec = "  hosts: [cart]\n  http: [{fault: {abort: {httpStatus: 503, percentage: {value: 50}}}, route: [{destination: {host: cart}}]}]";
    let facts = facts(&shop("VirtualService", "v1", spec));
    assert_eq!(facts.statements[0].more["fault.abort"], "injected into 50 % of the calls");
}
