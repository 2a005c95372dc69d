//! The time of requests, by one reading: the clock that nobody sets, from which the wall clock follows.
//!
//! The wall clock itself is read on ticks and where it was not for a second, so a clock that is set is noticed within that.

use emac_core::units::Micros;

use crate::host::Host;

/// Clocks drift apart by less than a millisecond in ten times that, also while one is being corrected.
const TRUSTED: Micros = Micros(1_000_000);
/// Threads of one host may differ a little.
const TOLERATED: Micros = Micros(1_000);

/// Both clocks, as last read.
#[derive(Debug, Default)]
pub(super) struct Clock {
    pub(super) wall: Micros,
    pub(super) uptime: Micros,
    /// Both at once.
    read: Option<(Micros, Micros)>,
}

impl Clock {
    /// Reads both. Whether the wall clock went backwards.
    pub(super) fn read(&mut self, host: &dyn Host) -> bool {
        let (wall, uptime) = (host.now(), host.uptime());
        let backwards = wall.after(TOLERATED) < self.wall;
        *self = Self { wall, uptime, read: Some((wall, uptime)) };
        backwards
    }

    /// Reads the one and tells the other by it; `false`: it is too long since both were read.
    pub(super) fn go_on(&mut self, host: &dyn Host) -> bool {
        let Some((wall, uptime)) = self.read else { return false };
        let now = host.uptime();
        let passed = now.since(uptime);
        if passed >= TRUSTED || now < uptime {
            return false;
        }
        (self.wall, self.uptime) = (wall.after(passed), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fake;

    #[test]
    fn requests_follow_the_clock_that_nobody_sets_until_both_are_read() {
        let host = Fake::default();
        let mut clock = Clock::default();
        assert!(!clock.go_on(&host), "nothing was read yet");
        let set = |wall, uptime| {
            host.now.set(wall);
            host.uptime.set(Some(uptime));
        };
        set(9_000_000, 5_000);
        assert!(!clock.read(&host));
        set(1_000_000, 8_000);
        assert!(clock.go_on(&host), "set back by eight seconds, unseen");
        assert_eq!((clock.wall, clock.uptime), (Micros(9_003_000), Micros(8_000)));
        set(1_001_000, 1_005_000);
        assert!(!clock.go_on(&host), "a second later it is looked at");
        assert!(clock.read(&host), "and found to be set back");
        assert_eq!(clock.wall, Micros(1_001_000));
    }
}
