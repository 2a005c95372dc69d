//! Cases that hold in both variants.

use crate::script::*;
use emac_core::units::Micros;
use emac_proto::xds::{DeltaDiscoveryRequest, DiscoveryRequest};
use emac_push::protocol::{Code, Receipt, Scope, Stream, StreamError, StreamLimits};
use std::sync::Arc;

#[test]
fn c41_a_request_must_name_its_kind_on_an_aggregated_stream() {
    let world = World::with(CDS, "v1", &["a@1"]);
    let refused = Sotw::new(Scope::Aggregated).try_send(&DiscoveryRequest::default());
    assert_eq!(refused, Err(StreamError::NoTypeUrl));
    let refused = Delta::new(Scope::Aggregated).try_send(&DeltaDiscoveryRequest::default()).unwrap_err();
    assert_eq!((&refused, refused.code()), (&StreamError::NoTypeUrl, Code::InvalidArgument));

    let single = || Scope::Single(CDS.into());
    let mut sotw = Sotw::new(single());
    sotw.send(&DiscoveryRequest::default());
    assert_eq!(sotw.one(&world).kind, CDS);
    let mut delta = Delta::new(single());
    delta.send(&DeltaDiscoveryRequest::default());
    assert_eq!(delta.one(&world).kind, CDS);
    let other = DeltaDiscoveryRequest { type_url: LDS.into(), ..Default::default() };
    assert!(matches!(delta.try_send(&other), Err(StreamError::WrongKind { .. })));
}

#[test]
fn c42_c43_seven_kinds_one_node_and_nonces_that_grow() {
    let seven: Vec<_> = ALL.into_iter().chain(OTHERS).collect();
    let mut world = World::default();
    for kind in &seven {
        world.put(kind, "v1", &["a@1"]);
    }
    let (mut sotw, mut delta) = (Sotw::new(Scope::Aggregated), Delta::new(Scope::Aggregated));
    let mut nonces = [Vec::new(), Vec::new()];
    for kind in &seven {
        sotw.want(kind, &["a"]);
        delta.subscribe(kind, &["a"]);
        for (answer, nonces) in [sotw.one(&world), delta.one(&world)].into_iter().zip(&mut nonces) {
            assert_eq!((answer.kind.as_str(), answer.names()), (*kind, vec!["a"]));
            nonces.push(answer.nonce);
        }
    }
    assert_eq!((sotw.stream.node_id(), delta.stream.node_id()), (Some("sidecar~1"), Some("sidecar~1")));
    assert!(nonces.iter().all(|nonces| nonces.is_sorted_by(|a, b| a < b)), "{nonces:?}");
}

#[test]
fn c49_a_refusal_may_change_the_subscription() {
    for kind in ALL {
        let mut world = World::with(kind, "v1", &["a@1", "b@1"]);
        let mut sotw = Sotw::new(Scope::Aggregated);
        sotw.want(kind, &["a"]);
        sotw.take(&world).unwrap();
        let mut request = DiscoveryRequest { error_detail: refusal(), ..sotw.request(kind) };
        request.resource_names = vec!["a".into(), "b".into()];
        assert!(matches!(sotw.send(&request), Receipt::Nacked { .. }));
        assert!(sotw.take(&world).unwrap().names().contains(&"b"));

        let mut delta = Delta::new(Scope::Aggregated);
        delta.subscribe(kind, &["a"]);
        let refused = delta.take(&world).unwrap();
        let mut request = delta.request(kind, &["b"], &["a"]);
        request.response_nonce = refused.nonce.to_string();
        request.error_detail = refusal();
        assert!(matches!(delta.send(&request), Receipt::Nacked { .. }));
        assert_eq!(delta.one(&world).names(), ["b"]);
        world.put(kind, "v2", &["a@2", "b@1"]);
        delta.silent(&world);
    }
}

#[test]
fn c50_without_error_detail_it_is_an_acknowledgement() {
    for kind in ALL {
        let world = World::with(kind, "v2", &["a@1", "b@1"]);
        let mut sotw = Sotw::new(Scope::Aggregated);
        sotw.want(kind, &["a"]);
        sotw.take(&world).unwrap();
        let mut odd = sotw.request(kind);
        odd.version_info = "some other version".into();
        odd.resource_names = vec!["a".into(), "b".into()];
        assert!(matches!(sotw.send(&odd), Receipt::Acked(_)));
        assert_eq!(sotw.stream.accepted(kind).map(|v| &**v), Some("v2"));

        let mut delta = Delta::new(Scope::Aggregated);
        delta.subscribe(kind, &["a"]);
        let answer = delta.take(&world).unwrap();
        let mut odd = delta.request(kind, &["b"], &[]);
        odd.response_nonce = answer.nonce.to_string();
        odd.initial_resource_versions = [("a".to_string(), "7".to_string())].into();
        assert!(matches!(delta.send(&odd), Receipt::Acked(_)));
    }
}

#[test]
fn c51_updates_in_order_of_reference_and_removals_last() {
    let order = [CDS, EDS, LDS, RDS];
    let mut world = World::default();
    order.into_iter().for_each(|kind| world.put(kind, "v1", &["old@1"]));
    let (mut sotw, mut delta) = (Sotw::new(Scope::Aggregated), Delta::new(Scope::Aggregated));
    // Asked for against the order: the order is the server's.
    for kind in [RDS, LDS, EDS, CDS] {
        sotw.want(kind, &["old", "new"]);
        delta.subscribe(kind, &["old", "new"]);
    }
    let drain_sotw = |client: &mut Sotw, world: &World| {
        std::iter::from_fn(|| client.take(world).map(|a| a.kind)).collect::<Vec<_>>()
    };
    assert_eq!(drain_sotw(&mut sotw, &world), order);
    while delta.take(&world).is_some() {}

    order.into_iter().for_each(|kind| world.put(kind, "v2", &["new@1"]));
    assert_eq!(drain_sotw(&mut sotw, &world), order);
    let answers: Vec<_> = std::iter::from_fn(|| delta.take(&world)).collect();
    let updates: Vec<_> = answers.iter().filter(|a| !a.resources.is_empty()).map(|a| &a.kind).collect();
    assert_eq!(updates, order);
    let removals: Vec<_> = answers.iter().filter(|a| !a.removed.is_empty()).map(|a| &a.kind).collect();
    assert_eq!(removals, [RDS, LDS, EDS, CDS], "who refers goes before what is referred to");
    let last_update = answers.iter().rposition(|a| !a.resources.is_empty()).unwrap();
    let first_removal = answers.iter().position(|a| !a.removed.is_empty()).unwrap();
    assert!(last_update <= first_removal);
}

#[test]
fn c51_a_full_kind_that_only_removes_goes_last() {
    let mut world = World::with(CDS, "v1", &["keep@1", "old@1"]);
    world.put(RDS, "v1", &["r@1"]);
    let mut client = Sotw::new(Scope::Aggregated);
    client.want(CDS, &[]);
    client.want(RDS, &["r"]);
    while client.take(&world).is_some() {}
    world.put(CDS, "v2", &["keep@1"]);
    world.put(RDS, "v2", &["r@2"]);
    assert_eq!(client.take(&world).unwrap().kind, RDS);
    assert_eq!(client.take(&world).unwrap().kind, CDS);
}

#[test]
fn an_unknown_kind_stays_unanswered_and_harms_nothing() {
    let world = World::with(CDS, "v1", &["a@1"]);
    let mut client = Delta::new(Scope::Aggregated);
    assert_eq!(client.subscribe("example.org/no.Such", &["a"]), Receipt::UnknownKind);
    client.silent(&world);
    client.subscribe(CDS, &["a"]);
    assert_eq!(client.one(&world).names(), ["a"]);
}

#[test]
fn a_client_that_asks_for_too_many_names_is_turned_away() {
    let limits = StreamLimits { names_max: 3, ..StreamLimits::default() };
    let mut client = Delta::of(kinds(), Scope::Aggregated, limits);
    client.subscribe(CDS, &["a", "b", "c"]);
    let fourth = client.request(CDS, &["d"], &[]);
    let refused = client.try_send(&fourth).unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
}

#[test]
fn a_change_undone_before_it_could_be_sent_is_never_sent() {
    let mut world = World::with(CDS, "v1", &["a@1"]);
    let mut client = Sotw::new(Scope::Aggregated);
    client.want(CDS, &["a"]);
    client.one(&world);
    world.put(CDS, "v2", &["a@2"]);
    world.put(CDS, "v3", &["a@3"]);
    assert_eq!(client.one(&world).version, "v3", "the latest wins");
    world.put(CDS, "v4", &["a@4"]);
    world.put(CDS, "v3", &["a@3"]);
    client.silent(&world);
}

#[test]
fn a_stream_is_quiet_until_asked() {
    let world = World::with(CDS, "v1", &["a@1"]);
    let mut stream: Stream<emac_push::protocol::SotwWatch> =
        Stream::new(Arc::new(kinds()), Scope::Aggregated, StreamLimits::default());
    assert!(stream.poll(&world.snapshot(), Micros(0)).is_none());
    assert_eq!(stream.wake_at(), None);
}
