//! The xDS v3 transport protocol, server side, as a state machine without I/O, clock or tasks.
//!
//! One [`Stream`] serves one gRPC stream of the aggregated service: [`SotwStream`] in the state-of-the-world variant,
//! [`DeltaStream`] in the incremental one. The shell feeds requests ([`Stream::on_request`]) and, whenever it is able to
//! send, takes the next message with [`Stream::poll`], giving it the newest [`Snapshot`]. Nothing is queued here: what a client
//! is owed is worked out at the moment it can be sent, from what it holds and what is current. So the latest snapshot wins, a
//! slow client costs no memory, and a change undone before it could be sent is never sent.
//!
//! Rules kept (the protocol document of Envoy 1.40, retold as cases in `tests/xds_rules`): versions, nonces, ACK and NACK,
//! legacy and explicit wildcard, resubscription, removal, initial versions, make-before-break order over kinds, time to live.
//!
//! A response is never held back until the one before is acknowledged: the protocol does not ask for it, and flow control of
//! the transport bounds what is in flight.
//!
//! Left out: dynamic parameters, resource locators and aliases (xDS-TP), and on-demand discovery, which no client of a budgets
//! resource uses.

mod delta;
mod error;
mod exchange;
mod kind;
mod resource;
mod sotw;
mod stream;
mod subscription;

pub use delta::DeltaWatch;
pub use error::{Code, StreamError};
pub use exchange::{ErrorDetail, Receipt, Shipment};
pub use kind::{Kind, KindTable, Scope, State, TtlPolicy};
pub use resource::{Name, Resource, ResourceSet, Snapshot, Version};
pub use sotw::SotwWatch;
pub use stream::{Due, Part, Received, Request, Stream, StreamLimits, Watch};
pub(crate) use subscription::WILDCARD;

/// A stream of the state-of-the-world variant.
pub type SotwStream = Stream<SotwWatch>;
/// A stream of the incremental variant.
pub type DeltaStream = Stream<DeltaWatch>;
