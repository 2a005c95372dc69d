//! What is wrong with a file, and where.

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
    #[error("byte {at}: {what}; {KNOWN}")]
    Unknown {
        /// Byte.
        at: u64,
        /// What it looks like.
        what: &'static str,
    },
    /// It is of a known form up to here.
    #[error("byte {at}: {what}; what stands before it was read")]
    Syntax {
        /// Byte.
        at: u64,
        /// What was expected.
        what: &'static str,
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
    /// Reading failed on the way: a disk, or damaged gzip.
    #[error("byte {at}: reading failed; what stands before it was read")]
    Read {
        /// Byte.
        at: u64,
        /// How.
        #[source]
        source: io::Error,
    },
}

const KNOWN: &str = "known are OTLP (JSON, JSON lines, protobuf, length-prefixed protobuf), Jaeger JSON and Zipkin v2 JSON, \
                     each also in gzip";
