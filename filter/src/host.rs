//! The port: what the filter asks of the proxy it lives in.
//!
//! Nothing here can fail loudly. A host that cannot answer says `None` or `false`, and the caller lets the request pass. Names of header
//! maps say the phase in which they may be used; asking in another phase answers nothing.
//!
//! What a message or the proxy says is lent, not given: the host calls `read` with its bytes where there are any, empty ones too, and not at
//! all where there are none. What is lent is gone when `read` returns, and nothing is set, removed or answered while it lasts. [`taken`]
//! makes a value of it.

use emac_core::units::{Micros, Millis};

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For developers.
    Debug,
    /// A transition.
    Info,
    /// Something is degraded; somebody should look.
    Warn,
}

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// Grows.
    Counter,
    /// Is set.
    Gauge,
    /// Takes whole numbers.
    Histogram,
}

/// A header that is kept.
pub type Header = (String, Vec<u8>);

/// Somebody else changed the value first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contended;

/// What became of a callout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalloutAnswer {
    /// Empty when there was no answer.
    pub headers: Vec<Header>,
    /// All of it.
    pub body: Vec<u8>,
}

/// Who reads what is lent.
pub type Read<'a> = dyn FnMut(&[u8]) + 'a;

/// What `make` makes of the first bytes that `lend` lends; `None`: there were none.
pub fn taken<R>(lend: impl FnOnce(&mut Read<'_>), make: impl FnOnce(&[u8]) -> R) -> Option<R> {
    let (mut make, mut made) = (Some(make), None);
    lend(&mut |bytes| {
        if let Some(make) = make.take() {
            made = Some(make(bytes));
        }
    });
    made
}

/// Whether anything is lent.
pub fn is_there(lend: impl FnOnce(&mut Read<'_>)) -> bool {
    taken(lend, |_| ()).is_some()
}

/// A proxy.
pub trait Host {
    /// Time since 1970 by this proxy's clock.
    fn now(&self) -> Micros;
    /// Time since some moment, by a clock that nobody sets.
    fn uptime(&self) -> Micros;
    /// A number that nobody can foretell; 0 where the host has none to give.
    fn random(&self) -> u64;
    /// Writes a line to the proxy's log.
    fn log(&self, level: Level, message: &str);
    /// The configuration of the current root context.
    fn plugin_configuration(&self) -> Vec<u8>;
    /// Asks for ticks of the current root context; the first after one period from now.
    fn set_tick(&self, period: Millis);
    /// What follows concerns this context (a stream, or a root context). `false`: it is gone, and nothing changes.
    fn act_on(&self, context: u32) -> bool;

    /// One request header, while request headers are being handled; of several lines at least the first.
    fn request_header(&self, name: &str, read: &mut Read<'_>);
    /// All request headers by name and value, in the same phase and in their order.
    fn request_headers(&self, read: &mut dyn FnMut(&[u8], &[u8]));
    /// Replaces a request header, in the same phase.
    fn set_request_header(&self, name: &str, value: &[u8]);
    /// Removes a request header, in the same phase.
    fn remove_request_header(&self, name: &str);
    /// The first bytes of the piece of request body at hand, as a whole or in parts.
    fn request_body(&self, bytes: usize, read: &mut Read<'_>);
    /// One response header, while response headers are being handled.
    fn response_header(&self, name: &str, read: &mut Read<'_>);
    /// Replaces a response header, in the same phase.
    fn set_response_header(&self, name: &str, value: &[u8]);
    /// Removes a response header, in the same phase.
    fn remove_response_header(&self, name: &str);
    /// One response trailer, while response trailers are being handled.
    fn response_trailer(&self, name: &str, read: &mut Read<'_>);
    /// Replaces all response headers, in the same phase, or while it pauses there.
    fn set_response_headers(&self, headers: &[(&str, &[u8])]);
    /// The first bytes of the piece of response body at hand, as a whole or in parts.
    fn response_body(&self, bytes: usize, read: &mut Read<'_>);
    /// A property of the request or the proxy, in any phase.
    fn property(&self, path: &[&str], read: &mut Read<'_>);
    /// Sets a property of the request, in the phase of its headers. Filters of other plugins see it too.
    fn set_property(&self, name: &str, value: &[u8]);
    /// A property of this name stays with the request when the proxy redirects it internally. Said once, before requests.
    fn keep_property(&self, name: &str);
    /// Chooses the route again, with the headers as they are now.
    fn clear_route_cache(&self) -> bool;
    /// Answers instead of whatever would have answered.
    fn respond(&self, status: u16, headers: &[(&str, &str)], body: &[u8]);
    /// Answers a gRPC call with a status.
    fn respond_grpc(&self, status: GrpcStatus, message: &str);
    /// Lets a paused response go on.
    fn resume_response(&self);

    /// Calls another cluster on behalf of the current request; the answer comes under the token.
    fn callout(&self, cluster: &str, headers: &[(&str, &str)], body: &[u8], timeout: Millis) -> Option<u32>;
    /// The answer that is being delivered.
    fn callout_answer(&self, body_bytes: usize) -> CalloutAnswer;

    /// A value all threads share, and its version.
    fn shared(&self, key: &str) -> Option<(Vec<u8>, u32)>;
    /// Writes a shared value; with a version, only over that version.
    ///
    /// # Errors
    /// [`Contended`] when the version is another.
    fn set_shared(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Contended>;
    /// A queue all threads share.
    fn queue(&self, name: &str) -> Option<u32>;
    /// Appends to a queue.
    fn enqueue(&self, queue: u32, item: &[u8]) -> bool;
    /// Takes the oldest item.
    fn dequeue(&self, queue: u32) -> Option<Vec<u8>>;

    /// Defines a metric, or finds the one of that name.
    fn metric(&self, kind: MetricKind, name: &str) -> Option<u32>;
    /// Adds to a counter.
    fn add_metric(&self, metric: u32, by: u64);
    /// Sets a gauge, or gives a histogram a value.
    fn record_metric(&self, metric: u32, value: u64);
    /// Reads a counter: the sum over all threads.
    fn read_metric(&self, metric: u32) -> u64;

    /// Opens a stream owned by the current root context. `target` is spelled by [`crate::root::target::GrpcTarget`]; `authorization` is the
    /// value of that header, empty for none.
    fn open_stream(&self, target: &str, service: &str, method: &str, authorization: &str) -> Option<u32>;
    /// Sends a message. `true` does not mean that it will arrive.
    fn send(&self, stream: u32, message: &[u8]) -> bool;
    /// The message that is being delivered.
    fn message(&self, bytes: usize) -> Vec<u8>;
    /// Lets the proxy forget a stream that the other side has closed.
    fn forget_stream(&self, stream: u32);
    /// Ends an open stream at once.
    fn reset_stream(&self, stream: u32);
}

/// The statuses the filter itself answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcStatus {
    /// 4: too late.
    DeadlineExceeded,
}
