//! The discovery subset of xDS.

use emac_proto::xds::{
    Any, DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Node, Resource,
    Status,
};
use emac_proto::{WORKLOAD_BUDGETS_TYPE_URL, v1};
use prost::Message;

use super::harness::fuzz;
use super::samples;

/// What was read, written and read again, is the same.
fn round_trip<M: Message + Default + PartialEq + std::fmt::Debug>(examples: &[M]) {
    let examples: Vec<_> = examples.iter().map(Message::encode_to_vec).collect();
    fuzz(&examples, |bytes| {
        let Ok(message) = M::decode(bytes) else { return false };
        let again = M::decode(message.encode_to_vec().as_slice()).expect("written by us");
        assert!(again == message, "{message:?} became {again:?}");
        true
    });
}

fn node() -> Node {
    Node { id: "sidecar~10.0.0.7".into(), cluster: "front".into(), user_agent_name: "envoy".into() }
}

fn error() -> Option<Status> {
    Some(Status { code: 3, message: "hops[0].retry.burst: 0 is outside 1 ..= 10000".into() })
}

fn any() -> Any {
    let value = samples::budgets()[0].encode_to_vec();
    Any { type_url: WORKLOAD_BUDGETS_TYPE_URL.into(), value }
}

#[test]
fn incremental_request() {
    round_trip(&[DeltaDiscoveryRequest {
        node: Some(node()),
        type_url: WORKLOAD_BUDGETS_TYPE_URL.into(),
        resource_names_subscribe: vec!["shop/front".into()],
        resource_names_unsubscribe: vec!["shop/cart".into()],
        initial_resource_versions: [("shop/front".to_owned(), "7".to_owned())].into(),
        response_nonce: "3".into(),
        error_detail: error(),
    }]);
}

#[test]
fn incremental_response() {
    let resource = Resource { name: "shop/front".into(), version: "7".into(), resource: Some(any()) };
    round_trip(&[DeltaDiscoveryResponse {
        system_version_info: "7".into(),
        resources: vec![resource],
        type_url: WORKLOAD_BUDGETS_TYPE_URL.into(),
        nonce: "4".into(),
        removed_resources: vec!["shop/cart".into()],
    }]);
    // What it carries is `messages::workload_budgets`.
    let _ = v1::WorkloadBudgets::decode(any().value.as_slice()).expect("a valid sample");
}

#[test]
fn state_of_the_world_request() {
    round_trip(&[DiscoveryRequest {
        version_info: "6".into(),
        node: Some(node()),
        resource_names: vec!["shop/front".into()],
        type_url: WORKLOAD_BUDGETS_TYPE_URL.into(),
        response_nonce: "3".into(),
        error_detail: error(),
    }]);
}

#[test]
fn state_of_the_world_response() {
    round_trip(&[DiscoveryResponse {
        version_info: "7".into(),
        resources: vec![any()],
        type_url: WORKLOAD_BUDGETS_TYPE_URL.into(),
        nonce: "4".into(),
    }]);
}
