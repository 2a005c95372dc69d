//! One size, from the start of the server to its end.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::servers::Servers;
use super::sidecar::{self, Failure, Said, Surroundings};
use super::{Plan, world};
use crate::testbed::client::get;

/// Sidecars that connect at a time, as a rolling update lets them.
const CONNECTING: usize = 200;
const NO_NATS: &str =
    "several replicas need a nats-server: `make tools`, or name it with --nats or NATS_SERVER_BIN";
/// A change that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// What one size came to.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// As asked for.
    pub sidecars: usize,
    /// As asked for: one has a store of its own, several share a NATS.
    pub replicas: usize,
    /// Declared.
    pub journeys: usize,
    /// Reported.
    pub hops: usize,
    /// From the start of the process to the first budgets in a sidecar.
    pub first_plan: Duration,
    /// From the first connection until every sidecar held budgets.
    pub connected: Duration,
    /// From a file's change to the last acknowledgement, each change of one journey.
    pub single: Vec<Duration>,
    /// The same for changes of all journeys.
    pub whole: Vec<Duration>,
    /// From a report to its acknowledgement in the steady state: median and 99th percentile, milliseconds.
    pub durable_ms: [f64; 2],
    /// In the steady state.
    pub reports_per_s: f64,
    /// Processor time of all control planes a second, in the steady state.
    pub cores: f64,
    /// The same of NATS.
    pub nats_cores: f64,
    /// Of the largest control plane, at the end.
    pub rss_bytes: u64,
    /// Of NATS, at the end.
    pub nats_rss_bytes: u64,
    /// Share of calls that were counted under the overflow hop.
    pub overflow_share: f64,
}

/// What is run.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The binary that is measured.
    pub emac: PathBuf,
    /// The nats-server, where there is one.
    pub nats: Option<PathBuf>,
}

/// Measures one size.
///
/// # Errors
/// What went wrong, with the end of the server's log.
pub async fn measure(programs: &Programs, plan: &Plan) -> Result<Measured, Failure> {
    let dir = tempfile::tempdir()?;
    let mut bench = Bench::start(programs, plan, dir.path()).await?;
    let result = bench.all(plan).await;
    bench.around.stop.cancel();
    let logs = bench.servers.logs();
    bench.servers.end().await;
    result.map_err(|problem| format!("{problem}\n{logs}").into())
}

struct Bench {
    servers: Servers,
    intents: PathBuf,
    around: Surroundings,
    said: mpsc::UnboundedReceiver<Said>,
    /// How often the journeys were changed; each adds a millisecond to their deadline.
    round: u64,
    durable: Vec<Duration>,
}

impl Bench {
    async fn start(programs: &Programs, plan: &Plan, dir: &Path) -> Result<Self, Failure> {
        let intents = dir.join("journeys");
        std::fs::create_dir(&intents)?;
        for number in 0..plan.sidecars.div_ceil(world::WORKLOADS) {
            world::write_intent(&intents, number, world::DEADLINE_MS)?;
        }
        let servers = match (plan.replicas, &programs.nats) {
            (1, _) => Servers::alone(&programs.emac, &intents, dir).await?,
            (_, None) => return Err(NO_NATS.into()),
            (replicas, Some(nats)) => Servers::several(&programs.emac, nats, &intents, dir, replicas).await?,
        };
        let (sender, said) = mpsc::unbounded_channel();
        let around = Surroundings {
            grpc: servers.grpc.clone().into(),
            report_every: plan.report_every,
            said: sender,
            stop: CancellationToken::new(),
        };
        Ok(Self { servers, intents, around, said, round: 0, durable: Vec::new() })
    }

    async fn all(&mut self, plan: &Plan) -> Result<Measured, Failure> {
        let journeys = plan.sidecars.div_ceil(world::WORKLOADS);
        let everybody: BTreeSet<usize> = (0..plan.sidecars).collect();
        // The first is there before the plan is.
        tokio::spawn(sidecar::run(0, self.around.clone()));
        let first = self.until_held(&BTreeSet::from([0]), world::DEADLINE_MS).await?;
        let first_plan = first.duration_since(self.servers.began);
        let connecting = Instant::now();
        let around = self.around.clone();
        let sidecars = plan.sidecars;
        tokio::spawn(async move {
            for sidecar in 1..sidecars {
                tokio::spawn(sidecar::run(sidecar, around.clone()));
                if sidecar % CONNECTING == 0 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
        let others = everybody.iter().copied().skip(1).collect();
        let connected = self.until_held(&others, world::DEADLINE_MS).await?.duration_since(connecting);
        // Every sidecar has reported, and the plan has followed.
        self.listen(plan.report_every * 2 + Duration::from_secs(5)).await?;
        let (reports_per_s, durable_ms, [cores, nats_cores]) = self.steady(plan.steady).await?;
        let mut single = Vec::new();
        for n in 0..plan.single_changes {
            let number = (n * 7_919) % journeys;
            single.push(self.change(&[number], plan.sidecars).await?);
            self.listen(Duration::from_millis(300)).await?;
        }
        let mut whole = Vec::new();
        for _ in 0..plan.whole_changes {
            whole.push(self.change(&(0..journeys).collect::<Vec<_>>(), plan.sidecars).await?);
            self.listen(Duration::from_secs(3)).await?;
        }
        let [rss_bytes, nats_rss_bytes] = self.servers.rss_bytes();
        let (hops, overflow_share) = self.hops().await?;
        Ok(Measured {
            sidecars,
            replicas: plan.replicas,
            journeys,
            hops,
            first_plan,
            connected,
            single,
            whole,
            durable_ms,
            reports_per_s,
            cores,
            nats_cores,
            rss_bytes,
            nats_rss_bytes,
            overflow_share,
        })
    }

    /// Changes some journeys; the time until the last of their sidecars has acknowledged what follows.
    async fn change(&mut self, journeys: &[usize], sidecars: usize) -> Result<Duration, Failure> {
        self.round += 1;
        let deadline_ms = world::DEADLINE_MS + self.round;
        let of = |number: &usize| {
            (number * world::WORKLOADS..(number + 1) * world::WORKLOADS).filter(|n| *n < sidecars)
        };
        let waiting: BTreeSet<usize> = journeys.iter().flat_map(of).collect();
        let (intents, numbers) = (self.intents.clone(), journeys.to_vec());
        let begun = Instant::now();
        let written = tokio::task::spawn_blocking(move || {
            numbers.into_iter().try_for_each(|number| world::write_intent(&intents, number, deadline_ms))
        });
        let held = self.until_held(&waiting, deadline_ms).await?;
        written.await??;
        Ok(held.duration_since(begun))
    }

    /// When the last of some sidecars acknowledged budgets with a deadline.
    async fn until_held(&mut self, waiting: &BTreeSet<usize>, wanted_ms: u64) -> Result<Instant, Failure> {
        let mut waiting = waiting.clone();
        let (mut last, begun) = (Instant::now(), Instant::now());
        while !waiting.is_empty() {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let said = tokio::time::timeout(left, self.said.recv()).await;
            let said = said.map_err(|_| format!("{} sidecars wait for {wanted_ms} ms", waiting.len()))?;
            match said.ok_or("no sidecar is left")? {
                Said::Holds { sidecar, deadline_ms, at } if deadline_ms == wanted_ms => {
                    waiting.remove(&sidecar);
                    last = at;
                }
                Said::Holds { .. } => {}
                Said::Durable(took) => self.durable.push(took),
                Said::Ended(sidecar, why) => return Err(format!("sidecar {sidecar}: {why}").into()),
            }
        }
        Ok(last)
    }

    /// Hears what the sidecars say for a while.
    async fn listen(&mut self, length: Duration) -> Result<(), Failure> {
        let end = tokio::time::sleep(length);
        tokio::pin!(end);
        loop {
            let said = tokio::select! {
                () = &mut end => return Ok(()),
                said = self.said.recv() => said,
            };
            match said.ok_or("no sidecar is left")? {
                Said::Durable(took) => self.durable.push(took),
                Said::Ended(sidecar, why) => return Err(format!("sidecar {sidecar}: {why}").into()),
                Said::Holds { .. } => {}
            }
        }
    }

    /// Reports a second, how long they took to be durable, and cores of the control planes and of NATS.
    async fn steady(&mut self, length: Duration) -> Result<(f64, [f64; 2], [f64; 2]), Failure> {
        self.durable.clear();
        let (begun, before) = (Instant::now(), self.servers.cpu_time());
        self.listen(length).await?;
        let (passed, after) = (begun.elapsed(), self.servers.cpu_time());
        let took = std::mem::take(&mut self.durable);
        let ms = |q| super::quantile(&took, q).as_secs_f64() * 1e3;
        let cores = |of: usize| after[of].saturating_sub(before[of]).as_secs_f64() / passed.as_secs_f64();
        let cores = [cores(0), cores(1)];
        Ok((took.len() as f64 / passed.as_secs_f64(), [ms(0.5), ms(0.99)], cores))
    }

    /// Hops told apart, and the share of calls that were not.
    async fn hops(&self) -> Result<(usize, f64), Failure> {
        let (_, text) = get(self.servers.http, "/metrics").await?;
        let (mut keys, mut all, mut overflow) = (BTreeSet::new(), 0.0, 0.0);
        for line in text.lines().filter(|line| line.starts_with("emac_hop_requests_total{")) {
            let Some((labels, value)) = line.rsplit_once(' ') else { continue };
            let value: f64 = value.parse().unwrap_or_default();
            all += value;
            if labels.contains("destination=\"_overflow\"") {
                overflow += value;
            }
            let told_apart = labels.split(',').filter(|label| !label.starts_with("outcome="));
            keys.insert(told_apart.collect::<Vec<_>>().join(","));
        }
        Ok((keys.len(), if all > 0.0 { overflow / all } else { 0.0 }))
    }
}
