//! What people write: templates, expressions, durations, documents.

use emac_core::entry::{OPERATION_BYTES_MAX, PathTemplate, name_operation};
use emac_core::journey::{self, Journey};
use emac_document::{Limits, Problems, Source, format_duration, parse, parse_duration, render_text};
use emac_journey::intent;

use super::harness::fuzz;

fn examples(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn path_template() {
    fuzz(&examples(&["/", "/api/v1/cart/{id}", "/static/**", "/**", "/a/{b}/c/**"]), |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(template) = PathTemplate::new(&text) else { return false };
        assert_eq!(template.as_str(), text);
        assert!(template.matches(text.as_bytes()), "{text:?} does not match itself");
        true
    });
}

#[test]
fn operation_name() {
    let templates = [PathTemplate::new("/cart/{id}").expect("valid")];
    fuzz(
        &examples(&["/cart/7?x=1", "/shop.v1.Checkout/Place", "/api/v1/users/8f14e45f/orders", "/"]),
        |path| {
            let mut name = "\u{1}before".to_owned();
            for grpc in [false, true] {
                name_operation(b"GET", path, grpc, &templates, &mut name);
                assert!(
                    !name.is_empty() && name.len() <= OPERATION_BYTES_MAX && !name.contains('\u{1}'),
                    "{name:?}"
                );
            }
            path.starts_with(b"/")
        },
    );
}

#[test]
fn expression_text() {
    let texts = [
        "Series(front, Parallel(cart, pricing), Race(paya, payb))",
        "Fallback(paya, 0.5*payb)",
        "Branch(0.25*a, [0.5,0.75]*b, 0.25*c)",
        "Retry(attempts=3, perTry=50ms, a)",
        "Parallel(atLeast=2, a, b, c)",
        "Timeout(after=200ms, Race(delay=20ms, a, b))",
    ];
    fuzz(&examples(&texts), |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(expr) = journey::parse(&text) else { return false };
        assert_eq!(journey::parse(&expr.to_string()).as_ref(), Ok(&expr));
        if let Ok(journey) = Journey::new(expr) {
            assert_eq!(journey::parse(&journey.to_string()).as_ref(), Ok(journey.root()));
            assert_eq!(Journey::new(journey.root().clone()), Ok(journey));
        }
        true
    });
}

#[test]
fn duration() {
    fuzz(&examples(&["250ms", "1h30m", "0.5s", "30d", "7us"]), |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(duration) = parse_duration(&text) else { return false };
        assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        true
    });
}

const INTENT: &str = "\
apiVersion: emac.dev/v1alpha1
kind: JourneyIntent
metadata: {name: checkout}
spec:
  objectives:
    availability: {window: 30d, target: 0.995}
    latency: {window: 30d, objective: {metric: p99, threshold: 0.8}}
  operator:
    series: [front, {parallel: [cart, pricing]}]
  components:
    front: &leaf {atomicSLORef: 'openslo:front'}
    cart: *leaf
    pricing: {failureDomains: [a, b]}
---
- 1e3
- \"\\u00e9\"
- |
  text
";

#[test]
fn documents_and_intents() {
    let limits = Limits { bytes_max: 1 << 16, depth_max: 32, nodes_max: 10_000 };
    fuzz(&examples(&[INTENT, "a: {b: [1, 2.5, null, true]}\n", "{}"]), |bytes| {
        let problems = Problems::new();
        let source = Source::new("fuzz.yaml", String::from_utf8_lossy(bytes));
        let documents = parse(&source, &limits, &problems);
        let whole = problems.errors() == 0;
        let intents = intent::of(&documents, &problems);
        let _ = render_text(&problems, false);
        assert!(intents.len() <= documents.len());
        whole
    });
}
