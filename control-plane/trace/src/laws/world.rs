//! Random call trees, the spans they leave, and what is true of them.

use std::collections::HashMap;
use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::{
    Call, CallKind, CallOutcome, Span, SpanId, SpanKind, SpanOutcome, Symbol, Symbols, Trace, TraceId,
};

const SERVICES: usize = 8;
/// Nanoseconds of the root.
const LENGTH: i64 = 1 << 40;
const START: i64 = 1_700_000_000_000_000_000;

/// Who records a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Both,
    /// Without kinds, as some libraries leave them.
    BothSilent,
    Shared,
    Callee,
    Message,
    /// A leaf only.
    Caller,
}

/// A call, as drawn.
#[derive(Clone, Debug)]
struct Draw {
    parent: prop::sample::Index,
    service: usize,
    form: Form,
    wrapped: bool,
    failed: bool,
    /// Cuts of the interval of the parent: the caller's span, and within it the callee's.
    cuts: [u16; 4],
}

/// A tree of calls; 0 is the root.
#[derive(Clone, Debug)]
pub(super) struct World {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
struct Node {
    parent: usize,
    service: usize,
    form: Form,
    wrapped: bool,
    failed: bool,
    asked: (i64, i64),
    served: (i64, i64),
}

impl Node {
    /// Whether its callee's span says how it ended.
    fn says_how_it_served(&self) -> bool {
        matches!(self.form, Form::BothSilent | Form::Callee)
    }
}

pub(super) fn world() -> impl Strategy<Value = World> {
    let forms =
        [Form::Both, Form::Both, Form::BothSilent, Form::Shared, Form::Callee, Form::Message, Form::Caller];
    let draw = (
        any::<prop::sample::Index>(),
        0..SERVICES,
        0..forms.len(),
        any::<bool>(),
        any::<bool>(),
        any::<[u16; 4]>(),
    );
    let draw = draw.prop_map(move |(parent, service, form, wrapped, failed, cuts)| Draw {
        parent,
        service,
        form: forms[form],
        wrapped,
        failed,
        cuts,
    });
    proptest::collection::vec(draw, 0..14).prop_map(World::of)
}

/// A part of an interval, never empty.
fn part((from, to): (i64, i64), a: u16, b: u16) -> (i64, i64) {
    let (low, high) = (a.min(b), a.max(b));
    let at = |cut: u16| from + ((to - from - 2) as i128 * i128::from(cut) / 65_536) as i64;
    (at(low), at(high) + 1)
}

impl World {
    fn of(draws: Vec<Draw>) -> Self {
        let root = (START, START + LENGTH);
        let first = Node {
            parent: 0,
            service: 0,
            form: Form::Callee,
            wrapped: false,
            failed: false,
            asked: root,
            served: root,
        };
        let mut nodes = vec![first];
        for draw in draws {
            let open: Vec<usize> = (0..nodes.len()).filter(|&i| nodes[i].form != Form::Caller).collect();
            let parent = *draw.parent.get(&open);
            let within = nodes[parent].served;
            // Too short to hold others: its parent's interval would do, but then it is no child.
            if within.1 - within.0 < 64 {
                continue;
            }
            let [a, b, c, d] = draw.cuts;
            let asked = part(within, a, b);
            let served = if asked.1 - asked.0 < 8 { asked } else { part(asked, c, d) };
            let alone = draw.form == Form::Callee;
            let caller = nodes[parent].service;
            let silent = matches!(draw.form, Form::Callee | Form::BothSilent);
            let service =
                if silent && draw.service == caller { (caller + 1) % SERVICES } else { draw.service };
            let asked = if alone { served } else { asked };
            let wrapped = draw.wrapped && matches!(draw.form, Form::Both | Form::Caller | Form::Message);
            nodes.push(Node {
                parent,
                service,
                form: draw.form,
                wrapped,
                failed: draw.failed,
                asked,
                served,
            });
        }
        Self { nodes }
    }

    /// The names of all worlds.
    pub(super) fn symbols() -> &'static Symbols {
        static SYMBOLS: OnceLock<Symbols> = OnceLock::new();
        SYMBOLS.get_or_init(|| {
            let mut symbols = Symbols::default();
            for (kind, count) in [("service", SERVICES), ("serve", 16), ("ask", 16), ("host", 2)] {
                (0..count).for_each(|i| _ = symbols.of(&format!("{kind}{i}")));
            }
            symbols
        })
    }

    pub(super) fn still_clocks(&self) -> Vec<i64> {
        vec![0; 2 * SERVICES]
    }

    /// Its calls on true clocks.
    pub(super) fn truth(&self) -> Vec<Call> {
        (0..self.nodes.len()).map(|i| self.call(i)).collect()
    }

    fn call(&self, i: usize) -> Call {
        let (node, symbols) = (&self.nodes[i], Self::symbols());
        let name = |kind: &str, i: usize| symbols.find(&format!("{kind}{i}")).unwrap();
        let message = node.form == Form::Message;
        let says = node.failed && (node.says_how_it_served() || node.form == Form::Caller);
        Call {
            parent: (i > 0).then_some(node.parent as u32),
            service: name("service", node.service),
            operation: name(if node.form == Form::Caller { "ask" } else { "serve" }, i),
            via: if node.form == Form::Callee { Symbol::NONE } else { name("ask", i) },
            kind: if message { CallKind::Message } else { CallKind::Request },
            start_ns: node.asked.0,
            end_ns: node.asked.1,
            done_ns: if node.form == Form::Caller { node.asked.1 } else { node.asked.1.max(node.served.1) },
            outcome: if node.failed { CallOutcome::Error } else { CallOutcome::Good },
            served: if says { CallOutcome::Error } else { CallOutcome::Good },
            nameless: false,
            attempts: 1,
            mesh_retries: 0,
            cut: false,
        }
    }

    /// The spans that are left, `skews` being how far the clock of each service's two hosts is ahead. A call's caller is on the host of the
    /// call it belongs to.
    pub(super) fn spans(&self, skews: &[i64]) -> Vec<Span> {
        let mut spans = Vec::new();
        for (i, node) in self.nodes.iter().enumerate() {
            let caller = &self.nodes[node.parent];
            let mut above = (i > 0).then_some(served_id(node.parent, caller.form));
            let new = |id, parent, service, host, times, name| {
                self.span(id, parent, service, host, times, name, skews)
            };
            if node.wrapped {
                let id = SpanId(1_000 + i as u64);
                spans.push(Span {
                    outcome: SpanOutcome::Good,
                    ..new(id, above, caller.service, node.parent, node.asked, i)
                });
                // With a second child, a wrapper is no client's half.
                spans.push(new(
                    SpanId(2_000 + i as u64),
                    Some(id),
                    caller.service,
                    node.parent,
                    node.asked,
                    i,
                ));
                above = Some(id);
            }
            if node.form != Form::Callee {
                let id = SpanId(3_000 + i as u64);
                let span = new(id, above, caller.service, node.parent, node.asked, 16 + i);
                spans.push(self.asking(i, span));
                above = if node.form == Form::Shared { above } else { Some(id) };
            }
            if node.form != Form::Caller {
                let span = new(served_id(i, node.form), above, node.service, i, node.served, i);
                spans.push(self.serving(i, span));
            }
        }
        spans
    }

    fn asking(&self, i: usize, span: Span) -> Span {
        let node = &self.nodes[i];
        let peer = self.call(i).service;
        match node.form {
            Form::BothSilent => span,
            Form::Message => Span { kind: SpanKind::Producer, outcome: outcome(node.failed), ..span },
            Form::Caller => Span { kind: SpanKind::Client, peer, outcome: outcome(node.failed), ..span },
            _ => Span { kind: SpanKind::Client, outcome: outcome(node.failed), ..span },
        }
    }

    fn serving(&self, i: usize, span: Span) -> Span {
        let node = &self.nodes[i];
        let said = node.failed && node.says_how_it_served();
        let kind = match node.form {
            Form::BothSilent => SpanKind::Internal,
            Form::Message => SpanKind::Consumer,
            _ => SpanKind::Server,
        };
        Span { kind, shared: node.form == Form::Shared, outcome: outcome(said), ..span }
    }

    #[expect(clippy::too_many_arguments, reason = "a span has many parts, and all differ")]
    fn span(
        &self,
        id: SpanId,
        parent: Option<SpanId>,
        service: usize,
        node: usize,
        times: (i64, i64),
        name: usize,
        skews: &[i64],
    ) -> Span {
        let symbols = Self::symbols();
        let host = node % 2;
        let name = if name < 16 { format!("serve{name}") } else { format!("ask{}", name - 16) };
        Span {
            trace: TraceId(1),
            id,
            parent,
            kind: SpanKind::Internal,
            service: symbols.find(&format!("service{service}")).unwrap(),
            operation: symbols.find(&name).unwrap(),
            peer: Symbol::NONE,
            instance: symbols.find(&format!("host{host}")).unwrap(),
            start_ns: times.0 + skews[2 * service + host],
            duration_ns: times.1 - times.0,
            outcome: SpanOutcome::Good,
            attempt: 0,
            shared: false,
            status: 0,
            by_proxy: false,
            to_store: false,
        }
    }

    /// See the law. Calls are known by their operation, which is one per call.
    pub(super) fn check_times(&self, trace: &Trace) -> Result<(), TestCaseError> {
        let found: HashMap<Symbol, &Call> = trace.calls.iter().map(|call| (call.operation, call)).collect();
        let truth = self.truth();
        prop_assert_eq!(found.len(), truth.len());
        let mut distances: HashMap<Option<u32>, i64> = HashMap::new();
        for (call, node) in truth.iter().zip(&self.nodes).skip(1) {
            let seen = found[&call.operation];
            prop_assert_eq!(seen.end_ns - seen.start_ns, call.end_ns - call.start_ns);
            if node.form != Form::Callee {
                let distance = *distances.entry(call.parent).or_insert(seen.start_ns - call.start_ns);
                prop_assert_eq!(distance, seen.start_ns - call.start_ns);
            }
            let parent = found[&truth[node.parent].operation];
            if self.nodes[node.parent].form != Form::Message {
                prop_assert!(parent.start_ns <= seen.start_ns && seen.end_ns <= parent.end_ns);
            }
        }
        Ok(())
    }
}

const fn outcome(failed: bool) -> SpanOutcome {
    if failed { SpanOutcome::Error } else { SpanOutcome::Good }
}

fn served_id(i: usize, form: Form) -> SpanId {
    SpanId(if form == Form::Shared { 3_000 } else { 4_000 } + i as u64)
}
