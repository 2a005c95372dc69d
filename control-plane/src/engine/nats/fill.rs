//! How full the streams are: full, they refuse reports or plans, and somebody wants to know before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::layout::Layout;

/// How often NATS is asked.
const LOOK: Duration = Duration::from_secs(5);

/// Share of its bytes that each stream holds, 0 to 1, as last told; without those that have no limit.
#[derive(Debug, Default)]
pub(super) struct Fill(Mutex<BTreeMap<&'static str, f64>>);

impl Fill {
    /// Asks for ever. What NATS does not tell stays as it was: that it is away is told elsewhere.
    pub(super) async fn watch(self: Arc<Self>, layout: Layout) {
        let streams =
            [("evidence", &layout.evidence), ("counted", &layout.counted), ("state", &layout.state.stream)];
        loop {
            for (name, stream) in streams {
                let Ok(info) = stream.get_info().await else { continue };
                let most = u64::try_from(info.config.max_bytes).unwrap_or(0);
                let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                match most {
                    0 => drop(shares.remove(name)),
                    most => drop(shares.insert(name, info.state.bytes as f64 / most as f64)),
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// By stream: `evidence`, `counted`, `state`.
    pub(super) fn shares(&self) -> BTreeMap<&'static str, f64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
