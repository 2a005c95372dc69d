//! The emitted admission policies, judged by a real API server. No rollout controller runs yet: what it would write is written here.

use std::time::Duration;

use emac_tests::kube::Told;
use serde_json::{Value, json};

use crate::cluster::{Cluster, NAMESPACE};
use crate::rollouts::base;

/// Its model is declared, so its confidence is 1.
const NAME: &str = "guarded";
const INTENT: &str = r#"apiVersion: emac.dev/v1alpha1
kind: JourneyIntent
metadata: {name: guarded}
spec:
  objectives: {availability: {window: 30d, target: 0.99}}
  operator: {ref: desk}
  components: {desk: {availability: 0.9999}}
  governance:
    actions:
      - {kind: Promote, guard: 'A_minus >= objective && conf(model) >= 0.8 && no_unresolved_domain_conflict && mode == "observe"'}
"#;
/// Longest a policy or a parameter may take until the API server judges by it.
const PATIENCE: Duration = Duration::from_secs(30);
const REFUSED: &str = "journey guarded: the guard does not hold: A_minus >= objective";

/// One rollout, and what is done to it.
struct Guarded<'a> {
    cluster: &'a mut Cluster,
    wrong: Vec<String>,
    judged: usize,
}

pub(crate) fn judges(cluster: &mut Cluster) -> Told {
    let out = cluster.compile(NAME, INTENT)?;
    cluster.kube.apply(&base("unguarded", 1).to_string().replace("\"emac.dev/journey\"", "\"other\""))?;
    cluster.apply(&base(NAME, 1), &[out.join("guards.yaml"), out.join("guards-memory.yaml")])?;
    let mut guarded = Guarded { cluster, wrong: Vec::new(), judged: 0 };
    guarded.play()?;
    match guarded.wrong.is_empty() {
        true => Ok(format!("{} changes judged as they must be", guarded.judged)),
        false => Err(guarded.wrong.join("\n        ")),
    }
}

fn image(version: u32) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": format!("registry.example/app:{version}")}]}}}})
}

impl Guarded<'_> {
    fn play(&mut self) -> Told<()> {
        // The guard holds, and the memory keeps what ran: until it does, the policies are not in force.
        self.cluster.until(PATIENCE, "the memory keeps what ran", |cluster| {
            let set = |version| patch(cluster, NAME, "", &image(version));
            let _ = set(2).and(set(1));
            let ran =
                cluster.kube.run(&["get", "rollout", NAME, "--namespace", NAMESPACE, "-o", "json"], None);
            ran.is_ok_and(|text| text.contains("\"emac.dev/ran\": \"app=registry.example/app:"))
        })?;
        self.allowed("the guard holds", "", &image(3));
        self.parameter("A_minus", "0.5")?;
        // Another image each time: the same again would be no change.
        let mut version = 90;
        self.cluster.until(PATIENCE, "the guard does not hold any more", |cluster| {
            version += 1;
            patch(cluster, NAME, "", &image(version)).is_err_and(|why| why.contains(REFUSED))
        })?;
        self.allowed("back to an image that ran, before anything else", "", &image(3));
        self.refused("another image", "", &image(4), REFUSED);
        let configured = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "registry.example/app:3", "env": [{"name": "A", "value": "b"}]}]}}}});
        self.refused("the same image with another configuration", "", &configured, REFUSED);
        self.refused(
            "labels of the pods",
            "",
            &json!({"spec": {"template": {"metadata": {"labels": {"x": "y"}}}}}),
            REFUSED,
        );
        let respelt = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "registry.example/app:3", "resources": {}}]}}}});
        for (what, change) in [
            ("the controller's spelling of the same pods", respelt),
            ("scaling", json!({"spec": {"replicas": 9}})),
            (
                "an annotation",
                json!({"metadata": {"annotations": {"rollout.argoproj.io/revision": "7", "a": "b"}}}),
            ),
            ("a pause", json!({"spec": {"paused": true}})),
            ("the end of a pause", json!({"spec": {"paused": false}})),
            ("a restart", json!({"spec": {"restartAt": "2026-01-01T00:00:00Z"}})),
        ] {
            self.allowed(what, "", &change);
        }
        for (what, change) in [
            (
                "the controller's status",
                json!({"status": {"stableRS": "a", "currentPodHash": "a", "phase": "Healthy"}}),
            ),
            ("an abort", json!({"status": {"abort": true}})),
            ("a retry", json!({"status": {"abort": false}})),
            ("a promotion", json!({"status": {"pauseConditions": null, "currentStepIndex": 3}})),
        ] {
            self.allowed(what, "status", &change);
        }
        self.allowed(
            "a hand at the memory",
            "",
            &json!({"metadata": {"annotations": {"emac.dev/ran": "app=registry.example/app:8"}}}),
        );
        self.refused("an image that only the hand's memory names", "", &image(8), REFUSED);
        self.allowed("back to an image that ran", "", &image(1));
        self.allowed("and back to the other", "", &image(3));
        // What has been rolled out but halfway did not run.
        self.allowed(
            "a rollout begins",
            "status",
            &json!({"status": {"stableRS": "a", "currentPodHash": "b"}}),
        );
        self.allowed("back, halfway", "", &image(1));
        self.cluster.kube.run(&["delete", "configmap", "emac-guarded", "--namespace", NAMESPACE], None)?;
        self.cluster.until(PATIENCE, "without parameters", |cluster| {
            patch(cluster, NAME, "", &image(4)).is_err_and(|why| !why.contains(REFUSED))
        })?;
        // Closed, whatever the change: parameters are looked for before conditions. What is no change of the object itself passes.
        self.refused("another image without parameters", "", &image(4), "no params found");
        self.refused("scaling without parameters", "", &json!({"spec": {"replicas": 2}}), "no params found");
        self.allowed("an abort without parameters", "status", &json!({"status": {"abort": true}}));
        self.allowed("an autoscaler without parameters", "scale", &json!({"spec": {"replicas": 2}}));
        let told = patch(self.cluster, "unguarded", "", &image(5));
        self.judge("a rollout of another journey", told, None);
        let told = self
            .cluster
            .kube
            .run(&["delete", "rollout", NAME, "--namespace", NAMESPACE, "--wait=false"], None);
        self.judge("deletion", told, None);
        Ok(())
    }

    fn parameter(&self, key: &str, value: &str) -> Told<()> {
        let change = json!({"data": {key: value}}).to_string();
        let arguments =
            ["patch", "configmap", "emac-guarded", "--namespace", NAMESPACE, "--type=merge", "-p", &change];
        self.cluster.kube.run(&arguments, None).map(drop)
    }

    fn allowed(&mut self, what: &str, part: &str, change: &Value) {
        let told = patch(self.cluster, NAME, part, change);
        self.judge(what, told, None);
    }

    fn refused(&mut self, what: &str, part: &str, change: &Value, why: &str) {
        let told = patch(self.cluster, NAME, part, change);
        self.judge(what, told, Some(why));
    }

    fn judge(&mut self, what: &str, told: Told, refused: Option<&str>) {
        self.judged += 1;
        match (told, refused) {
            (Ok(_), None) => {}
            (Err(why), Some(expected)) if why.contains(expected) => {}
            (told, None) => self.wrong.push(format!("{what}: must be allowed: {told:?}")),
            (told, Some(_)) => self.wrong.push(format!("{what}: must be refused: {told:?}")),
        }
    }
}

fn patch(cluster: &Cluster, name: &str, part: &str, change: &Value) -> Told {
    let part = if part.is_empty() { String::new() } else { format!("/{part}") };
    cluster
        .api
        .merge(&format!("/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/rollouts/{name}{part}"), change)
}
