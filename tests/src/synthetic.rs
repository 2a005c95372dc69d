//! Worlds with ground truth: for tests, benches and docs of discovery.
//!
//! In the order of the data: [`Settings`] and a seed make a [`World`] of services and journeys, whose structure is known as a
//! [`Step`] and as an expression; [`execute`] runs a request the way real callers behave; [`Spans`] are what instrumentation would record
//! of it, with its gaps, clocks and losses; [`score`] compares what discovery found with the truth.
//!
//! Equal settings give equal bytes. Every request can be made anew by its number alone, so nothing needs to be kept, and a world of a
//! million traces streams.
//!
//! Left out: load (requests do not slow each other down), and services that occur twice in one journey.

mod calls;
mod draw;
pub mod execute;
mod exhibited;
mod faults;
mod files;
mod grow;
mod hops;
pub mod hostile;
pub mod score;
mod service;
mod settings;
mod spans;
mod step;
mod stream;
mod tune;
mod world;

pub use draw::Draw;
pub use faults::{Domains, Outages};
pub use files::{Format, Labels, write_spans};
pub use hops::Propagation;
pub use service::{Service, ServiceId};
pub use settings::{Faults, Operators, Settings, Signals, Style};
pub use step::{Call, Losers, Step};
pub use stream::Spans;
pub use tune::UNTUNED;
pub use world::{BEGIN_NS, Journey, Request, World};
