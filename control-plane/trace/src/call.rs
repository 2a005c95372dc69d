//! One request as a tree of calls: what discovery looks at.

use super::{Symbol, TraceId};

/// The calls of one request. Parents stand before their children; `calls[0]` is the root, as the outermost service saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Its id.
    pub id: TraceId,
    /// At least one.
    pub calls: Vec<Call>,
    /// Name of its journey; none for traces made of spans, which do not say.
    pub journey: Symbol,
    /// Every parent that was named is there, so that what is not seen did not happen.
    pub complete: bool,
    /// Nothing is missing but the caller that its entry names: a browser or load balancer that exports nothing, or a lost part. Which one many
    /// traces tell, not this one.
    pub headless: bool,
}

/// One call: the caller's span and the callee's, joined where both were recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Index of the call that caused it; `None` for the root only.
    pub parent: Option<u32>,
    /// Who was called; the caller is the parent's.
    pub service: Symbol,
    /// The callee's name for it; the caller's where the callee recorded nothing.
    pub operation: Symbol,
    /// The caller's name for it; none where the caller recorded nothing.
    pub via: Symbol,
    /// Whether the caller waits.
    pub kind: CallKind,
    /// When it began, nanoseconds since 1970 by the caller's clock (a lone callee's span is moved onto it).
    pub start_ns: i64,
    /// When it ended, by the same clock; not before `start_ns`.
    pub end_ns: i64,
    /// When the callee itself was done, by the same clock; after `end_ns` where the caller did not wait for that.
    pub done_ns: i64,
    /// How it ended, as the caller saw it.
    pub outcome: CallOutcome,
    /// How the callee itself ended: a message is sent well whatever its consumer makes of it, and who hangs up does not see the answer. As `outcome`
    /// where the callee recorded nothing.
    pub served: CallOutcome,
    /// Nobody says who was called: the caller's span names no peer, and no callee recorded it. `service` then says that it is unknown.
    pub nameless: bool,
    /// Tries that are one span (a proxy or a library that retries), at least 1.
    pub attempts: u16,
    /// Tries after the first that the mesh is known to have made: they are its configuration's, and no part of what the application does.
    pub mesh_retries: u16,
    /// The filter gave up on it, because the journey's budget was spent.
    pub cut: bool,
}

/// Whether the caller of a call waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// A request with an answer.
    Request,
    /// A message: the caller does not wait.
    Message,
}

/// How a call ended, as its caller saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// A good answer.
    Good,
    /// A bad answer.
    Error,
    /// No answer in time.
    Timeout,
    /// The caller did not need it any more.
    Cancelled,
    /// A degraded fallback of the caller's sidecar answered.
    Fallback,
    /// An equal alternate that the caller's sidecar asked answered.
    Alternate,
}

impl CallOutcome {
    /// Whether the callee itself gave no good answer. A call that nobody needed any more is no failure.
    pub const fn failed(self) -> bool {
        matches!(self, Self::Error | Self::Timeout | Self::Fallback | Self::Alternate)
    }

    /// Whether the caller has a good answer, be it of somebody else.
    pub const fn answered(self) -> bool {
        matches!(self, Self::Good | Self::Fallback | Self::Alternate)
    }
}
