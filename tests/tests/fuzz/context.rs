//! What travels in headers.

use emac_core::context::TraceParent;
use emac_core::context::baggage::{self, BYTES_MAX};
use emac_core::context::{Context, Flags};

use super::harness::fuzz;

fn baggage_examples() -> Vec<Vec<u8>> {
    let ours = "emac=v1:checkout:800:0109";
    let headers = [
        ours.to_owned(),
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
        let found = baggage::find_remaining(header);
        let absolute = baggage::find_absolute(header);
        // What may remain is bounded, what is absolute is not.
        assert!(found.is_err() || absolute.is_ok());
        without_ours(header);
        if let Ok(Some(context)) = &found {
            let written = baggage::replace(header, Some(context));
            assert!(written.len() <= BYTES_MAX);
            assert_eq!(baggage::find_remaining(&written), found);
        }
        found.is_ok()
    });
}

/// What is taken out is gone, and taking it out again changes nothing.
fn without_ours(header: &[u8]) {
    let without = baggage::replace(header, None);
    assert!(without.len() <= BYTES_MAX);
    assert_eq!(baggage::find_absolute(&without), Ok(None));
    assert_eq!(baggage::replace(&without, None), without);
}

#[test]
fn context_value() {
    let values = ["v1:checkout:800:0109", "v1:a:0:0000", "v1:x-9:120000:ffff"];
    fuzz(&values.map(|value| value.as_bytes().to_vec()), |value| {
        let Ok(context) = Context::parse_remaining(value) else { return false };
        let _: Flags = context.flags;
        assert_eq!(Context::parse_remaining(context.to_string().as_bytes()), Ok(context));
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
