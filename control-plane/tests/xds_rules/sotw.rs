//! Cases of the state-of-the-world variant.

use crate::script::*;
use emac_core::units::Micros;
use emac_push::protocol::{Receipt, Scope};

#[test]
fn c01_a_wildcard_subscription_brings_everything() {
    for (kind, scope) in places(&FULL) {
        let world = World::with(kind, "v1", &["a@1", "b@1", "c@1"]);
        let mut client = Sotw::new(scope);
        client.want(kind, &[]);
        let answer = client.one(&world);
        assert_eq!((answer.version.as_str(), answer.names()), ("v1", vec!["a", "b", "c"]));
    }
}

#[test]
fn c02_c03_a_change_or_an_addition_brings_the_full_state() {
    for (kind, scope) in places(&FULL) {
        let mut world = World::with(kind, "v1", &["a@1", "b@1", "c@1"]);
        let mut client = Sotw::new(scope);
        client.want(kind, &[]);
        client.one(&world);
        world.put(kind, "v2", &["a@2", "b@1", "c@1"]);
        let changed = client.one(&world);
        assert_eq!((changed.version.as_str(), changed.resources), ("v2", vec_of(&["a@2", "b@1", "c@1"])));
        world.put(kind, "v3", &["a@2", "b@1", "c@1", "d@1"]);
        let added = client.one(&world);
        assert_eq!((added.version.as_str(), added.names()), ("v3", vec!["a", "b", "c", "d"]));
    }
}

#[test]
fn c04_named_resources_come_in_any_order_of_naming() {
    for (kind, scope) in places(&[LDS, RDS]) {
        let world = World::with(kind, "v1", &["a@1", "b@1", "c@1", "d@1"]);
        let mut client = Sotw::new(scope);
        client.want(kind, &["d", "b"]);
        let answer = client.one(&world);
        assert_eq!((answer.version.as_str(), answer.names()), ("v1", vec!["b", "d"]));
    }
}

#[test]
fn c05_c06_a_change_brings_both_of_a_full_kind_and_the_changed_one_of_a_partial_kind() {
    for (kind, scope) in places(&ALL) {
        let mut world = World::with(kind, "v1", &["a@1", "b@1", "c@1", "d@1"]);
        let mut client = Sotw::new(scope);
        client.want(kind, &["a", "b"]);
        client.one(&world);
        world.put(kind, "v2", &["a@2", "b@1", "c@1", "d@1"]);
        let answer = client.one(&world);
        let expected = if FULL.contains(&kind) { vec!["a@2", "b@1"] } else { vec!["a@2"] };
        assert_eq!((answer.version.as_str(), answer.resources), ("v2", vec_of(&expected)));
    }
}

#[test]
fn c07_c08_an_unknown_name_is_answered_once_it_exists() {
    for (kind, scope) in places(&ALL) {
        let mut world = World::with(kind, "v1", &["a@1"]);
        let mut client = Sotw::new(scope);
        client.want(kind, &["a", "x"]);
        assert_eq!(client.one(&world).names(), ["a"]);
        world.put(kind, "v2", &["a@1", "x@1"]);
        let answer = client.one(&world);
        let expected = if FULL.contains(&kind) { vec!["a", "x"] } else { vec!["x"] };
        assert_eq!((answer.version.as_str(), answer.names()), ("v2", expected));
    }
}

#[test]
fn c09_equal_names_of_two_kinds_do_not_mix() {
    for (first, second) in [(CDS, LDS), (RDS, EDS)] {
        let mut world = World::with(first, "v1", &["a@1"]);
        world.put(second, "v1", &["a@1"]);
        let mut client = Sotw::new(Scope::Aggregated);
        for kind in [first, second] {
            client.want(kind, &["a"]);
            let answer = client.one(&world);
            assert_eq!((answer.kind.as_str(), answer.version.as_str()), (kind, "v1"));
        }
        world.put(first, "v2", &["a@2"]);
        let answer = client.one(&world);
        assert_eq!((answer.kind.as_str(), answer.version.as_str()), (first, "v2"));
    }
}

#[test]
fn c10_c11_a_list_that_shrinks_owes_nothing_and_keeps_the_rest_alive() {
    for (kind, scope) in places(&ALL) {
        let mut world = World::with(kind, "v1", &["a@1", "b@1", "c@1"]);
        let mut client = Sotw::new(scope);
        client.want(kind, &["a", "b", "c"]);
        client.one(&world);
        client.want(kind, &["b"]);
        client.silent(&world);
        world.put(kind, "v2", &["a@1", "b@2", "c@1"]);
        let answer = client.one(&world);
        assert_eq!((answer.version.as_str(), answer.resources), ("v2", vec_of(&["b@2"])));
        world.put(kind, "v3", &["b@2"]);
        client.silent(&world);
    }
}

#[test]
fn c12_who_unsubscribes_from_everything_hears_nothing() {
    for (kind, scope) in places(&ALL) {
        let mut world = World::with(kind, "v1", &["a@1", "b@1"]);
        let mut client = Sotw::new(scope);
        client.want(kind, &["a", "b"]);
        client.one(&world);
        client.want(kind, &[]);
        client.silent(&world);
        world.put(kind, "v2", &["a@2", "b@1"]);
        client.silent(&world);
        world.put(kind, "v3", &["b@1"]);
        client.silent(&world);
    }
}

#[test]
fn c19_a_nonce_never_issued_has_no_effect() {
    for kind in ALL {
        let mut world = World::with(kind, "v1", &["a@1", "b@1"]);
        let mut client = Sotw::new(Scope::Aggregated);
        client.want(kind, &["a"]);
        let answer = client.take(&world).unwrap();
        let mut stale = client.request(kind);
        stale.response_nonce = "4711".into();
        stale.resource_names = vec!["b".into()];
        assert_eq!(client.send(&stale), Receipt::Stale { error: None });
        client.silent(&world);
        assert!(matches!(client.ack(&answer), Receipt::Acked(_)));
        client.silent(&world);
        world.put(kind, "v2", &["a@2", "b@2"]);
        assert_eq!(client.one(&world).names(), ["a"], "the stale list of names did not count");
    }
}

#[test]
fn c21_an_answer_that_is_late_is_dropped() {
    for kind in ALL {
        let world = World::with(kind, "v1", &["a@1"]);
        let mut client = Sotw::new(Scope::Aggregated);
        client.want(kind, &["a"]);
        client.want(kind, &[]);
        client.silent(&world);
    }
}

#[test]
fn c22_legacy_wildcard_ends_with_the_first_name() {
    for kind in ALL {
        let mut world = World::with(kind, "v1", &["a@1", "b@1"]);
        let mut client = Sotw::new(Scope::Aggregated);
        client.want(kind, &[]);
        assert_eq!(client.one(&world).names(), ["a", "b"]);
        client.want(kind, &[]);
        world.put(kind, "v2", &["a@2", "b@2"]);
        assert_eq!(client.one(&world).names(), ["a", "b"], "still wildcard");
        client.want(kind, &["b"]);
        world.put(kind, "v3", &["a@3", "b@3"]);
        assert_eq!(client.one(&world).names(), ["b"], "only that name");
        client.want(kind, &[]);
        world.put(kind, "v4", &["a@4", "b@4"]);
        client.silent(&world);
    }
}

#[test]
fn c23_explicit_wildcard_comes_and_goes() {
    for kind in ALL {
        let mut world = World::with(kind, "v0", &["a@0", "b@0", "c@0"]);
        let mut client = Sotw::new(Scope::Aggregated);
        let steps: [(&[&str], &[&str]); 6] = [
            (&["*"], &["a", "b", "c"]),
            (&["*", "a"], &["a", "b", "c"]),
            (&["*", "b"], &["a", "b", "c"]),
            (&["b"], &["b"]),
            (&[], &[]),
            (&["*"], &["a", "b", "c"]),
        ];
        for (step, (names, expected)) in steps.into_iter().enumerate() {
            client.want(kind, names);
            let all = ["a", "b", "c"].map(|name| format!("{name}@{step}x"));
            world.put(kind, &format!("v{step}x"), &all.each_ref().map(String::as_str));
            let got = client.take(&world);
            assert_eq!(got.as_ref().map_or(vec![], Answer::names), expected, "step {step}");
            if let Some(answer) = got {
                client.ack(&answer);
            }
            client.silent(&world);
        }
    }
}

#[test]
fn c37_nothing_of_what_is_named_exists() {
    for (kind, scope) in places(&PARTIAL) {
        let mut world = World::with(kind, "v1", &[]);
        let mut client = Sotw::new(scope);
        client.want(kind, &["a", "b"]);
        assert_eq!(client.one(&world).names(), Vec::<&str>::new());
        world.put(kind, "v2", &["z@1"]);
        client.silent(&world);
        world.put(kind, "v3", &["a@1", "z@1"]);
        assert_eq!(client.one(&world).names(), ["a"]);
    }
}

#[test]
fn c38_one_more_name_is_answered_at_the_same_version() {
    for (kind, scope) in places(&ALL) {
        let world = World::with(kind, "v1", &["a@1", "b@1"]);
        let mut client = Sotw::new(scope);
        client.want(kind, &["a"]);
        client.one(&world);
        client.want(kind, &["a", "b"]);
        let answer = client.one(&world);
        assert!(answer.names().contains(&"b") && answer.version == "v1");
        client.want(kind, &["a", "b"]);
        client.silent(&world);
    }
}

#[test]
fn c39_a_version_stated_on_a_new_stream_proves_nothing() {
    for (kind, scope) in places(&ALL) {
        let world = World::with(kind, "v1", &["a@1", "b@1"]);
        let mut client = Sotw::new(scope);
        let mut request = client.request(kind);
        request.version_info = "v1".into();
        request.resource_names = vec!["a".into(), "b".into()];
        client.send(&request);
        assert_eq!(client.take(&world).unwrap().names(), ["a", "b"]);
    }
}

#[test]
fn c40_removal_is_told_by_full_kinds_and_silent_in_partial_ones() {
    for (kind, scope) in places(&ALL) {
        let mut world = World::with(kind, "v1", &["a@1", "b@1"]);
        let mut client = Sotw::new(scope);
        client.want(kind, &["a", "b"]);
        client.one(&world);
        world.put(kind, "v2", &["a@1"]);
        let full = FULL.contains(&kind);
        if full {
            assert_eq!(client.one(&world).names(), ["a"]);
        }
        client.silent(&world);
        world.put(kind, "v3", &[]);
        if full {
            assert_eq!(client.one(&world).names(), Vec::<&str>::new());
        }
        client.silent(&world);
        world.put(kind, "v4", &["a@1"]);
        assert_eq!(client.one(&world).names(), ["a"], "created again, in the version held before");
    }
}

#[test]
fn c44_only_the_kind_with_a_time_to_live_is_sent_again() {
    let mut world = World::with(EDS, "v1", &["a@1", "b@1"]);
    world.put(CDS, "v1", &["c@1"]);
    let mut client = Sotw::of(kinds_with_ttl(EDS, Micros(1_000)), Scope::Aggregated);
    world.now = Micros(100);
    client.want(EDS, &["a", "b"]);
    client.one(&world);
    client.want(CDS, &[]);
    client.one(&world);
    assert_eq!(client.stream.wake_at(), Some(Micros(1_100)));
    world.now = Micros(1_099);
    client.silent(&world);
    for _ in 0..2 {
        world.now = client.stream.wake_at().unwrap();
        let again = client.one(&world);
        assert_eq!((again.kind.as_str(), again.version.as_str(), again.names()), (EDS, "v1", vec!["a", "b"]));
    }
}

#[test]
fn c46_a_refused_version_is_not_repeated_until_something_changes() {
    for (kind, scope) in places(&ALL) {
        let mut world = World::with(kind, "v1", &["a@1"]);
        let mut client = Sotw::new(scope);
        client.want(kind, &["a"]);
        client.one(&world);
        world.put(kind, "v2", &["a@2"]);
        let refused = client.take(&world).unwrap();
        let Receipt::Nacked { shipment, error } = client.nack(&refused) else { panic!("a refusal") };
        assert_eq!((&*shipment.version, error.message.as_str()), ("v2", "field 3: out of range"));
        assert_eq!(client.stream.accepted(kind).map(|v| &**v), Some("v1"));
        client.silent(&world);
        world.put(kind, "v3", &["a@3"]);
        assert_eq!(client.one(&world).version, "v3");
        assert_eq!(client.stream.accepted(kind).map(|v| &**v), Some("v3"));
    }
}

#[test]
fn c47_refusing_the_very_first_response_accepts_nothing_and_loops_nowhere() {
    for (kind, scope) in places(&ALL) {
        let mut world = World::with(kind, "v1", &["a@1"]);
        let mut client = Sotw::new(scope);
        client.want(kind, &["a"]);
        let refused = client.take(&world).unwrap();
        assert!(matches!(client.nack(&refused), Receipt::Nacked { .. }));
        assert_eq!(client.stream.accepted(kind), None);
        client.silent(&world);
        world.put(kind, "v2", &["a@2"]);
        assert_eq!(client.one(&world).resources, ["a@2"], "the stream stayed open");
    }
}

fn vec_of(items: &[&str]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}
