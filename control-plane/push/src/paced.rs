//! Lines of log that a peer can cause: one in a time, and how many were left out.

use std::sync::{Mutex, PoisonError};

use emac_core::units::Micros;

/// A line of one kind in this time; what comes between is only counted.
pub const LOG_EVERY: Micros = Micros(10_000_000);

/// One kind of line.
#[derive(Debug, Default)]
pub struct Paced(Mutex<Logged>);

#[derive(Debug, Default)]
struct Logged {
    next: Micros,
    silent: u64,
}

impl Paced {
    /// Whether a line is due: then how many were left out since the last.
    pub fn due(&self, now: Micros) -> Option<u64> {
        // A few assignments: a poisoned lock holds nothing half done.
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now < logged.next {
            logged.silent += 1;
            return None;
        }
        logged.next = now.after(LOG_EVERY);
        Some(std::mem::take(&mut logged.silent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_one_line_is_due_in_ten_seconds() {
        let paced = Paced::default();
        let due: Vec<_> = (0..30_000_u64).filter_map(|ms| paced.due(Micros(ms * 1_000))).collect();
        assert_eq!(due, [0, 9_999, 9_999]);
    }
}
