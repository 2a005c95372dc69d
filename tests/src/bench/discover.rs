//! Discovery of files: how fast, how much memory, and how both grow.
//!
//! Measured is the real `emac discover`, as a child process from file to candidate: its time on the clock and on the processor, and the most
//! memory it held (`VmHWM` of `/proc/<pid>/status`). Beside it the least that anybody who reads such a file must do: parse it into a tree
//! (`serde_json::Value`), or into messages as prost generates them, without looking at a single span. The stages behind the
//! readers are measured apart, on spans in memory.

mod child;
pub mod otlp;
mod stages;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use prost::Message as _;

use super::Section;
use super::table::{Better, Row, markdown};
use crate::synthetic::{Format, Settings, Signals, World};
use child::{Usage, discover};

/// Heading of the section.
pub const TITLE: &str = "Discovery: from files of spans to candidates";

/// Spans of the files that growth is measured on.
const SPANS: u64 = 300_000;
/// Spans of the files whose rate and memory are promised. Inference takes the same time whatever their number, so smaller files are read slower.
const MANY: u64 = 1_000_000;
/// Rounds of each measurement; the quickest counts, as the machine can only slow one down.
const ROUNDS: usize = 3;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The section; a minute or two.
///
/// # Errors
/// No place for temporary files. Without an `emac` that discovers, the section says so, and has the stages alone.
pub fn section() -> Result<Section, Failure> {
    let dir = tempfile::tempdir()?;
    let mut body = stages::table(&world_of(SPANS, 100, 3_600.0));
    match files(dir.path()) {
        Ok(text) => body.push_str(&text),
        Err(why) => {
            let _ = writeln!(body, "\nFiles: not run: {why}");
        }
    }
    Ok(Section { title: TITLE, body })
}

/// Everything that the real binary does.
fn files(dir: &Path) -> Result<String, Failure> {
    Ok([rates(dir)?, growth_with_services(dir)?, growth_with_traces(dir)?].concat())
}

// === Rates ===

fn rates(dir: &Path) -> Result<String, Failure> {
    let world = world_of(MANY, 100, 3_600.0);
    let formats = [
        (Format::OtlpProtobuf, 1_000_000.0, "OTLP protobuf"),
        (Format::OtlpJson, 300_000.0, "OTLP JSON"),
        (Format::Jaeger, 0.0, "Jaeger JSON"),
        (Format::Zipkin, 0.0, "Zipkin JSON"),
    ];
    let mut rows = Vec::new();
    for (format, target, name) in formats {
        let (file, spans) = write(&world, format, dir)?;
        let usage = quickest((0..ROUNDS).map(|_| discover(&file, dir)).collect::<Result<Vec<_>, _>>()?);
        let parse = (0..ROUNDS).map(|_| parse(&file, format)).collect::<Result<Vec<_>, _>>()?;
        let parse = parse.into_iter().fold(f64::INFINITY, f64::min);
        let rate = |seconds: f64| spans as f64 / seconds;
        rows.push(Row {
            name: format!("{name}, {spans} spans, {} MB", file.metadata()?.len() / 1_000_000),
            unit: "spans/s and core",
            better: Better::Higher,
            target: (target > 0.0).then_some(target),
            ours: Some(rate(usage.cpu_s)),
            others: vec![Some(rate(parse))],
        });
        std::fs::remove_file(file)?;
    }
    let table = markdown(&["only parsed (serde_json::Value, prost)"], &rows);
    Ok(format!("{table}\n{}", memory(dir)?))
}

fn quickest(mut all: Vec<Usage>) -> Usage {
    all.sort_by(|a, b| a.cpu_s.total_cmp(&b.cpu_s));
    all.swap_remove(0)
}

/// Seconds to parse a file, without looking at what was parsed.
fn parse(file: &Path, format: Format) -> Result<f64, Failure> {
    let begin = Instant::now();
    let bytes = std::fs::read(file)?;
    if format == Format::OtlpProtobuf {
        std::hint::black_box(otlp::TracesData::decode(bytes.as_slice())?);
    } else {
        std::hint::black_box(serde_json::from_slice::<serde_json::Value>(&bytes)?);
    }
    Ok(begin.elapsed().as_secs_f64())
}

// === Memory ===

fn memory(dir: &Path) -> Result<String, Failure> {
    let world = world_of(MANY, 100, 3_600.0);
    let (file, spans) = write(&world, Format::OtlpProtobuf, dir)?;
    let many = discover(&file, dir)?;
    std::fs::remove_file(file)?;
    let row = Row {
        name: format!("most memory held for a file of {spans} spans, OTLP protobuf"),
        unit: "MB",
        better: Better::Lower,
        target: Some(300.0),
        ours: Some(many.peak_mb),
        others: vec![None],
    };
    let (traces, open) = open_traces(dir)?;
    let open = Row {
        name: format!("memory per open trace, {traces} at once"),
        unit: "bytes",
        better: Better::Lower,
        target: None,
        ours: Some(open),
        others: vec![None],
    };
    Ok(markdown(&["-"], &[row, open]))
}

/// Memory of a trace that is not over: that of a file in which all are open at once, less that of one with a tenth of them, by the trace.
fn open_traces(dir: &Path) -> Result<(u64, f64), Failure> {
    let mut peaks = Vec::new();
    for traces in [10_000, 100_000] {
        let world = World::new(Settings { requests: traces, window_s: 1.0, ..Settings::large(1, 10) });
        let (file, _) = write(&world, Format::OtlpProtobuf, dir)?;
        peaks.push((traces, discover(&file, dir)?.peak_mb));
        std::fs::remove_file(file)?;
    }
    let [(few, low), (many, high)] = peaks.as_slice() else { return Ok((0, 0.0)) };
    Ok((*many, (high - low) * 1e6 / (many - few) as f64))
}

// === Growth ===

fn growth_with_services(dir: &Path) -> Result<String, Failure> {
    let worlds = [10, 100, 1_000, 10_000].map(|services| (services, world_of(SPANS, services, 3_600.0)));
    let worlds = worlds.into_iter().map(|(services, world)| (format!("{services} services"), world));
    growth("services", worlds.collect(), dir)
}

fn growth_with_traces(dir: &Path) -> Result<String, Failure> {
    let of = |traces| Settings { requests: traces, ..Settings::large(1, 10) };
    let worlds = [1_000, 10_000, 100_000].map(|traces| (format!("{traces} traces"), World::new(of(traces))));
    growth("traces", worlds.into(), dir)
}

fn growth(with: &str, worlds: Vec<(String, World)>, dir: &Path) -> Result<String, Failure> {
    let mut text = format!(
        "\n| growth with {with} | spans | seconds | spans/s and core | peak MB |\n|---|---|---|---|---|\n"
    );
    for (name, world) in worlds {
        let (file, spans) = write(&world, Format::OtlpProtobuf, dir)?;
        let Usage { wall_s, cpu_s, peak_mb } = discover(&file, dir)?;
        std::fs::remove_file(file)?;
        let rate = spans as f64 / cpu_s;
        let _ = writeln!(text, "| {name} | {spans} | {wall_s:.2} | {rate:.0} | {peak_mb:.0} |");
    }
    Ok(text)
}

/// A world whose file has about this many spans: as many requests as that takes, by the first hundred.
fn world_of(spans: u64, services: usize, window_s: f64) -> World {
    let settings =
        |requests| Settings { requests, window_s, signals: Signals::REAL, ..Settings::large(1, services) };
    let mut symbols = emac_trace::Symbols::default();
    let hundred = World::new(settings(100)).spans(&mut symbols).count() as u64;
    World::new(settings(100 * spans / hundred.max(1)))
}

fn write(world: &World, format: Format, dir: &Path) -> Result<(PathBuf, u64), Failure> {
    let path = dir.join(format!("world.{}", format.extension()));
    let mut out = BufWriter::new(File::create(&path)?);
    let spans = world.write(format, &mut out)?;
    out.flush()?;
    Ok((path, spans))
}
