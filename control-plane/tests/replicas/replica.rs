//! `emac serve` with the engine `nats`, as one of several.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::process::{PATIENCE, emac};
use crate::support::{api, get};

const INTENT: &str = include_str!("../../examples/checkout/intent.yaml");
/// Leases of the example, short enough that a gap of some seconds shows.
pub const LEASE: Duration = Duration::from_secs(8);

/// One process; it ends with the test.
pub struct Replica {
    folder: PathBuf,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub child: Child,
}

impl Replica {
    /// Starts one by name and waits until it listens, which it does whether or not NATS is there.
    pub fn start(world: &Path, name: &str, urls: &[String], more: &str) -> Self {
        let folder = world.join(name);
        fs::create_dir_all(folder.join("journeys")).unwrap();
        write(&folder, 400);
        let urls = urls.iter().map(|url| format!("\"{url}\"")).collect::<Vec<_>>().join(", ");
        let config = format!(
            "apiVersion: emac.dev/v1alpha1\nkind: ControlPlaneConfig\nidentity: none\nstate: state\nportsFile: ports.json\nintents: [journeys]\n\
             listen: {{grpc: \"127.0.0.1:0\", http: \"127.0.0.1:0\"}}\nlog: {{level: info}}\n\
             engine: {{nats: {{url: [{urls}], replica: {name}, {more}}}}}\n"
        );
        fs::write(folder.join("emac.yaml"), config).unwrap();
        let (child, ports) = Self::spawn(&folder);
        let address = |name: &str| ports[name].as_str().unwrap().parse().unwrap();
        Self { grpc: address("grpc"), http: address("http"), folder, child }
    }

    fn spawn(folder: &Path) -> (Child, Value) {
        let ports = folder.join("ports.json");
        let _ = fs::remove_file(&ports);
        let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let mut child = emac(folder, &["serve", "--config", "emac.yaml"]).stderr(log).spawn().unwrap();
        let begun = Instant::now();
        while !ports.exists() {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "emac serve ended before it listened: {}", log_of(folder));
            assert!(begun.elapsed() < PATIENCE, "emac serve does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        (child, serde_json::from_slice(&fs::read(&ports).unwrap()).unwrap())
    }

    /// The same again, after it ended.
    pub fn restart(&mut self) {
        let (child, ports) = Self::spawn(&self.folder);
        let address = |name: &str| ports[name].as_str().unwrap().parse().unwrap();
        (self.child, self.grpc, self.http) = (child, address("grpc"), address("http"));
    }

    /// Replaces the journey by one with this deadline.
    pub fn intend(&self, deadline_ms: u64) {
        write(&self.folder, deadline_ms);
    }

    /// Writes a file among the journeys, whole.
    pub fn file(&self, name: &str, text: &str) {
        fs::write(self.folder.join("journeys.tmp"), text).unwrap();
        fs::rename(self.folder.join("journeys.tmp"), self.folder.join("journeys").join(name)).unwrap();
    }

    /// Gives the configuration one more line, or takes it away again.
    pub fn line(&self, line: &str, there: bool) {
        let before = fs::read_to_string(self.folder.join("emac.yaml")).unwrap();
        let after =
            if there { format!("{before}{line}\n") } else { before.replace(&format!("{line}\n"), "") };
        assert_ne!(before, after);
        fs::write(self.folder.join("emac.tmp"), after).unwrap();
        fs::rename(self.folder.join("emac.tmp"), self.folder.join("emac.yaml")).unwrap();
    }

    pub fn log(&self) -> String {
        log_of(&self.folder)
    }

    /// SIGKILL: no last word.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = std::process::Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(status.unwrap().success());
    }

    /// Ends it in order.
    pub fn terminate(&mut self) {
        self.signal("TERM");
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{}", self.log());
    }

    /// Status and text of `/readyz`.
    pub async fn readiness(&self) -> (u16, String) {
        let (status, _, body) = get(self.http, "/readyz", "*/*").await;
        (status, String::from_utf8(body).unwrap())
    }

    pub async fn engine(&self) -> Value {
        api(self.http, "engine").await
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- {}\n{}", self.folder.display(), self.log());
        }
    }
}

/// The journey, replaced whole as a volume does it.
fn write(folder: &Path, deadline_ms: u64) {
    let intent = intent(deadline_ms);
    fs::write(folder.join("intent.tmp"), intent).unwrap();
    fs::rename(folder.join("intent.tmp"), folder.join("journeys/intent.yaml")).unwrap();
}

/// The journey with this deadline, enforced.
pub fn intent(deadline_ms: u64) -> String {
    let lease = format!("lease: {{validFor: {}s,", LEASE.as_secs());
    let deadline = format!("threshold: {deadline_ms}ms");
    let intent = INTENT.replace("lease: {validFor: 60s,", &lease).replace("threshold: 400ms", &deadline);
    assert_ne!(intent, INTENT);
    let intent = intent.replace("mode: observe", "mode: enforce");
    assert!(intent.contains("mode: enforce"));
    intent
}

fn log_of(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}
