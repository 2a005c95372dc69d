//! From a plan to versioned resources, and the renewal of leases.
//!
//! A budget is a lease: a sidecar forgets it (or calls it stale) `valid_for` after receipt. So every resource is issued anew,
//! under the same generation, well before that: [`Issuer::renew`], after a third of its validity at the latest, so that two
//! renewals may be lost before a lease runs out. Renewals of different workloads are spread over the last quarter of that time, by
//! their names, so that a thousand leases of one plan do not fall due in one instant.
//!
//! Per-workload push: a workload whose budgets did not change keeps its resource, and with it its version, although the plan has
//! a new generation; the new generation reaches it with the next renewal.
//!
//! [`Issuer`] is pure; [`Publisher`] adds the lock, and [`Feed`] wakes the streams that a new snapshot concerns.

mod feed;
mod issuer;
mod publisher;

pub use feed::{Change, Closed, Feed, Follower};
pub use issuer::{Issuer, Published, generation_of};
pub use publisher::Publisher;
