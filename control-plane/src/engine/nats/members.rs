//! Who is there: replicas say so over a plain subject, and whose word fails is dead.
//!
//! Only the order of what this replica hears counts, never a clock of another. Who does not hear itself is cut off and decides nothing. All of this is about
//! who *tries*: that only one *does* is held by the log ([`super::share`]) and by compare-and-swap ([`super::planner`]).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::message::Beat;

/// How often a replica says that it is there.
pub(super) const BEAT: Duration = Duration::from_millis(400);
/// Who is silent for longer is dead.
pub(crate) const DEAD: Duration = Duration::from_millis(2_500);
/// Who does not hear itself for longer is cut off.
const ECHO: Duration = Duration::from_millis(1_500);
/// Nothing is decided before everybody had time to speak: twice, and a look besides.
const SETTLE: Duration = Duration::from_millis(1_000);

#[derive(Debug)]
pub(super) struct Members {
    me: String,
    /// This replica's files are not those of the plan in force.
    differs: AtomicBool,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    beats: BTreeMap<String, (Instant, Beat)>,
    /// Since when this replica has heard itself without a break.
    since: Option<Instant>,
}

impl Members {
    pub(super) fn new(me: &str) -> Self {
        Self { me: me.to_owned(), differs: AtomicBool::new(false), heard: Mutex::default() }
    }

    pub(super) fn me(&self) -> &str {
        &self.me
    }

    /// Notes whether this replica's files are those of the plan in force.
    pub(super) fn differ(&self, differs: bool) {
        self.differs.store(differs, Relaxed);
    }

    pub(super) fn differs(&self) -> bool {
        self.differs.load(Relaxed)
    }

    /// Whether another replica could plan by the files of the plan in force, which this one has not got.
    pub(super) fn is_another_better(&self, now: Instant) -> bool {
        let better = |(at, beat): &(Instant, Beat)| {
            beat.ready && !beat.unfit && !beat.differs && beat.id != self.me && is_live(*at, beat, now)
        };
        self.differs() && self.heard().beats.values().any(better)
    }

    pub(super) fn hear(&self, beat: Beat, now: Instant) {
        let mut heard = self.heard();
        if beat.id == self.me {
            let before = heard.beats.get(&self.me).map(|(at, _)| *at);
            if before.is_none_or(|before| now.duration_since(before) > ECHO) {
                heard.since = Some(now);
            }
        }
        heard.beats.insert(beat.id.clone(), (now, beat));
        heard.beats.retain(|_, (at, _)| now.duration_since(*at) < 10 * DEAD);
    }

    /// Whether this replica hears well enough to judge others.
    pub(super) fn hears(&self, now: Instant) -> bool {
        let heard = self.heard();
        let echo = heard.beats.get(&self.me).is_some_and(|(at, _)| now.duration_since(*at) <= ECHO);
        echo && heard.since.is_some_and(|since| now.duration_since(since) >= SETTLE)
    }

    /// Whether a replica spoke lately and is not ending.
    pub(super) fn is_live(&self, id: &str, now: Instant) -> bool {
        self.heard().beats.get(id).is_some_and(|(at, beat)| is_live(*at, beat, now))
    }

    /// Whether a replica lately said that it cannot write plans.
    pub(super) fn is_unfit(&self, id: &str) -> bool {
        self.heard().beats.get(id).is_some_and(|(_, beat)| beat.unfit)
    }

    /// Those that may take work, by name.
    pub(super) fn ready(&self, now: Instant) -> Vec<String> {
        let heard = self.heard();
        let ready = heard.beats.values().filter(|(at, beat)| beat.ready && is_live(*at, beat, now));
        ready.map(|(_, beat)| beat.id.clone()).collect()
    }

    /// Everybody heard lately, with the time since.
    pub(super) fn all(&self, now: Instant) -> Vec<(Duration, Beat)> {
        let heard = self.heard();
        heard.beats.values().map(|(at, beat)| (now.duration_since(*at), beat.clone())).collect()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_live(at: Instant, beat: &Beat, now: Instant) -> bool {
    !beat.leaving && now.duration_since(at) <= DEAD
}

/// Whose each share should be: the replica with the highest hash of both names that has room for it (rendezvous hashing with bounded loads). None has more than
/// its even part, rounded up, and one that comes or goes moves few but its own.
pub(super) fn assign(shares: u16, replicas: &[String]) -> Vec<Option<&str>> {
    let most = usize::from(shares).div_ceil(replicas.len().max(1));
    let mut loads: BTreeMap<&str, usize> = BTreeMap::new();
    let mut assigned = Vec::new();
    for share in 0..shares {
        let room =
            replicas.iter().map(String::as_str).filter(|it| loads.get(it).is_none_or(|load| *load < most));
        let whose = room.max_by_key(|replica| hash(&format!("{share} {replica}")));
        if let Some(replica) = whose {
            *loads.entry(replica).or_default() += 1;
        }
        assigned.push(whose);
    }
    assigned
}

/// The same in every process and version.
pub(super) fn hash(text: &str) -> u64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    emac_core::mix::next(&mut { fnv })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(id: &str, ready: bool, leaving: bool) -> Beat {
        Beat { id: id.to_owned(), ready, leaving, ..Beat::default() }
    }

    #[test]
    fn who_falls_silent_is_dead_and_who_is_deaf_decides_nothing() {
        let (members, begin) = (Members::new("a"), Instant::now());
        let at = |ms| begin + Duration::from_millis(ms);
        for ms in (0..4_000).step_by(400) {
            members.hear(beat("a", true, false), at(ms));
            if ms < 1_000 {
                members.hear(beat("b", true, false), at(ms));
            }
        }
        assert!(!members.hears(at(0)) && members.hears(at(4_000)));
        assert_eq!(members.ready(at(3_000)), ["a", "b"]);
        assert_eq!(members.ready(at(3_700)), ["a"]);
        // Stopped for a minute: the others are not dead, this one is deaf.
        assert!(!members.hears(at(64_000)));
        members.hear(beat("a", true, false), at(64_100));
        assert!(!members.hears(at(64_200)), "and first listens");
        members.hear(beat("b", true, true), at(64_300));
        assert!(!members.is_live("b", at(64_300)), "it says that it ends");
    }

    #[test]
    fn who_has_other_files_leaves_the_place_to_one_that_could_plan_by_those_in_force() {
        let (members, now) = (Members::new("a"), Instant::now());
        let other = |change: fn(&mut Beat)| {
            let mut beat = beat("b", true, false);
            change(&mut beat);
            members.hear(beat, now);
        };
        members.hear(Beat { differs: true, ..beat("a", true, false) }, now);
        other(|_| {});
        assert!(!members.is_another_better(now), "its own files are the ones");
        members.differ(true);
        assert!(members.is_another_better(now));
        for change in [
            |beat: &mut Beat| beat.differs = true,
            |beat: &mut Beat| beat.ready = false,
            |beat: &mut Beat| beat.unfit = true,
            |beat: &mut Beat| beat.leaving = true,
        ] {
            other(change);
            assert!(!members.is_another_better(now));
        }
        other(|_| {});
        assert!(!members.is_another_better(now + 2 * DEAD), "it is dead");
    }

    #[test]
    fn shares_are_even_and_few_move_when_a_replica_goes() {
        for draw in 0..200 {
            let three: Vec<String> = ["a", "b", "c"].map(|name| format!("{name}-{draw}")).into();
            let before = assign(16, &three);
            for replica in &three {
                let load = before.iter().filter(|whose| **whose == Some(replica.as_str())).count();
                assert!((4..=6).contains(&load), "{before:?}");
            }
            let after = assign(16, &three[..2]);
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
            assert!(moved <= 12 && after.iter().all(|whose| *whose != Some(three[2].as_str())), "{moved}");
        }
        assert_eq!(assign(2, &[]), [None, None]);
    }
}
