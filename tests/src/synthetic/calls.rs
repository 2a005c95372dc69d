//! What a perfect assembler would make of the spans: the calls of each request, by one clock.
//!
//! Inference can be tried on these without readers and assembler, and an assembler can be tested against them.

use emac_trace::{Call, CallKind, CallOutcome, Symbol, Symbols, Trace};

use super::execute::{Act, Ended};
use super::settings::Style;
use super::spans::Names;
use super::world::{BEGIN_NS, Request, World};

impl World {
    /// Every request that is sampled, as a whole trace.
    pub fn traces<'a>(&'a self, symbols: &mut Symbols) -> impl Iterator<Item = Trace> + use<'a> {
        let names = Names::new(self, symbols);
        let sampled = self.requests().filter(|request| self.is_sampled(request.trace));
        sampled.map(move |request| Trace {
            id: request.trace,
            calls: self.calls_of(&request, &names),
            journey: Symbol::NONE,
            complete: true,
            headless: false,
        })
    }

    fn calls_of(&self, request: &Request, names: &Names) -> Vec<Call> {
        let style = self.settings.signals.style;
        let acts = &request.run.acts;
        let recorded = |act: &Act| act.happened && (style != Style::ServerOnly || act.server.is_some());
        let mut index: Vec<Option<u32>> = vec![None; acts.len()];
        let mut calls = Vec::with_capacity(acts.len());
        for (at, act) in acts.iter().enumerate().filter(|(_, act)| recorded(act)) {
            let parent = act.parent.and_then(|parent| index[parent as usize]);
            index[at] = Some(calls.len() as u32);
            calls.push(call(act, parent, request.begin_ns, style, names));
        }
        calls
    }
}

fn call(act: &Act, parent: Option<u32>, begin_ns: i64, style: Style, names: &Names) -> Call {
    // Where the caller records nothing, its view is not known.
    let side = if style == Style::ServerOnly { act.server.unwrap_or(act.client) } else { act.client };
    let called = parent.is_some() && style != Style::ServerOnly;
    Call {
        parent,
        service: names.service(act.service),
        operation: names.operation(act.service),
        via: if called { names.operation(act.service) } else { Symbol::NONE },
        kind: if act.message { CallKind::Message } else { CallKind::Request },
        start_ns: BEGIN_NS + begin_ns + side.start_ns,
        end_ns: BEGIN_NS + begin_ns + side.end_ns,
        done_ns: BEGIN_NS
            + begin_ns
            + side.end_ns.max(act.server.map_or(side.end_ns, |server| server.end_ns)),
        outcome: outcome(side.ended),
        served: outcome(act.server.unwrap_or(side).ended),
        nameless: false,
        mesh_retries: 0,
        cut: false,
        attempts: 1,
    }
}

const fn outcome(ended: Ended) -> CallOutcome {
    match ended {
        Ended::Good => CallOutcome::Good,
        Ended::Error => CallOutcome::Error,
        Ended::Timeout => CallOutcome::Timeout,
        Ended::Cancelled => CallOutcome::Cancelled,
    }
}
