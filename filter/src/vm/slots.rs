//! A fixed number of places in shared data, found by hashing, each holding the last thing put there.
//!
//! Two users: contexts waiting under their trace id for the outbound side ([`put_context`]), and marks of degraded answers
//! ([`crate::vm::marks`]). A place that was overwritten by another key answers nothing, which is counted where it matters; with
//! n requests in flight that happens to about one in places/n.

use emac_core::context::{Absolute, Context};

use crate::host::Host;

/// Contexts in flight at once are far fewer; a place costs about 150 bytes once used.
const CONTEXTS: u64 = 8_192;

/// Keeps a context for the outbound side of this pod; under zeros none.
pub(crate) fn put_context(host: &dyn Host, trace_id: [u8; 16], context: &Context<'_, Absolute>) {
    if trace_id == [0; 16] {
        return;
    }
    let mut value = Vec::with_capacity(128);
    value.extend_from_slice(&trace_id);
    value.extend_from_slice(context.to_string().as_bytes());
    put(host, "emac.context", CONTEXTS, u128::from_be_bytes(trace_id), &value);
}

/// The context kept for a trace, as the value of a member.
pub(crate) fn get_context(host: &dyn Host, trace_id: [u8; 16]) -> Option<Vec<u8>> {
    if trace_id == [0; 16] {
        return None;
    }
    let value = get(host, "emac.context", CONTEXTS, u128::from_be_bytes(trace_id))?;
    value.strip_prefix(&trace_id).map(<[u8]>::to_vec)
}

/// The request `id`, whose context was kept for a trace, is over. Another request of the same trace keeps its own.
pub(crate) fn end_context(host: &dyn Host, trace_id: [u8; 16], id: u64) {
    let kept = get_context(host, trace_id);
    let own = kept.and_then(|value| Context::parse(&value).ok().map(|context| context.id)) == Some(id);
    if own {
        put(host, "emac.context", CONTEXTS, u128::from_be_bytes(trace_id), &[]);
    }
}

/// Overwrites the place of a key.
pub(crate) fn put(host: &dyn Host, table: &str, places: u64, key: u128, value: &[u8]) {
    // Without a version a write cannot be contended.
    let _ = host.set_shared(&place(table, places, key), value, None);
}

/// What was last put at the place of a key: perhaps under another key.
pub(crate) fn get(host: &dyn Host, table: &str, places: u64, key: u128) -> Option<Vec<u8>> {
    host.shared(&place(table, places, key)).map(|(value, _)| value)
}

fn place(table: &str, places: u64, key: u128) -> String {
    // Fibonacci hashing of both halves; ids need not be random in all their bits.
    let mixed = ((key >> 64) as u64 ^ (key as u64).rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{table}.{}", (mixed >> 32) % places)
}
