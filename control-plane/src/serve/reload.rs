//! Looks after the intents' files: reads them again when they changed, or when asked to.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::folders::Folders;
use super::intents::{Fingerprint, Intents};
use super::state::Shared;
use crate::refusal::WORDS_MAX;
use emac_document::{Problems, Severity, render_text, shown};

/// How often files are looked at where nobody tells of changes.
const PERIOD: Duration = Duration::from_millis(500);
/// How often where changes are told: those on network volumes are not.
const PERIOD_TOLD: Duration = Duration::from_secs(2);
/// After a change, how long nothing must happen before the files are read, and how long that is waited for: whoever writes many files
/// means one change.
const QUIET: Duration = Duration::from_millis(15);
const QUIET_WITHIN: Duration = Duration::from_millis(150);

/// Watches until told to stop.
pub(super) async fn run(shared: Arc<Shared>, patterns: Vec<String>, stop: CancellationToken) {
    let (mut read, mut folders) = (shared.intents.load().read().clone(), Folders::default());
    loop {
        let wanted = read.folders(&patterns);
        folders.watch(wanted.clone());
        let period = if folders.cover(&wanted) { PERIOD_TOLD } else { PERIOD };
        let asked = tokio::select! {
            () = stop.cancelled() => return,
            () = shared.reload.notified() => true,
            () = settled(&folders) => false,
            () = tokio::time::sleep(period) => false,
        };
        let (shared, patterns, before) = (Arc::clone(&shared), patterns.clone(), read.clone());
        let look = move || {
            let now = Fingerprint::take(&patterns).with_models(&shared.intents.load());
            let changed = asked || now != before;
            match changed && reload(&shared, &patterns, (!asked).then_some(&now)) {
                true => shared.intents.load().read().clone(),
                false => now,
            }
        };
        read = tokio::task::spawn_blocking(look).await.unwrap_or(read);
    }
}

/// Returns when something has changed and then nothing for a moment.
async fn settled(folders: &Folders) {
    folders.changed().await;
    let busy = async { while tokio::time::timeout(QUIET, folders.changed()).await.is_ok() {} };
    // Who writes without end is read in between.
    let _ = tokio::time::timeout(QUIET_WITHIN, busy).await;
}

/// `now`: how the files look, where only what changed need be read. Returns whether other intents are in force.
fn reload(shared: &Shared, patterns: &[String], now: Option<&Fingerprint>) -> bool {
    let (problems, before) = (Problems::new(), shared.intents.load_full());
    let changed = now.and_then(|now| before.read_changed(now));
    match changed.or_else(|| Intents::load_after(patterns, &before, &problems)) {
        Some(intents) => {
            info!(journeys = intents.planned.len(), "intents read again");
            for journey in intents.removed_since(&before) {
                let (journey, file) = (journey.intent.name.as_str(), journey.files.intent.display());
                warn!(journey, %file, "journey removed: its file is gone");
                shared.stats.journeys_removed.fetch_add(1, Relaxed);
            }
            for journey in intents.unplanned_since(&before) {
                warn!(
                    journey,
                    "journey is declared and no longer planned: its intent has no entry or no deadline any more"
                );
            }
            shared.intents_refused.store(None);
            shared.put_in_force(intents);
            shared.stats.reloads.fetch_add(1, Relaxed);
            shared.replan.notify_one();
            true
        }
        None => {
            shared.stats.reloads_refused.fetch_add(1, Relaxed);
            shared.intents_refused.store(Some(Arc::new(summary(&problems))));
            warn!("intents are invalid; the last valid ones stay in use\n{}", render_text(&problems, false));
            false
        }
    }
}

/// The first error with its place, and how many more there are.
fn summary(problems: &Problems) -> String {
    let first = problems.list().into_iter().find(|problem| problem.severity == Severity::Error);
    let first = first.map_or_else(String::new, |problem| {
        let place = problem.location().map(|place| format!("{place}: ")).unwrap_or_default();
        format!("{place}{}", problem.message)
    });
    let more = match problems.errors() {
        0 | 1 => String::new(),
        errors => format!("; and {} more errors", errors - 1),
    };
    format!("{}{more}", shown(&first, WORDS_MAX))
}
