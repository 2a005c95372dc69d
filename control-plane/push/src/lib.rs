//! Push: budgets on their way to the sidecars, by xDS v3.
//!
//! In reading order: [`protocol`] is the xDS protocol as a pure state machine, for both variants and any kinds; [`snapshot`]
//! turns a plan into versioned resources and renews their leases; [`proxies`] remembers who is connected and what they
//! accepted, and [`standing`] says in one word how each stands; [`service`] is the gRPC service, which only carries bytes between a stream and its machine.
//!
//! What push leaves out: it plans nothing, and it never touches a route, a cluster or a listener of anybody's mesh: it
//! serves one kind of its own, `emac.v1.WorkloadBudgets`.

pub mod drain;
pub mod paced;
pub mod protocol;
pub mod proxies;
pub mod service;
pub mod snapshot;
pub mod standing;

use std::sync::Arc;

use emac_core::units::Moment;

/// Reads the clocks. The shell hands it in; nothing below reads a clock of its own.
pub type Now = Arc<dyn Fn() -> Moment + Send + Sync>;
