//! File descriptors: each connection needs one, and a shell allows 1 024.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Descriptors beside those of connections: store, logs, files that are read.
const OTHERS: u64 = 256;

/// Allows this process as many descriptors as the system lets it have, and says so when these are fewer than `connections` need.
pub fn allow_descriptors(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let allowed = Rlimit { current: limit.maximum, ..limit };
    let current = match setrlimit(Resource::Nofile, allowed) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let needed = connections as u64 + OTHERS;
    if let Some(current) = current.filter(|current| *current < needed) {
        warn!(
            "the system allows this process {current} open files, {connections} connections (connections.open) need {needed}: raise it (ulimit -n {needed}, LimitNOFILE={needed})"
        );
    }
}
