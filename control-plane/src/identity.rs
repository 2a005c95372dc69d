//! Who a peer is, and what it may say and ask.
//!
//! Three ways lead to a [`Peer`], tried in this order; with `identity: none` there is none, and every peer may everything:
//!
//! - its certificate, where `emac serve` ends TLS itself (`tls`);
//! - `x-forwarded-client-cert`, where a sidecar does (`forwarded`). It is believed only on loopback or a unix socket, where nothing but the
//!   sidecar and the pod's own processes reach the port, and of it only the last element: the one that the sidecar itself wrote;
//! - a signed token that expires (`token`), as `authorization: Bearer`.
//!
//! Certificates and the header carry a SPIFFE id, `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT`. The rule: account `NAMESPACE/ACCOUNT`
//! speaks for the workload of that very name, and for those that `identity.accounts` lists for it. A token names its workload.
//!
//! Nothing here is asked per request of a journey: once a stream, and then the names in each report and request. A stream ends when what its
//! peer proved itself by does.

mod forwarded;
mod gate;
mod keep;
mod operators;
mod peer;
mod spiffe;
mod tls;
pub mod token;
mod transport;

pub(crate) use gate::SEVERAL_PROOFS;
pub use gate::{Gate, Holder, Port, StreamKind};
pub use keep::{Credentials, CredentialsError};
pub use operators::{Changer, Operators, Shown};
pub use peer::Peer;
pub use tls::Protocol;
pub(crate) use tls::read as read_certificate;
pub use transport::{Cut, Origin, Remote, Transport};
