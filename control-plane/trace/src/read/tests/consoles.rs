//! What console exporters print, written down by hand in the shape that each of them prints.

use super::*;
use crate::{SpanId, SpanKind, SpanOutcome, TraceId};

const TRACE: TraceId = TraceId(0xde0c_4a87_4025_b197_63a0_d836_d823_3724);
const START: i64 = 1_795_792_730_803_103_926;

const GO: &str = r#"{
	"Name": "GET /cart/7",
	"SpanContext": {"TraceID": "de0c4a874025b19763a0d836d8233724", "SpanID": "639877c279db05e3", "TraceFlags": "01", "TraceState": "", "Remote": false},
	"Parent": {"TraceID": "de0c4a874025b19763a0d836d8233724", "SpanID": "82a854eafd58b1cf", "TraceFlags": "01", "TraceState": "", "Remote": true},
	"SpanKind": 2,
	"StartTime": "2026-11-27T16:18:50.803103926+01:00",
	"EndTime": "2026-11-27T15:18:50.803108926Z",
	"Attributes": [{"Key": "http.response.status_code", "Value": {"Type": "INT64", "Value": 503}}, {"Key": "x", "Value": {"Type": "STRINGSLICE", "Value": ["a", "b"]}}],
	"Events": [{"Name": "exception", "Attributes": [{"Key": "exception.message", "Value": {"Type": "STRING", "Value": "no"}}], "Time": "2026-11-27T15:18:50.803107261Z"}],
	"Links": null,
	"Status": {"Code": "Error", "Description": "no"},
	"ChildSpanCount": 0,
	"Resource": [{"Key": "cloud.availability_zone", "Value": {"Type": "STRING", "Value": "eu-1a"}}, {"Key": "service.name", "Value": {"Type": "STRING", "Value": "cart"}}],
	"InstrumentationLibrary": {"Name": "t", "Version": "", "SchemaURL": "", "Attributes": null}
}
"#;

const PYTHON: &str = r#"{
    "name": "GET /cart/7",
    "context": {"trace_id": "0xde0c4a874025b19763a0d836d8233724", "span_id": "0x639877c279db05e3", "trace_state": "[]"},
    "kind": "SpanKind.SERVER",
    "parent_id": "0x82a854eafd58b1cf",
    "start_time": "2026-11-27T15:18:50.803103926Z",
    "end_time": "2026-11-27T15:18:50.803108926Z",
    "status": {"status_code": "ERROR", "description": "no"},
    "attributes": {"http.response.status_code": 503, "x": ["a", "b"]},
    "events": [{"name": "exception", "timestamp": "2026-11-27T15:18:50.803107Z", "attributes": {"exception.message": "no"}}],
    "links": [],
    "resource": {"attributes": {"service.name": "cart", "cloud.availability_zone": "eu-1a"}, "schema_url": ""}
}
"#;

const NODE: &str = r#"{
  resource: {
    attributes: {
      'service.name': 'cart',
      'cloud.availability_zone': "eu-1a",
      'process.command_args': [ '/usr/bin/node', '/app/it\'s.js', ... 2 more items ]
    }
  },
  instrumentationScope: { name: 't', version: undefined, schemaUrl: undefined },
  traceId: 'de0c4a874025b19763a0d836d8233724',
  parentSpanContext: {
    traceId: 'de0c4a874025b19763a0d836d8233724',
    spanId: '82a854eafd58b1cf',
    traceFlags: 1,
    traceState: undefined
  },
  traceState: undefined,
  name: 'GET ' +
    '/cart/7',
  id: '639877c279db05e3',
  kind: 1,
  timestamp: 1795792730803103.926,
  duration: 5,
  attributes: { 'http.response.status_code': 503, x: [ 'a', 'b' ], deep: [Object], big: 12n },
  status: { code: 2, message: `it's "no"` },
  events: [
    {
      name: 'exception',
      attributes: {
        'exception.stacktrace': 'Error: }\n' +
          '    at Object.<anonymous> (/app/x.js:11:58) {'
      },
      time: [ 1795792730, 803107261 ],
      droppedAttributesCount: 0
    }
  ],
  links: []
}
"#;

#[test]
fn one_span_is_the_same_on_every_console() {
    for (sdk, text) in [("Go", GO), ("Python", PYTHON), ("Node", NODE)] {
        let (kept, result) = read(text.repeat(2));
        assert_eq!(result.unwrap(), (2, 0), "{sdk}");
        let span = kept.spans[1];
        assert_eq!((span.trace, span.id), (TRACE, SpanId(0x6398_77c2_79db_05e3)), "{sdk}");
        assert_eq!(span.parent, Some(SpanId(0x82a8_54ea_fd58_b1cf)), "{sdk}");
        let names = (kept.text(span.service), kept.text(span.operation), span.kind);
        assert_eq!(names, ("cart", "GET /cart/{id}", SpanKind::Server), "{sdk}");
        // A double holds the microseconds of Node's times, and not quite their fractions.
        assert!((span.start_ns - START).abs() < 300 && span.duration_ns == 5_000, "{sdk}: {span:?}");
        assert_eq!((span.outcome, span.status), (SpanOutcome::Error, 503), "{sdk}");
        let zone = kept.labels.get(&("cart".to_owned(), "cloud.availability_zone".to_owned()));
        assert_eq!(zone.map(String::as_str), Some("eu-1a"), "{sdk}");
    }
}

#[test]
fn go_on_one_line_and_python_in_any_order_of_fields() {
    let line = serde_json::from_str::<serde_json::Value>(GO).unwrap().to_string();
    assert_eq!(read(format!("{line}\n{line}")).1.unwrap(), (2, 0));
    let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(PYTHON).unwrap();
    fields.sort_keys();
    assert_eq!(read(serde_json::to_vec(&[fields]).unwrap()).1.unwrap(), (1, 0));
}

#[test]
fn roots_say_so_in_their_own_ways() {
    let go = GO.replace("82a854eafd58b1cf", "0000000000000000");
    let python = PYTHON.replace("\"0x82a854eafd58b1cf\"", "null");
    let (begin, end) =
        (NODE.find("parentSpanContext: {").unwrap(), NODE.find("  traceState: undefined,\n  name").unwrap());
    let node = format!("{}parentSpanContext: undefined,\n{}", &NODE[..begin], &NODE[end..]);
    let old_node = format!("{}parentId: undefined,\n{}", &NODE[..begin], &NODE[end..]);
    for text in [go, python, node, old_node] {
        let (kept, result) = read(&text);
        assert_eq!(result.unwrap(), (1, 0), "{text}");
        assert_eq!(kept.spans[0].parent, None, "{text}");
    }
}

#[test]
fn every_cut_of_a_console_keeps_what_stands_before_it() {
    for text in [GO, PYTHON, NODE] {
        let two = text.repeat(2);
        for cut in (text.len()..two.len() - 2).filter(|&cut| two.is_char_boundary(cut)) {
            let (kept, result) = read(&two[..cut]);
            assert_eq!(kept.spans.len(), 1, "cut at {cut}");
            assert!(matches!(result, Ok(_) | Err(ReadError::Truncated { .. })), "cut at {cut}: {result:?}");
        }
    }
}

#[test]
fn what_a_console_misspells_is_quoted() {
    let said = |text: String| {
        let mut kept = Kept::default();
        let result = read_source(text.as_bytes(), &ReadSettings::default(), &mut kept);
        assert_eq!(result.unwrap(), (0, 1));
        kept.examples.remove(0)
    };
    assert!(said(GO.replace("2026-11-27T15:18:50.803108926Z", "later")).ends_with("; end is `later`"));
    assert!(said(PYTHON.replace("0xde0c", "0xzz0c")).contains("trace id is `zz0c4a87"));
    assert!(
        said(NODE.replace("duration: 5", "duration: [ 0, 5 ]")).ends_with("duration is `an object or array`")
    );
}

#[test]
fn lines_of_the_application_stand_between_the_spans_of_a_console() {
    let log = "2026/11/27 listening on :8080\n[INFO] ready {\n{\"level\":\"info\",\"msg\":\"served\"}\n";
    for text in [GO, PYTHON, NODE] {
        let (kept, result) = read(format!("{text}{log}{text}last words"));
        assert_eq!(result.unwrap(), (2, 4));
        assert_eq!(
            kept.examples[0],
            "a line between spans, found `2026/11/27 listening on :8080 [INFO] ready { {\"...`"
        );
    }
}
