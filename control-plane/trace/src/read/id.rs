//! Ids, as each format writes them: hexadecimal in either case, padded or not; base64 of 16 or 8 bytes (protobuf's own JSON form,
//! which Tempo writes); and plain numbers, which some exporters write against the format.
//!
//! A text of 24 or 22 (trace) resp. 12 or 11 (span) characters is base64, since that is what 16 resp. 8 bytes become; all other lengths are
//! hexadecimal. An unpadded hexadecimal id of exactly such a length is not told apart in OTLP; Jaeger and Zipkin know no base64.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::json::Value;
use crate::{SpanId, TraceId};

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Which texts an id may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Hexadecimal only (Jaeger, Zipkin).
    Hex,
    /// Hexadecimal or base64 (OTLP).
    HexOrBase64,
}

/// A trace id that is not zero.
pub(super) fn trace_id(value: &Value<'_>, form: Form) -> Option<TraceId> {
    let id = match value {
        Value::Text(text) if form == Form::HexOrBase64 && matches!(text.len(), 22 | 24) => {
            u128::from_be_bytes(base64(text)?)
        }
        Value::Text(text) => hex(text)?,
        Value::Int(number) => u128::try_from(*number).ok()?,
        _ => return None,
    };
    (id != 0).then_some(TraceId(id))
}

/// A span id of at most 64 bits that is not zero.
pub(super) fn span_id(value: &Value<'_>, form: Form) -> Option<SpanId> {
    let id = match value {
        Value::Text(text) if form == Form::HexOrBase64 && matches!(text.len(), 11 | 12) => {
            u64::from_be_bytes(base64(text)?)
        }
        Value::Text(text) => u64::try_from(hex(text)?).ok()?,
        Value::Int(number) => u64::try_from(*number).ok()?,
        _ => return None,
    };
    (id != 0).then_some(SpanId(id))
}

/// Whether a parent id says that there is none: absent, empty or zero.
pub(super) fn says_none(value: &Value<'_>) -> bool {
    match value {
        Value::Text(text) => text.bytes().all(|b| b == b'0'),
        Value::Int(number) => *number == 0,
        Value::Null => true,
        _ => false,
    }
}

/// 1 to 32 hexadecimal digits.
fn hex(text: &str) -> Option<u128> {
    let bounded = (1..=32).contains(&text.len());
    let digit = |value: u128, b: u8| {
        Some(value << 4 | u128::from(HEX.get(usize::from(b)).copied().filter(|&d| d < 16)?))
    };
    if bounded { text.bytes().try_fold(0, digit) } else { None }
}

const HEX: [u8; 256] = {
    let mut table = [16; 256];
    let mut digit = 0;
    while digit < 16 {
        table[b"0123456789abcdef"[digit] as usize] = digit as u8;
        table[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    table
};

fn base64<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; 24];
    let decoded =
        STANDARD.decode_slice(text, &mut bytes).or_else(|_| URL_SAFE.decode_slice(text, &mut bytes));
    bytes.get(..decoded.ok()?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value<'_> {
        Value::Text(text.into())
    }

    #[test]
    fn all_forms_of_one_id() {
        let expected = Some(TraceId(0x3ba5_5609_c3cd_e496_49cd_77d1_f9dc_d936));
        for form in [
            "3ba55609c3cde49649cd77d1f9dcd936",
            "3BA55609C3CDE49649CD77D1F9DCD936",
            "O6VWCcPN5JZJzXfR+dzZNg==",
        ] {
            assert_eq!(trace_id(&text(form), Form::HexOrBase64), expected);
        }
        assert_eq!(trace_id(&text("O6VWCcPN5JZJzXfR-dzZNg"), Form::HexOrBase64), expected);
        assert_eq!(span_id(&text("Sc130fnc2TY="), Form::HexOrBase64), Some(SpanId(0x49cd_77d1_f9dc_d936)));
    }

    #[test]
    fn ids_need_no_padding_and_may_be_numbers() {
        assert_eq!(span_id(&text("1"), Form::Hex), Some(SpanId(1)));
        assert_eq!(span_id(&text("5438856594569490"), Form::Hex), Some(SpanId(0x5438_8565_9456_9490)));
        assert_eq!(span_id(&Value::Int(1 << 63), Form::Hex), Some(SpanId(1 << 63)));
        assert_eq!(span_id(&text("0438856594569"), Form::Hex), Some(SpanId(0x4388_5659_4569)));
    }

    #[test]
    fn no_ids() {
        for none in ["", "0", "0000000000000000", "xyz", "-1", "12345678901234567"] {
            assert_eq!(span_id(&text(none), Form::Hex), None, "{none}");
        }
        assert_eq!(trace_id(&text(&"1".repeat(33)), Form::Hex), None);
        assert_eq!(trace_id(&Value::Bool(true), Form::Hex), None);
        assert!(says_none(&text("000")) && says_none(&Value::Null) && !says_none(&text("1")));
    }
}
