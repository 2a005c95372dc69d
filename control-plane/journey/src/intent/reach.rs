//! How a leaf is reached, as the `hop` or `response` of a component says it, and the latency expected of it.

use emac_core::budget::StaticResponse;
use emac_core::id::WorkloadName;
use emac_core::units::Millis;

/// How a leaf is reached.
#[derive(Clone, Debug, PartialEq)]
pub enum Reach {
    /// `hop`: a call through the mesh.
    Hop(HopRef),
    /// `response`: an answer kept in the sidecar of whoever called the primary; only as an alternate.
    Static(StaticResponse),
    /// Neither: time spent where no sidecar sees it. It has a curve, no budget.
    Unseen,
}

/// `hop`: whose call it is and to whom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HopRef {
    /// `source`: who calls (`<namespace>/<workload>`). `None`: the edge.
    pub source: Option<WorkloadName>,
    /// `destination`: Istio service host or Envoy cluster.
    pub destination: String,
    /// `operation`: `METHOD /path/template` or `package.Service/Method`; empty: any.
    pub operation: String,
    /// `workload`: who answers. When it is itself the source of other hops of the journey, this hop encloses them.
    pub workload: Option<WorkloadName>,
    /// `withoutContext`: calls that carry no context have this hop's budget too. Default no: they are nobody's journey.
    pub without_context: bool,
    /// `stream`: its calls are streams, which nothing bounds. Default no.
    pub stream: bool,
    /// `callout`: how it is asked when it stands in for another.
    pub callout: CalloutOptions,
}

/// `hop.callout`: how the sidecar asks this component in place of the primary. See `emac_core::budget::Alternate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalloutOptions {
    /// `cluster`: Envoy cluster asked after a failure. `None`: the hop's destination; `Some("")`: no callout.
    pub cluster: Option<String>,
    /// `authority`: empty: the request's own.
    pub authority: String,
    /// `path`: empty: the request's own.
    pub path: String,
    /// `routeHeader {name, value}`: makes the route table choose this component before the call.
    pub route_header: Option<(String, String)>,
    /// `allowNonIdempotent`: repeat POST and PATCH too. Default false.
    pub allow_non_idempotent: bool,
    /// `maxBody`: request bodies are kept up to here, at most 65 536. Default 16 384.
    pub body_bytes_max: u32,
}

/// `latency`: a lognormal distribution by two quantiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencyDefault {
    /// Half of the answers are quicker. Above zero.
    pub p50: Millis,
    /// 99 % of the answers are quicker. At least `p50`.
    pub p99: Millis,
}

impl Default for CalloutOptions {
    fn default() -> Self {
        Self {
            cluster: None,
            authority: String::new(),
            path: String::new(),
            route_header: None,
            allow_non_idempotent: false,
            body_bytes_max: 16_384,
        }
    }
}
