//! A stream to the control plane that comes back: opened from ticks, with backoff, bounded.
//!
//! Envoy calls a stream open before anybody answered; so "connected" means that a message was heard, and only that resets the backoff.

use emac_core::units::{Micros, Millis};

use super::target::GrpcTarget;
use crate::host::Host;

const FIRST_WAIT: Micros = Micros(200_000);
/// A sidecar among thousands waits no longer than this after the control plane is back.
const LONGEST_WAIT: Micros = Micros(10_000_000);
/// Over which sidecars come back that lost a control plane in the same instant. Their budgets outlast it many times.
const SPREAD: Micros = Micros(1_000_000);
/// The longest wait with its jitter.
const LONGEST_PAUSE: Micros = Micros(LONGEST_WAIT.0 + LONGEST_WAIT.0 / 8);

/// One stream's life.
#[derive(Debug)]
pub(super) struct Link {
    service: &'static str,
    method: &'static str,
    stream: Option<u32>,
    /// To be dropped on the next tick.
    doomed: bool,
    heard: bool,
    last_heard: Micros,
    wait: Micros,
    next_try: Micros,
}

/// What [`Link::keep_open`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Opened just now: say hello.
    Opened,
    /// Open since before.
    Open,
    /// Not open; a later tick tries.
    Down,
}

impl Link {
    pub(super) const fn new(service: &'static str, method: &'static str) -> Self {
        Self {
            service,
            method,
            stream: None,
            doomed: false,
            heard: false,
            last_heard: Micros(0),
            wait: FIRST_WAIT,
            next_try: Micros(0),
        }
    }

    /// Opens the stream if it is not open and the time has come.
    pub(super) fn keep_open(&mut self, host: &dyn Host, target: &GrpcTarget, now: Micros) -> State {
        self.end_doomed(host, now);
        if self.stream.is_some() {
            return State::Open;
        }
        // A clock that went far back must not mean waiting for it to catch up.
        if now < self.next_try && self.next_try.since(now) <= LONGEST_PAUSE {
            return State::Down;
        }
        self.stream = host.open_stream(target.as_str(), self.service, self.method, target.authorization());
        self.heard = false;
        self.last_heard = now;
        if self.stream.is_none() {
            self.back_off(now);
            return State::Down;
        }
        State::Opened
    }

    pub(super) fn send(&mut self, host: &dyn Host, message: &[u8]) {
        let Some(stream) = self.stream.filter(|_| !self.doomed) else { return };
        if !host.send(stream, message) {
            self.doom();
        }
    }

    /// A message came.
    pub(super) fn hear(&mut self, now: Micros) {
        self.heard = true;
        self.last_heard = now;
        self.wait = FIRST_WAIT;
    }

    /// Whether this is the link's stream.
    pub(super) fn owns(&self, token: u32) -> bool {
        self.stream == Some(token) && !self.doomed
    }

    /// The stream was closed and forgotten by the host.
    pub(super) fn on_close(&mut self, now: Micros) {
        self.stream = None;
        self.back_off(now);
    }

    /// Nothing more is heard from the stream; the next tick ends it, a later one opens another.
    ///
    /// Not at once: out of a message of this very stream Envoy would forget the receiver and hand the next message of the same read to
    /// freed memory.
    pub(super) const fn doom(&mut self) {
        self.doomed = self.stream.is_some();
    }

    fn end_doomed(&mut self, host: &dyn Host, now: Micros) {
        if !core::mem::take(&mut self.doomed) {
            return;
        }
        if let Some(stream) = self.stream.take() {
            host.reset_stream(stream);
        }
        self.back_off(now);
    }

    /// The root context that owned the stream is gone, and the stream with it.
    pub(super) fn abandon(&mut self, host: Option<&dyn Host>) {
        if let (Some(stream), Some(host)) = (self.stream.take(), host) {
            host.reset_stream(stream);
        }
        self.stream = None;
        self.doomed = false;
        self.next_try = Micros(0);
    }

    /// For how long nothing was heard on an open stream.
    pub(super) fn silence(&self, now: Micros) -> Millis {
        if self.stream.is_some() { now.since(self.last_heard).to_millis_floor() } else { Millis(0) }
    }

    pub(super) const fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Doubles, with a jitter of up to an eighth, at least [`SPREAD`]. Thousands notice within milliseconds that a process died, so the microseconds of the
    /// clock are scattered (Fibonacci hashing; Knuth, The Art of Computer Programming 3, 6.4).
    ///
    /// A stream that lasted as long as the longest wait was somewhere, though nobody spoke: who resets it, because budgets are stale, is soon back.
    fn back_off(&mut self, now: Micros) {
        if now.since(self.last_heard) >= LONGEST_WAIT {
            self.wait = FIRST_WAIT;
        }
        let scattered = now.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let jitter = scattered % (self.wait.0 / 8).max(SPREAD.0);
        self.next_try = now.after(self.wait).after(Micros(jitter));
        self.wait = Micros(self.wait.0.saturating_mul(2)).min(LONGEST_WAIT);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::Fake;

    fn target() -> GrpcTarget {
        GrpcTarget::new("emac", "").unwrap()
    }

    #[test]
    fn opening_alone_does_not_reset_the_backoff() {
        let (host, mut link, mut now) = (Fake::default(), Link::new("s", "m"), 0);
        let mut tries = Vec::new();
        // Opened, and closed at once by a dead cluster, for five minutes of ticks.
        for _ in 0..3_000 {
            now += 100_000;
            if link.keep_open(&host, &target(), Micros(now)) == State::Opened {
                tries.push(now);
                link.on_close(Micros(now));
            }
        }
        assert!((30..60).contains(&tries.len()), "{}", tries.len());
        let waits: Vec<u64> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let longest = waits.iter().copied().max().unwrap();
        let mut doubled = waits.iter().skip(8);
        assert!(
            doubled.all(|wait| *wait >= LONGEST_WAIT.0),
            "the jitter of the longest wait must not end it: {waits:?}"
        );
        assert!(longest <= LONGEST_PAUSE.0 + 100_000, "{longest}");
        link.keep_open(&host, &target(), Micros(now + 20_000_000));
        link.hear(Micros(now + 20_000_000));
        link.on_close(Micros(now + 20_000_000));
        assert_eq!(link.keep_open(&host, &target(), Micros(now + 21_300_000)), State::Opened);
    }

    #[test]
    fn sidecars_that_lose_a_control_plane_in_one_instant_come_back_one_after_the_other() {
        let mut tenths = [0_u32; 10];
        for n in 0..1_000 {
            let (host, mut link) = (Fake::default(), Link::new("s", "m"));
            // All within seven milliseconds.
            let died = 1_800_000_000_000_000 + n * 7;
            link.keep_open(&host, &target(), Micros(died - 5_000_000));
            link.hear(Micros(died - 1_000_000));
            link.on_close(Micros(died));
            let back = (0..).map(|tick| died + tick * 1_000);
            let mut back = back.filter(|at| link.keep_open(&host, &target(), Micros(*at)) == State::Opened);
            let after_ms = (back.next().unwrap() - died) / 1_000;
            assert!((200..=1_200).contains(&after_ms), "{after_ms}");
            tenths[((after_ms - 200) / 100).min(9) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (50..150).contains(count)), "{tenths:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 200,
            failure_persistence: None,
            rng_seed: proptest::test_runner::RngSeed::Fixed(0x714C),
            ..ProptestConfig::default()
        })]

        /// However the clock jumps, a link that is down is tried again within the longest wait of forward time.
        #[test]
        fn it_always_comes_back(jumps in prop::collection::vec(0..u64::MAX / 2, 1..20)) {
            let (host, mut link) = (Fake::default(), Link::new("s", "m"));
            host.refuses_streams.set(true);
            for now in &jumps {
                link.keep_open(&host, &target(), Micros(*now));
            }
            host.refuses_streams.set(false);
            let last = jumps.last().copied().unwrap_or_default();
            let later = Micros(last).after(LONGEST_PAUSE);
            prop_assert_eq!(link.keep_open(&host, &target(), later), State::Opened);
        }
    }
}
