//! The real binary as a child process; it ends with the test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take before the test is said to hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// `emac` with some arguments, in a folder.
pub fn emac(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_emac"));
    command.current_dir(folder).args(args).stdin(Stdio::null());
    command
}

/// Runs to its end: exit code, standard output, standard error.
pub fn run(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = emac(folder, args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().expect("an exit code"), text(stdout), text(stderr))
}

/// `emac serve`, listening.
pub struct Serving {
    pub child: Child,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
}

impl Serving {
    /// Starts on free ports, where nobody proves who it is, with more arguments, and waits until it listens.
    pub async fn start(folder: &Path, more: &[&str]) -> Self {
        Self::start_proving(folder, &[&["--identity", "none"], more].concat()).await
    }

    /// As [`Serving::start`]; how peers prove who they are is among the arguments.
    pub async fn start_proving(folder: &Path, more: &[&str]) -> Self {
        Self::start_on(folder, "127.0.0.1:0", more).await
    }

    /// As [`Serving::start_proving`], with gRPC on this address; one of a socket is told as port 0.
    pub async fn start_on(folder: &Path, grpc: &str, more: &[&str]) -> Self {
        let ports: PathBuf = folder.join("ports.json");
        let _ = std::fs::remove_file(&ports);
        let free = ["serve", "--grpc", grpc, "--http", "127.0.0.1:0", "--ports-file", "ports.json"];
        let child = emac(folder, &[&free, more].concat()).stderr(Stdio::null()).spawn().unwrap();
        Self::of(child, &ports).await
    }

    /// Waits until a process has written where it listens.
    pub async fn of(mut child: Child, ports: &Path) -> Self {
        let begun = Instant::now();
        while !ports.exists() {
            assert!(child.try_wait().unwrap().is_none(), "emac serve ended before it listened");
            assert!(begun.elapsed() < PATIENCE, "emac serve does not listen");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let ports: serde_json::Value = serde_json::from_slice(&std::fs::read(ports).unwrap()).unwrap();
        let address = |name: &str| match ports[name].as_str().unwrap() {
            socket if socket.starts_with("unix:") => SocketAddr::from(([127, 0, 0, 1], 0)),
            address => address.parse().unwrap(),
        };
        Self { grpc: address("grpc"), http: address("http"), child }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: no last word.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name and waits for the end; the exit code.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Waits for the end; the exit code, or `None` when a signal ended it.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
