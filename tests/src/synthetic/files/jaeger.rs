//! Jaeger's query format: traces, each with its spans and processes; microseconds.

use std::collections::BTreeMap;
use std::io::{self, Write};

use emac_trace::{Span, Symbol, TraceId};
use serde_json::{Value, json};

use super::{GRPC_STATUS, Texts, attempt, error, is_grpc, kind_text};

pub(super) fn write(
    spans: impl Iterator<Item = Span>,
    names: &Texts<'_>,
    out: &mut impl Write,
) -> io::Result<u64> {
    let mut traces: BTreeMap<TraceId, Vec<Span>> = BTreeMap::new();
    spans.for_each(|span| traces.entry(span.trace).or_default().push(span));
    write!(out, "{{\"data\":[")?;
    let mut comma = "\n";
    for (id, spans) in &traces {
        write!(out, "{comma}{}", trace(*id, spans, names))?;
        comma = ",\n";
    }
    writeln!(out, "\n]}}")?;
    Ok(traces.values().map(|spans| spans.len() as u64).sum())
}

fn trace(id: TraceId, spans: &[Span], names: &Texts<'_>) -> Value {
    let mut processes: BTreeMap<(Symbol, Symbol), String> = BTreeMap::new();
    for span in spans {
        let next = processes.len() + 1;
        processes.entry((span.service, span.instance)).or_insert_with(|| format!("p{next}"));
    }
    let spans: Vec<Value> =
        spans.iter().map(|span| span_json(span, &processes[&(span.service, span.instance)], names)).collect();
    let process = |(key, name): (&(Symbol, Symbol), &String)| {
        let tags = names.resource(*key).into_iter().skip(1).map(|(key, value)| tag(key, value));
        let process = json!({"serviceName": names.text(key.0), "tags": tags.collect::<Vec<_>>()});
        (name.clone(), process)
    };
    let processes: serde_json::Map<String, Value> = processes.iter().map(process).collect();
    json!({"traceID": format!("{:032x}", id.0), "spans": spans, "processes": processes})
}

fn span_json(span: &Span, process: &str, names: &Texts<'_>) -> Value {
    let trace = format!("{:032x}", span.trace.0);
    let parent = span.parent.map(
        |parent| json!({"refType": "CHILD_OF", "traceID": trace, "spanID": format!("{:016x}", parent.0)}),
    );
    json!({
        "traceID": trace,
        "spanID": format!("{:016x}", span.id.0),
        "operationName": names.text(span.operation),
        "references": parent.into_iter().collect::<Vec<_>>(),
        "startTime": span.start_ns.div_euclid(1_000),
        "duration": span.duration_ns / 1_000,
        "tags": tags(span, names),
        "processID": process,
    })
}

fn tags(span: &Span, names: &Texts<'_>) -> Vec<Value> {
    let mut tags = vec![tag("span.kind", kind_text(span.kind))];
    if span.status != 0 {
        let key = if is_grpc(span) { GRPC_STATUS } else { "http.status_code" };
        tags.push(json!({"key": key, "type": "int64", "value": span.status}));
    }
    if !span.peer.is_none() {
        tags.push(tag("peer.service", names.text(span.peer)));
    }
    tags.extend(attempt(span).map(|(key, number)| json!({"key": key, "type": "int64", "value": number})));
    if let Some(why) = error(span) {
        tags.extend([json!({"key": "error", "type": "bool", "value": true}), tag("error.type", why)]);
    }
    tags
}

fn tag(key: &str, value: &str) -> Value {
    json!({"key": key, "type": "string", "value": value})
}
