//! A Kubernetes API without a cluster: etcd, kube-apiserver and kubectl. No controller of Kubernetes runs: what they would make (service
//! accounts, endpoints, pods and their readiness) the scenario says itself. `tests/setup/kubernetes.sh` builds the parts.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::repo_root;
use crate::supervise::{Process, Spec, reserve};
use crate::testbed::wait_until;

/// How long the API may take to be ready on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// A user who may do everything; the server listens on loopback only.
const TOKEN: &str = "e2e";

/// What a step ends with: what it gives, or what was wrong.
pub type Told<T = String> = Result<T, String>;

/// The running API.
#[derive(Debug)]
pub struct Kube {
    kubectl: PathBuf,
    folder: PathBuf,
    _parts: [Process; 2],
}

impl Kube {
    /// The folder of its programs, or which is missing and why.
    ///
    /// # Errors
    /// What to tell in the place of a test's result.
    pub fn find() -> Told<PathBuf> {
        let root = repo_root().join(".tools/kubernetes");
        if let Ok(why) = fs::read_to_string(root.join("not-run.txt")) {
            return Err(why.trim().to_owned());
        }
        let bin = root.join("bin");
        match ["kube-apiserver", "etcd", "kubectl"].iter().find(|part| !bin.join(part).is_file()) {
            Some(part) => Err(format!("no {part}: run `sh tests/setup/kubernetes.sh`, which builds it")),
            None => Ok(bin),
        }
    }

    /// Starts it from the programs in `bin`, with the resource definitions in these files and folders.
    ///
    /// # Errors
    /// When a part does not start, or does not take the definitions.
    pub async fn start(bin: &Path, folder: &Path, definitions: &[PathBuf]) -> Told<Self> {
        let folder = folder.join("kube");
        fs::create_dir_all(&folder).map_err(told)?;
        let file = |name: &str| folder.join(name).display().to_string();
        let made = Command::new("openssl")
            .args(["genrsa", "-out", &file("sa.key"), "2048"])
            .output()
            .map_err(told)?;
        if !made.status.success() {
            return Err(format!("openssl: {}", String::from_utf8_lossy(&made.stderr)));
        }
        fs::write(file("tokens.csv"), format!("{TOKEN},admin,admin,\"system:masters\"\n")).map_err(told)?;
        let [clients, peers, secure] = [reserve(), reserve(), reserve()].map(|port| port.map_err(told));
        let (clients, peers, secure) = (clients?.release(), peers?.release(), secure?.release());
        fs::write(file("kubeconfig"), kubeconfig(secure)).map_err(told)?;
        let (clients, peers) = (format!("http://127.0.0.1:{clients}"), format!("http://127.0.0.1:{peers}"));
        let etcd = Spec::new("etcd", bin.join("etcd"), &folder).args([
            "--data-dir",
            &file("etcd"),
            &format!("--listen-client-urls={clients}"),
            &format!("--advertise-client-urls={clients}"),
            &format!("--listen-peer-urls={peers}"),
            &format!("--initial-advertise-peer-urls={peers}"),
            &format!("--initial-cluster=default={peers}"),
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]);
        let key = file("sa.key");
        let server = Spec::new("kube-apiserver", bin.join("kube-apiserver"), &folder).args([
            &format!("--etcd-servers={clients}"),
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            &format!("--secure-port={secure}"),
            "--endpoint-reconciler-type=none",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--disable-admission-plugins=ServiceAccount",
            &format!("--cert-dir={}", file("certificates")),
            &format!("--token-auth-file={}", file("tokens.csv")),
            &format!("--service-account-key-file={key}"),
            &format!("--service-account-signing-key-file={key}"),
        ]);
        let parts = [etcd.start().map_err(told)?, server.start().map_err(told)?];
        let kube = Self { kubectl: bin.join("kubectl"), folder, _parts: parts };
        let ready =
            wait_until(PATIENCE, || async { kube.run(&["get", "--raw=/readyz"], None).is_ok() }).await;
        if !ready {
            return Err(format!("kube-apiserver is not ready: {}", kube._parts[1].log_tail()));
        }
        // Too large for the annotation of a client-side apply.
        for file in definitions {
            kube.run(&["apply", "--server-side", "-f", &file.display().to_string()], None)?;
        }
        kube.run(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"], None)?;
        Ok(kube)
    }

    /// For other programs.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// `kubectl` with these arguments; its output.
    ///
    /// # Errors
    /// What `kubectl` says.
    pub fn run(&self, arguments: &[&str], input: Option<&str>) -> Told {
        let mut command = Command::new(&self.kubectl);
        command.arg(format!("--kubeconfig={}", self.kubeconfig().display())).args(arguments);
        command.env("HOME", &self.folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(told)?;
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(input.unwrap_or_default().as_bytes()).map_err(told)?;
        }
        let output = child.wait_with_output().map_err(told)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.success() {
            true => Ok(text),
            false => Err(format!(
                "kubectl {}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            )),
        }
    }

    /// Applies a document, or several.
    ///
    /// # Errors
    /// What `kubectl` says.
    pub fn apply(&self, document: &str) -> Told<()> {
        self.run(&["apply", "-f", "-"], Some(document)).map(drop)
    }

    /// Deletes what a document names; what is not there is no error.
    ///
    /// # Errors
    /// What `kubectl` says.
    pub fn delete(&self, document: &str) -> Told<()> {
        self.run(&["delete", "--ignore-not-found", "--wait=false", "-f", "-"], Some(document)).map(drop)
    }

    /// The objects of a document, as JSON.
    ///
    /// # Errors
    /// What `kubectl` says.
    pub fn read(&self, document: &str) -> Told<Vec<Value>> {
        let text = self.run(&["create", "--dry-run=client", "-o", "json", "-f", "-"], Some(document))?;
        // One object after another, or a list.
        let mut objects = Vec::new();
        for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            let value = value.map_err(told)?;
            match value["items"].as_array() {
                Some(items) if value["kind"] == "List" => objects.extend(items.iter().cloned()),
                _ => objects.push(value),
            }
        }
        Ok(objects)
    }
}

fn kubeconfig(port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: e2e\n\
         clusters: [{{name: e2e, cluster: {{server: \"https://127.0.0.1:{port}\", insecure-skip-tls-verify: true}}}}]\n\
         users: [{{name: e2e, user: {{token: {TOKEN}}}}}]\n\
         contexts: [{{name: e2e, context: {{cluster: e2e, user: e2e}}}}]\n"
    )
}

/// An error in words.
pub fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}
