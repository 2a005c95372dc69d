//! How a request ended, and counts of it.

/// How one call of a hop ended, as the caller saw it. Each request ends in exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// A good answer of the destination.
    Success,
    /// A bad answer.
    Error,
    /// No answer in time.
    Timeout,
    /// Not called, or refused for load.
    Shed,
    /// Answered by a degraded fallback.
    Fallback,
    /// Answered by an equal alternate.
    Alternate,
    /// The caller went away.
    Cancelled,
    /// An answer that has no end to wait for: a server-sent stream, a gRPC stream, an upgraded connection. Neither a success nor a
    /// failure: its duration says how long somebody listened.
    Stream,
}

impl Outcome {
    /// Every outcome, in the order of the wire.
    pub const ALL: [Self; 8] = [
        Self::Success,
        Self::Error,
        Self::Timeout,
        Self::Shed,
        Self::Fallback,
        Self::Alternate,
        Self::Cancelled,
        Self::Stream,
    ];

    /// Stable label for metrics and files.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Shed => "shed",
            Self::Fallback => "fallback",
            Self::Alternate => "alternate",
            Self::Cancelled => "cancelled",
            Self::Stream => "stream",
        }
    }

    /// What a journey ended with, for its user: an answer is an answer, whoever gave it. The label `result` of `journey_requests_total`.
    pub const fn result(self) -> &'static str {
        match self {
            Self::Success | Self::Fallback | Self::Alternate => Self::Success.label(),
            other => other.label(),
        }
    }

    /// Every [`result`](Self::result).
    pub const RESULTS: [&'static str; 6] = ["success", "error", "timeout", "shed", "cancelled", "stream"];
}

/// Requests by outcome; their sum is the number of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutcomeCounts([u64; 8]);

impl OutcomeCounts {
    /// Counts in the order of [`Outcome::ALL`].
    pub const fn from_array(counts: [u64; 8]) -> Self {
        Self(counts)
    }

    /// Counts in the order of [`Outcome::ALL`].
    pub const fn to_array(self) -> [u64; 8] {
        self.0
    }

    /// Requests that ended so.
    pub fn get(&self, outcome: Outcome) -> u64 {
        self.0.get(outcome as usize).copied().unwrap_or(0)
    }

    /// Counts one request.
    pub fn add(&mut self, outcome: Outcome) {
        if let Some(count) = self.0.get_mut(outcome as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// Adds another count, saturating.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.saturating_add(theirs);
        }
    }

    /// Requests that a share of good ones is a share of: all but streams, of which nobody can say whether they ended well.
    pub fn judged(&self) -> u64 {
        self.total().saturating_sub(self.get(Outcome::Stream))
    }

    /// All requests.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// Who ended a request: whose word its status is. What a failure says of the callee, and what a timeout says of the application, depends
/// on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndedBy {
    /// Nobody said.
    #[default]
    Unknown,
    /// Whoever was called, or the proxy beside it, by an answer.
    Callee,
    /// The filter: its bound ran out, it refused, or it answered with a fallback.
    Filter,
    /// The proxy, by its configuration or for want of a connection: a timeout of the route, no healthy host, an overflow, an injected fault.
    Mesh,
    /// The caller, by leaving.
    Caller,
}

impl EndedBy {
    /// All, in the order of the wire.
    pub const ALL: [Self; 5] = [Self::Unknown, Self::Callee, Self::Filter, Self::Mesh, Self::Caller];

    /// As documents spell it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Callee => "callee",
            Self::Filter => "filter",
            Self::Mesh => "mesh",
            Self::Caller => "caller",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_place() {
        let mut counts = OutcomeCounts::default();
        for (times, outcome) in Outcome::ALL.into_iter().enumerate() {
            (0..=times).for_each(|_| counts.add(outcome));
        }
        assert_eq!(counts.to_array(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(counts.total(), 36);
        assert_eq!(counts.judged(), 28);
    }
}
