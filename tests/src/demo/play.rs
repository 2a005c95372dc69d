//! The demo's course: start, two modes of six phases, results.

use std::time::{Duration, Instant};

use super::live::Live;
use super::phase::{Mode, PHASES, Phase};
use super::report;
use super::setup::Stage;
use super::summary::{Row, Summary};
use super::{DemoError, Options, needs};
use crate::load::{Run, Sample};
use crate::testbed::Fault;

/// Load before a mode's first phase: connections open, and the planner has seen healthy calls.
const WARM_UP: Duration = Duration::from_secs(5);

/// One phase as it went, for the report.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) phase: &'static Phase,
    pub(super) mode: Mode,
    pub(super) load: Duration,
    pub(super) samples: Vec<Sample>,
}

/// Plays everything and writes the results.
pub(super) async fn demo(options: &Options) -> Result<(), DemoError> {
    let missing = needs::missing();
    if !missing.is_empty() {
        return Err(DemoError::Missing(missing));
    }
    let out = options.out();
    std::fs::create_dir_all(&out)?;
    let phases = 2 * PHASES.len() as u64;
    let live = Live::new(phases * options.phase().as_secs());
    live.say("starting services, six Envoys and the control plane");
    let began = Instant::now();
    let mut stage = Stage::start(options).await?;
    live.say(&format!("first traffic after {:.1} s", began.elapsed().as_secs_f64()));
    let (mut played, mut rows) = (Vec::new(), Vec::new());
    for mode in [Mode::Observe, Mode::Enforce] {
        stage.switch(mode).await?;
        stage.load(options, WARM_UP).run().await;
        stage.in_mode(mode).await?;
        for phase in &PHASES {
            let (one, row) = play(options, &live, &stage, mode, phase).await?;
            played.push(one);
            rows.push(row);
        }
    }
    drop(live);
    let summary = Summary::new(rows);
    let json = serde_json::to_string_pretty(&summary).map_err(std::io::Error::from)?;
    std::fs::write(out.join("summary.json"), json + "\n")?;
    std::fs::write(out.join("report.html"), report::html(&summary, &played, options))?;
    println!("{}", summary.table());
    for finding in summary.findings() {
        println!("{:<9} {}", if finding.shown { "shown" } else { "NOT shown" }, finding.text);
    }
    println!();
    println!("report   {}", out.join("report.html").display());
    println!("summary  {}", out.join("summary.json").display());
    Ok(())
}

async fn play(
    options: &Options,
    live: &Live,
    stage: &Stage,
    mode: Mode,
    phase: &'static Phase,
) -> Result<(Played, Row), DemoError> {
    let world = stage.world();
    if !phase.service.is_empty() {
        world.service(phase.service).set_fault(phase.fault).await;
    }
    let retries = world.retries().await?;
    let load = options.phase();
    let run = stage.load(options, load).start();
    watch(live, &run, mode, phase, load).await;
    // Every answer of this phase is in before the next begins.
    let samples = run.finish().await;
    let retries = world.retries().await?.saturating_sub(retries);
    if !phase.service.is_empty() {
        world.service(phase.service).set_fault(Fault::None).await;
    }
    let row = Row::of(phase, mode, &samples, load, retries);
    Ok((Played { phase, mode, load, samples }, row))
}

/// A line a second while the load is sent.
async fn watch(live: &Live, run: &Run, mode: Mode, phase: &Phase, load: Duration) {
    let began = tokio::time::Instant::now();
    for second in 1..=load.as_secs() {
        let at = Duration::from_secs(second);
        tokio::time::sleep_until(began + at).await;
        live.second(mode, phase, &run.so_far(), at);
    }
}
