//! Reports on their way into the log: those of one workload in one, because sketches and counts add up.
//!
//! Every report keeps its own name (node, epoch, sequence) and its filter's health; what it counted moves to the first of its workload. A thousand
//! sidecars of one workload so write one delta, not a thousand.

use std::collections::BTreeMap;
use std::mem::take;

use emac_core::evidence::{Delta, EvidenceLimits};
use emac_core::id::WorkloadName;
use emac_proto::convert::NodeReport;

/// Merges in place; order and number of the reports stay.
pub(super) fn merge(reports: &mut [NodeReport]) {
    let mut firsts: BTreeMap<WorkloadName, usize> = BTreeMap::new();
    for place in 0..reports.len() {
        let (before, rest) = reports.split_at_mut(place);
        let Some(report) = rest.first_mut() else { return };
        let first = firsts.get(&report.workload).and_then(|first| before.get_mut(*first));
        match first.filter(|first| fits(&first.report.delta, &report.report.delta)) {
            Some(first) => {
                let health = take(&mut report.report.delta.health);
                let delta = take(&mut report.report.delta);
                report.report.delta = Delta { health, ..Delta::default() };
                first.report.delta.merge(delta);
            }
            None => drop(firsts.insert(report.workload.clone(), place)),
        }
    }
}

/// Whether both together are still a report as the wire allows it.
fn fits(one: &Delta, other: &Delta) -> bool {
    let limits = EvidenceLimits::default();
    let new = |other: usize, known: usize| other - known;
    let journeys = other.journeys.keys().filter(|name| one.journeys.contains_key(*name)).count();
    let hops = other.hops.keys().filter(|key| one.hops.contains_key(*key)).count();
    one.journeys.len() + new(other.journeys.len(), journeys) <= limits.journeys
        && one.hops.len() + new(other.hops.len(), hops) <= limits.hops
        && one.records.len() + other.records.len() <= limits.records
}

#[cfg(test)]
mod tests {
    use emac_core::evidence::{HopDelta, Report};
    use emac_core::id::HopKey;
    use emac_core::outcome::{Outcome, OutcomeCounts};
    use emac_core::units::Millis;

    use super::*;

    fn report(workload: &str, node: &str, hops: &[u32]) -> NodeReport {
        let hop = |n: &u32| {
            let mut outcomes = OutcomeCounts::default();
            outcomes.add(Outcome::Success);
            let key = HopKey { source: workload.into(), destination: format!("h{n}"), ..HopKey::default() };
            (key, HopDelta { outcomes, ..HopDelta::default() })
        };
        let mut delta = Delta { hops: hops.iter().map(hop).collect(), ..Delta::default() };
        (delta.health.generation, delta.health.dropped) = (7, 1);
        let report = Report { epoch: 1, sequence: 1, start_unix: Millis(0), end_unix: Millis(0), delta };
        NodeReport { node: node.into(), workload: WorkloadName::new(workload).unwrap(), report }
    }

    fn calls(reports: &[NodeReport]) -> u64 {
        reports.iter().flat_map(|it| it.report.delta.hops.values()).map(|hop| hop.outcomes.total()).sum()
    }

    #[test]
    fn reports_of_a_workload_become_one_and_nothing_is_lost() {
        let many: Vec<u32> = (10..265).collect();
        let mut reports = vec![
            report("s/a", "1", &[1, 2]),
            report("s/b", "2", &[1]),
            report("s/a", "3", &[2, 3]),
            // Too many hops for one report: it begins another.
            report("s/a", "4", &many),
            report("s/a", "5", &[9, 10]),
        ];
        let before = calls(&reports);
        merge(&mut reports);
        assert_eq!(calls(&reports), before);
        assert_eq!(
            reports.iter().map(|it| it.report.delta.hops.len()).collect::<Vec<_>>(),
            [3, 1, 0, 256, 0]
        );
        assert!(
            reports
                .iter()
                .all(|it| it.report.delta.health.dropped == 1 && it.report.delta.health.generation == 7)
        );
    }
}
