//! Which span caused which.

use crate::SpanKind;
use crate::assemble::SpanRecord;

/// "Nobody."
pub(super) const NONE: u32 = u32::MAX;
/// Records of one id that are looked at when it is named as a parent. Two are usual (both halves of a call); a thousand are an attack.
const NAMESAKES_MAX: usize = 8;

/// Why a span is a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// It says so.
    Said,
    /// Its parent is not there.
    Orphan,
    /// It was the earliest of a circle.
    Circle,
}

/// What had to be put right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Repairs {
    /// Duplicate spans, ignored.
    pub(crate) duplicates: u64,
    /// Spans that share their id with another one and are not the other half of its call.
    pub(crate) conflicting: u64,
}

/// Parents and children by place in the sorted records.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) parents: Vec<u32>,
    /// Roots, earliest first.
    pub(super) roots: Vec<(u32, Root)>,
    /// Children of all, side by side: those of `i` are `starts[i] .. starts[i + 1]`, earliest first.
    children: Vec<u32>,
    starts: Vec<u32>,
    by_start: Vec<u32>,
    marks: Vec<Mark>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    New,
    OnPath,
    Done,
}

impl Tree {
    /// Sorts records, drops duplicates, and finds the trees. Fewer than 2^32 records.
    pub(super) fn build(&mut self, records: &mut Vec<SpanRecord>) -> Repairs {
        let before = records.len();
        // Ids nearly always differ.
        records.sort_unstable_by(|a, b| a.id.cmp(&b.id).then_with(|| a.order().cmp(&b.order())));
        records.dedup_by(|a, b| a.order() == b.order());
        let found =
            Repairs { duplicates: (before - records.len()) as u64, conflicting: count_conflicting(records) };
        self.parents.clear();
        self.parents.extend((0..records.len()).map(|i| find_parent(records, i).unwrap_or(NONE)));
        self.roots.clear();
        self.cut_circles(records);
        self.sort_children(records);
        self.find_roots(records);
        found
    }

    /// Places of the children of a span, earliest first.
    pub(super) fn children(&self, place: u32) -> &[u32] {
        let bound = |i: usize| self.starts.get(i).map(|&start| start as usize);
        let range = bound(place as usize).zip(bound(place as usize + 1));
        range.and_then(|(from, to)| self.children.get(from..to)).unwrap_or_default()
    }

    pub(super) fn parent(&self, place: u32) -> Option<u32> {
        self.parents.get(place as usize).copied().filter(|&parent| parent != NONE)
    }

    /// Follows parents from every span; a path that meets itself is cut above its earliest span.
    fn cut_circles(&mut self, records: &[SpanRecord]) {
        self.marks.clear();
        self.marks.resize(records.len(), Mark::New);
        for start in 0..records.len() {
            let met = self.follow(start, Mark::New, Mark::OnPath);
            if let Some(met) = met.filter(|&met| self.marks.get(met) == Some(&Mark::OnPath)) {
                self.cut(met, records);
            }
            self.follow(start, Mark::OnPath, Mark::Done);
        }
    }

    /// Changes marks along a path; the first place that is not marked `from`, if there is one.
    fn follow(&mut self, start: usize, from: Mark, to: Mark) -> Option<usize> {
        let mut place = start;
        while let Some(mark) = self.marks.get_mut(place).filter(|mark| **mark == from) {
            *mark = to;
            place = *self.parents.get(place)? as usize;
        }
        self.marks.get(place).map(|_| place)
    }

    fn cut(&mut self, on_circle: usize, records: &[SpanRecord]) {
        let (mut place, mut earliest) = (on_circle, on_circle);
        let start = |place: usize| records.get(place).map(|record| (record.start_ns, place));
        loop {
            place = self.parents.get(place).map_or(on_circle, |&parent| parent as usize);
            if place == on_circle {
                break;
            }
            if start(place) < start(earliest) {
                earliest = place;
            }
        }
        if let Some(parent) = self.parents.get_mut(earliest) {
            *parent = NONE;
            self.roots.push((u32::try_from(earliest).unwrap_or(NONE), Root::Circle));
        }
    }

    /// Counting sort by parent of the spans in the order of their starts.
    fn sort_children(&mut self, records: &[SpanRecord]) {
        let Self { parents, children, starts, by_start, .. } = self;
        by_start.clear();
        by_start.extend(0..u32::try_from(records.len()).unwrap_or(NONE));
        by_start.sort_unstable_by_key(|&i| (records.get(i as usize).map(|record| record.start_ns), i));
        starts.clear();
        starts.resize(records.len() + 2, 0);
        parents.iter().for_each(|&parent| add(starts, (parent as usize).saturating_add(2)));
        (1..starts.len()).for_each(|i| {
            let sum = starts.get(i - 1).copied().unwrap_or_default();
            starts.get_mut(i).into_iter().for_each(|start| *start += sum);
        });
        children.clear();
        children.resize(records.len(), NONE);
        for &child in by_start.iter() {
            let parent = parents.get(child as usize).map_or(NONE as usize, |&parent| parent as usize);
            let Some(next) = starts.get_mut(parent.saturating_add(1)) else { continue };
            if let Some(slot) = children.get_mut(*next as usize) {
                *slot = child;
            }
            *next += 1;
        }
    }

    fn find_roots(&mut self, records: &[SpanRecord]) {
        let mut circles: Vec<u32> = self.roots.drain(..).map(|(place, _)| place).collect();
        circles.sort_unstable();
        for &place in &self.by_start {
            if self.parents.get(place as usize) != Some(&NONE) {
                continue;
            }
            let said = records.get(place as usize).is_some_and(|record| record.parent == 0);
            let root = match (said, circles.binary_search(&place).is_ok()) {
                (_, true) => Root::Circle,
                (true, false) => Root::Said,
                (false, false) => Root::Orphan,
            };
            self.roots.push((place, root));
        }
    }
}

fn add(counts: &mut [u32], place: usize) {
    counts.get_mut(place).into_iter().for_each(|count| *count += 1);
}

/// A served half whose caller's half has the same id belongs to that; all others name their parent.
fn find_parent(records: &[SpanRecord], place: usize) -> Option<u32> {
    let record = records.get(place)?;
    let own = if record.kind == SpanKind::Server {
        namesakes(records, record.id).find(|(_, other)| other.kind == SpanKind::Client)
    } else {
        None
    };
    let found = own.or_else(|| named_parent(records, place, record))?.0;
    u32::try_from(found).ok()
}

/// Of the halves of one call: a served span was called from within the served one; others belong to the one of their own service, and in doubt
/// to the served one.
fn named_parent<'a>(
    records: &'a [SpanRecord],
    place: usize,
    record: &SpanRecord,
) -> Option<(usize, &'a SpanRecord)> {
    let parents = (record.parent != 0).then(|| namesakes(records, record.parent))?;
    let own = |parent: &SpanRecord| !record.is_called() && parent.service == record.service;
    let rank = |parent: &SpanRecord| (own(parent), parent.is_called());
    let others = parents.filter(|&(i, _)| i != place);
    others.reduce(|best, next| if rank(next.1) > rank(best.1) { next } else { best })
}

/// Records of an id, earliest first.
fn namesakes(records: &[SpanRecord], id: u64) -> impl Iterator<Item = (usize, &SpanRecord)> {
    let from = records.partition_point(|record| record.id < id);
    let rest = records.get(from..).unwrap_or_default();
    let same = rest.iter().take(NAMESAKES_MAX).take_while(move |record| record.id == id);
    same.enumerate().map(move |(i, record)| (from + i, record))
}

fn count_conflicting(records: &[SpanRecord]) -> u64 {
    let groups = records.chunk_by(|a, b| a.id == b.id).filter(|group| group.len() > 1);
    groups.map(|group| if is_one_call(group) { 0 } else { group.len() as u64 - 1 }).sum()
}

fn is_one_call(halves: &[SpanRecord]) -> bool {
    let side = |kind| halves.iter().filter(|half| half.kind == kind).count();
    side(SpanKind::Client) == 1 && side(SpanKind::Server) + 1 == halves.len()
}
