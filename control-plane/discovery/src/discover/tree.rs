//! The structure of a whole journey: each caller's calls, put together from the entry down.

use std::collections::BTreeSet;

use emac_core::journey::Join;

use super::journeys::TraceGroup;
use super::journeys::pages::{Class, class, pages};
use super::observe::{Count, Observations, Occurrence, SiteId};
use super::structure::{Activity, Block, Event, Log, Node, Run, Share, Support, infer};

/// Most confidence in redundancy, and in that nobody waits, that callers' own records do not show: an even chance, which is below what acts ([`super::IDENTIFIED_MIN`]).
const UNSEEN_MAX: f64 = 0.5;

/// What is left of the confidence in any operator over calls that callers did not record: when the caller began to wait, and went on, is then known
/// from its next call alone.
const UNSEEN: f64 = 0.93;

/// Works on one group of traces.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    observations: &'a Observations,
    shapes: BTreeSet<u32>,
    /// Traces are made of sidecars' records: the caller's side of every call is there, with or without a name.
    by_sidecars: bool,
}

impl<'a> Tree<'a> {
    pub(super) fn new(observations: &'a Observations, group: &TraceGroup) -> Self {
        let by_sidecars = !group.journey.is_none();
        Self { observations, shapes: group.shapes.iter().copied().collect(), by_sidecars }
    }

    /// A call with everything below it: first the callee itself, then what it calls. Depth is that of the sites, which is limited.
    pub(super) fn call(&self, site: SiteId, support: Support) -> Node {
        let own = Node { block: Block::Call(number(site)), support };
        match self.body(site) {
            None => own,
            Some(mut body) => {
                if !self.by_sidecars && body.activities().into_iter().any(|activity| self.is_unseen(activity))
                {
                    lessen(&mut body);
                }
                let body = self.expand(body, site);
                let support = body.support.clone();
                series(vec![own, body], support)
            }
        }
    }

    /// Every call in a body with what is below it.
    fn expand(&self, node: Node, caller: SiteId) -> Node {
        let each = |all: Vec<Node>| all.into_iter().map(|node| self.expand(node, caller)).collect::<Vec<_>>();
        let boxed = |node: Box<Node>| Box::new(self.expand(*node, caller));
        let Node { block, support } = node;
        let block = match block {
            Block::Call(activity) => match self.observations.sites().at(activity as usize) {
                Some(site) => return self.call(site, support),
                None => Block::Call(activity),
            },
            // Nothing more is called: what the caller has done already stands for it.
            Block::Nothing => Block::Call(number(caller)),
            Block::Kept(activity) => Block::Kept(activity),
            Block::Series(steps) => return series(each(steps), support),
            Block::Parallel(join, branches) => {
                let branches = each(branches);
                return self.doubted(Node { block: Block::Parallel(join, branches), support });
            }
            Block::Race(delay, branches) => {
                let branches = each(branches);
                return self.doubted(Node { block: Block::Race(delay, branches), support });
            }
            Block::Fallback(primary, alternates) => {
                let (primary, alternates) = (boxed(primary), each(alternates));
                return self.doubted(Node { block: Block::Fallback(primary, alternates), support });
            }
            Block::Branch(choices) => Block::Branch(
                choices.into_iter().map(|(share, node)| (share, self.expand(node, caller))).collect(),
            ),
            Block::Retry(attempts, body) => Block::Retry(attempts, boxed(body)),
            Block::Repeat(count, body) => Block::Repeat(count, boxed(body)),
            Block::Timeout(after, body) => Block::Timeout(after, boxed(body)),
            Block::Async(body) => {
                let body = boxed(body);
                return self.doubted(Node { block: Block::Async(body), support });
            }
        };
        Node { block, support }
    }

    /// Redundancy, and that nobody waits, shows in what the caller saw and when it went on. Where callers recorded nothing, that is a guess from what
    /// callees saw by clocks of their own, and no ground to act on.
    fn doubted(&self, mut node: Node) -> Node {
        let is_all = matches!(node.block, Block::Parallel(Join::All, _));
        let unseen = || node.activities().into_iter().any(|activity| self.is_unseen(activity));
        if !is_all && !self.by_sidecars && unseen() {
            node.support.confidence = node.support.confidence.min(UNSEEN_MAX);
            node.support.says.push_str("; callers recorded no spans of these calls");
        }
        node
    }

    /// Whether the caller recorded nothing of a call that has an answer. That nobody waits for a message needs no record.
    fn is_unseen(&self, activity: Activity) -> bool {
        let sites = self.observations.sites();
        let site = sites.at(activity as usize).and_then(|id| sites.get(id));
        site.is_some_and(|site| site.via.is_none() && site.parent.is_some() && !site.message)
    }

    /// How the calls of a caller combine. Where it serves several pages, one of them: their steps are in no order with each other.
    fn body(&self, site: SiteId) -> Option<Node> {
        let sample = self.observations.sample(site)?.smallest(usize::MAX);
        let of_group = sample.into_iter().filter(|occurrence| self.shapes.contains(&occurrence.shape));
        let seen: Vec<&Occurrence> = of_group.collect();
        match pages(&seen) {
            None => infer(self.log(site, &seen)),
            Some(pages) => Some(self.one_of(site, &seen, &pages)),
        }
    }

    /// A choice between pages, each with the structure that its own requests show.
    fn one_of(&self, site: SiteId, seen: &[&Occurrence], pages: &[BTreeSet<Class>]) -> Node {
        let empty = self.log(site, seen).empty;
        let all = seen.len() as u64 + empty;
        let mut choices = Vec::new();
        for page in pages {
            let of_page = |one: &&&Occurrence| page.contains(&class(one));
            let runs: Vec<_> = seen.iter().filter(of_page).map(|one| run(one)).collect();
            let share = Share { of: runs.len() as u64, all };
            choices.extend(infer(Log { runs, empty: 0 }).map(|node| (share, node)));
        }
        if empty > 0 {
            let nothing = Node { block: Block::Nothing, support: Support::of_seen(empty, String::new()) };
            choices.push((Share { of: empty, all }, nothing));
        }
        let rarest = choices.iter().map(|(share, _)| share.of).min().unwrap_or_default();
        let says =
            format!("{} kinds of requests that call different things in orders of their own", choices.len());
        let support = Support::of_seen(rarest, says).shown_by(seen.iter().map(|one| one.trace));
        Node { block: Block::Branch(choices), support }
    }

    /// What a caller's calls looked like in some of its occurrences.
    fn log(&self, site: SiteId, seen: &[&Occurrence]) -> Log {
        let runs: Vec<_> = seen.iter().map(|one| run(one)).collect();
        let count = self.count(site);
        // In the sample's proportion.
        let content = count.content as f64 * runs.len() as f64 / count.calling.max(1) as f64;
        Log { runs, empty: content.round() as u64 }
    }

    /// How often a site occurred in the group.
    fn count(&self, site: SiteId) -> Count {
        let shapes = self.shapes.iter().filter_map(|&number| self.observations.shapes().get(number as usize));
        let mut sum = Count::default();
        for shape in shapes {
            let place = shape.sites.binary_search(&site).ok();
            sum.add(place.and_then(|place| shape.counts.get(place)).copied().unwrap_or_default());
        }
        sum
    }
}

fn lessen(node: &mut Node) {
    node.support.confidence *= UNSEEN;
    node.children_mut().into_iter().for_each(lessen);
}

fn number(site: SiteId) -> Activity {
    Activity::try_from(site.index()).unwrap_or(Activity::MAX)
}

fn run(occurrence: &Occurrence) -> Run {
    let events = occurrence.calls.iter().map(|call| Event {
        activity: number(call.site),
        start: call.start_ns,
        end: call.end_ns,
        outcome: call.outcome,
        attempts: call.attempts,
        cut: false,
        replaced: false,
        message: call.message,
    });
    Run {
        events: events.collect(),
        until: occurrence.end_ns,
        went_on: occurrence.outcome.answered(),
        blocked: false,
        trace: occurrence.trace,
    }
}

/// Steps of which none is a series itself. The weakest reason counts for the whole.
fn series(steps: Vec<Node>, support: Support) -> Node {
    let (mut flat, mut weakest) = (Vec::new(), support);
    for step in steps {
        match step.block {
            Block::Series(inner) => {
                if step.support.confidence < weakest.confidence {
                    weakest = step.support;
                }
                flat.extend(inner);
            }
            block => flat.push(Node { block, support: step.support }),
        }
    }
    Node { block: Block::Series(flat), support: weakest }
}
