//! One Envoy with six listeners to the same upstreams: without the filter, inbound, outbound with it once and twice, and both sorts of edge.
//!
//! The chains differ in the filter and in nothing else. Inbound and outbound share one plugin configuration with `role: auto`, as in a mesh,
//! so that they share one root context on each thread.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use emac_tests::envoy::{LABELS, emac_filter, runtime};
use emac_tests::stats::Samples;
use emac_tests::supervise::{Process, Reserved, Spec, reserve};
use emac_tests::testbed::{client, wait_until};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::case::{Cases, PATIENCE, Side};
use super::kind::{Bounds, DEADLINE_MS, HOP_MS, Kind, TIGHT_MS, Upstream};
use super::{Setting, http1, http2};

pub(super) const SIDES: [Side; 6] =
    [Side::Plain, Side::Inbound, Side::Outbound, Side::Twice, Side::Edge, Side::Entry];
/// Starts of one Envoy before it is given up.
const ATTEMPTS: usize = 5;
/// Port 1 of loopback: nobody listens there.
const NOBODY: u16 = 1;
/// A key of RFC 7517, appendix A.1; nobody signs with it.
const JWKS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1"}]}"#;

/// A running Envoy, and the upstreams beside it.
#[derive(Debug)]
pub(super) struct Proxy {
    process: Process,
    admin: SocketAddr,
    ports: BTreeMap<Side, SocketAddr>,
    dir: tempfile::TempDir,
    _silent: Reserved,
}

/// Ports of upstreams.
struct Upstreams {
    http1: u16,
    http2: u16,
    broken: u16,
    echo: u16,
    denies: u16,
    silent: u16,
}

impl Proxy {
    /// Starts the upstreams and Envoy, and waits until it serves.
    pub(super) async fn start(
        binary: PathBuf,
        wasm: &Path,
        setting: Setting,
        kinds: &'static [Kind],
        cases: &Arc<Cases>,
    ) -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        let silent = reserve()?;
        let (http1_port, listener) = listen()?;
        tokio::spawn(http1::serve(listener, Arc::clone(cases)));
        let (http2_port, listener) = listen()?;
        tokio::spawn(http2::serve(listener, Arc::clone(cases)));
        let (broken, listener) = listen()?;
        tokio::spawn(http2::serve_broken(listener));
        let (echo, listener) = listen()?;
        tokio::spawn(http1::echo(listener));
        let (denies, listener) = listen()?;
        let denial = b"HTTP/1.1 403 Forbidden\r\nx-denied-by: policy\r\ncontent-length: 6\r\n\r\ndenied";
        tokio::spawn(http1::always(listener, denial));
        let upstreams =
            Upstreams { http1: http1_port, http2: http2_port, broken, echo, denies, silent: silent.port() };
        let clusters: Vec<Value> =
            kinds.iter().map(|kind| cluster(kind, &upstreams)).chain(others(&upstreams)).collect();
        let file = dir.path().join("envoy.json");
        let spec = Spec::new("envoy", binary, dir.path())
            .args(["-c", &file.display().to_string(), "--concurrency", &setting.workers.to_string()])
            .args(["--disable-hot-restart", "--log-level", "warning", "--file-flush-interval-msec", "50"]);
        // Other tests look for ports too, and may find one between our letting go of it and Envoy's taking it.
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            let held: Vec<Reserved> = (0..=SIDES.len()).map(|_| reserve()).collect::<io::Result<_>>()?;
            let listeners: Vec<Value> = SIDES
                .iter()
                .zip(&held)
                .map(|(&side, held)| listener_json(side, held.port(), wasm, setting, kinds, dir.path()))
                .collect();
            let admin = held[SIDES.len()].address();
            let ports = SIDES.iter().zip(&held).map(|(&side, held)| (side, held.address())).collect();
            std::fs::write(&file, bootstrap(admin.port(), listeners, &clusters).to_string())?;
            drop(held);
            let process = spec.start()?;
            let ready = || async {
                matches!(client::get(admin, "/ready").await, Ok((200, _))) || lost(&process.log_tail())
            };
            let ended = wait_until(3 * PATIENCE, ready).await;
            last = process.log_tail();
            if ended && !lost(&last) {
                return Ok(Self { process, admin, ports, dir, _silent: silent });
            }
            std::fs::remove_file(process.log())?;
        }
        Err(io::Error::other(format!("envoy: {last}")))
    }

    pub(super) fn address(&self, side: Side) -> SocketAddr {
        self.ports[&side]
    }

    pub(super) async fn stats(&self) -> io::Result<Samples> {
        Ok(Samples::parse(&client::get(self.admin, "/stats/prometheus").await?.1))
    }

    /// Response flags by run, as the access log has them.
    pub(super) fn flags(&self) -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        text.lines().filter_map(|line| line.split_once(' ')).map(|(a, b)| (a.into(), b.into())).collect()
    }

    /// What the filter, or the host of it, complained of.
    pub(super) fn complaints(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.process.log()).unwrap_or_default();
        log.lines()
            .filter(|line| line.contains("wasm") || line.contains("dynamic_modules"))
            .take(5)
            .map(|line| format!("envoy: {line}"))
            .collect()
    }
}

/// Whether somebody else has one of its ports.
fn lost(log: &str) -> bool {
    log.contains("Address already in use")
}

fn bootstrap(admin: u16, listeners: Vec<Value>, clusters: &[Value]) -> Value {
    let tag = |label: &str| json!({"tag_name": label, "regex": format!(r"({label}=\.=(.*?);\.;)")});
    json!({
        "node": {"id": "shop-1", "cluster": "shop",
            "metadata": {"NAMESPACE": "shop", "WORKLOAD_NAME": "shop"}},
        "admin": {"address": address(admin)},
        "static_resources": {"listeners": listeners, "clusters": clusters},
        "stats_config": {"stats_tags": LABELS.iter().map(|label| tag(label)).collect::<Vec<_>>()},
        "layered_runtime": runtime(),
    })
}

fn listen() -> io::Result<(u16, TcpListener)> {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    Ok((listener.local_addr()?.port(), TcpListener::from_std(listener)?))
}

fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

fn cluster(kind: &Kind, upstreams: &Upstreams) -> Value {
    let (port, http2) = match &kind.upstream {
        Upstream::Http1 { .. } | Upstream::None => (upstreams.http1, false),
        Upstream::Http2(_) => (upstreams.http2, true),
        Upstream::BrokenHttp2 => (upstreams.broken, true),
        Upstream::Echo => (upstreams.echo, false),
        Upstream::Silent => (upstreams.silent, false),
        Upstream::Refusing => (NOBODY, false),
    };
    let mut cluster = plain_cluster(kind.name, port, http2);
    (kind.cluster)(&mut cluster);
    cluster
}

fn plain_cluster(name: &str, port: u16, http2: bool) -> Value {
    let protocol = if http2 {
        json!({"http2_protocol_options": {"allow_connect": true}})
    } else {
        json!({"http_protocol_options": {"enable_trailers": true}})
    };
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        // Runs of a kind retry at the same time; three is Envoy's default for all of them.
        "circuit_breakers": {"thresholds": [{"max_connections": 1000, "max_retries": 1000}]},
        "typed_extension_protocol_options": {options:
            {"@type": format!("type.googleapis.com/{options}"), "explicit_http_config": protocol}},
        "load_assignment": {"cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]},
    })
}

/// Clusters that are no kind's own.
fn others(upstreams: &Upstreams) -> [Value; 2] {
    [plain_cluster("shadow", upstreams.http1, false), plain_cluster("denies", upstreams.denies, false)]
}

fn listener_json(side: Side, port: u16, wasm: &Path, setting: Setting, kinds: &[Kind], dir: &Path) -> Value {
    let mut listener = json!({
        "name": format!("{side:?}").to_lowercase(),
        "address": address(port),
        "traffic_direction": if matches!(side, Side::Inbound | Side::Entry) { "INBOUND" } else { "OUTBOUND" },
        // Two Envoys that lost a race for a port must fail, not share it.
        "enable_reuse_port": false,
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": manager(side, wasm, setting, kinds, dir),
        }]}],
    });
    if setting.workers > 1 {
        listener["connection_balance_config"] = json!({"exact_balance": {}});
    }
    listener
}

fn manager(side: Side, wasm: &Path, setting: Setting, kinds: &[Kind], dir: &Path) -> Value {
    let filter = ours(side, wasm, setting, kinds);
    let filters = filter.into_iter().flat_map(|filter| vec![filter; if side == Side::Twice { 2 } else { 1 }]);
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "shop",
        "codec_type": "AUTO",
        "http_protocol_options":
            {"accept_http_10": true, "default_host_for_http_10": "shop", "enable_trailers": true},
        "http2_protocol_options": {"allow_connect": true},
        "upgrade_configs": [{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}],
        "proxy_100_continue": true,
        "strip_trailing_host_dot": false,
        "access_log": [{"name": "envoy.access_loggers.file", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": dir.join("access.log").display().to_string(),
            "log_format": {"text_format_source": {"inline_string": "%REQ(X-CASE)% %RESPONSE_FLAGS%\n"}}}}],
        "route_config": {"name": "shop", "virtual_hosts": [{"name": "shop", "domains": ["*"],
            "routes": kinds.iter().map(route).chain([again()]).collect::<Vec<_>>()}]},
        "http_filters": before().into_iter().chain(filters).chain(after()).collect::<Vec<_>>(),
    })
}

fn typed(name: &str, path: &str, message: &str, fields: Value) -> Value {
    let mut config = fields;
    config["@type"] = json!(format!("type.googleapis.com/envoy.extensions.filters.http.{path}.v3.{message}"));
    json!({"name": format!("envoy.filters.http.{name}"), "typed_config": config})
}

/// What stands before the filter in a mesh: who is denied there is not seen by it.
fn before() -> Vec<Value> {
    let provider = json!({"issuer": "shop", "local_jwks": {"inline_string": JWKS}});
    let jwt = json!({"providers": {"shop": provider},
        "requirement_map": {"required": {"provider_name": "shop"}}});
    vec![
        typed("rbac", "rbac", "RBAC", json!({})),
        typed("jwt_authn", "jwt_authn", "JwtAuthentication", jwt),
        typed("grpc_web", "grpc_web", "GrpcWeb", json!({})),
    ]
}

/// What stands between the filter and the router.
fn after() -> Vec<Value> {
    let mut authz = typed(
        "ext_authz",
        "ext_authz",
        "ExtAuthz",
        json!({"http_service": {
        "server_uri": {"uri": "http://denies", "cluster": "denies", "timeout": "5s"}}}),
    );
    authz["disabled"] = json!(true);
    vec![
        typed("fault", "fault", "HTTPFault", json!({})),
        typed("cors", "cors", "Cors", json!({})),
        typed("local_ratelimit", "local_ratelimit", "LocalRateLimit", json!({"stat_prefix": "limit"})),
        authz,
        typed("router", "router", "Router", json!({})),
    ]
}

/// Lays a per-route configuration of a filter over a route.
pub(super) fn per_route(route: &mut Value, name: &str, message: &str, fields: Value) {
    let whole = typed(name, name, message, fields);
    route["typed_per_filter_config"][format!("envoy.filters.http.{name}")] = whole["typed_config"].clone();
}

fn route(kind: &Kind) -> Value {
    let header = json!({"name": "x-kind", "string_match": {"exact": kind.name}});
    let mut route = json!({
        "name": kind.name,
        "match": {"prefix": "", "headers": [header]},
        "route": {"cluster": kind.name, "timeout": "60s"},
    });
    (kind.route)(&mut route);
    route
}

/// What tells whether a connection is still open.
fn again() -> Value {
    let header = json!({"name": "x-kind", "string_match": {"exact": "again"}});
    json!({"match": {"prefix": "/again", "headers": [header]}, "direct_response": {"status": 204}})
}

fn ours(side: Side, wasm: &Path, setting: Setting, kinds: &[Kind]) -> Option<Value> {
    let role = match side {
        Side::Plain => return None,
        Side::Inbound | Side::Outbound | Side::Twice | Side::Entry => "auto",
        Side::Edge => "edge",
    };
    let configuration = json!({
        "role": role,
        "edge": side == Side::Entry,
        "workload": "shop/shop",
        "tick_ms": 50,
        "report_ms": 100,
        "budgets": budgets(setting, kinds),
    });
    Some(emac_filter(wasm, &configuration))
}

fn budgets(setting: Setting, kinds: &[Kind]) -> Value {
    let is_tight = |kind: &&Kind| kind.bounds == Bounds::Tight;
    let entry =
        |name: &str| json!([{"path_template": "/**", "headers": [{"name": "x-entry", "value": name}]}]);
    let hop = |journey: &str, kind: &Kind, timeout: u64| json!({"journey": journey, "destination": kind.name, "mode": setting.mode, "timeout_ms": timeout});
    // A hop of one journey alone is the hop whose budget a call without context might be given by mistake.
    let journeys = |kind: &Kind| if kind.journey { vec!["checkout", "tight"] } else { vec!["checkout"] };
    let of_journeys = |kind| journeys(kind).into_iter().map(move |journey| hop(journey, kind, TIGHT_MS));
    let tight = kinds.iter().filter(is_tight).flat_map(of_journeys);
    let generous = kinds.iter().filter(|kind| !is_tight(kind)).map(|kind| hop("checkout", kind, HOP_MS));
    let hops: Vec<Value> = if setting.budgets { tight.chain(generous).collect() } else { Vec::new() };
    json!({
        "journeys": [
            {"journey": "tight", "deadline_ms": TIGHT_MS, "mode": setting.mode, "entry": entry("tight")},
            {"journey": "checkout", "deadline_ms": DEADLINE_MS, "mode": setting.mode, "entry": entry("shop")},
        ],
        "hops": hops,
    })
}
