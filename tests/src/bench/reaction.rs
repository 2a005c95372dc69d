//! From a fault to an enforced budget: `paya` becomes ten times slower; how long until the sidecar of its caller says that it acts on a
//! plan that was changed for it?
//!
//! The clock starts when the fault is in effect and stops when `front`'s own gauge `emac_budget_generation` has reached the generation of the
//! first plan in which `paya`'s timeout differs. The gauge is written once a report (500 ms), so the time is overstated by up to that.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Section;
use super::timing::median;
use crate::testbed::product::{CHECKOUT_INTENT, Serve, filter};
use crate::testbed::{Fault, World, wait_until};

/// Heading of the section.
pub const TITLE: &str = "Control loop: fault to enforced budget";
const RUNS: u64 = 5;
const RATE: f64 = 100.0;
const TARGET: f64 = 2.0;
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the checkout `RUNS` times, enforcing, and slows `paya` down. About a minute.
///
/// # Errors
/// A sentence: what is missing, or what did not happen.
pub async fn section() -> Result<Section, String> {
    let mut seconds = Vec::new();
    for seed in 1..=RUNS {
        seconds.push(reaction(seed).await?);
    }
    let middle = median(seconds.clone()).unwrap_or(f64::NAN);
    let verdict = if middle <= TARGET { "met" } else { "MISSED" };
    let mut body = format!(
        "`paya` ten times slower at {RATE} requests/s; seconds until `front`'s sidecar acts on a plan changed for it, {RUNS} runs:"
    );
    seconds.iter().for_each(|s| {
        let _ = write!(body, " {s:.2}");
    });
    let _ = writeln!(body, ".\n\nTarget: at most {TARGET} s; median {middle:.2} s ({verdict}).");
    Ok(Section { title: TITLE, body })
}

async fn reaction(seed: u64) -> Result<f64, String> {
    let intent = CHECKOUT_INTENT.replace("mode: observe", "mode: enforce");
    let serve = Serve { intent, ..Serve::default() }.setup().map_err(|e| e.to_string())?;
    let filter = filter().map_err(|e| e.to_string())?;
    let world = World::builder()
        .seed(seed)
        .filter(filter)
        .control_plane(serve)
        .start()
        .await
        .map_err(|e| e.to_string())?;
    let load = world.load().rate(RATE).duration(PATIENCE * 3).start();
    if !wait_until(PATIENCE, || async { is_measured(&world).await }).await {
        return Err("the plan never used what was measured".to_owned());
    }
    let before = timeout(&plan(&world).await);
    world.service("paya").set_fault(Fault::Slow { factor: 10.0 }).await;
    let began = Instant::now();
    let changed = std::cell::Cell::new(None);
    let enforced = wait_until(PATIENCE, || async {
        if changed.get().is_none() {
            let plan = plan(&world).await;
            changed.set(plan["generation"].as_u64().filter(|_| timeout(&plan) != before));
        }
        matches!((changed.get(), acted_on(&world).await), (Some(wanted), Some(held)) if held >= wanted)
    })
    .await;
    let seconds = began.elapsed().as_secs_f64();
    drop(load);
    if enforced { Ok(seconds) } else { Err(format!("no changed budget within {} s", PATIENCE.as_secs())) }
}

async fn plan(world: &World) -> Value {
    world.control().json("/api/v1/plan").await.unwrap_or_default()
}

fn paya(plan: &Value) -> Option<&Value> {
    plan["journeys"]["checkout"]["leaves"].as_array()?.iter().find(|leaf| leaf["component"] == "paya")
}

fn timeout(plan: &Value) -> Option<u64> {
    paya(plan)?["timeout_ms"].as_u64()
}

async fn is_measured(world: &World) -> bool {
    paya(&plan(world).await).is_some_and(|leaf| leaf["curve"]["source"] == "measured")
}

/// Generation that `front`'s sidecar says it acts on.
async fn acted_on(world: &World) -> Option<u64> {
    let stats = world.envoy("front").stats().await.ok()?;
    Some(stats.sum("emac_budget_generation", &[]) as u64)
}
