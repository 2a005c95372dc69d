//! What is answered: `ExportTraceServiceResponse` and `google.rpc.Status`, by hand, being four fields.

use std::time::Duration;

use prost::encoding::{WireType, encode_key, encode_varint};

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// `ExportTraceServiceResponse { partial_success { rejected_spans, error_message } }`; empty when all was taken.
pub(super) fn response(refused: u64) -> Vec<u8> {
    let mut out = Vec::new();
    if refused > 0 {
        let mut partial = Vec::new();
        number(1, refused, &mut partial);
        bytes(2, reason(refused).as_bytes(), &mut partial);
        bytes(1, &partial, &mut out);
    }
    out
}

/// The same as JSON; 64-bit integers are text there.
pub(super) fn response_json(refused: u64) -> String {
    if refused == 0 {
        return "{}".to_owned();
    }
    let partial = serde_json::json!({"rejectedSpans": refused.to_string(), "errorMessage": reason(refused)});
    serde_json::json!({"partialSuccess": partial}).to_string()
}

fn reason(refused: u64) -> String {
    format!("{refused} spans without usable ids or times")
}

/// `google.rpc.Status { code, message, details }`; with `retry_after` its details are a `RetryInfo`, without which a sender would
/// drop what was shed.
pub(super) fn status(code: i32, message: &str, retry_after: Option<Duration>) -> Vec<u8> {
    let mut out = Vec::new();
    number(1, u64::from(code.unsigned_abs()), &mut out);
    bytes(2, message.as_bytes(), &mut out);
    if let Some(delay) = retry_after {
        let (mut duration, mut retry_info, mut any) = (Vec::new(), Vec::new(), Vec::new());
        number(1, delay.as_secs().max(1), &mut duration);
        bytes(1, &duration, &mut retry_info);
        bytes(1, RETRY_INFO.as_bytes(), &mut any);
        bytes(2, &retry_info, &mut any);
        bytes(3, &any, &mut out);
    }
    out
}

/// The same as JSON.
pub(super) fn status_json(code: i32, message: &str) -> String {
    serde_json::json!({"code": code, "message": message}).to_string()
}

fn bytes(field: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

fn number(field: u32, value: u64, out: &mut Vec<u8>) {
    encode_key(field, WireType::Varint, out);
    encode_varint(value, out);
}
