//! Recurrence and hysteresis: what was seen often enough is in, and stays in until it was away for long enough.
//!
//! `windows` sightings in the last `of` windows bring a key in; `absent` windows in a row without one take it out. Between the two thresholds nothing
//! changes, so that a key that comes and goes changes the set at most once in each direction per `min(windows, absent)` windows.
//!
//! Windows may overlap, and then two of them rest on the same requests in part. Only windows that share nothing count as two: with windows of `apart`
//! steps, those that ended at least `apart` steps from each other. "The last `of` windows" are the span of the newest window, the newest that shares
//! nothing with it, and so on, `of` times; sightings in it are the most windows with the key of which no two share anything; absent is what no window
//! in the span of `absent` has. Without overlap this is plain counting.

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

    /// Windows without common evidence that are remembered.
    fn remembered(&self) -> u32 {
        self.of.max(self.absent).clamp(1, Self::WINDOWS_MAX)
    }
}

impl Default for Recurrence {
    /// Two of three: one window of luck proposes nothing, and a change is proposed within three windows.
    fn default() -> Self {
        Self { windows: 2, of: 3, absent: 3 }
    }
}

/// A window: its number (steps up to its end), and the keys seen in it.
type Seen = (u64, BTreeSet<String>);

/// Keys seen window by window, and those that are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurring {
    /// Steps of a window: windows whose numbers differ by less share evidence.
    apart: u64,
    /// Newest last.
    seen: VecDeque<Seen>,
    kept: BTreeSet<String>,
}

impl Default for Recurring {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Recurring {
    /// Nothing seen, in windows of so many steps.
    pub const fn new(apart: u64) -> Self {
        Self { apart, seen: VecDeque::new(), kept: BTreeSet::new() }
    }

    /// As it was remembered.
    pub(super) const fn restored(apart: u64, seen: VecDeque<Seen>, kept: BTreeSet<String>) -> Self {
        Self { apart, seen, kept }
    }

    /// Keys that are in.
    pub fn kept(&self) -> &BTreeSet<String> {
        &self.kept
    }

    /// Numbers and keys of the windows remembered, oldest first.
    pub(super) const fn seen(&self) -> &VecDeque<Seen> {
        &self.seen
    }

    /// Windows remembered of which no two share evidence.
    pub fn windows(&self) -> usize {
        self.chain(|_| true).count()
    }

    /// Takes the window `number`, later than those before. O(keys · windows remembered).
    pub fn window(&mut self, settings: &Recurrence, number: u64, seen: BTreeSet<String>) {
        self.seen.push_back((number, seen));
        let oldest = self.span(settings.remembered());
        self.seen.retain(|(number, _)| *number >= oldest);
        self.settle(settings);
    }

    /// The remembered windows under other names: the accepted model has changed, and with it what differs. What was in and is still seen
    /// anywhere stays in.
    pub fn rename(&mut self, settings: &Recurrence, windows: impl IntoIterator<Item = BTreeSet<String>>) {
        self.seen.iter_mut().zip(windows).for_each(|((_, seen), renamed)| *seen = renamed);
        let seen: BTreeSet<&String> = self.seen.iter().flat_map(|(_, keys)| keys).collect();
        self.kept.retain(|key| seen.contains(key));
        self.settle(settings);
    }

    fn settle(&mut self, settings: &Recurrence) {
        let long_enough = self.windows() >= settings.absent as usize;
        let oldest = self.span(settings.absent);
        let recent: BTreeSet<String> = self.since(oldest).flat_map(|(_, keys)| keys).cloned().collect();
        self.kept.retain(|key| !long_enough || recent.contains(key));
        let oldest = self.span(settings.of);
        let all: BTreeSet<&String> = self.since(oldest).flat_map(|(_, keys)| keys).collect();
        let often = all.into_iter().filter(|key| self.sightings(key, oldest) >= settings.windows as usize);
        let often: Vec<String> = often.cloned().collect();
        self.kept.extend(often);
    }

    /// Keys of the last `of` windows that are not in, with how often they were seen.
    pub fn waiting(&self, settings: &Recurrence) -> Vec<(String, usize)> {
        let oldest = self.span(settings.of);
        let all: BTreeSet<&String> = self.since(oldest).flat_map(|(_, keys)| keys).collect();
        let waiting = all.into_iter().filter(|key| !self.kept.contains(*key));
        waiting.map(|key| (key.clone(), self.sightings(key, oldest))).collect()
    }

    /// Number of the oldest of the last `windows` windows that share nothing; 0, which is before all, while there are fewer.
    fn span(&self, windows: u32) -> u64 {
        self.chain(|_| true).nth((windows as usize).saturating_sub(1)).unwrap_or_default()
    }

    fn since(&self, oldest: u64) -> impl Iterator<Item = &Seen> {
        self.seen.iter().filter(move |(number, _)| *number >= oldest)
    }

    /// The most windows since `oldest` that have a key and of which no two share evidence.
    fn sightings(&self, key: &str, oldest: u64) -> usize {
        self.chain(|keys| keys.contains(key)).take_while(|number| *number >= oldest).count()
    }

    /// Numbers of windows that share nothing, each the newest there is: as many as there can be.
    fn chain<'a>(&'a self, takes: impl Fn(&BTreeSet<String>) -> bool + 'a) -> impl Iterator<Item = u64> + 'a {
        let mut before = u64::MAX;
        self.seen.iter().rev().filter_map(move |(number, keys)| {
            let apart = before == u64::MAX || number.saturating_add(self.apart) <= before;
            (apart && takes(keys)).then(|| {
                before = *number;
                before
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn play(settings: &Recurrence, seen: &[bool]) -> Vec<bool> {
        let mut recurring = Recurring::default();
        let key = || BTreeSet::from(["key".to_owned()]);
        seen.iter()
            .zip(1..)
            .map(|(&seen, number)| {
                recurring.window(settings, number, if seen { key() } else { BTreeSet::new() });
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
            .zip(1..)
            .for_each(|(seen, number)| recurring.window(&settings, number, seen));
        recurring.rename(&settings, [set(&[]), set(&["b"]), set(&["c"])]);
        assert_eq!(
            (recurring.kept(), recurring.waiting(&settings)),
            (&set(&["b"]), vec![("c".to_owned(), 1)])
        );
    }

    /// A key in the requests of some steps: a window of `apart` steps has it when any of its steps has.
    fn overlapping(settings: &Recurrence, apart: u64, steps: &[bool]) -> Vec<bool> {
        let mut recurring = Recurring::new(apart);
        let apart = apart as usize;
        (apart..=steps.len())
            .map(|end| {
                let seen = steps[end - apart..end].contains(&true);
                let keys = if seen { BTreeSet::from(["key".to_owned()]) } else { BTreeSet::new() };
                recurring.window(settings, end as u64, keys);
                recurring.kept().contains("key")
            })
            .collect()
    }

    #[test]
    fn one_burst_of_requests_is_seen_once_however_many_windows_hold_it() {
        let settings = Recurrence::default();
        let mut steps = vec![false; 40];
        steps[10] = true;
        for apart in 1..=12 {
            let kept = overlapping(&settings, apart, &steps);
            assert!(!kept.contains(&true), "{apart} steps a window");
        }
        // Plain counting of overlapping windows would have kept it: three of four steps hold it.
        let has = |end: usize| steps[end - 4..end].contains(&true);
        assert!((8..40).any(|end| (0..3).filter(|back| has(end - back)).count() >= 2));
        // Twice, a window apart: twice of three.
        steps[16] = true;
        let kept = overlapping(&settings, 4, &steps);
        assert!(kept.contains(&true) && !kept.last().unwrap());
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

        /// Whatever overlaps: what is in was in the requests of as many steps as sightings are asked for, at least.
        #[test]
        fn overlap_invents_no_recurrence(settings in settings(), apart in 1_u64..6, steps in prop::collection::vec(prop::bool::weighted(0.2), 6..60)) {
            let kept = overlapping(&settings, apart, &steps);
            if let Some(first) = kept.iter().position(|kept| *kept) {
                let until = first + apart as usize;
                let seen = steps[..until].iter().filter(|seen| **seen).count();
                prop_assert!(seen >= settings.windows as usize, "kept after {} sightings", seen);
            }
            // Remembered is bounded by the longer of the two spans.
            let mut recurring = Recurring::new(apart);
            for number in 0..500 {
                recurring.window(&settings, number, BTreeSet::new());
            }
            prop_assert!(recurring.seen().len() as u64 <= u64::from(settings.of.max(settings.absent)) * apart);
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
