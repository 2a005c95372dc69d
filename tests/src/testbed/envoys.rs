//! One running Envoy: its process, its admin interface, its restart.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use http::Method;

use super::client::{ask, get};
use crate::envoy::Bootstrap;
use crate::stats::Samples;
use crate::supervise::{Process, Spec};

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    bootstrap: Bootstrap,
    spec: Spec,
    process: Process,
}

impl Envoy {
    /// Writes the configuration and starts the binary; does not wait for it.
    pub(super) fn start(
        binary: &Path,
        bootstrap: Bootstrap,
        env: &[(String, String)],
        dir: &Path,
    ) -> io::Result<Self> {
        let name = format!("envoy-{}", bootstrap.node.cluster);
        let config = dir.join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(&bootstrap.to_json())?;
        std::fs::write(&config, text)?;
        let mut spec = Spec::new(name, binary, dir)
            .args(bootstrap.arguments(&config))
            // Where the filter cannot ask Envoy who it is.
            .env("POD_NAME", &bootstrap.node.id);
        spec.env.extend_from_slice(env);
        let process = spec.start()?;
        Ok(Self { bootstrap, spec, process })
    }

    /// Address of the admin interface.
    pub fn admin(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.bootstrap.admin))
    }

    /// What it was told.
    pub fn bootstrap(&self) -> &Bootstrap {
        &self.bootstrap
    }

    /// The process: CPU time, memory, log, kill.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The process, to freeze or kill it.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts the same configuration again after the process was killed (kills it when it was not). Does not wait.
    ///
    /// # Errors
    /// Those of spawning.
    pub fn restart(&mut self) -> io::Result<()> {
        self.process.kill();
        self.process = self.spec.start()?;
        Ok(())
    }

    /// Whether it serves.
    pub async fn is_ready(&self) -> bool {
        matches!(get(self.admin(), "/ready").await, Ok((200, _)))
    }

    /// Its statistics with labels, as Prometheus would scrape them.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub async fn stats(&self) -> io::Result<Samples> {
        let (_, text) = get(self.admin(), "/stats/prometheus").await?;
        Ok(Samples::parse(&text))
    }

    /// Raw `/stats` of names that match a regular expression.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub async fn raw_stats(&self, filter: &str) -> io::Result<String> {
        Ok(get(self.admin(), &format!("/stats?usedonly&filter={filter}")).await?.1)
    }

    /// Sets every logger's level (`debug`, `warning` ...).
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub async fn log_level(&self, level: &str) -> io::Result<()> {
        ask(Method::POST, self.admin(), &format!("/logging?level={level}")).await.map(drop)
    }

    /// How long an Envoy may take to be ready on a busy machine.
    pub(super) const PATIENCE: Duration = Duration::from_secs(60);
}
