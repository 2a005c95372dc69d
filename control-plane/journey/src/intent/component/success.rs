//! `components.<leaf>.success`: what counts as a good answer.

use emac_core::budget::SuccessPredicate;

use emac_document::shape::{Form, Shape};
use emac_document::types::{Type, choice, list, scalar, scalar_shape, typed};
use emac_document::{Fields, Reader, Value};

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

/// `success`.
pub(super) fn success(fields: &mut Fields<'_>) -> Option<SuccessPredicate> {
    let says = "statuses (`404`), classes (`2xx`) and ranges (`200-404`)";
    let http = fields.field("http", list(statuses()), says).optional().unwrap_or_default();
    let grpc = fields.field("grpc", list(code()), "codes by number or name").optional().unwrap_or_default();
    Some(SuccessPredicate { http, grpc })
}

fn statuses<'a>() -> impl Type<'a, Value = (u16, u16)> {
    const FORMS: [Form; 2] = [Form::Integer(100, 599), Form::Text("^([1-5]xx|[1-5][0-9]{2}-[1-5][0-9]{2})$")];
    scalar("statuses", &FORMS, "2xx", |it: Reader<'a>| {
        if matches!(it.node().value, Value::Integer(_)) {
            let status = it.integer(100..=599)? as u16;
            return Some((status, status));
        }
        match ends(it.text()?) {
            Some((first, last)) if (100..=last).contains(&first) && last <= 599 => Some((first, last)),
            _ => it.refuse_with("expected HTTP statuses", "such as 404, 2xx or 200-404"),
        }
    })
}

fn ends(text: &str) -> Option<(u16, u16)> {
    if let Some(class) = text.strip_suffix("xx") {
        let class = class.parse::<u16>().ok()?.saturating_mul(100);
        return Some((class, class.saturating_add(99)));
    }
    let (first, last) = text.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

fn code<'a>() -> impl Type<'a, Value = u32> {
    let shape = || match choice(&GRPC).shape() {
        Shape::Scalar(names) => {
            scalar_shape("code", [&[Form::Integer(0, 16)], names.forms].concat(), "NOT_FOUND".to_owned())
        }
        other => other,
    };
    typed(shape, |it: Reader<'a>| match it.node().value {
        Value::Integer(_) => it.integer(0..=16).map(|code| code as u32),
        _ => it.choice(&GRPC),
    })
}
