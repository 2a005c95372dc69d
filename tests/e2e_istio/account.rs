//! Exact account: what the load counted, what proxies say, and what the control plane added up must be the same.

use std::collections::BTreeMap;
use std::time::Duration;

use emac_tests::load::{Load, Run, Sample, Tally};
use emac_tests::stats::Samples;
use emac_tests::testbed::wait_until;

use crate::Told;
use crate::mesh::{FRONT, Gateway, JOURNEY, Mesh, PATIENCE, PAY};

/// Counters of the control plane and of every proxy at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Counters {
    control: Samples,
    proxies: BTreeMap<&'static str, Samples>,
}

/// Who counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By {
    /// `emac serve`.
    Control,
    /// The merged metrics of a workload's proxy.
    Proxy(&'static str),
}

impl Counters {
    /// As they are now.
    pub(crate) async fn now(mesh: &Mesh) -> Told<Self> {
        let mut proxies = BTreeMap::new();
        for agent in mesh.agents() {
            proxies.insert(agent.pod.name, agent.metrics().await?);
        }
        Ok(Self { control: mesh.control_metrics().await?, proxies })
    }

    /// As they are once nothing is being counted any more: the control plane heard nothing new for longer than proxies wait to report.
    pub(crate) async fn settled(mesh: &Mesh) -> Told<Self> {
        let mut last = Self::now(mesh).await?;
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            let now = Self::now(mesh).await?;
            if now.calls() == last.calls() {
                return Ok(now);
            }
            last = now;
        }
        Err("counters do not settle".to_owned())
    }

    fn calls(&self) -> Vec<f64> {
        let names = ["emac_hop_requests_total", "journey_requests_total"];
        let all = std::iter::once(&self.control).chain(self.proxies.values());
        all.flat_map(|samples| names.map(|name| samples.sum(name, &[]))).collect()
    }

    /// Sum of a counter over samples with these labels.
    pub(crate) fn sum(&self, by: By, name: &str, labels: &[(&str, &str)]) -> f64 {
        match by {
            By::Control => self.control.sum(name, labels),
            By::Proxy(proxy) => self.proxies.get(proxy).map_or(0.0, |samples| samples.sum(name, labels)),
        }
    }

    /// Growth of a counter since, by a label's value, without what did not grow.
    pub(crate) fn grown(
        &self,
        since: &Self,
        by: By,
        name: &str,
        labels: &[(&str, &str)],
        label: &str,
    ) -> BTreeMap<String, f64> {
        let of = |counters: &Self| {
            let samples = match by {
                By::Control => Some(&counters.control),
                By::Proxy(proxy) => counters.proxies.get(proxy),
            };
            let mut sums = BTreeMap::<String, f64>::new();
            for sample in samples.into_iter().flat_map(|samples| samples.select(name, labels)) {
                *sums.entry(sample.labels.get(label).cloned().unwrap_or_default()).or_default() +=
                    sample.value;
            }
            sums
        };
        let (before, mut now) = (of(since), of(self));
        for (value, sum) in &mut now {
            *sum -= before.get(value).copied().unwrap_or(0.0);
        }
        now.retain(|_, sum| *sum != 0.0);
        now
    }
}

/// Waits until a counter has grown by exactly so much; says by how much otherwise.
pub(crate) async fn grows(
    mesh: &Mesh,
    since: &Counters,
    by: By,
    name: &str,
    labels: &[(&str, &str)],
    expected: u64,
) -> Told<()> {
    let grown = || async {
        let now = Counters::now(mesh).await.ok()?;
        Some(now.sum(by, name, labels) - since.sum(by, name, labels))
    };
    if wait_until(PATIENCE, || async { grown().await == Some(expected as f64) }).await {
        return Ok(());
    }
    Err(format!("{by:?} counted {:?}, not {expected}, of {name}{labels:?}", grown().await))
}

/// What a load of `requests` through a gateway must have left behind in every account, when all were answered by the services themselves.
pub(crate) async fn all_counted(mesh: &Mesh, since: &Counters, gateway: Gateway, requests: u64) -> Told<()> {
    let source = format!("shop/{}", gateway.workload());
    let proxy = By::Proxy(gateway.workload());
    let journey = [("journey", JOURNEY), ("result", "success")];
    for by in [By::Control, proxy] {
        grows(mesh, since, by, "journey_requests_total", &[("journey", JOURNEY)], requests).await?;
        grows(mesh, since, by, "journey_requests_total", &journey, requests).await?;
    }
    let hop = |destination| [("journey", JOURNEY), ("destination", destination), ("outcome", "success")];
    for (proxy, source, destination) in
        [(proxy, source.as_str(), FRONT), (By::Proxy("front"), "shop/front", PAY)]
    {
        let at_control = [&hop(destination)[..], &[("source", source)]].concat();
        grows(mesh, since, By::Control, "emac_hop_requests_total", &[("source", source)], requests).await?;
        grows(mesh, since, By::Control, "emac_hop_requests_total", &at_control, requests).await?;
        grows(mesh, since, proxy, "emac_hop_requests_total", &hop(destination), requests).await?;
    }
    Ok(())
}

/// All of these were right: answered well, and nothing in them was degraded.
pub(crate) fn all_right(samples: &[Sample]) -> Told<u64> {
    let tally = tally(samples);
    match tally.ok == tally.sent && tally.degraded == 0 && tally.sent > 0 {
        true => Ok(tally.sent),
        false => Err(format!(
            "of {} requests {} were answered well and {} of these degraded; {}",
            tally.sent,
            tally.ok,
            tally.degraded,
            wrong(samples, |sample| sample.ok() && !sample.degraded)
        )),
    }
}

/// All were answered well, part of them degraded; how many were.
pub(crate) fn all_answered(samples: &[Sample]) -> Told<u64> {
    let tally = tally(samples);
    match tally.ok == tally.sent {
        true => Ok(tally.degraded),
        false => {
            let wrong = wrong(samples, Sample::ok);
            Err(format!("of {} requests {} were answered well; {wrong}", tally.sent, tally.ok))
        }
    }
}

/// The first and the last few that were wrong: when they began, with what status they ended, after how long.
fn wrong(samples: &[Sample], right: impl Fn(&Sample) -> bool) -> String {
    const SHOWN: usize = 3;
    let wrong: Vec<&Sample> = samples.iter().filter(|sample| !right(sample)).collect();
    let last = wrong.len().saturating_sub(SHOWN).max(SHOWN.min(wrong.len()));
    let shown = wrong.iter().take(SHOWN).chain(wrong.iter().skip(last));
    let tell = |s: &&Sample| {
        format!("at {:.1} s {} after {} ms", s.at.as_secs_f64(), s.status, s.latency.as_millis())
    };
    shown.map(tell).collect::<Vec<_>>().join(", ")
}

/// Sums; the deadline plays no part where scenarios count.
pub(crate) fn tally(samples: &[Sample]) -> Tally {
    Tally::of(samples, Duration::from_secs(60))
}

/// A load that goes on until it is stopped.
pub(crate) fn endless(load: Load) -> Run {
    load.rate(60.0).count(u64::MAX).start()
}

/// Sends requests until as many in a row as all workers of all proxies can hold are known to be of the journey.
pub(crate) async fn recognised(mesh: &Mesh, gateway: Gateway) -> Told<()> {
    const IN_A_ROW: u64 = 16;
    // Above it, a deadline is a moment: the pod's own inbound side has turned the time that remained into it.
    const REMAINING_MAX: u64 = 120_000;
    let front = mesh.service("front")?;
    let known = || async {
        front.forget();
        let answers = tally(&mesh.load(gateway).clients(4).count(IN_A_ROW).run().await);
        let seen = front.seen();
        answers.ok == IN_A_ROW
            && answers.degraded == 0
            && seen.len() as u64 == IN_A_ROW
            && seen.iter().all(|s| deadline(&s.headers).is_some_and(|at| at > REMAINING_MAX))
    };
    match wait_until(PATIENCE, known).await {
        true => Ok(()),
        false => {
            let baggage: Vec<_> = front.seen().iter().map(|s| s.headers.get("baggage").cloned()).collect();
            Err(format!("requests through {gateway:?} are not known to be of the journey: {baggage:?}"))
        }
    }
}

/// The deadline in the journey context of a request, in milliseconds, whichever of its forms it has; `None` without a context of the journey.
pub(crate) fn deadline(headers: &http::HeaderMap) -> Option<u64> {
    let members = headers
        .get_all("baggage")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let context = members.filter_map(|member| member.trim().strip_prefix("emac=")).next()?;
    let mut fields = context.split(['.', ':', ';']).skip(1);
    let (journey, deadline) = (fields.next()?, fields.next()?);
    (journey == JOURNEY).then_some(())?;
    deadline.trim_start_matches(['r', 'a']).parse().ok()
}

/// Waits until so many more requests of a load have ended.
pub(crate) async fn passes(run: &Run, more: usize) -> Told<()> {
    let goal = run.so_far().len() + more;
    match wait_until(PATIENCE, || async { run.so_far().len() >= goal }).await {
        true => Ok(()),
        false => Err("the load does not get on".to_owned()),
    }
}
