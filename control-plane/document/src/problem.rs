//! What is wrong with a file, where, and what to do about it. Problems are collected, never thrown: a person fixes a file once.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::source::{Source, Span};

/// Exit code of a command that was given invalid input (`EX_DATAERR` of sysexits.h).
pub const EXIT_INVALID_INPUT: u8 = 65;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing has to be done.
    Note,
    /// Probably a mistake; the file can be used.
    Warning,
    /// The file cannot be used.
    Error,
}

impl Severity {
    /// Stable label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Where it is: a span of a source, or only the name of a file whose text is not at hand.
#[derive(Clone, Debug)]
pub enum Place {
    /// A span of a text.
    Span(Arc<Source>, Span),
    /// A file as a whole.
    File(String),
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    /// How bad.
    pub severity: Severity,
    /// What, in one line, without the place.
    pub message: String,
    /// Where, if anywhere.
    pub place: Option<Place>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// Something that makes the file unusable.
    pub fn error(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), place: None, help: None }
    }

    /// Something worth knowing.
    pub fn note(message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(message) }
    }

    /// Something that is probably a mistake.
    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, source: &Arc<Source>, span: Span) -> Self {
        self.place = Some(Place::Span(Arc::clone(source), span));
        self
    }

    /// Says in which file, when there is no text to point into.
    #[must_use]
    pub fn in_file(mut self, name: impl Into<String>) -> Self {
        self.place = Some(Place::File(name.into()));
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// `file:line:column`, `file`, or nothing.
    pub fn location(&self) -> Option<String> {
        match self.place.as_ref()? {
            Place::File(name) => Some(name.clone()),
            Place::Span(source, span) => {
                let (line, column) = source.position(span.start);
                Some(format!("{}:{line}:{column}", source.name()))
            }
        }
    }
}

/// Collected problems, in the order found. Shared by reference while reading, hence the interior mutability.
#[derive(Debug, Default)]
pub struct Problems {
    kept: RefCell<Vec<Problem>>,
    errors: Cell<usize>,
    dropped: Cell<usize>,
    strict: bool,
}

impl Problems {
    /// More than these are counted but not kept: nobody reads them, and hostile input could fill memory with them.
    pub const KEPT_MAX: usize = 200;

    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// None yet; readers that pass over fields they do not know report them here, so that a test sees what a reader asks for.
    pub fn strict() -> Self {
        Self { strict: true, ..Self::default() }
    }

    /// Whether fields that a reader would pass over are reported.
    pub(super) fn is_strict(&self) -> bool {
        self.strict
    }

    /// Adds one.
    pub fn push(&self, problem: Problem) {
        if problem.severity == Severity::Error {
            self.errors.set(self.errors.get() + 1);
        }
        let mut kept = self.kept.borrow_mut();
        if kept.len() < Self::KEPT_MAX {
            kept.push(problem);
        } else {
            self.dropped.set(self.dropped.get() + 1);
        }
    }

    /// Adds an error that is costly to describe; it is only counted when no more are kept.
    pub fn push_with(&self, describe: impl FnOnce() -> Problem) {
        if self.kept.borrow().len() < Self::KEPT_MAX {
            self.push(describe());
        } else {
            self.errors.set(self.errors.get() + 1);
            self.dropped.set(self.dropped.get() + 1);
        }
    }

    /// Number of errors so far, kept or not. Zero means that the input can be used.
    pub fn errors(&self) -> usize {
        self.errors.get()
    }

    /// Number of problems beyond [`Self::KEPT_MAX`].
    pub fn dropped(&self) -> usize {
        self.dropped.get()
    }

    /// The kept ones, in the order found.
    pub fn list(&self) -> Vec<Problem> {
        self.kept.borrow().clone()
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.kept.borrow().is_empty()
    }
}
