//! What discovery keeps in the state directory: `discovery/watch.json`, what the watch knows (see `emac_discovery::watch::Memory`), and
//! `discovery/evidence`, the records and spans of windows that are not over ([`crate::evidence_log`]) and of the window before.
//!
//! Nothing of it is needed to go on: what cannot be read is moved aside and told, and windows begin anew.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use emac_compile::declared::Declared;
use emac_core::units::Moment;
use emac_discovery::watch::{Forgotten, Memory, Watch, WatchSettings};
use emac_document::replace_file;
use tracing::{info, warn};

use crate::aggregate::Recorded;
use crate::evidence_log::{self, EvidenceLog, FOLDER as EVIDENCE, STATE as FOLDER};
use crate::ingest::otlp::Batch;

const FILE: &str = "watch.json";
/// What could not be read, for a person to look at; the last one.
const ASIDE: &str = "watch.json.unread";

/// See the module.
#[derive(Debug)]
pub(super) struct Kept {
    /// `None`: nothing is kept.
    folder: Option<PathBuf>,
    log: Option<EvidenceLog>,
    /// The log refused, which was told.
    refused: bool,
    window_ms: u64,
}

impl Kept {
    /// Takes up what was kept, and what is to be told of it.
    pub(super) fn open(
        state: Option<&Path>,
        settings: WatchSettings,
        now: Moment,
        (journeys, aliases): (&[Declared], &[(String, String)]),
    ) -> (Self, Watch, Vec<String>) {
        let folder = state.map(|state| state.join(FOLDER));
        let mut problems = Vec::new();
        let mut new = Watch::new(settings, now);
        let named = |watch: &mut Watch| aliases.iter().for_each(|(name, of)| watch.alias(name, of));
        named(&mut new);
        let watch = match folder.as_deref() {
            Some(folder) => restore(folder, (settings, new), now, (journeys, &named), &mut problems),
            None => new,
        };
        let window_ms = settings.window.0;
        let mut kept = Self { folder, log: None, refused: false, window_ms };
        let log = kept.folder.as_ref().map(|folder| EvidenceLog::begin(&folder.join(EVIDENCE), now.unix_ms));
        match log.transpose() {
            Ok(log) => kept.log = log,
            Err(error) => problems.push(kept.refusal(&error)),
        }
        problems.extend(kept.remember(&watch, now));
        (kept, watch, problems)
    }

    /// Keeps the records of a report. The first refusal is told, once a step.
    pub(super) fn append(&mut self, recorded: &Recorded, now: Moment) -> Option<String> {
        let result = self.log.as_mut()?.append_records(recorded, now.unix_ms);
        self.told(result)
    }

    /// Keeps spans. As [`Self::append`].
    pub(super) fn append_spans(&mut self, batch: &Batch, now: Moment) -> Option<String> {
        let result = self.log.as_mut()?.append_spans(batch, now.unix_ms);
        self.told(result)
    }

    fn told(&mut self, result: io::Result<()>) -> Option<String> {
        let error = result.err()?;
        let told = std::mem::replace(&mut self.refused, true);
        (!told).then(|| self.refusal(&error))
    }

    /// A step has ended: writes down what is known. Problems are for people; the watch goes on.
    pub(super) fn save(&mut self, watch: &Watch, now: Moment) -> Vec<String> {
        let Some(folder) = &self.folder else { return Vec::new() };
        let mut problems: Vec<String> = self.remember(watch, now).into_iter().collect();
        // One window more than is needed to go on, for whoever wants to look at it.
        let keep = watch.resumes_at().saturating_sub(self.window_ms);
        self.refused = false;
        let rotated = match &mut self.log {
            Some(log) => log.rotate(now.unix_ms, keep),
            None => EvidenceLog::begin(&folder.join(EVIDENCE), now.unix_ms).map(|log| self.log = Some(log)),
        };
        if let Err(error) = rotated {
            problems.push(self.refusal(&error));
        }
        problems
    }

    /// Replaces the file whole, or not at all.
    fn remember(&self, watch: &Watch, now: Moment) -> Option<String> {
        let file = self.folder.as_ref()?.join(FILE);
        let error = replace_file(&file, watch.memory(now).as_bytes()).err()?;
        Some(format!("{error}; a restart would forget windows"))
    }

    fn refusal(&self, error: &io::Error) -> String {
        let folder = self.folder.as_deref().unwrap_or(Path::new("")).join(EVIDENCE);
        format!(
            "{}: records and spans are not kept ({error}); a restart would lose those of the present windows",
            folder.display()
        )
    }
}

/// Tells a watch which names are one service's.
type Naming<'a> = &'a dyn Fn(&mut Watch);

fn restore(
    folder: &Path,
    (settings, new): (WatchSettings, Watch),
    now: Moment,
    (journeys, named): (&[Declared], Naming<'_>),
    problems: &mut Vec<String>,
) -> Watch {
    let file = folder.join(FILE);
    let memory = match fs::read(&file) {
        Ok(bytes) => Memory::read(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return new,
        Err(error) => Err(Forgotten(error.to_string())),
    };
    let memory = match memory {
        Ok(memory) => memory,
        Err(Forgotten(reason)) => {
            problems.push(put_aside(&file, &folder.join(ASIDE), &reason));
            return new;
        }
    };
    let (mut watch, forgotten) = Watch::restore(settings, &memory, now, journeys);
    // Before any record is taken up: what was one service is one again.
    named(&mut watch);
    problems.extend(
        forgotten.into_iter().map(|Forgotten(reason)| format!("{}: forgotten: {reason}", file.display())),
    );
    replay(&folder.join(EVIDENCE), &mut watch, now, problems);
    watch
}

/// Gives evidence of windows that were not over to the watch again, as it came.
fn replay(folder: &Path, watch: &mut Watch, now: Moment, problems: &mut Vec<String>) {
    let (mut opened, since) = (0, watch.resumes_at());
    let read = evidence_log::read(folder, since, &mut |kept, arrived| {
        watch.replay_at(now.back_to(arrived), &mut opened);
        match kept {
            evidence_log::Kept::Record(node, record) => watch.hop(node, record, now),
            evidence_log::Kept::Spans(batch) => batch.replay(&mut watch.spans(now)),
        }
    });
    watch.replayed(now, opened);
    match read {
        Ok(read) => {
            let windows = watch.status().windows;
            info!(records = read.records, spans = read.spans, windows, "the drift watch goes on");
            let damaged = read.damaged.iter();
            problems.extend(damaged.map(|(path, problem)| {
                format!("{}: {problem}; what stands before it was read", path.display())
            }));
        }
        Err(error) => problems.push(format!("{}: {error}", folder.display())),
    }
}

/// Moves what cannot be read out of the way of the next save.
fn put_aside(file: &Path, aside: &Path, reason: &str) -> String {
    warn!(file = %file.display(), reason, "the drift watch begins anew");
    match fs::rename(file, aside) {
        Ok(()) => format!(
            "{}: not read ({reason}); windows begin anew, and it was moved to {}",
            file.display(),
            aside.display()
        ),
        Err(error) => format!("{}: not read ({reason}), nor moved aside ({error})", file.display()),
    }
}

#[cfg(test)]
mod tests {
    use emac_core::units::{Micros, Millis};
    use emac_discovery::watch::Recurrence;

    use super::*;

    fn settings() -> WatchSettings {
        WatchSettings {
            window: Millis(1_000),
            step: Millis(1_000),
            silence: Millis(100),
            traces_min: 5,
            recurrence: Recurrence::default(),
        }
    }

    fn now(ms: u64) -> Moment {
        Moment { at: Micros(1_000_000_000 + ms * 1_000), unix_ms: 1_700_000_000_000 + ms }
    }

    fn open(state: &Path, at: Moment) -> (Kept, Watch, Vec<String>) {
        Kept::open(Some(state), settings(), at, (&[], &[]))
    }

    #[test]
    fn without_a_state_directory_nothing_is_kept() {
        let (mut kept, watch, problems) = Kept::open(None, settings(), now(0), (&[], &[]));
        let recorded = Recorded { node: "a".to_owned(), records: Vec::new() };
        assert_eq!(
            (kept.append(&recorded, now(1)), kept.save(&watch, now(2)), problems),
            (None, vec![], vec![])
        );
    }

    #[test]
    fn what_cannot_be_read_is_moved_aside_and_the_next_save_is_whole() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join(FOLDER);
        for (at, bytes) in
            [&b""[..], b"{\"format\": 99}", b"\xff\xfe", b"{\"format\": 1}"].into_iter().enumerate()
        {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(FILE), bytes).unwrap();
            let (mut kept, mut watch, problems) = open(state.path(), now(at as u64));
            assert_eq!(problems.len(), 1, "{problems:?}");
            if at < 3 {
                assert!(problems[0].contains("moved to"), "{problems:?}");
                assert_eq!(fs::read(folder.join(ASIDE)).unwrap(), bytes);
            }
            watch.close(now(5_000), &[], &emac_discovery::mesh::MeshFacts::default());
            assert_eq!(kept.save(&watch, now(5_000)), Vec::<String>::new());
            let (_, watch, problems) = open(state.path(), now(5_100));
            assert_eq!((watch.status().windows, problems), (1, Vec::new()));
        }
    }

    #[test]
    fn a_disk_that_refuses_is_told_once_a_step_and_the_watch_goes_on() {
        let state = tempfile::tempdir().unwrap();
        // A file where the folder would be.
        fs::write(state.path().join(FOLDER), "").unwrap();
        let (mut kept, watch, problems) = open(state.path(), now(0));
        assert!(
            problems.iter().any(|problem| problem.contains("records and spans are not kept")),
            "{problems:?}"
        );
        let problems = kept.save(&watch, now(1));
        assert!(problems.iter().any(|problem| problem.contains("would forget windows")), "{problems:?}");
    }
}
