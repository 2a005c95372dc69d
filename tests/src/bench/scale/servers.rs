//! The processes that are measured: one control plane with its own store, or several on a NATS.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use super::sidecar::Failure;
use crate::supervise::{Process, Spec, reserve};

/// How long a process may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(30);

/// Control planes, and the NATS they share.
pub(super) struct Servers {
    replicas: Vec<Process>,
    nats: Option<Process>,
    /// Where each takes sidecars.
    pub(super) grpc: Vec<SocketAddr>,
    /// Where the first answers people.
    pub(super) http: SocketAddr,
    /// When the first control plane was started.
    pub(super) began: Instant,
}

impl Servers {
    /// One control plane, with a store on disk.
    pub(super) async fn alone(emac: &Path, intents: &Path, dir: &Path) -> Result<Self, Failure> {
        let state = dir.join("state").display().to_string();
        Self::begin(emac, intents, dir, None, &[vec!["--state".to_owned(), state]]).await
    }

    /// So many on one nats-server that writes to the disk before it answers.
    pub(super) async fn several(
        emac: &Path,
        nats: &Path,
        intents: &Path,
        dir: &Path,
        replicas: usize,
    ) -> Result<Self, Failure> {
        let port = reserve()?.release();
        let nats = start_nats(nats, dir, port).await?;
        let mut arguments = Vec::new();
        for place in 0..replicas {
            let config = dir.join(format!("emac-{place}.yaml"));
            let text = format!(
                "apiVersion: emac.dev/v1alpha1\nkind: ControlPlaneConfig\n\
                 engine: {{nats: {{url: [\"nats://127.0.0.1:{port}\"], cluster: bench, replica: emac-{place}, replicas: 1}}}}\n"
            );
            std::fs::write(&config, text)?;
            arguments.push(vec!["--config".to_owned(), config.display().to_string()]);
        }
        Self::begin(emac, intents, dir, Some(nats), &arguments).await
    }

    async fn begin(
        emac: &Path,
        intents: &Path,
        dir: &Path,
        nats: Option<Process>,
        arguments: &[Vec<String>],
    ) -> Result<Self, Failure> {
        let began = Instant::now();
        let (mut replicas, mut files) = (Vec::new(), Vec::new());
        for (place, more) in arguments.iter().enumerate() {
            let file = dir.join(format!("ports-{place}.json"));
            let mut args =
                vec!["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--identity", "none"];
            let (intents, ports) = (intents.display().to_string(), file.display().to_string());
            args.extend(["--intent", &intents, "--ports-file", &ports]);
            args.extend(more.iter().map(String::as_str));
            replicas.push(Spec::new(format!("control-plane-{place}"), emac, dir).args(args).start()?);
            files.push(file);
        }
        let (mut grpc, mut http) = (Vec::new(), Vec::new());
        for (replica, file) in replicas.iter_mut().zip(&files) {
            let ports = wait_for(replica, file).await?;
            let address = |name: &str| -> Result<SocketAddr, Failure> {
                Ok(ports[name].as_str().ok_or("no port")?.parse()?)
            };
            grpc.push(address("grpc")?);
            http.push(address("http")?);
        }
        let http = http.first().copied().ok_or("no control plane")?;
        Ok(Self { replicas, nats, grpc, http, began })
    }

    /// Processor time of the control planes together, and of NATS.
    pub(super) fn cpu_time(&self) -> [Duration; 2] {
        let of = |process: &Process| process.cpu_time().unwrap_or_default();
        [self.replicas.iter().map(of).sum(), self.nats.as_ref().map(of).unwrap_or_default()]
    }

    /// Memory of the largest control plane, and of NATS.
    pub(super) fn rss_bytes(&self) -> [u64; 2] {
        let of = |process: &Process| process.rss_bytes().unwrap_or_default();
        [self.replicas.iter().map(of).max().unwrap_or_default(), self.nats.as_ref().map_or(0, of)]
    }

    /// The ends of their logs.
    pub(super) fn logs(&self) -> String {
        let all = self.replicas.iter().chain(&self.nats);
        all.map(|process| format!("{}:\n{}\n", process.name(), process.log_tail())).collect()
    }

    /// Ends them, control planes first.
    pub(super) async fn end(mut self) {
        self.replicas.iter_mut().for_each(Process::ask_to_end);
        for process in self.replicas.iter_mut().chain(&mut self.nats) {
            process.terminate(Duration::from_secs(10)).await;
        }
    }
}

async fn start_nats(program: &Path, dir: &Path, port: u16) -> Result<Process, Failure> {
    let folder = dir.join("nats");
    std::fs::create_dir_all(&folder)?;
    let config = folder.join("nats.conf");
    let store = folder.join("js").display().to_string();
    let text = format!(
        "listen: \"127.0.0.1:{port}\"\nmax_payload: 8MB\n\
         jetstream {{store_dir: \"{store}\", max_mem: 64MB, max_file: 16GB, sync_interval: always}}\n"
    );
    std::fs::write(&config, text)?;
    let args = ["-c".to_owned(), config.display().to_string()];
    let mut process = Spec::new("nats-server", program, dir).args(args).start()?;
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        if process.exited().is_some() || begun.elapsed() > LISTENS_WITHIN {
            return Err(format!("nats-server does not listen\n{}", process.log_tail()).into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(process)
}

/// The ports that a control plane writes down once it listens.
async fn wait_for(server: &mut Process, file: &Path) -> Result<serde_json::Value, Failure> {
    let begun = Instant::now();
    loop {
        if let Ok(text) = std::fs::read(file) {
            return Ok(serde_json::from_slice(&text)?);
        }
        if server.exited().is_some() || begun.elapsed() > LISTENS_WITHIN {
            return Err(format!("{} does not listen\n{}", server.name(), server.log_tail()).into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
