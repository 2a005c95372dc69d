use alloc::string::ToString;
use alloc::vec::Vec;
use alloc::{format, vec};

use proptest::prelude::*;

use super::*;
use crate::context::baggage::{has_ours, replace};
use crate::units::Ppm;

fn flags() -> impl Strategy<Value = Flags> {
    (any::<u8>(), any::<u8>()).prop_map(|(bits, priority)| Flags { bits, priority })
}

fn find(header: &[u8]) -> Result<Option<(alloc::string::String, Deadline, Flags, u64)>, InvalidContext> {
    let mut decoded = Vec::new();
    let found = baggage::find(header, &mut decoded)?;
    Ok(found.map(|found| (found.journey.into(), found.deadline, found.flags, found.id)))
}

/// As [`find`] says it.
fn said(
    context: &Context<'_, Remaining>,
) -> Result<Option<(alloc::string::String, Deadline, Flags, u64)>, InvalidContext> {
    Ok(Some((context.journey.into(), Deadline::Remaining(context.deadline), context.flags, 0)))
}

/// Members of others: keys that are not ours, with values, properties and stray blanks.
fn other() -> impl Strategy<Value = alloc::string::String> {
    "[ ]?[a-df-z][a-z0-9.]{0,8}=[A-Za-z0-9:/%+]{0,12}(;[a-z]{1,3})?[ ]?"
}

proptest! {
    #![proptest_config(crate::laws::config(256, 0xE3AC))]

    #[test]
    fn what_is_written_is_read(journey in "[a-z0-9-]{1,63}", ms in 0..=REMAINING_MAX.0, at: u64, flags in flags(), id: u64) {
        let outside = Context { journey: &journey, deadline: Remaining(Millis(ms)), flags, id: 0 };
        let written = outside.to_string();
        prop_assert_eq!(Context::parse(written.as_bytes()), Ok(outside.due(Deadline::Remaining(outside.deadline))));
        let inside = Context { journey: &journey, deadline: Absolute(Millis(at)), flags, id };
        let written = inside.to_string();
        prop_assert_eq!(Context::parse(written.as_bytes()), Ok(inside.due(Deadline::Absolute(inside.deadline))));
    }

    /// RFC 3986 calls these unreserved; no SDK escapes letters, digits, `-` and `.`.
    #[test]
    fn what_is_written_needs_no_escape(journey in "[a-z0-9-]{1,63}", at: u64, flags in flags(), id: u64) {
        let inside = Context { journey: &journey, deadline: Absolute(Millis(at)), flags, id };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        prop_assert!(inside.to_string().bytes().all(plain));
        prop_assert!(inside.depart(Micros(0)).to_string().bytes().all(plain));
    }

    /// SDKs escape what they like, in either case of the digits.
    #[test]
    fn escapes_change_nothing(old: bool, ms in 0..=REMAINING_MAX.0, escaped in prop::collection::vec(any::<(bool, bool)>(), 40)) {
        let value = if old { format!("v1:checkout:{ms}:0109") } else { format!("v2.checkout.r{ms}.0109") };
        let escape = |(byte, (escape, upper)): (u8, (bool, bool))| match (escape, upper) {
            (false, _) => alloc::string::String::from(char::from(byte)),
            (true, true) => format!("%{byte:02X}"),
            (true, false) => format!("%{byte:02x}"),
        };
        let written: alloc::string::String = value.bytes().zip(escaped).map(escape).collect();
        let header = format!("a=%20,emac={written}");
        let flags = Flags { bits: 1, priority: 9 };
        prop_assert_eq!(find(header.as_bytes()), Ok(Some(("checkout".into(), Deadline::Remaining(Remaining(Millis(ms))), flags, 0))));
    }

    #[test]
    fn others_keep_their_bytes_and_order(others in prop::collection::vec(other(), 0..20), at in 0..20_usize) {
        let ours = Context { journey: "checkout", deadline: Remaining(Millis(7)), flags: Flags::new(3), id: 0 };
        let mut members = others.clone();
        members.insert(at.min(members.len()), "emac=v1:old:1:0000".into());
        let replaced = replace(members.join(",").as_bytes(), Some(&ours));
        let expected: Vec<_> = core::iter::once(format!("emac={ours}")).chain(others).collect();
        prop_assert!(!replaced.omitted);
        prop_assert_eq!(&replaced.header, &expected.join(",").into_bytes());
        prop_assert_eq!(find(&replaced.header), said(&ours));
    }

    #[test]
    fn stripping_leaves_nothing_of_ours(others in prop::collection::vec(other(), 0..20)) {
        let mut members = others.clone();
        members.insert(others.len() / 2, "emac=anything".into());
        members.push("emac;p=1".into());
        let header = members.join(",").into_bytes();
        prop_assert!(has_ours(&header));
        let replaced = replace(&header, None);
        prop_assert!(!has_ours(&replaced.header));
        prop_assert_eq!(replaced.header, others.join(",").into_bytes());
    }

    #[test]
    fn any_bytes_are_refused_or_read_and_others_stay(header in prop::collection::vec(any::<u8>(), 0..9_000)) {
        let _ = find(&header);
        let _ = TraceParent::parse(&header);
        let ours = Context { journey: "j", deadline: Remaining(Millis(1)), flags: Flags::default(), id: 0 };
        let stripped = replace(&header, None).header;
        let replaced = replace(&header, Some(&ours));
        if replaced.omitted {
            prop_assert!(stripped.len() + "emac=v2.j.r1.0000".len() >= baggage::BYTES_MAX || stripped.iter().filter(|&&b| b == b',').count() >= 63);
            prop_assert_eq!(replaced.header, stripped);
        } else {
            prop_assert!(replaced.header.ends_with(&stripped));
            prop_assert_eq!(find(&replaced.header), said(&ours));
        }
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
        ("v3.checkout.r1.0000", InvalidContext::Version),
        ("v2:checkout:1:0000", InvalidContext::Version),
        ("v1:checkout:1", InvalidContext::Fields),
        ("v1:checkout:1:0000:x", InvalidContext::Fields),
        ("v1::1:0000", InvalidContext::Journey),
        ("v1:Checkout:1:0000", InvalidContext::Journey),
        ("v1:checkout::0000", InvalidContext::Deadline),
        ("v1:checkout:+1:0000", InvalidContext::Deadline),
        ("v1:checkout:99999999999999999999:0000", InvalidContext::Deadline),
        ("v1:checkout:1:00", InvalidContext::Flags),
        ("v1:checkout:1:00FF", InvalidContext::Flags),
        ("v2.checkout.r1", InvalidContext::Fields),
        ("v2.checkout.r1.0000.1.2", InvalidContext::Fields),
        ("v2.checkout.a1.0000.x", InvalidContext::Fields),
        ("v2..r1.0000", InvalidContext::Journey),
        ("v2.checkout.1.0000", InvalidContext::Deadline),
        ("v2.checkout.r.0000", InvalidContext::Deadline),
        ("v2.checkout.r120001.0000", InvalidContext::Deadline),
        ("v2.checkout.a99999999999999999999.0000", InvalidContext::Deadline),
        ("v2.checkout.r1.00FF", InvalidContext::Flags),
    ];
    for (text, expected) in cases {
        assert_eq!(Context::parse(text.as_bytes()), Err(expected), "{text}");
    }
}

/// A time since 1970 is not mistaken for what remains, nor the other way, by whoever reads it.
#[test]
fn remaining_and_absolute_are_told_apart_by_form() {
    let deadline = |text: &str| Context::parse(text.as_bytes()).map(|context| (context.deadline, context.id));
    let left = |ms| Ok((Deadline::Remaining(Remaining(Millis(ms))), 0));
    let at = |ms, id| Ok((Deadline::Absolute(Absolute(Millis(ms))), id));
    assert_eq!(deadline("v2.checkout.r400.0000"), left(400));
    assert_eq!(deadline("v2.checkout.r400.0000.7"), left(400), "ids are of one pod");
    assert_eq!(deadline("v2.checkout.a400.0000.7"), at(400, 7));
    assert_eq!(deadline("v1:checkout:400:0000;id=7"), left(400));
    assert_eq!(deadline("v1:checkout:120000:0000"), left(120_000));
    assert_eq!(deadline("v1:checkout:120001:0000"), at(120_001, 0));
    assert_eq!(deadline("v1:checkout:1790000000123:0000;x=1; id=7"), at(1_790_000_000_123, 7));
}

#[test]
fn two_of_ours_are_refused_and_other_keys_are_not_ours() {
    let twice = b"emac=v1:a:1:0000, emac=v1:b:1:0000";
    assert_eq!(find(twice), Err(InvalidContext::Duplicate));
    assert_eq!(find(b"a=1,emacs=v1:a:1:0000"), Ok(None));
}

/// SDKs escape members after they have counted their bytes.
#[test]
fn ours_is_read_in_a_header_beyond_the_limits() {
    for others in [vec!["a=1"; 90].join(","), format!("a={}", "1".repeat(12_000))] {
        let found = find(format!("{others},emac=v2.checkout.r1.0000").as_bytes());
        assert!(matches!(found, Ok(Some(_))), "{found:?}");
    }
}

/// Ours is left out; theirs stays.
#[test]
fn a_full_header_has_no_room_for_ours() {
    let ours = Context { journey: "checkout", deadline: Remaining(Millis(250)), flags: Flags::new(9), id: 0 };
    for (members, bytes, omitted) in
        [(63, 3, false), (64, 3, true), (80, 3, true), (1, 8_170, true), (1, 9_000, true)]
    {
        let full = vec![format!("a={}", "1".repeat(bytes - 2)); members].join(",");
        let replaced = replace(full.as_bytes(), Some(&ours));
        assert_eq!(replaced.omitted, omitted, "{members} members of {bytes} bytes");
        assert!(replaced.header.ends_with(full.as_bytes()));
        assert!(
            !omitted || baggage::is_full(&replaced.header),
            "whoever looks for ours knows where it may have gone"
        );
        assert_eq!(replaced.header.len() > full.len(), !omitted);
    }
}

#[test]
fn flags_are_independent_and_unknown_bits_stay() {
    let flags = Flags::new(200).sampled(true).degraded(true).sampled(false);
    assert_eq!((flags.is_sampled(), flags.is_degraded(), flags.is_hedge()), (false, true, false));
    let text = b"v2.a.r1.f8c8";
    let context = Context::parse(text).unwrap().remaining().unwrap();
    assert_eq!(context.flags.priority, 200);
    assert_eq!(context.to_string().as_bytes(), text);
    assert!(context.flags.hedge(true).is_hedge());
    let none = Flags::new(0);
    assert!(!none.is_sampled() && !none.is_degraded() && !none.is_hedge());
    assert!(none.sampled(true).is_sampled() && none.sampled(true).sampled(true).is_sampled());
}

#[test]
fn a_clock_that_jumped_back_leaves_no_more_than_the_longest_deadline() {
    let left = |ms| Absolute(Millis(ms)).left(Micros(1_000_000)).0;
    assert_eq!([900, 1_000, 1_001].map(left), [Millis(0), Millis(0), Millis(1)]);
    assert_eq!(
        [120_999, 121_000, 121_001, u64::MAX].map(left),
        [119_999, 120_000, 120_000, 120_000].map(Millis)
    );
}

/// To the byte: W3C Baggage allows 8 192.
#[test]
fn ours_is_added_as_long_as_the_header_stays_within_the_limit() {
    let ours = Context { journey: "j", deadline: Remaining(Millis(1)), flags: Flags::default(), id: 0 };
    let room = baggage::BYTES_MAX - "emac=v2.j.r1.0000,".len();
    for (bytes, omitted) in [(room, false), (room + 1, true)] {
        let others = format!("a={}", "1".repeat(bytes - 2));
        assert_eq!(replace(others.as_bytes(), Some(&ours)).omitted, omitted, "{bytes} bytes of others");
    }
}

/// 128 bytes are kept free for ours.
#[test]
fn a_header_with_room_for_ours_is_not_full() {
    let header = |bytes: usize| format!("a={}", "1".repeat(bytes - 2));
    let full = |bytes| baggage::is_full(header(bytes).as_bytes());
    assert_eq!([3, 100, 8_064, 8_065].map(full), [false, false, false, true]);
    let full = |members| baggage::is_full(vec!["a=1"; members].join(",").as_bytes());
    assert_eq!([63, 64].map(full), [false, true]);
}

#[test]
fn a_traceparent_of_our_own_reads_as_it_was_written() {
    let ours =
        TraceParent { trace_id: [0xab; 16], parent_span_id: [0, 1, 2, 3, 4, 5, 6, 0xff], sampled: true };
    let header = ours.to_header();
    assert_eq!(header, *b"00-abababababababababababababababab-00010203040506ff-01");
    assert_eq!(TraceParent::parse(&header), Ok(ours));
    let unsampled = TraceParent { sampled: false, ..ours };
    assert_eq!(TraceParent::parse(&unsampled.to_header()), Ok(unsampled));
}

#[test]
fn traceparent_follows_the_recommendation() {
    let good = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let parsed = TraceParent::parse(good).unwrap();
    assert_eq!(parsed.trace_id[0..2], [0x0a, 0xf7]);
    assert_eq!(parsed.parent_span_id[7], 0x31);
    assert!(parsed.sampled);
    for (flags, sampled) in [("00", false), ("02", false), ("03", true), ("ff", true)] {
        let text = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        assert_eq!(TraceParent::parse(text.as_bytes()).unwrap().sampled, sampled, "{flags}");
    }
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
