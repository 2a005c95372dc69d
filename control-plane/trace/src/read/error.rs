//! What is wrong with a file, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A file that could not be read, or not to its end. What came before the place counts.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct FileProblem {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong.
    #[source]
    pub problem: ReadError,
}

/// Why reading stopped. Offsets count decompressed bytes.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system refuses.
    #[error("cannot be read")]
    Open(#[source] io::Error),
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// None of the formats.
    #[error("byte {at}: {what}{found}; {KNOWN}")]
    Unknown {
        /// Byte.
        at: u64,
        /// What it looks like.
        what: &'static str,
        /// What stands there.
        found: Found,
    },
    /// A backend's answer that holds no traces but says why not.
    #[error(
        "byte {at}: this is an answer with an error and no traces: `{said}`; ask again and save an answer with traces"
    )]
    Answer {
        /// Byte where it begins.
        at: u64,
        /// What it says, cut.
        said: String,
    },
    /// It is of a known form up to here.
    #[error("byte {at}: {what}{found}; what stands before it was read")]
    Syntax {
        /// Byte.
        at: u64,
        /// What was expected.
        what: &'static str,
        /// What stands there instead.
        found: Found,
    },
    /// The end is missing.
    #[error("ends at byte {at} in the midst of {what}; what stands before it was read")]
    Truncated {
        /// Byte.
        at: u64,
        /// In what.
        what: &'static str,
    },
    /// One element is too large to be held.
    #[error("byte {at}: an element of more than {bytes_max} bytes; a span has some hundred")]
    TooLarge {
        /// Byte where it begins.
        at: u64,
        /// The limit.
        bytes_max: usize,
    },
    /// Reading failed on the way: a disk, or damaged compression.
    #[error("byte {at}: reading failed ({source}); what stands before it was read")]
    Read {
        /// Byte.
        at: u64,
        /// How.
        #[source]
        source: io::Error,
    },
}

const KNOWN: &str = "known are OTLP (JSON, JSON lines, protobuf, length-prefixed protobuf), Jaeger JSON, Zipkin JSON (v1, v2), AWS X-Ray \
                     JSON and what the console exporters of OpenTelemetry for Go, Python and JavaScript print, each also in gzip or zstd";

/// What stands where something else was expected, for people; empty: the end, or nothing that can be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found(String);

impl Found {
    /// Longest text shown, in characters.
    const SHOWN_MAX: usize = 40;

    /// The beginning of these bytes, on one line.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let head = bytes.get(..bytes.len().min(4 * Self::SHOWN_MAX)).unwrap_or_default();
        Self(shown(&String::from_utf8_lossy(head), Self::SHOWN_MAX))
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ", found `{}`", self.0) }
    }
}

/// A text of somebody else on one line, cut after so many characters.
pub(super) fn shown(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut characters = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !shown.is_empty() {
            shown.push(' ');
        }
        for character in word.chars() {
            characters += 1;
            if characters > most {
                shown.push_str("...");
                return shown;
            }
            shown.push(character);
        }
    }
    shown
}
