//! Reading a request: all headers in one host call where many are needed, one by one where few are.

use std::borrow::Cow;

use emac_core::entry::{Request, is_grpc_content_type};

use crate::host::{Header, Host};

/// Media type of server-sent events.
pub(super) const EVENT_STREAM: &[u8] = b"text/event-stream";

/// All headers of a request.
#[derive(Debug)]
pub(super) struct All(Vec<Header>);

impl All {
    pub(super) fn read(host: &dyn Host) -> Self {
        Self(host.request_headers())
    }

    /// Every value of a header that may be repeated, joined.
    pub(super) fn joined(&self, name: &str) -> Cow<'_, [u8]> {
        let mut values = self.values(name);
        let first = values.next().unwrap_or_default();
        match values.next() {
            None => Cow::Borrowed(first),
            Some(second) => {
                let mut all = first.to_vec();
                for value in core::iter::once(second).chain(values) {
                    all.push(b',');
                    all.extend_from_slice(value);
                }
                Cow::Owned(all)
            }
        }
    }

    /// What was added to the request since it was read.
    pub(super) fn add(&mut self, name: &str, value: Vec<u8>) {
        self.0.push((name.to_owned(), value));
    }

    pub(super) fn is_repeated(&self, name: &str) -> bool {
        self.values(name).nth(1).is_some()
    }

    pub(super) fn as_slice(&self) -> &[Header] {
        &self.0
    }

    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_slice())
    }

    fn first(&self, name: &str) -> &[u8] {
        self.header(name).unwrap_or_default()
    }
}

impl Request for All {
    fn host(&self) -> &[u8] {
        self.first(":authority")
    }

    fn method(&self) -> &[u8] {
        self.first(":method")
    }

    fn path(&self) -> &[u8] {
        self.first(":path")
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_slice())
    }
}

/// Where single headers come from.
#[derive(Clone, Copy)]
pub(super) enum Asked<'a> {
    /// They were all read.
    All(&'a All),
    /// Ask the host for each.
    One(&'a dyn Host),
}

impl<'a> Asked<'a> {
    pub(super) fn header(self, name: &str) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::All(headers) => headers.header(name).map(Cow::Borrowed),
            Self::One(host) => host.request_header(name).map(Cow::Owned),
        }
    }

    /// A gRPC call must say `te: trailers`, which others hardly do: a header that is missing costs less than one that is there.
    pub(super) fn is_grpc(self) -> bool {
        self.header("te").is_some()
            && self.header("content-type").is_some_and(|value| is_grpc_content_type(&value))
    }

    /// Whether the answer has no end to wait for, as far as the request shows.
    pub(super) fn is_endless(self) -> bool {
        self.header("upgrade").is_some()
            || self.header("accept").is_some_and(|accept| accept.starts_with(EVENT_STREAM))
            || self.header(":method").as_deref() == Some(b"CONNECT")
    }

    /// Every header.
    pub(super) fn to_vec(self) -> Vec<Header> {
        match self {
            Self::All(headers) => headers.as_slice().to_vec(),
            Self::One(host) => host.request_headers(),
        }
    }
}

/// Whether a request is a copy that the proxy sends to see how somebody takes it: it marks the host, before the port.
pub(super) fn is_shadow(authority: &[u8]) -> bool {
    let host = authority.iter().rposition(|&byte| byte == b':').and_then(|colon| authority.get(..colon));
    [Some(authority), host].into_iter().flatten().any(|host| host.ends_with(b"-shadow"))
}

/// Integers come as eight bytes.
pub(super) fn integer(value: Option<Vec<u8>>) -> Option<u64> {
    value.and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
}
