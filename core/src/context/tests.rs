use alloc::string::ToString;
use alloc::vec::Vec;
use alloc::{format, vec};

use proptest::prelude::*;

use super::*;
use crate::context::baggage::{find_absolute, find_remaining, replace};
use crate::units::Ppm;

fn fixed() -> ProptestConfig {
    ProptestConfig {
        cases: 256,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(0xE3AC),
        ..ProptestConfig::default()
    }
}

fn flags() -> impl Strategy<Value = Flags> {
    (any::<u8>(), any::<u8>()).prop_map(|(bits, priority)| Flags { bits, priority })
}

/// Members of others: keys that are not ours, with values, properties and stray blanks.
fn other() -> impl Strategy<Value = alloc::string::String> {
    "[ ]?[a-df-z][a-z0-9.]{0,8}=[A-Za-z0-9:/%+]{0,12}(;[a-z]{1,3})?[ ]?"
}

proptest! {
    #![proptest_config(fixed())]

    #[test]
    fn what_is_written_is_read(journey in "[a-z0-9-]{1,63}", ms in 0..=REMAINING_MAX.0, flags in flags(), id: u64) {
        let context = Context { journey: &journey, deadline: Remaining(Millis(ms)), flags, id: 0 };
        let written = context.to_string();
        prop_assert_eq!(Context::parse_remaining(written.as_bytes()), Ok(context));
        let inside = Context { journey: &journey, deadline: Absolute(Millis(ms)), flags, id: 0 };
        prop_assert_eq!(Context::parse_absolute(written.as_bytes()), Ok(inside));
        prop_assert_eq!(inside.to_string(), written);
        let named = Context { id, ..inside };
        let written = named.to_string();
        prop_assert_eq!(Context::parse_absolute(written.as_bytes()), Ok(named));
        prop_assert_eq!(Context::parse_remaining(written.as_bytes()), Ok(context));
    }

    #[test]
    fn others_keep_their_bytes_and_order(others in prop::collection::vec(other(), 0..20), at in 0..20_usize) {
        let ours = Context { journey: "checkout", deadline: Remaining(Millis(7)), flags: Flags::new(3), id: 0 };
        let mut members = others.clone();
        members.insert(at.min(members.len()), "emac=v1:old:1:0000".into());
        let replaced = replace(members.join(",").as_bytes(), Some(&ours));
        let mut expected = others;
        expected.push(format!("emac={ours}"));
        prop_assert_eq!(&replaced, &expected.join(",").into_bytes());
        prop_assert_eq!(find_remaining(&replaced), Ok(Some(ours)));
    }

    #[test]
    fn stripping_leaves_nothing_of_ours(others in prop::collection::vec(other(), 0..20)) {
        let mut members = others.clone();
        members.insert(others.len() / 2, "emac=anything".into());
        members.push("emac;p=1".into());
        prop_assert_eq!(replace(members.join(",").as_bytes(), None), others.join(",").into_bytes());
    }

    #[test]
    fn any_bytes_are_refused_or_read_and_replaced_within_limits(header in prop::collection::vec(any::<u8>(), 0..9_000)) {
        let _ = find_remaining(&header);
        let _ = TraceParent::parse(&header);
        let ours = Context { journey: "j", deadline: Absolute(Millis(1)), flags: Flags::default(), id: 0 };
        let replaced = replace(&header, Some(&ours));
        prop_assert!(replaced.len() <= baggage::BYTES_MAX);
        prop_assert_eq!(find_absolute(&replaced), Ok(Some(ours)));
    }

    #[test]
    fn passing_through_a_pod_never_adds_time(ms in 0..=REMAINING_MAX.0, start in any::<u64>(), spent in any::<u32>()) {
        let end = Micros(start).after(Micros(spent.into()));
        let left = Remaining(Millis(ms)).at(Micros(start)).left(end);
        let spent = end.since(Micros(start));
        prop_assert!(left.0.to_micros() <= Millis(ms).to_micros().since(spent), "{left:?}");
        // At most the millisecond lost to rounding.
        if start < u64::MAX / 2 {
            prop_assert!(left.0.to_micros().0 + 2_000 > Millis(ms).to_micros().since(spent).0);
        }
    }

    #[test]
    fn a_chosen_trace_stays_chosen_at_a_larger_share(id in any::<[u8; 16]>(), a in 0..=1_000_000_u32, b in 0..=1_000_000_u32) {
        let [small, large] = [a.min(b), a.max(b)].map(|ppm| Ppm::new(ppm).unwrap());
        prop_assert!(!is_chosen(id, small) || is_chosen(id, large));
        prop_assert!(is_chosen(id, Ppm::ONE) && !is_chosen(id, Ppm::ZERO));
    }
}

#[test]
fn the_share_of_chosen_traces_is_the_share_asked_for() {
    for (low_only, share) in [(true, 100_000), (false, 100_000), (true, 500_000)] {
        let chosen = (0..20_000_u128)
            .map(|n| if low_only { n + 1 } else { (n + 1) << 64 })
            .filter(|id| is_chosen(id.to_be_bytes(), Ppm::new(share).unwrap()))
            .count() as f64;
        let expected = 20_000.0 * f64::from(share) / 1e6;
        assert!((chosen - expected).abs() < 200.0, "{chosen} of {expected}");
    }
}

#[test]
fn each_field_is_refused_by_its_name() {
    let cases = [
        ("v2:checkout:1:0000", InvalidContext::Version),
        ("v1:checkout:1", InvalidContext::Fields),
        ("v1:checkout:1:0000:x", InvalidContext::Fields),
        ("v1::1:0000", InvalidContext::Journey),
        ("v1:Checkout:1:0000", InvalidContext::Journey),
        ("v1:checkout::0000", InvalidContext::Deadline),
        ("v1:checkout:+1:0000", InvalidContext::Deadline),
        ("v1:checkout:120001:0000", InvalidContext::Deadline),
        ("v1:checkout:99999999999999999999:0000", InvalidContext::Deadline),
        ("v1:checkout:1:00", InvalidContext::Flags),
        ("v1:checkout:1:00FF", InvalidContext::Flags),
    ];
    for (text, expected) in cases {
        assert_eq!(Context::parse_remaining(text.as_bytes()), Err(expected), "{text}");
    }
}

#[test]
fn limits_and_duplicates_are_refused() {
    let long = vec![b'a'; baggage::BYTES_MAX + 1];
    assert_eq!(find_remaining(&long), Err(InvalidContext::HeaderTooLong { len: long.len() }));
    let many = vec!["a=1"; 65].join(",");
    assert_eq!(find_remaining(many.as_bytes()), Err(InvalidContext::TooManyMembers));
    let twice = b"emac=v1:a:1:0000, emac=v1:b:1:0000";
    assert_eq!(find_remaining(twice), Err(InvalidContext::Duplicate));
    assert_eq!(find_remaining(b"a=1,emacs=v1:a:1:0000"), Ok(None));
}

#[test]
fn a_full_header_makes_room_for_ours() {
    let ours = Context { journey: "checkout", deadline: Remaining(Millis(250)), flags: Flags::new(9), id: 0 };
    let full = vec!["a=1"; 64].join(",");
    let replaced = replace(full.as_bytes(), Some(&ours));
    assert_eq!(replaced.split(|&b| b == b',').count(), 64);
    assert_eq!(find_remaining(&replaced), Ok(Some(ours)));
}

#[test]
fn flags_are_independent_and_unknown_bits_stay() {
    let flags = Flags::new(200).sampled(true).degraded(true).sampled(false);
    assert_eq!((flags.is_sampled(), flags.is_degraded(), flags.is_hedge()), (false, true, false));
    let text = b"v1:a:1:f8c8";
    let context = Context::parse_remaining(text).unwrap();
    assert_eq!(context.flags.priority, 200);
    assert_eq!(context.to_string().as_bytes(), text);
    assert!(context.flags.hedge(true).is_hedge());
}

#[test]
fn traceparent_follows_the_recommendation() {
    let good = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let parsed = TraceParent::parse(good).unwrap();
    assert_eq!(parsed.trace_id[0..2], [0x0a, 0xf7]);
    assert_eq!(parsed.parent_span_id[7], 0x31);
    assert!(parsed.sampled);
    let later = [good.as_slice(), b"-extra"].concat();
    assert_eq!(TraceParent::parse(&later), Err(InvalidTraceParent::Layout));
    let mut version_one: Vec<u8> = later;
    version_one[1] = b'1';
    assert_eq!(TraceParent::parse(&version_one), Ok(parsed));
    for bad in [
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
    ] {
        assert_eq!(TraceParent::parse(bad.as_bytes()), Err(InvalidTraceParent::Forbidden));
    }
    assert_eq!(
        TraceParent::parse(b"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        Err(InvalidTraceParent::Hex)
    );
    assert_eq!(TraceParent::parse(b""), Err(InvalidTraceParent::Layout));
}
