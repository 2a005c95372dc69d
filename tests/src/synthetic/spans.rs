//! Spans of what happened, as each kind of instrumentation would write them, by each host's own clock.

use emac_trace::{Span, SpanId, SpanKind, SpanOutcome, Symbol, Symbols, TraceId};

use super::draw::Draw;
use super::execute::{Act, Ended, Side};
use super::service::{Service, ServiceId};
use super::settings::{Signals, Style};
use super::world::{BEGIN_NS, Request, World};

/// A world's names in one table of symbols, by service.
#[derive(Clone, Debug)]
pub(super) struct Names {
    service: Vec<Symbol>,
    operation: Vec<Symbol>,
    peer: Vec<Symbol>,
    instances: Vec<Vec<Symbol>>,
    internal: Symbol,
}

/// Ids of an act's spans.
#[derive(Clone, Copy)]
struct Ids {
    client: SpanId,
    server: SpanId,
    internal: SpanId,
}

impl Names {
    pub(super) fn new(world: &World, symbols: &mut Symbols) -> Self {
        let envoy = world.settings.signals.style == Style::Envoy;
        let all = || world.services.iter();
        let operation = |s: &Service| {
            if envoy { format!("{}.svc.cluster.local:8080/*", s.name) } else { s.operation() }
        };
        Self {
            service: all().map(|s| symbols.of(&s.name)).collect(),
            operation: all().map(|s| symbols.of(&operation(s))).collect(),
            peer: all().map(|s| symbols.of(&s.name)).collect(),
            instances: all()
                .map(|s| (0..s.instances).map(|i| symbols.of(&s.instance(i))).collect())
                .collect(),
            internal: symbols.of("handle"),
        }
    }

    pub(super) fn service(&self, id: ServiceId) -> Symbol {
        self.service[id]
    }

    pub(super) fn operation(&self, id: ServiceId) -> Symbol {
        self.operation[id]
    }
}

/// The clocks of a world: how far each instance's is off, nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Clocks {
    skew_ns: Vec<Vec<i64>>,
    resolution_ns: i64,
}

impl Clocks {
    pub(super) fn new(world: &World) -> Self {
        let signals = &world.settings.signals;
        let mut draw = Draw::new(world.settings.seed, "clocks", 0);
        let mut skew = |_| (signals.skew_ns * draw.normal()) as i64;
        let skew_ns = world.services.iter().map(|s| (0..s.instances).map(&mut skew).collect()).collect();
        Self { skew_ns, resolution_ns: signals.resolution_ns.max(1) }
    }

    /// What the clock beside an act shows.
    pub(super) fn read(&self, act: &Act, true_ns: i64) -> i64 {
        let skew = self.skew_ns[act.service][usize::from(act.instance)];
        let ns = BEGIN_NS + true_ns + skew;
        ns - ns.rem_euclid(self.resolution_ns)
    }
}

/// Writes the spans of one request.
pub(super) struct Recorder<'a> {
    pub(super) world: &'a World,
    pub(super) names: &'a Names,
    pub(super) clocks: &'a Clocks,
}

impl Recorder<'_> {
    /// Every span of a request, with the true time at which it ended; parents before children.
    pub(super) fn spans(&self, request: &Request) -> Vec<(i64, Span)> {
        let mut draw = Draw::new(self.world.settings.seed, "ids", request.number);
        let mut id = || SpanId(draw.id());
        let ids: Vec<Ids> =
            request.run.acts.iter().map(|_| Ids { client: id(), server: id(), internal: id() }).collect();
        let mut spans = Vec::with_capacity(2 * ids.len());
        for (index, act) in request.run.acts.iter().enumerate().filter(|(_, act)| act.happened) {
            let end = |side: Side| request.begin_ns + side.end_ns;
            let caller = act.parent.map(|p| (&request.run.acts[p as usize], ids[p as usize]));
            let client = caller.and_then(|caller| self.client(request, act, ids[index], caller));
            spans.extend(client.map(|span| (end(act.client), span)));
            let Some(side) = act.server.filter(|_| !self.world.services[act.service].database) else {
                continue;
            };
            let server = self.server(request, act, side, ids[index], caller, client);
            spans.push((end(side), server));
            if self.world.services[act.service].wraps {
                spans.push((end(side), self.internal(&server, ids[index])));
            }
        }
        spans
    }

    fn signals(&self) -> &Signals {
        &self.world.settings.signals
    }

    fn blank(&self, trace: TraceId, on: &Act, side: Side, begin_ns: i64) -> Span {
        let start_ns = self.clocks.read(on, begin_ns + side.start_ns);
        let end_ns = self.clocks.read(on, begin_ns + side.end_ns);
        Span {
            trace,
            id: SpanId(1),
            parent: None,
            kind: SpanKind::Internal,
            service: self.names.service[on.service],
            operation: Symbol::NONE,
            peer: Symbol::NONE,
            instance: self.names.instances[on.service][usize::from(on.instance)],
            start_ns,
            duration_ns: end_ns - start_ns,
            outcome: outcome(side.ended),
            status: 0,
            attempt: 0,
            shared: false,
            by_proxy: false,
            to_store: false,
        }
    }

    /// Below which span of a caller its calls stand.
    fn caller_span(&self, (act, ids): (&Act, Ids)) -> SpanId {
        match (self.world.services[act.service].wraps, self.signals().style, act.message) {
            (true, ..) => ids.internal,
            // The two sides of a call have one id.
            (false, Style::Zipkin, false) if act.parent.is_some() => ids.client,
            _ => ids.server,
        }
    }

    fn client(&self, request: &Request, act: &Act, ids: Ids, caller: (&Act, Ids)) -> Option<Span> {
        if self.signals().style == Style::ServerOnly {
            return None;
        }
        let unanswered = act.server.is_none() && act.client.ended == Ended::Error;
        let database = self.world.services[act.service].database;
        Some(Span {
            id: ids.client,
            parent: Some(self.caller_span(caller)),
            kind: if act.message { SpanKind::Producer } else { SpanKind::Client },
            operation: self.names.operation[act.service],
            peer: self.names.peer[act.service],
            status: if act.message || database { 0 } else { status(act.client.ended, unanswered) },
            attempt: if self.signals().attempts && act.attempt > 1 {
                u8::try_from(act.attempt).unwrap_or(u8::MAX)
            } else {
                0
            },
            ..self.blank(request.trace, caller.0, act.client, request.begin_ns)
        })
    }

    fn server(
        &self,
        request: &Request,
        act: &Act,
        side: Side,
        ids: Ids,
        caller: Option<(&Act, Ids)>,
        client: Option<Span>,
    ) -> Span {
        let shared = self.signals().style == Style::Zipkin && !act.message && client.is_some();
        let above = caller.map(|caller| self.caller_span(caller));
        Span {
            id: if shared { ids.client } else { ids.server },
            parent: if shared { above } else { client.map(|span| span.id).or(above) },
            kind: if act.message { SpanKind::Consumer } else { SpanKind::Server },
            operation: self.names.operation[act.service],
            status: if act.message { 0 } else { status(side.ended, false) },
            shared,
            ..self.blank(request.trace, act, side, request.begin_ns)
        }
    }

    fn internal(&self, server: &Span, ids: Ids) -> Span {
        Span {
            id: ids.internal,
            parent: Some(server.id),
            kind: SpanKind::Internal,
            operation: self.names.internal,
            status: 0,
            shared: false,
            by_proxy: false,
            to_store: false,
            ..*server
        }
    }
}

const fn outcome(ended: Ended) -> SpanOutcome {
    match ended {
        Ended::Good => SpanOutcome::Good,
        Ended::Error => SpanOutcome::Error,
        Ended::Timeout => SpanOutcome::Timeout,
        Ended::Cancelled => SpanOutcome::Cancelled,
    }
}

/// HTTP status; a call that was given up has none.
const fn status(ended: Ended, unanswered: bool) -> u16 {
    match ended {
        Ended::Good => 200,
        Ended::Error if unanswered => 503,
        Ended::Error => 500,
        Ended::Timeout => 504,
        Ended::Cancelled => 0,
    }
}
