//! One stream of evidence: traces put together, observed window by window.
//!
//! Windows overlap: each is of several steps, and one begins with each step. A trace is observed in every window that is open when it is over, so that a
//! window costs what it costs alone, and two windows share no request unless they share a step.

use std::collections::VecDeque;
use std::fmt;

use emac_core::evidence::HopRecord;
use emac_core::units::Millis;
use sha2::{Digest, Sha256};

use crate::discover::observe::Observations;
use emac_compile::model::{EvidenceRef, EvidenceSource};
use emac_core::units::Moment;
use emac_document::hex;
use emac_trace::{
    Assembler, Consumer, Labels, Oddity, Refused, SignalQuality, Sink, Span, SpanId, Symbol, Symbols, Trace,
    TraceId, TraceLimits,
};

/// Records that wait for the rest of their request.
const OPEN_MAX: usize = 500_000;

/// See the module.
#[derive(Debug)]
pub(super) struct EvidenceStream {
    kind: EvidenceSource,
    assembler: Assembler<OpenWindows>,
    /// Of everything taken in this step, in the order in which it came.
    digest: Sha256,
    /// The last steps, as many as are a window, oldest first.
    steps: VecDeque<Step>,
    stale: u64,
}

/// What a step leaves besides observations.
#[derive(Debug)]
struct Step {
    labels: Labels,
    digest: Sha256,
}

/// Windows that are not over, oldest first.
#[derive(Debug)]
struct OpenWindows {
    open: VecDeque<Observations>,
    /// Whole traces so far.
    whole: u64,
}

impl Default for OpenWindows {
    fn default() -> Self {
        Self { open: VecDeque::from([Observations::default()]), whole: 0 }
    }
}

impl Consumer for OpenWindows {
    fn trace(&mut self, trace: &Trace, _: &Symbols) {
        self.whole += u64::from(trace.complete && !trace.calls.is_empty());
        self.open.iter_mut().for_each(|window| window.observe(trace));
    }
}

/// Lets through what is young enough.
pub(super) struct Fresh<'a> {
    source: &'a mut EvidenceStream,
    oldest_ns: i64,
}

impl Fresh<'_> {
    const fn is_young(&self, span: &Span) -> bool {
        span.start_ns.saturating_add(span.duration_ns) >= self.oldest_ns
    }
}

impl Sink for Fresh<'_> {
    fn symbols(&mut self) -> &mut Symbols {
        self.source.assembler.symbols()
    }

    fn span(&mut self, span: Span) {
        if !self.is_young(&span) {
            self.source.stale += 1;
            return;
        }
        self.source.digest.update(span.trace.0.to_be_bytes());
        self.source.digest.update(span.id.0.to_be_bytes());
        self.source.digest.update(span.start_ns.to_le_bytes());
        self.source.assembler.span(span);
    }

    fn within(&mut self, service: Symbol, namespace: &str) -> Symbol {
        self.source.assembler.within(service, namespace)
    }

    fn label(&mut self, service: Symbol, key: &str, value: &str) {
        self.source.assembler.label(service, key, value);
    }

    fn linked(&mut self, root: &Span, to: (TraceId, SpanId)) {
        if self.is_young(root) {
            self.source.assembler.linked(root, to);
        }
    }

    fn sampled(&mut self, probability: f64) {
        self.source.assembler.sampled(probability);
    }

    fn odd(&mut self, oddity: Oddity, example: fmt::Arguments<'_>) {
        self.source.assembler.odd(oddity, example);
    }

    fn refuse(&mut self, reason: Refused, example: fmt::Arguments<'_>) {
        self.source.assembler.refuse(reason, example);
    }
}

/// What was seen in a window.
pub(super) struct StreamWindow {
    pub(super) observations: Observations,
    pub(super) labels: Labels,
    pub(super) evidence: EvidenceRef,
}

impl EvidenceStream {
    pub(super) fn new(kind: EvidenceSource, silence: Millis) -> Self {
        let silence_ns = silence.0.saturating_mul(1_000_000);
        let limits = TraceLimits { silence_ns, spans_open_max: OPEN_MAX, ..TraceLimits::default() };
        let assembler = Assembler::new(limits, OpenWindows::default());
        Self { kind, assembler, digest: Sha256::new(), steps: VecDeque::new(), stale: 0 }
    }

    /// Says that two names are one service's.
    pub(super) fn alias(&mut self, name: &str, of: &str) {
        self.assembler.alias(name, of);
    }

    pub(super) const fn kind(&self) -> EvidenceSource {
        self.kind
    }

    /// Names of everything seen so far.
    pub(super) const fn symbols(&self) -> &Symbols {
        self.assembler.names()
    }

    pub(super) fn symbols_mut(&mut self) -> &mut Symbols {
        self.assembler.symbols()
    }

    /// Records refused for their age.
    pub(super) const fn stale(&self) -> u64 {
        self.stale
    }

    /// Whole traces looked at so far.
    pub(super) const fn traces(&self) -> u64 {
        self.assembler.consumer().whole
    }

    /// How good the signal was so far, if there was any. O(services and instances).
    pub(super) fn signal(&self) -> Option<(EvidenceSource, SignalQuality)> {
        let quality = self.assembler.quality();
        (quality.spans > 0 || !quality.refused.is_empty()).then_some((self.kind, quality))
    }

    pub(super) fn hop(&mut self, node: &str, record: &HopRecord, too_old: bool) {
        if too_old {
            self.stale += 1;
            return;
        }
        self.digest.update(node);
        self.digest.update(record.trace_id);
        self.digest.update(record.parent_span_id);
        self.digest.update(record.start_unix_us.to_le_bytes());
        self.digest.update(record.duration.0.to_le_bytes());
        self.digest.update([u8::from(record.inbound)]);
        self.assembler.hop(node, record);
    }

    /// Takes spans that ended at `oldest_us` since 1970 or later.
    pub(super) fn sink(&mut self, oldest_us: u64) -> Fresh<'_> {
        let oldest_ns = i64::try_from(oldest_us.saturating_mul(1_000)).unwrap_or(i64::MAX);
        Fresh { source: self, oldest_ns }
    }

    pub(super) fn tick(&mut self, now: Moment) {
        self.assembler.tick(now.at.0.saturating_mul(1_000));
    }

    /// Begins a window; those before stay open.
    pub(super) fn begin(&mut self) {
        self.assembler.consumer_mut().open.push_back(Observations::default());
    }

    /// Ends a step, and takes out what was seen in the window that ends with it: of the last `steps` steps. A step that ends no window gives nothing.
    pub(super) fn cut(&mut self, (began, ends): (Moment, Moment), steps: usize) -> Option<StreamWindow> {
        let digest = std::mem::take(&mut self.digest);
        self.steps.push_back(Step { labels: self.assembler.take_labels(), digest });
        let open = &mut self.assembler.consumer_mut().open;
        if open.len() < steps {
            return None;
        }
        let observations = open.pop_front()?;
        let (mut labels, mut digest) = (Labels::default(), Sha256::new());
        for step in &self.steps {
            labels.merge(&step.labels);
            digest.update(step.digest.clone().finalize());
        }
        while self.steps.len() >= steps {
            self.steps.pop_front();
        }
        let name = format!("{} from {} to {} ms", self.kind.label(), began.unix_ms, ends.unix_ms);
        digest.update(&name);
        let digest = hex(&digest.finalize());
        let evidence = EvidenceRef { name, source: self.kind, digest };
        Some(StreamWindow { observations, labels, evidence })
    }
}
