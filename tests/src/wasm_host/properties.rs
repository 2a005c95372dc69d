//! Stream properties: what Envoy knows of a request, and from which phase on.

use std::collections::BTreeMap;

/// Where a stream is in its life; later phases see what earlier ones did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Request headers, body, trailers.
    #[default]
    Request,
    /// Response headers, body, trailers.
    Response,
    /// The access log: the stream is over.
    Log,
}

/// A value in the bytes that Envoy hands over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property(pub Vec<u8>);

impl From<&str> for Property {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<i64> for Property {
    fn from(number: i64) -> Self {
        Self(number.to_le_bytes().to_vec())
    }
}

impl From<u64> for Property {
    fn from(number: u64) -> Self {
        Self(number.to_le_bytes().to_vec())
    }
}

impl From<Vec<u8>> for Property {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// `response.flags` of interest, as bits.
pub struct Flags;

impl Flags {
    /// The route's timeout struck.
    pub const UPSTREAM_REQUEST_TIMEOUT: i64 = 0x4;
    /// Upstream could not be reached.
    pub const UPSTREAM_CONNECTION_FAILURE: i64 = 0x20;
    /// The caller went away.
    pub const DOWNSTREAM_CONNECTION_TERMINATION: i64 = 0x4000;
}

/// Values by path (parts joined by a zero byte) and the phase from which they are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Properties(BTreeMap<Vec<u8>, (Phase, Vec<u8>)>);

impl Properties {
    pub(super) fn set(&mut self, phase: Phase, path: &[&str], value: impl Into<Property>) {
        self.0.insert(path.join("\0").into_bytes(), (phase, value.into().0));
    }

    pub(super) fn get(&self, now: Phase, path: &[u8]) -> Option<&[u8]> {
        let (since, value) = self.0.get(path)?;
        (*since <= now).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_is_unknown_before_its_phase() {
        let mut properties = Properties::default();
        properties.set(Phase::Log, &["request", "duration"], 7_i64);
        assert_eq!(properties.get(Phase::Response, b"request\0duration"), None);
        assert_eq!(properties.get(Phase::Log, b"request\0duration"), Some(&7_i64.to_le_bytes()[..]));
    }
}
