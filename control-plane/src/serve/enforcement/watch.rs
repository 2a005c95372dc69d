//! Looks after the configuration's line about enforcement: read again when the file changes, within half a second. A file with a mistake
//! anywhere still stops what its line stops ([`config::salvaged`]), and resumes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use emac_document::{Problems, Severity, Source, render_text, shown};
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::super::state::Shared;
use crate::config::{self, Stopped};
use crate::refusal::WORDS_MAX;

/// How often the file is read; its text, because mounted volumes are replaced by links that keep their times.
const PERIOD: Duration = Duration::from_millis(500);

/// Watches until told to stop.
pub(in super::super) async fn run(shared: Arc<Shared>, file: PathBuf, stop: CancellationToken) {
    // What the process began with may be older than the file is now: the first look is a change too.
    let (mut last, mut taken) = (None, None);
    while stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_some() {
        let bytes = read(&file).await;
        if let Some(text) = bytes.as_deref().filter(|_| bytes != taken)
            && take(&shared, &file, text, bytes == last)
        {
            taken.clone_from(&bytes);
        }
        last = bytes;
    }
}

/// No more of it than a configuration may have, and a byte; `None` while there is no such file.
async fn read(file: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = tokio::fs::File::open(file).await.ok()?;
    file.take(config::BYTES_MAX as u64 + 1).read_to_end(&mut bytes).await.ok()?;
    Some(bytes)
}

/// What a text stops that may have mistakes anywhere: what its document says, and what its lines say where it is none, or says it twice.
fn stopped_by(bytes: &[u8], source: Option<&Arc<Source>>) -> Option<Stopped> {
    let line = source.and_then(|source| config::enforcement_of(source, &Problems::new())).flatten();
    both(line, config::salvaged(&String::from_utf8_lossy(bytes)).as_ref())
}

fn both(one: Option<Stopped>, other: Option<&Stopped>) -> Option<Stopped> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.and(other)),
        (one, other) => one.or_else(|| other.cloned()),
    }
}

/// Takes a text, unless it must be seen once more. What stops less is taken only from a file that is valid as a whole and has settled: half a
/// file that is being written does not let sidecars act. What stops more is taken from whatever the file has become.
fn take(shared: &Shared, file: &Path, bytes: &[u8], settled: bool) -> bool {
    let (name, problems) = (file.display().to_string(), Problems::new());
    let before = shared.enforcement.stops().configured.clone();
    let source = match bytes.len() > config::BYTES_MAX {
        // Told as too long, wherever a character was cut.
        true => Some(Source::new(&name, String::from_utf8_lossy(bytes))),
        false => Source::from_bytes(&name, bytes.to_vec(), &problems),
    };
    let folder = file.parent().unwrap_or(Path::new(""));
    let config = source.as_ref().and_then(|source| config::of_text(source, folder, &problems));
    let valid = config.is_some();
    let (next, obeyed) = match config {
        Some(config) => (config.enforcement, true),
        // Of what such a file no longer says nobody knows whether it was meant to go.
        None => {
            let found = stopped_by(bytes, source.as_ref());
            let obeyed = found.is_some();
            (both(found, before.as_ref()), obeyed)
        }
    };
    let more = stops_less(next.as_ref(), before.as_ref());
    let must_settle = if valid { stops_less(before.as_ref(), next.as_ref()) } else { !more };
    if must_settle && !settled {
        return false;
    }
    tell(shared, &name, &problems, valid, obeyed);
    let same = before == next;
    // What a broken file says of who and why is heard with what it stops.
    if (valid || more) && shared.enforcement.configure(next, shared.moment()) {
        shared.replan.notify_one();
    } else if same && valid {
        info!("{name}: of it only `enforcement` is read again when it changes, which is as before");
    }
    true
}

/// Says, here and in whatever shows what is in force, that a file is refused, and what became of its line.
fn tell(shared: &Shared, name: &str, problems: &Problems, valid: bool, obeyed: bool) {
    if valid {
        return shared.enforcement.tell_of_file(None);
    }
    let became = match obeyed {
        true => "what `enforcement` stops in it is obeyed, and nothing is resumed before the file is mended",
        false => "of `enforcement`, what was in force stays",
    };
    let first = problems.list().into_iter().find(|problem| problem.severity == Severity::Error);
    let first = first.map(|problem| {
        let place = problem.location().unwrap_or_else(|| name.to_owned());
        format!("{place}: {}", problem.message)
    });
    let first = shown(&first.unwrap_or_else(|| name.to_owned()), WORDS_MAX).into_owned();
    shared.enforcement.tell_of_file(Some(format!("the configuration is refused ({first}); {became}")));
    warn!("{name} changed and is invalid; {became}\n{}", render_text(problems, false));
}

/// Whether a journey that `before` stops is not stopped by `after`.
fn stops_less(before: Option<&Stopped>, after: Option<&Stopped>) -> bool {
    let Some(before) = before else { return false };
    let Some(after) = after else { return true };
    match (&before.journeys, &after.journeys) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(after)) => before.iter().any(|name| !after.contains(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emac_core::id::JourneyName;

    #[test]
    fn less_is_stopped_where_a_name_is_missing() {
        let some = |names: &[&str]| {
            let journeys = names.iter().map(|name| JourneyName::new(name).unwrap()).collect();
            Some(Stopped { journeys: Some(journeys), ..Stopped::default() })
        };
        let all = Some(Stopped::default());
        for (before, after, less) in [
            (None, all.clone(), false),
            (all.clone(), all.clone(), false),
            (all.clone(), None, true),
            (all.clone(), some(&["a"]), true),
            (some(&["a"]), all, false),
            (some(&["a"]), some(&["a", "b"]), false),
            (some(&["a", "b"]), some(&["b"]), true),
            (some(&["a"]), None, true),
        ] {
            assert_eq!(stops_less(before.as_ref(), after.as_ref()), less, "{before:?} {after:?}");
        }
    }
}
