//! Problems for people (a snippet with a caret, through `miette`) and for machines (JSON).

use std::fmt::{self, Display};
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    SourceCode, SourceSpan, SpanContents, ThemeCharacters,
};
use serde_json::{Value, json};

use super::problem::{Place, Problem, Problems, Severity};
use super::shown::shown_lines;
use super::source::{Source, Span};

/// Lines longer than this are not shown: a snippet of generated JSON helps nobody.
const LINE_BYTES_MAX: usize = 400;

/// Every kept problem with its place, then a line with the counts. Characters are ASCII, so that the carets are carets everywhere.
pub fn render_text(problems: &Problems, colors: bool) -> String {
    let mut theme = if colors { GraphicalTheme::ascii() } else { GraphicalTheme::none() };
    theme.characters = ThemeCharacters {
        error: "error:".into(),
        warning: "warning:".into(),
        advice: "note:".into(),
        ..ThemeCharacters::ascii()
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(110);
    let mut text = String::new();
    for problem in problems.list() {
        // Writing to a string fails only if a `Display` does, and ours do not.
        let _ = handler.render_report(&mut text, &Shown::new(&problem));
        text.push('\n');
    }
    text.push_str(&summary(problems));
    text
}

fn summary(problems: &Problems) -> String {
    let errors = problems.errors();
    let warnings = problems.list().iter().filter(|problem| problem.severity == Severity::Warning).count();
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let mut line = format!("{errors} error{}, {warnings} warning{}", plural(errors), plural(warnings));
    if problems.dropped() > 0 {
        line.push_str(&format!(" ({} not shown)", problems.dropped()));
    }
    line.push('\n');
    line
}

/// The kept problems as `[{severity, message, file, line, column, endLine, endColumn, help}]`, lines and columns from 1; what is unknown is
/// left out.
pub fn render_json(problems: &Problems) -> Value {
    problems.list().iter().map(problem_json).collect()
}

fn problem_json(problem: &Problem) -> Value {
    let mut json = json!({"severity": problem.severity.label(), "message": problem.message});
    match &problem.place {
        Some(Place::File(name)) => json["file"] = json!(name),
        Some(Place::Span(source, span)) => {
            let (line, column) = source.position(span.start);
            let (end_line, end_column) = source.position(span.end);
            json["file"] = json!(source.name());
            json["line"] = json!(line);
            json["column"] = json!(column);
            json["endLine"] = json!(end_line);
            json["endColumn"] = json!(end_column);
        }
        None => {}
    }
    if let Some(help) = &problem.help {
        json["help"] = json!(help);
    }
    json
}

/// A problem as `miette` wants it.
struct Shown<'a> {
    problem: &'a Problem,
    snippet: Option<Snippet<'a>>,
}

impl<'a> Shown<'a> {
    fn new(problem: &'a Problem) -> Self {
        let snippet = match &problem.place {
            Some(Place::Span(source, span)) => Snippet::new(source, *span),
            _ => None,
        };
        Self { problem, snippet }
    }
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = shown_lines(&self.problem.message);
        match self.problem.location() {
            Some(location) if self.snippet.is_none() => {
                write!(f, "{}: {message}", shown_lines(&location.to_string()))
            }
            _ => f.write_str(&message),
        }
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.problem.severity {
            Severity::Note => miette::Severity::Advice,
            Severity::Warning => miette::Severity::Warning,
            Severity::Error => miette::Severity::Error,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        self.problem.help.as_ref().map(|help| Box::new(shown_lines(help)) as Box<dyn Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.snippet.as_ref().map(|snippet| snippet as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.snippet.as_ref()?.span;
        let span = SourceSpan::from(span.start as usize..span.end as usize);
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(None, span))))
    }
}

/// The line with the problem and its neighbours, found by the line table instead of a scan of the whole text.
struct Snippet<'a> {
    source: &'a Arc<Source>,
    span: Span,
}

impl<'a> Snippet<'a> {
    fn new(source: &'a Arc<Source>, span: Span) -> Option<Self> {
        let snippet = Self { source, span: source.first_line(span) };
        let shown = snippet.contents(1).0.lines().all(|line| line.len() <= LINE_BYTES_MAX);
        shown.then_some(snippet)
    }

    fn shown(&self) -> &'a str {
        let range = self.span.start as usize..self.span.end as usize;
        self.source.shown_text().get(range).unwrap_or("")
    }

    /// The lines around the span with their first line's number and byte.
    fn contents(&self, context: usize) -> (&'a str, usize, usize) {
        let (line, _) = self.source.position(self.span.start);
        let first = line.saturating_sub(context).max(1);
        let range = self.source.lines_range(first, line + context);
        let start = range.start;
        (self.source.shown_text().get(range).unwrap_or(""), first, start)
    }
}

impl SourceCode for Snippet<'_> {
    /// There is one label on one line, so what is asked for is always that line with some neighbours; without neighbours the answer starts
    /// at the label itself, which is how `miette` learns its line and column.
    fn read_span<'a>(
        &'a self,
        _: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let name = shown_lines(self.source.name()).into_owned();
        let (text, start, line, column) = if before == 0 && after == 0 {
            let (line, column) = self.source.position(self.span.start);
            (self.shown(), self.span.start as usize, line, column)
        } else {
            let (text, line, start) = self.contents(before.max(after));
            (text, start, line, 1)
        };
        let span = SourceSpan::from(start..start + text.len());
        let lines = text.lines().count();
        Ok(Box::new(MietteSpanContents::new_named(name, text.as_bytes(), span, line - 1, column - 1, lines)))
    }
}
