//! A batch as it is written down, about 70 bytes a span: what decoding found, not what was sent, which is ten times as long.
//!
//! Counts of what was refused or odd are left out: they say how the signal was, and nothing is discovered from them.

use std::collections::HashMap;

use emac_trace::{Span, SpanId, SpanKind, SpanOutcome, Symbol, Symbols, TraceId};

use super::Batch;

/// Names by number, and everything else with their numbers.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct KeptBatch {
    #[prost(string, repeated, tag = "1")]
    names: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<KeptSpan>,
    #[prost(message, repeated, tag = "3")]
    labels: Vec<KeptLabel>,
    #[prost(message, repeated, tag = "4")]
    homes: Vec<KeptHome>,
    #[prost(double, repeated, tag = "5")]
    sampled: Vec<f64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct KeptSpan {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    trace: Vec<u8>,
    #[prost(fixed64, tag = "2")]
    id: u64,
    #[prost(fixed64, optional, tag = "3")]
    parent: Option<u64>,
    /// Position in [`KINDS`].
    #[prost(uint32, tag = "4")]
    kind: u32,
    #[prost(uint32, tag = "5")]
    service: u32,
    #[prost(uint32, tag = "6")]
    operation: u32,
    #[prost(uint32, tag = "7")]
    peer: u32,
    #[prost(uint32, tag = "8")]
    instance: u32,
    #[prost(sfixed64, tag = "9")]
    start_ns: i64,
    #[prost(int64, tag = "10")]
    duration_ns: i64,
    /// Position in [`OUTCOMES`].
    #[prost(uint32, tag = "11")]
    outcome: u32,
    #[prost(uint32, tag = "12")]
    status: u32,
    #[prost(uint32, tag = "13")]
    attempt: u32,
    #[prost(bool, tag = "14")]
    shared: bool,
    #[prost(bool, tag = "15")]
    by_proxy: bool,
    #[prost(bool, tag = "16")]
    to_store: bool,
    #[prost(message, optional, tag = "17")]
    link: Option<KeptLink>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct KeptLink {
    #[prost(bytes = "vec", tag = "1")]
    trace: Vec<u8>,
    #[prost(fixed64, tag = "2")]
    span: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct KeptLabel {
    #[prost(uint32, tag = "1")]
    service: u32,
    #[prost(string, tag = "2")]
    key: String,
    #[prost(string, tag = "3")]
    value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct KeptHome {
    #[prost(uint32, tag = "1")]
    known_as: u32,
    #[prost(uint32, tag = "2")]
    service: u32,
    #[prost(string, tag = "3")]
    namespace: String,
}

const KINDS: [SpanKind; 5] =
    [SpanKind::Internal, SpanKind::Client, SpanKind::Server, SpanKind::Producer, SpanKind::Consumer];
const OUTCOMES: [SpanOutcome; 4] =
    [SpanOutcome::Good, SpanOutcome::Error, SpanOutcome::Timeout, SpanOutcome::Cancelled];

fn position<T: PartialEq>(all: &[T], one: &T) -> u32 {
    all.iter().position(|other| other == one).and_then(|at| u32::try_from(at).ok()).unwrap_or_default()
}

/// Numbers of the names that are used.
struct Numbers<'a> {
    symbols: &'a Symbols,
    of: HashMap<Symbol, u32>,
    names: Vec<String>,
}

impl Numbers<'_> {
    fn number(&mut self, symbol: Symbol) -> u32 {
        if let Some(number) = self.of.get(&symbol) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(self.symbols.text(symbol).to_owned());
        self.of.insert(symbol, number);
        number
    }

    fn span(&mut self, span: &Span, link: Option<(TraceId, SpanId)>) -> KeptSpan {
        KeptSpan {
            trace: span.trace.0.to_be_bytes().to_vec(),
            id: span.id.0,
            parent: span.parent.map(|parent| parent.0),
            kind: position(&KINDS, &span.kind),
            service: self.number(span.service),
            operation: self.number(span.operation),
            peer: self.number(span.peer),
            instance: self.number(span.instance),
            start_ns: span.start_ns,
            duration_ns: span.duration_ns,
            outcome: position(&OUTCOMES, &span.outcome),
            status: span.status.into(),
            attempt: span.attempt.into(),
            shared: span.shared,
            by_proxy: span.by_proxy,
            to_store: span.to_store,
            link: link.map(|(trace, span)| KeptLink { trace: trace.0.to_be_bytes().to_vec(), span: span.0 }),
        }
    }
}

impl From<&Batch> for KeptBatch {
    fn from(batch: &Batch) -> Self {
        let mut numbers = Numbers { symbols: &batch.symbols, of: HashMap::new(), names: Vec::new() };
        let mut links = batch.links.iter().peekable();
        let spans = batch.spans.iter().enumerate().map(|(place, span)| {
            let link = links.next_if(|(of, _)| *of == place).map(|(_, to)| *to);
            numbers.span(span, link)
        });
        let spans = spans.collect();
        let label = |(service, key, value): &(Symbol, Box<str>, Box<str>)| KeptLabel {
            service: numbers.number(*service),
            key: key.to_string(),
            value: value.to_string(),
        };
        let labels = batch.labels.iter().map(label).collect();
        let home = |(known_as, service, namespace): &(Symbol, Symbol, Box<str>)| KeptHome {
            known_as: numbers.number(*known_as),
            service: numbers.number(*service),
            namespace: namespace.to_string(),
        };
        let homes = batch.homes.iter().map(home).collect();
        Self { spans, labels, homes, sampled: batch.sampled.clone(), names: numbers.names }
    }
}

/// What is written is none of ours: a number that names nothing, an id of another length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("spans that were kept are damaged: {0}")]
pub(crate) struct Damaged(&'static str);

impl TryFrom<KeptBatch> for Batch {
    type Error = Damaged;

    fn try_from(kept: KeptBatch) -> Result<Self, Damaged> {
        let mut batch = Self::default();
        let symbols: Vec<Symbol> = kept.names.iter().map(|name| batch.symbols.of(name)).collect();
        let name = |number: u32| symbols.get(number as usize).copied().ok_or(Damaged("a name"));
        for span in &kept.spans {
            if let Some(KeptLink { trace, span }) = &span.link {
                batch.links.push((batch.spans.len(), (trace_id(trace)?, SpanId(*span))));
            }
            batch.spans.push(span.read(&name)?);
        }
        for KeptLabel { service, key, value } in kept.labels {
            batch.labels.push((name(service)?, key.into(), value.into()));
        }
        for KeptHome { known_as, service, namespace } in kept.homes {
            batch.homes.push((name(known_as)?, name(service)?, namespace.into()));
        }
        batch.sampled = kept.sampled;
        Ok(batch)
    }
}

impl KeptSpan {
    fn read(&self, name: &dyn Fn(u32) -> Result<Symbol, Damaged>) -> Result<Span, Damaged> {
        Ok(Span {
            trace: trace_id(&self.trace)?,
            id: SpanId(self.id),
            parent: self.parent.map(SpanId),
            kind: *KINDS.get(self.kind as usize).ok_or(Damaged("a kind"))?,
            service: name(self.service)?,
            operation: name(self.operation)?,
            peer: name(self.peer)?,
            instance: name(self.instance)?,
            start_ns: self.start_ns,
            duration_ns: self.duration_ns,
            outcome: *OUTCOMES.get(self.outcome as usize).ok_or(Damaged("an outcome"))?,
            status: u16::try_from(self.status).map_err(|_| Damaged("a status"))?,
            attempt: u8::try_from(self.attempt).map_err(|_| Damaged("an attempt"))?,
            shared: self.shared,
            by_proxy: self.by_proxy,
            to_store: self.to_store,
        })
    }
}

fn trace_id(bytes: &[u8]) -> Result<TraceId, Damaged> {
    let bytes = bytes.try_into().map_err(|_| Damaged("a trace id"))?;
    Ok(TraceId(u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use emac_trace::Sink as _;
    use emac_trace::read::{ReadSettings, read_otlp_json};

    /// Two spans of services in namespaces, with a label, a link, a sampling rate and everything else that a span may say.
    fn batch() -> Batch {
        let text =
            |key: &str, value: &str| format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#);
        let of = |service: &str, span: &str| {
            format!(
                r#"{{"resource":{{"attributes":[{},{},{},{}]}},"scopeSpans":[{{"spans":[{{{span},"startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000000000900"}}]}}]}}"#,
                text("service.name", service),
                text("k8s.namespace.name", "shop"),
                text("host.name", "h1"),
                text("cloud.availability_zone", "a")
            )
        };
        let database = [text("db.system", "redis"), text("server.address", "cache")].join(",");
        let first = format!(
            r#""traceId":"{:032x}","spanId":"1","kind":3,"name":"GET","status":{{"code":2}},"attributes":[{database},{{"key":"http.request.resend_count","value":{{"intValue":"2"}}}}]"#,
            7_u128 << 90
        );
        let second =
            r#""traceId":"2","spanId":"5","kind":5,"name":"process","links":[{"traceId":"1","spanId":"4"}]"#;
        let json = format!(r#"{{"resourceSpans":[{},{}]}}"#, of("front", &first), of("worker", second));
        let mut batch = Batch::default();
        assert_eq!(read_otlp_json(json.into_bytes(), &ReadSettings::default(), &mut batch).unwrap(), (2, 0));
        batch.sampled(0.5);
        batch
    }

    #[test]
    fn what_is_kept_is_what_was_received() {
        let batch = batch();
        assert!(batch.spans[0].to_store && !batch.sampled.is_empty() && batch.links.len() == 1);
        assert!(!batch.labels.is_empty() && batch.homes.len() == 2);
        let bytes = KeptBatch::from(&batch).encode_to_vec();
        let read = Batch::try_from(KeptBatch::decode(bytes.as_slice()).unwrap()).unwrap();
        let named = |batch: &Batch| {
            let text = |symbol: Symbol| batch.symbols.text(symbol).to_owned();
            let span = |span: &Span| {
                let blank = Span {
                    service: Symbol::NONE,
                    operation: Symbol::NONE,
                    peer: Symbol::NONE,
                    instance: Symbol::NONE,
                    ..*span
                };
                (blank, [span.service, span.operation, span.peer, span.instance].map(text))
            };
            let labels: Vec<_> =
                batch.labels.iter().map(|(of, key, value)| (text(*of), key.clone(), value.clone())).collect();
            let homes: Vec<_> =
                batch.homes.iter().map(|(a, b, name)| (text(*a), text(*b), name.clone())).collect();
            let spans: Vec<_> = batch.spans.iter().map(span).collect();
            (spans, labels, homes, batch.links.clone(), batch.sampled.clone())
        };
        assert_eq!(named(&read), named(&batch));
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let good = KeptBatch::from(&batch());
        let damages: [fn(&mut KeptBatch); 6] = [
            |kept| kept.names.clear(),
            |kept| kept.spans[0].trace.truncate(15),
            |kept| kept.spans[0].kind = 5,
            |kept| kept.spans[0].outcome = 4,
            |kept| kept.labels[0].service = 99,
            |kept| kept.spans[1].link.as_mut().unwrap().trace.clear(),
        ];
        for damage in damages {
            let mut kept = good.clone();
            damage(&mut kept);
            assert!(Batch::try_from(kept).is_err());
        }
        assert!(Batch::try_from(good).is_ok());
    }
}
