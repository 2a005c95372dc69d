//! Times that spans leave unsaid.
//!
//! In Zipkin's format the half that did not begin a shared span may leave start and duration to the other half. Such a span lasts as long as, in
//! this order, the other half of its call; its parent, if it was called by that; the calls it made; its parent. One of which nothing
//! tells the time is dropped and counted: left in, it would tear its subtree off.

use std::collections::HashMap;

use crate::Span;
use crate::assemble::SpanRecord;

/// From and to, nanoseconds.
type Interval = (i64, i64);

/// Untimed spans below one another that are worked through; deeper ones are dropped.
const DEPTH_MAX: usize = 16;

/// Fills in what is missing; the number of spans that were dropped. O(1) where nothing is missing but for the look, else O(n) times the depth of
/// untimed spans.
pub(super) fn fill(records: &mut Vec<SpanRecord>) -> u64 {
    if !records.iter().any(is_untimed) {
        return 0;
    }
    let mut known = Known::default();
    records.iter().filter(|record| !is_untimed(record)).for_each(|record| known.note(record));
    for _ in 0..DEPTH_MAX {
        let mut left = false;
        for record in records.iter_mut().filter(|record| is_untimed(record)) {
            match known.interval(record) {
                Some((from, to)) => {
                    if record.start_ns == Span::NO_TIME {
                        record.start_ns = from;
                    }
                    record.duration_ns = to.saturating_sub(record.start_ns).max(0);
                    known.note(record);
                }
                None => left = true,
            }
        }
        if !left {
            break;
        }
    }
    let before = records.len();
    records.iter_mut().filter(|record| record.start_ns != Span::NO_TIME).for_each(|record| {
        record.duration_ns = record.duration_ns.max(0);
    });
    records.retain(|record| !is_untimed(record));
    (before - records.len()) as u64
}

const fn is_untimed(record: &SpanRecord) -> bool {
    record.start_ns == Span::NO_TIME || record.duration_ns == Span::NO_TIME
}

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<u64, Interval>,
    /// By parent: from the first start to the last end.
    children: HashMap<u64, Interval>,
}

impl Known {
    fn note(&mut self, record: &SpanRecord) {
        let own = (record.start_ns, record.end_ns());
        let widen = |(from, to): &mut Interval| (*from, *to) = ((*from).min(own.0), (*to).max(own.1));
        self.by_id.entry(record.id).and_modify(widen).or_insert(own);
        self.children.entry(record.parent).and_modify(widen).or_insert(own);
    }

    fn interval(&self, record: &SpanRecord) -> Option<Interval> {
        let parent = || self.by_id.get(&record.parent).filter(|_| record.parent != 0);
        let caller = || parent().filter(|_| record.is_called());
        let found = self.by_id.get(&record.id).or_else(caller);
        found.or_else(|| self.children.get(&record.id)).or_else(parent).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SpanKind, Symbol};

    fn record(id: u64, parent: u64, kind: SpanKind, times: Option<Interval>) -> SpanRecord {
        let (from, to) = times.unwrap_or((Span::NO_TIME, 0));
        let duration = if times.is_some() { to - from } else { Span::NO_TIME };
        let mut record = SpanRecord::new(kind, Symbol::NONE, from, duration);
        (record.id, record.parent) = (id, parent);
        record
    }

    fn filled(mut records: Vec<SpanRecord>) -> (Vec<Interval>, u64) {
        let dropped = fill(&mut records);
        (records.iter().map(|record| (record.start_ns, record.end_ns())).collect(), dropped)
    }

    #[test]
    fn the_other_half_tells() {
        let (client, server) =
            (record(1, 0, SpanKind::Client, Some((5, 9))), record(1, 0, SpanKind::Server, None));
        assert_eq!(filled(vec![client, server]), (vec![(5, 9), (5, 9)], 0));
    }

    #[test]
    fn the_caller_tells_before_the_calls_made() {
        let caller = record(1, 0, SpanKind::Client, Some((5, 9)));
        let below = record(3, 2, SpanKind::Client, Some((6, 7)));
        let served = record(2, 1, SpanKind::Server, None);
        assert_eq!(filled(vec![caller, served, below]), (vec![(5, 9), (5, 9), (6, 7)], 0));
        assert_eq!(filled(vec![record(2, 0, SpanKind::Server, None), below]), (vec![(6, 7), (6, 7)], 0));
    }

    #[test]
    fn a_start_alone_ends_with_the_last_call() {
        let mut begun = record(2, 0, SpanKind::Server, None);
        begun.start_ns = 4;
        let below = record(3, 2, SpanKind::Client, Some((6, 7)));
        assert_eq!(filled(vec![begun, below]), (vec![(4, 7), (6, 7)], 0));
    }

    #[test]
    fn what_nothing_tells_is_dropped() {
        let far = record(9, 8, SpanKind::Server, None);
        let timed = record(1, 0, SpanKind::Server, Some((1, 2)));
        assert_eq!(filled(vec![timed, far]), (vec![(1, 2)], 1));
    }
}
