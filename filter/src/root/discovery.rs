//! The incremental xDS client: one resource, this workload's budgets.
//!
//! Says what it has on a new stream (`initial_resource_versions`), acknowledges what it takes, refuses what it cannot with the field's
//! name, and keeps the last good. A removed resource is not a command to forget: its lease runs out.

use emac_core::units::{Micros, Millis};
use emac_proto::v1;
use emac_proto::xds::{DeltaDiscoveryResponse, Node, Resource, Status};
use emac_proto::{WORKLOAD_BUDGETS_TYPE_URL, convert};
use prost::Message;

use super::link::{Link, State};
use crate::host::Host;
use crate::vm::settings::Settings;

/// When budgets are stale and the stream has been silent for so long, it may be dead without anybody having said so.
const SILENCE_MAX: Millis = Millis(10_000);
const INVALID_ARGUMENT: i32 = 3;

/// `DeltaDiscoveryRequest` with its map as what it is on the wire, a list of pairs: a map's code is not worth carrying for one entry.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, optional, tag = "1")]
    node: Option<Node>,
    #[prost(string, tag = "2")]
    type_url: String,
    #[prost(string, repeated, tag = "3")]
    resource_names_subscribe: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    initial_resource_versions: Vec<Version>,
    #[prost(string, tag = "6")]
    response_nonce: String,
    #[prost(message, optional, tag = "7")]
    error_detail: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
struct Version {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

/// The way of budgets from the control plane.
pub(super) struct Discovery {
    link: Link,
    /// Version of the resource that was taken last; empty: none.
    version: String,
}

impl Default for Discovery {
    fn default() -> Self {
        let link =
            Link::new("envoy.service.discovery.v3.AggregatedDiscoveryService", "DeltaAggregatedResources");
        Self { link, version: String::new() }
    }
}

/// A resource whose fields are in range.
pub(super) struct Offered {
    /// As it came.
    pub(super) resource: Vec<u8>,
    pub(super) budgets: emac_core::budget::WorkloadBudgets,
    version: String,
}

/// A response that was understood and awaits its ACK or NACK.
pub(super) struct Response {
    pub(super) nonce: String,
    /// What it offers this workload, if anything; or why that is refused.
    pub(super) offer: Result<Option<Offered>, String>,
}

impl Discovery {
    /// Keeps the stream open while this VM leads.
    pub(super) fn tick(
        &mut self,
        host: &dyn Host,
        settings: &Settings,
        leads: bool,
        stale: bool,
        now: Micros,
    ) {
        let (Some(target), Some(workload)) = (&settings.control_plane, &settings.workload) else { return };
        if !leads {
            if self.link.is_open() {
                self.link.abandon(Some(host));
            }
            return;
        }
        if stale && self.link.silence(now) > SILENCE_MAX {
            self.link.doom();
        }
        if self.link.keep_open(host, target, now) == State::Opened {
            let hello = self.hello(&settings.node, workload.as_str());
            self.link.send(host, &hello.encode_to_vec());
        }
    }

    /// Whether this is the discovery stream.
    pub(super) fn owns(&self, token: u32) -> bool {
        self.link.owns(token)
    }

    /// Reads a response; `None` when it cannot be understood at all, and then the stream is replaced.
    pub(super) fn on_message(
        &mut self,
        settings: &Settings,
        message: &[u8],
        now: Micros,
    ) -> Option<Response> {
        let Ok(response) = DeltaDiscoveryResponse::decode(message) else {
            self.link.doom();
            return None;
        };
        self.link.hear(now);
        let workload = settings.workload.as_ref().map_or("", |workload| workload.as_str());
        if response.removed_resources.iter().any(|name| name == workload) {
            self.version.clear();
        }
        let ours = response.resources.into_iter().find(|resource| resource.name == workload);
        Some(Response { nonce: response.nonce, offer: ours.map(|ours| read(ours, workload)).transpose() })
    }

    /// Tells the control plane that its response was taken.
    pub(super) fn acknowledge(&mut self, host: &dyn Host, nonce: String, taken: Option<Offered>) {
        if let Some(taken) = taken {
            self.version = taken.version;
        }
        self.answer(host, nonce, None);
    }

    /// Tells the control plane what is wrong with its response.
    pub(super) fn refuse(&mut self, host: &dyn Host, nonce: String, problem: String) {
        let detail = Status { code: INVALID_ARGUMENT, message: problem };
        self.answer(host, nonce, Some(detail));
    }

    /// The stream ended.
    pub(super) fn on_close(&mut self, now: Micros) {
        self.link.on_close(now);
    }

    /// The root context that owned the stream is gone.
    pub(super) fn abandon(&mut self, host: Option<&dyn Host>) {
        self.link.abandon(host);
    }

    fn hello(&self, node: &str, workload: &str) -> Request {
        let known = Version { name: workload.to_owned(), version: self.version.clone() };
        Request {
            node: Some(Node { id: node.to_owned(), cluster: workload.to_owned(), ..Node::default() }),
            type_url: WORKLOAD_BUDGETS_TYPE_URL.to_owned(),
            resource_names_subscribe: vec![workload.to_owned()],
            initial_resource_versions: Some(known)
                .into_iter()
                .filter(|known| !known.version.is_empty())
                .collect(),
            ..Request::default()
        }
    }

    fn answer(&mut self, host: &dyn Host, response_nonce: String, error_detail: Option<Status>) {
        let type_url = WORKLOAD_BUDGETS_TYPE_URL.to_owned();
        let request = Request { type_url, response_nonce, error_detail, ..Request::default() };
        self.link.send(host, &request.encode_to_vec());
    }
}

fn read(resource: Resource, workload: &str) -> Result<Offered, String> {
    let any = resource.resource.ok_or("resource: missing")?;
    if any.type_url != WORKLOAD_BUDGETS_TYPE_URL {
        return Err(format!("resource.type_url: {:?} is not {WORKLOAD_BUDGETS_TYPE_URL}", any.type_url));
    }
    let budgets = decode(&any.value)?;
    if budgets.workload.as_str() != workload {
        return Err(format!("workload: {:?} is not this one, {workload:?}", budgets.workload.as_str()));
    }
    Ok(Offered { resource: any.value, budgets, version: resource.version })
}

/// Decodes and checks budgets.
pub(super) fn decode(resource: &[u8]) -> Result<emac_core::budget::WorkloadBudgets, String> {
    let wire = v1::WorkloadBudgets::decode(resource).map_err(|error| format!("resource.value: {error}"))?;
    wire.try_into().map_err(|invalid: convert::InvalidMessage| invalid.to_string())
}

#[cfg(test)]
mod tests {
    use emac_proto::xds::DeltaDiscoveryRequest;

    use super::*;

    #[test]
    fn requests_are_those_of_the_protocol() {
        let mut discovery = Discovery::default();
        for version in ["", "7"] {
            discovery.version = version.to_owned();
            let mut request = discovery.hello("front-1", "shop/front");
            request.response_nonce = "n".to_owned();
            request.error_detail = Some(Status { code: 3, message: "hops[0]".to_owned() });
            let read = DeltaDiscoveryRequest::decode(request.encode_to_vec().as_slice()).unwrap();
            assert_eq!(read.node.unwrap().id, "front-1");
            assert_eq!(read.type_url, WORKLOAD_BUDGETS_TYPE_URL);
            assert_eq!(read.resource_names_subscribe, ["shop/front"]);
            let known = read.initial_resource_versions.get("shop/front").map_or("", String::as_str);
            assert_eq!(known, version);
            assert_eq!((read.response_nonce.as_str(), read.error_detail.unwrap().code), ("n", 3));
        }
    }
}
