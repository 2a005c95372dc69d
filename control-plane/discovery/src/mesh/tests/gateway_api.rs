use super::*;

fn route(kind: &str, spec: &str) -> MeshFacts {
    facts(&format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: cart, namespace: shop}}\nspec:\n{spec}\n"
    ))
}

fn call() -> [ModelCall; 1] {
    [ModelCall {
        from_name: Name::new("front.shop"),
        to_name: Name::new("cart.shop"),
        ..ModelCall::new("front", "cart")
    }]
}

const RULE: &str = "
  - timeouts: {request: 3s, backendRequest: 1s}
    retry: {attempts: 2, codes: [503, 500]}
    filters: [{type: RequestMirror, requestMirror: {backendRef: {name: cart-shadow, port: 80}, percent: 25}}]
    backendRefs: [{name: cart-v1, port: 80, weight: 90}, {name: cart-v2, port: 80, weight: 10}]";

#[test]
fn a_route_of_a_service_is_about_its_calls() {
    let facts = route(
        "HTTPRoute",
        &format!("  parentRefs: [{{group: '', kind: Service, name: cart}}]\n  rules:{RULE}"),
    );
    let found = runtime(&facts, &call());
    let cart = &found.parameters[&("front".into(), "cart".into())];
    assert_eq!(
        (cart.timeout_ms, cart.per_try_timeout_ms, cart.attempts),
        (Some(3_000), Some(1_000), Some(3))
    );
    assert_eq!(cart.retry_on.as_deref(), Some("500,503"));
    let (to, share) = cart.mirror.as_ref().unwrap();
    assert_eq!((to.as_str(), share.get()), ("cart-shadow.shop", 0.25));
    let shares: Vec<_> =
        facts.splits[0].shares.iter().map(|(to, share)| (to.to.to_string(), share.get())).collect();
    assert_eq!(shares, [("cart-v1.shop".to_owned(), 0.9), ("cart-v2.shop".to_owned(), 0.1)]);
    assert_eq!(facts.read["HTTPRoute"], 1);
}

#[test]
fn a_gateways_route_and_a_matched_one_hold_for_some_calls_only() {
    let of_gateway = "  parentRefs: [{name: public}]\n  hostnames: [shop.example.com]\n  rules: [{timeouts: {request: 3s}, backendRefs: [{name: cart}]}]";
    let matched = "  parentRefs: [{kind: Service, name: cart}]\n  rules: [{matches: [{headers: [{name: x-beta, value: '1'}]}], timeouts: {request: 3s}}]";
    let grpc = "  parentRefs: [{kind: Service, name: cart}]\n  rules: [{matches: [{method: {service: shop.Cart}}], timeouts: {request: 3s}}]";
    for (kind, spec) in [("HTTPRoute", of_gateway), ("HTTPRoute", matched), ("GRPCRoute", grpc)] {
        let found = runtime(&route(kind, spec), &call());
        assert_eq!(found.findings.into_values().next().unwrap().status, Status::Unresolved, "{spec}");
        assert!(found.parameters.is_empty());
    }
    let everything = "  parentRefs: [{kind: Service, name: cart}]\n  rules: [{matches: [{path: {type: PathPrefix, value: /}}], timeouts: {request: 3s}}]";
    let found = runtime(&route("HTTPRoute", everything), &call());
    assert_eq!(found.parameters[&("front".into(), "cart".into())].timeout_ms, Some(3_000));
}

#[test]
fn a_consumers_route_holds_for_callers_of_its_own_namespace() {
    let spec =
        "  parentRefs: [{kind: Service, name: cart, namespace: bank}]\n  rules: [{timeouts: {request: 3s}}]";
    let facts = route("HTTPRoute", spec);
    let timeout = |from: &str| {
        let call = ModelCall {
            from_name: Name::new(from),
            to_name: Name::new("cart.bank"),
            ..ModelCall::new("front", "cart")
        };
        let found = runtime(&facts, &[call]);
        let status = found.findings.into_values().next()?.status;
        Some((status, found.parameters.into_values().next().and_then(|said| said.timeout_ms)))
    };
    assert_eq!(timeout("front.shop"), Some((Status::Identified, Some(3_000))), "the route stands in shop");
    assert_eq!(timeout("teller.bank"), None);
    assert_eq!(timeout("front"), Some((Status::Unresolved, None)), "whose namespace is not known");
}

#[test]
fn a_route_of_a_port_is_about_that_port() {
    let spec = "  parentRefs: [{kind: Service, name: cart, port: 80}]\n  rules: [{timeouts: {request: 3s}}]";
    let found = runtime(&route("GRPCRoute", spec), &call());
    assert_eq!(found.findings.into_values().next().unwrap().status, Status::Unresolved);
    assert!(found.parameters.is_empty());
}
