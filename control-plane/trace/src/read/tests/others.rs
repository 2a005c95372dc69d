//! Zipkin's version 1, X-Ray, zstd, links, and answers with errors: written down by hand in the shape that each has.

use super::*;
use crate::{SpanId, SpanKind, SpanOutcome, TraceId};

/// Service, operation, kind, parent, peer, start in microseconds behind 1.7e15, duration in microseconds.
fn told(kept: &Kept) -> Vec<(&str, &str, SpanKind, u64, &str, i64, i64)> {
    let tell = |span: &Span| {
        let start = span.start_ns / 1_000 - 1_700_000_000_000_000;
        (
            kept.text(span.service),
            kept.text(span.operation),
            span.kind,
            span.parent.map_or(0, |parent| parent.0),
            kept.text(span.peer),
            start,
            span.duration_ns / 1_000,
        )
    };
    kept.spans.iter().map(tell).collect()
}

#[test]
fn both_halves_of_a_call_in_one_object_of_zipkin_v1() {
    let text = r#"[{"traceId":"1","id":"2","parentId":"1","name":"get","timestamp":1700000000000010,"duration":90,"annotations":[
        {"timestamp":1700000000000010,"value":"cs","endpoint":{"serviceName":"front"}},
        {"timestamp":1700000000000020,"value":"sr","endpoint":{"serviceName":"cart"}},
        {"timestamp":1700000000000080,"value":"ss","endpoint":{"serviceName":"cart"}},
        {"timestamp":1700000000000100,"value":"cr","endpoint":{"serviceName":"front"}}],
        "binaryAnnotations":[
        {"key":"http.status_code","value":"503","endpoint":{"serviceName":"cart"}},
        {"key":"error","value":"","endpoint":{"serviceName":"cart"}},
        {"key":"sa","value":true,"endpoint":{"serviceName":"cart","ipv4":"10.0.0.7"}}]}]"#;
    let (kept, result) = read(text);
    assert_eq!(result.unwrap(), (2, 0));
    assert_eq!(
        told(&kept),
        [
            ("front", "get", SpanKind::Client, 1, "cart", 10, 90),
            ("cart", "get", SpanKind::Server, 1, "", 20, 60)
        ]
    );
    assert_eq!(kept.spans[0].outcome, SpanOutcome::Good, "the tag is the server's");
    assert_eq!(
        (kept.spans[1].outcome, kept.spans[1].status, kept.spans[1].shared),
        (SpanOutcome::Error, 503, true)
    );
}

#[test]
fn halves_of_zipkin_v1_that_stand_alone() {
    let span = |annotations: &str, binary: &str| {
        let text = format!(
            r#"[{{"traceId":"1","id":"2","name":"get","annotations":[{annotations}],"binaryAnnotations":[{binary}]}}]"#
        );
        let (kept, result) = read(text);
        assert_eq!(result.unwrap().0, 1);
        let span = kept.spans[0];
        let times =
            [span.start_ns, span.duration_ns].map(|ns| if ns == Span::NO_TIME { -1 } else { ns / 1_000 });
        (kept.text(span.service).to_owned(), span.kind, kept.text(span.peer).to_owned(), times)
    };
    let at = |us: u64, what: &str, who: &str| {
        format!(
            r#"{{"timestamp":{},"value":"{what}","endpoint":{{"serviceName":"{who}"}}}}"#,
            1_700_000_000_000_000 + us
        )
    };
    let start = 1_700_000_000_000_000;
    let server = span(&[at(1, "sr", "cart"), at(4, "ss", "cart")].join(","), "");
    assert_eq!(server, ("cart".into(), SpanKind::Server, "".into(), [start + 1, 3]));
    let message =
        span(&at(1, "ms", "front"), r#"{"key":"ma","value":true,"endpoint":{"serviceName":"broker"}}"#);
    assert_eq!(message, ("front".into(), SpanKind::Producer, "broker".into(), [start + 1, -1]));
    // Only the other end's address tells that it is a client; nobody says when.
    let address = span(
        "",
        r#"{"key":"sa","value":true,"endpoint":{"serviceName":"mysql"}},{"key":"sql","value":"x","endpoint":{"serviceName":"cart"}}"#,
    );
    assert_eq!(address, ("cart".into(), SpanKind::Client, "mysql".into(), [-1, -1]));
    let local = span("", r#"{"key":"lc","value":"spark","endpoint":{"serviceName":"job"}}"#);
    assert_eq!(local, ("job".into(), SpanKind::Internal, "".into(), [-1, -1]));
}

#[test]
fn annotations_of_zipkin_v2_are_no_halves() {
    let text = r#"[{"traceId":"1","id":"2","kind":"CLIENT","timestamp":1700000000000010,"duration":9,"localEndpoint":{"serviceName":"front"},
        "annotations":[{"timestamp":1700000000000012,"value":"sr"}]}]"#;
    let (kept, _) = read(text);
    assert_eq!(told(&kept), [("front", "", SpanKind::Client, 0, "", 10, 9)]);
}

const SEGMENT: &str = r#"{"id":"53995c3f42cd8ad8","name":"front","start_time":1700000000.001,"trace_id":"1-6553f100-a006649127e371903a2de979","end_time":1700000000.101,
    "http":{"request":{"method":"POST","url":"https://shop.example.com/orders/7?x=1"},"response":{"status":200}},
    "aws":{"ec2":{"availability_zone":"eu-west-1c","instance_id":"i-1"}},"service":{"version":"4"},
    "subsegments":[
      {"id":"1111111111111111","name":"cart.internal","namespace":"remote","start_time":1700000000.011,"end_time":1700000000.031,"fault":true,
       "http":{"request":{"method":"GET","url":"http://cart.internal/cart/7"},"response":{"status":503}}},
      {"id":"2222222222222222","name":"work","start_time":1700000000.041,"end_time":1700000000.091,"subsegments":[
        {"id":"3333333333333333","name":"DynamoDB","namespace":"aws","start_time":1700000000.051,"end_time":1700000000.061,"aws":{"operation":"PutItem","table_name":"orders"}},
        {"id":"4444444444444444","name":"shop@db.example.com","start_time":1700000000.062,"end_time":1700000000.063,"sql":{"url":"jdbc:postgresql://db.example.com:5432/shop","database_type":"PostgreSQL"}},
        {"id":"5555555555555555","name":"SQS","namespace":"aws","start_time":1700000000.064,"end_time":1700000000.065,"aws":{"operation":"SendMessage","queue_url":"https://sqs.eu-west-1.amazonaws.com/1/paid"}}]}]}"#;
const INFERRED: &str = r#"{"id":"6666666666666666","name":"DynamoDB","trace_id":"1-6553f100-a006649127e371903a2de979","parent_id":"3333333333333333","start_time":1700000000.051,"end_time":1700000000.061,"inferred":true}"#;

#[test]
fn segments_of_xray() {
    let answer = serde_json::json!({"Traces": [{"Id": "1-6553f100-a006649127e371903a2de979", "Duration": 0.1, "Segments": [
        {"Id": "53995c3f42cd8ad8", "Document": SEGMENT}, {"Id": "6666666666666666", "Document": INFERRED}]}], "UnprocessedTraceIds": []});
    let lines = [SEGMENT, INFERRED]
        .map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap().to_string())
        .join("\n");
    for text in [answer.to_string(), serde_json::to_string_pretty(&answer).unwrap(), lines] {
        let (kept, result) = read(text);
        assert_eq!(result.unwrap(), (6, 0));
        let mut told = told(&kept);
        told.sort_by_key(|span| span.5);
        let root = 0x5399_5c3f_42cd_8ad8;
        assert_eq!(
            told,
            [
                ("front", "POST /orders/{id}", SpanKind::Server, 0, "", 1_000, 100_000),
                ("front", "GET /cart/{id}", SpanKind::Client, root, "cart.internal", 11_000, 20_000),
                ("front", "work", SpanKind::Internal, root, "", 41_000, 50_000),
                (
                    "front",
                    "PutItem",
                    SpanKind::Client,
                    0x2222_2222_2222_2222,
                    "dynamodb:orders",
                    51_000,
                    10_000
                ),
                (
                    "front",
                    "shop@db.example.com",
                    SpanKind::Client,
                    0x2222_2222_2222_2222,
                    "postgresql:shop@db.example.com",
                    62_000,
                    1_000
                ),
                (
                    "front",
                    "SendMessage",
                    SpanKind::Producer,
                    0x2222_2222_2222_2222,
                    "sqs:paid",
                    64_000,
                    1_000
                ),
            ]
        );
        assert!(
            kept.spans.iter().all(|span| span.trace == TraceId(0x6553_f100_a006_6491_27e3_7190_3a2d_e979))
        );
        assert_eq!(kept.spans.iter().filter(|span| span.outcome == SpanOutcome::Error).count(), 1);
        assert_eq!(kept.labels[&("front".to_owned(), "cloud.availability_zone".to_owned())], "eu-west-1c");
    }
}

#[test]
fn what_xray_lacks_is_counted() {
    let open = SEGMENT.replace(r#""end_time":1700000000.101"#, r#""in_progress":true"#);
    let answer = serde_json::json!({"UnprocessedTraceIds": ["1-a-b"], "Traces": [{"Segments": [{"Document": open}, {"Document": "{"}, {"Document": 7}, 7]}]});
    let (kept, result) = read(answer.to_string());
    assert_eq!(result.unwrap(), (5, 4));
    assert_eq!(kept.refused, BTreeMap::from([(Refused::Time, 1), (Refused::Malformed, 3)]));
    assert_eq!(kept.odd, ["Partial: trace 1-a-b was not processed"]);
    let deep = format!("{}{}", r#"{"id":"1","name":"x","subsegments":["#.repeat(70), "]}".repeat(70));
    assert_eq!(
        read(SEGMENT.replace(r#""service":{"version":"4"}"#, &format!(r#""subsegments":[{deep}]"#)))
            .1
            .unwrap()
            .1,
        65
    );
}

/// Written by `zstd -19`.
const ZSTD: &str = "28b52ffd2443c5010062030c11a0ed05ac060fbe960a10d54b3907feedc260923d6baaf945740d45ecdde28669a9be7e7c8fd4f5e27b64d2e1d7970101003fc0133c9016f6";

#[test]
fn frames_of_zstd_one_behind_the_other() {
    let frame: Vec<u8> =
        (0..ZSTD.len() / 2).map(|i| u8::from_str_radix(&ZSTD[2 * i..2 * i + 2], 16).unwrap()).collect();
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let prefixed = [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], &frame].concat();
    for (bytes, spans) in [
        (frame.clone(), 1),
        (frame.repeat(3), 3),
        ([&skipped[..], &frame, &skipped, &frame].concat(), 2),
        (prefixed.repeat(2), 2),
    ] {
        assert_eq!(read(bytes).1.unwrap(), (spans, 0));
    }
    for cut in 4..frame.len() {
        assert!(read(&frame[..cut]).1.is_err(), "cut at {cut}");
    }
    let mut wrong = frame.clone();
    *wrong.last_mut().unwrap() ^= 1;
    assert!(read(wrong).1.unwrap_err().to_string().contains("wrong checksum"));
    // A window of 2 GiB is not held.
    let huge = read([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 1, 0, 0]).1.unwrap_err().to_string();
    assert!(huge.contains("indow"), "{huge}");
    // What a file says of itself is checked: twice compressed is not unpacked without end.
    let twice = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    assert!(read(twice).1.is_err());
}

#[test]
fn answers_with_errors_say_so() {
    let said = |text: &str| read(text).1.unwrap_err().to_string();
    let answer = |quoted: &str| {
        format!(
            "byte 0: this is an answer with an error and no traces: `{quoted}`; ask again and save an answer with traces"
        )
    };
    assert_eq!(
        said(
            r#"{"data":null,"total":0,"limit":0,"offset":0,"errors":[{"code":404,"msg":"trace not found"}]}"#
        ),
        answer(r#"[{"code":404,"msg":"trace not found"}]"#)
    );
    assert_eq!(said(r#"{"error":"invalid TraceQL query","code":400}"#), answer(r#""invalid TraceQL query""#));
    assert_eq!(
        said(r#"{"code":5,"message":"trace not found","details":[]}"#),
        answer(r#""trace not found""#)
    );
    assert_eq!(
        said(
            r#"{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}"#
        ),
        answer(r#""The security token included in the request is expired""#)
    );
    let page = said("<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title>");
    assert!(page.starts_with("byte 0: a page or XML (of a login, or of an error?), no answer of an API, found `<!DOCTYPE html> <html><head><title>502 Bad G...`"), "{page}");
    // An answer without errors may have the field, and be empty.
    assert_eq!(read(r#"{"data":[],"errors":null}"#).1.unwrap(), (0, 0));
    let list = said(r#"{"traces":[{"traceID":"2f3e","rootServiceName":"shop"}],"metrics":{}}"#);
    assert!(list.contains("a list of traces without their spans: ask for the traces themselves"), "{list}");
    // Not every document with a message is an answer.
    assert!(
        said(r#"{"level":"info","message":"started"}"#)
            .contains("JSON, but no traces, found `{\"level\":\"info\"")
    );
    let (kept, result) = read(
        r#"{"data":[{"spans":[{"traceID":"1","spanID":"1","startTime":1700000000000000,"duration":1}]}],"errors":[{"msg":"one shard is down"}]}"#,
    );
    assert_eq!(result.unwrap(), (1, 0));
    assert!(kept.odd.iter().any(|odd| odd == r#"Partial: [{"msg":"one shard is down"}]"#), "{:?}", kept.odd);
}

#[test]
fn spans_that_stand_alone() {
    let otlp = r#"{"traceId":"1","spanId":"2","name":"x","startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000000000001"}"#;
    let jaeger = r#"{"traceID":"1","spanID":"2","operationName":"x","startTime":1700000000000000,"duration":1,"process":{"serviceName":"front","tags":[]}}"#;
    let (kept, result) = read(format!("{otlp}\n{jaeger}"));
    assert_eq!(result.unwrap(), (2, 0));
    assert_eq!(
        kept.spans.iter().map(|span| kept.text(span.service)).collect::<Vec<_>>(),
        ["unknown", "front"]
    );
    assert_eq!(kept.odd.len(), 1);
}

#[test]
fn links_to_other_traces_are_told() {
    let times = r#""startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000000000001""#;
    let otlp = format!(
        r#"{{"resourceSpans":[{{"resource":{{}},"scopeSpans":[{{"spans":[
        {{"traceId":"2","spanId":"5",{times},"links":[{{"traceId":"2","spanId":"3"}},{{"traceId":"1","spanId":"4"}},{{}}]}},
        {{"traceId":"2","spanId":"6","parentSpanId":"5",{times},"links":[{{"traceId":"1","spanId":"4"}}]}}]}}]}}]}}"#
    );
    let jaeger = r#"{"data":[{"spans":[{"traceID":"2","spanID":"5","startTime":1700000000000000,"duration":1,"references":[{"refType":"FOLLOWS_FROM","traceID":"1","spanID":"4"}],"processID":"p"}],"processes":{"p":{"serviceName":"s"}}}]}"#;
    let python = r#"{"name":"x","context":{"trace_id":"0x2","span_id":"0x5"},"start_time":"2026-11-27T15:18:50Z","end_time":"2026-11-27T15:18:50Z","links":[{"context":{"trace_id":"0x1","span_id":"0x4"},"attributes":{}}]}"#;
    let go = r#"{"SpanContext":{"TraceID":"2","SpanID":"5"},"StartTime":"2026-11-27T15:18:50Z","EndTime":"2026-11-27T15:18:50Z","Links":[{"SpanContext":{"TraceID":"1","SpanID":"4"}}]}"#;
    let node = "{ traceId: '2', id: '5', timestamp: 1700000000000000, duration: 1, links: [ { context: { traceId: '1', spanId: '4' } } ] }";
    for text in [&otlp, jaeger, python, go, node] {
        let (kept, result) = read(text);
        assert!(result.is_ok(), "{text}");
        assert_eq!(kept.links, [(SpanId(5), TraceId(1), SpanId(4))], "a root's link alone: {text}");
    }
}

#[test]
fn what_a_root_says_of_its_sampling_is_read() {
    let jaeger = |tags: &str| {
        format!(
            r#"{{"data":[{{"spans":[{{"traceID":"1","spanID":"2","startTime":1700000000000000,"duration":1,"tags":[{tags}],"processID":"p"}}],"processes":{{"p":{{"serviceName":"s"}}}}}}]}}"#
        )
    };
    let tag =
        |key: &str, kind: &str, value: &str| format!(r#"{{"key":"{key}","type":"{kind}","value":{value}}}"#);
    let with = |sampler: &str, param: &str| {
        [tag("sampler.type", "string", &format!("\"{sampler}\"")), tag("sampler.param", "x", param)].join(",")
    };
    for (tags, says) in [
        (with("probabilistic", "0.25"), Some(0.25)),
        (with("probabilistic", "\"0.25\""), Some(0.25)),
        (with("const", "true"), Some(1.0)),
        (with("const", "false"), None),
        (with("ratelimiting", "2.0"), None),
        (tag("sampler.param", "float64", "0.5"), None),
    ] {
        let (kept, result) = read(jaeger(&tags));
        assert!(result.is_ok());
        assert_eq!(kept.sampled, Vec::from_iter(says), "{tags}");
    }
}

/// Callees of a request, each with its outcome, as they are put together.
fn callees(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut assembler =
        crate::Assembler::new(crate::TraceLimits::default(), |trace: &crate::Trace, symbols: &Symbols| {
            let call = |call: &crate::Call| format!("{} {:?}", symbols.text(call.service), call.outcome);
            found.extend(trace.calls.iter().map(call));
        });
    read_source(text.as_bytes(), &ReadSettings::default(), &mut assembler).unwrap();
    drop(assembler.finish());
    found
}

#[test]
fn main_and_standby_of_one_database_are_two() {
    let span = |id: u8, start: u64, host: &str, status: u8| {
        let attribute =
            |key: &str, value: &str| format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#);
        let attributes =
            [("db.system.name", "postgresql"), ("db.namespace", "shop"), ("server.address", host)];
        format!(
            r#"{{"traceId":"1","spanId":"{id}","parentSpanId":"1","kind":3,"name":"SELECT shop","startTimeUnixNano":"17000000000000000{start}","endTimeUnixNano":"17000000000000000{}","attributes":[{}],"status":{{"code":{status}}}}}"#,
            start + 5,
            attributes.map(|(key, value)| attribute(key, value)).join(",")
        )
    };
    let text = format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"orders"}}}}]}},"scopeSpans":[{{"spans":[
        {{"traceId":"1","spanId":"1","kind":2,"name":"POST /orders","startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000000000099"}},
        {},{}]}}]}}]}}"#,
        span(2, 10, "pg-1", 2),
        span(3, 20, "pg-2", 0)
    );
    assert_eq!(callees(&text), ["orders Good", "postgresql:shop@pg-1 Error", "postgresql:shop@pg-2 Good"]);
}
