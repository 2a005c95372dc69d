//! The whole: API, registry, istiod, a proxy for every workload, two services, the control plane.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use emac_tests::load::Load;
use emac_tests::stats::Samples;
use emac_tests::supervise::{Process, Spec};
use emac_tests::testbed::client::get;
use emac_tests::testbed::{Call, Fault, Latency, Propagate, Service, ServiceSpec, wait_until};

use crate::Told;
use crate::agents::{Agent, Istiod, PODS};
use crate::registry::Registry;
use crate::shipped;
use crate::tools::Tools;
use emac_tests::kube::{Kube, told};

/// How long a condition may take to come true before a situation fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(45);
/// The journey of `objects/intent.yaml`.
pub(crate) const JOURNEY: &str = "checkout";
/// Destinations of its two hops.
pub(crate) const FRONT: &str = "front.shop.svc.cluster.local";
pub(crate) const PAY: &str = "pay.shop.svc.cluster.local";
/// Tag of the shipped manifests' image.
pub(crate) const TAG: &str = "0.1.0";

/// Which gateway a load enters by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gateway {
    /// Described by the Gateway API, workload `shop/shop-gateway`.
    Api,
    /// Istio's own Gateway with a selector, workload `shop/gateway`.
    Classic,
}

impl Gateway {
    /// Name of its workload.
    pub(crate) fn workload(self) -> &'static str {
        match self {
            Self::Api => "shop-gateway",
            Self::Classic => "gateway",
        }
    }

    fn address(self) -> SocketAddr {
        match self {
            Self::Api => SocketAddr::from(([127, 0, 1, 20], 8090)),
            Self::Classic => SocketAddr::from(([127, 0, 1, 10], 8080)),
        }
    }
}

/// Everything that runs.
pub(crate) struct Mesh {
    // Dropped in this order: proxies before what they talk to.
    agents: BTreeMap<&'static str, Agent>,
    control: Option<Process>,
    control_spec: Spec,
    pub(crate) istiod: Istiod,
    services: BTreeMap<&'static str, Service>,
    pub(crate) registry: Registry,
    /// Digest of the shipped image.
    pub(crate) digest: String,
    pub(crate) kube: Kube,
    pub(crate) tools: Tools,
    /// Objects of the situation being played.
    added: Vec<String>,
}

/// Tells what is being done, and since when.
fn progress(began: Instant, what: &str) {
    println!("istio: {:>4.0} s  {what}", began.elapsed().as_secs_f64());
}

impl Mesh {
    /// Starts all parts and waits until traffic flows; no plugin is applied yet.
    pub(crate) async fn start(tools: Tools) -> Told<Self> {
        let began = Instant::now();
        let folder = crate::ROOM.folder();
        let registry = Registry::start().await.map_err(told)?;
        let digest = registry.push(TAG, fs::read(&tools.wasm).map_err(told)?);
        progress(began, "etcd and kube-apiserver");
        let kube = Kube::start(&tools.kubernetes, &folder, &[tools.definitions()]).await?;
        kube.apply(include_str!("objects/namespaces.yaml"))?;
        kube.apply(&shipped::service()?)?;
        for objects in [
            include_str!("objects/services.yaml"),
            include_str!("objects/workloads.yaml"),
            include_str!("objects/gateway-api.yaml"),
            include_str!("objects/gateway-classic.yaml"),
        ] {
            kube.apply(objects)?;
        }
        kube.apply(&shipped::control_plane(&kube, CONTROL_ADDRESS)?)?;
        progress(began, "istiod");
        let istiod = Istiod::start(&tools, &folder, &kube).await?;
        let control_spec = control_plane(&tools, &folder.join("control-plane"))?;
        let control = Some(control_spec.start().map_err(told)?);
        progress(began, "agents with their Envoys");
        let tags = shipped::stat_tags()?;
        let mut agents = BTreeMap::new();
        for pod in PODS {
            agents.insert(pod.name, Agent::start(&tools, &folder, &kube, pod, &tags)?);
        }
        let services = services()?;
        for agent in agents.values() {
            agent.ready().await?;
        }
        let added = Vec::new();
        let mesh =
            Self { agents, control, control_spec, istiod, services, registry, digest, kube, tools, added };
        mesh.control_ready().await?;
        for gateway in [Gateway::Api, Gateway::Classic] {
            mesh.flows(gateway).await?;
        }
        progress(began, "traffic flows");
        Ok(mesh)
    }

    /// `GET /checkout` of `shop.example`.
    pub(crate) fn load(&self, gateway: Gateway) -> Load {
        Load::get(gateway.address(), "shop.example", "/checkout")
    }

    /// Waits until a request passes.
    pub(crate) async fn flows(&self, gateway: Gateway) -> Told<()> {
        let passes = || async { self.load(gateway).count(1).run().await.iter().all(|sample| sample.ok()) };
        match wait_until(PATIENCE, passes).await {
            true => Ok(()),
            false => {
                let seen: Vec<u16> =
                    self.load(gateway).count(1).run().await.iter().map(|s| s.status).collect();
                Err(format!("no traffic through {gateway:?}: {seen:?}"))
            }
        }
    }

    /// A service.
    pub(crate) fn service(&self, name: &str) -> Told<&Service> {
        self.services.get(name).ok_or_else(|| format!("no service {name}"))
    }

    /// The proxy of a workload.
    pub(crate) fn agent(&self, name: &str) -> Told<&Agent> {
        self.agents.get(name).ok_or_else(|| format!("no agent {name}"))
    }

    /// The proxy of a workload, to restart it.
    pub(crate) fn agent_mut(&mut self, name: &str) -> Told<&mut Agent> {
        self.agents.get_mut(name).ok_or_else(|| format!("no agent {name}"))
    }

    /// Every proxy.
    pub(crate) fn agents(&self) -> impl Iterator<Item = &Agent> {
        self.agents.values()
    }

    /// The control plane's `/metrics`.
    pub(crate) async fn control_metrics(&self) -> Told<Samples> {
        let (_, text) = get(CONTROL_HTTP.parse().map_err(told)?, "/metrics").await.map_err(told)?;
        Ok(Samples::parse(&text))
    }

    /// Leaves what the control plane thought, for who looks into a failure.
    pub(crate) async fn describe(&self, situation: &str) -> Told<()> {
        let address = CONTROL_HTTP.parse().map_err(told)?;
        let mut text = String::new();
        for path in ["/api/v1/journeys", "/api/v1/plan", "/api/v1/hops", "/api/v1/proxies", "/metrics"] {
            let (_, answer) = get(address, path).await.map_err(told)?;
            text += &format!("=== {path}\n{answer}\n");
        }
        let file = format!("{}.failed.txt", situation.replace("::", "."));
        fs::write(crate::ROOM.folder().join(file), text).map_err(told)
    }

    /// SIGKILL.
    pub(crate) fn kill_control(&mut self) {
        self.control = None;
    }

    /// Starts the control plane again on its state.
    pub(crate) async fn start_control(&mut self) -> Told<()> {
        self.control = Some(self.control_spec.start().map_err(told)?);
        self.control_ready().await
    }

    async fn control_ready(&self) -> Told<()> {
        let address = CONTROL_HTTP.parse().map_err(told)?;
        let ready = || async { matches!(get(address, "/readyz").await, Ok((200, _))) };
        match wait_until(PATIENCE, ready).await {
            true => Ok(()),
            false => Err("emac serve is not ready".to_owned()),
        }
    }
}

/// Of the control plane's pod.
const CONTROL_ADDRESS: &str = "127.0.1.31";
/// Where the control plane's own port for people is, inside its pod.
pub(crate) const CONTROL_HTTP: &str = "127.0.0.1:18080";

fn control_plane(tools: &Tools, folder: &std::path::Path) -> Told<Spec> {
    fs::create_dir_all(folder.join("journeys")).map_err(told)?;
    fs::write(folder.join("journeys/checkout.yaml"), include_str!("objects/intent.yaml")).map_err(told)?;
    let config = folder.join("emac.yaml");
    let text = format!(
        "apiVersion: emac.dev/v1alpha1\nkind: ControlPlaneConfig\n\
         identity: {{sidecar: true, accounts: {{shop/gateway: [shop/shop-gateway], shop/pay: [shop/pay-next]}}}}\n\
         listen: {{grpc: \"127.0.0.1:18000\", http: \"{CONTROL_HTTP}\"}}\nstate: state\nintents: [journeys]\napi: {{tokenKeys: operator.keys}}\n"
    );
    fs::write(folder.join("operator.keys"), "a-key-of-operators-with-more-than-32-letters\n")
        .map_err(told)?;
    fs::write(&config, text).map_err(told)?;
    Ok(Spec::new("emac", &tools.emac, folder).args(["serve", "--config", &config.display().to_string()]))
}

/// front calls pay through its sidecar; both versions of pay call nobody.
fn services() -> Told<BTreeMap<&'static str, Service>> {
    let (front, front_port, outbound) = front();
    let leaf = |name| ServiceSpec::leaf(name, Latency::ms(10.0, 30.0));
    let mut services = BTreeMap::new();
    for (name, spec, port, to) in [
        ("front", front, front_port, Some(outbound)),
        ("pay", leaf("pay"), 7082, None),
        ("pay-next", leaf("pay-next"), 7083, None),
    ] {
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).map_err(told)?;
        services.insert(name, Service::on(listener, spec, to, Propagate::Both, 1).map_err(told)?);
    }
    Ok(services)
}

/// What front is, its port, and its sidecar's listener for calls of pay.
fn front() -> (ServiceSpec, u16, SocketAddr) {
    let spec = ServiceSpec::leaf("front", Latency::ms(2.0, 5.0))
        .then(vec![Call::http(&format!("{PAY}:8082"), "/pay")]);
    (spec, 7081, SocketAddr::from(([127, 0, 1, 11], 8082)))
}

/// What situations change, and how it is put right.
impl Mesh {
    /// Applies objects that go when the situation is over.
    pub(crate) fn also(&mut self, document: &str) -> Told<()> {
        self.added.push(document.to_owned());
        self.kube.apply(document)
    }

    /// Waits until a proxy's whole configuration is as a condition on its text says.
    pub(crate) async fn configured(&self, proxy: &str, condition: impl Fn(&str) -> bool) -> Told<()> {
        let admin = self.agent(proxy)?.admin();
        let holds = || async {
            matches!(get(admin, "/config_dump?include_eds").await, Ok((200, text)) if condition(&text))
        };
        match wait_until(PATIENCE, holds).await {
            true => Ok(()),
            false => Err(format!("{proxy} did not get its configuration")),
        }
    }

    /// Waits until every proxy's extension configurations are as a condition on the text of each says, and there are some where there
    /// should be.
    pub(crate) async fn extended(&self, condition: impl Fn(&str) -> bool) -> Told<()> {
        let holds = || async {
            for agent in self.agents() {
                let Ok(extensions) = agent.extensions().await else { return false };
                let expected = agent.pod.namespace == "shop";
                let is_extended = matches!(agent.is_extended().await, Ok(extended) if extended == expected);
                if !is_extended
                    || extensions.len() != usize::from(expected)
                    || !extensions.iter().all(|(_, text)| condition(text))
                {
                    return false;
                }
            }
            true
        };
        if wait_until(PATIENCE, holds).await {
            return Ok(());
        }
        let mut seen = Vec::new();
        for agent in self.agents() {
            let names: Vec<_> = agent.extensions().await?.into_iter().map(|(name, _)| name).collect();
            seen.push(format!("{}: {names:?}", agent.pod.name));
        }
        Err(format!("extensions are not as expected: {}", seen.join("; ")))
    }

    /// Waits until no listener of any proxy that takes new connections has a plugin.
    pub(crate) async fn bare(&self) -> Told<()> {
        let none = || async {
            for agent in self.agents() {
                if !matches!(agent.is_extended().await, Ok(false)) {
                    return false;
                }
            }
            true
        };
        match wait_until(PATIENCE, none).await {
            true => Ok(()),
            false => Err("a proxy still has a plugin".to_owned()),
        }
    }

    /// Waits until every proxy in `shop` has the filter once, and all of these talk to the control plane.
    pub(crate) async fn plugged(&self) -> Told<()> {
        self.extended(|text| text.contains("envoy.filters.http.wasm") || text.contains("wasm.v3.Wasm"))
            .await?;
        let expected = self.agents().filter(|agent| agent.pod.namespace == "shop").count();
        self.connected(expected).await
    }

    /// As [`Mesh::plugged`], with the module that the agents pulled under this digest of a manifest.
    pub(crate) async fn pulled(&self, digest: &str) -> Told<()> {
        self.extended(|text| text.contains("/var/lib/istio/data/") && text.contains(digest)).await?;
        self.plugged().await
    }

    /// Waits until so many proxies have a stream of budgets.
    pub(crate) async fn connected(&self, expected: usize) -> Told<()> {
        let seen =
            || async { self.control_metrics().await.map_or(-1.0, |m| m.sum("emac_proxies_connected", &[])) };
        match wait_until(PATIENCE, || async { seen().await == expected as f64 }).await {
            true => Ok(()),
            false => Err(format!("{} proxies are connected, not {expected}", seen().await)),
        }
    }

    /// Waits until istiod knows every proxy and all it sent is acknowledged.
    pub(crate) async fn synchronised(&self) -> Told<()> {
        let synchronised = || async {
            let Ok(all) = self.istiod.synchronised().await else { return false };
            let proxies = all.as_array().map(Vec::as_slice).unwrap_or_default();
            proxies.len() == self.agents.len()
                && proxies.iter().all(|proxy| {
                    ["cluster", "listener", "route"]
                        .iter()
                        .all(|kind| proxy[format!("{kind}_sent")] == proxy[format!("{kind}_acked")])
                })
        };
        match wait_until(PATIENCE, synchronised).await {
            true => Ok(()),
            false => Err(format!("not all is acknowledged: {}", self.istiod.synchronised().await?)),
        }
    }

    /// Applies the plugins as shipped.
    pub(crate) fn plug(&self) -> Told<()> {
        self.kube.apply(&shipped::plugins()?)
    }

    /// Takes them away.
    pub(crate) fn unplug(&self) -> Told<()> {
        self.kube.delete(&shipped::plugins()?)
    }

    /// The application in front starts anew: connections that it had opened are gone, and with them chains of filters of before.
    pub(crate) async fn restart_front(&mut self) -> Told<()> {
        let (spec, port, outbound) = front();
        self.services.remove("front");
        let mut listener = None;
        let bound = wait_until(PATIENCE, || {
            listener = std::net::TcpListener::bind(("127.0.0.1", port)).ok();
            std::future::ready(listener.is_some())
        });
        bound.await;
        let listener = listener.ok_or("front's port is taken")?;
        self.services
            .insert("front", Service::on(listener, spec, Some(outbound), Propagate::Both, 1).map_err(told)?);
        Ok(())
    }

    /// Everything as before a situation, the plugins applied as shipped.
    pub(crate) async fn restore(&mut self) -> Told<()> {
        for service in self.services.values() {
            service.set_fault(Fault::None).await;
        }
        for document in std::mem::take(&mut self.added) {
            self.kube.delete(&document)?;
        }
        self.kube.apply(include_str!("objects/workloads.yaml"))?;
        if self.control.is_none() {
            self.start_control().await?;
        }
        self.plug()?;
        self.pulled(&self.digest).await?;
        self.restart_front().await?;
        for gateway in [Gateway::Api, Gateway::Classic] {
            crate::account::recognised(self, gateway).await?;
        }
        Ok(())
    }
}
