//! Where requests entered that are on no declared journey: names of operations, few at a time.

use emac_core::units::Micros;

/// Most names that are followed at once: more are no journeys but the guesses of a scanner, or words of users in paths.
const ENTRIES_MAX: usize = 64;
/// Then all are forgotten, so that names nobody asks for any more leave room. As long as a window of discovery.
const FORGOTTEN: Micros = Micros(300_000_000);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    names: Vec<Box<str>>,
    since: Micros,
}

impl Entries {
    /// Whether a name is followed: one of those that are, or a new one for which there is room.
    pub(crate) fn admit(&mut self, name: &str, now: Micros) -> bool {
        if now.since(self.since) >= FORGOTTEN || now < self.since {
            self.names.clear();
            self.since = now;
        }
        let known = self.names.iter().any(|known| **known == *name);
        if !known && self.names.len() < ENTRIES_MAX {
            self.names.push(name.into());
            return true;
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_names_are_as_many_as_fit_until_they_are_forgotten() {
        let mut entries = Entries::default();
        let now = Micros(1_790_000_000_000_000);
        let mut admitted =
            |at: Micros| (0..10_000).filter(|n| entries.admit(&format!("GET /{n}"), at)).count();
        assert_eq!((admitted(now), admitted(now)), (ENTRIES_MAX, ENTRIES_MAX));
        assert!(entries.admit("GET /0", now) && !entries.admit("GET /other", now));
        assert!(entries.admit("GET /other", now.after(FORGOTTEN)));
        assert!(entries.admit("GET /back", now), "a clock that goes back forgets");
    }
}
