//! Cases of the incremental variant.

use crate::script::*;
use emac_push::protocol::{Receipt, Scope, StreamLimits};

const NOTHING: [&str; 0] = [];

#[test]
fn c04_named_resources_come_in_any_order_of_naming() {
    for (kind, scope) in places(&[LDS, RDS]) {
        let world = World::with(kind, "v1", &["a@1", "b@1", "c@1", "d@1"]);
        let mut client = Delta::new(scope);
        client.subscribe(kind, &["d", "b"]);
        assert_eq!(client.one(&world).resources, ["b@1", "d@1"]);
    }
}

#[test]
fn c13_a_later_name_comes_alone() {
    for (kind, scope) in places(&ALL) {
        let world = World::with(kind, "v1", &["a@1", "b@1", "c@1"]);
        let mut client = Delta::new(scope);
        client.subscribe(kind, &["a"]);
        assert_eq!(client.one(&world).resources, ["a@1"]);
        client.subscribe(kind, &["b"]);
        assert_eq!(client.one(&world).resources, ["b@1"]);
    }
}

#[test]
fn c14_a_change_comes_alone() {
    for (kind, scope) in places(&ALL) {
        let mut world = World::with(kind, "v1", &["a@1", "b@1", "c@1"]);
        let mut client = Delta::new(scope);
        client.subscribe(kind, &["a", "b", "c"]);
        client.one(&world);
        world.put(kind, "v2", &["a@2", "b@1", "c@1"]);
        let answer = client.one(&world);
        assert_eq!((answer.resources, answer.removed), (vec!["a@2".to_string()], vec![]));
    }
}

#[test]
fn c15_a_name_that_comes_to_exist_is_sent_under_a_new_nonce() {
    for (kind, scope) in places(&ALL) {
        let mut world = World::with(kind, "v1", &["a@1"]);
        let mut client = Delta::new(scope);
        client.subscribe(kind, &["a", "b"]);
        let first = client.one(&world);
        assert_eq!((first.names(), first.removed.as_slice()), (vec!["a"], ["b".to_string()].as_slice()));
        world.put(kind, "v2", &["a@1", "b@1"]);
        let second = client.one(&world);
        assert_eq!(second.resources, ["b@1"]);
        assert!(second.nonce > first.nonce);
    }
}

#[test]
fn c16_deleted_then_created_again() {
    for (kind, scope) in places(&ALL) {
        let mut world = World::with(kind, "v1", &["a@1", "b@1"]);
        let mut client = Delta::new(scope);
        client.subscribe(kind, &["a", "b"]);
        client.one(&world);
        world.put(kind, "v2", &["b@1"]);
        let gone = client.one(&world);
        assert_eq!((gone.names(), gone.removed.as_slice()), (vec![], ["a".to_string()].as_slice()));
        world.put(kind, "v3", &["a@2", "b@1"]);
        assert_eq!(client.one(&world).resources, ["a@2"]);
    }
}

#[test]
fn c17_what_is_unsubscribed_is_not_sent() {
    for (kind, scope) in places(&ALL) {
        let mut world = World::with(kind, "v1", &["a@1", "b@1"]);
        let mut client = Delta::new(scope);
        client.subscribe(kind, &["a", "b"]);
        client.one(&world);
        client.unsubscribe(kind, &["a"]);
        world.put(kind, "v2", &["a@2", "b@1"]);
        client.silent(&world);
        client.unsubscribe(kind, &["b"]);
        world.put(kind, "v3", &["a@2", "b@2"]);
        client.silent(&world);
    }
}

#[test]
fn c18_equal_names_of_two_kinds_do_not_mix() {
    for (first, second) in [(CDS, LDS), (RDS, EDS)] {
        let mut world = World::with(first, "v1", &["a@1"]);
        world.put(second, "v1", &["a@1"]);
        let mut client = Delta::new(Scope::Aggregated);
        for kind in [first, second] {
            client.subscribe(kind, &["a"]);
            let answer = client.one(&world);
            assert_eq!((answer.kind.as_str(), answer.names()), (kind, vec!["a"]));
        }
        for kind in [first, second] {
            world.put(kind, "v2", &["a@2"]);
            let answer = client.one(&world);
            assert_eq!((answer.kind.as_str(), answer.resources), (kind, vec!["a@2".to_string()]));
        }
    }
}

#[test]
fn c20_a_stale_nonce_voids_the_answer_and_not_the_subscription() {
    for kind in ALL {
        let mut world = World::with(kind, "v1", &["a@1", "b@1", "c@1"]);
        let mut client = Delta::new(Scope::Aggregated);
        client.subscribe(kind, &["a", "b"]);
        let old = client.one(&world);
        world.put(kind, "v2", &["a@2", "b@1", "c@1"]);
        let outstanding = client.take(&world).unwrap();
        let mut stale = client.request(kind, &["c"], &["b"]);
        stale.response_nonce = old.nonce.to_string();
        stale.error_detail = refusal();
        assert!(matches!(client.send(&stale), Receipt::Stale { error: Some(_) }));
        let subscribed = client.take(&world).unwrap();
        assert_eq!(subscribed.resources, ["c@1"]);
        assert!(matches!(client.ack(&outstanding), Receipt::Stale { .. }), "a newer response is out");
        assert!(matches!(client.ack(&subscribed), Receipt::Acked(_)));
        world.put(kind, "v3", &["a@2", "b@2", "c@1"]);
        client.silent(&world);
    }
}

#[test]
fn c24_legacy_wildcard_outlives_names() {
    for kind in ALL {
        let mut world = World::with(kind, "v1", &["a@1", "b@1"]);
        let mut client = Delta::new(Scope::Aggregated);
        client.subscribe(kind, &[]);
        assert_eq!(client.one(&world).names(), ["a", "b"]);
        client.subscribe(kind, &["a"]);
        assert_eq!(client.one(&world).names(), ["a"], "a name subscribed is always answered");
        world.put(kind, "v2", &["a@1", "b@2"]);
        assert_eq!(client.one(&world).names(), ["b"], "still wildcard");
        client.unsubscribe(kind, &["a"]);
        assert_eq!(client.one(&world).names(), ["a"], "owed once more");
        world.put(kind, "v3", &["a@2", "b@3"]);
        assert_eq!(client.one(&world).names(), ["a", "b"], "still wildcard");
    }
}

#[test]
fn c25_the_legacy_wildcard_can_be_unsubscribed() {
    for kind in ALL {
        let mut world = World::with(kind, "v1", &["a@1", "b@1"]);
        let mut client = Delta::new(Scope::Aggregated);
        client.subscribe(kind, &[]);
        client.one(&world);
        client.subscribe(kind, &["b"]);
        client.one(&world);
        client.unsubscribe(kind, &["*"]);
        client.silent(&world);
        world.put(kind, "v2", &["a@2", "b@2"]);
        assert_eq!(client.one(&world).resources, ["b@2"]);
        world.put(kind, "v3", &["b@2"]);
        client.silent(&world);
    }
}

#[test]
fn c26_names_and_wildcard_in_turn() {
    for kind in ALL {
        let mut client = Delta::new(Scope::Aggregated);
        let steps: [(&[&str], &[&str], &[&str]); 4] = [
            (&["e1"], &[], &["e1"]),
            (&["*"], &[], &["e1", "e2", "e3", "e4"]),
            (&["e2"], &[], &["e1", "e2", "e3", "e4"]),
            (&[], &["*"], &["e1", "e2"]),
        ];
        for (step, (add, take, expected)) in steps.into_iter().enumerate() {
            let all = ["e1", "e2", "e3", "e4"].map(|name| format!("{name}@{step}"));
            let world = World::with(kind, &step.to_string(), &all.each_ref().map(String::as_str));
            let request = client.request(kind, add, take);
            client.send(&request);
            assert_eq!(client.one(&world).names(), expected, "step {step}");
        }
    }
}

#[test]
fn c27_a_name_unsubscribed_under_a_wildcard_is_owed_once_more() {
    for kind in ALL {
        let world = World::with(kind, "v1", &["e1@1", "e2@1", "e3@1"]);
        let mut client = Delta::new(Scope::Aggregated);
        client.subscribe(kind, &["*", "e2", "e4"]);
        client.one(&world);
        client.unsubscribe(kind, &["e2", "e4"]);
        let answer = client.one(&world);
        assert_eq!((answer.names(), answer.removed.as_slice()), (vec!["e2"], ["e4".to_string()].as_slice()));
    }
}

#[test]
fn c28_unsubscribing_what_was_never_subscribed_is_ignored() {
    for kind in ALL {
        let mut world = World::with(kind, "v1", &["a@1", "b@1"]);
        let mut client = Delta::new(Scope::Aggregated);
        client.subscribe(kind, &["a"]);
        client.one(&world);
        client.unsubscribe(kind, &["*", "x"]);
        client.silent(&world);
        client.unsubscribe(kind, &["a"]);
        world.put(kind, "v2", &["a@2", "b@2"]);
        client.silent(&world);
    }
}

#[test]
fn c29_c30_change_and_removal_travel_together_and_strangers_are_not_mentioned() {
    for kind in ALL {
        let mut world = World::with(kind, "v1", &["a@1", "b@1"]);
        let (mut named, mut wildcard) = (Delta::new(Scope::Aggregated), Delta::new(Scope::Aggregated));
        named.subscribe(kind, &["a", "b"]);
        named.one(&world);
        wildcard.subscribe(kind, &["*"]);
        wildcard.one(&world);
        world.put(kind, "v2", &["a@2"]);
        for client in [&mut named, &mut wildcard] {
            let answer = client.one(&world);
            assert_eq!(
                (answer.names(), answer.removed.as_slice()),
                (vec!["a"], ["b".to_string()].as_slice())
            );
        }
        world.put(kind, "v3", &["a@2", "b@2", "d@1"]);
        assert_eq!(named.one(&world).names(), ["b"]);
        assert_eq!(wildcard.one(&world).names(), ["b", "d"]);
        world.put(kind, "v4", &["a@2", "b@2"]);
        named.silent(&world);
        assert_eq!(wildcard.one(&world).removed, ["d"]);
    }
}

#[test]
fn c31_the_last_resource_of_a_kind_disappears() {
    let mut world = World::with(CDS, "v1", &["a@1"]);
    world.put(LDS, "v1", &["l@1"]);
    let mut client = Delta::new(Scope::Aggregated);
    for kind in [CDS, LDS] {
        client.subscribe(kind, &[]);
        client.one(&world);
    }
    world.put(CDS, "v2", &[]);
    let answer = client.one(&world);
    assert_eq!((answer.kind.as_str(), answer.names()), (CDS, vec![]));
    assert_eq!(answer.removed, ["a"]);
    world.put(CDS, "v3", &["a@1"]);
    assert_eq!(client.one(&world).names(), ["a"], "nothing was tracked as held any more");
}

#[test]
fn c32_c33_what_the_client_still_holds_is_omitted() {
    for kind in ALL {
        let mut world = World::with(kind, "v1", &["a@1", "b@1"]);
        let mut client = Delta::new(Scope::Aggregated);
        client.resume(kind, &["a", "b"], &["b@1"]);
        assert_eq!(client.one(&world).names(), ["a"]);
        let mut client = Delta::new(Scope::Aggregated);
        client.resume(kind, &["a", "b"], &["a@1", "b@1"]);
        client.silent(&world);
        world.put(kind, "v2", &["a@1", "b@2"]);
        assert_eq!(client.one(&world).names(), ["b"]);
    }
}

#[test]
fn c34_what_is_gone_since_is_named() {
    for kind in ALL {
        let world = World::with(kind, "v1", &["a@1"]);
        for names in [&["a", "gone"][..], &[][..]] {
            let mut client = Delta::new(Scope::Aggregated);
            client.resume(kind, names, &["a@1", "gone@7"]);
            let answer = client.one(&world);
            assert_eq!(
                (answer.names(), answer.removed.as_slice()),
                (vec![], ["gone".to_string()].as_slice())
            );
        }
    }
}

#[test]
fn c35_initial_versions_count_in_the_first_request_only() {
    for kind in ALL {
        let world = World::with(kind, "v1", &["a@1", "b@1"]);
        let mut client = Delta::new(Scope::Aggregated);
        client.subscribe(kind, &["a"]);
        client.one(&world);
        client.resume(kind, &["b"], &["b@1", "gone@1"]);
        let answer = client.one(&world);
        assert_eq!((answer.names(), answer.removed.len()), (vec!["b"], 0));
    }
}

#[test]
fn c36_a_wildcard_client_of_an_empty_kind_is_answered_at_once() {
    for kind in ALL {
        let mut world = World::with(kind, "v1", &[]);
        let mut clients = [Delta::new(Scope::Aggregated), Delta::new(Scope::Aggregated)];
        for client in &mut clients {
            client.subscribe(kind, &[]);
            assert_eq!(client.one(&world).names(), NOTHING);
        }
        world.put(kind, "v2", &["a@1"]);
        for client in &mut clients {
            assert_eq!(client.one(&world).names(), ["a"]);
        }
    }
}

#[test]
fn c48_a_refused_resource_waits_for_a_change_and_nothing_else_does() {
    let mut world = World::with(RDS, "v1", &["a@1", "b@1"]);
    world.put(EDS, "v1", &["e@1"]);
    let mut client = Delta::new(Scope::Aggregated);
    client.subscribe(RDS, &["a", "b"]);
    let refused = client.take(&world).unwrap();
    let Receipt::Nacked { shipment, .. } = client.nack(&refused) else { panic!("a refusal") };
    assert_eq!(shipment.resources.len(), 2);
    assert_eq!(client.stream.accepted(RDS), None);
    client.silent(&world);
    client.subscribe(EDS, &["e"]);
    assert_eq!(client.one(&world).names(), ["e"], "other kinds go on");
    world.put(RDS, "v2", &["a@1", "b@2"]);
    assert_eq!(client.one(&world).names(), ["b"], "other resources go on");
    world.put(RDS, "v3", &["a@2", "b@2"]);
    assert_eq!(client.one(&world).names(), ["a"]);
}

#[test]
fn a_large_set_is_split_and_arrives_whole() {
    let names: Vec<String> = (0..100).map(|i| format!("r{i:03}@1")).collect();
    let world = World::with(RDS, "v1", &names.iter().map(String::as_str).collect::<Vec<_>>());
    let limits = StreamLimits { response_bytes_max: 120, ..StreamLimits::default() };
    let mut client = Delta::of(kinds(), Scope::Aggregated, limits);
    client.subscribe(RDS, &["*"]);
    let mut got = Vec::new();
    while let Some(answer) = client.take(&world) {
        assert!(answer.resources.len() <= 12);
        got.extend(answer.resources);
    }
    assert_eq!(got, names);
}

#[test]
fn a_kind_not_published_yet_makes_its_clients_wait() {
    let mut world = World::default();
    let mut client = Delta::new(Scope::Aggregated);
    client.resume(RDS, &["a"], &["a@1"]);
    client.silent(&world);
    world.put(RDS, "v1", &["a@1"]);
    client.silent(&world);
    world.put(RDS, "v2", &[]);
    assert_eq!(client.one(&world).removed, ["a"]);
}
