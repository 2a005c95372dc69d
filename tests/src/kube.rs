//! A Kubernetes API without a cluster: etcd, kube-apiserver and kubectl. No controller runs: what they would make (service
//! accounts, endpoints) the scenario's objects say themselves.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use emac_tests::supervise::{Process, Spec};
use emac_tests::testbed::wait_until;
use serde_json::Value;

use crate::Told;
use crate::tools::Tools;

/// How long the API may take to be ready on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// A user who may do everything; nobody outside the namespace can reach the server.
const TOKEN: &str = "e2e";
const ADDRESS: &str = "https://127.0.0.1:6443";

/// The running API.
#[derive(Debug)]
pub(crate) struct Kube {
    kubectl: PathBuf,
    folder: PathBuf,
    _parts: [Process; 2],
}

impl Kube {
    /// Starts it, with the definitions of Istio's and the Gateway API's resources.
    pub(crate) async fn start(tools: &Tools, folder: &Path) -> Told<Self> {
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
        fs::write(file("kubeconfig"), kubeconfig()).map_err(told)?;
        let etcd = Spec::new("etcd", tools.bin("etcd"), &folder).args([
            "--data-dir",
            &file("etcd"),
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--initial-advertise-peer-urls=http://127.0.0.1:2380",
            "--initial-cluster=default=http://127.0.0.1:2380",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]);
        let key = file("sa.key");
        let server = Spec::new("kube-apiserver", tools.bin("kube-apiserver"), &folder).args([
            "--etcd-servers=http://127.0.0.1:2379",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--secure-port=6443",
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
        let kube = Self { kubectl: tools.bin("kubectl"), folder, _parts: parts };
        let ready =
            wait_until(PATIENCE, || async { kube.run(&["get", "--raw=/readyz"], None).is_ok() }).await;
        if !ready {
            return Err(format!("kube-apiserver is not ready: {}", kube._parts[1].log_tail()));
        }
        // Too large for the annotation of a client-side apply.
        kube.run(&["apply", "--server-side", "-f", &tools.definitions().display().to_string()], None)?;
        kube.run(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"], None)?;
        Ok(kube)
    }

    /// For istiod.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// `kubectl` with these arguments; its output.
    pub(crate) fn run(&self, arguments: &[&str], input: Option<&str>) -> Told {
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
    pub(crate) fn apply(&self, document: &str) -> Told<()> {
        self.run(&["apply", "-f", "-"], Some(document)).map(drop)
    }

    /// Deletes what a document names; what is not there is no error.
    pub(crate) fn delete(&self, document: &str) -> Told<()> {
        self.run(&["delete", "--ignore-not-found", "--wait=false", "-f", "-"], Some(document)).map(drop)
    }

    /// The objects of a document, as JSON.
    pub(crate) fn read(&self, document: &str) -> Told<Vec<Value>> {
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

fn kubeconfig() -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: e2e\n\
         clusters: [{{name: e2e, cluster: {{server: \"{ADDRESS}\", insecure-skip-tls-verify: true}}}}]\n\
         users: [{{name: e2e, user: {{token: {TOKEN}}}}}]\n\
         contexts: [{{name: e2e, context: {{cluster: e2e, user: e2e}}}}]\n"
    )
}

/// An error in words.
pub(crate) fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}
