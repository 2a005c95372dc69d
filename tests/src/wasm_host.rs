//! A small proxy-wasm host: the real filter module, a fake clock, and no Envoy.
//!
//! [`Host`] is one Envoy: several [`Vm`]s (its threads) over one [`World`] (shared data, queues, metrics, clock, log), each with
//! a root context per listener direction. A test sends a request, plays upstream, moves the clock, fires ticks and reads what the
//! filter did. [`ControlPlane`] is the other end of the filter's two gRPC streams, in memory, and can be dead, silent or wrong.
//!
//! Statuses, phases, tokens and the order of callbacks are those of Envoy 1.40 (`source/extensions/common/wasm/context.cc` and
//! proxy-wasm-cpp-host's `exports.cc`), including the awkward ones: header maps vanish once a callback lets the message go, local replies of
//! the request path pass through the filter's own response callbacks, and the SDK panics on statuses it does not list. A trap is a
//! test failure wherever it happens. [`Fault`]s make any host call fail with a status that Envoy can return for it.
//!
//! Left out: TCP filters, DNS, threads (VMs take turns, so a race between threads is simulated by the order of calls), V8's own
//! memory accounting.

mod abi;
mod artifact;
mod control_plane;
mod driver;
mod exchange;
mod fault;
mod headers;
mod properties;
mod request;
mod setup;
mod state;
mod vm;
mod world;

#[cfg(test)]
mod tests;

pub(crate) use artifact::is_newer_than_sources;
pub use artifact::{FilterModule, NotRun, filter_wasm};
pub use control_plane::{Behaviour, ControlPlane, Nack};
pub use driver::Host;
pub use exchange::{Callout, Exchange, LocalReply, Response};
pub use fault::{Fault, HostCall, Status};
pub use headers::Headers;
pub use properties::{Flags, Phase, Property};
pub use request::RequestBuilder;
pub use setup::{Direction, Setup};
pub use vm::{Trap, Vm};
pub use world::{HttpCall, LogLine, World};
