//! `/api/v1/records`: the hop records that came last, for people and for `emac discover --evidence`.
//!
//! The last [`KEPT_MAX`] records are kept in memory as they came, while discovery is enabled, also where no state directory keeps those of windows
//! ([`crate::evidence_log`], in the form in which sidecars send them). The answer has a line of JSON each, behind a line that says how many there are and how
//! many were overwritten; it is what people look at and filter, and lost with the process.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use emac_core::evidence::HopRecord;
use emac_core::id::HopKey;
use emac_core::outcome::{EndedBy, Outcome};
use emac_core::units::Micros;
use emac_document::{hex, unhex};
use serde_json::{Value, json};

use crate::aggregate::Recorded;

/// Records kept, about 300 bytes each: a minute of a thousand calls a second.
pub(crate) const KEPT_MAX: usize = 65_536;
/// What the first line says it is.
const KIND: &str = "HopRecords";

/// The last records, oldest first.
#[derive(Debug, Default)]
pub(super) struct LastRecords(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    records: VecDeque<(std::sync::Arc<str>, HopRecord)>,
    overwritten: u64,
}

impl LastRecords {
    /// Keeps the records of a report.
    pub(super) fn keep(&self, recorded: &Recorded) {
        let node: std::sync::Arc<str> = recorded.node.as_str().into();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for record in &recorded.records {
            if kept.records.len() >= KEPT_MAX {
                kept.records.pop_front();
                kept.overwritten += 1;
            }
            kept.records.push_back((std::sync::Arc::clone(&node), record.clone()));
        }
    }

    /// All of them as text.
    pub(super) fn lines(&self, enabled: bool) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (records, overwritten) = (kept.records.clone(), kept.overwritten);
        drop(kept);
        let head =
            json!({"kind": KIND, "enabled": enabled, "records": records.len(), "overwritten": overwritten});
        let mut text = format!("{head}\n");
        for (node, record) in &records {
            let _ = writeln!(text, "{}", encoded(node, record));
        }
        text
    }
}

fn encoded(node: &str, record: &HopRecord) -> Value {
    let HopRecord {
        trace_id,
        parent_span_id,
        hop,
        start_unix_us,
        duration,
        outcome,
        attempts,
        status,
        inbound,
        request_id,
        ended_by,
    } = record;
    json!({
        "node": node,
        "trace_id": hex(trace_id),
        "parent_span_id": hex(parent_span_id),
        "journey": hop.journey,
        "source": hop.source,
        "destination": hop.destination,
        "operation": hop.operation,
        "start_unix_us": start_unix_us,
        "duration_us": duration.0,
        "outcome": outcome.label(),
        "attempts": attempts,
        "status": status,
        "inbound": inbound,
        "request_id": hex(request_id),
        "ended_by": ended_by.label(),
    })
}

/// A line of the answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Line {
    /// The first: whether records are kept at all, and how many were overwritten.
    Head { enabled: bool, overwritten: u64 },
    /// A record with the node it is of.
    Record(String, Box<HopRecord>),
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it, with the value.
pub(crate) fn decode(line: &str) -> Result<Line, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
    if let Some(kind) = value.get("kind") {
        return match (kind.as_str(), value["enabled"].as_bool(), value["overwritten"].as_u64()) {
            (Some(KIND), Some(enabled), Some(overwritten)) => Ok(Line::Head { enabled, overwritten }),
            _ => Err(format!("`kind` is {kind}, expected \"{KIND}\" with `enabled` and `overwritten`")),
        };
    }
    let text = |key: &str| {
        let text = value[key].as_str().map(str::to_owned);
        text.ok_or_else(|| format!("`{key}` is {}, expected text", value[key]))
    };
    let number = |key: &str| {
        value[key].as_u64().ok_or_else(|| format!("`{key}` is {}, expected a whole number", value[key]))
    };
    let small = |key: &str| {
        u32::try_from(number(key)?).map_err(|_| format!("`{key}` is {}, which is too large", value[key]))
    };
    let label = text("outcome")?;
    let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.label() == label);
    let ender = text("ended_by")?;
    let ended_by = EndedBy::ALL.into_iter().find(|one| one.label() == ender);
    let record = HopRecord {
        trace_id: bytes(&text("trace_id")?, "trace_id")?,
        parent_span_id: bytes(&text("parent_span_id")?, "parent_span_id")?,
        hop: HopKey {
            journey: text("journey")?,
            source: text("source")?,
            destination: text("destination")?,
            operation: text("operation")?,
        },
        start_unix_us: number("start_unix_us")?,
        duration: Micros(number("duration_us")?),
        outcome: outcome.ok_or_else(|| format!("`outcome` is \"{label}\", which is none"))?,
        attempts: small("attempts")?,
        status: u16::try_from(small("status")?).map_err(|_| format!("`status` is {}", value["status"]))?,
        inbound: value["inbound"]
            .as_bool()
            .ok_or_else(|| format!("`inbound` is {}, expected true or false", value["inbound"]))?,
        request_id: bytes(&text("request_id")?, "request_id")?,
        ended_by: ended_by.ok_or_else(|| format!("`ended_by` is \"{ender}\", which is nobody"))?,
    };
    Ok(Line::Record(text("node")?, Box::new(record)))
}

/// So many bytes from twice as many hexadecimal digits.
fn bytes<const N: usize>(text: &str, key: &str) -> Result<[u8; N], String> {
    let bytes = unhex(text).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| format!("`{key}` is \"{text}\", expected {} hexadecimal digits", 2 * N))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(start_unix_us: u64) -> HopRecord {
        HopRecord {
            trace_id: *b"0123456789abcdef",
            parent_span_id: [0, 1, 2, 3, 4, 0xfe, 0xff, 9],
            hop: HopKey {
                journey: "checkout".to_owned(),
                operation: "GET /\u{fc}\"".to_owned(),
                ..HopKey::default()
            },
            start_unix_us,
            duration: Micros(7),
            outcome: Outcome::Alternate,
            attempts: 3,
            status: 503,
            inbound: true,
            request_id: *b"fedcba9876543210",
            ended_by: EndedBy::Mesh,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let last = LastRecords::default();
        last.keep(&Recorded { node: "n\n1".to_owned(), records: vec![record(1), record(2)] });
        let text = last.lines(true);
        let lines: Vec<_> = text.lines().map(|line| decode(line).unwrap()).collect();
        let [head, first, second] = &lines[..] else { panic!("{text}") };
        assert_eq!(*head, Line::Head { enabled: true, overwritten: 0 });
        assert_eq!(*first, Line::Record("n\n1".to_owned(), Box::new(record(1))));
        assert_eq!(*second, Line::Record("n\n1".to_owned(), Box::new(record(2))));
    }

    #[test]
    fn the_oldest_are_overwritten_and_counted() {
        let last = LastRecords::default();
        let records = (0..KEPT_MAX as u64 + 3).map(record).collect();
        last.keep(&Recorded { node: "n".to_owned(), records });
        let text = last.lines(true);
        let mut lines = text.lines().map(|line| decode(line).unwrap());
        assert_eq!(lines.next(), Some(Line::Head { enabled: true, overwritten: 3 }));
        assert_eq!(lines.next(), Some(Line::Record("n".to_owned(), Box::new(record(3)))));
        assert_eq!(lines.count(), KEPT_MAX - 1);
    }

    #[test]
    fn what_is_wrong_is_quoted() {
        let good = encoded("n", &record(1));
        for (key, value, says) in [
            ("trace_id", json!("12"), "`trace_id` is \"12\", expected 32 hexadecimal digits"),
            ("outcome", json!("fine"), "`outcome` is \"fine\", which is none"),
            ("start_unix_us", json!(-1), "`start_unix_us` is -1, expected a whole number"),
            ("status", json!(70_000), "`status` is 70000"),
            ("node", json!(null), "`node` is null, expected text"),
        ] {
            let mut bad = good.clone();
            bad[key] = value;
            assert_eq!(decode(&bad.to_string()), Err(says.to_owned()));
        }
        assert!(decode("[1]").is_err() && decode("").is_err() && decode("{\"kind\":\"List\"}").is_err());
    }
}
