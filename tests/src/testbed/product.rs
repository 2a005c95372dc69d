//! The product in the testbed: our module in every listener, `emac serve` beside them.
//!
//! The module is `dist/emac-filter.wasm` when that is newer than its sources, else built; the control plane is the binary `emac` of the same profile as the running test.
//! A scenario changes what it is about: [`filter_with`] the plugin configuration, [`Serve`] the control plane's files.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::control::{ControlPorts, ControlSetup};
use super::sidecar::{FilterSetup, Place};
use crate::envoy::{Direction, NotRun};

/// The checkout journey of the examples, in mode observe.
pub const CHECKOUT_INTENT: &str = include_str!("../../../control-plane/examples/checkout/intent.yaml");

/// Where the intent stands in the control plane's directory.
pub const INTENT_FILE: &str = "journeys/checkout/intent.yaml";

/// The module as the sources have it now, or why there is none.
///
/// # Errors
/// [`NotRun`] when it can be neither found nor built.
pub fn wasm() -> Result<PathBuf, NotRun> {
    crate::wasm_host::filter_wasm().map_err(|why| NotRun(why.to_string()))
}

/// The control plane's binary, or why there is none.
///
/// # Errors
/// [`NotRun`] when it has not been built in this profile.
pub fn emac() -> Result<PathBuf, NotRun> {
    let exe = std::env::current_exe().map_err(|e| NotRun(e.to_string()))?;
    // target/<profile>/demo, or target/<profile>/deps/<test>.
    let mut candidates = exe.ancestors().skip(1).take(2).map(|dir| dir.join("emac"));
    let binary = candidates.find(|p| p.is_file());
    let why = || {
        format!(
            "no `emac` beside {}: run `cargo build -p emac-control-plane` in the same profile",
            exe.display()
        )
    };
    binary.ok_or_else(|| NotRun(why()))
}

/// Our filter everywhere, as shipped.
///
/// # Errors
/// As [`wasm`].
pub fn filter() -> Result<FilterSetup, NotRun> {
    filter_with(|_, _| {})
}

/// Our filter everywhere, with `change` laid over each listener's plugin configuration.
///
/// # Errors
/// As [`wasm`].
pub fn filter_with(
    change: impl Fn(&Place<'_>, &mut Value) + Send + Sync + 'static,
) -> Result<FilterSetup, NotRun> {
    let configure = move |place: Place<'_>| {
        let mut configuration = configuration(&place);
        change(&place, &mut configuration);
        configuration
    };
    Ok(FilterSetup { module: crate::shell::module()?, configure: Arc::new(configure) })
}

fn configuration(place: &Place<'_>) -> Value {
    let role = match (place.edge, place.direction) {
        (true, _) => "edge",
        (false, Direction::Inbound) => "inbound",
        (false, Direction::Outbound) => "outbound",
    };
    let mut configuration = json!({
        "role": role,
        "workload": format!("{}/{}", place.namespace, place.workload),
        "node": format!("{}-1", place.workload),
    });
    if place.has_control_plane {
        configuration["control_plane"] = json!({"cluster": place.control_plane});
    }
    configuration
}

/// `emac serve` and the files it reads.
#[derive(Debug, Clone)]
pub struct Serve {
    /// Text of the intent.
    pub intent: String,
    /// Keeps its state over restarts.
    pub durable: bool,
    /// More lines of `emac.yaml`.
    pub more: String,
}

impl Default for Serve {
    /// The checkout of the examples, durable.
    fn default() -> Self {
        Self { intent: CHECKOUT_INTENT.to_owned(), durable: true, more: String::new() }
    }
}

impl Serve {
    /// What a world needs to start it.
    ///
    /// # Errors
    /// As [`emac`].
    pub fn setup(self) -> Result<ControlSetup, NotRun> {
        let config = |ports: &ControlPorts| ports.dir.join("emac.yaml").display().to_string();
        Ok(ControlSetup {
            program: emac()?,
            args: Arc::new(move |ports| vec!["serve".to_owned(), "--config".to_owned(), config(ports)]),
            files: Arc::new(move |ports| self.files(ports)),
        })
    }

    fn files(&self, ports: &ControlPorts) -> Vec<(String, String)> {
        let state = if self.durable { "state: state\n" } else { "" };
        let config = format!(
            "apiVersion: emac.dev/v1alpha1\nkind: ControlPlaneConfig\nidentity: none\nlisten: {{grpc: \"{}\", http: \"{}\"}}\n{state}\
             intents: [journeys]\n{}",
            ports.grpc, ports.http, self.more
        );
        vec![("emac.yaml".to_owned(), config), (INTENT_FILE.to_owned(), self.intent.clone())]
    }
}
