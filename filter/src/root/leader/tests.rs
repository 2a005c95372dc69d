use proptest::prelude::*;

use super::*;
use crate::testing::Fake;

const TICK: Millis = Millis(100);

struct Vm {
    name: [u8; 16],
    leader: Leader,
}

fn vms(count: u8) -> Vec<Vm> {
    (1..=count).map(|number| Vm { name: [number; 16], leader: Leader::default() }).collect()
}

/// How many lead.
fn elect(host: &Fake, vms: &mut [Vm], now_ms: u64) -> usize {
    let now = Micros(now_ms * 1_000);
    vms.iter_mut().filter_map(|vm| vm.leader.tick(host, vm.name, now, TICK).then_some(())).count()
}

#[test]
fn one_leads_and_another_takes_over_after_three_missed_ticks() {
    let host = Fake::default();
    let mut all = vms(3);
    // Nobody leads in the tick in which the lease is written; who wrote it last is read in the next one.
    assert_eq!(elect(&host, &mut all, 1_000), 0);
    assert_eq!(elect(&host, &mut all, 1_100), 1);
    let (first, rest) = all.split_at_mut(1);
    assert!(first[0].leader.leads());
    for now in [1_200, 1_300, 1_400] {
        assert_eq!(elect(&host, rest, now), 0);
        assert!(rest.iter().all(|vm| vm.leader.is_led()));
    }
    assert_eq!(elect(&host, rest, 1_500), 0);
    assert_eq!(elect(&host, rest, 1_600), 1);
    // The first comes back and finds itself replaced.
    assert_eq!(elect(&host, first, 1_650), 0);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x1EAD),
        ..ProptestConfig::default()
    })]

    /// Whoever ticks when, whatever the clock does: never two leaders at once, and always one in the end.
    #[test]
    fn never_two_and_always_one(order in prop::collection::vec((0..4_usize, 0..5_000_u64), 0..60)) {
        let host = Fake::default();
        let mut all = vms(4);
        let mut leading: Option<usize> = None;
        for (at, now_ms) in order {
            if elect(&host, &mut all[at..=at], now_ms) == 1 {
                // Whoever led before has lost the lease: its own next tick says so.
                if let Some(before) = leading.filter(|&before| before != at) {
                    let held = host.shared(LEASE).unwrap().0;
                    prop_assert_ne!(&held[..16], all[before].name);
                }
                leading = Some(at);
            }
        }
        for round in 0..8 {
            elect(&host, &mut all, 100_000 + round * 100);
        }
        prop_assert_eq!(all.iter().filter(|vm| vm.leader.leads()).count(), 1);
    }

    #[test]
    fn any_lease_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let host = Fake::default();
        host.set_shared(LEASE, &bytes, None).unwrap();
        let mut one = vms(1);
        for round in 0..6 {
            elect(&host, &mut one, 1_000_000 + round * 100);
        }
        prop_assert!(one[0].leader.leads());
    }
}
