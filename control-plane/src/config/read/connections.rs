//! The section `connections`.

use emac_document::Fields;
use emac_document::types::{integer, millis};

use crate::config::ConnectionLimits;

const MINUTE: u64 = 60_000;

pub(super) fn connections(fields: &mut Fields<'_>) -> Option<ConnectionLimits> {
    let default = ConnectionLimits::default();
    let open = "connections open at once, on each port; a peer (an address) gets at most as many as are free";
    let streams = "streams of evidence open at once, and as many of budgets; a peer (a workload, or an address where nobody proves who it is) gets at most as many as are free";
    let per_connection = "streams open at once on one connection, announced to the peer";
    let memory = "memory for messages under way in MiB: of each stream its longest; a peer (an address) gets at most as much as is free";
    let first = "a connection or stream on which nothing comes for this long after it was opened, or of a message not its rest, is ended, 100ms to 10m";
    let idle = "a connection without a stream or request for this long is closed, 100ms to 24h";
    let keepalive = "interval at which peers are asked whether they are there; who does not answer for as long is cut off, 100ms to 1h";
    let stalled = "a peer that does not read what it is sent for this long is cut off, 100ms to 1h";
    Some(ConnectionLimits {
        open: fields.field("open", integer("count", 2..=1_000_000), open).or(default.open),
        streams: fields.field("streams", integer("count", 2..=1_000_000), streams).or(default.streams),
        streams_per_connection: fields
            .field("streamsPerConnection", integer("count", 1..=100_000), per_connection)
            .or(default.streams_per_connection),
        messages_mib: fields
            .field("messagesMiB", integer("MiB", 16..=65_536), memory)
            .or(default.messages_mib),
        first_message: fields
            .field("firstMessage", millis(100..=10 * MINUTE), first)
            .or(default.first_message),
        idle: fields.field("idle", millis(100..=24 * 60 * MINUTE), idle).or(default.idle),
        keepalive: fields.field("keepalive", millis(100..=60 * MINUTE), keepalive).or(default.keepalive),
        stalled: fields.field("stalled", millis(100..=60 * MINUTE), stalled).or(default.stalled),
    })
}
