//! How a proxy stands now, from what was heard of it and when. Pure: the time is handed in.

use emac_core::units::Micros;

/// How a proxy stands. `GLOSSARY.md` has a line for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Its stream is open and it reported lately.
    Live,
    /// Its stream is open and it answered what it was sent; nothing to report, because a filter sends no empty report:
    /// no calls of its own.
    Idle,
    /// Its stream is open, but budgets sent long ago are unanswered.
    Silent,
    /// Its stream is open, but it holds older budgets than those offered, or refused the newest.
    Stale,
    /// No stream is open, and nobody said goodbye.
    CutOff,
    /// Closed in order, or not heard of for longer than the lease.
    Gone,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client closed it: half-closed, or reset with CANCEL.
    Closed,
    /// It ended with an error, or the connection did.
    Broken,
    /// This control plane ended it.
    Dismissed,
}

/// An open stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// When the oldest response that is not answered yet was sent.
    pub owed_since: Option<Micros>,
    /// It holds older budgets than those offered and none are on their way, or it refused the newest.
    pub behind: bool,
}

/// What was heard of a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Its stream, while it is open.
    pub open: Option<Open>,
    /// When and how its last stream ended, if it was not opened again.
    pub ended: Option<(Micros, End)>,
    /// When its last report came.
    pub reported: Option<Micros>,
}

/// How long what may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A report this young makes a proxy live: the window of evidence, so that live means "its calls are in the numbers shown".
    pub report: Micros,
    /// Budgets unanswered for longer make it silent.
    pub answer: Micros,
    /// Validity of its budgets: without a stream it is gone after so long.
    pub lease: Micros,
}

impl Patience {
    /// Longest wait for an answer to budgets.
    const ANSWER_MAX: Micros = Micros(10_000_000);
    /// Shortest: a busy host answers later than its tick.
    const ANSWER_MIN: Micros = Micros(500_000);

    /// By the window of evidence and the lease: an answer may take a quarter of the lease, since that is when the next renewal
    /// begins to fall due, at least 0.5 s and at most 10 s.
    pub fn of(window: Micros, lease: Micros) -> Self {
        let answer = Micros(lease.0 / 4).max(Self::ANSWER_MIN).min(Self::ANSWER_MAX);
        Self { report: window, answer, lease }
    }
}

impl Standing {
    /// All, best first.
    pub const ALL: [Self; 6] = [Self::Live, Self::Idle, Self::Silent, Self::Stale, Self::CutOff, Self::Gone];

    /// Its word.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Idle => "idle",
            Self::Silent => "silent",
            Self::Stale => "stale",
            Self::CutOff => "cut off",
            Self::Gone => "gone",
        }
    }

    /// How a proxy of which this was heard stands at `now`.
    pub fn of(heard: &Heard, patience: &Patience, now: Micros) -> Self {
        match heard.open {
            Some(open) => Self::connected(open, heard.reported, patience, now),
            None => Self::unconnected(heard, patience, now),
        }
    }

    fn connected(open: Open, reported: Option<Micros>, patience: &Patience, now: Micros) -> Self {
        if open.owed_since.is_some_and(|since| now.since(since) > patience.answer) {
            return Self::Silent;
        }
        if open.behind {
            return Self::Stale;
        }
        if reported.is_some_and(|at| now.since(at) <= patience.report) { Self::Live } else { Self::Idle }
    }

    fn unconnected(heard: &Heard, patience: &Patience, now: Micros) -> Self {
        let ended = heard.ended.map(|(at, _)| at);
        let closed = heard.ended.is_some_and(|(_, end)| end == End::Closed) && heard.reported <= ended;
        let last = ended.into_iter().chain(heard.reported).max();
        let forgotten = last.is_none_or(|last| now.since(last) > patience.lease);
        if closed || forgotten { Self::Gone } else { Self::CutOff }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Micros {
        Micros(seconds * 1_000_000)
    }

    /// Window 5 s, lease 60 s, so 10 s for an answer; it is second 100.
    fn at_100(heard: Heard) -> Standing {
        Standing::of(&heard, &Patience::of(s(5), s(60)), s(100))
    }

    fn open(owed_since: Option<u64>, behind: bool, reported: Option<u64>) -> Standing {
        let open = Some(Open { owed_since: owed_since.map(s), behind });
        at_100(Heard { open, reported: reported.map(s), ended: None })
    }

    fn ended(at: u64, end: End, reported: Option<u64>) -> Standing {
        at_100(Heard { open: None, ended: Some((s(at), end)), reported: reported.map(s) })
    }

    #[test]
    fn an_open_stream_is_live_while_reports_come_and_idle_without() {
        assert_eq!(open(None, false, Some(95)), Standing::Live);
        assert_eq!(open(None, false, Some(94)), Standing::Idle);
        assert_eq!(open(None, false, None), Standing::Idle);
    }

    #[test]
    fn an_open_stream_that_owes_an_answer_for_long_is_silent_even_if_it_reports() {
        assert_eq!(open(Some(90), false, Some(99)), Standing::Live, "ten seconds are allowed");
        assert_eq!(open(Some(89), false, Some(99)), Standing::Silent);
        assert_eq!(open(Some(89), true, None), Standing::Silent);
    }

    #[test]
    fn an_open_stream_that_holds_old_budgets_is_stale() {
        assert_eq!(open(None, true, Some(99)), Standing::Stale);
        assert_eq!(open(Some(95), true, None), Standing::Stale);
    }

    #[test]
    fn a_stream_that_ended_without_goodbye_is_cut_off_until_the_lease_is_over() {
        for end in [End::Broken, End::Dismissed] {
            assert_eq!(ended(99, end, Some(98)), Standing::CutOff);
            assert_eq!(ended(40, end, None), Standing::CutOff);
            assert_eq!(ended(39, end, Some(38)), Standing::Gone);
            assert_eq!(ended(39, end, Some(70)), Standing::CutOff, "it still reports");
        }
    }

    #[test]
    fn a_stream_that_was_closed_in_order_is_gone_unless_reports_still_come() {
        assert_eq!(ended(99, End::Closed, Some(99)), Standing::Gone);
        assert_eq!(ended(99, End::Closed, None), Standing::Gone);
        assert_eq!(ended(97, End::Closed, Some(99)), Standing::CutOff);
    }

    #[test]
    fn one_that_reports_but_never_had_a_stream_is_cut_off_and_then_gone() {
        let reported = |at| at_100(Heard { reported: Some(s(at)), ..Heard::default() });
        assert_eq!((reported(99), reported(39)), (Standing::CutOff, Standing::Gone));
        assert_eq!(at_100(Heard::default()), Standing::Gone);
    }

    #[test]
    fn patience_for_an_answer_follows_the_lease_within_bounds() {
        let answer = |lease| Patience::of(s(5), lease).answer;
        assert_eq!([s(1), s(4), s(3_600)].map(answer), [Micros(500_000), s(1), s(10)]);
    }
}
