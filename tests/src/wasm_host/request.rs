//! A request on its way into the filter.

use super::driver::Host;
use super::exchange::Exchange;
use super::headers::Headers;
use super::properties::{Phase, Properties, Property};
use super::setup::Direction;
use super::state::{Context, Part, StreamContext};

/// One entry of the route table: a header with this value goes to this cluster.
pub(super) type Route = (String, String, String);

/// A request that was not sent yet: `GET http://service.test/`, no body, cluster `service`.
pub struct RequestBuilder {
    host: Host,
    direction: Direction,
    vm: usize,
    headers: Headers,
    properties: Properties,
    chunks: Vec<Vec<u8>>,
    trailers: Option<Headers>,
    open: bool,
    cluster: String,
    routes: Vec<Route>,
}

impl RequestBuilder {
    pub(super) fn new(host: Host, direction: Direction) -> Self {
        let pairs = [(":method", "GET"), (":scheme", "http"), (":authority", "service.test"), (":path", "/")];
        Self {
            host,
            direction,
            vm: 1,
            headers: Headers::of(pairs),
            properties: Properties::default(),
            chunks: Vec::new(),
            trailers: None,
            open: false,
            cluster: "service".to_string(),
            routes: Vec::new(),
        }
    }

    /// Which worker takes it, from 0.
    pub fn worker(mut self, worker: usize) -> Self {
        self.vm = worker + 1;
        self
    }

    /// `:method`.
    pub fn method(self, method: &str) -> Self {
        self.set(":method", method)
    }

    /// `:path`.
    pub fn path(self, path: &str) -> Self {
        self.set(":path", path)
    }

    /// `:authority`.
    pub fn authority(self, authority: &str) -> Self {
        self.set(":authority", authority)
    }

    /// A gRPC call: `package.Service/Method`.
    pub fn grpc(self, method: &str) -> Self {
        let path = format!("/{method}");
        self.method("POST").path(&path).set("content-type", "application/grpc").set("te", "trailers")
    }

    /// Adds a header; several values of a name are kept.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name, value.as_ref());
        self
    }

    /// Takes a header away, a pseudo header too.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.headers.set(name, value.as_bytes());
        self
    }

    /// Cluster that the route chose.
    pub fn cluster(mut self, cluster: &str) -> Self {
        self.cluster = cluster.to_string();
        self
    }

    /// When the route is chosen again, this header with this value leads to that cluster.
    pub fn route(mut self, header: &str, value: &str, cluster: &str) -> Self {
        self.routes.push((header.to_string(), value.to_string(), cluster.to_string()));
        self
    }

    /// A property known from request headers on.
    pub fn property(mut self, path: &[&str], value: impl Into<Property>) -> Self {
        self.properties.set(Phase::Request, path, value);
        self
    }

    /// The whole body, in one piece.
    pub fn body(self, body: impl AsRef<[u8]>) -> Self {
        self.chunk(body)
    }

    /// One more piece of the body.
    pub fn chunk(mut self, chunk: impl AsRef<[u8]>) -> Self {
        self.chunks.push(chunk.as_ref().to_vec());
        self
    }

    /// Trailers behind the body.
    pub fn trailers(mut self, trailers: Headers) -> Self {
        self.trailers = Some(trailers);
        self
    }

    /// The client goes on sending after the pieces given; [`Exchange::ends`] sends the last one.
    pub fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// Runs the filter's request callbacks, as far as it lets the request go.
    pub fn send(self) -> Exchange {
        let Self { host, direction, vm, headers, mut properties, chunks, trailers, open, cluster, routes } =
            self;
        let root = host.root_of(vm, direction);
        properties.set(Phase::Request, &["xds", "listener_direction"], direction.number());
        properties.set(Phase::Request, &["xds", "cluster_name"], cluster.as_str());
        properties.set(Phase::Request, &["xds", "route_name"], "default");
        let started_ns = host.world().clock_ns;
        properties.set(Phase::Request, &["request", "time"], started_ns as i64);
        let stream = StreamContext {
            root,
            properties,
            request_headers: Part { value: headers, open: false },
            ..StreamContext::default()
        };
        let id = host.with_vm(vm, |vm| vm.state().add(Context::Stream(Box::new(stream))));
        host.call(vm, id, "proxy_on_context_create", &[id, root]);
        Exchange::begin(host, vm, id, (chunks, trailers, open), (cluster, routes))
    }
}
