//! One line of the ledger.

use serde_json::{Map, Value, json};

use super::Head;
use crate::guard::{Answer, Evaluation};
use emac_document::{format_timestamp, parse_timestamp, sha256_hex};

/// What the first line has before it.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// An answer to be recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When it was given, milliseconds since 1970, as whoever asked says.
    pub at_unix_ms: u64,
    /// The journey.
    pub journey: String,
    /// Digest of the intent that states the guard.
    pub intent: String,
    /// Digest of the model it was asked about.
    pub model: String,
    /// The model is a candidate that nobody agreed to.
    pub preview: bool,
    /// The decision about the journey: PASS, FAIL, REVIEW or UNASSESSABLE.
    pub verdict: String,
    /// Kind of the action that the guard stands before.
    pub action: String,
    /// The guard, its inputs and its answer.
    pub evaluation: Evaluation,
}

/// A recorded answer with its place in the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its number, from 1.
    pub sequence: u64,
    /// Digest of the line before.
    pub previous: String,
    /// Digest of this line.
    pub digest: String,
    /// What was recorded.
    pub record: Record,
}

/// Appends the line after `head`; the new end of the chain.
pub(super) fn write_line(text: &mut String, head: &Head, record: &Record) -> Head {
    let sequence = head.sequence + 1;
    let evaluation = &record.evaluation;
    let (answer, why) = evaluation.answer.said();
    let mut body = json!({
        "sequence": sequence,
        "previous": head.digest,
        "at": format_timestamp(record.at_unix_ms),
        "journey": record.journey,
        "intent": record.intent,
        "model": record.model,
        "preview": record.preview,
        "verdict": record.verdict,
        "action": record.action,
        "guard": evaluation.guard,
        "inputs": evaluation.inputs,
        "answer": answer,
    });
    if let Some(why) = why {
        body["why"] = json!(why);
    }
    let body = body.to_string();
    let digest = sha256_hex(body.as_bytes());
    text.push_str(body.strip_suffix('}').unwrap_or(&body));
    text.push_str(&format!("{BEFORE}{digest}{AFTER}\n"));
    Head { sequence, digest }
}

const BEFORE: &str = ",\"digest\":\"";
const AFTER: &str = "\"}";

impl Entry {
    /// Reads the line after `head`.
    pub(super) fn read(line: &[u8], head: &Head) -> Result<Self, String> {
        let text = std::str::from_utf8(line).map_err(|_| "not UTF-8 text".to_owned())?;
        let sealed = text.strip_suffix(AFTER).and_then(|text| text.rsplit_once(BEFORE));
        let (body, told) = sealed.ok_or("no line of a ledger")?;
        let body = format!("{body}}}");
        if sha256_hex(body.as_bytes()) != told {
            return Err("the line was changed: its digest does not fit".to_owned());
        }
        let fields: Map<String, Value> =
            serde_json::from_str(&body).map_err(|_| "no line of a ledger".to_owned())?;
        let entry = Self::of(&fields, told).ok_or("a field is missing")?;
        if (entry.sequence, &entry.previous) != (head.sequence + 1, &head.digest) {
            return Err(format!(
                "line {} of the chain stands here, {} is expected after {}: lines were removed or moved",
                entry.sequence,
                head.sequence + 1,
                head.digest
            ));
        }
        Ok(entry)
    }

    fn of(fields: &Map<String, Value>, digest: &str) -> Option<Self> {
        let text = |name: &str| fields.get(name)?.as_str().map(str::to_owned);
        let why = text("why").unwrap_or_default();
        let evaluation = Evaluation {
            guard: text("guard")?,
            inputs: fields.get("inputs")?.as_object()?.clone().into_iter().collect(),
            answer: Answer::of(&text("answer")?, why)?,
        };
        let record = Record {
            at_unix_ms: parse_timestamp(fields.get("at")?.as_str()?).ok()?,
            journey: text("journey")?,
            intent: text("intent")?,
            model: text("model")?,
            preview: fields.get("preview")?.as_bool()?,
            verdict: text("verdict")?,
            action: text("action")?,
            evaluation,
        };
        let (sequence, previous) = (fields.get("sequence")?.as_u64()?, text("previous")?);
        Some(Self { sequence, previous, digest: digest.to_owned(), record })
    }
}
