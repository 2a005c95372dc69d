//! Typed reading of a node. Every method either returns a checked value or reports a problem with its place and returns `None`, so that
//! a caller reads all fields first and gives up (`?`) afterwards.

use std::ops::RangeInclusive;
use std::sync::Arc;

use emac_core::units::{Micros, Millis, Ratio};

use super::fields::Fields;
use super::problem::{Problem, Problems, Severity};
use super::promql::{InvalidPromql, parse_promql, place_of};
use super::source::{Source, Span};
use super::suggest::did_you_mean;
use super::units::{InvalidDuration, parse_duration};
use super::{Entry, Node, Value};

const PROMQL_HELP: &str =
    "`promtool promql format` reads a query, too; of templates only `{{ .window }}` is known";
const UNKNOWN_FUNCTION: &str = "it is taken as it is; gates of canaries and unit tests are left out for it";

/// A node, its source, and where problems go.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    node: &'a Node,
    source: &'a Arc<Source>,
    problems: &'a Problems,
}

impl<'a> Reader<'a> {
    /// Reads `node`, which stands in `source`.
    pub fn new(node: &'a Node, source: &'a Arc<Source>, problems: &'a Problems) -> Self {
        Self { node, source, problems }
    }

    /// A reader of another node of the same source.
    pub fn of(self, node: &'a Node) -> Self {
        Self { node, ..self }
    }

    /// The node.
    pub fn node(self) -> &'a Node {
        self.node
    }

    /// Where it stands.
    pub fn span(self) -> Span {
        self.node.span
    }

    /// Its source.
    pub fn source(self) -> &'a Arc<Source> {
        self.source
    }

    /// Where problems go.
    pub fn problems(self) -> &'a Problems {
        self.problems
    }

    /// Whether it is null.
    pub fn is_null(self) -> bool {
        self.node.value == Value::Null
    }

    /// Whether it is a mapping with a field that is not empty.
    pub fn has(self, name: &str) -> bool {
        let mut entries = self.node.entries().into_iter().flatten();
        entries.any(|entry| entry.key == name && entry.value.value != Value::Null)
    }

    // === problems ===

    /// Reports an error here.
    pub fn refuse<T>(self, message: impl Into<String>) -> Option<T> {
        self.problems.push(Problem::error(message).at(self.source, self.node.span));
        None
    }

    /// Reports an error here and what to do about it.
    pub fn refuse_with<T>(self, message: impl Into<String>, help: impl Into<String>) -> Option<T> {
        self.problems.push(Problem::error(message).at(self.source, self.node.span).help(help));
        None
    }

    /// Reports an error at another place of the same source.
    pub fn refuse_at<T>(self, span: Span, message: impl Into<String>) -> Option<T> {
        self.problems.push(Problem::error(message).at(self.source, span));
        None
    }

    /// The text `item` in the list (or the list itself, or this node) found along a path of keys: for problems noticed after reading.
    pub fn find(self, path: &[&str], item: &str) -> Self {
        let mut node = self.node;
        for key in path {
            let entry = node.entries().and_then(|entries| entries.iter().find(|entry| entry.key == *key));
            let Some(entry) = entry else { return self.of(node) };
            node = &entry.value;
        }
        match &node.value {
            Value::Sequence(items) => {
                self.of(items.iter().find(|one| one.text() == Some(item)).unwrap_or(node))
            }
            _ => self.of(node),
        }
    }

    /// Reports something worth knowing here.
    pub fn warn(self, message: impl Into<String>, help: impl Into<String>) {
        let problem = Problem { severity: Severity::Warning, ..Problem::error(message) };
        self.problems.push(problem.at(self.source, self.node.span).help(help));
    }

    fn expected<T>(self, what: &str) -> Option<T> {
        self.refuse(format!("expected {what}, found {}", self.node.value.kind()))
    }

    // === scalars ===

    /// Text, possibly empty. A bare number or boolean is refused: quoted it keeps its spelling.
    pub fn text(self) -> Option<&'a str> {
        match &self.node.value {
            Value::String(text) => Some(text),
            Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {
                let written = self.source.slice(self.node.span);
                let message = format!("expected text, found {}", self.node.value.kind());
                self.refuse_with(message, format!("write \"{written}\" in quotes"))
            }
            _ => self.expected("text"),
        }
    }

    /// Text that is not blank.
    pub fn word(self) -> Option<&'a str> {
        let text = self.text()?;
        if text.trim().is_empty() { self.refuse("may not be empty") } else { Some(text) }
    }

    /// PromQL. A function that is not known here is only worth knowing: it may be a newer Prometheus's.
    pub fn promql(self) -> Option<&'a str> {
        let text = self.word()?;
        match parse_promql(text) {
            Ok(_) => {}
            Err(error @ InvalidPromql::UnknownFunction(_)) => self.warn(error.to_string(), UNKNOWN_FUNCTION),
            Err(error) => {
                self.problems.push(self.promql_problem(Severity::Error, text, &error));
                return None;
            }
        }
        Some(text)
    }

    /// Points into the query where that is known, else at all of it.
    fn promql_problem(self, severity: Severity, query: &str, error: &InvalidPromql) -> Problem {
        let place = place_of(query, error).and_then(|at| self.span_in_text(query, at));
        let problem = Problem { severity, ..Problem::error(error.to_string()) };
        problem.at(self.source, place.unwrap_or(self.node.span)).help(PROMQL_HELP)
    }

    /// Where the character at a byte of this node's text was written. `None` where escapes, folded lines or repetition leave that open.
    fn span_in_text(self, text: &str, at: usize) -> Option<Span> {
        let start = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
        let line = text.get(start..)?.lines().next()?;
        let written = self.source.slice(self.node.span);
        let mut places = written.match_indices(line);
        let (found, _) = places.next().filter(|_| places.next().is_none())?;
        let first = self.node.span.start + (found + at - start) as u32;
        let character = text.get(at..)?.chars().next()?;
        Some(Span { start: first, end: first + character.len_utf8() as u32 })
    }

    /// PromQL that other tools use: what is wrong with it is worth knowing and no more.
    pub fn promql_of_others(self) -> Option<&'a str> {
        let text = self.word()?;
        if let Err(error) = parse_promql(text) {
            self.problems.push(self.promql_problem(Severity::Warning, text, &error));
        }
        Some(text)
    }

    /// `true` or `false`.
    pub fn boolean(self) -> Option<bool> {
        match &self.node.value {
            Value::Bool(value) => Some(*value),
            Value::String(text) if matches!(text.as_str(), "yes" | "no" | "on" | "off") => self
                .refuse_with(format!("`{text}` is text in YAML 1.2, not a boolean"), "write true or false"),
            _ => self.expected("true or false"),
        }
    }

    /// A whole number in a range.
    pub fn integer(self, range: RangeInclusive<u64>) -> Option<u64> {
        let (low, high) = (*range.start(), *range.end());
        match self.node.value {
            Value::Integer(value) => match u64::try_from(value) {
                Ok(value) if range.contains(&value) => Some(value),
                _ => self.refuse(format!("{value} is not within {low} to {high}")),
            },
            Value::Float(value) => self.refuse(format!("expected a whole number, found {value}")),
            _ => self.expected_number("a whole number"),
        }
    }

    /// A finite number.
    pub fn number(self) -> Option<f64> {
        match self.node.value {
            Value::Integer(value) => Some(value as f64),
            Value::Float(value) if value.is_finite() => Some(value + 0.0),
            Value::Float(value) => self.refuse(format!("expected a finite number, found {value}")),
            _ => self.expected_number("a number"),
        }
    }

    fn expected_number<T>(self, what: &str) -> Option<T> {
        match &self.node.value {
            Value::String(text) if text.parse::<f64>().is_ok() => self
                .refuse_with(format!("expected {what}, found text"), format!("write {text} without quotes")),
            _ => self.expected(what),
        }
    }

    /// A share between 0 and 1: `0.995`, or `99.5%`.
    pub fn ratio(self) -> Option<Ratio> {
        let value = match &self.node.value {
            Value::String(text) => {
                match text
                    .trim()
                    .strip_suffix('%')
                    .map(|percent| format!("{}e-2", percent.trim()).parse::<f64>())
                {
                    Some(Ok(percent)) => percent,
                    _ => return self.expected_number("a share between 0 and 1"),
                }
            }
            _ => self.number()?,
        };
        match Ratio::new(value) {
            Ok(ratio) => Some(ratio),
            Err(invalid) if (1.0..=100.0).contains(&value) => self.refuse_with(
                invalid.to_string(),
                format!("{value} % is written {value}% or {}", value / 100.0),
            ),
            Err(invalid) => self.refuse(invalid.to_string()),
        }
    }

    /// A duration with its unit, above zero.
    pub fn duration(self) -> Option<Micros> {
        match &self.node.value {
            Value::String(text) => self.duration_of(parse_duration(text)),
            Value::Integer(_) | Value::Float(_) => {
                let written = self.source.slice(self.node.span);
                self.refuse_with(
                    "a duration needs a unit",
                    format!("write {written}ms, {written}s or {written}m"),
                )
            }
            _ => self.expected("a duration such as 400ms"),
        }
    }

    fn duration_of(self, parsed: Result<Micros, InvalidDuration>) -> Option<Micros> {
        match parsed {
            Ok(Micros(0)) => self.refuse("a duration must be above zero"),
            Ok(duration) => Some(duration),
            Err(error) => {
                self.refuse_with(error.to_string(), "units are us, ms, s, m, h, d and w, as in 400ms or 30d")
            }
        }
    }

    /// A duration in whole milliseconds, above zero.
    pub fn millis(self) -> Option<Millis> {
        let duration = self.duration()?;
        if duration.0.is_multiple_of(1_000) {
            Some(duration.to_millis_floor())
        } else {
            self.refuse("expected whole milliseconds")
        }
    }

    /// A bare number of seconds (`0.4`, as the field's name or the specification says), or a duration with its unit.
    pub fn seconds(self) -> Option<Micros> {
        match self.node.value {
            Value::Integer(_) | Value::Float(_) => {
                self.duration_of(parse_duration(&format!("{}s", self.number()?)))
            }
            _ => self.duration(),
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(self, choices: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        if let Some(&(_, value)) = choices.iter().find(|&&(word, _)| word == text) {
            return Some(value);
        }
        let words: Vec<_> = choices.iter().map(|&(word, _)| word).collect();
        let help = match did_you_mean(text, words.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("one of: {}", words.join(", ")),
        };
        let shown: String = text.chars().take(80).collect();
        self.refuse_with(format!("`{shown}` is not known here"), help)
    }

    // === collections ===

    /// The items of a list.
    pub fn items(self) -> Option<impl ExactSizeIterator<Item = Reader<'a>>> {
        match &self.node.value {
            Value::Sequence(items) => Some(items.iter().map(move |item| self.of(item))),
            _ => self.expected("a list"),
        }
    }

    /// A list; every item is read even after one failed.
    pub fn list<T>(self, mut read: impl FnMut(Reader<'a>) -> Option<T>) -> Option<Vec<T>> {
        let read: Vec<_> = self.items()?.map(&mut read).collect();
        read.into_iter().collect()
    }

    /// The entries of a mapping.
    pub fn entries(self) -> Option<&'a [Entry]> {
        match &self.node.value {
            Value::Mapping(entries) => Some(entries),
            _ => self.expected("a mapping"),
        }
    }

    /// A mapping with keys of the writer's choosing; every value is read even after one failed.
    pub fn map<T>(self, mut read: impl FnMut(&'a Entry, Reader<'a>) -> Option<T>) -> Option<Vec<T>> {
        let read: Vec<_> = self.entries()?.iter().map(|entry| read(entry, self.of(&entry.value))).collect();
        read.into_iter().collect()
    }

    /// A mapping with known fields. Unknown ones are reported after `read` returns.
    pub fn fields<T>(self, read: impl FnOnce(&mut Fields<'a>) -> Option<T>) -> Option<T> {
        let mut fields = Fields::new(self, self.entries()?);
        let value = read(&mut fields);
        fields.finish();
        value
    }
}
