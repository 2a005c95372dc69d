//! A lease on budgets: which generation, how long it holds, what an expired one means.
//!
//! Only this Envoy's clock counts, and only forwards: the lease grows old by the time that is seen to pass, so a clock set back
//! cannot prolong it.

use super::OnExpiry;
use crate::units::{Generation, Micros, Millis};

/// Held since receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    generation: Generation,
    /// `None`: for ever (budgets of the plugin configuration).
    valid_for: Option<Millis>,
    on_expiry: OnExpiry,
    age: Micros,
    last: Micros,
}

/// What the lease allows at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// In force.
    Fresh,
    /// Expired; its budgets still rule.
    Held,
    /// Expired; the route's own settings rule.
    Released,
}

/// How an offer was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// A higher generation than the one held.
    Newer,
    /// The generation held: the lease starts again.
    Renewal,
}

/// The offer is of a lower generation than the one held. Nothing to do: it was overtaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("generation {offered} is older than generation {held}, which is held", offered = .offered.0, held = .held.0)]
pub struct OlderGeneration {
    /// What is held.
    pub held: Generation,
    /// What was offered.
    pub offered: Generation,
}

impl Lease {
    /// A lease on what was received at `received` (which may lie in the past, when another thread received it).
    pub fn new(
        generation: Generation,
        valid_for: Millis,
        on_expiry: OnExpiry,
        received: Micros,
        now: Micros,
    ) -> Self {
        Self { generation, valid_for: Some(valid_for), on_expiry, age: now.since(received), last: now }
    }

    /// A lease that never expires, below every generation of a control plane.
    pub const fn forever(now: Micros) -> Self {
        Self {
            generation: Generation(0),
            valid_for: None,
            on_expiry: OnExpiry::Hold,
            age: Micros(0),
            last: now,
        }
    }

    /// Whether an offer may replace this lease.
    ///
    /// # Errors
    /// [`OlderGeneration`].
    pub fn judge(&self, offered: Generation) -> Result<Offer, OlderGeneration> {
        match offered.cmp(&self.generation) {
            core::cmp::Ordering::Less => Err(OlderGeneration { held: self.generation, offered }),
            core::cmp::Ordering::Equal => Ok(Offer::Renewal),
            core::cmp::Ordering::Greater => Ok(Offer::Newer),
        }
    }

    /// Lets time pass. Cheap; called before each decision.
    pub fn observe(&mut self, now: Micros) {
        self.age = self.age.after(now.since(self.last));
        self.last = now;
    }

    /// What holds, as of the last [`Lease::observe`].
    pub fn validity(&self) -> Validity {
        match self.valid_for {
            Some(valid_for) if self.age >= valid_for.to_micros() => match self.on_expiry {
                OnExpiry::Hold => Validity::Held,
                OnExpiry::Release => Validity::Released,
            },
            _ => Validity::Fresh,
        }
    }

    /// Generation held.
    pub const fn generation(&self) -> Generation {
        self.generation
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(crate::laws::config(256, 0x1EA5E))]

        /// Whatever the clock does, a lease is fresh exactly while the time seen to pass is less than its validity.
        #[test]
        fn it_expires_after_the_time_that_was_seen_to_pass(
            valid in 1..10_000_u64,
            clock in prop::collection::vec(0..20_000_000_u64, 1..50),
        ) {
            let start = Micros(5_000_000);
            let mut lease = Lease::new(Generation(3), Millis(valid), OnExpiry::Release, start, start);
            let (mut last, mut seen) = (start.0, 0_u64);
            for now in clock {
                seen += now.saturating_sub(last);
                last = now;
                lease.observe(Micros(now));
                let expected = if seen >= valid * 1_000 { Validity::Released } else { Validity::Fresh };
                prop_assert_eq!(lease.validity(), expected);
            }
        }

        #[test]
        fn a_lower_generation_never_wins(held in any::<u64>(), offered in any::<u64>()) {
            let lease = Lease::new(Generation(held), Millis(1), OnExpiry::Hold, Micros(0), Micros(0));
            let verdict = lease.judge(Generation(offered));
            prop_assert_eq!(verdict.is_err(), offered < held);
            prop_assert_eq!(verdict == Ok(Offer::Renewal), offered == held);
        }
    }

    #[test]
    fn a_lease_received_by_another_thread_is_as_old_as_it_is() {
        let hold = OnExpiry::Hold;
        let lease = Lease::new(Generation(1), Millis(1_000), hold, Micros(0), Micros(999_999));
        assert_eq!(lease.validity(), Validity::Fresh);
        let lease = Lease::new(Generation(1), Millis(1_000), hold, Micros(0), Micros(1_000_000));
        assert_eq!(lease.validity(), Validity::Held);
    }

    #[test]
    fn budgets_of_the_configuration_give_way_to_any_plan() {
        let mut lease = Lease::forever(Micros(0));
        lease.observe(Micros(u64::MAX));
        assert_eq!(lease.validity(), Validity::Fresh);
        assert_eq!(lease.judge(Generation(1)), Ok(Offer::Newer));
        assert_eq!(lease.generation(), Generation(0));
        let planned = Lease::new(Generation(9), Millis(1), OnExpiry::Hold, Micros(0), Micros(0));
        assert_eq!(planned.generation(), Generation(9));
    }
}
