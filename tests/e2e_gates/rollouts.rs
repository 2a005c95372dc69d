//! A scenario as a Rollout: what `emac compile` wrote is applied as it is, and its snippet merged into the Rollout's strategy.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use emac_tests::kube::{Told, told};
use serde_json::{Value, json};

use crate::cluster::{Cluster, NAMESPACE};
use crate::pods::SERVICE;
use crate::scenarios::{End, Play, Scenario, Seen};

/// What is left of a pause step.
const PAUSE: Duration = Duration::from_secs(30);

pub(crate) struct Rollout {
    scenario: Scenario,
    name: String,
    /// Hash of the first version's template.
    first: String,
    is_there: bool,
    /// Since when a pause step has been waiting.
    paused: Option<Instant>,
    /// Folder of what was compiled.
    out: PathBuf,
}

impl Rollout {
    pub(crate) fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            name: Self::service(&scenario),
            first: String::new(),
            is_there: false,
            paused: None,
            out: PathBuf::new(),
        }
    }

    pub(crate) fn service(scenario: &Scenario) -> String {
        format!("argo-{}", scenario.name)
    }

    fn path(&self) -> String {
        format!("/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/rollouts/{}", self.name)
    }

    fn read(&self, cluster: &Cluster) -> Told<Value> {
        serde_json::from_str(&cluster.api.get(&self.path())?).map_err(told)
    }
}

/// A Rollout without a strategy, in a version.
pub(crate) fn base(name: &str, version: u32) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"emac.dev/journey": name}},
        "spec": {
            "replicas": 4,
            "selector": {"matchLabels": {SERVICE: name}},
            "template": template(&json!({SERVICE: name}), version),
        },
    })
}

pub(crate) fn template(labels: &Value, version: u32) -> Value {
    json!({
        "metadata": {"labels": labels},
        "spec": {"containers": containers(version)},
    })
}

pub(crate) fn containers(version: u32) -> Value {
    json!([{"name": "app", "image": format!("registry.example/app:{version}")}])
}

/// A Rollout with the snippet merged into it.
pub(crate) fn merged(cluster: &Cluster, name: &str, rollout: &Value, snippet: &std::path::Path) -> Told {
    let file = cluster.folder.join(format!("{name}.json"));
    fs::write(&file, rollout.to_string()).map_err(told)?;
    let (file, snippet) = (file.display().to_string(), snippet.display().to_string());
    cluster
        .kube
        .run(&["patch", "--local", "-f", &file, "--type=merge", "--patch-file", &snippet, "-o", "json"], None)
}

impl Play for Rollout {
    fn name(&self) -> String {
        format!("argo {}", self.scenario.name)
    }

    fn expected(&self) -> End {
        self.scenario.end
    }

    fn compile(&mut self, cluster: &Cluster) -> Told<PathBuf> {
        self.out = cluster.compile(&self.name, &self.scenario.intent(&self.name))?;
        Ok(self.out.clone())
    }

    fn prepare(&mut self, cluster: &Cluster) -> Told<bool> {
        if !self.is_there {
            let mut rollout: Value = serde_json::from_str(&merged(
                cluster,
                &self.name,
                &base(&self.name, 1),
                &self.out.join("argo/rollout-snippet.yaml"),
            )?)
            .map_err(told)?;
            if self.scenario.away {
                let steps =
                    rollout["spec"]["strategy"]["canary"]["steps"].as_array_mut().ok_or("no steps")?;
                for step in steps.iter_mut().filter(|step| step["analysis"].is_object()) {
                    step["analysis"]["args"] =
                        json!([{"name": "prometheus-address", "value": "http://127.0.0.1:9"}]);
                }
            }
            let mut files = vec![self.out.join("argo/analysis-template.yaml")];
            if self.scenario.guarded {
                files.extend([self.out.join("guards.yaml"), self.out.join("guards-memory.yaml")]);
            }
            cluster.apply(&rollout, &files)?;
            self.is_there = true;
        }
        let rollout = self.read(cluster)?;
        self.first = rollout["status"]["stableRS"].as_str().unwrap_or_default().to_owned();
        Ok(rollout["status"]["phase"] == "Healthy" && !self.first.is_empty())
    }

    fn release(&mut self, cluster: &Cluster) -> Told<()> {
        let patch = json!({"spec": {"template": {"spec": {"containers": containers(2)}}}});
        cluster.api.merge(&self.path(), &patch).map(drop)
    }

    fn look(&mut self, cluster: &Cluster) -> Told<Seen> {
        let rollout = self.read(cluster)?;
        let status = &rollout["status"];
        let step = status["currentStepIndex"].as_u64().unwrap_or_default();
        let why = status["message"].as_str().unwrap_or_default().to_owned();
        let reasons: Vec<&str> = status["pauseConditions"]
            .as_array()
            .map_or(Vec::new(), |all| all.iter().filter_map(|one| one["reason"].as_str()).collect());
        let is_first = status["stableRS"] == self.first.as_str();
        if !is_first {
            let ran = rollout["metadata"]["annotations"]["emac.dev/ran"].as_str().unwrap_or_default();
            if self.scenario.guarded && ran != "app=registry.example/app:1" {
                return Ok(Seen::Running(format!("promoted, but remembers to have run `{ran}`")));
            }
            let done = status["phase"] == "Healthy" && status["stableRS"] == status["currentPodHash"];
            return Ok(if done {
                Seen::Ended(End::Promoted, why)
            } else {
                Seen::Running("is being promoted".to_owned())
            });
        }
        if status["abort"] == true {
            return Ok(Seen::Ended(End::RolledBack, why));
        }
        if reasons.contains(&"InconclusiveAnalysisRun") {
            return Ok(Seen::Ended(End::Paused, why));
        }
        // Nobody waits five minutes here: a person promotes past the pause, when the new version has been measured for a while.
        let paused = reasons.contains(&"CanaryPauseStep").then(|| self.paused.unwrap_or_else(Instant::now));
        self.paused = paused;
        if paused.is_some_and(|since| since.elapsed() > PAUSE) {
            // As `kubectl argo rollouts promote` writes it.
            let next =
                json!({"pauseConditions": null, "controllerPause": false, "currentStepIndex": step + 1});
            cluster.api.merge(&format!("{}/status", self.path()), &json!({"status": next}))?;
        }
        Ok(Seen::Running(format!("step {step}")))
    }

    fn measured(&self, cluster: &Cluster) -> String {
        let path = format!("/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/analysisruns");
        let runs = cluster.api.list(&path).unwrap_or_default();
        let own = runs.iter().filter(|run| {
            run["metadata"]["name"].as_str().is_some_and(|name| name.starts_with(&format!("{}-", self.name)))
        });
        let mut text = String::new();
        for run in own {
            for metric in run["status"]["metricResults"].as_array().into_iter().flatten() {
                let all: Vec<String> = metric["measurements"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|one| {
                        format!(
                            "{} {}{}",
                            one["phase"].as_str().unwrap_or_default(),
                            one["value"].as_str().unwrap_or_default(),
                            one["message"].as_str().unwrap_or_default()
                        )
                    })
                    .collect();
                text += &format!("        {} {}: {}\n", metric["name"], metric["phase"], all.join("; "));
            }
        }
        text
    }
}
