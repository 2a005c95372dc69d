//! Labels that name failure domains, whoever writes them.

use emac_compile::model::Provenance;

/// A value of a label, seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Observation {
    /// Key, canonical.
    pub key: String,
    /// Value.
    pub value: String,
    /// Which replica says it; `None`: it is said of all of them.
    pub instance: Option<String>,
    /// How often, at least 1.
    pub count: u64,
    /// Who says it.
    pub provenance: Provenance,
}

/// What several values of one key mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelKind {
    /// Where a replica runs: replicas in several zones are no contradiction, they are a spread.
    Placement,
    /// What a component uses: it has one provider, and two names of it contradict each other.
    Single,
}

/// Keys of one meaning; the first is the canonical one.
const SAME: [&[&str]; 5] = [
    &[
        "topology.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/zone",
        "cloud.availability_zone",
        "cloud.zone",
    ],
    &["topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region", "cloud.region"],
    &["kubernetes.io/hostname", "k8s.node.name", "host.name"],
    &["k8s.cluster.name", "topology.istio.io/cluster"],
    &["topology.istio.io/subzone", "topology.kubernetes.io/subzone"],
];

/// Zone of a node.
pub(super) const ZONE: &str = "topology.kubernetes.io/zone";
/// Region of a node.
pub(super) const REGION: &str = "topology.kubernetes.io/region";
/// Name of a node.
pub(super) const HOST: &str = "kubernetes.io/hostname";

/// The one key that stands for all spellings of its meaning (OpenTelemetry's, Kubernetes' old and new); other keys are themselves.
pub fn canonical_key(key: &str) -> &str {
    let group = SAME.iter().find(|group| group.contains(&key));
    group.and_then(|group| group.first()).copied().unwrap_or(key)
}

/// Placement for the well-known keys and everything below `topology.kubernetes.io/`; anything else has a single value.
pub fn label_kind(key: &str) -> LabelKind {
    let key = canonical_key(key);
    let known = SAME.iter().any(|group| group.first() == Some(&key));
    if known || key.starts_with("topology.kubernetes.io/") { LabelKind::Placement } else { LabelKind::Single }
}
