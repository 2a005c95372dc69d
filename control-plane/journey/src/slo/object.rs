//! The objects that stand in documents. Most files hold one object a document; SDKs write and read lists, and `kubectl get -o yaml` a `kind: List`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use emac_document::{Document, Node, Problems, Reader, Source, Value};

/// One object, wherever it stands.
#[derive(Clone, Copy, Debug)]
pub struct DocumentObject<'a> {
    source: &'a Arc<Source>,
    node: &'a Node,
    /// It stands in a list.
    listed: bool,
}

/// Every object of some documents, in their order. A list of mappings, and the `items` of a mapping whose kind ends with `List`, are the objects in them.
pub fn objects(documents: &[Document]) -> Vec<DocumentObject<'_>> {
    let mut found = Vec::new();
    for document in documents {
        collect(DocumentObject { source: &document.source, node: &document.root, listed: false }, &mut found);
    }
    found
}

/// Recursive: a parsed document is at most [`emac_document::Limits::depth_max`] deep.
fn collect<'a>(object: DocumentObject<'a>, found: &mut Vec<DocumentObject<'a>>) {
    let items = match &object.node.value {
        Value::Sequence(items) => Some(items.as_slice()),
        Value::Mapping(_) if object.kind().is_some_and(|kind| kind.ends_with("List")) => object.items(),
        _ => None,
    };
    match items {
        Some(items) if items.iter().all(|item| item.entries().is_some()) => {
            let listed = items.iter().map(|node| DocumentObject { node, listed: true, ..object });
            listed.for_each(|item| collect(item, found));
        }
        _ => found.push(object),
    }
}

/// What an object says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form<'a> {
    /// `openslo/v1`, kind SLO.
    Slo,
    /// `openslo/v1`, kind SLI.
    Sli,
    /// `openslo/v1`, kind DataSource.
    DataSource,
    /// OpenSLO of a version that is not read.
    Version(&'a str),
    /// Sloth's own specification, `version: prometheus/v1`.
    Sloth,
    /// The same as a Kubernetes object, `sloth.slok.dev/v1` PrometheusServiceLevel.
    SlothObject,
    /// `pyrra.dev/v1alpha1` ServiceLevelObjective.
    Pyrra,
    /// Anything else.
    Other,
}

impl<'a> DocumentObject<'a> {
    /// `kind`, if it is text.
    pub fn kind(self) -> Option<&'a str> {
        self.text("kind")
    }

    /// `apiVersion`, if it is text.
    pub fn api_version(self) -> Option<&'a str> {
        self.text("apiVersion")
    }

    /// `metadata.name`, if it is text.
    pub fn name(self) -> Option<&'a str> {
        DocumentObject { node: self.get("metadata")?, ..self }.text("name")
    }

    /// Whether it stands in a list.
    pub fn is_listed(self) -> bool {
        self.listed
    }

    /// `file:line` of its beginning.
    pub fn place(self) -> String {
        place(self.source, self.node)
    }

    /// A reader of it, reporting into `problems`.
    pub fn reader<'p>(self, problems: &'p Problems) -> Reader<'p>
    where
        'a: 'p,
    {
        Reader::new(self.node, self.source, problems)
    }

    pub(super) fn form(self) -> Form<'a> {
        match (self.api_version(), self.kind()) {
            (Some(super::API_VERSION), Some("SLO")) => Form::Slo,
            (Some(super::API_VERSION), Some("SLI")) => Form::Sli,
            (Some(super::API_VERSION), Some("DataSource")) => Form::DataSource,
            (Some("sloth.slok.dev/v1"), Some("PrometheusServiceLevel")) => Form::SlothObject,
            (Some("pyrra.dev/v1alpha1"), Some("ServiceLevelObjective")) => Form::Pyrra,
            (Some(version), _) if version != super::API_VERSION && is_openslo(version) => {
                Form::Version(version)
            }
            (None, None) if self.text("version") == Some("prometheus/v1") => Form::Sloth,
            _ => Form::Other,
        }
    }

    /// `spec.type`, of a DataSource.
    pub(super) fn source_type(self) -> Option<&'a str> {
        DocumentObject { node: self.get("spec")?, ..self }.text("type")
    }

    fn items(self) -> Option<&'a [Node]> {
        match &self.get("items")?.value {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    fn get(self, key: &str) -> Option<&'a Node> {
        self.node.entries()?.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    fn text(self, key: &str) -> Option<&'a str> {
        self.get(key)?.text()
    }
}

/// `Service (openslo/v1)`; what has no kind is named as that.
impl fmt::Display for DocumentObject<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.text("version").filter(|version| version.contains('/'));
        match (self.kind(), self.api_version().or(version)) {
            (Some(kind), Some(version)) => write!(out, "{kind} ({version})"),
            (Some(kind), None) => write!(out, "{kind}"),
            (None, Some(version)) => write!(out, "without kind ({version})"),
            (None, None) => write!(out, "without kind"),
        }
    }
}

/// How many there are of each kind, by name.
pub fn counted<'a>(objects: impl IntoIterator<Item = DocumentObject<'a>>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    objects.into_iter().for_each(|object| *counts.entry(object.to_string()).or_default() += 1);
    counts
}

/// Old and new spelling of the group.
fn is_openslo(version: &str) -> bool {
    version.starts_with("openslo/") || version.starts_with("openslo.com/")
}

/// `file:line` of a node.
pub(super) fn place(source: &Source, node: &Node) -> String {
    let (line, _) = source.position(node.span.start);
    format!("{}:{line}", source.name())
}
