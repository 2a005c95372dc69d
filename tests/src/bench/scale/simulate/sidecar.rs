//! One sidecar, as the filter behaves: reports gather while one is in flight, a report without an answer is offered again, a stream without any
//! is replaced, and a stream that ended comes back after a wait that doubles.

use super::queue::Nanos;

/// Of the filter: how often it looks at the time.
const TICK: Nanos = 100_000_000;
/// Of the filter's outbox: a report without an acknowledgement is offered again after so long.
const RESEND_AFTER: Nanos = 3_000_000_000;
/// Of the filter: a stream without an answer for so long is replaced.
const SILENCE_MAX: Nanos = 10_000_000_000;
/// Of the filter's link: the first wait, the longest, and over which sidecars come back that lost a stream in one instant.
const FIRST_WAIT: Nanos = 200_000_000;
const LONGEST_WAIT: Nanos = 10_000_000_000;
const SPREAD: Nanos = 1_000_000_000;
/// There is nothing to wait for.
const NEVER: Nanos = Nanos::MAX;

/// What a sidecar does on a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Nothing.
    Waits,
    /// It sends the report that is sealed.
    Sends,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Sidecar {
    /// Intervals of calls counted so far, of which those that are neither acknowledged nor sealed are pending.
    pub produced: u32,
    /// Intervals acknowledged.
    pub acknowledged: u32,
    /// Intervals in the report in flight; none: no report is.
    pub sealed: u32,
    /// Of the latest report sealed.
    pub sequence: u32,
    /// The control plane's: the latest sequence counted, and intervals counted.
    pub counted: (u32, u32),
    /// Which stream it is; those before are gone with all that was on them.
    pub stream: u32,
    /// The control plane is at work on a report of this stream, and so many wait on it.
    pub at_work: bool,
    pub unread: u32,
    /// When the report in flight was sealed.
    pub sealed_at: Nanos,
    open: bool,
    next_interval: Nanos,
    offered: Nanos,
    heard: Nanos,
    wait: Nanos,
    next_try: Nanos,
    /// The tick that is foreseen; others are stale.
    tick: Nanos,
}

impl Sidecar {
    /// It counts from `phase` on.
    pub(super) fn new(phase: Nanos) -> Self {
        Self {
            produced: 0,
            acknowledged: 0,
            sealed: 0,
            sequence: 0,
            counted: (0, 0),
            stream: 0,
            at_work: false,
            unread: 0,
            sealed_at: 0,
            open: true,
            next_interval: phase,
            offered: NEVER,
            heard: phase,
            wait: FIRST_WAIT,
            next_try: 0,
            tick: phase,
        }
    }

    /// Intervals that no report holds yet.
    pub(super) fn pending(&self) -> u32 {
        self.produced - self.acknowledged - self.sealed
    }

    /// Whether a foreseen tick is the one that counts.
    pub(super) fn is_due(&self, now: Nanos) -> bool {
        self.tick == now
    }

    /// A tick. `random`: for the wait, should the stream be replaced.
    pub(super) fn turn(&mut self, now: Nanos, every: Nanos, random: u64) -> Deed {
        if now >= self.next_interval {
            self.produced += 1;
            self.next_interval += every;
        }
        let unanswered = self.sealed > 0 || self.pending() > 0;
        if self.open && unanswered && now.saturating_sub(self.heard) > SILENCE_MAX {
            self.close(now, random);
        }
        if !self.open {
            if now < self.next_try {
                return Deed::Waits;
            }
            self.open = true;
            self.heard = now;
            self.offered = NEVER;
        }
        if self.sealed == 0 && self.pending() > 0 {
            self.sealed = self.pending();
            self.sequence += 1;
            self.sealed_at = now;
            self.offered = NEVER;
        }
        let due = self.offered == NEVER || now - self.offered >= RESEND_AFTER;
        if self.sealed == 0 || !due {
            return Deed::Waits;
        }
        self.offered = now;
        Deed::Sends
    }

    /// When it has something to do next; that tick is foreseen from now on.
    pub(super) fn foresee(&mut self, now: Nanos) -> Nanos {
        let unanswered = self.sealed > 0 || self.pending() > 0;
        let wanted = match (self.open, self.sealed > 0) {
            (false, _) if unanswered => self.next_try,
            (true, true) => self.offered.saturating_add(RESEND_AFTER).min(self.heard + SILENCE_MAX + 1),
            (true, false) if unanswered => now,
            _ => NEVER,
        };
        let wanted = wanted.min(self.next_interval).max(now + 1);
        // Ticks keep the sidecar's phase, as its intervals do.
        let ahead = self.next_interval.saturating_sub(wanted) / TICK * TICK;
        self.tick = self.next_interval - ahead;
        self.tick
    }

    /// Its report in flight is counted. How long that took, unless it was known.
    pub(super) fn hear(&mut self, now: Nanos, sequence: u32) -> Option<Nanos> {
        self.heard = now;
        self.wait = FIRST_WAIT;
        if self.sealed == 0 || sequence != self.sequence {
            return None;
        }
        self.acknowledged += std::mem::take(&mut self.sealed);
        Some(now - self.sealed_at)
    }

    /// The stream ends, with all that was on it.
    pub(super) fn close(&mut self, now: Nanos, random: u64) {
        if now.saturating_sub(self.heard) >= LONGEST_WAIT {
            self.wait = FIRST_WAIT;
        }
        let jitter = random % (self.wait / 8).max(SPREAD);
        self.next_try = now + self.wait + jitter;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        self.open = false;
        self.stream += 1;
        (self.at_work, self.unread) = (false, 0);
    }
}
