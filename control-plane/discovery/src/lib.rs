//! Discovery: from what was recorded and configured to a candidate model, with a reason for every field.
//!
//! [`discover`] infers journeys, operators and failure domains from observed traces; [`mesh`] reads what Istio, Envoy and Kubernetes are told to do;
//! [`watch`] does it window by window and proposes what recurs.

pub mod discover;
pub mod mesh;
pub mod watch;
