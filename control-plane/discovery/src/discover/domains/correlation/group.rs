//! Pairs to groups: every pair that was found is in a group whose members all are pairs. Greedy, the strongest pair first, so that the groups are
//! few; which ones of several covers is taken changes no bound, since bounds look at who shares anything with whom.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::journey::ComponentName;

use super::outage::Outages;
use super::{CorrelatedGroup, CorrelatedPair, confidence};
use crate::discover::domains::profile::ratio;

type PairKey<'a> = (&'a ComponentName, &'a ComponentName);

/// O(pairs · components · members).
pub(super) fn groups(
    pairs: &[CorrelatedPair<'_>],
    outages: &BTreeMap<&ComponentName, Outages>,
    tested: usize,
) -> Vec<CorrelatedGroup> {
    let by_key: BTreeMap<PairKey<'_>, &CorrelatedPair<'_>> =
        pairs.iter().map(|pair| ((pair.a, pair.b), pair)).collect();
    let names: BTreeSet<&ComponentName> = by_key.keys().flat_map(|&(a, b)| [a, b]).collect();
    let mut covered: BTreeSet<PairKey<'_>> = BTreeSet::new();
    let mut groups = Vec::new();
    for pair in pairs {
        if covered.contains(&(pair.a, pair.b)) {
            continue;
        }
        let mut members = BTreeSet::from([pair.a, pair.b]);
        for &name in &names {
            if members.iter().all(|&member| name != member && by_key.contains_key(&key(name, member))) {
                members.insert(name);
            }
        }
        let inner: Vec<&&CorrelatedPair<'_>> = keys(&members).filter_map(|key| by_key.get(&key)).collect();
        covered.extend(inner.iter().map(|pair| (pair.a, pair.b)));
        groups.push(group(&members, &inner, outages, tested));
    }
    groups.sort_by(|a, b| a.members.cmp(&b.members));
    groups
}

fn key<'a>(a: &'a ComponentName, b: &'a ComponentName) -> PairKey<'a> {
    if a < b { (a, b) } else { (b, a) }
}

fn keys<'a>(members: &BTreeSet<&'a ComponentName>) -> impl Iterator<Item = PairKey<'a>> {
    let members: Vec<_> = members.iter().copied().collect();
    let pairs = |i: usize, members: Vec<&'a ComponentName>| {
        (i + 1..members.len()).map(move |j| (members[i], members[j])).collect::<Vec<_>>()
    };
    (0..members.len()).flat_map(move |i| pairs(i, members.clone()))
}

fn group(
    members: &BTreeSet<&ComponentName>,
    pairs: &[&&CorrelatedPair<'_>],
    outages: &BTreeMap<&ComponentName, Outages>,
    tested: usize,
) -> CorrelatedGroup {
    let most =
        |value: fn(&CorrelatedPair<'_>) -> f64| pairs.iter().map(|pair| value(pair)).fold(0.0, f64::max);
    let weakest = pairs.iter().min_by_key(|pair| pair.meeting.met);
    let corrected = most(|pair| pair.corrected);
    let of = |name: &ComponentName| outages.get(name);
    CorrelatedGroup {
        p: most(|pair| pair.meeting.p),
        corrected,
        tested,
        support: weakest.map_or(0, |pair| pair.meeting.met),
        expected: weakest.map_or(0.0, |pair| pair.meeting.expected),
        shares: members.iter().map(|&name| (name.clone(), ratio(share(name, members, outages)))).collect(),
        outages: members
            .first()
            .and_then(|name| of(name))
            .map(|one| together(one, members, outages))
            .unwrap_or_default(),
        confidence: confidence(corrected),
        members: members.iter().map(|&name| name.clone()).collect(),
    }
}

/// Share of a member's failures that fell into outages of another member.
fn share(
    name: &ComponentName,
    members: &BTreeSet<&ComponentName>,
    outages: &BTreeMap<&ComponentName, Outages>,
) -> f64 {
    let Some(own) = outages.get(name) else { return 0.0 };
    let others: Vec<_> =
        members.iter().filter(|&&other| other != name).filter_map(|other| outages.get(other)).collect();
    let joint = own
        .slots
        .iter()
        .zip(&own.failures)
        .filter(|(slot, _)| others.iter().any(|other| other.holds(**slot)));
    let joint: u64 = joint.map(|(_, failures)| failures).sum();
    joint as f64 / own.total.max(1) as f64
}

/// The first outages of a member in which another one was out too.
fn together(
    own: &Outages,
    members: &BTreeSet<&ComponentName>,
    outages: &BTreeMap<&ComponentName, Outages>,
) -> Vec<(u64, u64)> {
    let others: Vec<_> = members.iter().skip(1).filter_map(|other| outages.get(other)).collect();
    let meets = |&&(first, last): &&(u64, u64)| {
        others.iter().any(|other| other.spans.iter().any(|&(start, end)| start <= last && first <= end))
    };
    own.spans.iter().filter(meets).take(CorrelatedGroup::OUTAGES_MAX).copied().collect()
}
