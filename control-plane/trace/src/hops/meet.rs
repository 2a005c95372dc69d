//! Under which id the records of one request meet, where some know it by its trace id and some by its request id.
//!
//! A record that has both says that the two are one request's. Where an application begins a trace of its own and hands on `x-request-id`, or
//! hands on neither but the proxy's ids differ, several trace ids are one request's: they are put together under the smallest, whatever came
//! first. A request id that meets more than [`TRACES_MAX`] trace ids is a constant of some client and no request's: it joins nothing more.

use std::collections::{HashMap, VecDeque};

use crate::TraceId;

/// Traces that applications of one request may begin anew.
const TRACES_MAX: u32 = 16;
/// Request ids that are remembered: as many as traces that were handed on.
const KNOWN_MAX: usize = 1 << 16;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Meetings {
    /// The smaller id that stands for an id; ids that are not here stand for themselves.
    smaller: HashMap<TraceId, TraceId>,
    /// Trace ids that each request id has met.
    met: HashMap<TraceId, u32>,
    order: VecDeque<(TraceId, TraceId)>,
}

/// Where a record belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Met {
    pub(crate) id: TraceId,
    /// What was known under this id until now belongs there too.
    pub(crate) also: Option<TraceId>,
    /// The request id is some constant.
    pub(crate) constant: bool,
}

impl Meetings {
    /// The id of a record's request. O(traces of the request).
    pub(crate) fn id_of(&mut self, trace: TraceId, request: Option<TraceId>) -> Met {
        let one = self.root(trace);
        let Some(request) = request.filter(|request| *request != trace) else {
            return Met { id: one, also: None, constant: false };
        };
        let other = self.root(request);
        if one == other {
            return Met { id: one, also: None, constant: false };
        }
        let met = self.met.entry(request).or_default();
        *met += 1;
        if *met > TRACES_MAX {
            return Met { id: one, also: None, constant: true };
        }
        let (id, larger) = if one < other { (one, other) } else { (other, one) };
        self.smaller.insert(larger, id);
        self.order.push_back((larger, request));
        while self.order.len() > KNOWN_MAX {
            if let Some((larger, request)) = self.order.pop_front() {
                self.smaller.remove(&larger);
                self.met.remove(&request);
            }
        }
        Met { id, also: Some(larger), constant: false }
    }

    fn root(&mut self, id: TraceId) -> TraceId {
        // Each step leads to a smaller id.
        let mut root = id;
        while let Some(&smaller) = self.smaller.get(&root) {
            root = smaller;
        }
        // The next look is short, in whatever order ids come.
        let mut at = id;
        while let Some(smaller) = self.smaller.get_mut(&at).filter(|smaller| **smaller != root) {
            at = std::mem::replace(smaller, root);
        }
        root
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn id(number: u128) -> TraceId {
        TraceId(number)
    }

    #[test]
    fn whatever_comes_first_the_smallest_id_stands_for_all() {
        // 7 is a trace, 5 its request id; 9 a trace that an application began and that came with request id 5; 3 another request.
        let pairs = [(7, Some(5)), (9, Some(5)), (5, None), (9, None), (3, None)];
        for turn in 0..pairs.len() {
            let mut meetings = Meetings::default();
            let mut order = pairs;
            order.rotate_left(turn);
            for (trace, request) in order {
                meetings.id_of(id(trace), request.map(id));
            }
            let of = [7, 9, 5, 3].map(|trace| meetings.root(id(trace)));
            assert_eq!(of, [5, 5, 5, 3].map(id), "turned by {turn}");
        }
    }

    #[test]
    fn what_was_known_under_another_id_is_told() {
        let mut meetings = Meetings::default();
        assert_eq!(meetings.id_of(id(7), None), Met { id: id(7), also: None, constant: false });
        let met = meetings.id_of(id(7), Some(id(5)));
        assert_eq!((met.id, met.also), (id(5), Some(id(7))));
        assert_eq!(meetings.id_of(id(7), Some(id(5))).also, None, "once");
    }

    #[test]
    fn a_constant_joins_no_more_than_a_few() {
        let mut meetings = Meetings::default();
        let joined = (10..10_000).filter(|&n| meetings.id_of(id(n), Some(id(1))).id == id(1)).count();
        assert_eq!(joined, TRACES_MAX as usize);
        assert!(meetings.id_of(id(20_000), Some(id(1))).constant);
        assert_eq!(meetings.id_of(id(20_000), None).id, id(20_000));
    }

    /// One trace id with request ids that fall: each is the smallest so far.
    #[test]
    fn a_row_of_falling_ids_takes_no_quadratic_time() {
        let mut meetings = Meetings::default();
        for n in (1..60_000).rev() {
            meetings.id_of(id(1 << 20), Some(id(n)));
        }
        assert_eq!(meetings.root(id(1 << 20)), id(1));
        assert_eq!(meetings.root(id(59_999)), id(1));
    }

    #[test]
    fn memory_is_bounded() {
        let mut meetings = Meetings::default();
        for n in 1..200_000 {
            meetings.id_of(id(2 * n), Some(id(2 * n + 1)));
        }
        assert!(meetings.smaller.len() <= KNOWN_MAX && meetings.met.len() <= KNOWN_MAX);
    }
}
