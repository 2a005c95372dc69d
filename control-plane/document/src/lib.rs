//! YAML documents with their source spans: what every file a person writes is read through.
//!
//! A deserialiser stops at the first mistake and forgets where values came from. Here the text becomes a small tree in which every node
//! knows its [`Span`], typed [`Reader`]s walk the tree, and every [`Problem`] is collected with its place, so that all of them are shown at
//! once. YAML 1.2 with the core schema (JSON is a subset), on the events of `saphyr-parser`.
//!
//! The text may be hostile: [`Limits`] bound bytes, depth and nodes (aliases count as what they expand to), the tree is built without
//! recursion, a duplicate key is an error. Merge keys (`<<`, YAML 1.1) are read, as Kubernetes does. Left out on purpose: application tags, keys that are no scalars.
mod emit;
mod fields;
mod files;
mod hex;
mod ignored;
mod leftovers;
mod number;
mod parse;
mod problem;
mod promql;
mod reader;
mod render;
mod replace;
pub mod shape;
mod shown;
mod source;
mod suggest;
mod timestamp;
pub mod types;
mod units;

pub use emit::to_yaml;
pub use fields::{Fields, Line, describe};
pub use files::{expand, files_in, list_files, read_all, read_file};
pub use hex::{hex, sha256_hex, unhex};
pub use leftovers::{Leftovers, remove_leftovers};
pub use parse::{Limits, parse};
pub use problem::{EXIT_INVALID_INPUT, Place, Problem, Problems, Severity};
pub use promql::{
    InvalidPromql, ResultLabels, Unit, WindowUse, differing_labels, each_selector_mut, is_recordable,
    match_all, parse_generated, parse_promql, parts, result_labels, selectors, unit, window_use, with_window,
    write_label, write_promql,
};
pub use reader::Reader;
pub use render::{render_json, render_text};
pub use replace::{ReplaceError, StagedFile, create_folders, replace_file, replace_files, sync_folder_of};
pub use shown::{is_plain, shown, shown_lines};
pub use source::{Source, Span};
pub use suggest::did_you_mean;
pub use timestamp::{InvalidTimestamp, format_timestamp, parse_timestamp};
pub use units::{InvalidDuration, format_duration, parse_duration};

use std::sync::Arc;

/// Version of the documents that are this project's own.
pub const API_VERSION: &str = "emac.dev/v1alpha1";

/// A value and where it was written, for what is checked only after all files have been read. Equal when the values are: the place is no
/// part of what is said.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// What was written.
    pub value: T,
    source: Arc<Source>,
    span: Span,
}

impl<T> Located<T> {
    /// Remembers the place of what `reader` gave.
    pub fn new(value: T, reader: Reader<'_>) -> Self {
        Self { value, source: Arc::clone(reader.source()), span: reader.span() }
    }

    /// A problem, placed here.
    pub fn place(&self, problem: Problem) -> Problem {
        problem.at(&self.source, self.span)
    }
}

impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// One document of a stream.
#[derive(Clone, Debug)]
pub struct Document {
    /// The text it stands in.
    pub source: Arc<Source>,
    /// Its root.
    pub root: Node,
}

impl Document {
    /// Whether it says that it is of a kind.
    pub fn is_kind(&self, kind: &str) -> bool {
        let mut entries = self.root.entries().into_iter().flatten();
        entries.any(|entry| entry.key == "kind" && entry.value.text() == Some(kind))
    }

    /// A reader at the root, reporting into `problems`.
    pub fn reader<'a>(&'a self, problems: &'a Problems) -> Reader<'a> {
        Reader::new(&self.root, &self.source, problems)
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it stands; for an alias, where the aliased text stands.
    pub span: Span,
}

impl Node {
    /// The same as JSON, in the order written; a number that JSON has not (NaN) is null. O(length).
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(flag) => (*flag).into(),
            Value::Integer(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::String(text) => text.as_str().into(),
            Value::Sequence(items) => items.iter().map(Self::to_json).collect(),
            Value::Mapping(entries) => {
                let entries = entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json()));
                serde_json::Value::Object(entries.collect())
            }
        }
    }

    /// The text, if it is text.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The entries, if it is a mapping.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Mapping(entries) => Some(entries),
            _ => None,
        }
    }
}

/// A value of the YAML core schema.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that fits.
    Integer(i64),
    /// Any other number; may be NaN or infinite.
    Float(f64),
    /// Text.
    String(String),
    /// `[a, b]`.
    Sequence(Vec<Node>),
    /// `{a: b}`, in the order written; keys are unique.
    Mapping(Vec<Entry>),
}

impl Value {
    /// What it is, as a person calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::String(_) => "text",
            Self::Sequence(_) => "a list",
            Self::Mapping(_) => "a mapping",
        }
    }
}

/// One `key: value` of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key's text; `1:` and `true:` are the keys `1` and `true`.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// What it is set to.
    pub value: Node,
}

#[cfg(test)]
mod tests;
