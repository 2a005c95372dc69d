//! Recurrence and hysteresis: what was seen often enough is in, and stays in until it was away for long enough.
//!
//! `windows` sightings in the last `of` windows bring a key in; `absent` windows in a row without one take it out. Between the two thresholds nothing
//! changes, so that a key that comes and goes changes the set at most once in each direction per `min(windows, absent)` windows.

use std::collections::{BTreeSet, VecDeque};

/// When something is taken for lasting, and when for gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recurrence {
    /// In once seen in so many windows, 1 ..= `of`.
    pub windows: u32,
    /// Of the last so many, at most [`Recurrence::WINDOWS_MAX`].
    pub of: u32,
    /// Out once absent from so many windows in a row, at least 1.
    pub absent: u32,
}

impl Recurrence {
    /// Most windows that are remembered.
    pub const WINDOWS_MAX: u32 = 64;

    /// Windows that are remembered.
    pub fn remembered(&self) -> usize {
        self.of.max(self.absent).clamp(1, Self::WINDOWS_MAX) as usize
    }
}

impl Default for Recurrence {
    /// Two of three: one window of luck proposes nothing, and a change is proposed within three windows.
    fn default() -> Self {
        Self { windows: 2, of: 3, absent: 3 }
    }
}

/// Keys seen window by window, and those that are in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recurring {
    /// Newest last.
    seen: VecDeque<BTreeSet<String>>,
    kept: BTreeSet<String>,
}

impl Recurring {
    /// Keys that are in.
    pub fn kept(&self) -> &BTreeSet<String> {
        &self.kept
    }

    /// Windows remembered.
    pub fn windows(&self) -> usize {
        self.seen.len()
    }

    /// Takes a window. O(keys · windows remembered).
    pub fn window(&mut self, settings: &Recurrence, seen: BTreeSet<String>) {
        self.seen.push_back(seen);
        while self.seen.len() > settings.remembered() {
            self.seen.pop_front();
        }
        self.settle(settings);
    }

    /// The remembered windows under other names: the accepted model has changed, and with it what differs. What was in and is still seen
    /// anywhere stays in.
    pub fn rename(&mut self, settings: &Recurrence, windows: impl IntoIterator<Item = BTreeSet<String>>) {
        self.seen = windows.into_iter().collect();
        let seen: BTreeSet<&String> = self.seen.iter().flatten().collect();
        self.kept.retain(|key| seen.contains(key));
        self.settle(settings);
    }

    fn settle(&mut self, settings: &Recurrence) {
        let absent = settings.absent as usize;
        let seen = &self.seen;
        let gone = |key: &String| seen.len() >= absent && sightings(seen, key, absent) == 0;
        self.kept.retain(|key| !gone(key));
        let of = settings.of as usize;
        let all: BTreeSet<&String> = seen.iter().rev().take(of).flatten().collect();
        let often = all.into_iter().filter(|key| sightings(seen, key, of) >= settings.windows as usize);
        self.kept.extend(often.cloned().collect::<Vec<_>>());
    }

    /// Keys of the last `of` windows that are not in, with how often they were seen.
    pub fn waiting(&self, settings: &Recurrence) -> Vec<(String, usize)> {
        let of = settings.of as usize;
        let all: BTreeSet<&String> = self.seen.iter().rev().take(of).flatten().collect();
        let waiting = all.into_iter().filter(|key| !self.kept.contains(*key));
        waiting.map(|key| (key.clone(), sightings(&self.seen, key, of))).collect()
    }
}

/// Of the last windows, those that have a key.
fn sightings(seen: &VecDeque<BTreeSet<String>>, key: &str, last: usize) -> usize {
    seen.iter().rev().take(last).filter(|window| window.contains(key)).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn play(settings: &Recurrence, seen: &[bool]) -> Vec<bool> {
        let mut recurring = Recurring::default();
        let key = || BTreeSet::from(["key".to_owned()]);
        seen.iter()
            .map(|&seen| {
                recurring.window(settings, if seen { key() } else { BTreeSet::new() });
                recurring.kept().contains("key")
            })
            .collect()
    }

    #[test]
    fn twice_of_three_is_in_and_three_times_away_is_out() {
        let settings = Recurrence::default();
        let (yes, no) = (true, false);
        let seen = [yes, no, no, yes, no, yes, no, no, yes, no, no, no, yes];
        let kept = [no, no, no, no, no, yes, yes, yes, yes, yes, yes, no, no];
        assert_eq!(play(&settings, &seen), kept);
    }

    #[test]
    fn other_names_keep_what_is_still_seen() {
        let settings = Recurrence::default();
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let mut recurring = Recurring::default();
        [set(&["a", "b"]), set(&["a", "b"]), set(&["b"])]
            .into_iter()
            .for_each(|seen| recurring.window(&settings, seen));
        recurring.rename(&settings, [set(&[]), set(&["b"]), set(&["c"])]);
        assert_eq!(
            (recurring.kept(), recurring.waiting(&settings)),
            (&set(&["b"]), vec![("c".to_owned(), 1)])
        );
    }

    fn settings() -> impl Strategy<Value = Recurrence> {
        (1_u32..5, 0_u32..4, 1_u32..6).prop_map(|(windows, more, absent)| Recurrence {
            windows,
            of: windows + more,
            absent,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0x4EC0), failure_persistence: None, ..ProptestConfig::with_cases(400) })]

        /// Against the definition, with the whole past at hand.
        #[test]
        fn it_is_what_its_definition_says(settings in settings(), seen in prop::collection::vec(any::<bool>(), 0..40)) {
            let mut kept = false;
            for (now, is) in play(&settings, &seen).into_iter().enumerate() {
                let past = &seen[..=now];
                let last = |n: u32| past.iter().rev().take(n as usize).filter(|seen| **seen).count();
                let gone = past.len() >= settings.absent as usize && last(settings.absent) == 0;
                kept = (kept && !gone) || last(settings.of) >= settings.windows as usize;
                prop_assert_eq!(is, kept);
            }
        }

        /// However a key flaps: in never without enough sightings, out never without a full absence, and changes are far apart.
        #[test]
        fn flapping_does_not_flap(settings in settings(), seen in prop::collection::vec(any::<bool>(), 1..60)) {
            let kept = play(&settings, &seen);
            let changes: Vec<usize> = (1..kept.len()).filter(|&i| kept[i] != kept[i - 1]).collect();
            for &at in &changes {
                let last = |n: u32| &seen[(at + 1).saturating_sub(n as usize)..=at];
                if kept[at] {
                    prop_assert!(seen[at] && last(settings.of).iter().filter(|seen| **seen).count() >= settings.windows as usize);
                } else {
                    prop_assert!(last(settings.absent).iter().all(|seen| !seen));
                }
            }
            for pair in changes.windows(2).filter(|pair| kept[pair[0]]) {
                prop_assert!(pair[1] - pair[0] >= settings.absent as usize);
            }
        }

        /// What alternates for ever is proposed once, or never, and is not withdrawn.
        #[test]
        fn a_steady_rhythm_changes_at_most_once(settings in settings(), period in 2_usize..6) {
            prop_assume!(settings.absent as usize >= period);
            let seen: Vec<bool> = (0..60).map(|window| window % period == 0).collect();
            let kept = play(&settings, &seen);
            prop_assert!(kept.windows(2).filter(|pair| pair[0] != pair[1]).count() <= 1);
        }
    }
}
