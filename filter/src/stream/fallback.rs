//! Answers that are not the destination's.

use emac_core::budget::{Fallback, FallbackKind};
use emac_core::context::{Absolute, Context, Flags, baggage};
use emac_core::enforce::{AfterFailure, Asks, Body, NoFallback};
use emac_core::evidence::DecisionKind;
use emac_core::units::{Micros, Millis};

use super::Flow;
use super::call::{CallState, DECISION_HEADER};
use super::finish::accepts;
use super::headers::{Headers, decimal};
use crate::host::{CalloutAnswer, Header, Host, taken};
use crate::vm::Vm;
use crate::vm::marks;

/// What a call is, as far as is known before it is made. Headers are asked for where a fallback depends on them.
pub(super) fn asks(fallback: Option<&Fallback>, headers: &Headers<'_>, grpc: bool, end: bool) -> Asks {
    let by_callout = fallback.is_some_and(
        |fallback| matches!(&fallback.kind, FallbackKind::Alternate(alternate) if !alternate.cluster.is_empty()),
    );
    if grpc || !by_callout {
        return Asks { grpc, idempotent: true, body: Body::Coming };
    }
    let announced = || headers.header("content-length", decimal)?;
    let body = if end { Body::Whole } else { announced().map_or(Body::Coming, Body::Announced) };
    Asks { grpc, idempotent: headers.header(":method", is_idempotent).unwrap_or_default(), body }
}

/// What is needed to ask again, or to know that it could be asked: kept only for hops with an alternate.
#[derive(Debug)]
pub(super) struct Repeat {
    /// Empty when a callout is out of the question.
    headers: Vec<Header>,
    body: Vec<u8>,
    length: usize,
    length_max: usize,
    /// The request has been read to its end.
    pub(super) ended: bool,
    /// Asked for now: between request headers and the end the host does not know the request's method.
    idempotent: bool,
    journey: Option<(String, Absolute, Flags)>,
}

impl Repeat {
    /// For a call whose failure may be answered by an alternate.
    pub(super) fn prepare(
        fallback: &Fallback,
        headers: &Headers<'_>,
        context: Option<Context<'_, Absolute>>,
        acts: bool,
    ) -> Option<Box<Self>> {
        let FallbackKind::Alternate(alternate) = &fallback.kind else { return None };
        if alternate.cluster.is_empty() {
            return None;
        }
        Some(Box::new(Self {
            headers: if acts { sayable(headers.all().to_vec()) } else { Vec::new() },
            body: Vec::new(),
            length: 0,
            length_max: alternate.body_bytes_max as usize,
            ended: false,
            idempotent: headers.header(":method", is_idempotent).unwrap_or_default(),
            journey: context.map(|context| (context.journey.to_owned(), context.deadline, context.flags)),
        }))
    }

    /// Keeps a piece of the request's body, within bounds.
    pub(super) fn add_body(&mut self, host: &dyn Host, bytes: usize) {
        self.length = self.length.saturating_add(bytes);
        if self.length > self.length_max {
            self.body = Vec::new();
        } else if bytes > 0 && !self.headers.is_empty() {
            host.request_body(bytes, &mut |part| self.body.extend_from_slice(part));
        }
    }

    fn body_kept(&self) -> Body {
        if self.ended && self.length <= self.length_max { Body::Whole } else { Body::TooLong }
    }
}

/// What became of a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    /// The sidecar answered.
    Answered,
    /// An alternate is asked, under this token.
    Asked(u32),
    /// Nobody else answers.
    No,
}

/// The upstream answered: badly, perhaps. `end`: with its headers alone.
pub(super) fn after_answer(call: &mut CallState, vm: &mut Vm, host: &dyn Host, end: bool) -> Flow {
    call.status = status_at_hand(host);
    // What cannot be read is not judged.
    let good =
        call.grpc || call.status.is_none_or(|status| accepts(vm.enforcer.success(call.hop.budget), status));
    if call.waiting.is_some() {
        // The alternate was asked because this answer was late. If it is good, it is the first; else the alternate's is awaited.
        if !good {
            call.held = Some(end);
            return Flow::Pause;
        }
        call.waiting = None;
        vm.enforcer.on_fallback_failed(call.hop.budget);
        return Flow::Continue;
    }
    if good {
        return Flow::Continue;
    }
    match replace(call, vm, host) {
        Replaced::Answered => Flow::Pause,
        Replaced::Asked(_) => {
            call.held = Some(end);
            Flow::Pause
        }
        Replaced::No => Flow::Continue,
    }
}

/// Nobody answered in time.
pub(super) fn after_timeout(call: &mut CallState, vm: &mut Vm, host: &dyn Host) -> Replaced {
    if !call.watched {
        return Replaced::No;
    }
    let replaced = replace(call, vm, host);
    call.settled = replaced == Replaced::Answered;
    replaced
}

fn replace(call: &mut CallState, vm: &mut Vm, host: &dyn Host) -> Replaced {
    let repeat = call.repeat.take();
    let asks = Asks {
        grpc: call.grpc,
        idempotent: repeat.as_ref().is_some_and(|repeat| repeat.idempotent),
        body: repeat.as_ref().map_or(Body::TooLong, |repeat| repeat.body_kept()),
    };
    let now = host.now();
    vm.enforcer.cap_mode(call.mode_cap);
    let followup = vm.enforcer.on_failure(now, call.hop.budget, call.deadline, asks);
    match followup.what {
        AfterFailure::Pass(NoFallback::BudgetSpent) => {
            vm.recorder.decided(call.hop.record, DecisionKind::BudgetSpent)
        }
        AfterFailure::Pass(_) => {}
        AfterFailure::Static | AfterFailure::Callout { .. } => {
            vm.recorder.decided(call.hop.record, DecisionKind::FallbackAfter);
        }
    }
    match followup.what {
        _ if !followup.acts() => Replaced::No,
        AfterFailure::Pass(_) => Replaced::No,
        AfterFailure::Static => match answer_static(call, vm, host) {
            Flow::Pause => Replaced::Answered,
            Flow::Continue => Replaced::No,
        },
        AfterFailure::Callout { timeout } => ask_alternate(call, vm, host, repeat.as_deref(), timeout, now),
    }
}

/// The alternate answered, or did not: then the failure itself goes on.
pub(super) fn after_callout(call: &mut CallState, vm: &mut Vm, host: &dyn Host, answer: CalloutAnswer) {
    let header = |name: &str| answer.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let status = header(":status").and_then(|status| decimal(status)).unwrap_or_default();
    if !accepts(vm.enforcer.success(call.hop.budget), status) {
        vm.enforcer.on_fallback_failed(call.hop.budget);
        return match call.held.take() {
            Some(_) => host.resume_response(),
            None => super::bound::cut(call, host),
        };
    }
    if header(marks::HEADER).is_some() {
        call.degrade(vm, host);
    }
    call.end_with_fallback(vm, host);
    let marked = call.degraded && call.tells_inbound;
    let mut headers: Vec<Header> =
        answer.headers.into_iter().filter(|(name, _)| name == ":status" || !is_hop_by_hop(name)).collect();
    headers.extend(call.shows().then(|| (DECISION_HEADER.to_owned(), call.describe().into_bytes())));
    headers.extend(marked.then(|| (marks::HEADER.to_owned(), b"1".to_vec())));
    let bare = answer.body.is_empty();
    if bare && call.held.take() == Some(true) {
        // Neither answer has a body: what a HEAD was told of one (content-length, content-type) would be taken from an answer of ours.
        host.set_response_headers(&as_bytes(&headers));
        return host.resume_response();
    }
    call.settled = true;
    let said = headers.iter().filter(|(name, _)| name != ":status" && name != "content-length");
    let said: Vec<_> =
        said.filter_map(|(name, value)| Some((name.as_str(), core::str::from_utf8(value).ok()?))).collect();
    host.respond(status, &said, &answer.body);
    if bare {
        call.restore = headers;
    }
}

/// The sidecar's own answer passes through the filter like any: what an answer without a body has lost is put back.
pub(super) fn restore(call: &mut CallState, host: &dyn Host) {
    let headers = core::mem::take(&mut call.restore);
    if !headers.is_empty() {
        host.set_response_headers(&as_bytes(&headers));
    }
}

fn as_bytes(headers: &[Header]) -> Vec<(&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect()
}

/// The sidecar's own answer.
pub(super) fn answer_static(call: &mut CallState, vm: &Vm, host: &dyn Host) -> Flow {
    let Some(FallbackKind::Static(answer)) =
        vm.enforcer.fallback(call.hop.budget).map(|fallback| &fallback.kind)
    else {
        return Flow::Continue;
    };
    call.end_with_fallback(vm, host);
    let decision = call.shows().then(|| call.describe());
    let mut headers = borrowed(&answer.headers);
    headers.extend(decision.as_deref().map(|decision| (DECISION_HEADER, decision)));
    headers.extend((call.degraded && call.tells_inbound).then_some((marks::HEADER, "1")));
    host.respond(answer.status, &headers, &answer.body);
    Flow::Pause
}

/// Lets the route table choose the alternate.
pub(super) fn choose_route(call: &CallState, vm: &Vm, host: &dyn Host) {
    let Some(Fallback { kind: FallbackKind::Alternate(alternate), .. }) =
        vm.enforcer.fallback(call.hop.budget)
    else {
        return;
    };
    if let Some((name, value)) = &alternate.route_header {
        host.set_request_header(name, value.as_bytes());
        host.clear_route_cache();
    }
}

/// `:status` of the response whose headers are being handled.
pub(super) fn status_at_hand(host: &dyn Host) -> Option<u16> {
    taken(|read| host.response_header(":status", read), decimal).flatten().filter(|&status| status != 0)
}

fn ask_alternate(
    call: &mut CallState,
    vm: &mut Vm,
    host: &dyn Host,
    repeat: Option<&Repeat>,
    timeout: Millis,
    now: Micros,
) -> Replaced {
    let fallback = vm.enforcer.fallback(call.hop.budget).map(|fallback| &fallback.kind);
    let token = match (fallback, repeat) {
        (Some(FallbackKind::Alternate(alternate)), Some(repeat)) if !repeat.headers.is_empty() => {
            let overrides =
                [(":authority", alternate.authority.as_str()), (":path", alternate.path.as_str())];
            let headers = repeated(repeat, &overrides, now);
            host.callout(&alternate.cluster, &borrowed(&headers), &repeat.body, timeout)
        }
        _ => None,
    };
    call.waiting = token;
    match token {
        Some(token) => Replaced::Asked(token),
        None => {
            vm.enforcer.on_fallback_failed(call.hop.budget);
            Replaced::No
        }
    }
}

/// All of them or none: the SDK says only text, and a request that lost a header is another request.
fn sayable(headers: Vec<Header>) -> Vec<Header> {
    let text = headers.iter().all(|(_, value)| core::str::from_utf8(value).is_ok());
    if text { headers } else { Vec::new() }
}

/// The request's headers, said again: to somebody else, with what is left of the deadline now.
fn repeated(repeat: &Repeat, overrides: &[(&str, &str)], now: Micros) -> Vec<(String, String)> {
    let replaced = |name: &str| overrides.iter().find(|(key, value)| *key == name && !value.is_empty());
    let mut headers = Vec::with_capacity(repeat.headers.len() + 1);
    let others = repeat.headers.iter().filter(|(name, _)| !is_hop_by_hop(name) && name != "baggage");
    for (name, value) in others {
        let value = replaced(name)
            .map(|(_, value)| (*value).to_owned())
            .or_else(|| String::from_utf8(value.clone()).ok());
        headers.extend(value.map(|value| (name.clone(), value)));
    }
    let before = repeat.headers.iter().find(|(name, _)| name == "baggage").map(|(_, value)| value.as_slice());
    let context = repeat.journey.as_ref().map(|(journey, deadline, flags)| {
        Context { journey, deadline: *deadline, flags: *flags, id: 0 }.depart(now)
    });
    let ours = context.as_ref().map(|context| context as &dyn baggage::Member);
    let baggage = baggage::replace(before.unwrap_or_default(), ours).header;
    let baggage = String::from_utf8(baggage).unwrap_or_default();
    headers.extend(Some(("baggage".to_owned(), baggage)).filter(|(_, value)| !value.is_empty()));
    headers
}

/// Headers of one connection, of Envoy's own dealings with one upstream, or such as the host sets itself.
fn is_hop_by_hop(name: &str) -> bool {
    const NAMES: [&str; 12] = [
        ":status",
        ":scheme",
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        DECISION_HEADER,
        marks::HEADER,
    ];
    name.starts_with("x-envoy-") || NAMES.contains(&name)
}

fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE")
}

fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
