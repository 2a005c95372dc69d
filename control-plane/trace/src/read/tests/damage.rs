//! Files that are no traces, not whole, or hostile.

use std::fs;

use super::*;

const START: u64 = 1_700_000_000_000_000_000;

fn otlp(spans: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#)
}

fn span(fields: &str) -> String {
    format!(r#"{{"name":"x",{fields}}}"#)
}

fn good(id: u64) -> String {
    span(&format!(r#""traceId":"1","spanId":"{id:x}","startTimeUnixNano":{START},"endTimeUnixNano":{START}"#))
}

#[test]
fn spans_that_cannot_be_taken_are_counted_and_the_rest_goes_on() {
    let times = format!(r#""startTimeUnixNano":{START},"endTimeUnixNano":{START}"#);
    for (bad, reason) in [
        (format!(r#""spanId":"1",{times}"#), Refused::Id),
        (format!(r#""traceId":"1","spanId":"0",{times}"#), Refused::Id),
        (format!(r#""traceId":"xyz","spanId":"1",{times}"#), Refused::Id),
        (format!(r#""traceId":{{}},"spanId":[1],{times}"#), Refused::Id),
        (format!(r#""traceId":"1","spanId":"1","parentSpanId":"zz",{times}"#), Refused::Id),
        (r#""traceId":"1","spanId":"1""#.to_owned(), Refused::Time),
        (format!(r#""traceId":"1","spanId":"1","startTimeUnixNano":{START},"endTimeUnixNano":1"#), Refused::Time),
        (r#""traceId":"1","spanId":"1","startTimeUnixNano":7,"endTimeUnixNano":8"#.to_owned(), Refused::Time),
        (r#""traceId":"1","spanId":"1","startTimeUnixNano":"99999999999999999999","endTimeUnixNano":"99999999999999999999""#.to_owned(), Refused::Time),
        (r#""traceId":"1","spanId":"1","startTimeUnixNano":1e999,"endTimeUnixNano":-5"#.to_owned(), Refused::Time),
    ] {
        let (kept, result) = read(otlp(&format!("{},{}", span(&bad), good(2))));
        assert_eq!(result.unwrap(), (1, 1), "{bad}");
        assert_eq!(kept.refused, BTreeMap::from([(reason, 1)]), "{bad}");
    }
    let (kept, result) = read(otlp(&format!("7,null,\"x\",[[]],{}", good(2))));
    assert_eq!(result.unwrap(), (1, 4));
    assert_eq!(kept.refused[&Refused::Malformed], 4);
}

#[test]
fn broken_spans_of_protobuf_are_counted_and_the_rest_goes_on() {
    let bytes = |number: u8, value: &[u8]| [&[number << 3 | 2, value.len() as u8][..], value].concat();
    let fixed = |number: u8| [&[number << 3 | 1][..], &START.to_le_bytes()].concat();
    let good = [bytes(1, &[1; 16]), bytes(2, &[1; 8]), fixed(7), fixed(8)].concat();
    for (broken, reason) in [
        (&[0xff, 0xff, 0xff][..], Refused::Malformed),
        (&[0x0b][..], Refused::Malformed),
        (&[0x2a, 0x7f, b'x'][..], Refused::Malformed),
        (&bytes(1, &[1; 15]), Refused::Id),
        (&[][..], Refused::Id),
    ] {
        let scope = [bytes(2, broken), bytes(2, &good)].concat();
        let (kept, result) = read(bytes(1, &bytes(2, &scope)));
        assert_eq!(result.unwrap(), (1, 1), "{broken:?}");
        assert_eq!(kept.refused, BTreeMap::from([(reason, 1)]));
    }
    let (kept, result) = read([bytes(1, &bytes(2, &bytes(2, &good))), vec![0x0a, 9, 0x12, 50]].concat());
    assert_eq!(kept.spans.len(), 1);
    assert!(matches!(result, Err(ReadError::Syntax { .. })), "{result:?}");
}

#[test]
fn every_cut_keeps_what_stands_before_it() {
    let spans: Vec<_> = (1..6).map(good).collect();
    let text = otlp(&spans.join(","));
    let ends: Vec<_> = (1..6).map(|n| otlp(&spans[..n].join(",")).len() - 6).collect();
    for cut in 1..text.len() {
        let (kept, result) = read(&text.as_bytes()[..cut]);
        let expected = ends.iter().filter(|&&end| cut >= end).count();
        assert_eq!(kept.spans.len(), expected, "cut at {cut}");
        match result {
            Err(ReadError::Truncated { at, .. }) => assert_eq!(at, cut as u64),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let said = |bytes: &[u8]| read(bytes).1.unwrap_err().to_string();
    let known = "known are OTLP (JSON, JSON lines, protobuf, length-prefixed protobuf), Jaeger JSON, Zipkin JSON (v1, v2), AWS X-Ray JSON and what the console exporters of OpenTelemetry for Go, Python and JavaScript print, each also in gzip or zstd";
    assert_eq!(said(b""), "is empty");
    assert_eq!(
        said(b"hello"),
        format!("byte 0: neither JSON nor protobuf of traces, found `hello`; {known}")
    );
    assert_eq!(said(b"{\"a\": 1}"), format!("byte 0: JSON, but no traces, found `{{\"a\": 1}}`; {known}"));
    assert_eq!(
        said(b"{\"data\": {\"result\": []}}"),
        format!("byte 0: JSON, but no traces, found `{{\"data\": {{\"result\": []}}}}`; {known}")
    );
    assert_eq!(said(b"[1, 2]"), format!("byte 0: JSON, but no traces, found `[1, 2]`; {known}"));
    let trailing = otlp("") + " and more";
    assert_eq!(
        said(trailing.as_bytes()),
        "byte 50: expected a JSON object or array, found `and more`; what stands before it was read"
    );
    assert_eq!(
        said(b"{\"resourceSpans\": [{]}"),
        "byte 20: expected a field's name in quotes, found `]}`; what stands before it was read"
    );
    let broken = said(b"\x1f\x8b\x08");
    assert!(
        broken.starts_with("byte 0: reading failed (")
            && broken.ends_with("); what stands before it was read")
    );
}

#[test]
fn nesting_ends_in_an_error() {
    for (open, at_least) in [("[", 0), ("{\"trace\":", 0), ("{\"a\":[", 0)] {
        let (kept, result) = read(open.repeat(200_000));
        assert!(result.is_err() && kept.spans.len() >= at_least, "{open}");
    }
    let deep = format!(r#""traceId":"1","spanId":"1","events":{}{}"#, "[".repeat(5_000), "]".repeat(5_000));
    let (kept, result) = read(otlp(&format!("{},{}", good(2), span(&deep))));
    assert_eq!(kept.spans.len(), 1);
    assert!(result.unwrap_err().to_string().contains("nested deeper"));
}

#[test]
fn an_element_may_be_large_but_not_without_end() {
    let large = format!(
        r#"{},"attributes":[{{"key":"sql","value":{{"stringValue":"{}"}}}}]}}"#,
        good(1).trim_end_matches('}'),
        "x".repeat(3 << 20)
    );
    let settings = ReadSettings { element_bytes_max: 2 << 20, ..ReadSettings::default() };
    assert_eq!(read(otlp(&large)).1.unwrap(), (1, 0));
    let (_, result) = read_with(otlp(&large).as_bytes(), &settings);
    assert!(matches!(result, Err(ReadError::TooLarge { bytes_max: 0x20_0000, .. })));
    // What is not looked at needs no room.
    let (_, result) =
        read_with(format!(r#"{{"x":"{}","resourceSpans":[]}}"#, "x".repeat(3 << 20)).as_bytes(), &settings);
    assert_eq!(result.unwrap(), (0, 0));
}

#[test]
fn spans_wait_for_their_service_up_to_a_limit() {
    let spans: Vec<_> = (1..=10)
        .map(|id| format!(r#"{{"traceID":"1","spanID":"{id:x}","startTime":1700000000000000,"duration":1,"processID":"p"}}"#))
        .collect();
    let text = format!(
        r#"{{"data":[{{"spans":[{}],"processes":{{"p":{{"serviceName":"s"}}}}}}]}}"#,
        spans.join(",")
    );
    let settings = ReadSettings { deferred_max: 7, ..ReadSettings::default() };
    let (kept, result) = read_with(text.as_bytes(), &settings);
    assert_eq!(result.unwrap(), (7, 3));
    assert!(kept.spans.iter().all(|span| kept.text(span.service) == "s"));
}

#[test]
fn invalid_text_is_replaced() {
    let text = otlp(&good(1)).replace("\"x\"", "\"a?b\"");
    let bytes: Vec<u8> = text.bytes().map(|b| if b == b'?' { 0xff } else { b }).collect();
    let (kept, result) = read(bytes);
    assert_eq!(result.unwrap(), (1, 0));
    assert_eq!(kept.text(kept.spans[0].operation), "a\u{fffd}b");
}

#[test]
fn folders_are_read_in_order_and_problems_stop_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::create_dir_all(place("b")).unwrap();
    for (name, text) in [
        ("b/2.json", otlp(&good(2))),
        ("a.txt", otlp(&good(1))),
        ("c.json", otlp(&good(3)) + "garbage"),
        ("LICENSE", "Permission is granted".to_owned()),
        ("empty", String::new()),
        (".hidden", "x".to_owned()),
    ] {
        fs::write(place(name), text).unwrap();
    }
    let mut kept = Kept::default();
    let mut reports = Vec::new();
    let paths = [folder.path().to_owned(), place("missing")];
    let summary =
        read_paths(&paths, &ReadSettings::default(), &mut kept, &mut |progress| reports.push(progress));
    assert_eq!(kept.spans.iter().map(|span| span.id.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((summary.files, summary.spans, summary.refused), (3, 3, 0));
    let names = |list: &[FileProblem]| {
        list.iter().map(|p| p.path.file_name().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&summary.problems), ["missing", "c.json"]);
    assert_eq!(names(&summary.passed_over), ["LICENSE", "empty"]);
    let last = reports.last().unwrap();
    assert_eq!((last.bytes, last.spans), (last.bytes_total, 3));
    // Somebody who names a file means it.
    let summary =
        read_paths(&[place("LICENSE")], &ReadSettings::default(), &mut Kept::default(), &mut |_| {});
    assert_eq!(names(&summary.problems), ["LICENSE"]);
}
