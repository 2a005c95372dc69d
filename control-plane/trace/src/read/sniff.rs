//! Which form a file has, by its first bytes; names of files are not asked.

/// Form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing but white space.
    Empty,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// Messages in zstd with their lengths before them, as the collector's file exporter writes them.
    LengthPrefixedZstd,
    /// `TracesData`.
    Protobuf,
    /// `TracesData` with their lengths before them.
    LengthPrefixed,
    /// JSON behind this many bytes (a byte order mark).
    Json(usize),
    /// Anything else; what it looks like.
    Unknown(&'static str),
}

/// Bytes that tell the form.
pub(super) const HEAD_BYTES: usize = 256;
/// What a frame of zstd begins with; frames that are to be skipped begin with one of 16 others.
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The form of a file that begins so.
pub(super) fn form(head: &[u8]) -> Form {
    let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    let first = text.iter().find(|&&b| !super::json::is_space(b));
    match (head, first) {
        (_, None) => Form::Empty,
        ([0x1f, 0x8b, ..], _) => Form::Gzip,
        _ if head.starts_with(ZSTD) => Form::Zstd,
        ([0x50..=0x5f, 0x2a, 0x4d, 0x18, ..], _) => Form::Zstd,
        _ if is_traces(head) => Form::Protobuf,
        // A length below 160 MiB; no field of protobuf begins so.
        ([0..=9, _, _, _, rest @ ..], _) if rest.is_empty() || is_traces(rest) => Form::LengthPrefixed,
        ([0..=9, _, _, _, rest @ ..], _) if rest.starts_with(ZSTD) => Form::LengthPrefixedZstd,
        (_, Some(b'<')) => Form::Unknown("a page or XML (of a login, or of an error?), no answer of an API"),
        (_, Some(b'{' | b'[')) => Form::Json(head.len() - text.len()),
        _ => Form::Unknown("neither JSON nor protobuf of traces"),
    }
}

/// Field 1 (`ResourceSpans`) that begins with one of its own fields, and so on: text that begins with a line feed does not pass.
fn is_traces(bytes: &[u8]) -> bool {
    let Some((0x0a, inner)) = split(bytes) else { return false };
    match split(inner) {
        Some((0x0a, resource)) => begins_with(resource, &[0x0a, 0x10, 0x1a]),
        Some((0x12, scope_spans)) => begins_with(scope_spans, &[0x0a, 0x12, 0x1a]),
        Some((0x1a, _)) => true,
        Some(_) => false,
        None => inner.is_empty() && bytes.len() <= 2,
    }
}

fn begins_with(message: &[u8], keys: &[u8]) -> bool {
    message.first().is_none_or(|key| keys.contains(key))
}

/// The key of a field with a length, and as much of its value as is there.
fn split(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (&key, mut rest) = bytes.split_first()?;
    let length = usize::try_from(prost::encoding::decode_varint(&mut rest).ok()?).ok()?;
    Some((key, rest.get(..length).unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (head, expected) in [
            (&b""[..], Form::Empty),
            (b" \n\r\n", Form::Empty),
            (b"\xef\xbb\xbf", Form::Empty),
            (b"\x1f\x8b\x08", Form::Gzip),
            (b"\x28\xb5\x2f\xfd\x04", Form::Zstd),
            (b"\x50\x2a\x4d\x18\0\0\0\0", Form::Zstd),
            (b"\0\0\0\x10\x28\xb5\x2f\xfd", Form::LengthPrefixedZstd),
            (b"{\"data\":", Form::Json(0)),
            (b"\xef\xbb\xbf [", Form::Json(3)),
            (b"\n{\n  \"resourceSpans\": [", Form::Json(0)),
            (b"\n{\n\t\"resourceSpans\": [", Form::Json(0)),
            (b"\n[{\"traceId\"", Form::Json(0)),
            (b"\x0a\x7b\x0a\x22\x0a\x20\x0a\x0cservice.name", Form::Protobuf),
            (b"\x0a\x7b\x12\x50\x12\x4e", Form::Protobuf),
            (b"\x0a\x00", Form::Protobuf),
            (b"\x00\x00\x00\x7d\x0a\x7b\x0a\x22\x0a\x20", Form::LengthPrefixed),
        ] {
            assert_eq!(form(head), expected, "{head:?}");
        }
        for head in
            [&b"hello"[..], b"\n\nhello", b"<!DOCTYPE html>", b"\0\0\0\x05hello", b"PK\x03\x04", b"\xff\xfe{"]
        {
            assert!(matches!(form(head), Form::Unknown(_)), "{head:?}");
        }
    }
}
