//! The real filter module under the mock host: its promises about bad input, budgets, evidence and a host that fails.
//!
//! One test binary, a module a theme. Every test drives the `.wasm` that ships, with a clock that the test sets.

#[path = "wasm/support.rs"]
mod support;

#[path = "wasm/budgets.rs"]
mod budgets;
#[path = "wasm/calls.rs"]
mod calls;
#[path = "wasm/classes.rs"]
mod classes;
#[path = "wasm/context.rs"]
mod context;
#[path = "wasm/control_loop.rs"]
mod control_loop;
#[path = "wasm/counters.rs"]
mod counters;
#[path = "wasm/discovery.rs"]
mod discovery;
#[path = "wasm/edge.rs"]
mod edge;
#[path = "wasm/evidence.rs"]
mod evidence;
#[path = "wasm/fallback.rs"]
mod fallback;
#[path = "wasm/faults.rs"]
mod faults;
#[path = "wasm/fuzz.rs"]
mod fuzz;
#[path = "wasm/ids.rs"]
mod ids;
#[path = "wasm/leader.rs"]
mod leader;
#[path = "wasm/module.rs"]
mod module;
#[path = "wasm/sides.rs"]
mod sides;
#[path = "wasm/timeouts.rs"]
mod timeouts;
