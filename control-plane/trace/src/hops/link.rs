//! Which record caused which.

use std::collections::HashMap;

use crate::assemble::SpanRecord;
use crate::skew::{Clock, clock_of};
use crate::{CallOutcome, SpanKind, Symbol, Symbols};

/// Records looked at in search of one: enough for any fan-out to one destination that overlaps, and no quadratic time.
const LOOK_MAX: usize = 64;
/// Threads of one host read the time a little differently.
const SAME_CLOCK_NS: i64 = 1_000_000;
/// Names no record.
const LOST: u64 = u64::MAX;

/// Links the records of one request after the other; remembers which workload stands behind a destination.
#[derive(Debug, Default)]
pub(crate) struct Linker {
    workloads: HashMap<Symbol, Symbol>,
}

/// Outbound records, earliest first, and where to begin looking.
#[derive(Debug, Default)]
struct Queue {
    places: Vec<usize>,
    next: usize,
}

/// What is known while records of one request are linked. A record's place is its id less 1.
struct Links<'a> {
    records: &'a mut Vec<SpanRecord>,
    /// Span id of `traceparent`, by place.
    said: Vec<u64>,
    /// An inbound record was found for the outbound one.
    taken: Vec<bool>,
    by_id_and_name: HashMap<(u64, Symbol), Queue>,
    by_name: HashMap<Symbol, Queue>,
    by_id: HashMap<u64, Queue>,
}

impl Linker {
    /// Gives records ids and parents; how many were there twice. O(n log n).
    pub(crate) fn link(&mut self, records: &mut Vec<SpanRecord>, symbols: &mut Symbols) -> u64 {
        let before = records.len();
        records.sort_unstable_by_key(SpanRecord::order);
        records.dedup_by(|a, b| a.order() == b.order());
        let duplicates = (before - records.len()) as u64;
        let mut links = Links::of(records, symbols);
        links.find_enclosing();
        let rest = links.match_by_name(symbols, &mut self.workloads);
        rest.into_iter().for_each(|place| links.match_by_id(place, &mut self.workloads));
        links.name_unseen(&self.workloads);
        links.find_root();
        duplicates
    }
}

impl<'a> Links<'a> {
    /// Numbers the records and sorts the outbound ones into queues.
    fn of(records: &'a mut Vec<SpanRecord>, symbols: &mut Symbols) -> Self {
        let said: Vec<u64> = records.iter().map(|record| record.parent).collect();
        let mut links = Self {
            taken: vec![false; records.len()],
            said,
            by_id_and_name: HashMap::new(),
            by_name: HashMap::new(),
            by_id: HashMap::new(),
            records,
        };
        for (place, record) in links.records.iter_mut().enumerate() {
            let said = std::mem::take(&mut record.parent);
            record.id = place as u64 + 1;
            if record.kind == SpanKind::Client {
                let name = short_name(record.peer, symbols);
                links.by_id_and_name.entry((said, name)).or_default().places.push(place);
                links.by_name.entry(name).or_default().places.push(place);
                links.by_id.entry(said).or_default().places.push(place);
            }
        }
        links
    }

    fn inbound(&self) -> Vec<usize> {
        let inbound = self.records.iter().enumerate().filter(|(_, record)| record.kind == SpanKind::Server);
        inbound.map(|(place, _)| place).collect()
    }

    /// Parents of outbound records: what was open in the same sidecar.
    fn find_enclosing(&mut self) {
        let mut inbound: HashMap<Clock, Vec<usize>> = HashMap::new();
        for place in self.inbound() {
            if let Some(clock) = self.records.get(place).map(clock_of) {
                inbound.entry(clock).or_default().push(place);
            }
        }
        for place in 0..self.records.len() {
            let Some(call) = self.records.get(place).filter(|record| record.kind == SpanKind::Client) else {
                continue;
            };
            let arrivals = inbound.get(&clock_of(call)).map_or(&[][..], |places| places);
            let parent = self.enclosing(call, self.said.get(place), arrivals);
            if let (Some(parent), Some(call)) = (parent, self.records.get_mut(place)) {
                call.parent = parent as u64 + 1;
            }
        }
    }

    /// Of those that began before the call: one that ended after it, that was given the same span id, that began last.
    fn enclosing(&self, call: &SpanRecord, said: Option<&u64>, arrivals: &[usize]) -> Option<usize> {
        let start = |&place: &usize| self.records.get(place).map_or(i64::MAX, |record| record.start_ns);
        let latest = call.start_ns.saturating_add(SAME_CLOCK_NS);
        let before = arrivals.get(..arrivals.partition_point(|place| start(place) <= latest))?;
        let rank = |&place: &usize| {
            let end = self.records.get(place).map_or(i64::MIN, SpanRecord::end_ns);
            (end.saturating_add(SAME_CLOCK_NS) >= call.end_ns(), self.said.get(place) == said, start(&place))
        };
        before.iter().rev().take(LOOK_MAX).copied().max_by_key(rank)
    }

    /// Parents of inbound records by span id and name, else by name; those that have none.
    fn match_by_name(
        &mut self,
        symbols: &mut Symbols,
        workloads: &mut HashMap<Symbol, Symbol>,
    ) -> Vec<usize> {
        let mut rest = Vec::new();
        for place in self.inbound() {
            let Some(record) = self.records.get(place).copied() else { continue };
            let name = short_name(record.service, symbols);
            let said = self.said.get(place).copied().unwrap_or_default();
            let exact = self.by_id_and_name.get(&(said, name));
            let found = exact.and_then(|queue| self.nearest(queue, &record)).map(|found| (found, true));
            let loose = || self.by_name.get(&name).and_then(|queue| self.nearest(queue, &record));
            let found =
                found.or_else(|| loose().filter(|&(call, _)| !self.is_taken(call)).map(|f| (f, false)));
            let Some(((call, index), exact)) = found else {
                rest.push(place);
                continue;
            };
            let key = (said, name);
            let queue = if exact { self.by_id_and_name.get_mut(&key) } else { self.by_name.get_mut(&name) };
            queue.into_iter().for_each(|queue| queue.next = queue.next.max(index + 1));
            self.join(place, call, workloads);
        }
        rest
    }

    /// The call nearest in time, one that is free if several are: its place, and its index in the queue.
    fn nearest(&self, queue: &Queue, arrival: &SpanRecord) -> Option<(usize, usize)> {
        // A few back: tries and overlapping calls.
        let from = queue.next.saturating_sub(LOOK_MAX / 8);
        let window = queue.places.iter().enumerate().skip(from).take(LOOK_MAX);
        let rank = |place: usize| {
            let call = self.records.get(place)?;
            let outside = (call.start_ns.saturating_sub(arrival.start_ns))
                .max(arrival.end_ns().saturating_sub(call.end_ns()))
                .max(0);
            Some((outside, self.is_taken(place), std::cmp::Reverse(call.start_ns)))
        };
        let best = window.min_by_key(|&(_, &place)| rank(place));
        best.map(|(index, &place)| (place, index))
    }

    /// An inbound record whose workload nobody names: behind a destination of another name, or an alternate's.
    fn match_by_id(&mut self, place: usize, workloads: &mut HashMap<Symbol, Symbol>) {
        let Some(queue) = self.said.get(place).and_then(|said| self.by_id.get(said)) else { return };
        let calls: Vec<usize> = queue.places.iter().copied().take(LOOK_MAX).collect();
        let answered_elsewhere =
            |call: &SpanRecord| matches!(call.outcome, CallOutcome::Alternate | CallOutcome::Fallback);
        let of = |want: &dyn Fn(usize, &SpanRecord) -> bool| {
            let mut found =
                calls.iter().copied().filter(|&c| self.records.get(c).is_some_and(|r| want(c, r)));
            found.next().filter(|_| found.next().is_none())
        };
        let by_alternate = of(&|_, call| answered_elsewhere(call));
        let free = of(&|c, call| !self.is_taken(c) && !answered_elsewhere(call));
        let failed = of(&|c, call| self.is_taken(c) && call.outcome.failed());
        match (by_alternate, free, failed) {
            (Some(call), _, _) | (None, None, Some(call)) => self.add_alternate(place, call),
            (None, Some(call), _) => self.join(place, call, workloads),
            (None, None, None) => {}
        }
    }

    /// Puts a call to an alternate beside the one it answered for, which was over then.
    fn add_alternate(&mut self, place: usize, primary: usize) {
        let Some(served) = self.records.get(place).copied() else { return };
        let Some(call) = self.records.get_mut(primary) else { return };
        let fits = call.start_ns <= served.start_ns && served.end_ns() <= call.end_ns();
        // Its answer was the call's, and went on at once.
        let latest = call.end_ns().saturating_sub(served.duration_ns).max(call.start_ns);
        let start_ns = if fits { served.start_ns } else { latest };
        let outcome = if call.outcome.answered() { CallOutcome::Good } else { served.outcome };
        let asked = SpanRecord {
            start_ns,
            duration_ns: served.duration_ns,
            outcome,
            attempt: 0,
            peer: served.service,
            ..*call
        };
        call.duration_ns = call.duration_ns.min(start_ns - call.start_ns);
        self.records.push(asked);
        let id = self.records.len() as u64;
        self.records.last_mut().into_iter().for_each(|asked| asked.id = id);
        self.records.get_mut(place).into_iter().for_each(|served| served.parent = id);
    }

    fn join(&mut self, place: usize, call: usize, workloads: &mut HashMap<Symbol, Symbol>) {
        let destination = self.records.get(call).map(|call| call.peer);
        if let (Some(record), Some(destination)) = (self.records.get_mut(place), destination) {
            record.parent = call as u64 + 1;
            workloads.entry(destination).or_insert(record.service);
        }
        self.taken.get_mut(call).into_iter().for_each(|taken| *taken = true);
    }

    fn is_taken(&self, place: usize) -> bool {
        self.taken.get(place) == Some(&true)
    }

    /// A destination that recorded nothing this time has the name it has otherwise.
    fn name_unseen(&mut self, workloads: &HashMap<Symbol, Symbol>) {
        for record in self.records.iter_mut() {
            if let Some(&workload) = workloads.get(&record.peer) {
                record.peer = workload;
            }
        }
    }

    fn find_root(&mut self) {
        let without = |record: &&mut SpanRecord| record.parent == 0;
        let longest = self.records.iter_mut().filter(without).map(|record| (record.duration_ns, record.id));
        let Some((_, root)) = longest.reduce(|best, next| if next.0 > best.0 { next } else { best }) else {
            return;
        };
        let others = self.records.iter_mut().filter(|record| record.parent == 0 && record.id != root);
        others.for_each(|record| record.parent = LOST);
    }
}

/// What a workload (`shop/cart`), a Kubernetes host (`cart.shop.svc.cluster.local`) and a cluster (`cart`) have in common.
fn short_name(name: Symbol, symbols: &mut Symbols) -> Symbol {
    let text = symbols.text(name);
    let short = text.rsplit('/').next().unwrap_or(text);
    let short = short.split('.').next().unwrap_or(short);
    if short.len() == text.len() {
        return name;
    }
    let short = short.to_owned();
    symbols.of(&short)
}
