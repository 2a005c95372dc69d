//! Requests that no user waits for: they enter a journey only where a rule asks for them in so many words.

use super::Request;
use crate::budget::EntryRule;

/// Who asks, if not a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machinery {
    /// A browser that asks whether it may ask (OPTIONS with `origin` and `access-control-request-method`). Asked for by a rule whose
    /// method is OPTIONS.
    Preflight,
    /// A probe, a health check or a scrape, known by its user agent. Asked for by a rule that names `user-agent` among its headers.
    Probe,
    /// The standard health service of gRPC. Asked for by a rule that names it, as gRPC service or by its path.
    Health,
}

/// How the user agents of probes begin: kubelet, the load balancers of Google Cloud and AWS, Envoy's health checks, and Prometheus.
const PROBES: [&[u8]; 5] = [b"kube-probe/", b"GoogleHC/", b"ELB-HealthChecker/", b"Envoy/HC", b"Prometheus/"];
const HEALTH: &str = "grpc.health.v1.Health";
const USER_AGENT: &str = "user-agent";

impl Machinery {
    pub(super) const KINDS: usize = 3;

    /// `None`: a user, as far as can be seen.
    pub(super) fn of(request: &impl Request) -> Option<Self> {
        let asks = |name| request.header(name).is_some();
        if request.method() == b"OPTIONS" && asks("origin") && asks("access-control-request-method") {
            return Some(Self::Preflight);
        }
        if is_health(request.path().strip_prefix(b"/").unwrap_or_default()) && request.is_grpc() {
            return Some(Self::Health);
        }
        let agent = request.header(USER_AGENT)?;
        PROBES.iter().any(|probe| agent.starts_with(probe)).then_some(Self::Probe)
    }
}

/// Whether a rule asks for each kind, in their order.
pub(super) fn asked_for(rule: &EntryRule) -> [bool; Machinery::KINDS] {
    let path = rule.path_template.strip_prefix('/').unwrap_or_default();
    [
        rule.method == "OPTIONS",
        rule.headers.iter().any(|(name, _)| name == USER_AGENT),
        is_health(rule.grpc.as_bytes()) || is_health(path.as_bytes()),
    ]
}

/// The service, or a method of it.
fn is_health(path: &[u8]) -> bool {
    path.strip_prefix(HEALTH.as_bytes()).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}
