//! Headers the services speak: trace context, and what an answer says of itself.

use http::{HeaderMap, HeaderValue};

/// W3C trace context.
pub const TRACEPARENT: &str = "traceparent";
/// Envoy's id of a request.
pub const REQUEST_ID: &str = "x-request-id";
/// W3C baggage; carries the journey context.
pub const BAGGAGE: &str = "baggage";
/// On an answer with a part that was not the real thing (a cached or default value). A fallback's static response sets it;
/// services hand it on to their callers.
pub const DEGRADED: &str = "x-degraded";
/// Comma-separated names of the services whose answers made this one.
pub const SERVED_BY: &str = "x-served-by";

/// A sampled `traceparent` that opens trace number `index` of the run with this seed.
pub fn new_trace(seed: u64, index: u64) -> HeaderValue {
    // Mixed, because traces are sampled by id; the span id must not be zero.
    let mut random = fastrand::Rng::with_seed(seed.rotate_left(32) ^ index);
    let (trace, span) = (random.u128(1..), random.u64(1..));
    value(&format!("00-{trace:032x}-{span:016x}-01"))
}

/// The same trace continued by span `span`; the header unchanged when it is no `traceparent` of version 00.
pub fn child_of(traceparent: &HeaderValue, span: u64) -> HeaderValue {
    let parts: Vec<&str> = traceparent.to_str().unwrap_or_default().split('-').collect();
    match parts.as_slice() {
        ["00", trace, _, flags] => value(&format!("00-{trace}-{span:016x}-{flags}")),
        _ => traceparent.clone(),
    }
}

/// The services named by [`SERVED_BY`].
pub fn served_by(headers: &HeaderMap) -> Vec<String> {
    let names = headers.get_all(SERVED_BY).iter().filter_map(|v| v.to_str().ok());
    names.flat_map(|v| v.split(',')).map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect()
}

/// A header value of printable text; anything else becomes empty.
pub(crate) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_keeps_its_trace() {
        let parent = new_trace(1, 2);
        let child = child_of(&parent, 0xabc);
        assert_eq!(child.as_bytes()[..35], parent.as_bytes()[..35]);
        assert_eq!(&child.as_bytes()[36..], b"0000000000000abc-01");
        assert_eq!(child_of(&value("nonsense"), 1), value("nonsense"));
    }

    #[test]
    fn traces_differ_and_repeat() {
        assert_ne!(new_trace(1, 2), new_trace(1, 3));
        assert_ne!(new_trace(1, 2), new_trace(2, 2));
        assert_eq!(new_trace(1, 2), new_trace(1, 2));
    }
}
