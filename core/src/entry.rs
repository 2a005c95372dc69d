//! Which journey a request enters, and which operation it calls: rules compiled once, asked per request.
//!
//! Nothing here allocates per request but the name of an operation, which is written into a buffer of the caller.
//!
//! What a rule takes, beyond the letter: hosts are compared without port, case and a final dot; empty segments of a path count for nothing
//! (`template`); GET takes HEAD. What no user waits for enters a journey only where a rule asks for it (`machinery`).

mod machinery;
mod operation;
mod template;

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::budget::EntryRule;
use machinery::Machinery;

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

/// Whether no user waits for the answer, as far as can be seen: probes, health checks, scrapes, preflights.
pub fn is_machinery(request: &impl Request) -> bool {
    Machinery::of(request).is_some()
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
    /// Which requests that no user waits for it asks for.
    takes: [bool; Machinery::KINDS],
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
            takes: machinery::asked_for(rule),
            host: without_final_dot(rule.host.as_bytes())
                .iter()
                .map(|byte| char::from(byte.to_ascii_lowercase()))
                .collect(),
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

    /// Whether every stated part matches, and a user waits for the answer.
    pub fn matches(&self, request: &impl Request) -> bool {
        (self.host.is_empty() || self.host.as_bytes().eq_ignore_ascii_case(bare_host(request.host())))
            && takes_method(self.method.as_bytes(), request.method())
            && self.path.as_ref().is_none_or(|path| path.matches(request.path()))
            && self.grpc.as_ref().is_none_or(|grpc| matches_grpc(grpc.as_bytes(), request))
            && self.headers.iter().all(|(name, value)| matches_header(request.header(name), value.as_bytes()))
            && Machinery::of(request).is_none_or(|kind| self.takes.get(kind as usize) == Some(&true))
    }

    /// Whether every request that the other rule takes is taken by this one too, so that after this one the other is never asked. Some
    /// pairs for which that is so are not recognised.
    pub fn covers(&self, other: &Self) -> bool {
        (self.host.is_empty() || self.host == other.host)
            && (self.method.is_empty()
                || (!other.method.is_empty()
                    && takes_method(self.method.as_bytes(), other.method.as_bytes())))
            && self.covers_path(other)
            && self.headers.iter().all(|(name, value)| {
                let same = |(theirs, wanted): &(Box<str>, Box<str>)| {
                    theirs == name && (value.is_empty() || wanted == value)
                };
                other.headers.iter().any(same)
            })
            && self.takes.iter().zip(other.takes).all(|(&ours, theirs)| ours || !theirs)
    }

    fn covers_path(&self, other: &Self) -> bool {
        let within = |ours: &str, theirs: &str| {
            theirs.strip_prefix(ours).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match (&self.grpc, &other.grpc) {
            (Some(ours), Some(theirs)) => within(ours, theirs),
            (Some(_), None) => false,
            (None, Some(_)) => self.path.is_none(),
            (None, None) => self
                .path
                .as_ref()
                .is_none_or(|ours| other.path.as_ref().is_some_and(|path| ours.covers(path))),
        }
    }
}

/// A rule for GET takes HEAD: the same question, asked without wanting the body.
fn takes_method(wanted: &[u8], method: &[u8]) -> bool {
    wanted.is_empty() || wanted == method || (wanted == b"GET" && method == b"HEAD")
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

/// As names of hosts are compared: without port and without the dot that ends a complete name.
fn bare_host(host: &[u8]) -> &[u8] {
    without_final_dot(without_port(host))
}

fn without_final_dot(host: &[u8]) -> &[u8] {
    host.strip_suffix(b".").unwrap_or(host)
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
