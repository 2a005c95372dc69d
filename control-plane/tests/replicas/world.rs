//! Replicas, the NATS under them, and whoever looks for them.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use emac_core::outcome::Outcome;
use serde_json::Value;
use tokio::sync::watch;

use crate::nats::Nats;
use crate::replica::Replica;
use crate::support::process::PATIENCE;
use crate::support::{Truth, api};

/// Replicas, and whoever listens for where they are.
pub struct World {
    pub replicas: Vec<Replica>,
    pub nats: Vec<Nats>,
    /// Removed last.
    pub folder: tempfile::TempDir,
    pub doors: watch::Sender<Vec<SocketAddr>>,
    /// More of `engine.nats`.
    pub more: &'static str,
}

impl World {
    pub async fn start(nats: impl FnOnce(&Path) -> Vec<Nats>, replicas: usize) -> Self {
        Self::start_with(nats, replicas, "").await
    }

    /// With more lines of the configuration.
    pub async fn start_with(
        nats: impl FnOnce(&Path) -> Vec<Nats>,
        replicas: usize,
        more: &'static str,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nats = nats(folder.path());
        let mut world =
            Self { folder, nats, replicas: Vec::new(), doors: watch::Sender::new(Vec::new()), more };
        for place in 0..replicas {
            world.join(&format!("emac-{place}"));
        }
        world.settled(replicas).await;
        world
    }

    pub fn join(&mut self, name: &str) {
        let urls: Vec<String> = self.nats.iter().map(Nats::url).collect();
        self.join_by(name, &urls);
    }

    /// A replica that has another way to NATS.
    pub fn join_by(&mut self, name: &str, urls: &[String]) {
        let more = format!("cluster: test, replicas: {}, {}", self.nats.len(), self.more);
        self.replicas.push(Replica::start(self.folder.path(), name, urls, &more));
        self.open();
    }

    /// Tells sidecars where replicas are.
    pub fn open(&self) {
        self.doors.send_replace(self.replicas.iter().map(|replica| replica.grpc).collect());
    }

    /// Waits until so many replicas are ready, hold every partition between them and have a plan.
    pub async fn settled(&self, replicas: usize) {
        let begun = Instant::now();
        loop {
            let mut seen = Vec::new();
            for replica in &self.replicas {
                seen.push((replica.readiness().await, replica.engine().await));
            }
            let well = |((status, _), engine): &((u16, String), Value)| {
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
    pub async fn planner(&self) -> usize {
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

    /// Gives the journey another deadline, in the files of every replica.
    pub fn deadline(&self, deadline_ms: u64) {
        self.replicas.iter().for_each(|replica| replica.intend(deadline_ms));
    }

    /// Generation of the plan that a replica has in force.
    pub async fn generation(&self, place: usize) -> u64 {
        api(self.replicas[place].http, "plan").await["generation"].as_u64().unwrap()
    }

    /// Removes a replica from the world.
    pub fn kill(&mut self, place: usize) {
        let mut replica = self.replicas.remove(place);
        self.open();
        replica.kill();
    }

    /// Every replica knows of the workload's subscriber that it is there, whichever it is connected to.
    pub async fn lists(&self, workload: &str) {
        let begun = Instant::now();
        for replica in &self.replicas {
            loop {
                let proxies = api(replica.http, "proxies").await;
                let rows = proxies["proxies"].as_array().unwrap();
                let row = rows.iter().find(|row| row["node"] == format!("{workload}-1"));
                if row.is_some_and(|row| row["state"] == "idle" || row["state"] == "live") {
                    break;
                }
                assert!(begun.elapsed() < PATIENCE, "{workload}: {row:?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Every replica says the same, and it is the truth.
    pub async fn check(&self, truth: &Truth) {
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
