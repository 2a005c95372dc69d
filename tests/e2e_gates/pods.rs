//! What a cluster's own controllers would do: pods of ReplicaSets and Deployments become ready at once. There are no pods; whoever looks sees their
//! numbers, and the labels of their template.

use std::collections::BTreeMap;

use emac_tests::kube::Told;
use serde_json::{Value, json};

use crate::api::Api;
use crate::cluster::NAMESPACE;

/// Label with the name of the scenario, on every template.
pub(crate) const SERVICE: &str = "service";

/// Pods of one template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Group {
    pub(crate) name: String,
    /// Of the template.
    pub(crate) labels: BTreeMap<String, String>,
    /// Tag of the image.
    pub(crate) version: String,
    pub(crate) replicas: u64,
}

impl Group {
    pub(crate) fn service(&self) -> &str {
        self.labels.get(SERVICE).map_or("", String::as_str)
    }
}

/// Makes ready what is not, and returns all groups that have pods.
pub(crate) fn play(api: &Api) -> Told<Vec<Group>> {
    let mut groups = Vec::new();
    for kind in ["replicasets", "deployments"] {
        let folder = format!("/apis/apps/v1/namespaces/{NAMESPACE}/{kind}");
        for object in api.list(&folder)? {
            let group = read(&object);
            let status = status(&object, kind, group.replicas);
            if status
                .as_object()
                .is_some_and(|wanted| wanted.iter().any(|(key, v)| object["status"][key] != *v))
            {
                let path = format!("{folder}/{}/status", group.name);
                // Changed at the same time by its controller: the next round has it.
                let _ = api.merge(&path, &json!({"status": status}));
            }
            groups.push(group);
        }
    }
    groups.retain(|group| group.replicas > 0);
    Ok(groups)
}

fn read(object: &Value) -> Group {
    let template = &object["spec"]["template"];
    let image = template["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
    let labels = template["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Group {
        name: text(&object["metadata"]["name"]),
        labels: labels.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        version: image.rsplit(':').next().unwrap_or_default().to_owned(),
        replicas: object["spec"]["replicas"].as_u64().unwrap_or(1),
    }
}

fn status(object: &Value, kind: &str, replicas: u64) -> Value {
    let mut status = json!({"observedGeneration": object["metadata"]["generation"], "replicas": replicas});
    let counts: &[&str] = match kind {
        "deployments" => &["updatedReplicas", "readyReplicas", "availableReplicas"],
        _ => &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"],
    };
    for count in counts.iter().chain(&["replicas"]) {
        // The API leaves zeros out.
        status[count] = if replicas == 0 { Value::Null } else { json!(replicas) };
    }
    if kind == "deployments" {
        let condition = |kind: &str, reason: &str| json!({"type": kind, "status": "True", "reason": reason, "message": "", "lastUpdateTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        status["conditions"] = json!([
            condition("Available", "MinimumReplicasAvailable"),
            condition("Progressing", "NewReplicaSetAvailable"),
        ]);
    } else {
        // Never without: a ReplicaSet's own count is required.
        status["replicas"] = json!(replicas);
    }
    status
}
