//! istiod, and Istio's agent with its Envoy once for each workload.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use emac_tests::stats::Samples;
use emac_tests::supervise::{Process, Spec};
use emac_tests::testbed::client::get;
use emac_tests::testbed::wait_until;
use serde_json::{Value, json};

use crate::Told;
use crate::tools::Tools;
use emac_tests::kube::{Kube, told};

/// How long a part may take to be ready on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
const DISCOVERY: &str = "localhost:15012";
/// istiod's readiness and debug interface.
const READY: &str = "127.0.0.1:15080";
const MONITORING: &str = "127.0.0.1:15014";

/// A workload with a proxy: what the injector, or a gateway's chart, would have written into its pod.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pod {
    /// Of the workload; its pod is `<name>-1`.
    pub(crate) name: &'static str,
    pub(crate) namespace: &'static str,
    pub(crate) account: &'static str,
    /// `sidecar` or `router`.
    pub(crate) kind: &'static str,
    pub(crate) address: &'static str,
    pub(crate) labels: &'static [(&'static str, &'static str)],
    /// Makes its ports: unique, below 50.
    pub(crate) index: u16,
}

/// The label that the injector puts on every pod with a sidecar.
const INJECTED: (&str, &str) = ("security.istio.io/tlsMode", "istio");

/// Every workload of the scenario.
pub(crate) const PODS: [Pod; 6] = [
    Pod {
        name: "shop-gateway",
        namespace: "shop",
        account: "gateway",
        kind: "router",
        address: "127.0.1.20",
        labels: &[("app", "shop-gateway"), ("gateway.networking.k8s.io/gateway-name", "shop-gateway")],
        index: 0,
    },
    Pod {
        name: "gateway",
        namespace: "shop",
        account: "gateway",
        kind: "router",
        address: "127.0.1.10",
        labels: &[("app", "gateway"), ("istio", "ingressgateway")],
        index: 1,
    },
    Pod {
        name: "front",
        namespace: "shop",
        account: "front",
        kind: "sidecar",
        address: "127.0.1.11",
        labels: &[("app", "front"), INJECTED],
        index: 2,
    },
    Pod {
        name: "pay",
        namespace: "shop",
        account: "pay",
        kind: "sidecar",
        address: "127.0.1.12",
        labels: &[("app", "pay"), ("version", "v1"), INJECTED],
        index: 3,
    },
    Pod {
        name: "pay-next",
        namespace: "shop",
        account: "pay",
        kind: "sidecar",
        address: "127.0.1.13",
        labels: &[("app", "pay"), ("version", "v2"), INJECTED],
        index: 4,
    },
    Pod {
        name: "emac",
        namespace: "emac-system",
        account: "emac",
        kind: "sidecar",
        address: "127.0.1.31",
        labels: &[("app", "emac"), INJECTED],
        index: 5,
    },
];

/// The mesh's control plane.
#[derive(Debug)]
pub(crate) struct Istiod {
    spec: Spec,
    process: Process,
}

impl Istiod {
    /// Starts it; ready when this returns.
    pub(crate) async fn start(tools: &Tools, folder: &Path, kube: &Kube) -> Told<Self> {
        let folder = folder.join("istiod");
        fs::create_dir_all(&folder).map_err(told)?;
        let mesh = folder.join("mesh.yaml");
        fs::write(&mesh, include_str!("objects/mesh.yaml")).map_err(told)?;
        let spec = in_folder("istiod", &folder, "", &tools.bin("pilot-discovery"))
            .args([
                "discovery",
                "--registries=Kubernetes",
                "--networksConfig=none",
                "--ctrlz_port=0",
                "--httpsAddr=",
            ])
            .args([
                format!("--kubeconfig={}", kube.kubeconfig().display()),
                format!("--meshConfig={}", mesh.display()),
                format!("--httpAddr={READY}"),
                format!("--monitoringAddr={MONITORING}"),
                "--grpcAddr=127.0.0.1:15010".to_owned(),
                "--secureGRPCAddr=127.0.0.1:15012".to_owned(),
            ])
            // Filters that only Istio's own build of Envoy has; the address its certificate names; no Deployments for gateways.
            .env("PILOT_ENABLE_METADATA_EXCHANGE", "false")
            .env("PILOT_ENABLE_ALPN_FILTER", "false")
            .env("PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER", "false")
            .env("ISTIOD_CUSTOM_HOST", "localhost")
            .env("POD_NAMESPACE", "istio-system")
            .env("POD_NAME", "istiod-1");
        let istiod = Self { process: spec.start().map_err(told)?, spec };
        istiod.ready().await?;
        Ok(istiod)
    }

    async fn ready(&self) -> Told<()> {
        let address: SocketAddr = READY.parse().map_err(told)?;
        let ready = || async { matches!(get(address, "/ready").await, Ok((200, _))) };
        match wait_until(PATIENCE, ready).await {
            true => Ok(()),
            false => Err(format!("istiod is not ready: {}", self.process.log_tail())),
        }
    }

    /// SIGKILL, as when its node is lost.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again with an environment variable set, or with none besides its own; ready when this returns.
    pub(crate) async fn start_again_with(&mut self, variable: Option<(&str, &str)>) -> Told<()> {
        self.process.kill();
        let spec = variable.iter().fold(self.spec.clone(), |spec, (name, value)| spec.env(*name, *value));
        self.process = spec.start().map_err(told)?;
        self.ready().await
    }

    /// What istiod sent to each proxy and what was acknowledged, `/debug/syncz`.
    pub(crate) async fn synchronised(&self) -> Told<Value> {
        let address: SocketAddr = MONITORING.parse().map_err(told)?;
        let (_, text) = get(address, "/debug/syncz").await.map_err(told)?;
        serde_json::from_str(&text).map_err(told)
    }
}

/// An agent with its Envoy.
#[derive(Debug)]
pub(crate) struct Agent {
    /// Whose.
    pub(crate) pod: Pod,
    spec: Spec,
    process: Process,
}

impl Agent {
    /// Starts it; it need not be ready when this returns. `tags` are those that deploy/istio/README.md tells users to set.
    pub(crate) fn start(tools: &Tools, folder: &Path, kube: &Kube, pod: Pod, tags: &[String]) -> Told<Self> {
        Self::start_with(tools, folder, kube, pod, tags, &[])
    }

    /// The same with environment variables of its own.
    pub(crate) fn start_with(
        tools: &Tools,
        folder: &Path,
        kube: &Kube,
        pod: Pod,
        tags: &[String],
        more: &[(&str, &str)],
    ) -> Told<Self> {
        let folder = folder.join(pod.name);
        let (secrets, modules) = (folder.join("var/run/secrets"), folder.join("modules"));
        for needed in
            [&secrets.join("tokens"), &secrets.join("istio"), &modules, &folder.join("etc/istio/proxy")]
        {
            fs::create_dir_all(needed).map_err(told)?;
        }
        let Pod { name, namespace, account, kind, address, index, .. } = pod;
        let token = kube.run(
            &["create", "token", account, "-n", namespace, "--audience=istio-ca", "--duration=12h"],
            None,
        )?;
        fs::write(secrets.join("tokens/istio-token"), token.trim()).map_err(told)?;
        fs::write(secrets.join("istio/root-cert.pem"), root_certificate(kube, namespace)?).map_err(told)?;
        let labels: Value = pod
            .labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), json!(v)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let proxy = json!({
            "discoveryAddress": DISCOVERY, "binaryPath": tools.envoy, "configPath": "./etc/istio/proxy", "concurrency": 2,
            "proxyAdminPort": 16000 + index, "statusPort": 16100 + index, "extraStatTags": tags,
            "terminationDrainDuration": "1s",
        });
        // The folder of modules has one path in every agent: each has its own there, as in a pod.
        let own = format!("mount --bind {} /var/lib/istio/data &&", modules.display());
        let spec = in_folder(name, &folder, &own, &tools.bin("pilot-agent"))
            .args([
                "proxy",
                kind,
                "--domain",
                &format!("{namespace}.svc.cluster.local"),
                "--proxyLogLevel=warning",
            ])
            .env("INSTANCE_IP", address)
            .env("POD_NAME", format!("{name}-1"))
            .env("POD_NAMESPACE", namespace)
            .env("SERVICE_ACCOUNT", account)
            .env("TRUST_DOMAIN", "cluster.local")
            .env("ISTIO_META_CLUSTER_ID", "Kubernetes")
            .env("ISTIO_META_INTERCEPTION_MODE", "NONE")
            .env("ISTIO_META_WORKLOAD_NAME", name)
            .env("ISTIO_METAJSON_LABELS", labels.to_string())
            .env("PROXY_CONFIG", proxy.to_string())
            .env("ISTIO_BOOTSTRAP", tools.bootstrap().display().to_string())
            .env("ENVOY_STATUS_PORT", (16200 + index).to_string())
            .env("ENVOY_PROMETHEUS_PORT", (16300 + index).to_string())
            .env("WASM_INSECURE_REGISTRIES", crate::registry::HOST);
        let spec = more.iter().fold(spec, |spec, (name, value)| spec.env(*name, *value));
        let process = spec.start().map_err(told)?;
        Ok(Self { pod, spec, process })
    }

    /// Waits until its Envoy serves what istiod sent.
    pub(crate) async fn ready(&self) -> Told<()> {
        let ready = || async { matches!(get(self.status(), "/healthz/ready").await, Ok((200, _))) };
        match wait_until(PATIENCE, ready).await {
            true => Ok(()),
            false => Err(format!("{} is not ready: {}", self.pod.name, self.process.log_tail())),
        }
    }

    /// SIGTERM as a kubelet sends it, and started again once it has ended.
    pub(crate) async fn restart(&mut self) -> Told<()> {
        self.process.terminate(Duration::from_secs(20)).await;
        self.process = self.spec.start().map_err(told)?;
        self.ready().await
    }

    fn status(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 16100 + self.pod.index))
    }

    /// Envoy's admin interface.
    pub(crate) fn admin(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 16000 + self.pod.index))
    }

    /// The merged metrics, where Prometheus would read them.
    pub(crate) async fn metrics(&self) -> Told<Samples> {
        let (_, text) = get(self.status(), "/stats/prometheus").await.map_err(told)?;
        Ok(Samples::parse(&text))
    }

    /// Names and text of the extension configurations it has. Listeners that are draining keep theirs for a while.
    pub(crate) async fn extensions(&self) -> Told<Vec<(String, String)>> {
        let of = |filter: &Value| {
            let name = filter["ecds_filter"]["name"].as_str().unwrap_or_default();
            (name.to_owned(), filter.to_string())
        };
        Ok(self.dump("ecds_filters").await?.iter().map(of).collect())
    }

    /// Whether a listener that takes new connections has a plugin.
    pub(crate) async fn is_extended(&self) -> Told<bool> {
        let listeners = self.dump("dynamic_listeners").await?;
        Ok(listeners
            .iter()
            .any(|listener| listener["active_state"].to_string().contains("/trafficextension/")))
    }

    /// One kind of what its Envoy was told.
    async fn dump(&self, kind: &str) -> Told<Vec<Value>> {
        let (_, text) = get(self.admin(), "/config_dump").await.map_err(told)?;
        let dump: Value = serde_json::from_str(&text).map_err(told)?;
        let parts = dump["configs"].as_array().into_iter().flatten();
        Ok(parts.flat_map(|part| part[kind].as_array().into_iter().flatten()).cloned().collect())
    }
}

/// A program started in a folder of its own, after `first`, with mounts of its own.
fn in_folder(name: &str, folder: &Path, first: &str, program: &Path) -> Spec {
    let script = format!("cd {} && {first} exec {} \"$@\"", folder.display(), program.display());
    Spec::new(name, "/usr/bin/unshare", folder).args(["--mount", "--", "sh", "-c", &script, name])
}

/// Written into every namespace by istiod.
fn root_certificate(kube: &Kube, namespace: &str) -> Told {
    let read = || {
        let path = "jsonpath={.data.root-cert\\.pem}";
        kube.run(&["get", "configmap", "istio-ca-root-cert", "-n", namespace, "-o", path], None)
    };
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        match read() {
            Ok(text) if !text.is_empty() => return Ok(text),
            _ if std::time::Instant::now() < until => std::thread::sleep(Duration::from_millis(200)),
            other => return other,
        }
    }
}
