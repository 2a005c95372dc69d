//! Why a model says what it says: for each field, how sure it is and where it comes from.

use std::fmt;

use emac_core::journey::ComponentName;
use emac_core::units::Ratio;

use super::Status;

/// A field of a model that can be doubted, in a stable order and with a stable name (`Display`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// `edges/front->cart`: that the call is made, and how often.
    Edge {
        /// Who calls.
        from: String,
        /// Who is called.
        to: String,
    },
    /// `operator/Race(paya, payb)`: that these parts combine so. The text is the canonical text of that node.
    Operator(String),
    /// `probability/Branch(...)`: how often each choice of that node is taken.
    Probability(String),
    /// `domains/paya`: what the component fails together with.
    Domains(ComponentName),
    /// `runtime/front->paya`: timeouts, retries and breakers of the call.
    Runtime {
        /// Who calls.
        from: String,
        /// Who is called.
        to: String,
    },
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edge { from, to } => write!(f, "edges/{from}->{to}"),
            Self::Operator(text) => write!(f, "operator/{text}"),
            Self::Probability(text) => write!(f, "probability/{text}"),
            Self::Domains(component) => write!(f, "domains/{component}"),
            Self::Runtime { from, to } => write!(f, "runtime/{from}->{to}"),
        }
    }
}

/// What is known about a field. A finding without provenance does not exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Whether it may act: unresolved and contradictory fields never do.
    pub status: Status,
    /// Probability that the field is right, given the evidence (profile `calibrated`), or the profile's constant.
    pub confidence: Ratio,
    /// Observations it rests on.
    pub samples: u64,
    /// Where it comes from, at least one.
    pub provenance: Vec<Provenance>,
}

/// Where something is said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Provenance {
    /// Which kind of evidence.
    pub source: EvidenceSource,
    /// What it says, for people: `12 000 of 12 000 ordered calls`.
    pub says: String,
    /// A few trace ids that show it, hexadecimal, at most [`Provenance::TRACES_MAX`].
    pub traces: Vec<String>,
    /// File and field, where it stands in a file.
    pub place: Option<(String, String)>,
}

impl Provenance {
    /// Most trace ids named; whoever wants more asks the tracing backend.
    pub const TRACES_MAX: usize = 3;
}

/// Kinds of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvidenceSource {
    /// Spans of a tracing backend.
    Traces,
    /// Single calls recorded by sidecars.
    HopRecords,
    /// Istio or Envoy configuration.
    Mesh,
    /// Kubernetes manifests.
    Kubernetes,
    /// Failures that come together in time.
    Correlation,
    /// What the intent declares.
    Intent,
    /// The model accepted before.
    AcceptedModel,
}

impl EvidenceSource {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Traces,
        Self::HopRecords,
        Self::Mesh,
        Self::Kubernetes,
        Self::Correlation,
        Self::Intent,
        Self::AcceptedModel,
    ];

    /// Stable label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::HopRecords => "hop-records",
            Self::Mesh => "mesh",
            Self::Kubernetes => "kubernetes",
            Self::Correlation => "correlation",
            Self::Intent => "intent",
            Self::AcceptedModel => "accepted-model",
        }
    }
}

/// What evidence and intent say differently, for a person to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// About which field.
    pub field: Field,
    /// What the intent says.
    pub declared: String,
    /// What evidence says.
    pub observed: String,
}

/// Timeouts, retries and breakers of a call, as configured or seen. Absent: not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuntimeParameters {
    /// Longest a call may take, milliseconds.
    pub timeout_ms: Option<u64>,
    /// Longest one try may take, milliseconds.
    pub per_try_timeout_ms: Option<u64>,
    /// Tries in all, at least 1.
    pub attempts: Option<u32>,
    /// On what a try is repeated, as the mesh writes it (`5xx,reset`).
    pub retry_on: Option<String>,
    /// Most calls at once before the breaker opens.
    pub max_connections: Option<u32>,
    /// Most calls waiting.
    pub max_pending: Option<u32>,
    /// Bad answers in a row after which an endpoint is taken out.
    pub consecutive_errors: Option<u32>,
    /// Share of calls copied elsewhere whose answers nobody waits for.
    pub mirror: Option<(String, Ratio)>,
}

/// A field of [`RuntimeParameters`] that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RuntimeField<'a> {
    /// As documents write it: `timeoutMs`.
    pub key: &'static str,
    /// As people read it: `timeout`.
    pub label: &'static str,
    /// Its value.
    pub value: RuntimeValue<'a>,
}

/// The value of a [`RuntimeField`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RuntimeValue<'a> {
    /// Milliseconds.
    Millis(u64),
    /// How many.
    Count(u32),
    /// Conditions, as the mesh writes them.
    Text(&'a str),
    /// Where copies go, and the share of the calls that is copied.
    Mirror(&'a str, Ratio),
}

impl RuntimeParameters {
    /// The fields that are known, in the order in which documents have them.
    pub fn fields(&self) -> impl Iterator<Item = RuntimeField<'_>> {
        use RuntimeValue::{Count, Millis, Mirror, Text};
        let Self {
            timeout_ms,
            per_try_timeout_ms,
            attempts,
            retry_on,
            max_connections,
            max_pending,
            consecutive_errors,
            mirror,
        } = self;
        let all = [
            ("timeoutMs", "timeout", timeout_ms.map(Millis)),
            ("perTryTimeoutMs", "timeout per try", per_try_timeout_ms.map(Millis)),
            ("attempts", "attempts", attempts.map(Count)),
            ("retryOn", "retry on", retry_on.as_deref().map(Text)),
            ("maxConnections", "connections", max_connections.map(Count)),
            ("maxPending", "pending", max_pending.map(Count)),
            ("consecutiveErrors", "errors in a row", consecutive_errors.map(Count)),
            ("mirror", "mirror", mirror.as_ref().map(|(to, share)| Mirror(to, *share))),
        ];
        all.into_iter().filter_map(|(key, label, value)| Some(RuntimeField { key, label, value: value? }))
    }
}

/// A file or stream the model was made from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EvidenceRef {
    /// Name as given.
    pub name: String,
    /// Which kind.
    pub source: EvidenceSource,
    /// SHA-256 (hex) of its bytes.
    pub digest: String,
}

/// How often each choice of a branch was taken, (times, out of), for people: `taken 20 of 100, 80 of 100 times; 95 % intervals`.
pub fn shares_told(shares: &[(u64, u64)]) -> String {
    let each: Vec<_> = shares.iter().map(|(times, all)| format!("{times} of {all}")).collect();
    format!("taken {} times; 95 % intervals", each.join(", "))
}

/// The shares, 0 to 1, that [`shares_told`] told; `None` of another text.
pub fn shares_said(says: &str) -> Option<Vec<f64>> {
    let (shares, _) = says.strip_prefix("taken ")?.split_once(" times;")?;
    let share = |text: &str| {
        let (times, all) = text.split_once(" of ")?;
        let (times, all): (u64, u64) = (times.parse().ok()?, all.parse().ok()?);
        (times <= all && all > 0).then(|| times as f64 / all as f64)
    };
    shares.split(", ").map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_as_they_are_told() {
        assert_eq!(shares_said(&shares_told(&[(20, 100), (80, 100)])), Some(vec![0.2, 0.8]));
        for other in
            ["", "taken", "taken 2 of 0 times; 95 % intervals", "taken 3 of 2 times;", "taken a of b times;"]
        {
            assert_eq!(shares_said(other), None, "{other}");
        }
    }
}
