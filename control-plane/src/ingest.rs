//! Evidence in: checked, judged, made durable, acknowledged.
//!
//! A sidecar's stream (`service`) checks each report and puts it into a bounded queue; one committer thread (`committer`)
//! takes what has gathered, judges it (`marks`), stores it in one transaction, and only then acknowledges. A full queue is
//! answered with RESOURCE_EXHAUSTED: the sidecar keeps the report, so the bound costs time and no evidence. Traces come through a queue
//! of their own ([`otlp`]): they are samples, and what is shed of them is counted.

mod committer;
pub mod otlp;
mod plausible;
mod records;
mod service;
mod stats;

pub use committer::{Answer, Committer, CommitterSettings, Queue, SubmitError, Waiting};
pub use emac_proto::convert::NodeReport;
pub use records::{Records, RecordsReceiver, records};
pub use service::EvidenceReceiver;
pub use stats::{Stats, StatsSnapshot};
