//! A mapping read field by field; what nobody asked for is an unknown field.

use super::problem::Problem;
use super::reader::Reader;
use super::suggest::did_you_mean;
use super::{Entry, Value};

/// What becomes of fields that nobody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Refused,
    Accepted,
}

/// The fields of one mapping. Made by [`Reader::fields`], which reports unknown ones when the closure returns.
#[derive(Debug)]
pub struct Fields<'a> {
    reader: Reader<'a>,
    entries: &'a [Entry],
    known: Vec<&'static str>,
    rest: Rest,
}

impl<'a> Fields<'a> {
    pub(super) fn new(reader: Reader<'a>, entries: &'a [Entry]) -> Self {
        Self { reader, entries, known: Vec::new(), rest: Rest::Refused }
    }

    /// The whole mapping, for problems that concern several fields.
    pub fn reader(&self) -> Reader<'a> {
        self.reader
    }

    /// A field that must be there and not empty. `None` after a problem was reported, here or by `read`.
    pub fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Reader<'a>) -> Option<T>,
    ) -> Option<T> {
        match self.get(name) {
            Some(field) if field.is_null() => field.refuse(format!("`{name}` is empty")),
            Some(field) => read(field),
            None => self.reader.refuse(format!("the field `{name}` is missing")),
        }
    }

    /// A field that may be absent or empty. `None` then, and after a problem was reported by `read`.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Reader<'a>) -> Option<T>,
    ) -> Option<T> {
        self.get(name).filter(|field| !field.is_null()).and_then(read)
    }

    /// The field as it stands, null or not.
    pub fn get(&mut self, name: &'static str) -> Option<Reader<'a>> {
        self.known.push(name);
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        Some(self.reader.of(&entry.value))
    }

    /// Whether a field is there and not empty. Does not make it a known one.
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == name && entry.value.value != Value::Null)
    }

    /// Takes fields that nobody asks for without a word: what they may be is unknown, or other people's to say.
    pub fn accept_rest(&mut self) {
        self.rest = Rest::Accepted;
    }

    /// Reports what was not asked for.
    pub(super) fn finish(self) {
        if self.rest == Rest::Accepted && !self.reader.problems().is_strict() {
            return;
        }
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&entry.key.as_str())) {
            self.unknown(entry);
        }
    }

    fn unknown(&self, entry: &Entry) {
        self.reader.problems().push_with(|| {
            let key: String = entry.key.chars().take(80).collect();
            let help = match did_you_mean(&key, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            let problem = Problem::error(format!("unknown field `{key}`"));
            problem.at(self.reader.source(), entry.key_span).help(help)
        });
    }
}
