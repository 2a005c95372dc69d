//! A pod: an application between an inbound and an outbound side, and an edge for what begins there.

use std::path::Path;

use serde_json::{Value, json};

use super::app::{App, Seen};
use emac_tests::envoy::emac_filter;

use super::proxy::{Listener, Proxy, Told, cluster, route};
use super::{plugin, with};
use crate::common::PATIENCE;
use emac_tests::testbed::wait_until;

pub(super) struct Pod {
    /// The application, and whomever it calls.
    pub(super) app: App,
    pub(super) callee: App,
    pub(super) proxy: Proxy,
}

/// What a pod has besides its two sides.
#[derive(Default)]
pub(super) struct More {
    pub(super) workers: u32,
    pub(super) drain_s: u32,
    /// Without the filter at first.
    pub(super) bare: bool,
    /// Fields of the plugin configuration.
    pub(super) plugin: Value,
    pub(super) hops: Vec<Value>,
    /// Filters of the edge; none: one edge.
    pub(super) edge: Vec<Value>,
    /// Laid over the route of the edge, and over the cluster of the callee.
    pub(super) route: Value,
    pub(super) cluster: Value,
    /// Port of a cluster `shadow`.
    pub(super) shadow: Option<u16>,
}

/// Filters of both sides.
pub(super) fn sides(wasm: &Path, more: &More) -> Value {
    emac_filter(wasm, &with(&plugin("auto", &more.hops), &more.plugin))
}

impl Pod {
    pub(super) async fn start(envoy: &Path, wasm: &Path, more: More) -> Self {
        let (app, callee) = (App::start().unwrap(), App::start().unwrap());
        let ours = if more.bare { Vec::new() } else { vec![sides(wasm, &more)] };
        let edge = if more.edge.is_empty() {
            vec![emac_filter(wasm, &plugin("edge", &more.hops))]
        } else {
            more.edge.clone()
        };
        let mut edge_route = route("callee");
        merge(&mut edge_route, &more.route);
        let mut to_callee = cluster("callee", callee.port);
        merge(&mut to_callee, &more.cluster);
        let shadow = more.shadow.map(|port| cluster("shadow", port));
        let side = |name, inbound, filters, route| Listener { name, inbound, filters, routes: vec![route] };
        let told = Told {
            workers: more.workers,
            listeners: vec![
                side("inbound", true, ours.clone(), route("app")),
                side("outbound", false, ours, route("callee")),
                side("edge", false, edge, edge_route),
            ],
            clusters: [cluster("app", app.port), to_callee].into_iter().chain(shadow).collect(),
            drain_s: more.drain_s,
            ..Told::default()
        };
        let proxy = Proxy::start(envoy, told).await.unwrap();
        Self { app, callee, proxy }
    }

    /// The request of a path as the application got it, once it is there.
    pub(super) async fn arrived(&self, path: &str) -> Seen {
        assert!(wait_until(PATIENCE, || async { self.app.count(path) > 0 }).await, "{path} never came");
        self.app.seen().into_iter().rfind(|seen| seen.path.starts_with(path)).unwrap()
    }

    /// Neither the application nor whom it calls was ever told that nothing is left.
    pub(super) fn is_sound(&self) {
        assert_eq!(self.app.dead_contexts(), Vec::<String>::new());
        assert_eq!(self.callee.dead_contexts(), Vec::<String>::new());
    }
}

fn merge(into: &mut Value, fields: &Value) {
    for (name, value) in fields.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) if into[name].is_object() => merge(&mut into[name], value),
            _ => into[name] = value.clone(),
        }
    }
}

/// Baggage with so many milliseconds left.
pub(super) fn remaining(ms: u64) -> String {
    format!("emac=v2.checkout.r{ms}.0000")
}

/// One hop, the callee.
pub(super) fn hop(fields: Value) -> Vec<Value> {
    vec![with(&json!({"destination": "callee", "timeout_ms": 10_000}), &fields)]
}
