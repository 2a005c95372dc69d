//! Readers of trace files: OTLP (JSON, JSON lines, protobuf, length-prefixed protobuf; Tempo's flavour too), Jaeger JSON, Zipkin JSON, AWS
//! X-Ray's segments, and what the console exporters of OpenTelemetry print, each also in gzip or zstd, told apart by their content.
//!
//! A file is read once, front to back, through a window of a few megabytes: at any time one span is in memory, and of what was read
//! only what the [`Sink`] keeps (and, where a format names its services behind its spans, the spans that wait for that, 96 bytes
//! each). A span that cannot be taken is refused and counted, and the rest goes on; a broken file ends at its break, and what stands
//! before it counts.
//!
//! What a span means (service, operation, peer, clock, outcome, domain labels) is decided in one place for all formats: `attributes`.

mod attributes;
mod console;
mod context;
mod deferred;
mod document;
mod error;
mod files;
mod found;
mod id;
mod jaeger;
mod json;
mod keys;
mod operation;
mod otlp;
mod sniff;
mod stream;
mod window;
mod xray;
mod zipkin;
mod zstd;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::rc::Rc;

use flate2::read::MultiGzDecoder;

use super::Sink;
use context::ReadContext;
use error::Found;
pub use error::{FileProblem, ReadError};
use files::Entry;
pub use found::is_nameless;
use sniff::Form;
use stream::Stream;
use window::ReadWindow;
use zstd::Zstd;

/// What to read, and how much of it at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadSettings {
    /// Attributes that tell failure domains, beside the known ones: those that the intent's rules name.
    pub label_keys: BTreeSet<String>,
    /// Most bytes of one element (a span, a resource): 1 ..; the window grows to it only when it must.
    pub element_bytes_max: usize,
    /// Most spans of a trace or resource that may wait for their service's name; others are refused.
    pub deferred_max: usize,
}

impl Default for ReadSettings {
    /// 32 MiB a span, since somebody will have put a file into an attribute; four million waiting spans, 400 MB.
    fn default() -> Self {
        Self { label_keys: BTreeSet::new(), element_bytes_max: 32 << 20, deferred_max: 4 << 20 }
    }
}

/// How far reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read, before decompression.
    pub bytes: u64,
    /// Bytes of all files, as they were at the start.
    pub bytes_total: u64,
    /// Spans taken.
    pub spans: u64,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Summary {
    /// Files read, whole or in part.
    pub files: u64,
    /// Bytes read, before decompression.
    pub bytes: u64,
    /// Spans taken.
    pub spans: u64,
    /// Spans refused.
    pub refused: u64,
    /// Files that could not be read, or not to their end.
    pub problems: Vec<FileProblem>,
    /// Files in folders that are no traces at all.
    pub passed_over: Vec<FileProblem>,
}

/// Reads files and folders (all files below, in the order of their names) into `sink`; `progress` is called about once a megabyte
/// and at each file's end. Files that cannot be read are listed in the summary and stop nothing.
pub fn read_paths(
    paths: &[PathBuf],
    settings: &ReadSettings,
    sink: &mut dyn Sink,
    progress: &mut dyn FnMut(Progress),
) -> Summary {
    let mut summary = Summary::default();
    let entries = files::list(paths, &mut summary.problems);
    let bytes_total = entries.iter().map(|entry| entry.bytes).sum();
    let mut context = ReadContext::new(settings, bytes_total, sink, progress);
    for entry in entries {
        summary.files += 1;
        if let Err(problem) = read_file(&entry, &mut context) {
            let lies_about = !entry.named && matches!(problem, ReadError::Unknown { .. } | ReadError::Empty);
            let list = if lies_about { &mut summary.passed_over } else { &mut summary.problems };
            list.push(FileProblem { path: entry.path, problem });
        }
        context.report();
    }
    summary.files -= (summary.passed_over.len() as u64).min(summary.files);
    Summary { bytes: context.bytes.get(), spans: context.spans, refused: context.refused, ..summary }
}

/// Reads one source of any known form. Returns the spans taken and refused.
///
/// # Errors
/// [`ReadError`]; what was read before counts.
pub fn read_source(
    source: impl Read,
    settings: &ReadSettings,
    sink: &mut dyn Sink,
) -> Result<(u64, u64), ReadError> {
    counted(settings, sink, |context| read_form(Box::new(source), 0, context))
}

/// Reads one OTLP request as protobuf, whole in memory; no bytes are a request without spans. Returns the spans taken and refused.
///
/// # Errors
/// [`ReadError`]; what was read before counts.
pub fn read_otlp_proto(
    bytes: Vec<u8>,
    settings: &ReadSettings,
    sink: &mut dyn Sink,
) -> Result<(u64, u64), ReadError> {
    counted(settings, sink, |context| otlp::proto::traces_data(&mut ReadWindow::whole(bytes), context))
}

/// Reads one OTLP request as JSON, whole in memory. Returns the spans taken and refused.
///
/// # Errors
/// [`ReadError`]; what was read before counts.
pub fn read_otlp_json(
    bytes: Vec<u8>,
    settings: &ReadSettings,
    sink: &mut dyn Sink,
) -> Result<(u64, u64), ReadError> {
    counted(settings, sink, |context| {
        otlp::json::request(&mut Stream::new(ReadWindow::whole(bytes)), context)
    })
}

/// Reads in a context of its own.
fn counted(
    settings: &ReadSettings,
    sink: &mut dyn Sink,
    read: impl FnOnce(&mut ReadContext<'_>) -> Result<(), ReadError>,
) -> Result<(u64, u64), ReadError> {
    let mut progress = |_: Progress| {};
    let mut context = ReadContext::new(settings, 0, sink, &mut progress);
    read(&mut context)?;
    Ok((context.spans, context.refused))
}

fn read_file(entry: &Entry, context: &mut ReadContext<'_>) -> Result<(), ReadError> {
    let file = File::open(&entry.path).map_err(ReadError::Open)?;
    let counted = Counted { source: file, bytes: Rc::clone(&context.bytes) };
    read_form(Box::new(counted), 0, context)
}

fn read_form(
    mut source: Box<dyn Read + '_>,
    depth: u8,
    context: &mut ReadContext<'_>,
) -> Result<(), ReadError> {
    let mut head = Vec::with_capacity(sniff::HEAD_BYTES);
    let limited = source.by_ref().take(sniff::HEAD_BYTES as u64).read_to_end(&mut head);
    limited.map_err(|source| ReadError::Read { at: head.len() as u64, source })?;
    let form = sniff::form(&head);
    let unknown = |what| ReadError::Unknown { at: 0, what, found: Found::of(&head) };
    match form {
        Form::Empty => return Err(ReadError::Empty),
        Form::Unknown(what) => return Err(unknown(what)),
        Form::Gzip | Form::Zstd | Form::LengthPrefixedZstd if depth > 0 => {
            return Err(ReadError::Unknown { at: 0, what: "compressed twice", found: Found::default() });
        }
        _ => {}
    }
    let mut source = io::Cursor::new(head).chain(source);
    match form {
        Form::Gzip => read_form(Box::new(MultiGzDecoder::new(source)), depth + 1, context),
        Form::Zstd => read_form(Box::new(Zstd::new(source)), depth + 1, context),
        Form::LengthPrefixedZstd => messages_in_zstd(&mut source, depth, context),
        Form::Protobuf => otlp::proto::traces_data(&mut context.window(source), context),
        Form::LengthPrefixed => otlp::proto::length_prefixed(&mut context.window(source), context),
        Form::Json(mark) => {
            let mut window = context.window(source);
            window.skip(mark as u64)?;
            context.console = false;
            document::documents(&mut Stream::new(window), context)
        }
        Form::Empty | Form::Unknown(_) => Ok(()),
    }
}

/// Reads messages with their length before each, in 4 bytes, big-endian, and each compressed.
fn messages_in_zstd(
    source: &mut dyn Read,
    depth: u8,
    context: &mut ReadContext<'_>,
) -> Result<(), ReadError> {
    let mut at = 0;
    let failed = |at, source| ReadError::Read { at, source };
    loop {
        let mut length = Vec::with_capacity(4);
        source.take(4).read_to_end(&mut length).map_err(|error| failed(at, error))?;
        let Ok(bytes) = <[u8; 4]>::try_from(length.as_slice()) else {
            let what = "the length of a message";
            return if length.is_empty() { Ok(()) } else { Err(ReadError::Truncated { at, what }) };
        };
        let mut message = source.take(u32::from_be_bytes(bytes).into());
        match read_form(Box::new(Zstd::new(&mut message)), depth + 1, context) {
            Ok(()) | Err(ReadError::Empty) => {}
            Err(error) => return Err(error),
        }
        io::copy(&mut message, &mut io::sink()).map_err(|error| failed(at, error))?;
        at += 4 + u64::from(u32::from_be_bytes(bytes));
    }
}

/// Counts what is read.
struct Counted<R> {
    source: R,
    bytes: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(room)?;
        self.bytes.set(self.bytes.get() + read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
