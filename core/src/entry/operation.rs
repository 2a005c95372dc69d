//! Names of operations: few enough to be keys, telling enough to be read.

use alloc::string::String;

use super::template::{PathTemplate, without_query};

/// Most bytes of an operation's name; what is longer ends in `/**`.
pub const OPERATION_BYTES_MAX: usize = 128;
const SEGMENTS_MAX: usize = 8;
/// A word in a path is rarely longer; a token rarely shorter.
const WORD_BYTES_MAX: usize = 32;

/// Writes `package.Service/Method` or `METHOD /path/template` into `out`, replacing what was there.
///
/// The first of `templates` that matches names the path. Without one, segments that look like identifiers (a digit in them and no
/// version such as `v1`, longer than 32 bytes, or characters outside `[A-Za-z._~-]`) become `{id}`, and empty segments are left out, so
/// that the number of names stays small.
pub fn name_operation(method: &[u8], path: &[u8], grpc: bool, templates: &[PathTemplate], out: &mut String) {
    out.clear();
    if grpc && push_grpc(path, out) {
        return;
    }
    push_word(method, 16, out);
    out.push(' ');
    match templates.iter().find(|template| template.matches(path)) {
        Some(template) => {
            out.push_str(template.as_str().get(..OPERATION_BYTES_MAX - 17).unwrap_or(template.as_str()))
        }
        None => push_guess(path, out),
    }
    truncate(out);
}

/// The path of a gRPC call is its name, when it looks like one.
fn push_grpc(path: &[u8], out: &mut String) -> bool {
    let name = path.strip_prefix(b"/").unwrap_or(path);
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/');
    let slashes = name.iter().filter(|&&b| b == b'/').count();
    let well_formed = slashes == 1 && name.len() <= OPERATION_BYTES_MAX && name.iter().all(|&b| known(b));
    if let (true, Ok(name)) = (well_formed, core::str::from_utf8(name)) {
        out.push_str(name);
    }
    well_formed
}

fn push_guess(path: &[u8], out: &mut String) {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let start = out.len();
    let segments = without_query(path).split(|&b| b == b'/').filter(|segment| !segment.is_empty());
    for (at, segment) in segments.enumerate() {
        if at == SEGMENTS_MAX || out.len() + segment.len() > OPERATION_BYTES_MAX - 3 {
            out.push_str("/**");
            return;
        }
        out.push('/');
        if is_identifier(segment) { out.push_str("{id}") } else { push_word(segment, WORD_BYTES_MAX, out) }
    }
    if out.len() == start {
        out.push('/');
    }
}

fn is_identifier(segment: &[u8]) -> bool {
    let word = |b: u8| b.is_ascii_alphabetic() || matches!(b, b'.' | b'_' | b'~' | b'-');
    let version = segment
        .strip_prefix(b"v")
        .is_some_and(|n| (1..=2).contains(&n.len()) && n.iter().all(u8::is_ascii_digit));
    segment.len() > WORD_BYTES_MAX || (!version && !segment.iter().all(|&b| word(b)))
}

/// ASCII only by construction of the callers; anything else is left out.
fn push_word(word: &[u8], bytes_max: usize, out: &mut String) {
    let printable = word.iter().filter(|b| b.is_ascii_graphic()).take(bytes_max);
    out.extend(printable.map(|&b| char::from(b)));
}

fn truncate(out: &mut String) {
    let mut end = out.len().min(OPERATION_BYTES_MAX);
    while !out.is_char_boundary(end) {
        end -= 1;
    }
    out.truncate(end);
}
