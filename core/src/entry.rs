//! Which journey a request enters, and which operation it calls: rules compiled once, asked per request.
//!
//! Nothing here allocates per request but the name of an operation, which is written into a buffer of the caller.

mod operation;
mod template;

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::budget::EntryRule;

pub use operation::{OPERATION_BYTES_MAX, name_operation};
pub use template::{InvalidTemplate, PathTemplate};

/// What is asked of a request. Absent parts are empty.
pub trait Request {
    /// `:authority`, as sent.
    fn host(&self) -> &[u8];
    /// `:method`.
    fn method(&self) -> &[u8];
    /// `:path`, with its query.
    fn path(&self) -> &[u8];
    /// First header of this lower-case name.
    fn header(&self, name: &str) -> Option<&[u8]>;

    /// Whether this is a gRPC call (content type `application/grpc` or `application/grpc+...`).
    fn is_grpc(&self) -> bool {
        self.header("content-type").is_some_and(is_grpc_content_type)
    }
}

/// gRPC over HTTP/2, section "Content-Type": `application/grpc`, alone or followed by `+` or `;`.
pub fn is_grpc_content_type(value: &[u8]) -> bool {
    match value.strip_prefix(b"application/grpc") {
        Some(rest) => matches!(rest.first(), None | Some(b'+' | b';')),
        None => false,
    }
}

/// An [`EntryRule`] ready to be asked.
#[derive(Clone, Debug)]
pub struct CompiledEntry {
    host: Box<str>,
    method: Box<str>,
    path: Option<PathTemplate>,
    headers: Vec<(Box<str>, Box<str>)>,
    grpc: Option<Box<str>>,
}

/// Why a rule cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEntry {
    /// Nothing is stated: it would take all traffic.
    #[error("an entry rule must state something")]
    Empty,
    /// gRPC names its own path.
    #[error("grpc excludes method and path_template")]
    GrpcAndPath,
    /// The path template is not one.
    #[error("path_template: {0}")]
    Template(#[source] InvalidTemplate),
}

impl CompiledEntry {
    /// Compiles a rule.
    ///
    /// # Errors
    /// [`InvalidEntry`].
    pub fn new(rule: &EntryRule) -> Result<Self, InvalidEntry> {
        if *rule == EntryRule::default() {
            return Err(InvalidEntry::Empty);
        }
        let names_path = !rule.method.is_empty() || !rule.path_template.is_empty();
        if names_path && !rule.grpc.is_empty() {
            return Err(InvalidEntry::GrpcAndPath);
        }
        let path = match rule.path_template.as_str() {
            "" => None,
            template => Some(PathTemplate::new(template).map_err(InvalidEntry::Template)?),
        };
        Ok(Self {
            host: rule.host.as_str().into(),
            method: rule.method.as_str().into(),
            path,
            headers: rule
                .headers
                .iter()
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
            grpc: Some(rule.grpc.as_str()).filter(|grpc| !grpc.is_empty()).map(Into::into),
        })
    }

    /// Whether every stated part matches.
    pub fn matches(&self, request: &impl Request) -> bool {
        (self.method.is_empty() || self.method.as_bytes() == request.method())
            && (self.host.is_empty()
                || self.host.as_bytes().eq_ignore_ascii_case(without_port(request.host())))
            && self.path.as_ref().is_none_or(|path| path.matches(request.path()))
            && self.grpc.as_ref().is_none_or(|grpc| matches_grpc(grpc.as_bytes(), request))
            && self.headers.iter().all(|(name, value)| matches_header(request.header(name), value.as_bytes()))
    }
}

fn matches_grpc(wanted: &[u8], request: &impl Request) -> bool {
    let Some(rest) = request.path().strip_prefix(b"/").and_then(|path| path.strip_prefix(wanted)) else {
        return false;
    };
    matches!(rest.first(), None | Some(b'/')) && request.is_grpc()
}

fn matches_header(found: Option<&[u8]>, wanted: &[u8]) -> bool {
    found.is_some_and(|found| wanted.is_empty() || wanted == found)
}

/// `host:port` and `[v6]:port` without the port.
fn without_port(host: &[u8]) -> &[u8] {
    match host.iter().rposition(|&b| b == b':') {
        Some(at) if host.get(at + 1..).is_some_and(|port| port.iter().all(u8::is_ascii_digit)) => {
            host.get(..at).unwrap_or(host)
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests;
