//! From a tree of spans to a tree of calls.
//!
//! A span is *remote* if it is of another service than its parent, or the served half of what its parent sends (a service may call itself).
//! A span *asks* if it says so (client, producer), or if it says nothing, is within a service, and its only child is remote: so are client
//! halves recognised in traces without span kinds.
//!
//! | spans | call |
//! |---|---|
//! | asks, one remote child | one, named by the callee, timed by the caller |
//! | asks, several remote children of one service, one after the other | one, with so many attempts (a proxy between tried again) |
//! | asks, several other remote children | one each (consumers of a message; an unseen proxy that fans out) |
//! | asks, no remote child, but others ask below it | none of its own (a library above a library) |
//! | asks, nothing below | one, to the peer it names, else to somebody unknown |
//! | remote, its parent does not ask | one, timed by the callee, on the caller's clock |
//! | anything else | none; calls below it are its service's |
//!
//! A root that asks (a gateway that reports its clients only) stands for what its service served, with the call below it.

use crate::assemble::SpanRecord;
use crate::quality::{Quality, Side};
use crate::skew::Clocks;
use crate::{Call, CallKind, CallOutcome, SpanKind, Symbol, Symbols};

use super::tree::Tree;

/// Goes down a tree; keeps what it allocates.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Room for the calls of the next trace.
    pub(super) calls: Vec<Call>,
    spans: Vec<Facts>,
    order: Vec<u32>,
    steps: Vec<Step>,
    callees: Vec<u32>,
    resent: super::attempts::Resent,
}

/// What is known of a span before the walk.
#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    remote: bool,
    asks: bool,
    /// Something below asks or is remote.
    calls_below: bool,
}

/// A span to look at.
#[derive(Clone, Copy, Debug)]
struct Step {
    span: u32,
    /// Within which call; `None` at the root.
    within: Option<u32>,
    /// From the clock of the span to that of the root.
    shift_ns: i64,
    /// Whom a span above, of the same service, said it calls.
    peer: Peer,
    /// The call of its service was made from this very span.
    served: bool,
}

/// Whom a span says it calls.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    name: Symbol,
    is_store: bool,
}

impl Peer {
    /// What the span says, else what was said above it.
    const fn of(record: &SpanRecord, above: Self) -> Self {
        if record.peer.is_none() {
            above
        } else {
            Self { name: record.peer, is_store: record.marks.to_store() }
        }
    }
}

/// The spans of a request, and which caused which.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub(super) records: &'a [SpanRecord],
    pub(super) tree: &'a Tree,
}

/// What a walk reads and writes.
struct Job<'a> {
    records: &'a [SpanRecord],
    tree: &'a Tree,
    symbols: &'a mut Symbols,
    clocks: &'a mut Clocks,
    quality: &'a mut Quality,
    calls: &'a mut Vec<Call>,
}

impl Walk {
    /// Looks at all spans of a request.
    pub(super) fn prepare(&mut self, records: &[SpanRecord], tree: &Tree) {
        self.spans.clear();
        self.spans.resize(records.len(), Facts::default());
        self.order.clear();
        self.order.extend(tree.roots.iter().map(|&(root, _)| root));
        let mut next = 0;
        while let Some(&place) = self.order.get(next) {
            self.order.extend_from_slice(tree.children(place));
            next += 1;
        }
        for i in (0..self.order.len()).rev() {
            let Some(&place) = self.order.get(i) else { continue };
            let facts = self.look_at(place, records, tree);
            self.spans.get_mut(place as usize).into_iter().for_each(|slot| *slot = facts);
        }
    }

    /// Children were looked at before.
    fn look_at(&self, place: u32, records: &[SpanRecord], tree: &Tree) -> Facts {
        let Some(record) = records.get(place as usize) else { return Facts::default() };
        let parent = tree.parent(place).and_then(|parent| records.get(parent as usize));
        let remote = parent.is_some_and(|parent| is_remote(record, parent));
        let children = tree.children(place);
        let calls_below = children.iter().any(|&child| {
            let child = self.facts(child);
            child.remote || child.asks || child.calls_below
        });
        let says_nothing = record.kind == SpanKind::Internal && parent.is_some() && !remote;
        let only_remote = matches!(children, [only] if self.facts(*only).remote);
        Facts { remote, asks: record.calls() || says_nothing && only_remote, calls_below }
    }

    fn facts(&self, place: u32) -> Facts {
        self.spans.get(place as usize).copied().unwrap_or_default()
    }

    /// Makes the calls of one tree. Parents stand before their children.
    pub(super) fn run(
        &mut self,
        root: u32,
        Known { records, tree }: Known<'_>,
        symbols: &mut Symbols,
        clocks: &mut Clocks,
        quality: &mut Quality,
        calls: &mut Vec<Call>,
    ) {
        calls.clear();
        let mut job = Job { records, tree, symbols, clocks, quality, calls };
        self.resent.clear();
        self.steps.clear();
        self.begin(root, &mut job);
        while let Some(step) = self.steps.pop() {
            let Some(record) = records.get(step.span as usize) else { continue };
            let facts = self.facts(step.span);
            match (step.served, facts.remote) {
                (false, true) => self.serve_alone(step, record, &mut job),
                _ if facts.asks => self.ask(step, record, facts, &mut job),
                _ => self.go_below(step, record, &job, |_| true),
            }
        }
        self.resent.settle(job.calls);
    }

    fn begin(&mut self, root: u32, job: &mut Job<'_>) {
        let Some(record) = job.records.get(root as usize) else { return };
        let message = matches!(record.kind, SpanKind::Producer | SpanKind::Consumer);
        let operation = job.named(root, record.operation);
        let call = Call { parent: None, operation, ..call_of(record, 0, message) };
        job.quality.saw(record.service, Side::Root);
        self.serve(root, job.push(call), 0);
    }

    /// A served span whose call was made.
    fn serve(&mut self, span: u32, call: u32, shift_ns: i64) {
        self.steps.push(Step { span, within: Some(call), shift_ns, peer: Peer::default(), served: true });
    }

    /// A call that only the callee recorded.
    fn serve_alone(&mut self, step: Step, record: &SpanRecord, job: &mut Job<'_>) {
        let message = record.kind == SpanKind::Consumer;
        let parent = job.tree.parent(step.span).and_then(|parent| job.records.get(parent as usize));
        let offset = parent.map_or(0, |parent| job.clocks.guess(parent, record, !message));
        let shift_ns = step.shift_ns.saturating_add(offset);
        let operation = job.named(step.span, record.operation);
        let call = Call { parent: step.within, operation, ..call_of(record, shift_ns, message) };
        job.quality.saw(record.service, Side::Callee);
        self.serve(step.span, job.push(call), shift_ns);
    }

    /// Looks at the children that are wanted, earliest first.
    fn go_below(&mut self, step: Step, record: &SpanRecord, job: &Job<'_>, wanted: impl Fn(Facts) -> bool) {
        let peer = Peer::of(record, step.peer);
        for &child in job.tree.children(step.span).iter().rev() {
            if wanted(self.facts(child)) {
                self.steps.push(Step { span: child, peer, served: false, ..step });
            }
        }
    }

    fn ask(&mut self, step: Step, record: &SpanRecord, facts: Facts, job: &mut Job<'_>) {
        self.go_below(step, record, job, |child| !child.remote);
        let mut callees = std::mem::take(&mut self.callees);
        callees.clear();
        callees.extend(job.tree.children(step.span).iter().filter(|&&child| self.facts(child).remote));
        match callees.as_slice() {
            [] if facts.calls_below => {}
            [] => self.ask_alone(step, record, job),
            _ if are_tries(&callees, job.records) => self.ask_one(step, record, &callees, job),
            _ if are_its_calls(&callees, job.records) => self.ask_through(step, record, &callees, job),
            _ => callees.iter().for_each(|&callee| self.ask_each(step, record, callee, job)),
        }
        self.callees = callees;
    }

    /// A call that only the caller recorded.
    fn ask_alone(&mut self, step: Step, record: &SpanRecord, job: &mut Job<'_>) {
        let Peer { name, is_store } = Peer::of(record, step.peer);
        let callee = if name.is_none() { job.unknown(record.service) } else { name };
        let message = record.kind == SpanKind::Producer;
        job.quality.saw(callee, Side::Caller);
        let call = call_of(record, step.shift_ns, message);
        // What a store is asked is no part of what it is.
        let operation = if is_store { Symbol::NONE } else { call.operation };
        let (parent, via) = (step.within, record.operation);
        let nameless = name.is_none();
        let call = Call { parent, service: callee, operation, via, nameless, attempts: 1, ..call };
        let index = job.push(call);
        self.resent.saw(index, record);
    }

    /// A call that both recorded, the callee perhaps several times.
    fn ask_one(&mut self, step: Step, record: &SpanRecord, callees: &[u32], job: &mut Job<'_>) {
        let Some(last) = callees.last().and_then(|&last| job.records.get(last as usize)) else { return };
        let message = record.kind == SpanKind::Producer || last.kind == SpanKind::Consumer;
        let mut call = Call { parent: step.within, ..joined(record, last, step.shift_ns, message) };
        call.operation = callees.last().map_or(call.operation, |&last| job.named(last, call.operation));
        let tries = u16::try_from(callees.len()).unwrap_or(u16::MAX);
        call.attempts = tries.max(last.attempt.into()).max(1);
        let index = job.push(call);
        self.resent.saw(index, record);
        for &callee in callees.iter().rev() {
            job.quality.saw(last.service, Side::Both);
            let shift_ns = step.shift_ns.saturating_add(job.offset(record, callee, message));
            job.note_done(index, callee, shift_ns);
            self.serve(callee, index, shift_ns);
        }
    }

    /// A call whose callee recorded nothing but the calls that it made for it.
    fn ask_through(&mut self, step: Step, record: &SpanRecord, callees: &[u32], job: &mut Job<'_>) {
        let Some(first) = callees.first().and_then(|&first| job.records.get(first as usize)) else { return };
        let message = record.kind == SpanKind::Producer;
        let call = call_of(record, step.shift_ns, message);
        let call =
            Call { parent: step.within, service: first.service, via: record.operation, attempts: 1, ..call };
        let index = job.push(call);
        self.resent.saw(index, record);
        job.quality.saw(first.service, Side::Caller);
        for &callee in callees.iter().rev() {
            let shift_ns = step.shift_ns.saturating_add(job.offset(record, callee, message));
            job.note_done(index, callee, shift_ns);
            self.serve(callee, index, shift_ns);
        }
    }

    /// One of several that answered to one span.
    fn ask_each(&mut self, step: Step, record: &SpanRecord, callee: u32, job: &mut Job<'_>) {
        let Some(served) = job.records.get(callee as usize) else { return };
        let message = record.kind == SpanKind::Producer || served.kind == SpanKind::Consumer;
        let offset = job.clocks.guess(record, served, !message);
        let shift_ns = step.shift_ns.saturating_add(offset);
        let mut call = Call { parent: step.within, ..joined(record, served, step.shift_ns, message) };
        if !message {
            call = Call { via: record.operation, parent: step.within, ..call_of(served, shift_ns, false) };
        }
        call.operation = job.named(callee, call.operation);
        job.quality.saw(served.service, Side::Both);
        let index = job.push(call);
        job.note_done(index, callee, shift_ns);
        self.serve(callee, index, shift_ns);
    }
}

impl Job<'_> {
    /// Somebody of whom nothing is known but who called.
    fn unknown(&mut self, caller: Symbol) -> Symbol {
        let name = format!("unknown, called by {}", self.symbols.text(caller));
        self.symbols.of(&name)
    }

    /// The callee's name for a call: the application's where a proxy stands before it, else `named`.
    fn named(&self, served: u32, mut named: Symbol) -> Symbol {
        let mut next =
            self.records.get(served as usize).filter(|record| record.marks.by_proxy()).map(|_| served);
        while let Some((place, record)) =
            next.and_then(|place| Some((place, self.records.get(place as usize)?)))
        {
            if !record.operation.is_none() {
                named = record.operation;
            }
            let within = |child: &&u32| {
                self.records
                    .get(**child as usize)
                    .is_some_and(|child| child.service == record.service && child.is_called())
            };
            let behind = self.tree.children(place).iter().find(within).copied();
            next = behind.filter(|_| record.marks.by_proxy());
        }
        named
    }

    fn push(&mut self, call: Call) -> u32 {
        self.calls.push(call);
        u32::try_from(self.calls.len() - 1).unwrap_or(u32::MAX)
    }

    /// A call is done when its callee is, by the clock that what the callee calls is told by.
    fn note_done(&mut self, call: u32, callee: u32, shift_ns: i64) {
        let Some(callee) = self.records.get(callee as usize) else { return };
        if let Some(call) = self.calls.get_mut(call as usize) {
            call.done_ns = call.done_ns.max(callee.end_ns().saturating_add(shift_ns));
        }
    }

    fn offset(&mut self, caller: &SpanRecord, callee: u32, message: bool) -> i64 {
        let Some(callee) = self.records.get(callee as usize) else { return 0 };
        // Who stopped waiting does not bound when the callee stopped working.
        let waited = matches!(caller.outcome, CallOutcome::Good | CallOutcome::Error);
        self.clocks.learn(caller, callee, waited && !message)
    }
}

fn is_remote(record: &SpanRecord, parent: &SpanRecord) -> bool {
    record.service != parent.service
        || record.is_called() && parent.calls()
        || record.kind == SpanKind::Server
            && are_two(record.instance, parent.instance)
            // A sidecar and its application are one, whatever they call their clocks.
            && !parent.marks.by_proxy()
}

fn are_two(a: Symbol, b: Symbol) -> bool {
    a != b && !a.is_none() && !b.is_none()
}

/// All of one service, and each a call of its own rather than an answer.
fn are_its_calls(callees: &[u32], records: &[SpanRecord]) -> bool {
    let mut found = callees.iter().filter_map(|&place| records.get(place as usize));
    let service = found.clone().next().map(|record| record.service);
    found.all(|record| record.calls() && Some(record.service) == service)
}

/// All of one service, one after the other.
fn are_tries(callees: &[u32], records: &[SpanRecord]) -> bool {
    let record = |place: u32| records.get(place as usize);
    callees.windows(2).all(|pair| match pair {
        &[a, b] => record(a).zip(record(b)).is_some_and(|(a, b)| {
            a.service == b.service && a.end_ns() <= b.start_ns && b.kind == SpanKind::Server
        }),
        _ => true,
    })
}

/// A span as a call, of whoever reported it.
fn call_of(record: &SpanRecord, shift_ns: i64, message: bool) -> Call {
    let start_ns = record.start_ns.saturating_add(shift_ns);
    Call {
        parent: None,
        service: record.service,
        operation: record.operation,
        via: Symbol::NONE,
        kind: if message { CallKind::Message } else { CallKind::Request },
        start_ns,
        end_ns: start_ns.saturating_add(record.duration_ns),
        done_ns: start_ns.saturating_add(record.duration_ns),
        outcome: record.outcome,
        served: record.outcome,
        nameless: false,
        attempts: u16::from(record.attempt.max(1)),
        mesh_retries: 0,
        cut: record.marks.cut(),
    }
}

/// Both halves. A caller that says nothing of kinds says nothing of outcomes either.
fn joined(caller: &SpanRecord, callee: &SpanRecord, shift_ns: i64, message: bool) -> Call {
    let silent = caller.kind == SpanKind::Internal && caller.outcome == CallOutcome::Good;
    let call = call_of(caller, shift_ns, message);
    Call {
        service: callee.service,
        operation: if callee.operation.is_none() { caller.operation } else { callee.operation },
        via: caller.operation,
        outcome: if silent { callee.outcome } else { caller.outcome },
        served: callee.outcome,
        attempts: 1,
        ..call
    }
}
