//! Budgets in the plugin configuration: the fields of `emac/v1/budgets.proto` by their names, so that there is one specification.
//!
//! The JSON is written as a message by the tables below, then read and checked like a resource of the control plane; a test compares the
//! tables with the generated types. (The usual way, a struct for each message, costs the module twenty kilobytes.) Lease and generation are
//! not asked for: these budgets never expire, and any generation of a control plane replaces them. A static body is text.

use emac_core::budget::WorkloadBudgets;
use emac_proto::convert::InvalidMessage;
use emac_proto::v1;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::fields::{Field, InvalidField};

/// How a field is written.
#[derive(Clone, Copy)]
enum Kind {
    Number,
    Bool,
    /// Also a body, which is bytes on the wire.
    Text,
    /// One of [`MODES`].
    Mode,
    Message(&'static [Spec]),
    Each(&'static [Spec]),
    Numbers,
}

/// (name, number, kind) of a field.
type Spec = (&'static str, u32, Kind);

const MODES: [(&str, u64); 3] = [("observe", 0), ("dry-run", 1), ("enforce", 2)];

const BUDGETS: &[Spec] = &[("journeys", 7, Kind::Each(JOURNEY)), ("hops", 8, Kind::Each(HOP))];
const JOURNEY: &[Spec] = &[
    ("journey", 1, Kind::Text),
    ("deadline_ms", 2, Kind::Number),
    ("mode", 3, Kind::Mode),
    ("priority", 4, Kind::Number),
    ("record_ppm", 5, Kind::Number),
    ("entry", 6, Kind::Each(ENTRY)),
];
const ENTRY: &[Spec] = &[
    ("host", 1, Kind::Text),
    ("method", 2, Kind::Text),
    ("path_template", 3, Kind::Text),
    ("headers", 4, Kind::Each(HEADER)),
    ("grpc", 5, Kind::Text),
];
const HEADER: &[Spec] = &[("name", 1, Kind::Text), ("value", 2, Kind::Text)];
const HOP: &[Spec] = &[
    ("journey", 1, Kind::Text),
    ("destination", 2, Kind::Text),
    ("operation", 3, Kind::Text),
    ("mode", 4, Kind::Mode),
    ("timeout_ms", 5, Kind::Number),
    ("per_try_timeout_ms", 6, Kind::Number),
    ("reserve_ms", 7, Kind::Number),
    ("useful_min_ms", 8, Kind::Number),
    ("retry", 9, Kind::Message(RETRY)),
    ("fallback", 10, Kind::Message(FALLBACK)),
    ("success", 11, Kind::Message(SUCCESS)),
    ("without_context", 12, Kind::Bool),
    ("timeout_alone_ms", 13, Kind::Number),
    ("stream", 14, Kind::Bool),
    ("reserve_alone_ms", 15, Kind::Number),
];
const RETRY: &[Spec] = &[
    ("ratio_ppm", 1, Kind::Number),
    ("floor_milli_per_s", 2, Kind::Number),
    ("burst", 3, Kind::Number),
    ("max_retries", 4, Kind::Number),
];
const FALLBACK: &[Spec] = &[
    ("static_response", 1, Kind::Message(STATIC)),
    ("alternate", 2, Kind::Message(ALTERNATE)),
    ("weight_ppm", 3, Kind::Number),
    ("budget_ppm", 4, Kind::Number),
    ("burst", 5, Kind::Number),
];
const STATIC: &[Spec] =
    &[("status", 1, Kind::Number), ("headers", 2, Kind::Each(HEADER)), ("body", 3, Kind::Text)];
const ALTERNATE: &[Spec] = &[
    ("cluster", 1, Kind::Text),
    ("authority", 2, Kind::Text),
    ("path", 3, Kind::Text),
    ("route_header", 4, Kind::Message(HEADER)),
    ("allow_non_idempotent", 5, Kind::Bool),
    ("body_bytes_max", 6, Kind::Number),
    ("timeout_ms", 7, Kind::Number),
];
const SUCCESS: &[Spec] = &[("http", 1, Kind::Each(RANGE)), ("grpc", 2, Kind::Numbers)];
const RANGE: &[Spec] = &[("first", 1, Kind::Number), ("last", 2, Kind::Number)];

/// The checks of the wire, on budgets that need no lease.
pub(super) fn read(field: Field) -> Result<Option<WorkloadBudgets>, InvalidField> {
    let mut message = Vec::new();
    if !write_message(field, BUDGETS, &mut message)? {
        return Ok(None);
    }
    let invalid = |field: &str, problem: String| InvalidField { path: format!("budgets.{field}"), problem };
    let wire =
        v1::WorkloadBudgets::decode(message.as_slice()).map_err(|error| invalid("", error.to_string()))?;
    let wire = v1::WorkloadBudgets {
        workload: "static/static".to_owned(),
        generation: 1,
        valid_for_ms: 1_000,
        ..wire
    };
    let checked = wire.try_into();
    checked.map(Some).map_err(|error: InvalidMessage| invalid(&error.field, error.problem.into_owned()))
}

/// Writes the fields of an object; whether there was one.
fn write_message(field: Field, specs: &[Spec], out: &mut Vec<u8>) -> Result<bool, InvalidField> {
    let Some(object) = field.object()? else { return Ok(false) };
    object.all(|object| specs.iter().try_for_each(|spec| write_field(object.take(spec.0), spec, out)))?;
    Ok(true)
}

fn write_field(field: Field, &(_, number, kind): &Spec, out: &mut Vec<u8>) -> Result<(), InvalidField> {
    match kind {
        Kind::Number => write_number(number, field.u32()?.into(), out),
        Kind::Bool => write_number(number, field.boolean(false)?.into(), out),
        Kind::Mode => write_number(number, field.choice(0, &MODES)?, out),
        Kind::Text => write_bytes(number, field.string()?.as_bytes(), out),
        Kind::Message(specs) => {
            let mut message = Vec::new();
            if write_message(field, specs, &mut message)? {
                write_bytes(number, &message, out);
            }
        }
        Kind::Each(specs) => {
            for element in field.elements()? {
                let (missing, mut message) = (element.invalid("an object is expected"), Vec::new());
                if !write_message(element, specs, &mut message)? {
                    return Err(missing);
                }
                write_bytes(number, &message, out);
            }
        }
        Kind::Numbers => {
            for element in field.elements()? {
                write_number(number, element.u32()?.into(), out);
            }
        }
    }
    Ok(())
}

fn write_number(number: u32, value: u64, out: &mut Vec<u8>) {
    encode_key(number, WireType::Varint, out);
    encode_varint(value, out);
}

fn write_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Every field by its name, against the generated types, field by field.
    #[test]
    fn the_tables_are_those_of_the_protocol() {
        let json = json!({
            "journeys": [{"journey": "a", "deadline_ms": 1, "mode": "enforce", "priority": 2, "record_ppm": 3, "entry": [
                {"host": "b", "method": "c", "path_template": "d", "headers": [{"name": "e", "value": "f"}], "grpc": "g"}]}],
            "hops": [
                {"journey": "h", "destination": "i", "operation": "j", "mode": "dry-run", "timeout_ms": 4,
                 "per_try_timeout_ms": 5, "reserve_ms": 6, "useful_min_ms": 7,
                 "retry": {"ratio_ppm": 8, "floor_milli_per_s": 9, "burst": 10, "max_retries": 11},
                 "fallback": {"static_response": {"status": 12, "headers": [{"name": "k", "value": "l"}], "body": "m"},
                    "weight_ppm": 13, "budget_ppm": 14, "burst": 15},
                 "success": {"http": [{"first": 16, "last": 17}], "grpc": [18, 19]},
                 "without_context": true, "timeout_alone_ms": 22, "stream": true, "reserve_alone_ms": 23},
                {"fallback": {"alternate": {"cluster": "n", "authority": "o", "path": "p",
                    "route_header": {"name": "q", "value": "r"}, "allow_non_idempotent": true, "body_bytes_max": 20,
                    "timeout_ms": 21}}}],
        });
        let mut message = Vec::new();
        write_message(Field::root(json), BUDGETS, &mut message).unwrap();
        let header = |name: &str, value: &str| v1::Header { name: name.into(), value: value.into() };
        let expected = v1::WorkloadBudgets {
            journeys: vec![v1::JourneyBudget {
                journey: "a".into(),
                deadline_ms: 1,
                mode: v1::Mode::Enforce.into(),
                priority: 2,
                record_ppm: 3,
                entry: vec![v1::EntryRule {
                    host: "b".into(),
                    method: "c".into(),
                    path_template: "d".into(),
                    headers: vec![v1::HeaderMatch { name: "e".into(), value: "f".into() }],
                    grpc: "g".into(),
                }],
            }],
            hops: vec![
                v1::HopBudget {
                    journey: "h".into(),
                    destination: "i".into(),
                    operation: "j".into(),
                    mode: v1::Mode::DryRun.into(),
                    timeout_ms: 4,
                    per_try_timeout_ms: 5,
                    reserve_ms: 6,
                    useful_min_ms: 7,
                    retry: Some(v1::RetryBudget {
                        ratio_ppm: 8,
                        floor_milli_per_s: 9,
                        burst: 10,
                        max_retries: 11,
                    }),
                    fallback: Some(v1::Fallback {
                        kind: Some(v1::fallback::Kind::StaticResponse(v1::StaticResponse {
                            status: 12,
                            headers: vec![header("k", "l")],
                            body: b"m".to_vec(),
                        })),
                        weight_ppm: 13,
                        budget_ppm: 14,
                        burst: 15,
                    }),
                    success: Some(v1::SuccessPredicate {
                        http: vec![v1::StatusRange { first: 16, last: 17 }],
                        grpc: vec![18, 19],
                    }),
                    without_context: true,
                    timeout_alone_ms: 22,
                    stream: true,
                    reserve_alone_ms: 23,
                },
                v1::HopBudget {
                    fallback: Some(v1::Fallback {
                        kind: Some(v1::fallback::Kind::Alternate(v1::Alternate {
                            cluster: "n".into(),
                            authority: "o".into(),
                            path: "p".into(),
                            route_header: Some(header("q", "r")),
                            allow_non_idempotent: true,
                            body_bytes_max: 20,
                            timeout_ms: 21,
                        })),
                        ..v1::Fallback::default()
                    }),
                    ..v1::HopBudget::default()
                },
            ],
            ..v1::WorkloadBudgets::default()
        };
        assert_eq!(v1::WorkloadBudgets::decode(message.as_slice()).unwrap(), expected);
    }
}
