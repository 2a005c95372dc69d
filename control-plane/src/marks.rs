//! Which reports have been counted: at-least-once on the wire, exactly-once here.
//!
//! A leader sends one report at a time and numbers them 1, 2, 3 ... within its epoch, so one number a (node, epoch) says it all: every
//! sequence up to it has been counted (or will never come). Several epochs of a node may be live at once, while leadership changes
//! hands. A gap is counted and accepted: the missing report was acknowledged by a control plane that has since lost its store,
//! nobody can send it again, and refusing what follows would only lose more.
//!
//! Forgetting. Pods come and go, so marks must end; but a report that comes back after its mark is gone would count twice. Hence:
//!
//! - A mark is forgotten only after [`IDLE_MAX`] without a report. Idle time is counted while this control plane serves (it is added
//!   up in the store), so neither a long downtime nor a wrong calendar ages a mark.
//! - An epoch is the calendar time at which its leader began. Forgetting raises the `floor` to the highest epoch forgotten, and an
//!   unknown epoch at or below the floor is refused ([`ReportStatus::Expired`]): it may have been counted. An epoch is not forgotten while
//!   it is younger than [`IDLE_MAX`] by the calendar, so one host with a clock far ahead cannot lift the floor above the others.
//! - Beyond [`MARKS_MAX`] new epochs are refused for now ([`ReportStatus::Full`]); memory is bounded and nothing counts twice.
//!
//! The price: a leader that sends nothing for thirty days of service is refused afterwards, and counted, until it is replaced.

use std::collections::BTreeMap;

use emac_core::id::WorkloadName;
use emac_core::units::Micros;

/// Thirty days without a report: far beyond any retry of a report that was counted but not acknowledged.
pub const IDLE_MAX: Micros = Micros(30 * 24 * 3_600 * 1_000_000);
/// Sequences that may be missing at once, and one more in each [`GAP_EVERY`] since the last report. A sidecar numbers without gaps, so what is
/// missing was counted in a store now gone; a forged number far ahead would have every later report of its sidecar taken for a duplicate.
pub const GAP_MAX: u64 = 16;
/// No sidecar sends more reports than one in this time.
pub const GAP_EVERY: Micros = Micros(100_000);
/// A hundred thousand leaders' lives: about 30 MB, a cluster of ten thousand sidecars redeployed ten times in thirty days.
pub const MARKS_MAX: usize = 100_000;

/// A leader's life: its sidecar ([`life`]), and the epoch.
pub type Life = (String, u64);

/// The life of a node of a workload. The workload is part of it, so that nobody who must report for its own can move the mark of another's
/// node.
pub fn life(workload: &WorkloadName, node: &str, epoch: u64) -> Life {
    (format!("{workload} {node}"), epoch)
}

/// What is known of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Everything up to here is counted.
    pub sequence: u64,
    /// When the last report came, in time served.
    pub seen: Micros,
}

/// What to do with a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportStatus {
    /// Count it. `missing` sequences before it will never come.
    Count {
        /// Usually zero.
        missing: u64,
    },
    /// It has been counted: acknowledge up to `sequence`.
    Duplicate {
        /// The last sequence counted.
        sequence: u64,
    },
    /// Its sequence is further ahead than reports can come.
    Implausible,
    /// Its epoch was forgotten: it may have been counted.
    Expired,
    /// No room for another epoch.
    Full,
}

/// All marks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    lives: BTreeMap<Life, Mark>,
    floor: u64,
}

impl Marks {
    /// From stored parts.
    pub fn from_parts(lives: BTreeMap<Life, Mark>, floor: u64) -> Self {
        Self { lives, floor }
    }

    /// Lives known.
    pub fn len(&self) -> usize {
        self.lives.len()
    }

    /// Whether no life is known.
    pub fn is_empty(&self) -> bool {
        self.lives.is_empty()
    }

    /// Unknown epochs up to here are refused.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// The mark of a life.
    pub fn get(&self, life: &Life) -> Option<Mark> {
        self.lives.get(life).copied()
    }

    /// Every life with its mark.
    pub fn lives(&self) -> impl Iterator<Item = (&Life, &Mark)> {
        self.lives.iter()
    }

    /// Judges a report against these marks with `staged` (a transaction under way) laid over them; `served` is now.
    pub fn judge(
        &self,
        staged: &BTreeMap<Life, Mark>,
        life: &Life,
        sequence: u64,
        served: Micros,
    ) -> ReportStatus {
        match staged.get(life).or_else(|| self.lives.get(life)) {
            Some(mark) if sequence <= mark.sequence => ReportStatus::Duplicate { sequence: mark.sequence },
            Some(mark) => {
                let missing = sequence - mark.sequence - 1;
                let plausible = GAP_MAX.saturating_add(served.since(mark.seen).0 / GAP_EVERY.0);
                if missing <= plausible { ReportStatus::Count { missing } } else { ReportStatus::Implausible }
            }
            None if life.1 <= self.floor => ReportStatus::Expired,
            None if self.lives.len() + staged.len() >= MARKS_MAX => ReportStatus::Full,
            // The first of an unknown life is not a gap when it is not 1: what came before was counted in a store now gone.
            None => ReportStatus::Count { missing: 0 },
        }
    }

    /// Takes over a transaction's marks.
    pub fn apply(&mut self, staged: BTreeMap<Life, Mark>) {
        self.lives.extend(staged);
    }

    /// The lives that may be forgotten now; `unix_ms` is the calendar.
    pub fn idle(&self, served: Micros, unix_ms: u64) -> Vec<Life> {
        let newest = unix_ms.saturating_mul(1_000_000).saturating_sub(IDLE_MAX.0.saturating_mul(1_000));
        let idle = self
            .lives
            .iter()
            .filter(|((_, epoch), mark)| served.since(mark.seen) >= IDLE_MAX && *epoch <= newest);
        idle.map(|(life, _)| life.clone()).collect()
    }

    /// Forgets lives and raises the floor over them.
    pub fn forget(&mut self, lives: &[Life]) {
        for life in lives {
            self.lives.remove(life);
            self.floor = self.floor.max(life.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = 24 * 3_600 * 1_000_000;
    /// A life that began long ago, and a calendar well after it.
    const EPOCH: u64 = 1_000;
    const NOW_MS: u64 = 100 * DAY / 1_000;

    fn life(node: &str, epoch: u64) -> Life {
        (node.to_string(), epoch)
    }

    fn count(marks: &mut Marks, life: &Life, sequence: u64, at: Micros) -> ReportStatus {
        let verdict = marks.judge(&BTreeMap::new(), life, sequence, at);
        if let ReportStatus::Count { .. } = verdict {
            marks.apply(BTreeMap::from([(life.clone(), Mark { sequence, seen: at })]));
        }
        verdict
    }

    #[test]
    fn a_sequence_counts_once_and_gaps_are_seen() {
        let (mut marks, life) = (Marks::default(), life("a", EPOCH));
        assert_eq!(count(&mut marks, &life, 7, Micros(0)), ReportStatus::Count { missing: 0 });
        assert_eq!(count(&mut marks, &life, 7, Micros(0)), ReportStatus::Duplicate { sequence: 7 });
        assert_eq!(count(&mut marks, &life, 10, Micros(0)), ReportStatus::Count { missing: 2 });
        assert_eq!(count(&mut marks, &life, 8, Micros(0)), ReportStatus::Duplicate { sequence: 10 });
    }

    #[test]
    fn a_number_far_ahead_is_refused_and_the_next_report_counts() {
        let (mut marks, life) = (Marks::default(), life("a", EPOCH));
        count(&mut marks, &life, 7, Micros(0));
        for forged in [8 + GAP_MAX + 1, 1_000_000, u64::MAX] {
            assert_eq!(count(&mut marks, &life, forged, Micros(0)), ReportStatus::Implausible, "{forged}");
        }
        assert_eq!(count(&mut marks, &life, 8, Micros(0)), ReportStatus::Count { missing: 0 });
        // What was counted elsewhere meanwhile: a second's reports, after a second.
        let ahead = 9 + GAP_MAX + 10;
        assert_eq!(count(&mut marks, &life, ahead, Micros(999_999)), ReportStatus::Implausible);
        assert_eq!(
            count(&mut marks, &life, ahead, Micros(1_000_000)),
            ReportStatus::Count { missing: GAP_MAX + 10 }
        );
    }

    #[test]
    fn epochs_of_a_node_are_apart_and_a_transaction_sees_itself() {
        let (mut marks, old, new) = (Marks::default(), life("a", EPOCH), life("a", EPOCH + 1));
        count(&mut marks, &old, 3, Micros(0));
        assert_eq!(count(&mut marks, &new, 1, Micros(0)), ReportStatus::Count { missing: 0 });
        assert_eq!(count(&mut marks, &old, 4, Micros(0)), ReportStatus::Count { missing: 0 });
        let staged = BTreeMap::from([(new.clone(), Mark { sequence: 2, seen: Micros(0) })]);
        assert_eq!(marks.judge(&staged, &new, 2, Micros(0)), ReportStatus::Duplicate { sequence: 2 });
    }

    #[test]
    fn what_was_forgotten_never_counts_again() {
        let (mut marks, old) = (Marks::default(), life("a", EPOCH));
        count(&mut marks, &old, 3, Micros(0));
        assert!(marks.idle(Micros(IDLE_MAX.0 - 1), NOW_MS).is_empty());
        let idle = marks.idle(IDLE_MAX, NOW_MS);
        assert_eq!(idle, std::slice::from_ref(&old));
        marks.forget(&idle);
        assert!(marks.is_empty());
        assert_eq!(count(&mut marks, &old, 3, IDLE_MAX), ReportStatus::Expired);
        assert_eq!(count(&mut marks, &life("b", EPOCH + 1), 1, IDLE_MAX), ReportStatus::Count { missing: 0 });
    }

    #[test]
    fn a_clock_ahead_does_not_lift_the_floor() {
        let (mut marks, ahead) = (Marks::default(), life("a", NOW_MS * 1_000_000 + 1));
        count(&mut marks, &ahead, 1, Micros(0));
        assert!(marks.idle(IDLE_MAX, NOW_MS).is_empty());
        assert_eq!(marks.floor(), 0);
    }

    #[test]
    fn room_is_bounded_and_known_lives_go_on() {
        let lives = (0..MARKS_MAX as u64).map(|n| (life("a", n + 1), Mark { sequence: 1, seen: Micros(0) }));
        let mut marks = Marks::from_parts(lives.collect(), 0);
        assert_eq!(count(&mut marks, &life("b", 1), 1, Micros(0)), ReportStatus::Full);
        assert_eq!(count(&mut marks, &life("a", 1), 2, Micros(0)), ReportStatus::Count { missing: 0 });
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0x3A4C), failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        /// Whatever is resent, reordered between lives and forgotten in between, no (life, sequence) is counted twice.
        #[test]
        fn nothing_counts_twice(steps in proptest::collection::vec((0_u64..4, 1_u64..6, 0_u64..20), 1..200)) {
            let mut marks = Marks::default();
            let mut counted = std::collections::BTreeSet::new();
            let mut served = Micros(0);
            for (epoch, sequence, days) in steps {
                served = served.after(Micros(days * DAY));
                let idle = marks.idle(served, NOW_MS);
                marks.forget(&idle);
                let life = life("a", epoch);
                if let ReportStatus::Count { .. } = count(&mut marks, &life, sequence, served) {
                    prop_assert!(counted.insert((life, sequence)));
                }
            }
        }
    }
}
