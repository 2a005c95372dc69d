//! Field numbers, against bytes written by hand from Envoy's published API, so that a stock client understands us.

use emac_proto::xds::{
    Any, DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Node, Resource,
    Status,
};
use prost::Message;

/// A length-delimited field: tag, length, content.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(content.len()).unwrap()][..], content].concat()
}

fn status() -> Vec<u8> {
    [vec![1 << 3, 3], field(2, b"bad")].concat()
}

fn holds<M: Message + Default + PartialEq + std::fmt::Debug>(message: &M, bytes: &[&[u8]]) {
    let bytes = bytes.concat();
    assert_eq!(message.encode_to_vec(), bytes);
    assert_eq!(&M::decode(bytes.as_slice()).unwrap(), message);
}

fn node() -> Node {
    Node { id: "n".into(), cluster: "c".into(), user_agent_name: "ua".into() }
}

fn node_bytes() -> Vec<u8> {
    [field(1, b"n"), field(2, b"c"), field(6, b"ua")].concat()
}

#[test]
fn discovery_request() {
    let message = DiscoveryRequest {
        version_info: "v".into(),
        node: Some(node()),
        resource_names: vec!["a".into(), "b".into()],
        type_url: "t".into(),
        response_nonce: "1".into(),
        error_detail: Some(Status { code: 3, message: "bad".into() }),
    };
    let names = [field(3, b"a"), field(3, b"b")].concat();
    let (version, node) = (field(1, b"v"), field(2, &node_bytes()));
    holds(&message, &[&version, &node, &names, &field(4, b"t"), &field(5, b"1"), &field(6, &status())]);
}

#[test]
fn discovery_response() {
    let any = Any { type_url: "t".into(), value: vec![7] };
    let message = DiscoveryResponse {
        version_info: "v".into(),
        resources: vec![any],
        type_url: "t".into(),
        nonce: "1".into(),
    };
    let any = [field(1, b"t"), field(2, &[7])].concat();
    holds(&message, &[&field(1, b"v"), &field(2, &any), &field(4, b"t"), &field(5, b"1")]);
}

#[test]
fn delta_discovery_request() {
    let message = DeltaDiscoveryRequest {
        node: Some(node()),
        type_url: "t".into(),
        resource_names_subscribe: vec!["a".into()],
        resource_names_unsubscribe: vec!["b".into()],
        initial_resource_versions: [("a".to_string(), "1".to_string())].into(),
        response_nonce: "9".into(),
        error_detail: Some(Status { code: 3, message: "bad".into() }),
    };
    let versions = field(5, &[field(1, b"a"), field(2, b"1")].concat());
    let names = [field(3, b"a"), field(4, b"b")].concat();
    let (node, status) = (field(1, &node_bytes()), field(7, &status()));
    holds(&message, &[&node, &field(2, b"t"), &names, &versions, &field(6, b"9"), &status]);
}

#[test]
fn delta_discovery_response() {
    let resource = Resource {
        version: "1".into(),
        resource: Some(Any { type_url: "t".into(), value: vec![7] }),
        name: "a".into(),
    };
    let message = DeltaDiscoveryResponse {
        system_version_info: String::new(),
        resources: vec![resource],
        type_url: "t".into(),
        nonce: "1".into(),
        removed_resources: vec!["b".into()],
    };
    let any = [field(1, b"t"), field(2, &[7])].concat();
    let resource = [field(1, b"1"), field(2, &any), field(3, b"a")].concat();
    holds(&message, &[&field(2, &resource), &field(4, b"t"), &field(5, b"1"), &field(6, b"b")]);
}

/// What Envoy sends besides: unknown fields are skipped, here the node's locality (4), build version (16, two-byte tag) and the
/// request's resource locators (7).
#[test]
fn fields_of_a_newer_client_are_skipped() {
    let version = [&[0x82, 0x01][..], &[2], b"bv"].concat();
    let node = [field(1, b"n"), field(4, b""), version].concat();
    let request = [field(2, &node), field(4, b"t"), field(7, &field(1, b"x"))].concat();
    let decoded = DiscoveryRequest::decode(request.as_slice()).unwrap();
    assert_eq!((decoded.node.unwrap().id, decoded.type_url), ("n".to_string(), "t".to_string()));
}
