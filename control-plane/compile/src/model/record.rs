//! Who agreed to a model, when, to what, and what it was before: `spec.acceptance` and `spec.lineage`.
//!
//! The versions form a chain of hashes: a version covers the file with its acceptance, which names the parent's version, which covers the
//! parent's file. The file carries the chain as a list, so that it can be read without the files before it; with them it can be checked.

use serde_json::{Value, json};

use super::write;
use emac_document::Fields;
use emac_document::types::{list, mapping, owned, text};

/// A change that was agreed to, as remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenDelta {
    /// Its id.
    pub id: String,
    /// What it was, for people.
    pub change: String,
}

/// One acceptance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// Version of the model before; `None`: there was none.
    pub parent: Option<String>,
    /// Version of the candidate.
    pub candidate: String,
    /// Digest of the intent that both were compared with; `None`: without one.
    pub intent: Option<String>,
    /// Who agreed: a person's name, or `policy`.
    pub by: String,
    /// When, in UTC as in RFC 3339.
    pub at: String,
    /// To which changes; none when the evidence alone was renewed.
    pub deltas: Vec<TakenDelta>,
}

/// A version before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Its version.
    pub version: String,
    /// How it came to be; `None` for one that nobody accepted here, such as a file written by hand.
    pub acceptance: Option<Acceptance>,
}

/// How a model came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The newest acceptance.
    pub acceptance: Acceptance,
    /// Versions before, oldest first.
    pub lineage: Vec<Ancestor>,
}

impl Record {
    /// Whether every version names the one before it.
    ///
    /// # Errors
    /// Which entry does not.
    pub fn check_chain(&self) -> Result<(), String> {
        let mut parent = None;
        for (place, ancestor) in self.lineage.iter().enumerate() {
            let said = ancestor.acceptance.as_ref().and_then(|acceptance| acceptance.parent.as_deref());
            if said != parent {
                return Err(format!("`spec.lineage[{place}].parent`"));
            }
            parent = Some(ancestor.version.as_str());
        }
        if self.acceptance.parent.as_deref() == parent {
            Ok(())
        } else {
            Err("`spec.acceptance.parent`".to_owned())
        }
    }

    /// Puts both sections into a document.
    pub(super) fn write(&self, document: &mut Value) {
        document["spec"]["acceptance"] = acceptance(&self.acceptance);
        if !self.lineage.is_empty() {
            document["spec"]["lineage"] = self.lineage.iter().map(ancestor).collect();
        }
    }
}

fn acceptance(acceptance: &Acceptance) -> Value {
    let mut json = serde_json::Map::new();
    let mut put = |key: &str, value: Option<Value>| write::put(&mut json, key, value);
    put("by", Some(json!(acceptance.by)));
    put("at", Some(json!(acceptance.at)));
    put("parent", acceptance.parent.as_ref().map(|parent| json!(parent)));
    put("candidate", Some(json!(acceptance.candidate)));
    put("intent", acceptance.intent.as_ref().map(|intent| json!(intent)));
    let deltas = acceptance.deltas.iter().map(|taken| json!({"id": taken.id, "change": taken.change}));
    put("deltas", Some(deltas.collect()));
    Value::Object(json)
}

fn ancestor(ancestor: &Ancestor) -> Value {
    let mut json = json!({"version": ancestor.version});
    if let (Some(json), Some(Value::Object(more))) =
        (json.as_object_mut(), ancestor.acceptance.as_ref().map(acceptance))
    {
        json.extend(more);
    }
    json
}

/// Both sections; `None` when the model was not accepted here.
pub(super) fn read(fields: &mut Fields<'_>) -> Option<Record> {
    let says = "who accepted which changes, and when";
    let acceptance = fields.field("acceptance", mapping(newest), says).optional();
    let says = "earlier versions, oldest first";
    let lineage = fields.field("lineage", list(mapping(earlier)), says).optional();
    Some(Record { acceptance: acceptance?, lineage: lineage.unwrap_or_default() })
}

fn newest(fields: &mut Fields<'_>) -> Option<Acceptance> {
    fields.accept_rest();
    accepted(fields, "who accepted: a person, or `policy`")
}

fn earlier(fields: &mut Fields<'_>) -> Option<Ancestor> {
    fields.accept_rest();
    let version = fields.field("version", owned(), "version").required();
    let says = "who accepted it; absent for a file written by hand";
    let acceptance = fields.together(&["by"], |fields| accepted(fields, says));
    Some(Ancestor { version: version?, acceptance })
}

fn accepted(fields: &mut Fields<'_>, by_says: &'static str) -> Option<Acceptance> {
    let by = fields.field("by", owned(), by_says).required();
    let at = fields.field("at", owned(), "time in RFC 3339").required();
    let parent = fields.field("parent", owned(), "version of the previous model").optional();
    let candidate = fields.field("candidate", owned(), "version of the candidate").required();
    let says = "digest of the intent used for the comparison";
    let intent = fields.field("intent", owned(), says).optional();
    let deltas = fields.field("deltas", list(mapping(taken)), "accepted deltas").optional();
    let deltas = deltas.unwrap_or_default();
    Some(Acceptance { parent, candidate: candidate?, intent, by: by?, at: at?, deltas })
}

fn taken(fields: &mut Fields<'_>) -> Option<TakenDelta> {
    let id = fields.field("id", owned(), "id of the delta").required();
    let change = fields.field("change", text(), "the change in words").required();
    Some(TakenDelta { id: id?, change: change?.to_owned() })
}
