use super::*;

pub(super) const CLUSTER: &str = r#"
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Node, metadata: {name: n1, labels: {topology.kubernetes.io/zone: a, disk: ssd}}}
- {apiVersion: v1, kind: Node, metadata: {name: n2, labels: {failure-domain.beta.kubernetes.io/zone: b}}}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: cart-v1, namespace: shop, labels: {team: blue}}
  spec:
    replicas: 2
    selector: {matchLabels: {app: cart}}
    template: {metadata: {labels: {app: cart, version: v1, provider: acme}}, spec: {containers: []}}
- {apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: cart-v1-abc, namespace: shop, ownerReferences: [{kind: Deployment, name: cart-v1}]}, spec: {replicas: 2}}
- {apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}}}
- {apiVersion: v1, kind: Pod, metadata: {name: cart-v1-abc-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: n1}}
- {apiVersion: v1, kind: Pod, metadata: {name: cart-v1-abc-2, namespace: shop, labels: {app: cart}}, spec: {nodeName: n2}}
- {apiVersion: v1, kind: Pod, metadata: {name: lone-77-x, namespace: shop, labels: {pod-template-hash: "77"}, ownerReferences: [{kind: ReplicaSet, name: lone-77}]}, spec: {nodeName: n1}}
- {apiVersion: v1, kind: Pod, metadata: {name: lone-77-y, namespace: shop, labels: {pod-template-hash: "77"}, ownerReferences: [{kind: ReplicaSet, name: lone-77}]}, spec: {nodeName: n1}}
- {apiVersion: v1, kind: Service, metadata: {name: paya, namespace: shop}, spec: {type: ExternalName, externalName: api.paya.example}}
"#;

#[test]
fn pods_belong_to_workloads_and_workloads_to_services() {
    let facts = facts(CLUSTER);
    let names: Vec<_> =
        facts.workloads.iter().map(|one| (one.name.to_string(), one.replicas, one.pods.len())).collect();
    assert_eq!(names, [("cart-v1.shop".to_owned(), Some(2), 2), ("lone.shop".to_owned(), Some(2), 2)]);
    let picked: Vec<_> = facts.workloads_of(&facts.services[0]).map(|one| one.name.to_string()).collect();
    assert_eq!(picked, ["cart-v1.shop"]);
    assert!(facts.is_external(&Name::new("paya.shop")));
}

#[test]
fn a_service_has_the_labels_of_its_workloads_and_the_zones_of_their_nodes() {
    let facts = facts(CLUSTER);
    let of = |name: &str, key: &str| -> Vec<(String, bool)> {
        let seen = facts.observations(&Name::new(name)).into_iter().filter(|one| one.key == key);
        seen.map(|one| (one.value, one.instance.is_some())).collect()
    };
    for name in ["cart", "cart.shop.svc.cluster.local", "cart-v1"] {
        assert_eq!(of(name, "topology.kubernetes.io/zone"), [("a".to_owned(), true), ("b".to_owned(), true)]);
        assert_eq!(of(name, "provider"), [("acme".to_owned(), false)]);
    }
    assert_eq!(of("nobody", "provider"), []);
}

#[test]
fn without_pods_the_demands_say_the_zone_as_far_as_they_leave_no_choice() {
    let deployment = |spec: &str| {
        let text = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: cart}}\nspec: {{replicas: 3, template: {{spec: {spec}}}}}"
        );
        let seen = facts(&text).observations(&Name::new("cart"));
        seen.into_iter().map(|one| one.value).collect::<Vec<_>>()
    };
    assert_eq!(deployment("{nodeSelector: {topology.kubernetes.io/zone: a}}"), ["a"]);
    let affinity = "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [\
        {matchExpressions: [{key: topology.kubernetes.io/zone, operator: In, values: [a, b]}]}]}}}";
    assert_eq!(deployment(&format!("{{{affinity}}}")), [""; 0], "the scheduler may choose one for all");
    let spread = "topologySpreadConstraints: [{maxSkew: 1, topologyKey: topology.kubernetes.io/zone}]";
    assert_eq!(deployment(&format!("{{{affinity}, {spread}}}")), ["a", "b"]);
}

#[test]
fn endpoint_slices_say_zones() {
    let facts = facts(
        "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, \
         labels: {kubernetes.io/service-name: cart}}, endpoints: [{addresses: [10.0.0.1], zone: a, nodeName: n1}]}",
    );
    let seen = facts.observations(&Name::new("cart"));
    assert_eq!(seen.len(), 2);
    assert_eq!((seen[1].value.as_str(), seen[1].instance.as_deref()), ("a", Some("10.0.0.1")));
    assert_eq!(seen[1].provenance.place.as_ref().unwrap().1, "endpoints[0]");
}

#[test]
fn an_object_without_a_name_is_a_problem() {
    let problems = Problems::new();
    let facts = read_text("x.yaml", "apiVersion: v1\nkind: Service\nspec: {selector: [a]}\n", &problems);
    assert_eq!(problems.errors(), 1);
    assert!(facts.services.is_empty());
}
