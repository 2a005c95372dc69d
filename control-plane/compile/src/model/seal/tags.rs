//! Tags of single values, by section.

use std::fmt;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use emac_document::hex;

/// Tags a line, so that a diff of two sealed files stays readable.
const TAGS_PER_LINE: usize = 16;
/// Most changes named; after a few, the reader looks at the diff of the file.
const CHANGES_MAX: usize = 3;
/// The section of everything outside `spec`.
const HEAD: &str = "head";

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PathStep {
    Key(String),
    Item(usize),
}

/// What was done to a document after it was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    what: What,
    /// The value; for a removed one, what stands before it or its section.
    pub(super) path: Vec<PathStep>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Changed,
    Added,
    RemovedAfter,
    RemovedFrom,
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = Path(&self.path);
        match self.what {
            What::Changed => write!(f, "`{path}` was changed"),
            What::Added => write!(f, "`{path}` was added"),
            What::RemovedAfter => write!(f, "something after `{path}` was removed"),
            What::RemovedFrom => write!(f, "something was removed from `{path}`"),
        }
    }
}

struct Path<'a>(&'a [PathStep]);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                PathStep::Key(key) if place > 0 => write!(f, ".{key}")?,
                PathStep::Key(key) => f.write_str(key)?,
                PathStep::Item(item) => write!(f, "[{item}]")?,
            }
        }
        Ok(())
    }
}

/// Tags of every section, in the order in which a person reads them.
pub(super) fn of(document: &Value) -> Map<String, Value> {
    let mut tags = Map::new();
    let mut head = Vec::new();
    for (key, value) in document.as_object().into_iter().flatten() {
        match (key.as_str(), value.as_object()) {
            ("seal", _) => {}
            ("spec", Some(spec)) => {
                for (key, value) in spec {
                    let mut lines = Lines::default();
                    let mut path = vec![Step::Key("spec"), Step::Key(key)];
                    walk(value, &mut path, &mut |path, scalar| lines.add(&tag(path, scalar)));
                    tags.insert(format!("spec.{key}"), lines.text.into());
                }
            }
            _ => walk(value, &mut vec![Step::Key(key)], &mut |path, scalar| {
                head.push((Path(&owned(path)).to_string(), tag(path, scalar)));
            }),
        }
    }
    head.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut lines = Lines::default();
    head.iter().for_each(|(_, tag)| lines.add(tag));
    tags.shift_insert(0, HEAD.to_owned(), lines.text.into());
    tags
}

/// Tags of a section as they are written.
#[derive(Default)]
struct Lines {
    text: String,
    count: usize,
}

impl Lines {
    fn add(&mut self, tag: &str) {
        if self.count > 0 {
            self.text.push(if self.count.is_multiple_of(TAGS_PER_LINE) { '\n' } else { ' ' });
        }
        self.text.push_str(tag);
        self.count += 1;
    }
}

/// What differs from the tags that the document itself holds.
pub(super) fn changes(document: &Value) -> Vec<Edit> {
    let found = sections(document);
    let stated = document["seal"].as_object();
    let mut changes = Vec::new();
    for section in &found {
        let stated = stated.and_then(|stated| stated.get(&section.name)).and_then(Value::as_str);
        changes.extend(section.changes(&stated.unwrap_or_default().split_whitespace().collect::<Vec<_>>()));
    }
    for name in stated.into_iter().flat_map(Map::keys) {
        if !found.iter().any(|section| section.name == *name) {
            let path = name.split('.').map(|key| PathStep::Key(key.to_owned())).collect();
            changes.push(Edit { what: What::RemovedFrom, path });
        }
    }
    changes.truncate(CHANGES_MAX);
    changes
}

struct Section {
    name: String,
    root: Vec<PathStep>,
    values: Vec<(Vec<PathStep>, String)>,
}

impl Section {
    fn new(name: String, root: Vec<PathStep>) -> Self {
        Self { name, root, values: Vec::new() }
    }

    fn take(&mut self, path: &[Step<'_>], scalar: &Value) {
        self.values.push((owned(path), tag(path, scalar)));
    }

    /// Whatever lies between the tags that agree at the front and those that agree at the end.
    fn changes(&self, stated: &[&str]) -> Vec<Edit> {
        let same = |pairs: &mut dyn Iterator<Item = (&&str, &(Vec<PathStep>, String))>| {
            pairs.take_while(|(stated, (_, tag))| *stated == tag).count()
        };
        let front = same(&mut stated.iter().zip(&self.values));
        let rest = stated.len().min(self.values.len()) - front;
        let back = same(&mut stated.iter().rev().zip(self.values.iter().rev()).take(rest));
        let (was, is) = (&stated[front..stated.len() - back], &self.values[front..self.values.len() - back]);
        let of = |what, path: &[PathStep]| Edit { what, path: path.to_vec() };
        match (was.len(), is.len()) {
            (0, 0) => Vec::new(),
            (0, _) => is.iter().map(|(path, _)| of(What::Added, path)).collect(),
            (_, 0) => match front.checked_sub(1).and_then(|before| self.values.get(before)) {
                Some((path, _)) => vec![of(What::RemovedAfter, path)],
                None => vec![of(What::RemovedFrom, &self.root)],
            },
            (m, n) if m == n => {
                let differs = was.iter().zip(is).filter(|(was, (_, tag))| *was != tag);
                differs.map(|(_, (path, _))| of(What::Changed, path)).collect()
            }
            _ => is.first().map(|(path, _)| of(What::Changed, path)).into_iter().collect(),
        }
    }
}

/// Everything outside `spec` and `seal`, then each part of `spec`.
fn sections(document: &Value) -> Vec<Section> {
    let mut head = Section::new(HEAD.to_owned(), Vec::new());
    let mut sections = Vec::new();
    for (key, value) in document.as_object().into_iter().flatten() {
        match (key.as_str(), value.as_object()) {
            ("seal", _) => {}
            ("spec", Some(spec)) => {
                for (key, value) in spec {
                    let root = vec![PathStep::Key("spec".to_owned()), PathStep::Key(key.clone())];
                    let mut section = Section::new(format!("spec.{key}"), root);
                    let mut path = vec![Step::Key("spec"), Step::Key(key)];
                    walk(value, &mut path, &mut |path, scalar| section.take(path, scalar));
                    sections.push(section);
                }
            }
            _ => walk(value, &mut vec![Step::Key(key)], &mut |path, scalar| head.take(path, scalar)),
        }
    }
    // The order in which a file gives its head does not count.
    head.values.sort_by_cached_key(|(path, _)| Path(path).to_string());
    sections.insert(0, head);
    sections
}

/// One step of a path, as the document has it.
#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Item(usize),
}

fn owned(path: &[Step<'_>]) -> Vec<PathStep> {
    let step = |step: &Step<'_>| match step {
        Step::Key(key) => PathStep::Key((*key).to_owned()),
        Step::Item(place) => PathStep::Item(*place),
    };
    path.iter().map(step).collect()
}

/// Hands over every scalar and empty collection below, keys in sorted order.
fn walk<'a>(value: &'a Value, path: &mut Vec<Step<'a>>, each: &mut dyn FnMut(&[Step<'a>], &'a Value)) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            for (place, item) in items.iter().enumerate() {
                path.push(Step::Item(place));
                walk(item, path, each);
                path.pop();
            }
        }
        Value::Object(entries) if !entries.is_empty() => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            for (key, value) in entries {
                path.push(Step::Key(key));
                walk(value, path, each);
                path.pop();
            }
        }
        scalar => each(path, scalar),
    }
}

/// 16 bits of the field's name, without places in lists, and its value.
fn tag(path: &[Step<'_>], value: &Value) -> String {
    let mut hash = Sha256::new();
    for step in path {
        match step {
            Step::Key(key) => hash.update(key.as_bytes()),
            Step::Item(_) => hash.update([1]),
        }
        hash.update([0]);
    }
    hash.update(value.to_string().as_bytes());
    hex(&hash.finalize()[..2])
}
