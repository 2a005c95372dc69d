//! Traces and files that mean harm, or were written by something broken. None may stop a reader, blow it up, or make it believe something.

use emac_trace::{Refused, Sink, Span, SpanId, SpanKind, SpanOutcome, Symbol, TraceId};

use super::world::BEGIN_NS;

/// A span in the middle of a sane world. A service is not its own caller, so that it is a call.
fn span(sink: &mut dyn Sink, id: u64, parent: Option<u64>) -> Span {
    Span {
        trace: TraceId(0xbad),
        id: SpanId(id),
        parent: parent.map(SpanId),
        kind: SpanKind::Server,
        service: sink.symbols().of(&format!("s{}", id % 97)),
        operation: sink.symbols().of("GET /s"),
        peer: Symbol::NONE,
        instance: Symbol::NONE,
        start_ns: BEGIN_NS + id as i64,
        duration_ns: 1_000,
        outcome: SpanOutcome::Good,
        status: 200,
        attempt: 0,
        shared: false,
        by_proxy: false,
        to_store: false,
    }
}

/// One trace of this many spans: a root and its calls.
pub fn wide(sink: &mut dyn Sink, spans: u64) {
    for id in 1..=spans {
        let span = span(sink, id, (id > 1).then_some(1));
        sink.span(span);
    }
}

/// One trace in which each span calls the next.
pub fn deep(sink: &mut dyn Sink, spans: u64) {
    for id in 1..=spans {
        let span = span(sink, id, (id > 1).then(|| id - 1));
        sink.span(span);
    }
}

/// The same, callees first: every parent comes after its child.
pub fn deep_upside_down(sink: &mut dyn Sink, spans: u64) {
    for id in (1..=spans).rev() {
        let span = span(sink, id, (id > 1).then(|| id - 1));
        sink.span(span);
    }
}

/// Spans in a circle of this length, at least 1, with nothing outside.
pub fn circle(sink: &mut dyn Sink, spans: u64) {
    for id in 1..=spans {
        let span = span(sink, id, Some(id % spans + 1));
        sink.span(span);
    }
}

/// Each span many times over.
pub fn doubled(sink: &mut dyn Sink, spans: u64, times: u64) {
    (0..times).for_each(|_| wide(sink, spans));
}

/// Children whose parents never come.
pub fn orphans(sink: &mut dyn Sink, spans: u64) {
    for id in 1..=spans {
        let span = span(sink, id, Some(id + 1_000_000_000));
        sink.span(span);
    }
}

/// Times that no clock shows: 1970, far past, far future, and durations that reach beyond the end of time.
pub fn times(sink: &mut dyn Sink) {
    let all = [0, 1, -1, i64::MIN, i64::MAX, i64::MAX - 500, BEGIN_NS];
    let durations = [0, 1, i64::MAX, -1, i64::MIN];
    let mut id = 1;
    for start_ns in all {
        for duration_ns in durations {
            let span = Span { start_ns, duration_ns, ..span(sink, id, (id > 1).then_some(1)) };
            sink.span(span);
            id += 1;
        }
    }
}

/// As many traces as spans.
pub fn strangers(sink: &mut dyn Sink, spans: u64) {
    for id in 1..=spans {
        let span = Span { trace: TraceId(u128::from(id) << 7), ..span(sink, id, None) };
        sink.span(span);
    }
}

/// A new name with each span, as where ids are written into names.
pub fn names(sink: &mut dyn Sink, spans: u64) {
    for id in 1..=spans {
        let operation = sink.symbols().of(&format!("GET /orders/{id}"));
        let span = Span { operation, ..span(sink, id, (id > 1).then_some(1)) };
        sink.span(span);
    }
}

/// Everything at once, and every reason to refuse.
pub fn all(sink: &mut dyn Sink) {
    wide(sink, 100);
    deep(sink, 5_000);
    deep_upside_down(sink, 5_000);
    circle(sink, 1);
    circle(sink, 7);
    doubled(sink, 20, 20);
    orphans(sink, 50);
    times(sink);
    strangers(sink, 200);
    names(sink, 500);
    Refused::ALL.into_iter().for_each(|reason| sink.refuse(reason, format_args!("hostile")));
}

/// Files: what is wrong with each, and its bytes. A reader says so, or reads what can be read; it neither stops nor makes something up.
pub fn files() -> Vec<(&'static str, Vec<u8>)> {
    let jaeger = |spans: &str| {
        format!(
            r#"{{"data":[{{"traceID":"1","spans":[{spans}],"processes":{{"p1":{{"serviceName":"s"}}}}}}]}}"#
        )
    };
    let otlp = |span: &str| format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#);
    let text = |text: String| text.into_bytes();
    let good = r#"{"traceId":"0000000000000000000000000000000a","spanId":"000000000000000b","name":"x","kind":2,"startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000000001000"}"#;
    vec![
        ("empty", Vec::new()),
        ("only space", b" \n\t ".to_vec()),
        ("no JSON", b"hello".to_vec()),
        ("another JSON", b"{\"a\":[1,2,3]}".to_vec()),
        ("cut off", text(otlp(good)[..120].to_owned())),
        (
            "cut off within a string",
            text(jaeger(r#"{"traceID":"1","spanID":"2","operationName":"GET"#)[..60].to_owned()),
        ),
        ("nested 100 000 deep", "[".repeat(100_000).into_bytes()),
        ("objects nested 100 000 deep", "{\"a\":".repeat(100_000).into_bytes()),
        ("no UTF-8", [b"{\"data\":[{\"traceID\":\"".as_slice(), &[0xff, 0xfe, 0x80], b"\"}]}"].concat()),
        (
            "a lone surrogate",
            text(jaeger(
                r#"{"traceID":"1","spanID":"2","operationName":"\ud800","startTime":1,"duration":1}"#,
            )),
        ),
        (
            "its own parent",
            text(otlp(&good.replace("\"name\"", "\"parentSpanId\":\"000000000000000b\",\"name\""))),
        ),
        (
            "ends before it begins",
            text(otlp(
                &good
                    .replace("000001000", "000000000")
                    .replace("1700000000000000000\",\"end", "1700000000000009000\",\"end"),
            )),
        ),
        ("1970", text(otlp(&good.replace("1700000000000000000", "0").replace("1700000000000001000", "5")))),
        ("a time of 30 digits", text(otlp(&good.replace("1700000000000000000", &"9".repeat(30))))),
        ("a negative time", text(otlp(&good.replace("1700000000000000000", "-5")))),
        ("zero ids", text(otlp(&good.replace("0000000000000000000000000000000a", &"0".repeat(32))))),
        ("ids of a thousand digits", text(otlp(&good.replace("000000000000000b", &"f".repeat(1_000))))),
        (
            "ids as numbers",
            text(jaeger(
                r#"{"traceID":18446744073709551615,"spanID":7,"operationName":"x","startTime":1700000000000000,"duration":5}"#,
            )),
        ),
        (
            "a negative duration",
            text(jaeger(
                r#"{"traceID":"1","spanID":"2","operationName":"x","startTime":1700000000000000,"duration":-5}"#,
            )),
        ),
        (
            "an infinite duration",
            text(jaeger(
                r#"{"traceID":"1","spanID":"2","operationName":"x","startTime":1e308,"duration":1e308}"#,
            )),
        ),
        ("a span that is no object", text(jaeger("null, 5, [], \"x\""))),
        ("a field twice", text(otlp(&good.replace("\"name\":\"x\"", "\"name\":\"x\",\"name\":\"y\"")))),
        ("protobuf of a length that is not there", vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3]),
        ("protobuf nested in itself", [0x0a, 0x7f].repeat(50_000)),
        ("gzip of nothing", vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]),
    ]
}
