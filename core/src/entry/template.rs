//! Path templates: `/orders/{id}/items`, `/static/**`.
//!
//! Empty segments count for nothing, in a template and in a path: `/a//b/` is `/a/b`. Nothing else is normalised here: `.`, `..` and
//! percent-encoding are as the proxy passes them on.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// Segments separated by `/`; `{name}` matches one segment, a last `**` any rest (also none).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    text: Box<str>,
    segments: Vec<Segment>,
    rest: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    Any,
}

/// Why a template was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// Paths do.
    #[error("a path template starts with '/'")]
    NoSlash,
    /// Only whole segments are wild.
    #[error("'{{name}}' must be a whole segment, and '**' the last one")]
    Wildcard,
    /// The query is no part of it.
    #[error("a path template has no query or fragment")]
    Query,
    /// More segments than are ever looked at.
    #[error("a path template has at most {max} segments", max = PathTemplate::SEGMENTS_MAX)]
    TooLong,
}

impl PathTemplate {
    /// Most segments, so that matching is bounded.
    pub const SEGMENTS_MAX: usize = 32;

    /// Compiles a template.
    ///
    /// # Errors
    /// [`InvalidTemplate`].
    pub fn new(text: &str) -> Result<Self, InvalidTemplate> {
        let path = text.strip_prefix('/').ok_or(InvalidTemplate::NoSlash)?;
        if path.contains(['?', '#']) {
            return Err(InvalidTemplate::Query);
        }
        let (path, rest) = match path.strip_suffix("**") {
            Some("") => ("", true),
            Some(start) => (start.strip_suffix('/').ok_or(InvalidTemplate::Wildcard)?, true),
            None => (path, false),
        };
        let parts = path.split('/').filter(|part| !part.is_empty());
        let segments = parts.map(segment).collect::<Result<Vec<_>, _>>()?;
        if segments.len() > Self::SEGMENTS_MAX {
            return Err(InvalidTemplate::TooLong);
        }
        Ok(Self { text: text.into(), segments, rest })
    }

    /// Whether the path (its query is not looked at) is of this template.
    pub fn matches(&self, path: &[u8]) -> bool {
        let Some(path) = path.strip_prefix(b"/") else { return false };
        let mut actual = without_query(path).split(|&b| b == b'/').filter(|text| !text.is_empty());
        let all = self.segments.iter().all(|segment| actual.next().is_some_and(|text| segment.matches(text)));
        all && (self.rest || actual.next().is_none())
    }

    /// Whether every path of the other template is of this one.
    pub fn covers(&self, other: &Self) -> bool {
        let mut theirs = other.segments.iter();
        let each =
            self.segments.iter().all(|segment| theirs.next().is_some_and(|their| segment.covers(their)));
        each && (self.rest || (theirs.next().is_none() && !other.rest))
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Segment {
    fn covers(&self, other: &Self) -> bool {
        *self == Self::Any || self == other
    }

    fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Literal(literal) => literal.as_bytes() == text,
            Self::Any => true,
        }
    }
}

fn segment(text: &str) -> Result<Segment, InvalidTemplate> {
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    let name = inner.unwrap_or(text);
    if name.contains(['{', '}', '*']) || inner.is_some_and(str::is_empty) {
        return Err(InvalidTemplate::Wildcard);
    }
    Ok(if inner.is_some() { Segment::Any } else { Segment::Literal(String::from(text).into()) })
}

/// Up to the query or fragment.
pub(super) fn without_query(path: &[u8]) -> &[u8] {
    path.split(|&b| b == b'?' || b == b'#').next().unwrap_or_default()
}
