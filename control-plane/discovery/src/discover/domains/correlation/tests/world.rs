//! Seeded worlds: six components over a day of minutes, with load that swings and outages of their own.

use super::*;

pub(super) const SLOTS: u64 = 1_440;
const COMPONENTS: usize = 6;

/// What is true of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Outages of some minutes, of each component's own.
    Independent,
    /// Fewer and longer ones: slots are far from independent.
    LongOutages,
    /// At peaks of load every component may break, each by itself.
    Overload,
    /// `c0` and `c1` share this many outages beside their own.
    Shared { outages: usize },
    /// `c0` calls `c1` and fails with it.
    CallerAndCallee,
    /// `c0` and `c1` call `c2` and fail with it.
    CommonCallee,
    /// `c0`, `c1` and `c2` share outages.
    Three,
    /// `c0` and `c1` share some outages, `c1` and `c2` others.
    Chain,
}

pub(super) struct World {
    pub(super) series: SlotSeries,
    pub(super) calls: Vec<(ComponentName, ComponentName)>,
}

/// A state of [`emac_core::mix`], so that a seed means the same world for ever.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        emac_core::mix::unit(&mut self.0)
    }

    /// Failures of `n` requests: Poisson by Knuth's product, cut at `n`; for small rates as good as binomial, for large ones wilder.
    fn failures(&mut self, n: u64, rate: f64) -> u64 {
        let (limit, mut product, mut count) = ((-rate * n as f64).exp(), self.unit(), 0);
        while product > limit {
            product *= self.unit();
            count += 1;
        }
        count.min(n)
    }

    /// Marks `count` outages of mean length `mean`.
    fn outages(&mut self, out: &mut [bool], count: usize, mean: f64) {
        for _ in 0..count {
            let start = (self.unit() * SLOTS as f64) as usize;
            let length = 1 + (-self.unit().max(1e-9).ln() * mean) as usize;
            out.iter_mut().skip(start).take(length).for_each(|slot| *slot = true);
        }
    }
}

impl World {
    pub(super) fn new(kind: Kind, seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x5851_F42D_4C95_7F2D));
        let load: Vec<f64> = (0..SLOTS).map(|slot| load(slot) * (0.9 + 0.2 * random.unit())).collect();
        let out = outages(kind, &load, &mut random);
        let series = out.iter().enumerate().map(|(c, out)| {
            let slot = |(slot, &out): (usize, &bool)| {
                let requests = (60.0 * load[slot] * (0.95 + 0.1 * random.unit())) as u64;
                let failures = random.failures(requests, if out { 0.3 } else { 0.002 });
                Slot { slot: slot as u64, requests, failures }
            };
            (name(&format!("c{c}")), out.iter().enumerate().map(slot).collect())
        });
        let call = |(from, to)| (name(from), name(to));
        let calls: &[(&str, &str)] = match kind {
            Kind::CallerAndCallee => &[("c0", "c1")],
            Kind::CommonCallee => &[("c0", "c2"), ("c1", "c2")],
            _ => &[],
        };
        Self { series: series.collect(), calls: calls.iter().copied().map(call).collect() }
    }
}

/// Three peaks a day.
fn load(slot: u64) -> f64 {
    1.0 + 0.6 * (slot as f64 * 6.0 * std::f64::consts::PI / SLOTS as f64).sin()
}

fn outages(kind: Kind, load: &[f64], random: &mut Random) -> Vec<Vec<bool>> {
    let mut out = vec![vec![false; SLOTS as usize]; COMPONENTS];
    for own in &mut out {
        match kind {
            Kind::LongOutages => random.outages(own, 6, 30.0),
            Kind::Overload => {
                random.outages(own, 2, 4.0);
                let peaks = own.iter_mut().zip(load).filter(|(_, load)| **load > 1.6);
                peaks.for_each(|(slot, _)| *slot |= random.unit() < 0.15);
            }
            _ => random.outages(own, 6, 4.0),
        }
    }
    let mut share = |members: &[usize], count| {
        let mut shared = vec![false; SLOTS as usize];
        random.outages(&mut shared, count, 4.0);
        for &member in members {
            out[member].iter_mut().zip(&shared).for_each(|(slot, shared)| *slot |= *shared);
        }
    };
    match kind {
        Kind::Shared { outages } => share(&[0, 1], outages),
        Kind::CallerAndCallee => share(&[0, 1], 8),
        Kind::CommonCallee | Kind::Three => share(&[0, 1, 2], 12),
        Kind::Chain => {
            share(&[0, 1], 8);
            share(&[1, 2], 8);
        }
        Kind::Independent | Kind::LongOutages | Kind::Overload => {}
    }
    out
}
