//! Real nats-servers on loopback, each a process of its own with files of its own.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::process::PATIENCE;

/// The pinned one (`make tools`, `NATS_SERVER_BIN` overrides), or the one on the PATH.
pub fn program() -> Option<PathBuf> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/nats/bin/nats-server");
    let on_path = || {
        std::env::split_paths(&std::env::var_os("PATH")?)
            .map(|dir| dir.join("nats-server"))
            .find(|it| it.is_file())
    };
    let named = std::env::var_os("NATS_SERVER_BIN").map(PathBuf::from);
    named.or_else(|| Some(ours).filter(|it| it.is_file())).or_else(on_path)
}

/// Says that a test could not run here, also where `make test` looks for it.
pub fn not_run(test: &str) {
    let line = format!("not run: {test}: no nats-server (make tools, NATS_SERVER_BIN)\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    let target = Path::new(env!("CARGO_BIN_EXE_emac")).ancestors().nth(2).unwrap();
    let file = fs::OpenOptions::new().create(true).append(true).open(target.join("not-run.txt"));
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
}

/// One server; it ends with the test.
pub struct Nats {
    folder: PathBuf,
    pub port: u16,
    child: Option<Child>,
}

impl Nats {
    /// A server by itself, with more lines of configuration.
    pub fn alone(folder: &Path, more: &str) -> Self {
        let mut nats = Self::new(folder.join("nats"), free_port(), more);
        nats.start();
        nats
    }

    /// A cluster of three.
    pub fn cluster(folder: &Path) -> Vec<Self> {
        let [ports, routes] = [(); 2].map(|()| [(); 3].map(|()| free_port()));
        let routed: Vec<String> = routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
        let one = |(place, port): (usize, &u16)| {
            let more = format!(
                "server_name: n{place}\ncluster {{name: c, listen: \"127.0.0.1:{}\", routes: [{}]}}\n",
                routes[place],
                routed.join(", ")
            );
            let mut nats = Self::new(folder.join(format!("nats-{place}")), *port, &more);
            nats.start();
            nats
        };
        ports.iter().enumerate().map(one).collect()
    }

    fn new(folder: PathBuf, port: u16, more: &str) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let store = folder.join("js").display().to_string();
        let text = format!(
            "listen: \"127.0.0.1:{port}\"\nmax_payload: 8MB\njetstream {{store_dir: \"{store}\", max_mem: 64MB, max_file: 16GB}}\n{more}"
        );
        fs::write(folder.join("nats.conf"), text).unwrap();
        Self { folder, port, child: None }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts it, again if need be; what was stored is still there.
    pub fn start(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let mut command = Command::new(program().expect("asked before"));
        command.args(["-c", "nats.conf"]).current_dir(&self.folder).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let said = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "nats-server does not listen: {said}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Writes another configuration, for the next start.
    pub fn edit(&self, change: impl FnOnce(String) -> String) {
        let file = self.folder.join("nats.conf");
        let text = change(fs::read_to_string(&file).unwrap());
        fs::write(&file, text).unwrap();
    }

    /// Writes another configuration and has it read.
    pub fn reconfigure(&self, change: impl FnOnce(String) -> String) {
        self.edit(change);
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
