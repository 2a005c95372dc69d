//! Gateway, two sidecars and their applications: captured configuration in real Envoys.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use emac_tests::envoy::{Bootstrap, Node};
use emac_tests::load::Load;
use emac_tests::stats::Samples;
use emac_tests::supervise::{Process, Reserved, Spec, reserve};
use emac_tests::testbed::client::get;
use emac_tests::testbed::scripted::Scripted;
use emac_tests::testbed::{Call, Latency, Propagate, Service, ServiceSpec, wait_until};
use serde_json::json;

use super::capture::{Capture, Ports, subscribe};
use crate::common::PATIENCE;

/// As captured: the gateway's listener of either kind, the sidecars' listeners, applications and the control plane.
const GATEWAYS: [(&str, u16); 2] = [("0.0.0.0", 8090), ("127.0.1.10", 8080)];
const FRONT_IN: (&str, u16) = ("127.0.1.11", 8081);
const FRONT_OUT: (&str, u16) = ("127.0.1.11", 8082);
const PAY_IN: (&str, u16) = ("127.0.1.12", 8082);
const FRONT_APP: (&str, u16) = ("127.0.0.1", 7081);
const PAY_APP: (&str, u16) = ("127.0.0.1", 7082);
const TO_CONTROL_PLANE: [(&str, u16); 2] = [("127.0.1.11", 18000), ("127.0.1.12", 18000)];
const CONTROL_PLANE: (&str, u16) = ("127.0.1.31", 18000);

/// Host of the second service, as applications and hops call it.
pub(super) const PAY: &str = "pay.shop.svc.cluster.local";
/// Host of the first.
pub(super) const FRONT: &str = "front.shop.svc.cluster.local";

/// What each proxy was sent.
pub(super) struct Captures {
    pub(super) gateway: Capture,
    pub(super) front: Capture,
    pub(super) pay: Capture,
}

/// Everything that runs.
pub(super) struct Mesh {
    proxies: BTreeMap<&'static str, Proxy>,
    ports: Ports,
    workers: u32,
    entry: SocketAddr,
    pub(super) front: Service,
    pub(super) pay: Service,
    pub(super) control: Scripted,
    _dir: tempfile::TempDir,
}

struct Proxy {
    admin: SocketAddr,
    folder: PathBuf,
    process: Process,
}

impl Mesh {
    /// Starts everything and waits until it serves.
    pub(super) async fn start(envoy: &Path, workers: u32, captures: Captures) -> Self {
        let dir = tempfile::Builder::new().prefix("emac-replay-").tempdir().unwrap();
        let control = Scripted::start().await.unwrap();
        let mut ports = Ports::from([(CONTROL_PLANE, control.address().port())]);
        let mut hold = |places: &[(&'static str, u16)]| -> Reserved {
            let held = reserve().unwrap();
            ports.extend(places.iter().map(|place| (*place, held.port())));
            held
        };
        let (front_app, pay_app) = (hold(&[FRONT_APP]), hold(&[PAY_APP]));
        let mut listeners = vec![hold(&GATEWAYS)];
        let entry = listeners[0].address();
        let sidecars = [FRONT_IN, FRONT_OUT, PAY_IN].into_iter().chain(TO_CONTROL_PLANE);
        listeners.extend(sidecars.map(|place| hold(&[place])));

        let spec = ServiceSpec::leaf("front", Latency::none()).then(vec![Call::http(PAY, "/pay")]);
        let outbound = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[&FRONT_OUT]));
        let front = Service::start(spec, front_app, Some(outbound), Propagate::Both, 1).unwrap();
        let spec = ServiceSpec::leaf("pay", Latency::none());
        let pay = Service::start(spec, pay_app, None, Propagate::Both, 1).unwrap();

        drop(listeners);
        let Captures { gateway, front: of_front, pay: of_pay } = captures;
        let nodes =
            [("gateway", "router", gateway), ("front", "sidecar", of_front), ("pay", "sidecar", of_pay)];
        let mut proxies = BTreeMap::new();
        for (name, kind, capture) in nodes {
            let folder = dir.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            capture.write(&folder, &ports, workers).unwrap();
            proxies.insert(name, Proxy::start(envoy, workers, name, kind, folder));
        }
        let mesh = Self { proxies, ports, workers, entry, front, pay, control, _dir: dir };
        mesh.serves().await;
        mesh
    }

    /// Sends a proxy another configuration, as istiod does after a change; does not wait.
    pub(super) fn push(&self, name: &str, capture: Capture) {
        capture.write(&self.proxies[name].folder, &self.ports, self.workers).unwrap();
    }

    /// Requests through the gateway.
    pub(super) fn load(&self) -> Load {
        Load::get(self.entry, "shop.example", "/checkout")
    }

    /// Statistics of one proxy. Its main thread answers nobody while it compiles a module, on a busy machine for longer than one try.
    pub(super) async fn stats_of(&self, name: &str) -> Samples {
        let proxy = &self.proxies[name];
        for _ in 0..6 {
            if let Ok((_, text)) = get(proxy.admin, "/stats/prometheus").await {
                return Samples::parse(&text);
            }
        }
        panic!("{name} is silent: {}", proxy.process.log_tail());
    }

    /// Waits until a counter, summed over all proxies, is what is expected.
    pub(super) async fn counted(&self, name: &str, labels: &[(&str, &str)], expected: f64) {
        let sum = || async {
            let mut sum = 0.0;
            for proxy in self.proxies.keys() {
                sum += self.stats_of(proxy).await.sum(name, labels);
            }
            sum
        };
        let exact = wait_until(PATIENCE, || async { sum().await == expected }).await;
        assert!(exact, "{name}{labels:?} is {}, not {expected}", sum().await);
    }

    async fn serves(&self) {
        for proxy in self.proxies.values() {
            let ready = || async { matches!(get(proxy.admin, "/ready").await, Ok((200, _))) };
            assert!(wait_until(3 * PATIENCE, ready).await, "{}", proxy.process.log_tail());
        }
    }
}

impl Proxy {
    fn start(envoy: &Path, workers: u32, name: &str, kind: &str, folder: PathBuf) -> Self {
        let admin = reserve().unwrap().release();
        let bootstrap = Bootstrap {
            // As Istio's agent names a proxy.
            node: Node {
                id: format!("{kind}~127.0.0.1~{name}-1.shop~shop.svc.cluster.local"),
                cluster: format!("{name}.shop"),
                metadata: json!({"NAMESPACE": "shop", "WORKLOAD_NAME": name}),
            },
            admin,
            listeners: Vec::new(),
            clusters: Vec::new(),
            concurrency: workers,
        };
        let mut configuration = bootstrap.to_json();
        subscribe(&mut configuration, &folder);
        let path = folder.join("bootstrap.json");
        std::fs::write(&path, configuration.to_string()).unwrap();
        let spec = Spec::new(format!("envoy-{name}"), envoy, &folder)
            .args(arguments(&bootstrap, &path))
            // What Istio's agent has in its environment, where the filter cannot ask Envoy.
            .env("POD_NAME", format!("{name}-1"))
            .env("POD_NAMESPACE", "shop")
            .env("ISTIO_META_WORKLOAD_NAME", name);
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, admin));
        Self { admin, folder, process: spec.start().unwrap() }
    }
}

/// Old filter chains live as long as Istio lets them.
fn arguments(bootstrap: &Bootstrap, path: &Path) -> Vec<String> {
    let mut arguments = bootstrap.arguments(path);
    let drain = arguments.iter().position(|argument| argument == "--drain-time-s").unwrap();
    arguments[drain + 1] = "45".to_owned();
    let parent = arguments.iter().position(|argument| argument == "--parent-shutdown-time-s").unwrap();
    arguments[parent + 1] = "60".to_owned();
    arguments
}
