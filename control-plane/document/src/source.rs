//! A text with its name, and places in it.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::problem::{Problem, Problems};
use super::shown::in_place;

/// Bytes `start .. end` of a source. 32 bits each: [`super::Limits`] keeps sources far below 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One behind the last byte, at least `start`.
    pub end: u32,
}

/// A named text.
#[derive(Debug)]
pub struct Source {
    name: String,
    text: String,
    /// The text as it may be shown, where that differs.
    shown: OnceLock<Option<String>>,
    line_starts: Vec<u32>,
}

impl Source {
    /// Takes a text; `name` is what problems call it, usually its path.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        let text = text.into();
        let breaks = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at as u32 + 1);
        let line_starts = std::iter::once(0).chain(breaks).collect();
        Arc::new(Self { name: name.into(), text, shown: OnceLock::new(), line_starts })
    }

    /// Takes bytes that should be UTF-8; reports the first that is not.
    pub fn from_bytes(name: &str, bytes: Vec<u8>, problems: &Problems) -> Option<Arc<Self>> {
        match String::from_utf8(bytes) {
            Ok(text) => Some(Self::new(name, text)),
            Err(invalid) => {
                let at = invalid.utf8_error().valid_up_to();
                let source = Self::new(name, String::from_utf8_lossy(invalid.as_bytes()));
                let span = Span { start: at as u32, end: at as u32 + 1 };
                problems.push(Problem::error("not UTF-8 text").at(&source, span));
                None
            }
        }
    }

    /// Reads a file of at most `bytes_max`; an unreadable or longer one is a problem.
    pub fn read(path: &Path, bytes_max: usize, problems: &Problems) -> Option<Arc<Self>> {
        let name = path.display().to_string();
        match read_bounded(path, bytes_max) {
            Ok(bytes) if bytes.len() > bytes_max => {
                problems.push(Problem::error(format!("more than {bytes_max} bytes")).in_file(&name));
                None
            }
            Ok(bytes) => Self::from_bytes(&name, bytes, problems),
            Err(error) => {
                problems.push(Problem::error(format!("cannot be read: {error}")).in_file(&name));
                None
            }
        }
    }

    /// What problems call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The whole text without what a terminal would obey; every byte is where it was.
    pub(crate) fn shown_text(&self) -> &str {
        let shown = self.shown.get_or_init(|| match in_place(&self.text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(shown) => Some(shown),
        });
        shown.as_deref().unwrap_or(&self.text)
    }

    /// The text of a span; empty when the span is not one of this source.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Line and column (in characters) of a byte, both from 1. Costs a binary search and one line.
    pub fn position(&self, at: u32) -> (usize, usize) {
        let line = self.line_starts.partition_point(|&start| start <= at).max(1);
        let start = self.line_starts[line - 1] as usize;
        let column = self.text.get(start..at as usize).map_or(0, |before| before.chars().count());
        (line, column + 1)
    }

    /// Bytes of the lines `first ..= last`, from 1, as far as they exist.
    pub fn lines_range(&self, first: usize, last: usize) -> std::ops::Range<usize> {
        let start =
            |line: usize| self.line_starts.get(line - 1).map_or(self.text.len(), |&start| start as usize);
        start(first.max(1))..start(last.max(first).max(1) + 1)
    }

    /// The span cut at the end of its first line and its trailing blanks: what a caret can point at.
    pub fn first_line(&self, span: Span) -> Span {
        let text = self.slice(span);
        let line = text.lines().next().unwrap_or("").trim_end();
        Span { start: span.start, end: span.start + line.len() as u32 }
    }
}

/// One byte more than allowed tells a file that is too long from one that just fits.
fn read_bounded(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Byte offsets of characters, which is what the parser counts. A checkpoint every 64 characters; nothing for plain ASCII.
pub(super) struct ByteOffsets<'a> {
    text: &'a str,
    checkpoints: Vec<u32>,
}

impl<'a> ByteOffsets<'a> {
    const STRIDE: usize = 64;

    pub(super) fn new(text: &'a str) -> Self {
        let checkpoints = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().step_by(Self::STRIDE).map(|(byte, _)| byte as u32).collect()
        };
        Self { text, checkpoints }
    }

    /// Byte at which the character begins; the end of the text for one beyond it.
    pub(super) fn byte(&self, character: usize) -> u32 {
        if self.checkpoints.is_empty() {
            return character.min(self.text.len()) as u32;
        }
        let Some(&base) = self.checkpoints.get(character / Self::STRIDE) else {
            return self.text.len() as u32;
        };
        let rest = &self.text[base as usize..];
        let within = rest.char_indices().nth(character % Self::STRIDE).map_or(rest.len(), |(byte, _)| byte);
        base + within as u32
    }
}
