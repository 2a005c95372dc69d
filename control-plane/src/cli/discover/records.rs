//! Hop records as evidence: from a control plane that runs, from a file with what it answered, or from its state directory.

use std::path::Path;
use std::time::Duration;

use emac_compile::model::{EvidenceRef, EvidenceSource};
use emac_discovery::discover::observe::Observations;
use emac_document::{Problem, Problems, sha256_hex};
use emac_trace::Assembler;
use hyper::Uri;

use super::super::fetch::{Server, is_server};
use super::digest;
use crate::evidence_log::{self, Kept};
use crate::serve::records::{Line, decode};

/// How long an answer may take: it has up to 20 MB.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest file read: what a control plane answers is far smaller.
const BYTES_MAX: u64 = 1 << 30;

/// Takes the records of every place, and says what they were made from.
pub(super) fn read(
    places: &[String],
    assembler: &mut Assembler<Observations>,
    problems: &Problems,
) -> Vec<EvidenceRef> {
    let mut evidence = Vec::new();
    for place in places {
        let digest = match read_place(place, assembler, problems) {
            Ok(digest) => digest,
            Err(problem) => {
                problems.push(problem.in_file(place.clone()));
                continue;
            }
        };
        evidence.push(EvidenceRef { name: place.clone(), source: EvidenceSource::HopRecords, digest });
    }
    evidence
}

/// Takes the records of a place; the digest of what it holds.
fn read_place(
    place: &str,
    assembler: &mut Assembler<Observations>,
    problems: &Problems,
) -> Result<String, Problem> {
    let path = Path::new(place);
    let text = if place.contains("://") {
        answered(place)?
    } else if path.is_dir() {
        return kept(path, assembler, problems);
    } else {
        saved(path)?
    };
    take(place, &text, assembler, problems);
    Ok(sha256_hex(text.as_bytes()))
}

fn saved(path: &Path) -> Result<String, Problem> {
    let here = path.metadata().map_err(|error| Problem::error(error.to_string()))?;
    if here.len() > BYTES_MAX {
        return Err(Problem::error(format!("has {} bytes; records have at most {BYTES_MAX}", here.len())));
    }
    std::fs::read_to_string(path).map_err(|error| Problem::error(error.to_string()))
}

/// Takes what the drift watch keeps of its windows. The control plane may run: a last record that is not yet whole is told.
fn kept(
    state: &Path,
    assembler: &mut Assembler<Observations>,
    problems: &Problems,
) -> Result<String, Problem> {
    let Some(folder) = evidence_log::folder_of(state) else {
        return Err(Problem::error("is a folder without records of calls").help(
            "expected the state directory of an `emac serve` with `discovery: {enabled: true}`, which keeps the records of the present windows; or ask it while it runs: --evidence http://127.0.0.1:8080",
        ));
    };
    let of_tracing = &mut 0;
    let read = evidence_log::read(&folder, 0, &mut |kept, _| match kept {
        Kept::Record(node, record) => assembler.hop(node, record),
        Kept::Spans(batch) => *of_tracing += batch.spans(),
    });
    let read = read.map_err(|error| Problem::error(error.to_string()))?;
    for (path, problem) in read.damaged {
        let problem = Problem::warning(format!("not read to its end: {problem}"));
        problems.push(problem.in_file(path.display().to_string()));
    }
    if read.records == 0 {
        return Err(none());
    }
    if *of_tracing > 0 {
        let left_out = format!("{of_tracing} spans of tracing beside the records were left out");
        problems.push(Problem::warning(left_out).in_file(folder.display().to_string()));
    }
    let digests = digest::of(&[folder]);
    Ok(digests.into_iter().next().map(|reference| reference.digest).unwrap_or_default())
}

/// Nothing was recorded.
fn none() -> Problem {
    let help = "sidecars send them for requests of declared journeys; is there traffic?";
    Problem::error("has no hop records").help(help)
}

fn answered(place: &str) -> Result<String, Problem> {
    let wrong = || Problem::error("is no address of a control plane").help("expected http://HOST:PORT");
    let uri: Uri = place.parse().map_err(|_| wrong())?;
    if !is_server(&uri) {
        return Err(wrong());
    }
    let server = Server::at(uri).map_err(Problem::error)?;
    let failed = |error: &dyn std::fmt::Display| Problem::error(format!("no hop records: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let bytes = runtime.map_err(|error| failed(&error))?.block_on(server.fetch("records", PATIENCE));
    let bytes =
        bytes.map_err(|error| failed(&error).help("is `emac serve` of this version running there?"))?;
    String::from_utf8(bytes.to_vec()).map_err(|error| failed(&error))
}

/// Takes every record; of lines that are none the first is told.
fn take(place: &str, text: &str, assembler: &mut Assembler<Observations>, problems: &Problems) {
    let (mut taken, mut wrong) = (0_u64, 0_u64);
    let mut said: Option<Problem> = None;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match decode(line) {
            Ok(Line::Record(node, record)) => {
                taken += 1;
                assembler.hop(&node, &record);
            }
            Ok(Line::Head { enabled, overwritten }) => said = head(enabled, overwritten).or(said),
            Err(problem) => {
                wrong += 1;
                let first =
                    || Problem::error(format!("a line is no hop record: line {}: {problem}", number + 1));
                said = if wrong == 1 { Some(first()) } else { said };
            }
        }
    }
    if wrong > 1 {
        said = said.map(|first| {
            first.help(format!("{wrong} lines are none; expected what /api/v1/records answers"))
        });
    }
    if taken == 0 && said.is_none() {
        said = Some(none());
    }
    said.into_iter().for_each(|problem| problems.push(problem.in_file(place.to_owned())));
}

/// What the first line of an answer makes known: that no records are kept, or not all.
fn head(enabled: bool, overwritten: u64) -> Option<Problem> {
    if !enabled {
        let help = "set `discovery: {enabled: true}` in its configuration";
        return Some(Problem::error("keeps no hop records, because it does not discover").help(help));
    }
    let gone = || format!("{overwritten} older records are gone: a control plane keeps the last ones");
    (overwritten > 0).then(|| Problem::warning(gone()))
}
