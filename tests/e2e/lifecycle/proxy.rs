//! One Envoy whose listeners and filters come from files that a scenario replaces while it runs (LDS, ECDS), and its ways to end.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use emac_tests::envoy::{LABELS, NATIVE_TYPE};
use emac_tests::stats::Samples;
use emac_tests::supervise::{Process, Reserved, Spec, reserve};
use emac_tests::testbed::{client, wait_until};
use http::Method;
use serde_json::{Value, json};

use crate::common::PATIENCE;

const WASM_TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

/// What an Envoy is told.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) workers: u32,
    /// Without names of ports: `port` is put in.
    pub(super) listeners: Vec<Listener>,
    pub(super) clusters: Vec<Value>,
    /// Of extensions, by name; see [`discovered`].
    pub(super) extensions: Vec<(&'static str, Value)>,
    /// Shares memory with its successor.
    pub(super) hot_restart: bool,
    /// How long connections of a replaced listener are drained; 0: a second.
    pub(super) drain_s: u32,
}

/// One listener.
#[derive(Debug, Clone)]
pub(super) struct Listener {
    pub(super) name: &'static str,
    pub(super) inbound: bool,
    pub(super) filters: Vec<Value>,
    pub(super) routes: Vec<Value>,
}

/// A running Envoy.
#[derive(Debug)]
pub(super) struct Proxy {
    process: Process,
    /// Of a hot restart; ends with the first.
    before: Vec<Process>,
    spec: Spec,
    told: Told,
    admin: SocketAddr,
    ports: Vec<(&'static str, u16)>,
    version: AtomicU32,
    base_id: u32,
    dir: tempfile::TempDir,
}

impl Proxy {
    /// Starts it and waits until it serves.
    pub(super) async fn start(binary: &Path, told: Told) -> io::Result<Self> {
        let mut dir = tempfile::Builder::new().prefix("emac-lifecycle-").tempdir()?;
        if std::env::var_os("EMAC_KEEP").is_some() {
            dir.disable_cleanup(true);
            eprintln!("kept: {}", dir.path().display());
        }
        let held: Vec<Reserved> = (0..=told.listeners.len()).map(|_| reserve()).collect::<io::Result<_>>()?;
        let numbers: Vec<u16> = held.into_iter().map(Reserved::release).collect();
        let names = told.listeners.iter().map(|listener| listener.name);
        let ports: Vec<_> = names.zip(numbers[1..].iter().copied()).collect();
        let file = dir.path().join("envoy.json");
        let tags = LABELS.iter().map(|l| json!({"tag_name": l, "regex": format!(r"({l}=\.=(.*?);\.;)")}));
        let bootstrap = json!({
            "node": {"id": "pod-1", "cluster": "pod", "metadata": {"NAMESPACE": "shop", "WORKLOAD_NAME": "pod"}},
            "admin": {"address": address(numbers[0])},
            "static_resources": {"clusters": told.clusters},
            "dynamic_resources": {"lds_config": {"resource_api_version": "V3",
                "path_config_source": {"path": dir.path().join("lds.json").display().to_string()}}},
            "stats_config": {"stats_tags": tags.collect::<Vec<_>>()},
            "layered_runtime": emac_tests::envoy::runtime(),
        });
        std::fs::write(&file, serde_json::to_string_pretty(&bootstrap)?)?;
        // Base ids name shared memory; those of other processes on the machine are far off.
        static BASE: AtomicU32 = AtomicU32::new(0);
        let base_id = 1_000 + std::process::id() % 30_000 * 32 + BASE.fetch_add(1, Ordering::Relaxed);
        let spec = Spec::new("envoy", binary, dir.path()).args([
            "-c",
            &file.display().to_string(),
            "--concurrency",
            &told.workers.to_string(),
            "--log-level",
            "warning",
            "--drain-time-s",
            &told.drain_s.max(1).to_string(),
            "--parent-shutdown-time-s",
            &(told.drain_s.max(1) + 2).to_string(),
        ]);
        // Where the filter cannot ask Envoy who it is.
        let spec = spec.env("POD_NAME", "pod-1");
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, numbers[0]));
        for (name, config) in &told.extensions {
            write_extension(dir.path(), name, config, 0)?;
        }
        write_listeners(dir.path(), &told.listeners, &ports, 0)?;
        let process = epoch(&spec, told.hot_restart.then_some((base_id, 0))).start()?;
        let version = AtomicU32::new(1);
        let before = Vec::new();
        let proxy = Self { process, before, spec, told, admin, ports, version, base_id, dir };
        if !wait_until(3 * PATIENCE, || proxy.is_ready()).await {
            return Err(io::Error::other(format!("envoy: {}", proxy.process.log_tail())));
        }
        Ok(proxy)
    }

    async fn is_ready(&self) -> bool {
        matches!(client::get(self.admin, "/ready").await, Ok((200, _)))
    }

    /// Where a listener is.
    pub(super) fn at(&self, name: &str) -> SocketAddr {
        let port = self.ports.iter().find(|(known, _)| *known == name).map(|(_, port)| *port);
        SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or_default()))
    }

    /// Replaces all listeners; returns when the change was taken.
    pub(super) async fn push_listeners(&mut self, change: impl FnOnce(&mut Vec<Listener>)) {
        let before = self.stat("listener_manager.lds.update_success").await;
        change(&mut self.told.listeners);
        let version = self.version.fetch_add(1, Ordering::Relaxed);
        write_listeners(self.dir.path(), &self.told.listeners, &self.ports, version).unwrap();
        self.grows("listener_manager.lds.update_success", before).await;
        assert_eq!(self.stat("listener_manager.lds.update_rejected").await, 0, "{}", self.process.log_tail());
    }

    /// Replaces what stands for an extension; returns when the change was taken.
    pub(super) async fn push_extension(&self, name: &str, config: &Value) {
        let stat = format!("extension_config_discovery.http_filter.{name}.config_reload");
        let before = self.stat(&stat).await;
        let version = self.version.fetch_add(1, Ordering::Relaxed);
        write_extension(self.dir.path(), name, config, version).unwrap();
        self.grows(&stat, before).await;
    }

    async fn grows(&self, stat: &str, before: u64) {
        let taken = wait_until(3 * PATIENCE, || async { self.stat(stat).await > before }).await;
        assert!(taken, "{stat} does not grow: {}", self.process.log_tail());
    }

    /// Of Envoy's statistics, by its exact name; 0 when there is none.
    pub(super) async fn stat(&self, name: &str) -> u64 {
        let text = client::get(self.admin, &format!("/stats?filter=^{name}$")).await.unwrap_or_default().1;
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok()).unwrap_or(0)
    }

    pub(super) async fn stats(&self) -> Samples {
        let text = client::get(self.admin, "/stats/prometheus").await.map(|(_, text)| text);
        Samples::parse(&text.unwrap_or_default())
    }

    /// Waits until a counter of ours is what is expected; says what it was otherwise.
    pub(super) async fn counted(&self, name: &str, labels: &[(&str, &str)], expected: u64) {
        let sum = || async { self.stats().await.sum(name, labels) };
        let exact = wait_until(PATIENCE / 4, || async { sum().await == expected as f64 }).await;
        assert!(exact, "{name}{labels:?} is {}, not {expected}", sum().await);
    }

    pub(super) async fn post(&self, path: &str) {
        let (status, text) = client::ask(Method::POST, self.admin, path).await.unwrap();
        assert_eq!(status, 200, "{path}: {text}");
    }

    /// SIGTERM; how it ended.
    pub(super) async fn terminate(&mut self) -> Option<ExitStatus> {
        self.process.terminate(PATIENCE).await
    }

    /// The successor of a hot restart, on the same ports; waits until it serves.
    pub(super) async fn succeed(&mut self) {
        let number = u32::try_from(self.before.len() + 1).unwrap_or_default();
        let successor = epoch(&self.spec, Some((self.base_id, number))).start().unwrap();
        self.before.push(std::mem::replace(&mut self.process, successor));
        let serves = || async {
            let text = client::get(self.admin, "/server_info").await.unwrap_or_default().1;
            let info: Value = serde_json::from_str(&text).unwrap_or_default();
            info["state"] == "LIVE" && info["command_line_options"]["restart_epoch"] == number
        };
        assert!(wait_until(3 * PATIENCE, serves).await, "{}", self.process.log_tail());
    }

    /// The predecessor ended by itself.
    pub(super) async fn predecessor_ended(&mut self) -> bool {
        let until = std::time::Instant::now() + PATIENCE;
        while self.before.iter_mut().any(|process| process.exited().is_none()) {
            if std::time::Instant::now() > until {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The log.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.process.log()).unwrap_or_default()
    }
}

fn epoch(spec: &Spec, shared: Option<(u32, u32)>) -> Spec {
    match shared {
        None => spec.clone().args(["--disable-hot-restart"]),
        Some((base, epoch)) => {
            spec.clone().args(["--base-id", &base.to_string(), "--restart-epoch", &epoch.to_string()])
        }
    }
}

fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

/// Envoy watches for a file that takes another's place.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::rename(new, file)
}

fn extension_file(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("ecds-{name}.json"))
}

fn write_extension(dir: &Path, name: &str, config: &Value, version: u32) -> io::Result<()> {
    let resource = json!({"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": name, "typed_config": config["typed_config"]});
    let all = json!({"version_info": version.to_string(), "resources": [resource]});
    replace(&extension_file(dir, name), &all.to_string())
}

fn write_listeners(
    dir: &Path,
    listeners: &[Listener],
    ports: &[(&'static str, u16)],
    version: u32,
) -> io::Result<()> {
    let one = |(listener, (_, port)): (&Listener, &(&str, u16))| listener.to_json(dir, *port, version);
    let resources: Vec<Value> = listeners.iter().zip(ports).map(one).collect();
    let all = json!({"version_info": version.to_string(), "resources": resources});
    replace(&dir.join("lds.json"), &all.to_string())
}

impl Listener {
    fn to_json(&self, dir: &Path, port: u16, version: u32) -> Value {
        let router = json!({"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}});
        let mut filters: Vec<Value> = self.filters.iter().cloned().chain([router]).collect();
        for filter in &mut filters {
            if let Some(name) = filter.get("discovered").and_then(Value::as_str) {
                let path = extension_file(dir, name).display().to_string();
                let source = json!({"resource_api_version": "V3", "path_config_source": {"path": path}});
                *filter = json!({"name": name,
                    "config_discovery": {"config_source": source, "type_urls": [WASM_TYPE, NATIVE_TYPE]}});
            }
        }
        let manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
        json!({
            "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
            "name": self.name,
            "address": address(port),
            "traffic_direction": if self.inbound { "INBOUND" } else { "OUTBOUND" },
            "enable_reuse_port": false,
            "connection_balance_config": {"exact_balance": {}},
            // What makes every push a change.
            "metadata": {"filter_metadata": {"push": {"version": version}}},
            "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": {
                    "@type": format!("type.googleapis.com/{manager}"),
                    "stat_prefix": self.name,
                    "http_protocol_options": {"enable_trailers": true},
                    "route_config": {"name": self.name, "virtual_hosts": [
                        {"name": self.name, "domains": ["*"], "routes": self.routes}]},
                    "http_filters": filters,
                },
            }]}],
        })
    }
}

/// A filter whose configuration comes by ECDS, under a name of [`Told::extensions`].
pub(super) fn discovered(name: &str) -> Value {
    json!({"discovered": name})
}

/// A cluster of one endpoint.
pub(super) fn cluster(name: &str, port: u16) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "circuit_breakers": {"thresholds": [{"max_connections": 1000, "max_pending_requests": 1000, "max_requests": 1000, "max_retries": 1000}]},
        "load_assignment": {"cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]},
    })
}

/// The same, spoken to in HTTP/2.
pub(super) fn control_plane(port: u16) -> Value {
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let mut cluster = cluster("emac-control-plane", port);
    cluster["typed_extension_protocol_options"] = json!({options: {
        "@type": format!("type.googleapis.com/{options}"), "explicit_http_config": {"http2_protocol_options": {}}}});
    cluster
}

/// Everything to a cluster, without limit.
pub(super) fn route(cluster: &str) -> Value {
    json!({"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "60s"}})
}
