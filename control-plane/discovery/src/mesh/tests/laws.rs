//! Whatever is read is answered, and names compare as they should.

use proptest::prelude::*;

use super::*;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x3E54),
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

/// Names as people, traces, meshes and mistakes write them.
fn written() -> impl Strategy<Value = String> {
    let label = "[a-c*]{0,2}";
    let form = prop_oneof![
        Just("{a}"),
        Just("{a}.{b}"),
        Just("{b}/{a}"),
        Just("{a}.{b}.svc.cluster.local:80"),
        Just("outbound|80|{c}|{a}.{b}.svc.cluster.local"),
        Just("{a}.{b}.{c}.example."),
    ];
    (form, label, label, label)
        .prop_map(|(form, a, b, c)| form.replace("{a}", &a).replace("{b}", &b).replace("{c}", &c))
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn meeting_is_mutual_and_everybody_meets_himself(a in written(), b in written()) {
        let (a, b) = (Name::new(&a), Name::new(&b));
        prop_assert!(a.meets(&a));
        prop_assert_eq!(a.meets(&b), b.meets(&a));
        prop_assert_eq!(best(&a, [&b]) == Matched::One(0), a.meets(&b));
    }

    #[test]
    fn a_name_read_from_its_own_text_is_the_same(text in written()) {
        let name = Name::new(&text);
        prop_assert_eq!(Name::new(&name.to_string()), name);
    }

    #[test]
    fn any_text_is_a_name_and_an_address(text in ".{0,60}") {
        let _ = (Name::new(&text), Address::new(&text), canonical_key(&text), label_kind(&text));
    }
}

proptest! {
    #![proptest_config(config(200))]

    /// Bytes of good files replaced and cut: facts or problems, no panic.
    #[test]
    fn any_damage_is_answered(file in 0_usize..3, cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), with in "[ -~]{0,3}") {
        let files = [envoy::DUMP.to_owned(), kubernetes::CLUSTER.to_owned(), shop("VirtualService", "v1", ROUTES)];
        let mut text = files[file].clone();
        let at = at.index(text.len());
        text.replace_range(at..(at + with.len()).min(text.len()), &with);
        text.truncate(text.len() / 2 + cut.index(text.len() / 2 + 1));
        let problems = Problems::new();
        let facts = read_text("x", &text, &problems);
        let _ = (facts.conflicts(), facts.observations(&Name::new("cart")), runtime(&facts, &[ModelCall::new("front", "cart")]));
    }
}
