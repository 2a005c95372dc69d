//! Looks after the intents' files: reads them again when they changed, or when asked to.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::intents::{Fingerprint, Intents};
use super::state::Shared;
use emac_document::{Problems, render_text};

/// How often files are looked at. Not by events of the file system: those are lost on network and mounted volumes, which is where
/// intents come from in a cluster.
const PERIOD: Duration = Duration::from_millis(500);

/// Watches until told to stop. `read` is what the intents in force were read from.
pub(super) async fn run(
    shared: Arc<Shared>,
    patterns: Vec<String>,
    mut read: Fingerprint,
    stop: CancellationToken,
) {
    loop {
        let asked = tokio::select! {
            () = stop.cancelled() => return,
            () = shared.reload.notified() => true,
            () = tokio::time::sleep(PERIOD) => false,
        };
        let (shared, patterns, before) = (Arc::clone(&shared), patterns.clone(), read.clone());
        let look = move || {
            let now = Fingerprint::take(&patterns).with_models(&shared.intents.load());
            if asked || now != before {
                reload(&shared, &patterns);
            }
            now
        };
        read = tokio::task::spawn_blocking(look).await.unwrap_or(read);
    }
}

fn reload(shared: &Shared, patterns: &[String]) {
    let problems = Problems::new();
    match Intents::load(patterns, &problems) {
        Some(intents) => {
            info!(journeys = intents.planned.len(), "intents read again");
            shared.put_in_force(intents);
            shared.stats.reloads.fetch_add(1, Relaxed);
            shared.replan.notify_one();
        }
        None => {
            shared.stats.reloads_refused.fetch_add(1, Relaxed);
            warn!("intents are invalid; the last valid ones stay in use\n{}", render_text(&problems, false));
        }
    }
}
