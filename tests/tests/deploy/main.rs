//! What is in `deploy/` is what its readers' machines accept, checked offline: Kubernetes objects against our own small schemas of their kinds
//! (`tests/tests/schemas/written`), and against their makers' where those are at hand, the bootstrap by Envoy, plugin configurations by the filter, Prometheus' configuration by promtool.

mod crds;
#[path = "../schemas/written.rs"]
mod written;
mod yaml;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crds::Crds;
use emac_tests::wasm_host::{Direction, FilterModule, Host, Setup};
use emac_tests::{envoy, not_run, promtool, repo_root, shared_data};
use serde_json::{Value, json};
use written::Written;

/// Where the bootstrap expects the module.
const MODULE: &str = "/etc/envoy/emac-filter.wasm";

fn deploy(file: &str) -> PathBuf {
    repo_root().join("deploy").join(file)
}

fn documents(file: &str) -> Vec<Value> {
    yaml::documents(&deploy(file))
}

fn kubernetes() -> Vec<Value> {
    let files = ["sidecars", "gateway-api", "gateway-classic", "service", "control-plane"]
        .map(|name| format!("istio/{name}.yaml"));
    let more = ["prometheus/operator.yaml", "replicas/control-plane.yaml"];
    files.iter().map(String::as_str).chain(more).flat_map(documents).collect()
}

fn of_kind(kind: &str) -> Vec<Value> {
    kubernetes().into_iter().filter(|object| object["kind"] == kind).collect()
}

fn crds(test: &str) -> Option<Crds> {
    let data = shared_data("crds");
    if data.is_none() {
        not_run(test, "no CRD schemas (EMAC_SHARED_DATA); our own were asked");
    }
    data.map(|path| Crds::read(&["istio", "prometheus-operator"].map(|folder| path.join(folder))))
}

/// Needs nothing of anybody: on every clone. The schemas can refuse.
#[test]
fn objects_keep_to_our_schemas_of_their_kinds() {
    let written = Written::read();
    for object in kubernetes() {
        let problems = written.problems(&object);
        assert!(problems.is_empty(), "{problems:#?}");
        written.refuses_plain_mistakes(&object);
    }
}

#[test]
fn our_schemas_take_only_what_the_kinds_own_take() {
    let Some(crds) = crds("deploy: our schemas against CRD schemas") else { return };
    let written = Written::read();
    let held = |object: &Value| written.held_against(object, |copy| crds.problems(copy));
    let (taken, refused) =
        kubernetes().iter().map(held).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(taken > 20 && refused > 300, "{taken} taken, {refused} refused");
}

#[test]
fn objects_keep_to_their_schemas() {
    let Some(crds) = crds("deploy: objects against CRD schemas") else { return };
    let checked: Vec<_> = kubernetes().iter().map(|object| crds.problems(object)).collect();
    let problems: Vec<_> = checked.iter().flatten().flatten().collect();
    assert!(problems.is_empty(), "{problems:#?}");
    assert_eq!(
        checked.iter().filter(|checked| checked.is_some()).count(),
        7,
        "all but what is Kubernetes' own"
    );
}

/// The check itself can fail: a misspelt field, a value outside its list, a wrong type, a missing part.
#[test]
fn a_broken_object_is_found() {
    let (written, crds) =
        (Written::read(), crds("deploy: broken objects are found, by their makers' schemas"));
    type Break = fn(&mut Value);
    let breaks: [(&str, Break, &str); 4] = [
        ("WasmPlugin", |o| o["spec"]["failStrategie"] = json!("FAIL_RELOAD"), "spec.failStrategie"),
        ("WasmPlugin", |o| o["spec"]["failStrategy"] = json!("RELOAD"), "RELOAD"),
        ("WasmPlugin", |o| o["spec"]["priority"] = json!("10"), "\"10\""),
        (
            "PodMonitor",
            |o| {
                o["spec"].as_object_mut().unwrap().remove("selector");
            },
            "selector",
        ),
    ];
    for (kind, spoil, expected) in breaks {
        let mut object = of_kind(kind).remove(0);
        spoil(&mut object);
        assert!(!written.problems(&object).is_empty(), "{expected}");
        let Some(crds) = &crds else { continue };
        let problems = crds.problems(&object).unwrap();
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
    }
}

#[test]
fn the_service_speaks_grpc_where_the_plugins_look_for_it() {
    let service = of_kind("Service").remove(0);
    let ports = service["spec"]["ports"].as_array().unwrap();
    let grpc = ports.iter().find(|port| port["name"].as_str().unwrap().starts_with("grpc-")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let (name, namespace) = (text(&service["metadata"]["name"]), text(&service["metadata"]["namespace"]));
    let host = format!("{name}.{namespace}.svc.cluster.local");
    let plugins = of_kind("WasmPlugin");
    assert_eq!(plugins.len(), 3);
    for plugin in plugins {
        let control_plane = &plugin["spec"]["pluginConfig"]["control_plane"];
        assert_eq!(control_plane["cluster"], format!("outbound|{}||{host}", grpc["port"]));
        assert_eq!(control_plane["authority"], host, "a cluster's name is no host name");
        assert_eq!(plugin["spec"]["failStrategy"], "FAIL_OPEN", "a module that is missing stops no traffic");
    }
    let monitored = &of_kind("ServiceMonitor").remove(0)["spec"];
    assert_eq!(monitored["selector"]["matchLabels"], service["metadata"]["labels"]);
    assert!(ports.iter().any(|port| port["name"] == monitored["endpoints"][0]["port"]));
}

/// Names of the plugins that reach a proxy of these labels, by Istio's rules: `targetRefs` only gateways of the Gateway API, a selector
/// every proxy that has its labels, neither every proxy.
fn reaching(labels: &Value) -> Vec<String> {
    let gateway = &labels["gateway.networking.k8s.io/gateway-name"];
    let reaches = |spec: &Value| match spec["targetRefs"].as_array() {
        Some(targets) => gateway.is_string() && targets.iter().any(|target| target["name"] == *gateway),
        None => {
            let wanted = spec["selector"]["matchLabels"].as_object();
            wanted.into_iter().flatten().all(|(name, value)| labels[name] == *value)
        }
    };
    let reaching = of_kind("WasmPlugin").into_iter().filter(|plugin| reaches(&plugin["spec"]));
    reaching.map(|plugin| plugin["metadata"]["name"].as_str().unwrap().to_string()).collect()
}

/// Labels as Istio's injector and its templates of gateways write them; all in one namespace.
#[test]
fn every_proxy_is_reached_once_also_beside_its_gateway() {
    let sidecar = json!({"app": "front", "security.istio.io/tlsMode": "istio"});
    let gateway_api =
        json!({"gateway.networking.k8s.io/gateway-name": "shop-gateway", "sidecar.istio.io/inject": "false"});
    let classic = json!({"app": "istio-ingressgateway", "istio": "ingressgateway"});
    assert_eq!(reaching(&sidecar), ["emac"]);
    assert_eq!(reaching(&gateway_api), ["emac-edge"]);
    assert_eq!(reaching(&classic), ["emac-edge-classic"]);
    let namespaces: BTreeSet<String> =
        of_kind("WasmPlugin").iter().map(|plugin| plugin["metadata"]["namespace"].to_string()).collect();
    assert_eq!(namespaces.len(), 1);
    for plugin in of_kind("WasmPlugin") {
        let spec = &plugin["spec"];
        let edge = spec["pluginConfig"]["role"] == "edge";
        assert_eq!(
            spec["priority"].as_u64() > Some(10),
            edge,
            "an edge comes first, were there two in one chain"
        );
    }
}

/// The workloads of a mesh that a real istiod ran, gateway and sidecars in one namespace.
#[test]
fn every_workload_of_a_real_mesh_is_reached_once() {
    let Some(data) = shared_data("istio-live/objects/20-mesh.yaml") else {
        return not_run("deploy: plugins and a real mesh", "no istio-live (EMAC_SHARED_DATA)");
    };
    let objects =
        yaml::documents(&data).into_iter().chain(yaml::documents(&data.with_file_name("10-objects.yaml")));
    let entries: Vec<Value> = objects
        .filter(|object| object["kind"] == "WorkloadEntry" && object["metadata"]["namespace"] == "shop")
        .collect();
    assert!(entries.len() >= 3, "two sidecars and a gateway: {entries:?}");
    for entry in entries {
        assert_eq!(reaching(&entry["spec"]["labels"]).len(), 1, "{entry}");
    }
}

/// Every label of the filter's metrics is made visible, in the bootstrap as in the Istio instructions, by the expression Istio uses.
#[test]
fn labels_are_made_visible() {
    let bootstrap = documents("envoy/bootstrap.yaml").remove(0);
    let tags = bootstrap["stats_config"]["stats_tags"].as_array().unwrap();
    let names: BTreeSet<&str> = tags.iter().map(|tag| tag["tag_name"].as_str().unwrap()).collect();
    for tag in tags {
        let name = tag["tag_name"].as_str().unwrap();
        assert_eq!(tag["regex"], format!(r"({name}=\.=(.*?);\.;)"));
    }
    assert!(names.is_subset(&emac_tests::envoy::LABELS.into()), "{names:?}");
    let readme = std::fs::read_to_string(deploy("istio/README.md")).unwrap();
    let listed = |line: &str, close: &[char]| -> BTreeSet<String> {
        let (_, list) = readme.split_once(line).unwrap();
        let list = list.split(close).next().unwrap();
        list.split(',').map(|name| name.trim().to_string()).collect()
    };
    let expected: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
    assert_eq!(listed("extraStatTags: [", &[']']), expected);
    assert_eq!(listed("sidecar.istio.io/extraStatTags: ", &['\n']), expected);
    let Ok(source) = std::fs::read_to_string(repo_root().join("filter/src/metrics.rs")) else {
        return not_run("deploy: labels of the filter", "no filter/src/metrics.rs");
    };
    let used: BTreeSet<String> = labels_in(&source);
    assert!(
        used.contains("journey") && used.is_subset(&expected),
        "the filter writes {used:?}, visible are {expected:?}"
    );
}

/// Keys of `("key", value)` pairs in the filter's code that writes metrics, its tests aside.
fn labels_in(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let key = |text: &str| {
        let (key, rest) = text.split_once('"')?;
        let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase());
        (plain && rest.starts_with(',')).then(|| key.to_string())
    };
    code.split("(\"").skip(1).filter_map(key).collect()
}

/// Place and plugin configuration, of every place that has one.
fn plugin_configurations() -> Vec<(String, String)> {
    let istio = of_kind("WasmPlugin").into_iter().map(|plugin| {
        let name = plugin["metadata"]["name"].as_str().unwrap().to_string();
        (name, plugin["spec"]["pluginConfig"].to_string())
    });
    let bootstrap = documents("envoy/bootstrap.yaml").remove(0);
    let filter = &bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        ["http_filters"][0]["typed_config"]["config"]["configuration"]["value"];
    istio.chain([("bootstrap".to_string(), filter.as_str().unwrap().to_string())]).collect()
}

fn refused(module: &FilterModule, configuration: &str) -> bool {
    let host: Host = Setup::new(module.clone()).listener(Direction::Outbound, configuration).start();
    host.run_for(2_000);
    host.metric("emac_config_invalid_total") > 0
}

#[test]
fn the_filter_takes_its_configurations() {
    let module = match FilterModule::filter() {
        Ok(module) if !module.imports().is_empty() => module,
        Ok(_) => {
            return not_run("deploy: plugin configurations", "the module imports nothing: it is no filter");
        }
        Err(why) => return not_run("deploy: plugin configurations", &why.to_string()),
    };
    assert!(refused(&module, r#"{"modus": "enforce"}"#), "this check can fail");
    for (place, configuration) in plugin_configurations() {
        assert!(!refused(&module, &configuration), "{place}: {configuration}");
    }
}

#[test]
fn envoy_takes_the_bootstrap() {
    let test = "deploy: bootstrap";
    let Some(envoy) = envoy() else { return not_run(test, "no Envoy (make tools, ENVOY_BIN)") };
    let folder = tempfile::tempdir().unwrap();
    let module = module_for_envoy(folder.path());
    let text = std::fs::read_to_string(deploy("envoy/bootstrap.yaml")).unwrap();
    assert!(text.contains(MODULE));
    let good = text.replace(MODULE, &module.display().to_string());
    let validate = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let run = Command::new(&envoy)
            .args(["--mode", "validate", "--log-level", "error", "-c"])
            .arg(&path)
            .output();
        let run = run.unwrap();
        (run.status.success(), String::from_utf8_lossy(&run.stderr).into_owned())
    };
    let (accepted, message) = validate("good.yaml", &good);
    assert!(accepted, "{message}");
    let (accepted, message) = validate("bad.yaml", &good.replace("failure_policy", "failure_politics"));
    assert!(!accepted && message.contains("failure_politics"), "{message}");
}

/// The filter if it is built, else a module that does nothing: the bootstrap is what is checked.
fn module_for_envoy(folder: &Path) -> PathBuf {
    let built = std::env::var_os("EMAC_FILTER_WASM").map(PathBuf::from);
    let built = built.unwrap_or_else(|| repo_root().join("dist/emac-filter.wasm"));
    if built.is_file() {
        return built;
    }
    let path = folder.join("noop.wasm");
    std::fs::write(&path, emac_tests::envoy::noop_wasm().unwrap()).unwrap();
    path
}

/// The sidecar of the control plane hands on to loopback, where `emac serve` listens by default, every port of the Service.
#[test]
fn the_control_planes_sidecar_forwards_every_port_of_the_service_to_loopback() {
    let service = of_kind("Service").remove(0);
    let ports: BTreeSet<String> =
        service["spec"]["ports"].as_array().unwrap().iter().map(|port| port["port"].to_string()).collect();
    let sidecar = of_kind("Sidecar").remove(0);
    let ingress = sidecar["spec"]["ingress"].as_array().unwrap();
    let forwarded: BTreeSet<String> = ingress.iter().map(|one| one["port"]["number"].to_string()).collect();
    assert_eq!(forwarded, ports);
    for one in ingress {
        assert_eq!(one["defaultEndpoint"], format!("127.0.0.1:{}", one["port"]["number"]));
    }
    let labels = &service["spec"]["selector"];
    assert_eq!(&sidecar["spec"]["workloadSelector"]["labels"], labels);
    let strict = of_kind("PeerAuthentication").remove(0);
    assert_eq!(&strict["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(strict["spec"]["mtls"]["mode"], "STRICT");
}

/// The replicas are those that the Service finds and the budget counts, read the configuration beside them, and are as many as the copies in NATS.
#[test]
fn three_replicas_fit_their_service_their_configuration_and_their_nats() {
    let (deployment, service) = (of_kind("Deployment").remove(0), of_kind("Service").remove(0));
    let spec = &deployment["spec"];
    let labels = &service["spec"]["selector"];
    let budget = of_kind("PodDisruptionBudget").remove(0);
    for wanted in [
        &spec["selector"]["matchLabels"],
        &spec["template"]["metadata"]["labels"],
        &budget["spec"]["selector"]["matchLabels"],
    ] {
        assert_eq!(wanted, labels);
    }
    assert_eq!((&spec["replicas"], &budget["spec"]["maxUnavailable"]), (&json!(3), &json!(1)));
    let pod = &spec["template"]["spec"];
    let container = &pod["containers"][0];
    let port = |of: &Value, name: &str| {
        of.as_array().unwrap().iter().find(|port| port["name"] == name).cloned().unwrap()
    };
    for name in ["grpc-sidecars", "http-api"] {
        let (ours, theirs) = (port(&container["ports"], name), port(&service["spec"]["ports"], name));
        assert_eq!(ours["containerPort"], theirs["targetPort"]);
    }
    assert_eq!(container["readinessProbe"]["httpGet"], json!({"path": "/readyz", "port": 8080}));
    let volumes: BTreeSet<&str> =
        pod["volumes"].as_array().unwrap().iter().map(|volume| volume["name"].as_str().unwrap()).collect();
    let mounts = container["volumeMounts"].as_array().unwrap();
    assert_eq!(volumes, mounts.iter().map(|mount| mount["name"].as_str().unwrap()).collect());

    let map = of_kind("ConfigMap").remove(0);
    assert!(container["args"].as_array().unwrap().contains(&json!("/etc/emac/config/emac.yaml")));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("emac.yaml");
    std::fs::write(&file, map["data"]["emac.yaml"].as_str().unwrap()).unwrap();
    let config = yaml::documents(&file).remove(0);
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(deploy("schemas/control-plane-config.json")).unwrap())
            .unwrap();
    let problems: Vec<String> = jsonschema::validator_for(&schema)
        .unwrap()
        .iter_errors(&config)
        .map(|error| error.to_string())
        .collect();
    assert!(problems.is_empty(), "{problems:#?}");
    let nats = &config["engine"]["nats"];
    let values = documents("replicas/nats-values.yaml").remove(0);
    assert_eq!(values["config"]["cluster"]["replicas"], nats["replicas"]);
    assert_eq!(nats["url"].as_array().unwrap().len(), 3);
    assert_eq!(values["config"]["merge"]["max_payload"], 8 << 20);
    assert_eq!(values["config"]["merge"]["authorization"]["users"][0]["user"], nats["user"]);
    let mounted = |place: &Value| {
        let place = place.as_str().unwrap();
        mounts.iter().any(|mount| place.starts_with(mount["mountPath"].as_str().unwrap()))
    };
    assert!(mounted(&nats["passwordFile"]) && mounted(&config["state"]) && mounted(&config["intents"][0]));
}

/// Every alert fires on its fault and is silent without, and is asked for both.
#[test]
fn alerts_about_the_control_plane_fire_on_their_fault() {
    let test = "deploy: control-plane.rules.yml";
    let Some(promtool) = promtool() else { return not_run(test, "no promtool (make tools, PROMTOOL_BIN)") };
    let folder = tempfile::tempdir().unwrap();
    for file in ["control-plane.rules.yml", "control-plane.tests.yml"] {
        std::fs::copy(deploy("prometheus").join(file), folder.path().join(file)).unwrap();
    }
    let run = |what: &str, file: &str| {
        let run =
            Command::new(&promtool).args([what, "rules", file]).current_dir(folder.path()).output().unwrap();
        let told = [run.stdout, run.stderr].concat();
        (run.status.success(), String::from_utf8_lossy(&told).into_owned())
    };
    let (accepted, message) = run("check", "control-plane.rules.yml");
    assert!(accepted, "{message}");
    let (passed, message) = run("test", "control-plane.tests.yml");
    assert!(passed, "{message}");
    let rules = documents("prometheus/control-plane.rules.yml").remove(0);
    let tests = std::fs::read_to_string(deploy("prometheus/control-plane.tests.yml")).unwrap();
    let control_plane = std::fs::read_to_string(repo_root().join("docs/reference.md")).unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap().clone();
    assert!(rules.len() > 10);
    for rule in &rules {
        let alert = rule["alert"].as_str().unwrap();
        assert!(tests.contains(&format!("{alert} fires")) && tests.contains(&format!("{alert} is silent")));
        for word in rule["expr"].as_str().unwrap().split(|c: char| !(c.is_alphanumeric() || c == '_')) {
            let name = word.strip_suffix("_bucket").unwrap_or(word);
            if name.starts_with("emac_") || name.starts_with("process_") {
                assert!(
                    control_plane.contains(&format!("| `{name}`")),
                    "{alert}: {name} is no metric of docs/reference.md"
                );
            }
        }
    }
    // The tests can fail: an alert that never fires.
    let text = std::fs::read_to_string(deploy("prometheus/control-plane.rules.yml")).unwrap();
    std::fs::write(
        folder.path().join("control-plane.rules.yml"),
        text.replace("emac_ready == 0", "emac_ready == 2"),
    )
    .unwrap();
    assert!(!run("test", "control-plane.tests.yml").0);
}

#[test]
fn promtool_takes_the_scrape_configuration() {
    let test = "deploy: prometheus.yml";
    let Some(promtool) = promtool() else { return not_run(test, "no promtool (make tools, PROMTOOL_BIN)") };
    let check = |path: &Path| {
        let run = Command::new(&promtool).args(["check", "config"]).arg(path).output().unwrap();
        (run.status.success(), String::from_utf8_lossy(&run.stderr).into_owned())
    };
    let (accepted, message) = check(&deploy("prometheus/prometheus.yml"));
    assert!(accepted, "{message}");
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.yml");
    let text = std::fs::read_to_string(deploy("prometheus/prometheus.yml")).unwrap();
    std::fs::write(&bad, text.replace("scrape_interval", "scrape_intervall")).unwrap();
    assert!(!check(&bad).0, "this check can fail");
}
