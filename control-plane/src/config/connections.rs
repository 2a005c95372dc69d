//! `connections`: how much peers may take, and for how long.

use emac_core::units::Millis;

/// `connections`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// `open`: connections open at once, on each port, 2 ..= 1 000 000.
    pub open: usize,
    /// `streams`: streams of evidence open at once, and as many of budgets, 2 ..= 1 000 000.
    pub streams: usize,
    /// `streamsPerConnection`: announced to peers (HTTP/2, `SETTINGS_MAX_CONCURRENT_STREAMS`), 1 ..= 100 000.
    pub streams_per_connection: u32,
    /// `messagesMiB`: memory for messages under way: of each open stream the length of the longest it has carried, 16 ..= 65 536.
    pub messages_mib: usize,
    /// `firstMessage`: a connection or stream on which nothing comes for so long after it was opened is ended, and so is a stream on which
    /// the rest of a message does not, 100 ms ..= 10 min.
    pub first_message: Millis,
    /// `idle`: a connection without a stream or a request for so long is closed, 100 ms ..= 24 h.
    pub idle: Millis,
    /// `keepalive`: open connections are asked so often whether the peer is still there, which has as long to answer, 100 ms ..= 1 h.
    pub keepalive: Millis,
    /// `stalled`: a peer that reads nothing for so long of what it is sent is cut off, 100 ms ..= 1 h.
    pub stalled: Millis,
}

impl Default for ConnectionLimits {
    /// 65 536 is room for two rollouts of 10 000 sidecars at once with a connection for each of their streams, also where all are of one
    /// peer, which gets at most half; 1 024 streams a connection are what a sidecar in front bundles. Pings of 15 s notice a host that
    /// vanished within half a minute.
    fn default() -> Self {
        Self {
            open: 65_536,
            streams: 65_536,
            streams_per_connection: 1_024,
            messages_mib: 1_024,
            first_message: Millis(30_000),
            idle: Millis(120_000),
            keepalive: Millis(15_000),
            stalled: Millis(30_000),
        }
    }
}
