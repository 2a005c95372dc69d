//! Looks after the configuration's line about enforcement: read again when the file changes, within half a second.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use emac_document::{Problems, render_text};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::super::state::Shared;
use crate::config::{self, Stopped};

/// How often the file is read; its text, because mounted volumes are replaced by links that keep their times.
const PERIOD: Duration = Duration::from_millis(500);

/// Watches until told to stop.
pub(in super::super) async fn run(shared: Arc<Shared>, file: PathBuf, stop: CancellationToken) {
    // What the process began with may be older than the file is now: the first look is a change too.
    let (mut last, mut taken) = (None, None);
    while stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_some() {
        let text = read(&file).await;
        if text.is_some() && text != taken && take(&shared, &file, text.as_deref(), text == last) {
            taken.clone_from(&text);
        }
        last = text;
    }
}

async fn read(file: &Path) -> Option<String> {
    tokio::fs::read_to_string(file).await.ok()
}

/// Takes a text, unless it must be seen once more. What stops less is taken only from a file that is valid as a whole and has settled: half a
/// file that is being written does not let sidecars act.
fn take(shared: &Shared, file: &Path, text: Option<&str>, settled: bool) -> bool {
    let Some(text) = text else { return true };
    let (name, problems) = (file.display().to_string(), Problems::new());
    let before = shared.enforcement.stops();
    let after = config::enforcement_of(text, &name, &problems);
    let less = after.as_ref().is_none_or(|after| stops_less(before.configured.as_ref(), after.as_ref()));
    if less && !settled {
        return false;
    }
    let valid = !less || config::load(file, &problems).is_some();
    let Some(stopped) = after.filter(|_| valid) else {
        let told = render_text(&problems, false);
        warn!("{name} changed and is invalid; of `enforcement`, what was in force stays\n{told}");
        return true;
    };
    let fields = before.configured == stopped;
    if shared.enforcement.configure(stopped, shared.moment()) {
        shared.replan.notify_one();
    } else if fields {
        info!("{name}: of it only `enforcement` is read again when it changes, which is as before");
    }
    true
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
