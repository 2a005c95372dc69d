//! One stream of evidence: traces put together, observed window by window.

use std::fmt;

use emac_core::evidence::HopRecord;
use emac_core::units::Millis;
use sha2::{Digest, Sha256};

use crate::discover::observe::Observations;
use emac_compile::model::{EvidenceRef, EvidenceSource};
use emac_core::units::Moment;
use emac_document::hex;
use emac_trace::{Assembler, Labels, Oddity, Refused, Sink, Span, Symbol, Symbols, TraceLimits};

/// Records that wait for the rest of their request.
const OPEN_MAX: usize = 500_000;

/// See the module.
#[derive(Debug)]
pub(super) struct EvidenceStream {
    kind: EvidenceSource,
    assembler: Assembler<Observations>,
    /// Of everything taken in this window, in the order in which it came.
    digest: Sha256,
    stale: u64,
    /// Traces of windows before.
    traces: u64,
}

/// Lets through what is young enough.
pub(super) struct Fresh<'a> {
    source: &'a mut EvidenceStream,
    oldest_ns: i64,
}

impl Sink for Fresh<'_> {
    fn symbols(&mut self) -> &mut Symbols {
        self.source.assembler.symbols()
    }

    fn span(&mut self, span: Span) {
        if span.start_ns.saturating_add(span.duration_ns) < self.oldest_ns {
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
        let assembler = Assembler::new(limits, Observations::default());
        Self { kind, assembler, digest: Sha256::new(), stale: 0, traces: 0 }
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

    /// Records refused for their age.
    pub(super) const fn stale(&self) -> u64 {
        self.stale
    }

    /// Whole traces looked at so far.
    pub(super) const fn traces(&self) -> u64 {
        self.traces + self.assembler.consumer().traces().1
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

    /// Takes out what was seen since the last cut.
    pub(super) fn cut(&mut self, (began, ends): (Moment, Moment)) -> StreamWindow {
        let observations = std::mem::take(self.assembler.consumer_mut());
        self.traces += observations.traces().1;
        let name = format!("{} from {} to {} ms", self.kind.label(), began.unix_ms, ends.unix_ms);
        self.digest.update(&name);
        let digest = hex(&std::mem::take(&mut self.digest).finalize());
        let evidence = EvidenceRef { name, source: self.kind, digest };
        StreamWindow { observations, labels: self.assembler.take_labels(), evidence }
    }
}
