//! A place in a document with its path, for facts that must say which field they stand in. Fields that nobody asks for are ignored: the
//! documents are other people's.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::units::Ratio;

use emac_compile::model::{EvidenceSource, Provenance};
use emac_document::{Document, Node, Problems, Reader, Value, parse_duration};

/// Longest label or annotation kept, bytes: what Kubernetes allows a label, four times over. Longer ones (whole manifests) name no domain.
const LABEL_BYTES_MAX: usize = 253;

/// A node and the path to it.
#[derive(Clone, Debug)]
pub(super) struct At<'a> {
    reader: Reader<'a>,
    path: String,
}

impl<'a> At<'a> {
    pub(super) fn root(document: &'a Document, problems: &'a Problems) -> Self {
        Self { reader: document.reader(problems), path: String::new() }
    }

    /// A field; `None` when it is absent or null. Reports a problem where this is no mapping.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let entry = self.reader.entries()?.iter().find(|entry| entry.key == key)?;
        let reader = self.reader.of(&entry.value);
        let dot = if self.path.is_empty() { "" } else { "." };
        (!reader.is_null()).then(|| Self { reader, path: format!("{}{dot}{key}", self.path) })
    }

    /// A field of a field of a field.
    pub(super) fn find(&self, path: &[&str]) -> Option<Self> {
        path.iter().try_fold(self.clone(), |at, key| at.get(key))
    }

    /// Items of a list field; none when it is absent.
    pub(super) fn items(&self, key: &str) -> Vec<Self> {
        let Some(list) = self.get(key) else { return Vec::new() };
        let items = list.reader.items().into_iter().flatten().enumerate();
        items.map(|(i, reader)| Self { reader, path: format!("{}[{i}]", list.path) }).collect()
    }

    /// How often a field stands below this node, through mappings and all items of lists; what is null does not count.
    pub(super) fn number_of(&self, path: &str) -> u64 {
        let keys: Vec<&str> = path.split('.').collect();
        number_of(self.reader.node(), &keys)
    }

    /// Entries of this mapping.
    pub(super) fn entries(&self) -> Vec<(&'a str, Self)> {
        let entry = |entry: &'a emac_document::Entry| {
            let at =
                Self { reader: self.reader.of(&entry.value), path: format!("{}.{}", self.path, entry.key) };
            (entry.key.as_str(), at)
        };
        self.reader.entries().into_iter().flatten().map(entry).collect()
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key)?.reader.text()
    }

    /// This node as text.
    pub(super) fn own_text(&self) -> Option<&'a str> {
        self.reader.text()
    }

    /// This node as it is written, on one line and cut: for conditions shown to people.
    pub(super) fn written(&self) -> String {
        let text = self.reader.source().slice(self.reader.span());
        text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(80).collect()
    }

    /// A whole number. Istio writes some in quotes.
    pub(super) fn count(&self, key: &str) -> Option<u32> {
        let at = self.get(key)?;
        if let Value::String(text) = &at.reader.node().value
            && let Ok(count) = text.parse()
        {
            return Some(count);
        }
        at.reader.integer(0..=u64::from(u32::MAX)).and_then(|count| u32::try_from(count).ok())
    }

    /// A duration in whole milliseconds, rounded up; `None` for zero, which means "no limit".
    pub(super) fn millis(&self, key: &str) -> Option<u64> {
        let at = self.get(key)?;
        let text = at.reader.text()?;
        match millis(text) {
            Ok(millis) => millis,
            Err(error) => at.reader.refuse_with(error, "such as 400ms, 1.5s or 1m"),
        }
    }

    /// A share written as a percentage, a bare number from 0 to 100.
    pub(super) fn percent(&self, key: &str) -> Option<Ratio> {
        let at = self.get(key)?;
        let percent = at.reader.number()?;
        match Ratio::new(percent / 100.0) {
            Ok(share) => Some(share),
            Err(_) => at.reader.refuse(format!("{percent} is not a percentage between 0 and 100")),
        }
    }

    /// A mapping of texts, long ones left out.
    pub(super) fn texts(&self, key: &str) -> BTreeMap<String, String> {
        let Some(map) = self.get(key) else { return BTreeMap::new() };
        let text = |(key, at): (&str, Self)| Some((key.to_owned(), at.reader.text()?.to_owned()));
        let short = |(_, text): &(String, String)| text.len() <= LABEL_BYTES_MAX;
        map.entries().into_iter().filter_map(text).filter(short).collect()
    }

    /// Labels and annotations of an object.
    pub(super) fn labels(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let Some(metadata) = self.get("metadata") else { return labels };
        for (key, value) in metadata.texts("annotations").into_iter().chain(metadata.texts("labels")) {
            labels.entry(key).or_default().insert(value);
        }
        labels
    }

    /// Reports a problem here.
    pub(super) fn refuse<T>(&self, message: impl Into<String>) -> Option<T> {
        self.reader.refuse(message)
    }

    /// File and field.
    pub(super) fn place(&self) -> (String, String) {
        (self.reader.source().name().to_owned(), self.path.clone())
    }

    pub(super) fn mesh(&self, says: impl Into<String>) -> Provenance {
        self.provenance(EvidenceSource::Mesh, says)
    }

    pub(super) fn kubernetes(&self, says: impl Into<String>) -> Provenance {
        self.provenance(EvidenceSource::Kubernetes, says)
    }

    fn provenance(&self, source: EvidenceSource, says: impl Into<String>) -> Provenance {
        Provenance { source, says: says.into(), traces: Vec::new(), place: Some(self.place()) }
    }

    /// The same place within a list's item: paths begin there.
    pub(super) fn is_list_of_objects(&self) -> bool {
        let text = |key| self.reader.node().entries()?.iter().find(|entry| entry.key == key)?.value.text();
        text("kind").is_some_and(|kind| kind.ends_with("List"))
            && self.reader.node().entries().is_some_and(|all| all.iter().any(|entry| entry.key == "items"))
    }
}

fn number_of(node: &Node, path: &[&str]) -> u64 {
    match (&node.value, path) {
        (Value::Null, _) => 0,
        (_, []) => 1,
        (Value::Sequence(items), _) => items.iter().map(|item| number_of(item, path)).sum(),
        (_, [key, rest @ ..]) => {
            let entry = node.entries().and_then(|all| all.iter().find(|entry| entry.key == *key));
            entry.map_or(0, |entry| number_of(&entry.value, rest))
        }
    }
}

/// `0.5s` in whole milliseconds, rounded up; zero means no limit.
pub(super) fn millis(text: &str) -> Result<Option<u64>, String> {
    let micros = parse_duration(text).map_err(|error| error.to_string())?.0;
    Ok((micros > 0).then(|| micros.div_ceil(1_000)))
}
