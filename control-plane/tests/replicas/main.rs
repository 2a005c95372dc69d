//! Several control planes on a real NATS, under load, while parts of them are killed, frozen and replaced: every report that was acknowledged counts once, no
//! plan goes back, no lease runs out, and somebody plans again within seconds.

#![allow(unreachable_pub)] // a test binary exports nothing

mod load;
mod nats;
mod replica;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use emac_core::outcome::Outcome;
use load::{Load, Subscriber};
use nats::{Nats, not_run, program};
use replica::{LEASE, Replica};
use support::process::PATIENCE;
use support::{Truth, api};
use tokio::sync::watch;

/// A new plan is there this long after its planner died.
const FAILOVER: Duration = Duration::from_secs(10);
const PERIOD: Duration = Duration::from_millis(60);

/// Replicas, and whoever listens for where they are.
struct World {
    replicas: Vec<Replica>,
    nats: Vec<Nats>,
    /// Removed last.
    folder: tempfile::TempDir,
    doors: watch::Sender<Vec<std::net::SocketAddr>>,
}

impl World {
    async fn start(nats: impl FnOnce(&std::path::Path) -> Vec<Nats>, replicas: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nats = nats(folder.path());
        let mut world = Self { folder, nats, replicas: Vec::new(), doors: watch::Sender::new(Vec::new()) };
        for place in 0..replicas {
            world.join(&format!("emac-{place}"));
        }
        world.settled(replicas).await;
        world
    }

    fn join(&mut self, name: &str) {
        let urls: Vec<String> = self.nats.iter().map(Nats::url).collect();
        let more = format!("cluster: test, replicas: {}", self.nats.len());
        self.replicas.push(Replica::start(self.folder.path(), name, &urls, &more));
        self.open();
    }

    /// Tells sidecars where replicas are.
    fn open(&self) {
        self.doors.send_replace(self.replicas.iter().map(|replica| replica.grpc).collect());
    }

    /// Waits until so many replicas are ready, hold every partition between them and have a plan.
    async fn settled(&self, replicas: usize) {
        let begun = Instant::now();
        loop {
            let mut seen = Vec::new();
            for replica in &self.replicas {
                seen.push((replica.readiness().await, replica.engine().await));
            }
            let well = |((status, _), engine): &((u16, String), serde_json::Value)| {
                let ready = engine["replicas"].as_array().unwrap().iter().filter(|it| it["ready"] == true);
                let holding =
                    engine["replicas"].as_array().unwrap().iter().filter(|it| it["partitions"] != 0);
                *status == 200
                    && ready.count() == replicas
                    && holding.count() == replicas
                    && engine["partitions_held"] == engine["partitions"]
            };
            if seen.len() == replicas && seen.iter().all(well) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "never settled: {seen:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Place of the replica that plans.
    async fn planner(&self) -> usize {
        let begun = Instant::now();
        loop {
            for (place, replica) in self.replicas.iter().enumerate() {
                let engine = replica.engine().await;
                if engine["planner"] == engine["replica"] {
                    return place;
                }
            }
            assert!(begun.elapsed() < PATIENCE, "nobody plans");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Removes a replica from the world.
    fn kill(&mut self, place: usize) {
        let mut replica = self.replicas.remove(place);
        self.open();
        replica.kill();
    }

    /// Every replica says the same, and it is the truth.
    async fn check(&self, truth: &Truth) {
        for replica in &self.replicas {
            let begun = Instant::now();
            loop {
                let hops = api(replica.http, "hops").await;
                let total = hops["hops"][0]["total"].clone();
                let counts =
                    Outcome::ALL.map(|outcome| total["outcomes"][outcome.label()].as_u64().unwrap_or(0));
                let expected = Outcome::ALL.map(|outcome| truth.outcomes.get(outcome));
                if counts == expected && total["retries"] == truth.retries {
                    break;
                }
                let over = counts.iter().zip(expected).any(|(count, expected)| *count > expected);
                assert!(!over, "counted twice: {counts:?}, sent {expected:?}");
                assert!(begun.elapsed() < PATIENCE, "lost: {counts:?}, sent {expected:?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_planner_and_a_killed_owner_lose_nothing() {
    if program().is_none() {
        return not_run("a_killed_planner_and_a_killed_owner_lose_nothing");
    }
    let mut world = World::start(|folder| vec![Nats::alone(folder, "")], 3).await;
    let doors = world.doors.subscribe();
    let load = Load::start(24, PERIOD, &doors);
    let subscribers: Vec<_> = ["shop/front", "shop/edge"]
        .iter()
        .enumerate()
        .map(|(n, it)| Subscriber::start(it, n, &doors))
        .collect();
    load.more(600).await;

    let planner = world.planner().await;
    let killed = Instant::now();
    world.kill(planner);
    world.planner().await;
    println!("another plans {:?} after the planner's death", killed.elapsed());
    assert!(killed.elapsed() < FAILOVER);
    load.more(300).await;
    world.settled(2).await;
    println!("every partition is held {:?} after its death", killed.elapsed());

    world.join("emac-3");
    load.more(300).await;
    world.settled(3).await;
    let owner = (world.planner().await + 1) % 3;
    world.kill(owner);
    load.more(600).await;

    let truth = load.finish().await;
    world.check(&truth).await;
    for subscriber in subscribers {
        let watched = subscriber.finish().await;
        println!("{watched:?}");
        assert!(watched.longest_gap < LEASE, "{watched:?}");
    }
}
