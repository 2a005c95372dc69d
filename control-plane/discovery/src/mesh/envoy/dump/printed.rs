//! Arrays of resources, as `istioctl proxy-config ... -o json|yaml` prints them.

use serde_json::Value;

use super::{Config, Held};

/// What an item of an array is that `istioctl proxy-config` prints, by a field that no other resource has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mesh::envoy) enum Printed {
    Cluster,
    Routes,
    Listener,
    /// Anything else: endpoints with their health, secrets, extension configuration.
    Other,
}

impl Printed {
    /// By fields in `snake_case`.
    pub(in crate::mesh::envoy) fn of(item: &Value) -> Self {
        let has = |keys: &[&str]| keys.iter().any(|key| item.get(key).is_some());
        if has(&["virtual_hosts"]) {
            Self::Routes
        } else if has(&["filter_chains", "listener_filters", "default_filter_chain"]) {
            Self::Listener
        } else if item.get("name").is_some()
            && has(&["type", "lb_policy", "connect_timeout", "eds_cluster_config"])
        {
            Self::Cluster
        } else {
            Self::Other
        }
    }
}

impl Config {
    /// Items of one array as a section; those of other kinds are left out.
    pub(in crate::mesh::envoy) fn of_printed(items: &[Value]) -> Result<Self, serde_json::Error> {
        Ok(Self {
            dynamic_active_clusters: held(items, Printed::Cluster)?,
            dynamic_route_configs: held(items, Printed::Routes)?,
            dynamic_listeners: held(items, Printed::Listener)?,
            ..Self::default()
        })
    }
}

fn held<T: serde::de::DeserializeOwned>(
    items: &[Value],
    kind: Printed,
) -> Result<Vec<Held<T>>, serde_json::Error> {
    let of_kind = items.iter().filter(|item| Printed::of(item) == kind);
    let each = of_kind
        .map(|item| Ok(Held { held: Some(serde_json::from_value(item.clone())?), active_state: None }));
    each.collect()
}

/// A resource with the field names of its .proto file, whose JSON form has them in `camelCase` (istioctl prints that, Envoy's own dump does not).
pub(in crate::mesh::envoy) fn in_snake_case(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(in_snake_case).collect(),
        Value::Object(fields) => Value::Object(
            fields.into_iter().map(|(key, value)| (snake(&key), in_snake_case(value))).collect(),
        ),
        value => value,
    }
}

fn snake(key: &str) -> String {
    // A digit begins a word here, and nowhere else.
    if key == "consecutive5xx" {
        return "consecutive_5xx".to_owned();
    }
    let mut snake = String::with_capacity(key.len() + 4);
    for character in key.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}
