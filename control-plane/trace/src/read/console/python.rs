//! Python's `ConsoleSpanExporter`: `{"name", "context": {"trace_id": "0x...", "span_id": "0x..."}, "kind": "SpanKind.SERVER", "parent_id",
//! "start_time", "end_time", "status": {"status_code": "ERROR"}, "attributes": {...}, "links", "resource": {"attributes": {...}}}`.

use super::{Printed, attributes, bare, ids, linked, only, unix_ns};
use crate::read::attributes::{Attributes, kind};
use crate::read::id::Form;
use crate::read::json::{Json, Stop};
use crate::read::keys::Keys;
use crate::read::otlp::json::read_links;

pub(super) fn span<'a>(json: &mut Json<'a>, keys: &Keys) -> Result<Printed<'a>, Stop> {
    let mut printed = Printed::default();
    let Printed { found, resource } = &mut printed;
    let (mut end_ns, mut links) = (None, Vec::new());
    json.object(|json, key| {
        match key {
            "name" => found.name = json.value()?.text().unwrap_or_default(),
            "context" => {
                let (trace, span) = ids(json, "trace_id", "span_id")?;
                found.set_trace(&trace, Form::Hex);
                found.set_id(&span, Form::Hex);
            }
            "parent_id" => found.set_parent(&bare(json.value()?), Form::Hex),
            "kind" => {
                let kind_text = json.value()?.text();
                found.kind = kind_text.and_then(|text| kind(&text)).unwrap_or_default();
            }
            "start_time" => found.start_ns = found.time("start", &json.value()?, unix_ns),
            "end_time" => end_ns = found.time("end", &json.value()?, unix_ns),
            "attributes" => attributes(json, keys, &mut found.attributes)?,
            "links" => {
                links = read_links(json, |json| {
                    only(json, "context", |json| ids(json, "trace_id", "span_id")).map(linked)
                })?
            }
            "status" => found.error = status(json)?,
            "resource" => read_resource(json, keys, resource)?,
            _ => json.skip()?,
        }
        Ok(())
    })?;
    found.set_links(&links);
    found.duration_ns = end_ns.zip(found.start_ns).map(|(end, start)| end.saturating_sub(start));
    Ok(printed)
}

fn status(json: &mut Json<'_>) -> Result<bool, Stop> {
    let code = only(json, "status_code", Json::value)?.text();
    Ok(code.is_some_and(|code| code == "ERROR" || code == "StatusCode.ERROR"))
}

/// Attributes under `attributes`, or, before version 1.13, alone.
fn read_resource<'a>(json: &mut Json<'a>, keys: &Keys, found: &mut Attributes<'a>) -> Result<(), Stop> {
    json.object(|json, name| match (name, keys.of(name.as_bytes())) {
        ("attributes", _) => attributes(json, keys, found),
        (_, Some(key)) => json.value().map(|value| found.set(key, name.as_bytes(), value)),
        (_, None) => json.skip(),
    })
    .map(drop)
}
