//! Scenarios with real Envoys, the real filter and, where they need one, a control plane. One folder each, with a README that says what
//! it shows. A scenario that cannot run here says "not run: why".

mod common;

mod budget_timeout;
mod control_plane_absent;
mod deadline;
mod drift;
mod equality;
mod exact_totals;
mod fallback_alternate;
mod fallback_static;
mod grpc;
mod hostile_headers;
mod istio_replay;
mod kill_switch;
mod lease;
mod lifecycle;
mod modes;
mod nack;
mod native;
mod prometheus;
mod sdk_apps;
mod status;
mod traceless;
