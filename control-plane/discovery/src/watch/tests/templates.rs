//! Paths with ids are one operation in the watch, as in a file, from hop records and from spans, window by window and across a restart.

use super::*;
use emac_trace::{Span, SpanId, SpanKind, SpanOutcome, Symbol, TraceId};

/// A window in which each of `users` is asked for, by hop records of an edge and by spans; the entries that were seen.
fn window(bench: &mut Bench, intent: &Intent, users: &[String]) -> Vec<(String, u64)> {
    for user in users {
        bench.at += 10;
        bench.traces += 1;
        let (now, trace) = (bench.now(), bench.traces);
        for (node, mut record) in call(trace, "edge", "users", now.unix_ms - 100, 50) {
            record.hop.journey = emac_core::context::UNDECLARED.into();
            record.hop.operation = if record.inbound { String::new() } else { format!("GET /users/{user}") };
            bench.watch.hop(&node, &record, now);
        }
        let mut sink = bench.watch.spans(now);
        let (service, operation) =
            (sink.symbols().of("web"), sink.symbols().of(&format!("GET /pages/{user}")));
        sink.span(Span {
            trace: TraceId(u128::from(trace)),
            id: SpanId(1),
            parent: None,
            kind: SpanKind::Server,
            service,
            operation,
            peer: Symbol::NONE,
            instance: Symbol::NONE,
            start_ns: i64::try_from(now.unix_ms - 100).unwrap() * 1_000_000,
            duration_ns: 50_000_000,
            outcome: SpanOutcome::Good,
            status: 200,
            by_proxy: false,
            to_store: false,
            attempt: 0,
            shared: false,
        });
    }
    bench.window(0, GOOD, intent, None, &mesh("b"));
    let seen = bench.watch.status().undeclared;
    let mut entries: Vec<_> = seen.into_iter().map(|one| (one.entry.1, one.traces)).collect();
    entries.sort();
    entries
}

#[test]
fn ids_in_paths_are_one_operation_in_every_window() {
    let intent = intent(&[]);
    let mut bench = Bench::new(&intent);
    let mail = |n: u64| format!("user{n}@example.org");
    let one = |of: u64| vec![("GET /pages/{id}".to_owned(), of), ("GET /users/{id}".to_owned(), of)];
    let mails: Vec<String> = (0..30).map(mail).collect();
    assert_eq!(window(&mut bench, &intent, &mails), one(30));
    // Names that only their number shows.
    let word = |n: usize| "ab".repeat(1 + n / 26) + &char::from(b'a' + (n % 26) as u8).to_string();
    let words: Vec<String> = (0..80).map(word).collect();
    assert_eq!(window(&mut bench, &intent, &words), one(80));
    assert_eq!(window(&mut bench, &intent, &words[..25]), one(25), "too few to show it, and it was shown");
    let (mut bench, forgotten) = bench.restarted(settings(), 0, &intent);
    assert_eq!(forgotten, []);
    assert_eq!(window(&mut bench, &intent, &words[30..50]), one(20), "and remembered");
    assert!(bench.watch.status().undeclared.iter().all(|one| one.proposed));
}
