//! A scenario as a Deployment under Flagger: its Canary and metric templates are applied as `emac compile` wrote them.

use std::path::PathBuf;

use emac_tests::kube::{Told, told};
use serde_json::{Value, json};

use crate::cluster::{Cluster, NAMESPACE};
use crate::pods::SERVICE;
use crate::rollouts::{containers, template};
use crate::scenarios::{End, Play, Scenario, Seen};

pub(crate) struct Canary {
    scenario: Scenario,
    name: String,
    is_there: bool,
    /// Folder of what was compiled.
    out: PathBuf,
}

impl Canary {
    pub(crate) fn new(scenario: Scenario) -> Self {
        Self { scenario, name: Self::service(&scenario), is_there: false, out: PathBuf::new() }
    }

    pub(crate) fn service(scenario: &Scenario) -> String {
        format!("flagger-{}", scenario.name)
    }

    fn read(&self, cluster: &Cluster) -> Told<Value> {
        let path = format!("/apis/flagger.app/v1beta1/namespaces/{NAMESPACE}/canaries/{}", self.name);
        serde_json::from_str(&cluster.api.get(&path)?).map_err(told)
    }

    fn deployment(&self, name: &str) -> String {
        format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}")
    }
}

impl Play for Canary {
    fn name(&self) -> String {
        format!("flagger {}", self.scenario.name)
    }

    fn expected(&self) -> End {
        match self.scenario.end {
            End::Promoted => End::Promoted,
            End::RolledBack | End::Paused => End::RolledBack,
        }
    }

    fn compile(&mut self, cluster: &Cluster) -> Told<PathBuf> {
        self.out = cluster.compile(&self.name, &self.scenario.intent(&self.name))?;
        Ok(self.out.clone())
    }

    fn prepare(&mut self, cluster: &Cluster) -> Told<bool> {
        if !self.is_there {
            let labels = json!({"app": self.name, SERVICE: self.name});
            let deployment = json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": self.name, "namespace": NAMESPACE, "labels": {"app": self.name}},
                "spec": {"replicas": 2, "selector": {"matchLabels": {"app": self.name}}, "template": template(&labels, 1)},
            });
            let files =
                ["flagger/metric-templates.yaml", "flagger/canary.yaml"].map(|file| self.out.join(file));
            cluster.apply(&deployment, &files)?;
            self.is_there = true;
        }
        Ok(self.read(cluster)?["status"]["phase"] == "Initialized")
    }

    fn release(&mut self, cluster: &Cluster) -> Told<()> {
        // Later than the start, for which Flagger wants its Prometheus to be there.
        if self.scenario.away {
            let path = format!("/apis/flagger.app/v1beta1/namespaces/{NAMESPACE}/metrictemplates");
            let away = json!({"spec": {"provider": {"address": "http://127.0.0.1:9"}}});
            for template in cluster.api.list(&path)? {
                let name = template["metadata"]["name"].as_str().unwrap_or_default();
                if template["metadata"]["labels"]["emac.dev/journey"] == self.name.as_str() {
                    cluster.api.merge(&format!("{path}/{name}"), &away)?;
                }
            }
        }
        let patch = json!({"spec": {"template": {"spec": {"containers": containers(2)}}}});
        cluster.api.merge(&self.deployment(&self.name), &patch).map(drop)
    }

    fn look(&mut self, cluster: &Cluster) -> Told<Seen> {
        let canary = self.read(cluster)?;
        let primary: Value =
            serde_json::from_str(&cluster.api.get(&self.deployment(&format!("{}-primary", self.name)))?)
                .map_err(told)?;
        let status = &canary["status"];
        let is_new =
            primary["spec"]["template"]["spec"]["containers"][0]["image"] == containers(2)[0]["image"];
        let phase = status["phase"].as_str().unwrap_or_default();
        let weight = status["canaryWeight"].as_u64().unwrap_or_default();
        let failed = status["failedChecks"].as_u64().unwrap_or_default();
        let why = format!("{phase}, weight {weight}, {failed} checks failed");
        Ok(match (phase, is_new) {
            ("Succeeded", true) => Seen::Ended(End::Promoted, why),
            ("Failed", false) => Seen::Ended(End::RolledBack, why),
            ("Succeeded" | "Failed", _) => {
                return Err(format!(
                    "{phase}, but the primary runs {}",
                    if is_new { "the new version" } else { "the old version" }
                ));
            }
            _ => Seen::Running(why),
        })
    }

    fn measured(&self, cluster: &Cluster) -> String {
        let log = std::fs::read_to_string(cluster.folder.join("flagger.log")).unwrap_or_default();
        let marked = format!("\"canary\":\"{}.{NAMESPACE}\"", self.name);
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(&marked)).collect();
        lines.iter().skip(lines.len().saturating_sub(12)).map(|line| format!("        {line}\n")).collect()
    }
}
