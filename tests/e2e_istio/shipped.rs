//! What users are told to apply, read from `deploy/istio` when it is needed: nothing of it is copied here, so it cannot differ.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::Told;
use emac_tests::kube::{Kube, told};

/// Where the manifests are; `EMAC_ISTIO_MANIFESTS` overrides, for who tries a change.
fn folder() -> PathBuf {
    std::env::var_os("EMAC_ISTIO_MANIFESTS")
        .map_or_else(|| emac_tests::repo_root().join("deploy/istio"), PathBuf::from)
}

/// The control plane's Service.
pub(crate) fn service() -> Told {
    fs::read_to_string(folder().join("service.yaml")).map_err(told)
}

/// The control plane's own sidecar. Where no iptables lead traffic to it, its listeners need an address of their own; and this sidecar, which
/// only answers in the scenario, is given one that it calls.
pub(crate) fn control_plane(kube: &Kube, address: &str) -> Told {
    let text = fs::read_to_string(folder().join("control-plane.yaml")).map_err(told)?;
    let mut objects = kube.read(&text)?;
    for object in objects.iter_mut().filter(|object| object["kind"] == "Sidecar") {
        let spec = &mut object["spec"];
        for listener in spec["ingress"].as_array_mut().into_iter().flatten() {
            listener["bind"] = json!(address);
            listener["captureMode"] = json!("NONE");
        }
        spec["egress"] = json!([{
            "port": {"number": 8081, "protocol": "HTTP", "name": "http-front"},
            "bind": address, "captureMode": "NONE", "hosts": ["shop/front.shop.svc.cluster.local"],
        }]);
    }
    let texts: Vec<String> = objects.iter().map(Value::to_string).collect();
    Ok(texts.join("\n---\n"))
}

/// Every other manifest, as one text.
pub(crate) fn plugins() -> Told {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder()).map_err(told)?.flatten().map(|entry| entry.path()).collect();
    let apart = |file: &PathBuf| file.ends_with("service.yaml") || file.ends_with("control-plane.yaml");
    files.retain(|file| file.extension().is_some_and(|e| e == "yaml") && !apart(file));
    files.sort();
    let texts: Result<Vec<String>, _> = files.iter().map(fs::read_to_string).collect();
    Ok(texts.map_err(told)?.join("\n---\n"))
}

/// The plugins with something changed: `change` is called with each object's `spec`.
pub(crate) fn plugins_with(kube: &Kube, change: impl Fn(&mut Value)) -> Told {
    let mut objects = kube.read(&plugins()?)?;
    for object in &mut objects {
        change(&mut object["spec"]);
    }
    let texts: Vec<String> = objects.iter().map(Value::to_string).collect();
    Ok(texts.join("\n---\n"))
}

/// Tags that the README tells users to set, so that labels of the filter's metrics are seen.
pub(crate) fn stat_tags() -> Told<Vec<String>> {
    let readme = fs::read_to_string(folder().join("README.md")).map_err(told)?;
    let line = readme.lines().find_map(|line| line.trim().strip_prefix("extraStatTags: ["));
    let tags =
        line.and_then(|line| line.split_once(']')).ok_or("deploy/istio/README.md names no extraStatTags")?.0;
    Ok(tags.split(',').map(|tag| tag.trim().to_owned()).collect())
}
