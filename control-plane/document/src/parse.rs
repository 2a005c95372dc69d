//! Events to tree, without recursion and within limits.

use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::number::resolve;
use super::problem::{Problem, Problems};
use super::source::{ByteOffsets, Source, Span};
use super::{Document, Entry, Node, Value};

/// How much one source may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text.
    pub bytes_max: usize,
    /// Sequences and mappings within one another. Readers recurse on it, so it is small.
    pub depth_max: usize,
    /// Nodes of all documents, an alias counted as all it expands to.
    pub nodes_max: usize,
}

impl Default for Limits {
    /// Room for a journey of some thousand components; a few hundred megabytes at the very worst.
    fn default() -> Self {
        Self { bytes_max: 16 << 20, depth_max: 200, nodes_max: 1_000_000 }
    }
}

/// Reads all documents of a source; empty ones are left out. What is wrong goes to `problems`; a document with a syntax error, and what
/// follows it, is not returned. Time is linear in the text and the expanded nodes.
pub fn parse(source: &Arc<Source>, limits: &Limits, problems: &Problems) -> Vec<Document> {
    if source.text().len() > limits.bytes_max {
        let message = format!("more than {} bytes", limits.bytes_max);
        problems.push(Problem::error(message).in_file(source.name()));
        return Vec::new();
    }
    let mut builder = Builder::new(source, *limits, problems);
    let mut documents = Vec::new();
    let mut parser = Parser::new_from_str(builder.text());
    while let Some(event) = parser.next_event() {
        let step = match event {
            Ok((event, span)) => {
                let span = builder.span(span);
                builder.step(event, span)
            }
            Err(error) => {
                let at = builder.offsets.byte(error.marker().index());
                Err(builder.syntax_error(error.info(), at))
            }
        };
        match step {
            Ok(Some(root)) => documents.push(Document { source: Arc::clone(source), root }),
            Ok(None) => {}
            Err(fatal) => {
                problems.push(*fatal);
                break;
            }
        }
    }
    documents.retain(|document| document.root.value != Value::Null);
    documents
}

/// A problem after which reading cannot go on.
type Fatal = Box<Problem>;

/// A collection that is not closed yet.
enum Frame {
    Sequence {
        start: Span,
        anchor: usize,
        items: Vec<Node>,
        nodes: usize,
    },
    Mapping {
        start: Span,
        anchor: usize,
        entries: Vec<Entry>,
        seen: HashMap<String, Span>,
        key: Option<Key>,
        nodes: usize,
    },
}

/// A key that waits for its value; `usable` is false for a duplicate or a key that is no scalar.
struct Key {
    text: String,
    span: Span,
    usable: bool,
}

/// An anchored node and how many nodes it has.
struct Anchored {
    node: Node,
    nodes: usize,
}

struct Builder<'a> {
    source: &'a Arc<Source>,
    limits: Limits,
    problems: &'a Problems,
    /// Length of a byte order mark, which is cut off before parsing.
    skipped: usize,
    offsets: ByteOffsets<'a>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
}

impl<'a> Builder<'a> {
    fn new(source: &'a Arc<Source>, limits: Limits, problems: &'a Problems) -> Self {
        let skipped = if source.text().starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let offsets = ByteOffsets::new(&source.text()[skipped..]);
        Self {
            source,
            limits,
            problems,
            skipped,
            offsets,
            stack: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
        }
    }

    fn text(&self) -> &'a str {
        &self.source.text()[self.skipped..]
    }

    fn span(&self, span: saphyr_parser::Span) -> Span {
        let skipped = self.skipped as u32;
        let start = self.offsets.byte(span.start.index()) + skipped;
        let end = self.offsets.byte(span.end.index()) + skipped;
        Span { start, end: end.max(start) }
    }

    /// Takes one event; a finished document's root comes back.
    fn step(&mut self, event: Event<'_>, span: Span) -> Result<Option<Node>, Fatal> {
        match event {
            Event::DocumentStart(_) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), span);
                return self.close(Node { value, span }, anchor, 1, Some(&text));
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", span);
                self.open(Frame::Sequence { start: span, anchor, items: Vec::new(), nodes: 1 }, span)?;
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", span);
                let (entries, seen) = (Vec::new(), HashMap::new());
                self.open(Frame::Mapping { start: span, anchor, entries, seen, key: None, nodes: 1 }, span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => return self.end(span),
            Event::Alias(anchor) => return self.alias(anchor, span),
            Event::DocumentEnd | Event::StreamStart | Event::StreamEnd | Event::Nothing => {}
        }
        Ok(None)
    }

    fn open(&mut self, frame: Frame, span: Span) -> Result<(), Fatal> {
        if self.stack.len() >= self.limits.depth_max {
            return Err(self.fatal(format!("nested deeper than {} levels", self.limits.depth_max), span));
        }
        self.charge(1, span)?;
        self.stack.push(frame);
        Ok(())
    }

    fn end(&mut self, end: Span) -> Result<Option<Node>, Fatal> {
        let (value, start, anchor, nodes) = match self.stack.pop() {
            Some(Frame::Sequence { start, anchor, items, nodes }) => {
                (Value::Sequence(items), start, anchor, nodes)
            }
            Some(Frame::Mapping { start, anchor, entries, nodes, .. }) => {
                (Value::Mapping(self.merged(entries)), start, anchor, nodes)
            }
            None => return Ok(None),
        };
        let span = Span { start: start.start, end: end.end.max(start.end) };
        // The collection itself was charged when it opened.
        self.nodes = self.nodes.saturating_sub(1);
        self.close(Node { value, span }, anchor, nodes, None)
    }

    /// Entries with those of what `<<` names (a mapping or a list of them), as Kubernetes' own reader has it: what stands here counts before what is merged in,
    /// and of the latter the first. Nothing is copied, so nothing more is charged.
    fn merged(&self, entries: Vec<Entry>) -> Vec<Entry> {
        let is_merge = |entry: &Entry| entry.key == "<<" && self.source.slice(entry.key_span) == "<<";
        let (merges, mut entries): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_merge);
        if merges.is_empty() {
            return entries;
        }
        let mut known: HashSet<_> = entries.iter().map(|entry| entry.key.clone()).collect();
        for Entry { key_span, value, .. } in merges {
            let sources = match value.value {
                Value::Sequence(items) => items,
                _ => vec![value],
            };
            for source in sources {
                let Value::Mapping(more) = source.value else {
                    let problem = Problem::error("`<<` merges mappings, and this is none");
                    self.problems.push(problem.at(self.source, key_span));
                    continue;
                };
                entries.extend(more.into_iter().filter(|entry| known.insert(entry.key.clone())));
            }
        }
        entries
    }

    /// An alias costs what it expands to, which is what keeps a "billion laughs" document small.
    fn alias(&mut self, anchor: usize, span: Span) -> Result<Option<Node>, Fatal> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(self.fatal("an alias to something that is not complete here", span));
        };
        let (node, nodes) = (anchored.node.clone(), anchored.nodes);
        self.charge(nodes.saturating_sub(1), span)?;
        let text = self.source.slice(node.span).to_owned();
        self.close(node, 0, nodes, Some(&text))
    }

    /// A node is complete: remember it if anchored, and hand it to what contains it.
    fn close(
        &mut self,
        node: Node,
        anchor: usize,
        nodes: usize,
        text: Option<&str>,
    ) -> Result<Option<Node>, Fatal> {
        self.charge(1, node.span)?;
        if anchor != 0 {
            self.charge(nodes, node.span)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), nodes });
        }
        match self.stack.last_mut() {
            None => return Ok(Some(node)),
            Some(Frame::Sequence { items, nodes: total, .. }) => {
                *total += nodes;
                items.push(node);
            }
            Some(Frame::Mapping { entries, seen, key, nodes: total, .. }) => {
                *total += nodes;
                match key.take() {
                    Some(key) if key.usable => {
                        entries.push(Entry { key: key.text, key_span: key.span, value: node });
                    }
                    Some(_) => {}
                    None => *key = Some(new_key(self.source, self.problems, seen, &node, text)),
                }
            }
        }
        Ok(None)
    }

    fn charge(&mut self, nodes: usize, span: Span) -> Result<(), Fatal> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > self.limits.nodes_max {
            let message = format!("more than {} values, aliases expanded", self.limits.nodes_max);
            return Err(self.fatal(message, span));
        }
        Ok(())
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Value {
        match tag {
            None if style == ScalarStyle::Plain => resolve(text),
            None => Value::String(text.to_owned()),
            Some(known) => {
                let value = resolve(text);
                let is_meant = known.is_yaml_core_schema()
                    && matches!(
                        (known.suffix.as_str(), &value),
                        ("float", Value::Float(_) | Value::Integer(_))
                            | ("int", Value::Integer(_))
                            | ("bool", Value::Bool(_))
                            | ("null", Value::Null)
                    );
                if is_meant {
                    return value;
                }
                self.check_tag(tag, "str", span);
                Value::String(text.to_owned())
            }
        }
    }

    /// `!!str`, `!!float`, `!!seq` and so on say what is plain anyway; every other tag asks for a type we do not have.
    fn check_tag(&self, tag: Option<&Tag>, known: &str, span: Span) {
        if let Some(tag) = tag.filter(|tag| !(tag.is_yaml_core_schema() && tag.suffix == known)) {
            let handle = if tag.is_yaml_core_schema() { "!!" } else { &tag.handle };
            let message = format!("the tag `{handle}{}` is not understood here", tag.suffix);
            self.problems.push(Problem::error(message).at(self.source, span).help("leave the tag out"));
        }
    }

    fn fatal(&self, message: impl Into<String>, span: Span) -> Fatal {
        Box::new(Problem::error(message).at(self.source, span))
    }

    fn syntax_error(&self, info: &str, at: u32) -> Fatal {
        let text = self.source.text();
        let at = (at as usize + self.skipped).min(text.len());
        let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let indented_by_tab = text[line..].trim_start_matches(' ').starts_with('\t');
        let problem = Problem::error(format!("not YAML: {info}"));
        let problem = problem.at(self.source, Span { start: at as u32, end: at as u32 });
        Box::new(if indented_by_tab { problem.help("YAML indents with spaces, not tabs") } else { problem })
    }
}

/// A node where a key is due: its text, and whether its value may be kept.
fn new_key(
    source: &Arc<Source>,
    problems: &Problems,
    seen: &mut HashMap<String, Span>,
    node: &Node,
    text: Option<&str>,
) -> Key {
    let is_scalar = !matches!(node.value, Value::Sequence(_) | Value::Mapping(_));
    let text = match (&node.value, text) {
        (Value::String(text), _) => text.clone(),
        (_, text) => text.unwrap_or("").to_owned(),
    };
    if !is_scalar {
        problems.push(Problem::error("a key must be a word, not a list or a mapping").at(source, node.span));
        return Key { text, span: node.span, usable: false };
    }
    let usable = match seen.entry(text.clone()) {
        Slot::Vacant(slot) => {
            slot.insert(node.span);
            true
        }
        Slot::Occupied(first) => {
            let (line, _) = source.position(first.get().start);
            let problem = Problem::error(format!("the key `{text}` is given twice"));
            problems.push(problem.at(source, node.span).help(format!("it was first given on line {line}")));
            false
        }
    };
    Key { text, span: node.span, usable }
}
