//! Which VM of the process this is: a number drawn from shared data, and when it was drawn.

use emac_core::mix;

use crate::host::Host;

const NUMBER: &str = "emac.vm";
const TRIES_MAX: u32 = 8;

/// Unique among the VMs of a process. Shared data knows no create-if-absent, so two VMs that make the very first draw at once may get
/// the same number; then the times differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Name {
    number: u64,
    drawn_us: u64,
    ids: u64,
    /// State of the generator of trace ids.
    seed: u64,
}

impl Name {
    /// Draws a number, once.
    pub(crate) fn draw(&mut self, host: &dyn Host) {
        if self.drawn_us != 0 {
            return;
        }
        self.drawn_us = host.now().0.max(1);
        // Once a VM: a call a request would cost as much as a header. Without it the time keeps proxies apart.
        self.seed = host.random() ^ self.drawn_us;
        for _ in 0..TRIES_MAX {
            let (count, version) = host.shared(NUMBER).unwrap_or_default();
            self.number = count.try_into().map(u64::from_le_bytes).unwrap_or_default().wrapping_add(1);
            let version = Some(version).filter(|&version| version != 0);
            if host.set_shared(NUMBER, &self.number.to_le_bytes(), version).is_ok() {
                return;
            }
        }
        // Everybody draws at once: the time alone must do.
        self.number ^= self.drawn_us;
    }

    /// A trace id that no other request has. Never zeros.
    pub(crate) const fn next_trace_id(&mut self) -> [u8; 16] {
        let half = mix::next(&mut self.seed);
        (((half as u128) << 64) | (mix::next(&mut self.seed) | 1) as u128).to_be_bytes()
    }

    /// A span id. Never zeros.
    pub(crate) const fn next_span_id(&mut self) -> [u8; 8] {
        (mix::next(&mut self.seed) | 1).to_be_bytes()
    }

    /// The name in bytes.
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        ((u128::from(self.number) << 64) | u128::from(self.drawn_us)).to_le_bytes()
    }

    /// A number no other request of this process has, for a long time, and hardly one of another process. Never 0.
    pub(crate) const fn next_id(&mut self) -> u64 {
        self.ids = self.ids.wrapping_add(1);
        // Fibonacci hashing: numbers and times of VMs are close together.
        let vm = (self.number ^ self.drawn_us.rotate_left(20)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        (vm << 40) | ((self.ids & 0x00ff_ffff_ffff) + (self.ids == 0) as u64)
    }
}
