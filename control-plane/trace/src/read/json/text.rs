//! Escapes in strings (RFC 8259, section 7).

use std::borrow::Cow;

/// Bytes as text; what is no UTF-8 becomes U+FFFD. Valid text, which nearly all is, is only checked.
pub(in crate::read) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// The text of a string's bytes. Unknown escapes stand for themselves; lone surrogates and what is no UTF-8 become U+FFFD.
pub(in crate::read) fn unescape(raw: &[u8]) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.iter().position(|&b| b == b'\\') {
        let (plain, escape) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        out.push_str(&String::from_utf8_lossy(plain));
        let (char, len) = escaped(escape);
        out.push(char);
        rest = escape.get(len..).unwrap_or_default();
    }
    out.push_str(&String::from_utf8_lossy(rest));
    out
}

/// The character that an escape at the start of `text` means, and its length.
fn escaped(text: &[u8]) -> (char, usize) {
    match text.get(1) {
        Some(b'u') => unicode(text),
        Some(b'n') => ('\n', 2),
        Some(b't') => ('\t', 2),
        Some(b'r') => ('\r', 2),
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(&other) if other.is_ascii() => (char::from(other), 2),
        _ => (char::REPLACEMENT_CHARACTER, 1),
    }
}

/// `\uXXXX`, or two of them that are a surrogate pair.
fn unicode(text: &[u8]) -> (char, usize) {
    let Some(high) = code_unit(text) else { return (char::REPLACEMENT_CHARACTER, 2) };
    if let Some(char) = char::from_u32(high) {
        return (char, 6);
    }
    let low = text.get(6..).filter(|rest| rest.starts_with(b"\\u")).and_then(code_unit);
    match low.filter(|low| high < 0xdc00 && (0xdc00..0xe000).contains(low)) {
        Some(low) => {
            let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
        }
        None => (char::REPLACEMENT_CHARACTER, 6),
    }
}

fn code_unit(text: &[u8]) -> Option<u32> {
    let digits = str::from_utf8(text.get(2..6)?).ok()?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}
