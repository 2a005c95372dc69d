//! A token bucket in whole numbers: a share of a token a request, a floor a second, never more than the burst.
//!
//! It bounds what may be spent without looking at a window: over any stretch, spent <= share x requests + floor x seconds + burst
//! (the share of RetryBudget in Finagle and of "retry budgets" in the SRE book, chapter 22, without floats). The unit inside is the
//! nano-token: one ppm of a token is 1 000 of them, one thousandth of a token a second is one a microsecond, so nothing is rounded.
//! Each worker holds its own buckets; the shares add up to the share of all, floors and bursts count once a worker.

use crate::units::{Micros, Ppm};

const TOKEN: u64 = 1_000_000_000;
const NANO_PER_PPM: u64 = 1_000;

/// What flows in, and how much is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refill {
    /// Deposited per request.
    pub share: Ppm,
    /// Thousandths of a token deposited per second.
    pub floor_milli_per_s: u32,
    /// Most tokens held.
    pub burst: u32,
}

/// Starts full, so that the first failures after a start can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    refill: Refill,
    /// 0 ..= burst.
    nano: u64,
    last: Micros,
}

impl TokenBucket {
    /// A full bucket.
    pub const fn new(refill: Refill, now: Micros) -> Self {
        Self { refill, nano: capacity(refill), last: now }
    }

    /// Takes a new refill and keeps what is held, so that a new plan is no way around the budget.
    pub fn reconfigure(&mut self, refill: Refill) {
        self.refill = refill;
        self.nano = self.nano.min(capacity(refill));
    }

    /// Deposits for one request and for the time since the last one. A clock that went backwards deposits nothing for the time.
    pub fn on_request(&mut self, now: Micros) {
        let elapsed = now.since(self.last).0;
        self.last = now;
        let floor = elapsed.saturating_mul(self.refill.floor_milli_per_s.into());
        let share = u64::from(self.refill.share.get()) * NANO_PER_PPM;
        self.nano = self.nano.saturating_add(share).saturating_add(floor).min(capacity(self.refill));
    }

    /// Spends one token, if there is one.
    pub const fn try_take(&mut self) -> bool {
        let has = self.has_token();
        if has {
            self.nano -= TOKEN;
        }
        has
    }

    /// Puts back a token that was taken and not used.
    pub fn give_back(&mut self) {
        self.nano = self.nano.saturating_add(TOKEN).min(capacity(self.refill));
    }

    /// Whether [`TokenBucket::try_take`] would succeed.
    pub const fn has_token(&self) -> bool {
        self.nano >= TOKEN
    }

    /// Whole tokens held, `0 ..= burst`.
    pub const fn tokens(&self) -> u64 {
        self.nano / TOKEN
    }
}

const fn capacity(refill: Refill) -> u64 {
    // At most 2^32 x 1e9, below 2^62.
    refill.burst as u64 * TOKEN
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Request(u64),
        Take,
        GiveBack,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..2_000_000_u64).prop_map(Step::Request),
            4 => Just(Step::Take),
            1 => Just(Step::GiveBack),
        ]
    }

    fn refill() -> impl Strategy<Value = Refill> {
        (0..=1_000_000_u32, 0..=5_000_u32, 1..=20_u32).prop_map(|(ppm, floor_milli_per_s, burst)| Refill {
            share: Ppm::new(ppm).unwrap(),
            floor_milli_per_s,
            burst,
        })
    }

    proptest! {
        #![proptest_config(crate::laws::config(256, 0x70C3))]

        /// Against the law in exact arithmetic: spent <= share x requests + floor x seconds + burst.
        #[test]
        fn spending_is_bounded(refill in refill(), steps in prop::collection::vec(step(), 1..300)) {
            let mut bucket = TokenBucket::new(refill, Micros(0));
            let (mut now, mut requests, mut spent) = (0_u64, 0_u128, 0_u128);
            for step in steps {
                match step {
                    Step::Request(after) => {
                        now += after;
                        requests += 1;
                        bucket.on_request(Micros(now));
                    }
                    Step::Take => spent += u128::from(bucket.try_take()),
                    Step::GiveBack if spent > 0 => {
                        bucket.give_back();
                        spent -= 1;
                    }
                    Step::GiveBack => {}
                }
                prop_assert!(bucket.tokens() <= u64::from(refill.burst));
                let income = requests * u128::from(refill.share.get()) * 1_000
                    + u128::from(now) * u128::from(refill.floor_milli_per_s);
                prop_assert!(spent * u128::from(TOKEN) <= income + u128::from(refill.burst) * u128::from(TOKEN));
            }
        }

        #[test]
        fn a_new_plan_is_no_way_around_the_budget(first in refill(), second in refill(), takes in 0..40_u32) {
            let mut bucket = TokenBucket::new(first, Micros(0));
            let before = (0..takes).filter(|_| bucket.try_take()).count();
            bucket.reconfigure(second);
            let after = (0..100).filter(|_| bucket.try_take()).count();
            prop_assert!(before + after <= first.burst as usize);
            prop_assert!(after <= second.burst as usize);
        }
    }

    #[test]
    fn a_clock_going_backwards_neither_pays_nor_stops_the_floor() {
        let refill = Refill { share: Ppm::ZERO, floor_milli_per_s: 1_000, burst: 5 };
        let mut bucket = TokenBucket::new(refill, Micros(10_000_000));
        (0..5).for_each(|_| assert!(bucket.try_take()));
        bucket.on_request(Micros(1_000_000));
        assert!(!bucket.has_token());
        bucket.on_request(Micros(2_000_000));
        assert_eq!(bucket.tokens(), 1);
    }

    #[test]
    fn a_token_given_back_can_be_taken_again_and_never_exceeds_the_burst() {
        let mut bucket =
            TokenBucket::new(Refill { share: Ppm::ZERO, floor_milli_per_s: 0, burst: 3 }, Micros(0));
        bucket.give_back();
        assert_eq!(bucket.tokens(), 3);
        assert!(bucket.try_take() && bucket.try_take());
        assert_eq!(bucket.tokens(), 1);
        bucket.give_back();
        assert_eq!(bucket.tokens(), 2);
    }

    #[test]
    fn one_in_five_requests_pays_a_token_at_twenty_percent() {
        let refill = Refill { share: Ppm::new(200_000).unwrap(), floor_milli_per_s: 0, burst: 1 };
        let mut bucket = TokenBucket::new(refill, Micros(0));
        assert!(bucket.try_take());
        let paid = (0..1_000)
            .filter(|_| {
                bucket.on_request(Micros(0));
                bucket.try_take()
            })
            .count();
        assert_eq!(paid, 200);
    }
}
