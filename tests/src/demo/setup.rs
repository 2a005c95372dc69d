//! The stage: the checkout's world with the product in it, and switching its mode.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::phase::Mode;
use super::{DemoError, Options};
use crate::load::Load;
use crate::testbed::product::{CHECKOUT_INTENT, INTENT_FILE, Serve, filter};
use crate::testbed::{World, WorldError, wait_until};

/// How long budgets may take from the intent's file to the sidecars' word that they act on them.
const SWITCH_PATIENCE: Duration = Duration::from_secs(15);

/// Nodes of the sidecars that recognise the journey or call others on it; the rest only report.
const DECIDERS: [&str; 2] = ["edge-1", "front-1"];

/// The world of the demo.
#[derive(Debug)]
pub(super) struct Stage {
    world: World,
    /// Newest generation acted on before the last switch.
    generation: u64,
}

impl Stage {
    /// Starts everything, observing.
    pub(super) async fn start(options: &Options) -> Result<Self, DemoError> {
        let run = options.out().join("run");
        // Logs of the run before would be appended to, and its state continued.
        let _ = std::fs::remove_dir_all(&run);
        let serve = Serve { intent: intent(Mode::Observe), ..Serve::default() };
        let world = World::builder()
            .seed(options.seed)
            .dir(run)
            .filter(filter().map_err(WorldError::from)?)
            .control_plane(serve.setup().map_err(WorldError::from)?)
            .start()
            .await?;
        Ok(Self { world, generation: 0 })
    }

    pub(super) fn world(&self) -> &World {
        &self.world
    }

    /// The users: `options.rate` a second for so long.
    pub(super) fn load(&self, options: &Options, duration: Duration) -> Load {
        self.world.load().rate(f64::from(options.rate)).duration(duration)
    }

    /// Changes one word of the intent, as an operator would; the control plane notices and pushes.
    pub(super) async fn switch(&mut self, mode: Mode) -> Result<(), DemoError> {
        self.world.reseed();
        if mode != Mode::Observe {
            self.generation = self.generations().await.into_values().max().unwrap_or_default();
            self.world.control().write(INTENT_FILE, &intent(mode))?;
        }
        Ok(())
    }

    /// Waits until the sidecars that decide say that they act on budgets issued since the last switch.
    pub(super) async fn in_mode(&self, mode: Mode) -> Result<(), DemoError> {
        let acts = async || {
            let generations = self.generations().await;
            DECIDERS.iter().all(|node| generations.get(*node).is_some_and(|g| *g > self.generation))
        };
        if wait_until(SWITCH_PATIENCE, acts).await {
            return Ok(());
        }
        let detail = format!("they report generations {:?}", self.generations().await);
        Err(DemoError::NotInMode { mode, seconds: SWITCH_PATIENCE.as_secs(), detail })
    }

    /// The generation each sidecar says it acts on; empty while the control plane does not answer.
    async fn generations(&self) -> BTreeMap<String, u64> {
        let proxies = self.world.control().json("/api/v1/proxies").await.unwrap_or_default();
        let proxies = proxies["proxies"].as_array().cloned().unwrap_or_default();
        let one = |proxy: Value| Some((proxy["node"].as_str()?.to_owned(), proxy["generation"].as_u64()?));
        proxies.into_iter().filter_map(one).collect()
    }
}

/// The example's intent in this mode.
fn intent(mode: Mode) -> String {
    CHECKOUT_INTENT.replace("mode: observe", &format!("mode: {mode}"))
}
