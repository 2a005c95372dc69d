//! Every Kubernetes object that `emac compile` writes, and those below `deploy`, is one that the API server takes: each is applied as a server-side
//! dry run in which an unknown field is an error.

use std::fs;
use std::path::{Path, PathBuf};

use emac_tests::kube::{Told, told};
use emac_tests::repo_root;

use crate::cluster::{Cluster, NAMESPACE};
use crate::rollouts::{base, merged};

/// Names that no object may have, guards of every kind of input, a label of one's own, and both latency limits.
const ODD: &str = r#"apiVersion: emac.dev/v1alpha1
kind: JourneyIntent
metadata: {name: a-journey-with-a-name-that-is-as-long-as-labels-may-be-at-most}
spec:
  objectives:
    availability: {window: 30d, target: 0.99}
    latency: {window: 30d, objective: {metric: p95, threshold: 400ms}}
  operator: {type: series, steps: [{ref: cart_v2}, {ref: Desk.API}]}
  components:
    cart_v2: {availability: 0.9999}
    Desk.API: {availability: 0.9999}
  governance:
    progressiveDelivery:
      provider: argo-rollouts
      canary: {label: track, value: next, stable: current}
      gate: {maxP99LatencySeconds: 0.8, maxCanaryBurnRate: 2, minRequests: 20}
    actions:
      - {kind: "Promote it!", guard: 'A_minus >= 0.9 && burn("1h") < 2.0 && conf(model) > 0.5 && mode != "A_minus"'}
      - {kind: Freeze, guard: 'fresh && verdict == "PASS"'}
"#;

pub(crate) fn are_taken(cluster: &mut Cluster) -> Told {
    let mut folders = vec![cluster.compile("odd", ODD)?];
    for example in ["checkout", "discovery", "shop/journeys/checkout"] {
        let file = repo_root().join(format!("control-plane/examples/{example}/intent.yaml"));
        let out = cluster.folder.join("journeys").join(example.replace('/', "-"));
        folders.push(cluster.compile_file(&file, &out)?);
    }
    let mut files = vec![repo_root().join("deploy/prometheus/operator.yaml")];
    for folder in &folders {
        yaml_files(folder, &mut files)?;
    }
    // Where those of deploy are.
    cluster.kube.run(&["create", "namespace", "emac-system"], None)?;
    let (mut taken, mut refused) = (0, Vec::new());
    for file in &files {
        if !is_object(file)? {
            continue;
        }
        match dry_run(cluster, &file.display().to_string(), None) {
            Ok(objects) => taken += objects.lines().count(),
            Err(why) => refused.push(why),
        }
    }
    for (number, folder) in folders.iter().enumerate() {
        let snippet = folder.join("argo/rollout-snippet.yaml");
        let name = format!("snippet-{number}");
        let rollout = merged(cluster, &name, &base(&name, 1), &snippet)?;
        match dry_run(cluster, "-", Some(&rollout)) {
            Ok(objects) => taken += objects.lines().count(),
            Err(why) => refused.push(format!("{}: {why}", snippet.display())),
        }
    }
    if refused.is_empty() && taken >= 40 {
        return Ok(format!("{taken} objects taken"));
    }
    Err(format!("{taken} taken, {} refused:\n{}", refused.len(), refused.join("\n")))
}

fn dry_run(cluster: &Cluster, file: &str, input: Option<&str>) -> Told {
    // Objects of deploy have a namespace of their own.
    let all =
        ["apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "-f", file];
    let own = input.is_some() || !file.contains("/deploy/");
    let namespace = ["--namespace", NAMESPACE];
    let arguments: Vec<&str> = all.into_iter().chain(namespace.into_iter().filter(|_| own)).collect();
    cluster.kube.run(&arguments, input)
}

/// What says that it is a Kubernetes object: neither our own report nor OpenSLO.
fn is_object(file: &Path) -> Told<bool> {
    let text = fs::read_to_string(file).map_err(told)?;
    let mut versions = text.lines().filter_map(|line| line.strip_prefix("apiVersion: "));
    Ok(versions
        .next()
        .is_some_and(|version| !version.starts_with("openslo/") && !version.starts_with("emac.dev/")))
}

fn yaml_files(folder: &Path, into: &mut Vec<PathBuf>) -> Told<()> {
    for entry in fs::read_dir(folder).map_err(told)? {
        let path = entry.map_err(told)?.path();
        if path.is_dir() {
            yaml_files(&path, into)?;
        } else if path.extension().is_some_and(|ext| ext == "yaml") {
            into.push(path);
        }
    }
    Ok(())
}
