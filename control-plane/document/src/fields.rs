//! A mapping read field by field; what nobody asked for is an unknown field.
//!
//! A function that reads our own documents declares each field with its type and its meaning ([`Fields::field`]). [`describe`] runs the same function over nothing and
//! notes what it declares: the mapping's table, from which schemas and the reference are made. So a reader asks for all its fields before it gives up on any.
//! Documents of other people have no table of ours: their readers ask with [`Fields::required`] and [`Fields::optional`].

use super::problem::{Problem, Problems};
use super::reader::Reader;
use super::shape::{Field, Mapping, Need, Rule};
use super::source::{Source, Span};
use super::suggest::did_you_mean;
use super::types::{Shown, Type, kept};
use super::{Entry, Node, Value};

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
    /// What is declared, when the reader is run for its table.
    table: Option<(Vec<Field>, Vec<Rule>)>,
}

/// The table of the mapping that `read` reads. What it costs is kept: call it once for each table.
pub fn describe<T>(read: impl FnOnce(&mut Fields<'_>) -> Option<T>) -> &'static Mapping {
    let nothing = Node { value: Value::Mapping(Vec::new()), span: Span::default() };
    let (source, problems) = (Source::new("", ""), Problems::new());
    let mut fields = Fields::new(Reader::new(&nothing, &source, &problems), &[]);
    fields.table = Some(Default::default());
    read(&mut fields);
    let open = fields.rest == Rest::Accepted;
    let (table, rules) = fields.table.unwrap_or_default();
    kept(Mapping { fields: table.leak(), open, rules: rules.leak() })
}

impl<'a> Fields<'a> {
    pub(super) fn new(reader: Reader<'a>, entries: &'a [Entry]) -> Self {
        Self { reader, entries, known: Vec::new(), rest: Rest::Refused, table: None }
    }

    /// Declares a field: its name, its type, and what it means in the words of the reference. Whether it must be there is said next.
    pub fn field<K: Type<'a>>(&mut self, name: &'static str, of: K, says: &'static str) -> Line<'_, 'a, K> {
        Line { fields: self, name, of, says }
    }

    /// Declares what holds between fields, for schemas; the reader checks it, with a remedy.
    pub fn rule(&mut self, rule: Rule) {
        if let Some((_, rules)) = &mut self.table {
            rules.push(rule);
        }
    }

    /// Declares fields that are given together or not at all: `read` declares them, and reads them if one of `first` is there. A schema says from it that
    /// `first` need what `read` requires and, unless the mapping is open, that its other fields need `first`.
    pub fn together<T>(
        &mut self,
        first: &[&'static str],
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let Some(before) = self.table.as_ref().map(|(table, _)| table.len()) else {
            return first.iter().any(|name| self.has(name)).then(|| read(self)).flatten();
        };
        read(self);
        let closed = self.rest == Rest::Refused;
        let (table, rules) = self.table.as_mut()?;
        let is_required = |field: &&Field| field.need == Need::Required;
        let required: Vec<_> = table.iter().skip(before).filter(is_required).map(|it| it.name).collect();
        for field in table.iter_mut().skip(before) {
            let needed =
                if first.contains(&field.name) { &required[..] } else { &first[..usize::from(closed)] };
            let others = needed.iter().filter(|&&other| other != field.name);
            rules.extend(others.map(|&other| Rule::Needs(field.name, other)));
            if field.need == Need::Required {
                field.need = Need::Optional;
            }
        }
        None
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

    /// A field as it stands, null or not. Does not make it a known one.
    pub fn peek(&self, name: &str) -> Option<Reader<'a>> {
        self.entries.iter().find(|entry| entry.key == name).map(|entry| self.reader.of(&entry.value))
    }

    /// Whether a field is there and not empty. Does not make it a known one.
    pub fn has(&self, name: &str) -> bool {
        self.reader.has(name)
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

/// A field that is being declared.
#[derive(Debug)]
#[must_use = "a field is read when it is said whether it must be there"]
pub struct Line<'f, 'a, K> {
    fields: &'f mut Fields<'a>,
    name: &'static str,
    of: K,
    says: &'static str,
}

impl<'a, K: Type<'a>> Line<'_, 'a, K> {
    /// It must be there. `None` after a problem was reported.
    pub fn required(mut self) -> Option<K::Value> {
        self.note(|_| Need::Required);
        self.fields.required(self.name, |it| self.of.read(it))
    }

    /// It must be there; if it is absent or empty, which gives `None`, the reader says so.
    pub fn expected(mut self) -> Option<K::Value> {
        self.note(|_| Need::Required);
        self.fields.optional(self.name, |it| self.of.read(it))
    }

    /// It may be absent or empty. `None` then, and after a problem was reported.
    pub fn optional(mut self) -> Option<K::Value> {
        self.note(|_| Need::Optional);
        self.fields.optional(self.name, |it| self.of.read(it))
    }

    /// Without it `default` holds; also after a problem was reported, which ends the reading of the document elsewhere.
    pub fn or(mut self, default: K::Value) -> K::Value
    where
        K: Shown<'a>,
    {
        self.note(|of| Need::Default(of.shown(&default).leak()));
        self.fields.optional(self.name, |it| self.of.read(it)).unwrap_or(default)
    }

    /// As [`Line::or`], for a type that cannot tell how people write its values.
    pub fn or_as(mut self, default: K::Value, written: &'static str) -> K::Value {
        self.note(|_| Need::Default(written));
        self.fields.optional(self.name, |it| self.of.read(it)).unwrap_or(default)
    }

    fn note(&mut self, need: impl FnOnce(&K) -> Need) {
        if let Some((table, _)) = &mut self.fields.table {
            let need = need(&self.of);
            table.push(Field { name: self.name, need, shape: self.of.shape(), says: self.says });
        }
    }
}
