//! Go's `stdouttrace`: `{"Name", "SpanContext": {"TraceID", "SpanID"}, "Parent": {...}, "SpanKind": 2, "StartTime", "EndTime", "Attributes":
//! [{"Key", "Value": {"Type", "Value"}}], "Status": {"Code": "Error"}, "Resource": [...]}`, indented or not.

use super::{Printed, ids, linked, only, scalar, unix_ns};
use crate::read::attributes::Attributes;
use crate::read::id::Form;
use crate::read::json::{Json, Stop, Value};
use crate::read::keys::Keys;
use crate::read::otlp::json::{read_links, span_kind};

pub(super) fn span<'a>(json: &mut Json<'a>, keys: &Keys) -> Result<Printed<'a>, Stop> {
    let mut printed = Printed::default();
    let Printed { found, resource } = &mut printed;
    let (mut end_ns, mut links) = (None, Vec::new());
    json.object(|json, key| {
        match key {
            "Name" => found.name = json.value()?.text().unwrap_or_default(),
            "SpanContext" => {
                let (trace, span) = ids(json, "TraceID", "SpanID")?;
                found.set_trace(&trace, Form::Hex);
                found.set_id(&span, Form::Hex);
            }
            "Parent" => {
                let (_, span) = ids(json, "TraceID", "SpanID")?;
                found.set_parent(&span, Form::Hex);
            }
            // Before version 1.
            "ParentSpanID" => found.set_parent(&json.value()?, Form::Hex),
            "SpanKind" => found.kind = span_kind(&json.value()?),
            "StartTime" => found.start_ns = found.time("start", &json.value()?, unix_ns),
            "EndTime" => end_ns = found.time("end", &json.value()?, unix_ns),
            "Attributes" => attributes(json, keys, &mut found.attributes)?,
            "Links" => {
                links = read_links(json, |json| {
                    only(json, "SpanContext", |json| ids(json, "TraceID", "SpanID")).map(linked)
                })?
            }
            "Status" => found.error = status(json)?,
            "Resource" => attributes(json, keys, resource)?,
            _ => json.skip()?,
        }
        Ok(())
    })?;
    found.set_links(&links);
    found.duration_ns = end_ns.zip(found.start_ns).map(|(end, start)| end.saturating_sub(start));
    Ok(printed)
}

/// `Error`, or its number in Go, which is not the protocol's.
fn status(json: &mut Json<'_>) -> Result<bool, Stop> {
    let code = only(json, "Code", Json::value)?;
    Ok(code == Value::Int(1) || matches!(&code, Value::Text(text) if text == "Error"))
}

fn attributes<'a>(json: &mut Json<'a>, keys: &Keys, found: &mut Attributes<'a>) -> Result<(), Stop> {
    json.array(|json| {
        let (mut name, mut value) = (None, Value::Null);
        json.object(|json, field| {
            match field {
                "Key" => name = json.value()?.text(),
                // `{"Type": "STRING", "Value": "cart"}`.
                "Value" => value = only(json, "Value", scalar)?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        if let Some(name) = name
            && let Some(key) = keys.of(name.as_bytes())
        {
            found.set(key, name.as_bytes(), value);
        }
        Ok(())
    })
    .map(drop)
}
