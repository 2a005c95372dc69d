//! Other meshes' objects, other controllers', and what holds where nothing else is said.

use super::*;

const PROFILE: &str = "
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata: {name: cart.shop.svc.cluster.local, namespace: NAMESPACE}
spec:
  routes:
  - name: GET /cart
    condition: {method: GET, pathRegex: '/cart/[^/]*'}
    timeout: 300ms
    isRetryable: true
  retryBudget: {retryRatio: 0.2, minRetriesPerSecond: 10, ttl: 10s}
  dstOverrides: [{authority: 'cart-v1.shop.svc.cluster.local:80', weight: 900m}, {authority: 'cart-v2.shop.svc.cluster.local:80', weight: '0.1'}]
";

fn of(facts: &MeshFacts, from: &str, to: &str) -> Option<(Status, RuntimeParameters)> {
    let call =
        ModelCall { from_name: Name::new(from), to_name: Name::new(to), ..ModelCall::new("from", "to") };
    let found = runtime(facts, &[call]);
    let status = found.findings.into_values().next()?.status;
    Some((status, found.parameters.into_values().next().unwrap_or_default()))
}

#[test]
fn a_service_profile_speaks_of_routes_and_shares() {
    let producer = facts(&PROFILE.replace("NAMESPACE", "shop"));
    assert_eq!(producer.read["ServiceProfile"], 1);
    let [statement] = producer.statements.as_slice() else { panic!("{:?}", producer.statements) };
    assert_eq!(statement.parameters.timeout_ms, Some(300));
    assert!(statement.scope.condition.contains("GET") && statement.more["retries"].contains("retryRatio"));
    assert_eq!(
        of(&producer, "front.shop", "cart.shop").unwrap().0,
        Status::Unresolved,
        "a route is not all calls"
    );
    let shares: Vec<_> =
        producer.splits[0].shares.iter().map(|(to, share)| (to.to.to_string(), share.get())).collect();
    assert_eq!(shares, [("cart-v1.shop".to_owned(), 0.9), ("cart-v2.shop".to_owned(), 0.1)]);
    // One in the namespace of a caller is for that one's calls.
    let consumer = facts(&PROFILE.replace("NAMESPACE", "bank"));
    assert!(of(&consumer, "front.shop", "cart.shop").is_none());
    assert!(of(&consumer, "teller.bank", "cart.shop").is_some());
}

#[test]
fn a_rollout_is_a_workload_and_its_steps_are_named() {
    let rollout = facts(
        "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: cart, namespace: shop}
spec:
  replicas: 5
  selector: {matchLabels: {app: cart}}
  template: {metadata: {labels: {app: cart}}, spec: {nodeSelector: {topology.kubernetes.io/zone: eu-1a}}}
  strategy: {canary: {steps: [{setWeight: 20}, {pause: {}}]}}
",
    );
    let [workload] = rollout.workloads.as_slice() else { panic!("{:?}", rollout.workloads) };
    assert_eq!((workload.replicas, workload.kind.as_str()), (Some(5), "Rollout"));
    assert_eq!(workload.demands.allowed.len(), 1);
    let counts: Vec<_> = rollout.passed_over.iter().map(|(what, count)| format!("{count} {what}")).collect();
    assert_eq!(counts, ["1 Rollout with canary steps (the shares of now are those of its routes)"]);
}

const MESH: &str = "defaultConfig: {discoveryAddress: localhost:15012}
rootNamespace: istio-system
defaultHttpRetryPolicy: {attempts: 4, perTryTimeout: 250ms, retryOn: '5xx,connect-failure'}
connectTimeout: 3s
";

#[test]
fn the_meshs_defaults_hold_where_nothing_else_is_said() {
    let indented = MESH.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let map = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |-\n{indented}"
    );
    let operator = format!(
        "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  meshConfig:\n{indented}"
    );
    let values = format!("meshConfig:\n{indented}");
    for text in [MESH.to_owned(), map, operator, values] {
        let said = facts(&text);
        let told: Vec<_> = said.passed_over.iter().map(|(what, count)| format!("{count} {what}")).collect();
        assert_eq!(told, ["1 MeshConfig connectTimeout (bounds a connection, not a call)"], "{text}");
        assert_eq!(said.read.len(), 1, "{text}");
        let (status, found) = of(&said, "front.shop", "cart.shop").unwrap();
        assert_eq!(
            (status, found.attempts, found.per_try_timeout_ms),
            (Status::Identified, Some(5), Some(250)),
            "{text}"
        );
        let route = format!(
            "{text}\n---\n{}",
            shop(
                "VirtualService",
                "v1",
                "  hosts: [cart]\n  http: [{route: [{destination: {host: cart}}], retries: {attempts: 1}}]"
            )
        );
        assert_eq!(of(&facts(&route), "front.shop", "cart.shop").unwrap().1.attempts, Some(2), "{text}");
    }
    let other =
        facts("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {mesh-size: '7'}\n");
    assert_eq!(other.passed_over["ConfigMap"], 1);
    assert_eq!(facts("trustDomain: x\n").passed_over["no apiVersion or kind"], 1);
}

#[test]
fn a_wildcard_of_a_namespace_is_about_its_services() {
    let rule = shop(
        "DestinationRule",
        "v1",
        "  host: '*.shop.svc.cluster.local'\n  trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}",
    );
    assert_eq!(of(&facts(&rule), "front.shop", "cart.shop").unwrap().1.max_connections, Some(7));
    assert!(of(&facts(&rule), "front.shop", "cart.bank").is_none());
}

#[test]
fn what_is_said_of_a_port_holds_for_the_service_that_has_no_other() {
    let rule = shop(
        "DestinationRule",
        "v1",
        "  host: cart\n  trafficPolicy: {portLevelSettings: [{port: {number: 80}, connectionPool: {tcp: {maxConnections: 7}}}]}",
    );
    let service = |ports: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: cart, namespace: shop}}\nspec: {{ports: [{ports}]}}\n---\n{rule}"
        )
    };
    for (text, expected) in [
        (service("{port: 80}"), (Status::Identified, Some(7))),
        (service("{port: 80}, {port: 90}"), (Status::Unresolved, None)),
        (service("{port: 90}"), (Status::Unresolved, None)),
        (rule.clone(), (Status::Unresolved, None)),
    ] {
        let (status, found) = of(&facts(&text), "front.shop", "cart.shop").unwrap();
        assert_eq!((status, found.max_connections), expected, "{text}");
    }
}
