use super::*;

pub(super) const DUMP: &str = r#"{"configs": [
 {"@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump",
  "bootstrap": {"node": {"id": "sidecar~10.0.0.1~front-1.shop~shop.svc.cluster.local", "cluster": "front.shop",
    "locality": {"region": "eu", "zone": "eu-1"}, "metadata": {"ANY": [1, {"deep": null}]}}}},
 {"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump", "version_info": "1",
  "static_clusters": [{"cluster": {"name": "agent"}, "last_updated": "2026-01-01T00:00:00Z"}],
  "dynamic_active_clusters": [
   {"version_info": "1", "cluster": {"@type": "x", "name": "outbound|80|v1|cart.shop.svc.cluster.local", "type": "EDS",
     "circuit_breakers": {"thresholds": [{"priority": "HIGH", "max_connections": 1},
        {"max_connections": 4294967295, "max_pending_requests": 8, "max_retries": 4294967295}]},
     "outlier_detection": {"consecutive_5xx": 5, "interval": "10s"}}},
   {"cluster": {"name": "inbound|8080||", "circuit_breakers": {"thresholds": [{"max_connections": 3}]}}}]},
 {"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump",
  "dynamic_listeners": [{"name": "x", "active_state": {"version_info": "1", "listener": {"filter_chains": [{"filters": [
    {"name": "envoy.filters.network.http_connection_manager", "typed_config": {"route_config": {"virtual_hosts": [
      {"routes": [{"match": {"prefix": "/"}, "route": {"cluster": "outbound|80||pricing.shop.svc.cluster.local"}}]}]}}}]}]}}}]},
 {"@type": "type.googleapis.com/envoy.admin.v3.RoutesConfigDump",
  "dynamic_route_configs": [{"route_config": {"name": "80", "virtual_hosts": [{"name": "cart",
    "retry_policy": {"retry_on": "reset,retriable-status-codes", "num_retries": 2, "retriable_status_codes": [503], "per_try_timeout": "0.250s"},
    "routes": [
     {"match": {"prefix": "/", "headers": [{"name": "x-beta", "string_match": {"exact": "1"}}]}, "direct_response": {"status": 404}},
     {"match": {"prefix": "/"}, "route": {"timeout": "1.5s",
       "weighted_clusters": {"clusters": [{"name": "outbound|80|v1|cart.shop.svc.cluster.local", "weight": 3},
          {"name": "outbound|80|v2|cart.shop.svc.cluster.local", "weight": 1}]},
       "request_mirror_policies": [{"cluster": "outbound|80||shadow.shop.svc.cluster.local",
          "runtime_fraction": {"default_value": {"numerator": 2500, "denominator": "TEN_THOUSAND"}}}],
       "hash_policy": [{"header": {"header_name": "x-user"}}]}}]}]}}]},
 {"@type": "type.googleapis.com/envoy.admin.v3.EndpointsConfigDump",
  "dynamic_endpoint_configs": [{"endpoint_config": {"cluster_name": "outbound|80||cart.shop.svc.cluster.local", "endpoints": [
    {"locality": {"region": "eu", "zone": "eu-1"}, "lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "10.0.0.2", "port_value": 80}}}}]},
    {"locality": {"region": "eu", "zone": "eu-2"}, "lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "10.0.0.3", "port_value": 80}}}}]}]}}]}
]}"#;

/// The dump, with its cluster for every subset.
fn of_all_subsets() -> String {
    DUMP.replace(
        r#""outbound|80|v1|cart.shop.svc.cluster.local", "type""#,
        r#""outbound|80||cart.shop.svc.cluster.local", "type""#,
    )
}

#[test]
fn a_dump_says_what_one_sidecar_does() {
    let facts = facts(DUMP);
    let caller = Some(Name::new("front.shop"));
    assert!(facts.statements.iter().all(|statement| statement.scope.caller == caller));
    let found = runtime(
        &facts,
        &[
            ModelCall::new("front", "cart"),
            ModelCall::new("front", "pricing"),
            ModelCall::new("other", "cart"),
        ],
    );
    assert_eq!(found.parameters.len(), 2, "another sidecar's calls are not spoken of");
    let cart = &found.parameters[&("front".into(), "cart".into())];
    assert_eq!((cart.timeout_ms, cart.attempts, cart.per_try_timeout_ms), (Some(1_500), Some(3), Some(250)));
    let limits = |cart: &RuntimeParameters| (cart.max_connections, cart.max_pending, cart.consecutive_errors);
    assert_eq!(limits(cart), (None, None, None), "what holds for the subset v1 is not known of every call");
    let whole = runtime(&self::facts(&of_all_subsets()), &[ModelCall::new("front", "cart")]);
    assert_eq!(limits(&whole.parameters[&("front".into(), "cart".into())]), (None, Some(8), Some(5)));
    assert_eq!(
        cart.mirror.as_ref().map(|(to, share)| (to.as_str(), share.get())),
        Some(("shadow.shop", 0.25))
    );
    let pricing = &found.parameters[&("front".into(), "pricing".into())];
    assert_eq!((pricing.timeout_ms, pricing.attempts), (Some(15_000), None));
    let shares: Vec<_> = facts.splits[0].shares.iter().map(|(_, share)| share.get()).collect();
    assert_eq!(shares, [0.75, 0.25]);
}

#[test]
fn a_dump_says_zones_of_endpoints_and_of_its_own_workload() {
    let facts = facts(DUMP);
    let zones = |name: &str| -> Vec<String> {
        let seen = facts.observations(&Name::new(name));
        seen.into_iter().filter(|one| one.key.ends_with("/zone")).map(|one| one.value).collect()
    };
    assert_eq!(zones("front"), ["eu-1"]);
    assert_eq!(zones("cart"), ["eu-1", "eu-2"]);
}

#[test]
fn a_broken_dump_is_a_problem_with_its_place() {
    let problems = Problems::new();
    let facts = read_text("dump.json", &DUMP.replace("\"1.5s\"", "15"), &problems);
    assert_eq!(problems.errors(), 1);
    let problem = &problems.list()[0];
    assert!(problem.location().unwrap().starts_with("dump.json:2"), "{:?}", problem.location());
    assert!(problem.message.contains("expected a string"), "{}", problem.message);
    assert!(facts.statements.is_empty());
    let problems = Problems::new();
    read_text("dump.json", &DUMP[..DUMP.len() / 2], &problems);
    assert_eq!(problems.errors(), 1);
}

#[test]
fn a_dump_confirms_istio_or_contradicts_it() {
    let istio = |timeout: &str| {
        shop(
            "VirtualService",
            "v1",
            &format!(
                "  hosts: [cart]\n  http: [{{route: [{{destination: {{host: cart}}}}], timeout: {timeout}, \
                 retries: {{attempts: 2, perTryTimeout: 250ms, retryOn: '503,reset'}}}}]"
            ),
        )
    };
    let of = |timeout: &str| {
        let mut both = facts(&of_all_subsets());
        both.statements.extend(facts(&istio(timeout)).statements);
        runtime(&both, &[ModelCall::new("front", "cart.shop")]).findings.into_values().next().unwrap()
    };
    let agreed = of("1.5s");
    assert_eq!((agreed.status, agreed.confidence.get()), (Status::Identified, 1.0 - 0.05 * 0.05));
    assert_eq!(of("2s").status, Status::Contradictory);
}
