//! What the listeners of a VM have in common: who this is, whom it reports to, how often.

use std::rc::Rc;

use emac_core::id::WorkloadName;
use emac_core::units::{Micros, Millis};

use crate::config::Config;
use crate::host::{Host, taken};
use crate::root::target::GrpcTarget;

/// Settings of one VM.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) workload: Option<WorkloadName>,
    /// `workload` as the source of hops; empty when unknown.
    pub(crate) source: Rc<str>,
    pub(crate) node: String,
    pub(crate) control_plane: Option<GrpcTarget>,
    pub(crate) tick: Millis,
    pub(crate) report: Micros,
    pub(crate) hops_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workload: None,
            source: Rc::from(""),
            node: String::new(),
            control_plane: None,
            tick: Millis(200),
            report: Micros(500_000),
            hops_max: 256,
        }
    }
}

impl Settings {
    pub(crate) fn new(host: &dyn Host, config: &Config) -> Self {
        let workload = config.workload.clone().or_else(|| workload_of_node(host));
        let own = || text(host, &["xds", "node", "id"]);
        let node = Some(config.node.clone()).filter(|node| !node.is_empty()).or_else(own).unwrap_or_default();
        let source = workload.as_ref().map_or("", WorkloadName::as_str);
        Self {
            source: Rc::from(source),
            node: node.chars().take(63).collect(),
            workload,
            control_plane: config.control_plane.clone(),
            tick: config.tick,
            report: config.report,
            hops_max: config.hops_max,
        }
    }
}

/// Istio writes both into the node's metadata.
fn workload_of_node(host: &dyn Host) -> Option<WorkloadName> {
    let namespace = text(host, &["xds", "node", "metadata", "NAMESPACE"])?;
    let workload = text(host, &["xds", "node", "metadata", "WORKLOAD_NAME"])?;
    WorkloadName::new(&format!("{namespace}/{workload}")).ok()
}

fn text(host: &dyn Host, path: &[&str]) -> Option<String> {
    let text =
        taken(|read| host.property(path, read), |bytes| core::str::from_utf8(bytes).map(str::to_owned));
    text?.ok().filter(|text| !text.is_empty())
}
