//! The only clock: everything else is handed the time.
//!
//! Durations come from a monotonic reading, so a clock that is set back can neither stretch nor rewind a window; the calendar is
//! read only where people or other programs want to see it (`issued_at`, the age of an epoch).

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use emac_core::units::{Micros, Moment};

/// Time since this was made, and the calendar.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// Starts at zero.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Time since the start; never goes back.
    pub fn now(&self) -> Micros {
        Micros(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Both clocks.
    pub fn moment(&self) -> Moment {
        Moment { at: self.now(), unix_ms: self.unix_ms() }
    }

    /// Milliseconds since 1970 by the host's calendar; zero before 1970.
    pub fn unix_ms(&self) -> u64 {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }
}
