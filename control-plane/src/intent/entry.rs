//! `spec.entry`: how a request of the journey is recognised.

use emac_core::budget::EntryRule;
use emac_core::entry::CompiledEntry;

use super::share::texts;
use crate::document::{Fields, Reader};

/// Most rules of a journey and headers of a rule that the wire carries.
const RULES_MAX: usize = 16;
const HEADERS_MAX: usize = 8;

/// A list of rules; a request that any of them matches enters the journey.
pub(super) fn read(reader: Reader<'_>) -> Option<Vec<EntryRule>> {
    let rules = reader.list(|rule| {
        let compiled = rule.fields(read_rule)?;
        match CompiledEntry::new(&compiled) {
            Ok(_) => Some(compiled),
            Err(error) => rule.refuse(error.to_string()),
        }
    })?;
    if rules.len() > RULES_MAX { reader.refuse(format!("more than {RULES_MAX} rules")) } else { Some(rules) }
}

fn read_rule(fields: &mut Fields<'_>) -> Option<EntryRule> {
    let host = fields.optional("host", host).unwrap_or_default();
    let method = fields.optional("method", method).unwrap_or_default();
    let path_template = fields.optional("path", text).unwrap_or_default();
    let headers = fields.optional("headers", headers).unwrap_or_default();
    let grpc = fields.optional("grpc", grpc).unwrap_or_default();
    Some(EntryRule { host, method, path_template, headers, grpc })
}

fn text(reader: Reader<'_>) -> Option<String> {
    reader.word().map(str::to_owned)
}

fn host(reader: Reader<'_>) -> Option<String> {
    let host = reader.word()?;
    if host.contains(['/', ':']) {
        return reader.refuse_with("a host has neither scheme, port nor path", "such as shop.example");
    }
    Some(host.to_ascii_lowercase())
}

fn method(reader: Reader<'_>) -> Option<String> {
    let method = reader.word()?;
    if method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        Some(method.to_owned())
    } else {
        reader.refuse_with("methods are upper case", format!("write {}", method.to_ascii_uppercase()))
    }
}

fn grpc(reader: Reader<'_>) -> Option<String> {
    let name = reader.word()?;
    if name.starts_with('/') {
        return reader
            .refuse_with("expected package.Service or package.Service/Method", "leave out the leading /");
    }
    Some(name.to_owned())
}

/// Name to exact value; an empty value means "present".
pub(super) fn headers(reader: Reader<'_>) -> Option<Vec<(String, String)>> {
    let headers = texts(reader)?;
    if headers.len() > HEADERS_MAX {
        return reader.refuse(format!("more than {HEADERS_MAX} headers"));
    }
    match headers.keys().find(|name| !is_header_name(name)) {
        Some(name) => reader.refuse(format!("`{name}` is not the name of a header")),
        None => Some(headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()),
    }
}

/// A token of RFC 9110, section 5.6.2; pseudo headers are none.
pub(super) fn is_header_name(name: &str) -> bool {
    let special = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || special(byte))
}
