//! How fast trace files are read: `read_traces PATH...` reads them and prints spans a second and the memory it took;
//! `read_traces --make SPANS FOLDER` writes files of every format for that.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use emac_tests::synthetic::{Format, Labels, write_spans};
use emac_trace::read::{ReadSettings, read_paths};
use emac_trace::{Oddity, Refused, Sink, Span, SpanId, SpanKind, SpanOutcome, Symbol, Symbols, TraceId};

/// Counts and forgets.
#[derive(Default)]
struct Counter {
    symbols: Symbols,
    duration_ns: i128,
}

impl Sink for Counter {
    fn symbols(&mut self) -> &mut Symbols {
        &mut self.symbols
    }

    fn span(&mut self, span: Span) {
        self.duration_ns += i128::from(span.duration_ns);
    }

    fn label(&mut self, _: Symbol, _: &str, _: &str) {}

    fn sampled(&mut self, _: f64) {}

    fn within(&mut self, service: Symbol, _: &str) -> Symbol {
        service
    }

    fn linked(&mut self, _: &Span, _: (TraceId, SpanId)) {}

    fn odd(&mut self, _: Oddity, _: std::fmt::Arguments<'_>) {}

    fn refuse(&mut self, _: Refused, _: std::fmt::Arguments<'_>) {}
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [make, spans, folder] if make == "--make" => {
            make_files(spans.parse().unwrap_or(100_000), Path::new(folder))
        }
        paths => {
            paths.iter().for_each(|path| measure(Path::new(path)));
            Ok(())
        }
    }
}

fn measure(path: &Path) {
    let mut counter = Counter::default();
    let start = Instant::now();
    let summary = read_paths(&[path.to_owned()], &ReadSettings::default(), &mut counter, &mut |_| {});
    let seconds = start.elapsed().as_secs_f64();
    summary.problems.iter().for_each(|problem| println!("{problem}"));
    println!(
        "{:40} {:>9} spans {:>6.0} MB {:>9.0} spans/s {:>6.0} MB/s, peak {} MB",
        path.file_name().unwrap_or_default().to_string_lossy(),
        summary.spans,
        summary.bytes as f64 / 1e6,
        summary.spans as f64 / seconds,
        summary.bytes as f64 / 1e6 / seconds,
        peak_megabytes()
    );
}

fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) / 1_000
}

/// Traces of 20 spans: a front, and pairs of client and server.
fn spans(count: usize, symbols: &mut Symbols) -> Vec<Span> {
    let services: Vec<_> = (0..12).map(|at| symbols.of(&format!("service-{at}"))).collect();
    let operations: Vec<_> =
        (0..40).map(|at| symbols.of(&format!("GET /api/v1/things{at}/{{id}}"))).collect();
    let instance = symbols.of("7d9f6c5b4-abcde");
    let span = |at: usize| {
        let (trace, number) = (at / 20, at % 20);
        let kind = if number % 2 == 0 { SpanKind::Server } else { SpanKind::Client };
        Span {
            trace: TraceId((trace as u128 + 1) << 64 | 0x1234_5678_9abc),
            id: SpanId(at as u64 + 1),
            parent: (number > 0).then(|| SpanId((at - 1) as u64 + 1)),
            kind,
            service: services[number.div_ceil(2) % services.len()],
            operation: operations[number],
            peer: if kind == SpanKind::Client {
                services[(number / 2 + 1) % services.len()]
            } else {
                Symbol::NONE
            },
            instance,
            start_ns: 1_700_000_000_000_000_000 + at as i64 * 1_000_000,
            duration_ns: 20_000_000 - number as i64 * 1_000_000,
            outcome: if at.is_multiple_of(97) { SpanOutcome::Error } else { SpanOutcome::Good },
            status: if at.is_multiple_of(97) { 503 } else { 200 },
            attempt: 0,
            shared: false,
            by_proxy: false,
            to_store: false,
        }
    };
    (0..count).map(span).collect()
}

fn make_files(count: usize, folder: &Path) -> std::io::Result<()> {
    let mut symbols = Symbols::default();
    let all = spans(count, &mut symbols);
    for format in Format::ALL {
        let file = File::create(folder.join(format!("spans.{}", format.extension())))?;
        let mut out = BufWriter::new(file);
        write_spans(format, all.iter().copied(), &symbols, &Labels::new(), &mut out)?;
        out.flush()?;
    }
    Ok(())
}
