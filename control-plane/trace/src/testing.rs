//! Spans and calls as text, for tests.

use super::{
    Assembler, Call, CallKind, CallOutcome, SignalQuality, Sink, Span, SpanId, SpanKind, SpanOutcome, Symbol,
    Symbols, Trace, TraceId, TraceLimits,
};

/// One span: `id parent kind service operation start duration`, then any of `@instance`, `>peer`, `#attempt`, `!` (error), `shared`, `proxy`, `store`. Kinds are
/// `- c s p o` (internal, client, server, producer, consumer), times milliseconds.
pub(super) fn span(text: &str, symbols: &mut Symbols) -> Span {
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |i: usize| words[i].parse::<u64>().unwrap();
    let mut span = Span {
        trace: TraceId(7),
        id: SpanId(number(0)),
        parent: Some(SpanId(number(1))).filter(|id| id.0 != 0),
        kind: match words[2] {
            "c" => SpanKind::Client,
            "s" => SpanKind::Server,
            "p" => SpanKind::Producer,
            "o" => SpanKind::Consumer,
            _ => SpanKind::Internal,
        },
        service: symbols.of(words[3]),
        operation: symbols.of(words[4]),
        peer: Symbol::NONE,
        instance: Symbol::NONE,
        start_ns: words[5].parse::<i64>().unwrap() * 1_000_000,
        duration_ns: number(6) as i64 * 1_000_000,
        outcome: SpanOutcome::Good,
        attempt: 0,
        shared: false,
        status: 0,
        by_proxy: false,
        to_store: false,
    };
    for word in &words[7..] {
        match word.split_at(1) {
            ("@", instance) => span.instance = symbols.of(instance),
            (">", peer) => span.peer = symbols.of(peer),
            ("#", attempt) => span.attempt = attempt.parse().unwrap(),
            ("!", _) => span.outcome = SpanOutcome::Error,
            ("p", "roxy") => span.by_proxy = true,
            ("s", "tore") => span.to_store = true,
            _ => span.shared = true,
        }
    }
    span
}

/// What becomes of spans, one a line: all traces as text, and the report.
pub(super) fn assemble(text: &str) -> (String, SignalQuality) {
    let mut shown = String::new();
    let mut assembler = Assembler::new(TraceLimits::default(), |trace: &Trace, symbols: &Symbols| {
        shown.push_str(&show(trace, symbols));
    });
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let span = span(line, assembler.symbols());
        assembler.span(span);
    }
    let quality = assembler.finish().quality;
    (shown, quality)
}

/// A trace, one call a line below its parent: `service operation [via ..] start..end`, then what is not usual.
pub(super) fn show(trace: &Trace, symbols: &Symbols) -> String {
    let mut out = String::from(if trace.complete { "" } else { "incomplete\n" });
    let mut stack = vec![(0, 0)];
    while let Some((index, depth)) = stack.pop() {
        out.push_str(&"  ".repeat(depth));
        out.push_str(&show_call(&trace.calls[index], symbols));
        let parent = u32::try_from(index).ok();
        let children = (0..trace.calls.len()).rev().filter(|&i| trace.calls[i].parent == parent);
        stack.extend(children.map(|i| (i, depth + 1)));
    }
    out
}

fn show_call(call: &Call, symbols: &Symbols) -> String {
    let ms = |ns: i64| ns as f64 / 1e6;
    let mut out = format!("{} {}", symbols.text(call.service), symbols.text(call.operation));
    if !call.via.is_none() && call.via != call.operation {
        out.push_str(&format!(" via {}", symbols.text(call.via)));
    }
    out.push_str(&format!(" {}..{}", ms(call.start_ns), ms(call.end_ns)));
    out.push_str(if call.kind == CallKind::Message { " message" } else { "" });
    if call.outcome != CallOutcome::Good {
        out.push_str(&format!(" {:?}", call.outcome));
    }
    if call.attempts != 1 {
        out.push_str(&format!(" x{}", call.attempts));
    }
    if call.mesh_retries != 0 {
        out.push_str(&format!(" +{} by the mesh", call.mesh_retries));
    }
    out.push_str(if call.cut { " cut" } else { "" });
    out + "\n"
}

/// What becomes of spans.
pub(super) struct JoinedTraces {
    pub(super) traces: Vec<Trace>,
    pub(super) quality: SignalQuality,
}

impl JoinedTraces {
    /// Every trace in its one form, sorted.
    pub(super) fn shown(&self) -> Vec<String> {
        let mut shown: Vec<String> = self.traces.iter().map(|t| show_tree(&t.calls, t.complete)).collect();
        shown.sort();
        shown
    }
}

/// Assembles batches of spans whose names are of `symbols`.
pub(super) fn trees(limits: TraceLimits, symbols: &Symbols, batches: &[Vec<Span>]) -> JoinedTraces {
    let mut traces = Vec::new();
    let mut assembler = Assembler::new(limits, |trace: &Trace, _: &Symbols| traces.push(trace.clone()));
    *assembler.symbols() = symbols.clone();
    batches.iter().flatten().for_each(|&span| assembler.span(span));
    let quality = assembler.finish().quality;
    JoinedTraces { traces, quality }
}

/// A tree of calls in the one form that does not depend on their order.
pub(super) fn show_tree(calls: &[Call], complete: bool) -> String {
    let mut below: Vec<Vec<String>> = vec![Vec::new(); calls.len()];
    for (i, call) in calls.iter().enumerate().rev() {
        below[i].sort();
        let shown = format!("{:?}[{}]", Call { parent: None, ..*call }, below[i].join(";"));
        match call.parent {
            Some(parent) => below[parent as usize].push(shown),
            None => return format!("{complete} {shown}"),
        }
    }
    String::new()
}
