//! What a workload may do: deadlines, timeouts, retry and fallback budgets, as plain checked data.
//!
//! These are the domain twins of `emac/v1/budgets.proto`, whose comments specify ranges; `emac-proto` builds them and refuses what
//! is out of range, so code that holds one need not check again.

pub mod curve;
pub mod lease;
pub mod token_bucket;

use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{JourneyName, WorkloadName};
use crate::units::{Generation, Millis, Ppm};

/// Everything one workload is told, under one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadBudgets {
    /// Whom it is for.
    pub workload: WorkloadName,
    /// Grows with every plan.
    pub generation: Generation,
    /// Digest of the model it was derived from; provenance only.
    pub model_digest: String,
    /// When it was issued, milliseconds since 1970 by the issuer's clock; for people.
    pub issued_at_unix_ms: u64,
    /// How long it holds after receipt.
    pub valid_for: Millis,
    /// What happens then.
    pub on_expiry: OnExpiry,
    /// Journeys this workload takes part in.
    pub journeys: Vec<JourneyBudget>,
    /// Hops this workload calls.
    pub hops: Vec<HopBudget>,
}

/// What an expired lease means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExpiry {
    /// Go on with the last good budgets.
    #[default]
    Hold,
    /// Step aside: the route's own settings rule.
    Release,
}

/// How far a decision goes. Ordered: the lower of two modes is the more careful one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Record only.
    #[default]
    Observe,
    /// Decide and count, do not act.
    DryRun,
    /// Act.
    Enforce,
}

impl Mode {
    /// Stable label for metrics and files.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::DryRun => "dry-run",
            Self::Enforce => "enforce",
        }
    }
}

/// What every workload on a journey knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JourneyBudget {
    /// Which journey.
    pub journey: JourneyName,
    /// From the end of the request at the edge to the first byte of a useful answer.
    pub deadline: Millis,
    /// How far decisions go.
    pub mode: Mode,
    /// 0 is shed first.
    pub priority: u8,
    /// Share of traces recorded hop by hop.
    pub record: Ppm,
    /// How the edge recognises a request.
    pub entry: Vec<EntryRule>,
}

/// Recognises a request of a journey; every stated part must match, and at least one is stated. Preflights, probes and calls of the
/// gRPC health service are recognised only by rules that ask for them (`emac/v1/budgets.proto`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryRule {
    /// Exact host without port, lower case, a final dot counting for nothing; empty: any.
    pub host: String,
    /// Exact method, upper case, GET taking HEAD too; empty: any.
    pub method: String,
    /// `{name}` matches one segment, a last `**` any rest, empty segments count for nothing; empty: any.
    pub path_template: String,
    /// (name in lower case, value); an empty value means "present".
    pub headers: Vec<(String, String)>,
    /// `package.Service/Method`, or `package.Service`; empty: not asked.
    pub grpc: String,
}

/// The budget of one hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HopBudget {
    /// Which journey.
    pub journey: JourneyName,
    /// Istio service host or Envoy cluster.
    pub destination: String,
    /// Operation, or empty for every operation without an entry of its own.
    pub operation: String,
    /// How far decisions go; the lower of this and the journey's takes effect.
    pub mode: Mode,
    /// Longest a call may take; `None`: only the deadline bounds it.
    pub timeout: Option<Millis>,
    /// Longest one try may take; `None`: as long as the call.
    pub per_try_timeout: Option<Millis>,
    /// Kept back from the remaining time for what follows.
    pub reserve: Millis,
    /// With less than this left the call is not made.
    pub useful_min: Millis,
    /// Bounds of a call after whose failure no fallback can follow; `None`: as any call of the hop.
    pub alone: Option<Alone>,
    /// Retries; `None`: the route's own.
    pub retry: Option<RetryBudget>,
    /// What else can answer.
    pub fallback: Option<Fallback>,
    /// What counts as a good answer.
    pub success: SuccessPredicate,
    /// Calls that carry no context have this budget too.
    pub without_context: bool,
    /// Calls are streams: no budget bounds them.
    pub stream: bool,
}

/// Bounds of a call after whose failure no fallback can follow: it need not leave time to an alternate, so it is never bounded tighter
/// than the hop's other calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alone {
    /// Longest it may take, at least the hop's timeout.
    pub timeout: Millis,
    /// Kept back from the remaining time for what follows, at most the hop's reserve.
    pub reserve: Millis,
}

/// A token bucket: a share of a token a request, a floor a second, one token a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// Tokens deposited per request.
    pub ratio: Ppm,
    /// Thousandths of a token deposited per second.
    pub floor_milli_per_s: u32,
    /// Most tokens held, at least 1.
    pub burst: u32,
    /// Retries allowed for one request; 0 leaves the route's own number.
    pub max_retries: u32,
}

impl RetryBudget {
    /// A fifth of the requests, and ten retries a second saved up for ten seconds: the defaults of the retry budget of the Gateway API
    /// (GEP-3388: 20 % over 10 s, at least 10 a second). A hop with fewer than ten failures a second is retried as if there were no budget.
    pub const DEFAULT: Self = Self {
        ratio: match Ppm::new(200_000) {
            Ok(fifth) => fifth,
            Err(_) => Ppm::ZERO,
        },
        floor_milli_per_s: 10_000,
        burst: 100,
        max_retries: 0,
    };
}

/// What answers instead of the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Who or what answers.
    pub kind: FallbackKind,
    /// Worth of the answer to the user; [`Ppm::ONE`] is an equal.
    pub weight: Ppm,
    /// Bound on a degraded fallback; `None` exactly when it is an equal.
    pub budget: Option<FallbackBudget>,
}

impl Fallback {
    /// Whether the answer is worth less than the destination's own.
    pub fn is_degraded(&self) -> bool {
        self.weight < Ppm::ONE
    }
}

/// Largest share of a hop's requests that a degraded fallback may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FallbackBudget {
    /// Share of requests.
    pub share: Ppm,
    /// Most degraded answers above the share in one burst, at least 1.
    pub burst: u32,
}

/// Who or what answers instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FallbackKind {
    /// The sidecar itself.
    Static(StaticResponse),
    /// Another provider.
    Alternate(Alternate),
}

/// An answer kept in the sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticResponse {
    /// 200 ..= 599.
    pub status: u16,
    /// (name in lower case, value).
    pub headers: Vec<(String, String)>,
    /// At most 64 KiB.
    pub body: Vec<u8>,
}

/// Another provider of the same answer. At least one of `cluster` and `route_header` is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternate {
    /// Envoy cluster asked after a failure; empty: no callout.
    pub cluster: String,
    /// `:authority` of the callout; empty: the request's own.
    pub authority: String,
    /// Path of the callout; empty: the request's own.
    pub path: String,
    /// Header that makes the route table choose the alternate before the call.
    pub route_header: Option<(String, String)>,
    /// Repeat POST and PATCH too.
    pub allow_non_idempotent: bool,
    /// Request bodies are kept up to here.
    pub body_bytes_max: u32,
    /// Longest the alternate may take.
    pub timeout: Millis,
}

/// What counts as a good answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuccessPredicate {
    /// Inclusive ranges of HTTP status; empty: below 500.
    pub http: Vec<(u16, u16)>,
    /// gRPC codes counted as success besides 0.
    pub grpc: Vec<u32>,
}

impl SuccessPredicate {
    /// Whether an HTTP answer is good.
    pub fn accepts_http(&self, status: u16) -> bool {
        if self.http.is_empty() {
            (100..500).contains(&status)
        } else {
            self.http.iter().any(|&(first, last)| (first..=last).contains(&status))
        }
    }

    /// Whether a gRPC answer is good.
    pub fn accepts_grpc(&self, code: u32) -> bool {
        code == 0 || self.grpc.contains(&code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_of_two_modes_is_the_more_careful_one() {
        let modes = [Mode::Observe, Mode::DryRun, Mode::Enforce];
        assert!(modes.is_sorted());
        assert_eq!(modes.map(Mode::label), ["observe", "dry-run", "enforce"]);
    }

    #[test]
    fn only_a_fallback_of_full_weight_is_an_equal() {
        let fallback = |weight| Fallback {
            kind: FallbackKind::Static(StaticResponse { status: 200, headers: Vec::new(), body: Vec::new() }),
            weight: Ppm::new(weight).unwrap(),
            budget: None,
        };
        assert_eq!([0, 999_999, 1_000_000].map(|weight| fallback(weight).is_degraded()), [true, true, false]);
    }

    #[test]
    fn a_good_answer_is_below_500_unless_ranges_say_otherwise() {
        let default = SuccessPredicate::default();
        let good = |status| default.accepts_http(status);
        assert_eq!([99, 100, 404, 499, 500, 503].map(good), [false, true, true, true, false, false]);
        let stated = SuccessPredicate { http: alloc::vec![(200, 204), (404, 404)], ..default };
        let good = |status| stated.accepts_http(status);
        assert_eq!([199, 200, 204, 205, 404, 405].map(good), [false, true, true, false, true, false]);
    }

    #[test]
    fn a_good_grpc_answer_is_ok_or_a_code_that_is_stated() {
        let stated = SuccessPredicate { grpc: alloc::vec![5], ..SuccessPredicate::default() };
        let good = |code| (SuccessPredicate::default().accepts_grpc(code), stated.accepts_grpc(code));
        assert_eq!([0, 5, 14].map(good), [(true, true), (false, true), (false, false)]);
    }
}
