//! Against other people's files: every field that is read exists in the kinds' own schemas, and names of clusters in traces are understood.

use std::path::PathBuf;

use serde_json::Value;

use super::super::istio::FIELDS;
use super::super::unread;
use super::super::{Address, Matched, ModelCall, Name, best, runtime};
use emac_document::{Limits, Problems, read_file};

/// A file of the third-party data; says so when it is not there.
fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("EMAC_SHARED_DATA").map(PathBuf::from);
    let root =
        root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")));
    let file = root.join(path);
    if !file.is_file() {
        println!("not run: no {path} under EMAC_SHARED_DATA or ../shared/data");
        return None;
    }
    Some(file)
}

/// Walks a dotted path through `properties`, through `items` of lists.
fn has(schema: &Value, path: &str) -> bool {
    let mut here = schema;
    for key in path.split('.') {
        let within = if here["items"].is_object() { &here["items"] } else { here };
        here = &within["properties"][key];
    }
    here.is_object()
}

/// `consecutiveErrors` was taken out of the schema; objects of older meshes still have it.
const OLD: [&str; 1] = ["trafficPolicy.outlierDetection.consecutiveErrors"];

#[test]
fn every_field_read_stands_in_the_schema_of_each_version() {
    let Some(file) = shared("crds/istio/crd-all.gen.yaml") else { return };
    let documents = read_file(&file, &Limits::default(), &Problems::new());
    let schemas: Vec<Value> = documents.iter().map(|document| document.root.to_json()).collect();
    let mut checked = 0;
    for (kind, path) in FIELDS.iter().filter(|(_, path)| !OLD.contains(path)) {
        let crd = schemas.iter().find(|crd| crd["spec"]["names"]["kind"] == *kind).unwrap();
        for version in crd["spec"]["versions"].as_array().unwrap() {
            let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"];
            assert!(has(spec, path), "{kind} {} has no {path}", version["name"]);
            checked += 1;
        }
    }
    assert_eq!(checked, 3 * (FIELDS.len() - OLD.len()));
}

/// Fields of the experimental channel, which is not among the files.
const EXPERIMENTAL: [&str; 2] = ["rules.retry.backoff", "rules.sessionPersistence"];

#[test]
fn every_field_that_is_told_stands_in_the_schema() {
    let files = ["istio/crd-all.gen.yaml", "gateway-api/gateway.networking.k8s.io_httproutes.yaml"];
    let [Some(istio), Some(routes)] = files.map(|file| shared(&format!("crds/{file}"))) else { return };
    let crds: Vec<Value> = [istio, routes]
        .iter()
        .flat_map(|file| read_file(file, &Limits::default(), &Problems::new()))
        .map(|document| document.root.to_json())
        .collect();
    let mut checked = 0;
    for (kind, field, _) in unread::FIELDS.iter().filter(|(_, field, _)| !EXPERIMENTAL.contains(field)) {
        let Some(crd) = crds.iter().find(|crd| crd["spec"]["names"]["kind"] == *kind) else { continue };
        let version = &crd["spec"]["versions"][0];
        let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"];
        for path in unread::paths(kind, field) {
            assert!(has(spec, &path) || path.contains("portLevelSettings"), "{kind} has no {path}");
            checked += 1;
        }
    }
    assert_eq!(checked, 9 + 4 * 11 + 4);
}

/// Values of an attribute anywhere in a JSON text.
fn attribute(value: &Value, key: &str, found: &mut Vec<String>) {
    if value["key"] == key
        && let Some(text) = value["value"]["stringValue"].as_str()
    {
        found.push(text.to_owned());
    }
    let members = value.as_object().into_iter().flat_map(|map| map.values());
    members.chain(value.as_array().into_iter().flatten()).for_each(|inner| attribute(inner, key, found));
}

#[test]
fn clusters_and_services_of_istios_traces_are_one_another() {
    let Some(file) = shared("istio-traces/responseTrace.json") else { return };
    let trace: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let of = |key| {
        let mut found = Vec::new();
        attribute(&trace, key, &mut found);
        found
    };
    let services: Vec<String> = of("service.name");
    let mut names: Vec<Name> = services.iter().map(|service| Name::new(service)).collect();
    names.sort();
    names.dedup();
    let clusters = of("upstream_cluster");
    let outbound: Vec<Address> = clusters.iter().filter_map(|cluster| Address::new(cluster)).collect();
    assert_eq!((names.len(), clusters.len(), outbound.len()), (5, 8, 4));
    for address in &outbound {
        assert!(matches!(best(&address.name, &names), Matched::One(_)), "{address:?}");
    }
}

/// A real mesh: what istiod made of its objects for one sidecar is what the objects say, in every form in which it is printed.
#[test]
fn a_real_mesh_gives_back_what_its_objects_say() {
    let files =
        ["kubectl-list.yaml", "proxy-config-routes.json"].map(|file| format!("istio-live/istioctl/{file}"));
    let [Some(objects), Some(routes)] = files.map(|file| shared(&file)) else { return };
    let call = ModelCall {
        from_name: Name::new("front.shop"),
        to_name: Name::new("pay.shop"),
        ..ModelCall::new("front", "pay")
    };
    for (file, sources) in [(&objects, 1), (&routes, 1)] {
        let problems = Problems::new();
        let facts = crate::mesh::read(std::slice::from_ref(file), &problems);
        assert!(problems.is_empty(), "{}", emac_document::render_text(&problems, false));
        let found = runtime(&facts, std::slice::from_ref(&call));
        assert_eq!(found.findings.len(), sources, "{}", file.display());
        let pay = &found.parameters[&("front".into(), "pay".into())];
        assert_eq!(
            (pay.timeout_ms, pay.per_try_timeout_ms, pay.attempts),
            (Some(2_000), Some(1_000), Some(3)),
            "{}",
            file.display()
        );
        assert_eq!(pay.retry_on.as_deref(), Some("5xx,cancelled,connect-failure,refused-stream,unavailable"));
    }
    let problems = Problems::new();
    let Some(clusters) = shared("istio-live/istioctl/proxy-config-clusters.yaml") else { return };
    let facts = crate::mesh::read(&[clusters], &problems);
    let named = |statement: &super::super::Statement| statement.scope.caller == Some(Name::new("front.shop"));
    assert!(facts.statements.iter().all(named), "{:?}", facts.statements);
    assert!(problems.is_empty() && facts.read["config_dump"] == 1 && facts.passed_over.is_empty());
}

/// What the sidecar of `front` says, as a dump: its sections are stored under their names.
fn dump_of_front() -> Option<crate::mesh::MeshFacts> {
    let file = shared("istio-live/front-1.with.json")?;
    let sections: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let sections: Vec<&Value> = sections.as_object().unwrap().values().collect();
    let problems = Problems::new();
    let facts = crate::mesh::read_text(
        "front.json",
        &serde_json::json!({"configs": sections}).to_string(),
        &problems,
    );
    assert!(problems.is_empty(), "{}", emac_document::render_text(&problems, false));
    Some(facts)
}

/// The dump of a real sidecar, in which nothing but what is inbound names it, says of every call what the objects say, and says it for this caller only.
#[test]
fn a_real_dump_says_of_every_call_what_the_objects_say() {
    let (Some(objects), Some(dump)) = (shared("istio-live/istioctl/kubectl-list.yaml"), dump_of_front())
    else {
        return;
    };
    let problems = Problems::new();
    let objects = crate::mesh::read(&[objects], &problems);
    assert!(problems.is_empty());
    let calls = ["pay", "emac"].map(|to| {
        let namespace = if to == "emac" { "emac-system" } else { "shop" };
        ModelCall {
            from_name: Name::new("front.shop"),
            to_name: Name::new(&format!("{to}.{namespace}")),
            ..ModelCall::new("front", to)
        }
    });
    let (said, done) = (runtime(&objects, &calls), runtime(&dump, &calls));
    let of = |runtime: &super::super::Runtime, to: &str| {
        runtime.parameters.get(&("front".to_owned(), to.to_owned())).cloned().unwrap_or_default()
    };
    assert_eq!(of(&done, "pay"), of(&said, "pay"));
    assert_eq!(of(&said, "pay").timeout_ms, Some(2_000));
    // No object speaks of calls of emac: what the sidecar does there is the mesh's default.
    assert_eq!((of(&said, "emac").attempts, of(&done, "emac").attempts), (None, Some(3)));
    let caller = dump.statements.iter().map(|statement| statement.scope.caller.clone()).collect::<Vec<_>>();
    assert!(
        !caller.is_empty() && caller.iter().all(|caller| *caller == Some(Name::new("front.shop"))),
        "{caller:?}"
    );
    let other = ModelCall {
        from_name: Name::new("web.shop"),
        to_name: Name::new("pay.shop"),
        ..ModelCall::new("web", "pay")
    };
    assert!(runtime(&dump, &[other]).parameters.is_empty(), "another caller's sidecar was not dumped");
}
