//! Reading a request: all headers in one host call where many are needed, one by one where few are.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use emac_core::entry::{Request, is_grpc_content_type};

use crate::host::{Header, Host, taken};

/// Media type of server-sent events.
pub(super) const EVENT_STREAM: &[u8] = b"text/event-stream";
/// Room for the headers of most requests: bytes, and how many.
const USUAL: (usize, usize) = (1_024, 24);

/// All headers of a request: their bytes one behind the other.
#[derive(Debug)]
pub(super) struct All {
    bytes: Vec<u8>,
    /// Where each name begins, where its value does, and where that ends.
    places: Vec<[u32; 3]>,
}

impl All {
    pub(super) fn read(host: &dyn Host) -> Self {
        let mut all = Self { bytes: Vec::with_capacity(USUAL.0), places: Vec::with_capacity(USUAL.1) };
        host.request_headers(&mut |name, value| all.add(name, value));
        all
    }

    /// What was added to the request since it was read.
    pub(super) fn add(&mut self, name: &[u8], value: &[u8]) {
        let begin = self.bytes.len();
        let (middle, end) = (begin + name.len(), begin + name.len() + value.len());
        // More than four gigabytes no proxy lets through.
        let place = [begin, middle, end].map(|at| u32::try_from(at).unwrap_or(u32::MAX));
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.places.push(place);
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

    pub(super) fn is_repeated(&self, name: &str) -> bool {
        self.values(name).nth(1).is_some()
    }

    /// Every header, to be kept.
    pub(super) fn to_vec(&self) -> Vec<Header> {
        let owned =
            |(name, value): (&[u8], &[u8])| (String::from_utf8_lossy(name).into_owned(), value.to_vec());
        self.iter().map(owned).collect()
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.places.iter().map(|&[name, value, end]| (self.part(name, value), self.part(value, end)))
    }

    fn part(&self, from: u32, to: u32) -> &[u8] {
        self.bytes.get(from as usize..to as usize).unwrap_or_default()
    }

    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        // Lengths alone tell most names apart.
        let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
        let named = move |&&[from, to, _]: &&[u32; 3]| {
            to.wrapping_sub(from) == length && self.part(from, to) == name.as_bytes()
        };
        self.places.iter().filter(named).map(|&[_, from, to]| self.part(from, to))
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
        self.values(name).next()
    }
}

/// The headers of a request as they are asked for. The host is asked for single ones until one was there: from then on for all of them at
/// once, since all together cost what one does that is there.
pub(super) struct Headers<'a> {
    host: &'a dyn Host,
    all: OnceCell<All>,
    found: Cell<bool>,
}

impl<'a> Headers<'a> {
    /// Of which none is known.
    pub(super) fn of(host: &'a dyn Host) -> Self {
        Self { host, all: OnceCell::new(), found: Cell::new(false) }
    }

    /// All of which were read.
    pub(super) fn read(host: &'a dyn Host, all: All) -> Self {
        Self { host, all: OnceCell::from(all), found: Cell::new(true) }
    }

    /// Every one of them, read if they were not.
    pub(super) fn all(&self) -> &All {
        self.all.get_or_init(|| All::read(self.host))
    }

    /// Whether asking costs nothing any more.
    pub(super) fn are_read(&self) -> bool {
        self.all.get().is_some()
    }

    /// What `make` makes of a header; `None`: it is not there.
    pub(super) fn header<R>(&self, name: &str, make: impl FnOnce(&[u8]) -> R) -> Option<R> {
        if self.found.get() || self.are_read() {
            return self.all().header(name).map(make);
        }
        let made = taken(|read| self.host.request_header(name, read), make);
        self.found.set(made.is_some());
        made
    }

    /// Whether a header is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.header(name, |_| ()).is_some()
    }

    /// A gRPC call must say `te: trailers`, which others hardly do: a header that is missing costs less than one that is there.
    pub(super) fn is_grpc(&self) -> bool {
        self.has("te") && self.header("content-type", is_grpc_content_type).unwrap_or_default()
    }

    /// Whether the answer has no end to wait for, as far as the request shows.
    pub(super) fn is_endless(&self) -> bool {
        let all = self.all();
        let is_stream = |accept: &[u8]| accept.starts_with(EVENT_STREAM);
        all.header("upgrade").is_some()
            || all.header("accept").is_some_and(is_stream)
            || all.method() == b"CONNECT"
    }
}

/// Whether a request is a copy that the proxy sends to see how somebody takes it: it marks the host, before the port.
pub(super) fn is_shadow(authority: &[u8]) -> bool {
    let host = authority.iter().rposition(|&byte| byte == b':').and_then(|colon| authority.get(..colon));
    [Some(authority), host].into_iter().flatten().any(|host| host.ends_with(b"-shadow"))
}

/// A number of the proxy; integers come as eight bytes.
pub(super) fn integer(host: &dyn Host, path: &[&str]) -> Option<u64> {
    taken(|read| host.property(path, read), |bytes| bytes.try_into().ok().map(u64::from_le_bytes)).flatten()
}

/// A number that is written out.
pub(super) fn decimal<N: core::str::FromStr>(text: &[u8]) -> Option<N> {
    core::str::from_utf8(text).ok()?.parse().ok()
}
