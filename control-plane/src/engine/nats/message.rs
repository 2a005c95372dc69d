//! What is written into NATS: protobuf, so that a later version can add a field; long ones compressed.

use std::io::{Read as _, Write as _};

use emac_proto::convert::NodeReport;
use emac_proto::v1::ReportRequest;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use prost::Message;
use prost::bytes::Bytes;

/// Most reports that are written together, and most bytes unless one report alone has more: half of what NATS takes by default.
pub(super) const REPORTS_MAX: usize = 512;
pub(super) const BYTES_MAX: usize = 512 << 10;
/// Longer messages are compressed.
const COMPRESS_FROM: usize = 16 << 10;
/// What gzip begins with, and no message here does: a protobuf field with the wire type 7.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Most bytes of a message once it is decompressed.
const UNPACKED_MAX: usize = 1 << 30;

/// Reports of one partition that were published together. A message without any is one report by itself.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Evidence {
    /// Beyond every field of a report, so that neither is taken for the other.
    #[prost(message, repeated, tag = "1000")]
    pub(super) reports: Vec<ReportRequest>,
}

/// An entry of the log of what counts, under the subject of a partition.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Counted {
    /// Replica that holds the partition from here on; empty: nobody.
    #[prost(string, tag = "1")]
    pub(super) replica: String,
    /// Evidence of the partition up to this sequence of its stream is judged.
    #[prost(uint64, tag = "2")]
    pub(super) evidence: u64,
    /// Reports that count, each once; those of a workload may be merged into one of them.
    #[prost(message, repeated, tag = "3")]
    pub(super) reports: Vec<ReportRequest>,
}

/// A replica says that it is there.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Beat {
    /// Name of the process; no other has had it.
    #[prost(string, tag = "1")]
    pub(super) id: String,
    /// Its API.
    #[prost(string, tag = "2")]
    pub(super) http: String,
    /// It knows all that is counted, and may take partitions.
    #[prost(bool, tag = "3")]
    pub(super) ready: bool,
    /// It is ending.
    #[prost(bool, tag = "4")]
    pub(super) leaving: bool,
    /// How far it follows the shared orders about enforcement.
    #[prost(uint64, tag = "5")]
    pub(super) obeys: u64,
    /// It tried to write plans and could not: another should plan.
    #[prost(bool, tag = "6")]
    pub(super) unfit: bool,
    /// Its files are not those that the plan in force was made from: another should plan, if there is one.
    #[prost(bool, tag = "7")]
    pub(super) differs: bool,
}

/// The proxies that are connected to a replica.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Presence {
    #[prost(string, tag = "1")]
    pub(super) replica: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) proxies: Vec<Present>,
}

/// One of them.
#[derive(Clone, PartialEq, Message)]
pub struct Present {
    /// Envoy's node id.
    #[prost(string, tag = "1")]
    pub node: String,
    /// Whose sidecar it is.
    #[prost(string, tag = "2")]
    pub workload: String,
    /// For how long budgets have been unanswered, milliseconds; absent: none are.
    #[prost(uint64, optional, tag = "3")]
    pub owed_ms: Option<u64>,
    /// It refused the newest.
    #[prost(bool, tag = "4")]
    pub refused: bool,
    /// Generation that it accepted last; 0: none.
    #[prost(uint64, tag = "5")]
    pub accepted: u64,
}

/// Who plans.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Planner {
    /// Empty: nobody.
    #[prost(string, tag = "1")]
    pub(super) replica: String,
}

/// A value that may be longer than a message: itself, or where its parts are.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Head {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) body: Bytes,
    /// Names the parts; empty when `body` is all.
    #[prost(string, tag = "2")]
    pub(super) parts_of: String,
    #[prost(uint32, tag = "3")]
    pub(super) parts: u32,
    /// SHA-256 of the whole.
    #[prost(bytes = "vec", tag = "4")]
    pub(super) digest: Vec<u8>,
    /// Which of two values is the later one; never goes back.
    #[prost(uint64, tag = "5")]
    pub(super) order: u64,
}

/// How many of the first of these lengths go together: at least one.
pub(super) fn fitting(lengths: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0;
    let fit = lengths.take_while(|length| {
        bytes += length;
        bytes <= BYTES_MAX
    });
    fit.count().max(1)
}

/// The reports of a message of evidence, or the one that it is.
pub(super) fn reports(payload: &[u8]) -> Vec<Result<NodeReport, String>> {
    let checked = |report: ReportRequest| NodeReport::try_from(report).map_err(|error| error.to_string());
    match unpack::<Evidence>(payload) {
        Ok(Evidence { reports }) if !reports.is_empty() => reports.into_iter().map(checked).collect(),
        _ => vec![unpack::<ReportRequest>(payload).and_then(checked)],
    }
}

/// A message as it is written.
pub(super) fn pack(message: &impl Message) -> Bytes {
    let plain = message.encode_to_vec();
    if plain.len() < COMPRESS_FROM {
        return plain.into();
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    match encoder.write_all(&plain).and_then(|()| encoder.finish()) {
        Ok(packed) => packed.into(),
        Err(_) => plain.into(),
    }
}

/// A message as it was before [`pack`].
///
/// # Errors
/// What is wrong with the bytes.
pub(super) fn unpack<M: Message + Default>(bytes: &[u8]) -> Result<M, String> {
    unpack_at_most(bytes, UNPACKED_MAX)
}

/// The same of a message that has at most so many bytes.
///
/// # Errors
/// What is wrong with the bytes, or that there are more.
pub(super) fn unpack_at_most<M: Message + Default>(bytes: &[u8], most: usize) -> Result<M, String> {
    if !bytes.starts_with(&GZIP) {
        return M::decode(bytes).map_err(|error| error.to_string());
    }
    let mut plain = Vec::new();
    let read = GzDecoder::new(bytes).take(most as u64 + 1).read_to_end(&mut plain);
    read.map_err(|error| error.to_string())?;
    if plain.len() > most {
        return Err(format!("it is longer than {most} bytes once it is decompressed"));
    }
    M::decode(Bytes::from(plain)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_together_fits_and_is_always_one() {
        let most = BYTES_MAX;
        for (lengths, fit) in [
            (&[1, 2, 3][..], 3),
            (&[most, 1], 1),
            (&[most + 1, 1], 1),
            (&[1, most], 1),
            (&[most / 2, most / 2, 1], 2),
        ] {
            assert_eq!(fitting(lengths.iter().copied()), fit, "{lengths:?}");
        }
    }

    #[test]
    fn a_message_of_evidence_is_one_report_or_several_in_their_order() {
        let report = |sequence| ReportRequest {
            node: "n".into(),
            workload: "shop/cart".into(),
            epoch: 1,
            sequence,
            ..ReportRequest::default()
        };
        let read = |payload: Bytes| -> Vec<_> {
            reports(&payload).into_iter().map(|report| report.map(|report| report.report.sequence)).collect()
        };
        assert_eq!(read(pack(&report(7))), [Ok(7)]);
        let several: Vec<_> = (1..=300).map(report).collect();
        assert_eq!(read(pack(&Evidence { reports: several })), (1..=300).map(Ok).collect::<Vec<_>>());
        let nobody = ReportRequest { workload: String::new(), ..report(2) };
        let read = read(pack(&Evidence { reports: vec![report(1), nobody, report(3)] }));
        assert!(
            matches!(read.as_slice(), [Ok(1), Err(_), Ok(3)]),
            "one that is none costs itself only: {read:?}"
        );
    }

    #[test]
    fn long_messages_are_compressed_and_come_back() {
        for length in [0, 1, COMPRESS_FROM, 300_000] {
            let message = Beat { id: "x".repeat(length), ready: true, ..Beat::default() };
            let packed = pack(&message);
            assert_eq!(packed.starts_with(&GZIP), length >= COMPRESS_FROM);
            assert_eq!(unpack::<Beat>(&packed), Ok(message));
        }
        assert!(unpack::<Beat>(&[0x1f, 0x8b, 3]).is_err() && unpack::<Beat>(&[0x0f]).is_err());
    }
}
