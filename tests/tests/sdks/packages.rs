//! The published packages: one small program a language, fetched and built by `tests/setup/sdks.sh`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use emac_tests::envoy::NotRun;
use emac_tests::repo_root;

/// A package, and how its program is run.
pub(crate) struct Package {
    /// Language, package and version; what [`crate::recorded`] calls it.
    pub(crate) name: &'static str,
    folder: &'static str,
    /// In the order in which the setup script reads them.
    files: &'static [&'static str],
    /// From the folder of what was fetched and that of the program.
    command: fn(&Path, &Path) -> Command,
}

pub(crate) const PACKAGES: [Package; 5] = [
    Package {
        name: "python opentelemetry-api 1.45.2",
        folder: "python",
        files: &["requirements.txt"],
        command: |fetched, program| {
            let mut command = Command::new("python3");
            command.env("PYTHONPATH", fetched.join("packages")).arg(program.join("roundtrip.py"));
            command
        },
    },
    Package {
        name: "node @opentelemetry/core 2.12.1",
        folder: "node",
        files: &["package.json", "package-lock.json"],
        command: |fetched, program| {
            let mut command = Command::new("node");
            command.env("NODE_PATH", fetched.join("node_modules")).arg(program.join("roundtrip.js"));
            command
        },
    },
    Package {
        name: "java io.opentelemetry:opentelemetry-api 1.68.0",
        folder: "java",
        files: &["pom.xml", "RoundTrip.java"],
        command: |fetched, _| {
            let mut command = Command::new("java");
            command.current_dir(fetched).args(["-cp", "jars/*:classes", "RoundTrip"]);
            command
        },
    },
    Package {
        name: "go go.opentelemetry.io/otel 1.47.0",
        folder: "go",
        files: &["go.mod", "go.sum", "main.go"],
        command: |fetched, _| Command::new(fetched.join("roundtrip")),
    },
    Package {
        name: "rust opentelemetry_sdk 0.33.1",
        folder: "rust",
        files: &["Cargo.toml", "Cargo.lock", "src/main.rs"],
        command: |fetched, _| Command::new(fetched.join("roundtrip")),
    },
];

/// The same for programs that print spans with a console exporter.
pub(crate) const PRINTERS: [Package; 4] = [
    PYTHON_SPANS,
    Package {
        name: "node @opentelemetry/sdk-trace-base 2.12.1",
        folder: "node_spans",
        files: &["package.json", "package-lock.json"],
        command: |fetched, program| {
            let mut command = Command::new("node");
            command.env("NODE_PATH", fetched.join("node_modules")).arg(program.join("spans.js"));
            command
        },
    },
    GO_SPANS,
    Package {
        command: |fetched, _| {
            let mut command = Command::new(fetched.join("roundtrip"));
            command.arg("pretty");
            command
        },
        ..GO_SPANS
    },
];

/// Programs that print requests which ask a standby where the main database failed, in old and new conventions.
pub(crate) const STANDBY: [Package; 2] = [
    Package {
        name: "python opentelemetry-sdk 1.45.2, new conventions",
        command: |fetched, program| standby(fetched, program, "new"),
        ..PYTHON_SPANS
    },
    Package {
        name: "python opentelemetry-sdk 1.45.2, old conventions",
        command: |fetched, program| standby(fetched, program, "old"),
        ..PYTHON_SPANS
    },
];

fn standby(fetched: &Path, program: &Path, conventions: &str) -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", fetched.join("packages")).arg(program.join("standby.py")).arg(conventions);
    command
}

const PYTHON_SPANS: Package = Package {
    name: "python opentelemetry-sdk 1.45.2",
    folder: "python_spans",
    files: &["requirements.txt"],
    command: |fetched, program| {
        let mut command = Command::new("python3");
        command.env("PYTHONPATH", fetched.join("packages")).arg(program.join("spans.py"));
        command
    },
};

const GO_SPANS: Package = Package {
    name: "go go.opentelemetry.io/otel/sdk v1.47.0",
    folder: "go_spans",
    files: &["go.mod", "go.sum", "main.go"],
    command: |fetched, _| Command::new(fetched.join("roundtrip")),
};

/// Starting a virtual machine on a busy machine included.
const PATIENCE: Duration = Duration::from_secs(120);

impl Package {
    /// What the program's versions are pinned by, and the program where it is built.
    pub(crate) fn source(&self) -> String {
        let read = |file: &&str| std::fs::read_to_string(self.program().join(file)).unwrap();
        self.files.iter().map(read).collect()
    }

    /// What a program prints that reads nothing.
    pub(crate) fn print(&self) -> Result<String, NotRun> {
        let mut child = self.start(&self.fetched()?)?;
        let out = converse(&mut child, String::new())
            .unwrap_or_else(|| panic!("{} did not end in {PATIENCE:?}", self.name));
        assert!(child.wait().unwrap().success(), "{} failed", self.name);
        Ok(out)
    }

    fn start(&self, fetched: &Path) -> Result<Child, NotRun> {
        let mut command = (self.command)(fetched, &self.program());
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        child.map_err(|e| NotRun(format!("{} does not start: {e}", self.name)))
    }

    /// One outgoing header for each incoming one; empty: none.
    pub(crate) fn hand_on(&self, headers: &[String]) -> Result<Vec<String>, NotRun> {
        let mut child = self.start(&self.fetched()?)?;
        let out = converse(&mut child, headers.join("\n") + "\n")
            .unwrap_or_else(|| panic!("{} did not end in {PATIENCE:?}", self.name));
        assert!(child.wait().unwrap().success(), "{} failed", self.name);
        let out: Vec<String> = out.lines().map(str::to_owned).collect();
        assert_eq!(out.len(), headers.len(), "{}: a line for every line", self.name);
        Ok(out)
    }

    fn program(&self) -> PathBuf {
        repo_root().join("tests/tests/sdks").join(self.folder)
    }

    fn fetched(&self) -> Result<PathBuf, NotRun> {
        let folder = repo_root().join(".tools/sdks").join(self.folder);
        let read = |file| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        if read("ready").trim_end() == self.source().trim_end() {
            return Ok(folder);
        }
        let why = read("why").trim().to_owned();
        Err(NotRun(if why.is_empty() { "not fetched; `make tools` does it".to_owned() } else { why }))
    }
}

/// Writes all and reads all at the same time: pipes are short. `None`, and the child killed, when that takes too long.
fn converse(child: &mut Child, text: String) -> Option<String> {
    let (mut to, mut from) = (child.stdin.take()?, child.stdout.take()?);
    let (done, all) = mpsc::channel();
    std::thread::spawn(move || to.write_all(text.as_bytes()));
    std::thread::spawn(move || {
        let mut out = String::new();
        let _ = from.read_to_string(&mut out).map(|_| done.send(out));
    });
    let out = all.recv_timeout(PATIENCE).ok();
    if out.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    out
}
