//! What travels in headers.

use emac_core::context::TraceParent;
use emac_core::context::baggage::{self, BYTES_MAX};
use emac_core::context::{Context, Deadline};

use super::harness::fuzz;

fn baggage_examples() -> Vec<Vec<u8>> {
    let ours = "emac=v2.checkout.r800.0109";
    let headers = [
        ours.to_owned(),
        "emac=v1%3Acheckout%3A800%3A0109".to_owned(),
        format!("user=7;ttl=3, {ours} ,tenant=gold"),
        "emac = v1:a-b:0:0000;prop=1".to_owned(),
        "other=%20x".to_owned(),
        String::new(),
    ];
    headers.into_iter().map(String::into_bytes).collect()
}

#[test]
fn baggage_header() {
    fuzz(&baggage_examples(), |header| {
        let mut decoded = Vec::new();
        let found = baggage::find(header, &mut decoded);
        without_ours(header);
        let Ok(Some(context)) = found else { return found.is_ok() };
        if let Some(context) = context.remaining() {
            let written = baggage::replace(header, Some(&context));
            assert!(written.omitted || written.header.len() <= BYTES_MAX);
            let mut decoded = Vec::new();
            let expected = (!written.omitted).then(|| context.due(Deadline::Remaining(context.deadline)));
            assert_eq!(baggage::find(&written.header, &mut decoded), Ok(expected));
        }
        true
    });
}

/// What is taken out is gone, and taking it out again changes nothing.
fn without_ours(header: &[u8]) {
    let without = baggage::replace(header, None).header;
    assert!(!baggage::has_ours(&without));
    assert_eq!(baggage::replace(&without, None).header, without);
}

#[test]
fn context_value() {
    let values = [
        "v2.checkout.r800.0109",
        "v2.a.a1790000000123.0000.7",
        "v1:a:0:0000",
        "v1:x-9:1790000000123:ffff;id=3",
    ];
    fuzz(&values.map(|value| value.as_bytes().to_vec()), |value| {
        let Ok(context) = Context::parse(value) else { return false };
        let written = match context.deadline {
            Deadline::Remaining(deadline) => context.due(deadline).to_string(),
            Deadline::Absolute(deadline) => context.due(deadline).to_string(),
        };
        assert_eq!(Context::parse(written.as_bytes()), Ok(context));
        true
    });
}

#[test]
fn traceparent_header() {
    let headers = [
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more",
    ];
    fuzz(&headers.map(|header| header.as_bytes().to_vec()), |header| {
        let Ok(parent) = TraceParent::parse(header) else { return false };
        assert!(parent.trace_id != [0; 16] && parent.parent_span_id != [0; 8]);
        true
    });
}
