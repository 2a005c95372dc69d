//! Each format's own ways are understood. That one set of spans is the same in every format is tested where they are written.

use super::*;

const START: i64 = 1_700_000_000_000_000_000;

#[test]
fn many_documents_in_one_file() {
    let span = |id: u8| {
        format!(
            r#"{{"traceId":"0{id}","spanId":"0{id}","startTimeUnixNano":{START},"endTimeUnixNano":{START},"name":"x"}}"#
        )
    };
    let line = |id| format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#, span(id));
    let zipkin = r#"{"traceId":"3","id":"3","timestamp":1700000000000000,"duration":1}"#;
    let text = format!(
        "{}\n{{\"resourceLogs\":[{{}}]}}\n{}\r\n[[{zipkin}]]\n{zipkin}\n[{}]\n{{\"result\":{}}}",
        line(1),
        line(2),
        line(4),
        line(5)
    );
    let (kept, result) = read(&text);
    assert_eq!(result.unwrap(), (6, 0));
    assert_eq!(kept.count(|span| span.id.0), BTreeMap::from([(1, 1), (2, 1), (3, 2), (4, 1), (5, 1)]));
    assert!(kept.spans.iter().all(|span| kept.text(span.service) == "unknown"));
}

#[test]
fn references_within_the_trace_count() {
    let jaeger = |references: &str| {
        let text = format!(
            r#"{{"data":[{{"spans":[{{"traceID":"a","spanID":"1","references":[{references}],"startTime":1700000000000000,
               "duration":"5","processID":"p1"}}],"processes":{{"p1":{{"serviceName":"s"}}}}}}]}}"#
        );
        let (kept, result) = read(&text);
        assert_eq!(result.unwrap(), (1, 0));
        kept.spans[0].parent.map(|parent| parent.0)
    };
    let nested = r#"{"refType":"CHILD_OF","traceID":"a","spanID":"2","span":{"spanID":"9","references":[{"span":{}}]}}"#;
    assert_eq!(jaeger(nested), Some(2));
    assert_eq!(jaeger(r#"{"refType":"CHILD_OF","traceID":"b","spanID":"2"}"#), None);
    let follows = r#"{"refType":"FOLLOWS_FROM","traceID":"a","spanID":"3"}"#;
    assert_eq!(jaeger(follows), Some(3));
    assert_eq!(jaeger(&format!("{follows},{nested}")), Some(2));
}

#[test]
fn labels_that_are_asked_for_are_found() {
    let text = format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[
            {{"key":"service.name","value":{{"stringValue":"s"}}}},{{"key":"rack","value":{{"intValue":"7"}}}},
            {{"key":"emac.domain/net","value":{{"stringValue":"n"}}}},{{"key":"other","value":{{"stringValue":"o"}}}}]}},
            "scopeSpans":[{{"spans":[{{"traceId":"1","spanId":"1","startTimeUnixNano":{START},"endTimeUnixNano":{START}}}]}}]}}]}}"#
    );
    let settings = ReadSettings { label_keys: ["rack".to_owned()].into(), ..ReadSettings::default() };
    let (kept, _) = read_with(text.as_bytes(), &settings);
    let label = |key: &str| kept.labels.get(&("s".to_owned(), key.to_owned())).map(String::as_str);
    assert_eq!((label("rack"), label("emac.domain/net"), label("other")), (Some("7"), Some("n"), None));
}

#[test]
fn a_resource_alone_is_a_document() {
    let line = r#"{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"front"}}]},"scopeSpans":[{"spans":[{"traceId":"1","spanId":"2","name":"GET","startTimeUnixNano":1700000000000000000,"endTimeUnixNano":1700000000000000001}]}]}"#;
    let (kept, result) = read(format!("{line}\n{line}\n"));
    assert_eq!(result.unwrap(), (2, 0));
    assert!(kept.spans.iter().all(|span| kept.text(span.service) == "front"));
}

#[test]
fn zipkins_times_are_optional() {
    let (kept, result) =
        read(r#"[{"traceId":"1","id":"2","name":"get","localEndpoint":{"serviceName":"items"}}]"#);
    assert_eq!(result.unwrap(), (1, 0));
    assert_eq!((kept.spans[0].start_ns, kept.spans[0].duration_ns), (Span::NO_TIME, Span::NO_TIME));
}
