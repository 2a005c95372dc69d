//! Evidence of discovery on disk, for as long as a window may need it again: so that a restart loses none of a window's requests, and for
//! `emac discover`.
//!
//! A folder of segments, `<milliseconds since 1970, 15 digits>.evidence`, named by when each begins; the order of their names is that of time. A segment is
//! a row of messages, each behind its length as a varint, as protobuf's delimited streams have it (`Arrival`): when something arrived by the control
//! plane's calendar, and either a report of hop records as sidecars send it (`emac.v1.ReportRequest`, of which only `node` and `records` are set) or a
//! batch of spans (`KeptBatch`). Both stand in one row because windows are made of what came in which order.
//!
//! Appended and never changed; not synced, so that a crash of the machine may cost the last seconds. A last message that is cut short, or a segment that
//! is no such file, is told and the rest is read: half a request is an incomplete trace, which discovery knows how to leave out.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use emac_core::evidence::{Delta, HopRecord};
use emac_document::create_folders;
use emac_proto::v1::ReportRequest;
use prost::Message;

use crate::aggregate::Recorded;
use crate::ingest::otlp::{Batch, KeptBatch};

/// Largest segment: some two million records or three million spans. What is above is not kept, and told.
const SEGMENT_BYTES_MAX: u64 = 256 << 20;
const EXTENSION: &str = "evidence";
/// Where discovery keeps its things in a state directory, and among them the segments.
pub(crate) const STATE: &str = "discovery";
pub(crate) const FOLDER: &str = "evidence";

/// A message of a segment.
#[derive(Clone, PartialEq, prost::Message)]
struct Arrival {
    #[prost(uint64, tag = "1")]
    unix_ms: u64,
    #[prost(message, optional, tag = "2")]
    report: Option<ReportRequest>,
    #[prost(message, optional, tag = "3")]
    spans: Option<KeptBatch>,
}

/// A piece of evidence that was kept.
#[derive(Debug)]
pub enum Kept<'a> {
    /// A record, with the node that made it.
    Record(&'a str, &'a HopRecord),
    /// Spans of tracing that came together.
    Spans(&'a Batch),
}

/// The end of a log that is written to.
#[derive(Debug)]
pub struct EvidenceLog {
    folder: PathBuf,
    segment: File,
    bytes: u64,
}

/// What reading a log gave besides records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvidenceRead {
    /// Records handed on.
    pub records: u64,
    /// Spans handed on.
    pub spans: u64,
    /// Segments that could not be read to their end: file and reason.
    pub damaged: Vec<(PathBuf, String)>,
}

impl EvidenceLog {
    /// Begins a segment in a folder, which is made where it is missing.
    ///
    /// # Errors
    /// The folder or the file cannot be made.
    pub fn begin(folder: &Path, now_unix_ms: u64) -> io::Result<Self> {
        create_folders(folder)?;
        let segment = open_segment(folder, now_unix_ms)?;
        let bytes = segment.metadata()?.len();
        Ok(Self { folder: folder.to_owned(), segment, bytes })
    }

    /// Appends the records of a report. O(records), one write.
    ///
    /// # Errors
    /// The disk refuses, or the segment is full.
    pub fn append_records(&mut self, recorded: &Recorded, now_unix_ms: u64) -> io::Result<()> {
        let delta = Delta { records: recorded.records.clone(), ..Delta::default() };
        let report = ReportRequest {
            node: recorded.node.clone(),
            records: ReportRequest::from(&delta).records,
            ..ReportRequest::default()
        };
        self.append(&Arrival { unix_ms: now_unix_ms, report: Some(report), spans: None })
    }

    /// Appends a batch of spans. O(spans), one write.
    ///
    /// # Errors
    /// As [`Self::append_records`].
    pub fn append_spans(&mut self, batch: &Batch, now_unix_ms: u64) -> io::Result<()> {
        self.append(&Arrival { unix_ms: now_unix_ms, report: None, spans: Some(batch.into()) })
    }

    fn append(&mut self, message: &Arrival) -> io::Result<()> {
        let bytes = message.encode_length_delimited_to_vec();
        if self.bytes.saturating_add(bytes.len() as u64) > SEGMENT_BYTES_MAX {
            return Err(io::Error::other(format!("the segment is full ({SEGMENT_BYTES_MAX} bytes)")));
        }
        self.segment.write_all(&bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Goes on in a new segment, and removes those that end before `keep_unix_ms`.
    ///
    /// # Errors
    /// The file cannot be made, or one cannot be removed.
    pub fn rotate(&mut self, now_unix_ms: u64, keep_unix_ms: u64) -> io::Result<()> {
        *self = Self::begin(&self.folder, now_unix_ms)?;
        let segments = segments(&self.folder)?;
        for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
            if next.0 <= keep_unix_ms {
                fs::remove_file(&segment.1)?;
            }
        }
        Ok(())
    }
}

/// Hands on all that arrived at `since_unix_ms` or later, each with its time of arrival, in the order of arrival. A folder that is not there has nothing.
///
/// # Errors
/// The folder cannot be listed.
pub fn read(
    folder: &Path,
    since_unix_ms: u64,
    take: &mut dyn FnMut(Kept<'_>, u64),
) -> io::Result<EvidenceRead> {
    let mut read = EvidenceRead::default();
    for (_, path) in segments(folder)? {
        let problem = match fs::read(&path) {
            Ok(bytes) => read_segment(&bytes, since_unix_ms, take, &mut read).err(),
            Err(error) => Some(error.to_string()),
        };
        read.damaged.extend(problem.map(|problem| (path, problem)));
    }
    Ok(read)
}

/// The folder of segments that a path means: itself, or where a state directory has it.
pub fn folder_of(path: &Path) -> Option<PathBuf> {
    let places = [path.to_owned(), path.join(FOLDER), path.join(STATE).join(FOLDER)];
    places.into_iter().find(|place| segments(place).is_ok_and(|segments| !segments.is_empty()))
}

fn read_segment(
    mut bytes: &[u8],
    since_unix_ms: u64,
    take: &mut dyn FnMut(Kept<'_>, u64),
    read: &mut EvidenceRead,
) -> Result<(), String> {
    while !bytes.is_empty() {
        let left = bytes.len();
        let Arrival { unix_ms, report, spans } = Arrival::decode_length_delimited(&mut bytes)
            .map_err(|error| format!("{error}, {left} bytes before its end"))?;
        if unix_ms < since_unix_ms {
            continue;
        }
        if let Some(report) = report {
            let node = report.node.clone();
            let delta = Delta::try_from(report).map_err(|error| error.to_string())?;
            read.records += delta.records.len() as u64;
            delta.records.iter().for_each(|record| take(Kept::Record(&node, record), unix_ms));
        }
        if let Some(spans) = spans {
            let batch = Batch::try_from(spans).map_err(|error| error.to_string())?;
            read.spans += batch.spans() as u64;
            take(Kept::Spans(&batch), unix_ms);
        }
    }
    Ok(())
}

fn open_segment(folder: &Path, unix_ms: u64) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(folder.join(format!("{unix_ms:015}.{EXTENSION}")))
}

/// When each segment begins, and its file, in the order of time.
fn segments(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut segments = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let (Some(begins), Some(EXTENSION)) = (stem, path.extension().and_then(|text| text.to_str())) {
            segments.push((begins, path));
        }
    }
    segments.sort();
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use emac_core::id::HopKey;
    use emac_core::outcome::{EndedBy, Outcome};
    use emac_core::units::Micros;

    use super::*;

    fn recorded(node: &str, traces: std::ops::Range<u8>) -> Recorded {
        let record = |trace: u8| HopRecord {
            trace_id: [trace; 16],
            parent_span_id: [0; 8],
            hop: HopKey { source: "shop/front".into(), destination: "cart".into(), ..HopKey::default() },
            start_unix_us: 1,
            duration: Micros(2),
            outcome: Outcome::Timeout,
            attempts: 3,
            status: 504,
            inbound: false,
            request_id: [9; 16],
            ended_by: EndedBy::Filter,
        };
        Recorded { node: node.to_owned(), records: traces.map(record).collect() }
    }

    fn all(folder: &Path, since: u64) -> (Vec<(String, u8, u64)>, EvidenceRead) {
        let mut seen = Vec::new();
        let read = read(folder, since, &mut |kept, at| {
            let Kept::Record(node, record) = kept else { panic!("{kept:?}") };
            assert_eq!(record, &recorded("", record.trace_id[0]..record.trace_id[0] + 1).records[0]);
            seen.push((node.to_owned(), record.trace_id[0], at));
        });
        (seen, read.unwrap())
    }

    #[test]
    fn records_are_read_as_they_came_and_old_segments_go() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("evidence");
        assert_eq!(all(&folder, 0), (Vec::new(), EvidenceRead::default()));
        let mut log = EvidenceLog::begin(&folder, 1_000).unwrap();
        log.append_records(&recorded("a", 1..3), 1_001).unwrap();
        log.rotate(2_000, 0).unwrap();
        log.append_records(&recorded("b", 3..4), 2_001).unwrap();
        drop(log);
        // Another process goes on.
        let mut log = EvidenceLog::begin(&folder, 3_000).unwrap();
        log.append_records(&recorded("a", 4..5), 3_001).unwrap();
        let of = |node: &str, trace, at| (node.to_owned(), trace, at);
        let (seen, read) = all(&folder, 0);
        assert_eq!(seen, [of("a", 1, 1_001), of("a", 2, 1_001), of("b", 3, 2_001), of("a", 4, 3_001)]);
        assert_eq!(read, EvidenceRead { records: 4, ..EvidenceRead::default() });
        assert_eq!(all(&folder, 2_001).0.len(), 2);
        log.rotate(4_000, 2_500).unwrap();
        assert_eq!(all(&folder, 0).0, [of("b", 3, 2_001), of("a", 4, 3_001)], "whose end is older");
    }

    #[test]
    fn records_and_spans_stand_in_the_order_in_which_they_came_and_a_state_directory_has_them() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(folder_of(state.path()), None);
        let folder = state.path().join(STATE).join(FOLDER);
        let mut log = EvidenceLog::begin(&folder, 1).unwrap();
        log.append_records(&recorded("a", 1..2), 1).unwrap();
        log.append_spans(&Batch::default(), 2).unwrap();
        log.append_records(&recorded("a", 2..3), 3).unwrap();
        for path in [state.path(), &state.path().join(STATE), &folder] {
            assert_eq!(folder_of(path).as_ref(), Some(&folder));
        }
        let mut seen = Vec::new();
        read(&folder, 0, &mut |kept, at| seen.push((matches!(kept, Kept::Spans(_)), at))).unwrap();
        assert_eq!(seen, [(false, 1), (true, 2), (false, 3)]);
    }

    #[test]
    fn a_damaged_segment_is_told_and_the_others_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = EvidenceLog::begin(folder.path(), 1).unwrap();
        log.append_records(&recorded("a", 1..3), 1).unwrap();
        log.append_records(&recorded("a", 3..5), 2).unwrap();
        log.rotate(5, 0).unwrap();
        log.append_records(&recorded("a", 5..6), 6).unwrap();
        let first = folder.path().join("000000000000001.evidence");
        let whole = fs::read(&first).unwrap();
        for cut in 1..whole.len() {
            fs::write(&first, &whole[..cut]).unwrap();
            let (seen, read) = all(folder.path(), 0);
            assert_eq!(seen.last().unwrap().1, 5, "cut at {cut}");
            let boundary = cut == whole.len() / 2;
            assert_eq!((read.damaged.len(), read.records as usize), (usize::from(!boundary), seen.len()));
        }
        fs::write(&first, [0xff; 40]).unwrap();
        fs::write(folder.path().join("notes.txt"), "not ours").unwrap();
        let (seen, read) = all(folder.path(), 0);
        assert_eq!((seen.len(), read.damaged[0].0.as_path()), (1, first.as_path()));
    }

    #[test]
    fn a_full_segment_refuses_and_the_next_one_takes_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = EvidenceLog::begin(folder.path(), 1).unwrap();
        log.bytes = SEGMENT_BYTES_MAX;
        assert!(log.append_records(&recorded("a", 1..2), 1).unwrap_err().to_string().contains("full"));
        log.rotate(2, 0).unwrap();
        log.append_records(&recorded("a", 1..2), 3).unwrap();
    }
}
