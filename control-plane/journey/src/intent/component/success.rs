//! `components.<leaf>.success`: what counts as a good answer.

use emac_core::budget::SuccessPredicate;

use emac_document::{Reader, Value};

/// Names of gRPC status codes, in the order of their numbers.
const GRPC: [(&str, u32); 17] = [
    ("OK", 0),
    ("CANCELLED", 1),
    ("UNKNOWN", 2),
    ("INVALID_ARGUMENT", 3),
    ("DEADLINE_EXCEEDED", 4),
    ("NOT_FOUND", 5),
    ("ALREADY_EXISTS", 6),
    ("PERMISSION_DENIED", 7),
    ("RESOURCE_EXHAUSTED", 8),
    ("FAILED_PRECONDITION", 9),
    ("ABORTED", 10),
    ("OUT_OF_RANGE", 11),
    ("UNIMPLEMENTED", 12),
    ("INTERNAL", 13),
    ("UNAVAILABLE", 14),
    ("DATA_LOSS", 15),
    ("UNAUTHENTICATED", 16),
];

/// `http`: statuses (`404`), classes (`2xx`) and ranges (`200-404`); `grpc`: codes by number or name.
pub(super) fn read(reader: Reader<'_>) -> Option<SuccessPredicate> {
    reader.fields(|fields| {
        let http = fields.optional("http", |http| http.list(range)).unwrap_or_default();
        let grpc = fields.optional("grpc", |grpc| grpc.list(code)).unwrap_or_default();
        Some(SuccessPredicate { http, grpc })
    })
}

fn range(reader: Reader<'_>) -> Option<(u16, u16)> {
    if matches!(reader.node().value, Value::Integer(_)) {
        let status = reader.integer(100..=599)? as u16;
        return Some((status, status));
    }
    let text = reader.text()?;
    let ends = match text.strip_suffix("xx") {
        Some(class) => {
            class.parse().ok().map(|class: u16| (class.saturating_mul(100), class.saturating_mul(100) + 99))
        }
        None => {
            text.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)))
        }
    };
    match ends {
        Some((first, last)) if (100..=last).contains(&first) && last <= 599 => Some((first, last)),
        _ => reader.refuse_with("expected HTTP statuses", "such as 404, 2xx or 200-404"),
    }
}

fn code(reader: Reader<'_>) -> Option<u32> {
    match reader.node().value {
        Value::Integer(_) => reader.integer(0..=16).map(|code| code as u32),
        _ => reader.choice(&GRPC),
    }
}
