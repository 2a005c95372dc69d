//! Who is there and who is missing: proxies by how they stand, journeys without an edge, callees without a filter. Pure functions of what
//! was heard; the time is handed in.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::id::{HopKey, WorkloadName};
use emac_core::outcome::Outcome;
use emac_core::units::{Generation, Micros, Millis};

use super::state::Shared;
use crate::aggregate::{Aggregate, Node};
use crate::engine::nats::Present;
use crate::plan::JourneyInput;
use emac_journey::intent::Reach;
use emac_push::proxies::{Past, Proxy};
use emac_push::standing::{End, Heard, Open, Patience, Standing};

/// Before so long after its start a control plane says of no callee that it lacks a filter: filters that lost their stream come back
/// within ten seconds and an eighth.
pub(super) const SETTLED: Micros = Micros(15_000_000);
/// Lease of a workload without budgets.
const LEASE: Millis = Millis(60_000);

/// What is known of everybody at one time.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) now: Micros,
    pub(super) window: Micros,
    pub(super) streams: Vec<Proxy>,
    pub(super) past: Vec<Past>,
    /// Those connected to other replicas, by node, with the replica's name.
    pub(super) elsewhere: BTreeMap<String, (String, Present)>,
    pub(super) nodes: BTreeMap<String, Node>,
    /// Generation offered and validity, by workload.
    pub(super) offered: BTreeMap<WorkloadName, (Option<Generation>, Millis)>,
}

/// One proxy: an open stream, or a node that has none.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) standing: Standing,
    pub(super) node: String,
    pub(super) workload: String,
    /// The open stream, or the last one.
    pub(super) stream: Option<Proxy>,
    pub(super) ended: Option<(Micros, End)>,
    /// What it reported last.
    pub(super) report: Option<Node>,
    /// Generation of the budgets its workload should hold.
    pub(super) offered: Option<u64>,
    /// The replica it is connected to, if that is another one, and what that tells of it.
    pub(super) replica: Option<String>,
    pub(super) told: Option<Present>,
}

/// What is known of a journey's edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EdgeSeen {
    /// It reported requests of the journey within the window.
    Reporting,
    /// An edge is connected or has reported before, but no request entered within the window.
    NoRequest,
    /// Nobody has reported the journey, and no proxy of an edge workload is connected.
    NoEdge,
}

/// A journey's edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JourneyEdge {
    pub(super) journey: String,
    pub(super) seen: EdgeSeen,
    /// When requests of the journey were last reported to this process.
    pub(super) last: Option<Micros>,
    /// Edge workloads of the intent, with how many of their proxies are there.
    pub(super) workloads: Vec<(String, usize)>,
    /// What to know and to do; nothing when all is well.
    pub(super) message: Option<String>,
}

/// A callee of which no filter is there although callers reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bypassed {
    pub(super) journey: String,
    pub(super) destination: String,
    pub(super) workload: String,
    /// Calls that it answered well within the window.
    pub(super) calls: u64,
    pub(super) message: String,
}

impl Seen {
    /// Looks at everything; `evidence` is the caller's, who holds the lock.
    pub(super) fn take(shared: &Shared, evidence: &Aggregate, now: Micros) -> Self {
        let plan = shared.plan.load();
        let offered = plan.workloads.iter().map(|(workload, budgets)| {
            (workload.clone(), (shared.publisher.generation(workload), budgets.valid_for))
        });
        Self {
            now,
            window: evidence.window().to_micros(),
            streams: shared.proxies.list(),
            past: shared.proxies.past(now),
            elsewhere: shared.cluster.iter().flat_map(|it| it.elsewhere()).map(by_node).collect(),
            nodes: evidence.nodes().clone(),
            offered: offered.collect(),
        }
    }

    /// Every proxy by node and stream: all that are connected, and those that were until an hour ago.
    pub(super) fn rows(&self) -> Vec<Row> {
        let open = self.streams.iter().map(|proxy| self.row(Some(proxy), None, self.nodes.get(&proxy.node)));
        let here: BTreeSet<&str> = self.streams.iter().map(|proxy| proxy.node.as_str()).collect();
        // One that has just moved is still told of by the replica it came from.
        let elsewhere = self.elsewhere.iter().filter(|(node, _)| !here.contains(node.as_str()));
        let elsewhere =
            elsewhere.map(|(node, (replica, present))| self.row_elsewhere(node, replica, present));
        let past =
            self.past.iter().filter(|past| !self.elsewhere.contains_key(&past.proxy.node)).map(|past| {
                let ended = Some((past.at, past.end));
                self.row(Some(&past.proxy), ended, self.nodes.get(&past.proxy.node))
            });
        let streamed: BTreeSet<&str> = (self.streams.iter().map(|proxy| proxy.node.as_str()))
            .chain(self.past.iter().map(|past| past.proxy.node.as_str()))
            .chain(self.elsewhere.keys().map(String::as_str))
            .collect();
        let others = self.nodes.iter().filter(|(node, _)| !streamed.contains(node.as_str()));
        let others =
            others.map(|(node, report)| Row { node: node.clone(), ..self.row(None, None, Some(report)) });
        let mut rows: Vec<Row> = open.chain(past).chain(elsewhere).chain(others).collect();
        rows.sort_by(|a, b| (&a.node, stream_of(a)).cmp(&(&b.node, stream_of(b))));
        rows
    }

    fn row(&self, stream: Option<&Proxy>, ended: Option<(Micros, End)>, report: Option<&Node>) -> Row {
        let named = stream.map(|proxy| proxy.workload.clone()).filter(|workload| !workload.is_empty());
        let reported = report.map(|report| report.workload.to_string());
        let workload = named.or(reported).unwrap_or_default();
        let (offered, lease) = WorkloadName::new(&workload)
            .ok()
            .and_then(|workload| self.offered.get(&workload).copied())
            .unwrap_or((None, LEASE));
        let offered = offered.map(|generation| generation.0);
        let open = stream.filter(|_| ended.is_none()).map(|proxy| Open {
            owed_since: proxy.owed_since,
            behind: is_behind(proxy, offered) || report.is_some_and(|report| is_expired(proxy, report)),
        });
        let heard = Heard { open, ended, reported: report.map(|report| report.seen) };
        let patience = Patience::of(self.window, lease.to_micros());
        Row {
            standing: Standing::of(&heard, &patience, self.now),
            node: stream.map(|proxy| proxy.node.clone()).unwrap_or_default(),
            workload,
            stream: stream.cloned(),
            ended,
            report: report.cloned(),
            offered,
            replica: None,
            told: None,
        }
    }

    /// Of what its replica tells.
    fn row_elsewhere(&self, node: &str, replica: &str, present: &Present) -> Row {
        let report = self.nodes.get(node);
        let offer = WorkloadName::new(&present.workload).ok().and_then(|it| self.offered.get(&it).copied());
        let (offered, lease) = offer.unwrap_or((None, LEASE));
        let offered = offered.map(|generation| generation.0);
        let older = present.owed_ms.is_none() && present.accepted > 0 && Some(present.accepted) < offered;
        let owed_since =
            present.owed_ms.map(|ms| Micros(self.now.0.saturating_sub(Millis(ms).to_micros().0)));
        let open = Some(Open { owed_since, behind: present.refused || older });
        let heard = Heard { open, ended: None, reported: report.map(|report| report.seen) };
        Row {
            standing: Standing::of(&heard, &Patience::of(self.window, lease.to_micros()), self.now),
            node: node.to_owned(),
            workload: present.workload.clone(),
            stream: None,
            ended: None,
            report: report.cloned(),
            offered,
            replica: Some(replica.to_owned()),
            told: Some(present.clone()),
        }
    }
}

fn by_node((replica, present): (String, Present)) -> (String, (String, Present)) {
    (present.node.clone(), (replica, present))
}

fn stream_of(row: &Row) -> Option<u64> {
    row.stream.as_ref().map(|proxy| proxy.stream)
}

/// It refused the newest, or holds an older generation while nothing is on its way to it.
fn is_behind(proxy: &Proxy, offered: Option<u64>) -> bool {
    let accepted = proxy.accepted.as_ref().and_then(|accepted| accepted.generation);
    proxy.refused_last || (proxy.owed_since.is_none() && accepted.is_some() && accepted < offered)
}

/// Its lease had expired at its last report, and it took no budgets since: an idle filter does not report that it is well again.
fn is_expired(proxy: &Proxy, report: &Node) -> bool {
    report.stale && proxy.accepted.as_ref().is_none_or(|accepted| accepted.at < report.seen)
}

/// How many proxies of each workload are there: connected, or cut off no longer than a lease ago.
fn there(rows: &[Row]) -> BTreeMap<&str, usize> {
    let mut there = BTreeMap::new();
    for row in rows.iter().filter(|row| row.standing != Standing::Gone) {
        *there.entry(row.workload.as_str()).or_default() += 1;
    }
    there
}

/// The edge of every journey with entry rules.
pub(super) fn edges(
    journeys: &[JourneyInput],
    evidence: &Aggregate,
    rows: &[Row],
    now: Micros,
) -> Vec<JourneyEdge> {
    let there = there(rows);
    let declared = journeys.iter().filter(|intent| !intent.entry.is_empty());
    declared
        .map(|intent| {
            let last = evidence.journeys().get(&intent.name).and_then(|journey| journey.seen);
            let workloads = intent.runtime.edges.iter().map(|workload| {
                let count = there.get(workload.as_str()).copied().unwrap_or(0);
                (workload.to_string(), count)
            });
            edge(intent.name.as_str(), last, workloads.collect(), evidence.window().to_micros(), now)
        })
        .collect()
}

fn edge(
    journey: &str,
    last: Option<Micros>,
    workloads: Vec<(String, usize)>,
    window: Micros,
    now: Micros,
) -> JourneyEdge {
    let missing = workloads.iter().filter(|(_, count)| *count == 0).map(|(workload, _)| workload.as_str());
    let missing: Vec<&str> = missing.collect();
    let connected = workloads.iter().any(|(_, count)| *count > 0);
    let seen = match last {
        Some(last) if now.since(last) <= window => EdgeSeen::Reporting,
        Some(_) => EdgeSeen::NoRequest,
        None if connected => EdgeSeen::NoRequest,
        None => EdgeSeen::NoEdge,
    };
    let names = missing.join(", ");
    let absent = (!missing.is_empty()).then(|| format!("no filter of {names} is known"));
    let message = match seen {
        EdgeSeen::NoEdge if workloads.is_empty() => Some(format!(
            "no edge has reported for {journey} since the control plane started, {} ago: the intent names no edge; set governance.runtime.edge to the gateway's workload",
            age(now)
        )),
        EdgeSeen::NoEdge => Some(format!(
            "no edge has reported for {journey} since the control plane started, {} ago: check that the gateway {names} has the filter and reaches the control plane",
            age(now)
        )),
        EdgeSeen::NoRequest => {
            let since = last.map_or_else(
                || "since the control plane started".to_owned(),
                |last| format!("in the last window (the last one {} ago)", age(now.since(last))),
            );
            let subject = if connected { "an edge is connected" } else { "an edge has reported" };
            let rest = absent.map(|absent| format!("; {absent}")).unwrap_or_default();
            Some(format!("{subject} for {journey}, but no request entered {since}{rest}"))
        }
        EdgeSeen::Reporting => absent.map(|absent| format!("{journey} is reported, but {absent}")),
    };
    JourneyEdge { journey: journey.to_owned(), seen, last, workloads, message }
}

/// Callees that answer calls of a journey while no filter of theirs is there. Only those whose workload the intent states can be judged.
///
/// Only a good answer shows that somebody is there: the calls of a workload that is down fail too, and it has no filter either.
pub(super) fn bypassed(
    journeys: &[JourneyInput],
    evidence: &Aggregate,
    rows: &[Row],
    now: Micros,
) -> Vec<Bypassed> {
    if now < SETTLED {
        return Vec::new();
    }
    let there = there(rows);
    let mut suspects: BTreeMap<(&str, &str), &WorkloadName> = BTreeMap::new();
    for intent in journeys {
        for component in intent.components.values() {
            let Reach::Hop(hop) = &component.reach else { continue };
            if let Some(workload) = hop.workload.as_ref().filter(|name| !there.contains_key(name.as_str())) {
                suspects.insert((intent.name.as_str(), hop.destination.as_str()), workload);
            }
        }
    }
    let mut reached: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (key, hop) in evidence.hops() {
        let name = (key.journey.as_str(), key.destination.as_str());
        if suspects.contains_key(&name) && is_call(key) {
            let outcomes = hop.recent.total(now).outcomes;
            let answered = [Outcome::Success, Outcome::Stream].map(|outcome| outcomes.get(outcome));
            *reached.entry(name).or_default() += answered.iter().sum::<u64>();
        }
    }
    let found = reached.into_iter().filter(|(_, calls)| *calls > 0);
    found
        .filter_map(|(name, calls)| {
            let workload = suspects.get(&name)?.to_string();
            let (journey, destination) = (name.0.to_owned(), name.1.to_owned());
            let message = format!(
                "{destination} answered {calls} calls in the window, but no filter of {workload} is known: bypassed, or not in the mesh"
            );
            Some(Bypassed { journey, destination, workload, calls, message })
        })
        .collect()
}

/// Evidence of a caller, who names itself.
fn is_call(key: &HopKey) -> bool {
    !key.source.is_empty()
}

/// For people, rounded down.
fn age(duration: Micros) -> String {
    age_of(duration.to_millis_floor())
}

/// For people, rounded down: `340 ms`, `4 s`, `12 min`, `3 h`.
pub(crate) fn age_of(duration: Millis) -> String {
    let ms = duration.0;
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

#[cfg(test)]
mod tests;
