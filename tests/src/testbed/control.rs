//! The control plane as a process: started with files that know their ports, stopped politely or by kill -9, started again on
//! the same ports and state.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::client::get;
use super::wait_until;
use crate::stats::Samples;
use crate::supervise::{Process, Reserved, Spec};

/// Where it must listen and may write.
#[derive(Debug, Clone)]
pub struct ControlPorts {
    /// gRPC: budgets and evidence.
    pub grpc: SocketAddr,
    /// HTTP: health, metrics, API.
    pub http: SocketAddr,
    /// Its directory: files are written here, state may be kept here.
    pub dir: PathBuf,
}

/// Made when the ports are known.
pub type Given<T> = Arc<dyn Fn(&ControlPorts) -> T + Send + Sync>;

/// How to start one: the program, its arguments, and the files it reads, by path relative to its directory.
#[derive(Clone)]
pub struct ControlSetup {
    /// Executable.
    pub program: PathBuf,
    /// The working directory is ours, so paths in `dir` are absolute.
    pub args: Given<Vec<String>>,
    /// Written before each start.
    pub files: Given<Vec<(String, String)>>,
}

/// A control plane, running or stopped.
#[derive(Debug)]
pub struct ControlPlane {
    ports: ControlPorts,
    spec: Spec,
    process: Option<Process>,
}

impl fmt::Debug for ControlSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlSetup").field("program", &self.program).finish_non_exhaustive()
    }
}

impl ControlPlane {
    /// Writes its files and prepares to start; nothing runs yet.
    pub(super) fn prepare(
        setup: &ControlSetup,
        grpc: &Reserved,
        http: &Reserved,
        dir: &Path,
    ) -> io::Result<Self> {
        let ports =
            ControlPorts { grpc: grpc.address(), http: http.address(), dir: dir.join("control-plane") };
        std::fs::create_dir_all(&ports.dir)?;
        for (path, text) in (setup.files)(&ports) {
            write(&ports.dir.join(path), &text)?;
        }
        let spec = Spec::new("control-plane", &setup.program, dir).args((setup.args)(&ports));
        Ok(Self { ports, spec, process: None })
    }

    /// Starts it; does nothing when it runs. Does not wait.
    ///
    /// # Errors
    /// Those of spawning.
    pub fn start(&mut self) -> io::Result<()> {
        if self.process.as_mut().is_none_or(|p| p.exited().is_some()) {
            self.process = Some(self.spec.start()?);
        }
        Ok(())
    }

    /// SIGTERM, ten seconds' patience, SIGKILL.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate(Duration::from_secs(10)).await;
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Replaces one of its files (path relative to its directory).
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(&self, path: &str, text: &str) -> io::Result<()> {
        write(&self.ports.dir.join(path), text)
    }

    /// Whether `/readyz` says so within `timeout`.
    pub async fn ready_within(&self, timeout: Duration) -> bool {
        wait_until(timeout, || async { matches!(self.get("/readyz").await, Ok((200, _))) }).await
    }

    /// `GET` on its HTTP port: status and body.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn get(&self, path: &str) -> io::Result<(u16, String)> {
        get(self.ports.http, path).await
    }

    /// `GET` read as JSON.
    ///
    /// # Errors
    /// When it does not answer, or not in JSON.
    pub async fn json(&self, path: &str) -> io::Result<serde_json::Value> {
        Ok(serde_json::from_str(&self.get(path).await?.1)?)
    }

    /// Its `/metrics`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self) -> io::Result<Samples> {
        Ok(Samples::parse(&self.get("/metrics").await?.1))
    }

    /// Its ports and directory.
    pub fn ports(&self) -> &ControlPorts {
        &self.ports
    }

    /// The process while it runs.
    pub fn process_mut(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Whoever watches the file never sees half of it.
    let aside = path.with_extension("new");
    std::fs::write(&aside, text)?;
    std::fs::rename(aside, path)
}
