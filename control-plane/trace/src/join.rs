//! From the spans of one request to its calls.
//!
//! First the tree ([`tree`]): equal spans are one, parents are found by id, circles are cut. Then the calls ([`walk`]): both halves of a
//! call become one, what happens within a service vanishes, and all times are moved onto the clock of the root ([`super::skew`]).
//!
//! A request of which spans are missing falls into several trees; each is handed on, marked as incomplete, because what is not seen in it
//! may have happened all the same. O(n log n) for n spans, and never recursive: depth is the input's choice.

mod attempts;
mod times;
mod tree;
mod walk;

#[cfg(test)]
mod tests;

use super::assemble::SpanRecord;
use super::quality::Quality;
use super::skew::Clocks;
use super::{Call, Symbol, Symbols, Trace, TraceId};
use tree::Tree;
pub(super) use tree::{Repairs, Root};
use walk::{Known, Walk};

/// What is known of a request beside its spans.
#[derive(Clone, Copy, Debug)]
pub(super) struct JoinContext {
    pub(super) id: TraceId,
    pub(super) journey: Symbol,
    /// No spans were left out for want of room.
    pub(super) whole: bool,
    /// Made of hops, whose tries are the mesh's.
    pub(super) hops: bool,
}

/// Joins one request after the other; what it allocates is used again, what it learns of clocks is kept.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    tree: Tree,
    walk: Walk,
    clocks: Clocks,
}

impl Joiner {
    pub(super) const fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    /// Hands on a trace for each tree that the records make; they are sorted, and rid of duplicates.
    pub(super) fn join(
        &mut self,
        context: JoinContext,
        records: &mut Vec<SpanRecord>,
        symbols: &mut Symbols,
        quality: &mut Quality,
        mut consume: impl FnMut(&Trace, &Symbols),
    ) {
        let untimed = times::fill(records);
        if untimed > 0 {
            quality.refuse_untimed(untimed, context.id);
        }
        let found = self.tree.build(records);
        quality.add_tree(&found, &self.tree.roots);
        let whole = context.whole && untimed == 0;
        let complete = whole && self.tree.roots.iter().all(|(_, root)| *root == Root::Said);
        let headless = whole && is_headless(&self.tree.roots, records);
        quality.add_request(complete, headless);
        self.walk.prepare(records, &self.tree);
        for &(root, _) in &self.tree.roots {
            let mut trace = Trace {
                id: context.id,
                calls: std::mem::take(&mut self.walk.calls),
                journey: context.journey,
                complete,
                headless,
            };
            let known = Known { records, tree: &self.tree };
            self.walk.run(root, known, symbols, &mut self.clocks, quality, &mut trace.calls);
            if context.hops {
                trace.calls.iter_mut().for_each(give_tries_to_the_mesh);
            }
            consume(&trace, symbols);
            self.walk.calls = trace.calls;
        }
    }
}

/// An application's tries are calls of their own.
const fn give_tries_to_the_mesh(call: &mut Call) {
    call.mesh_retries = call.attempts.saturating_sub(1);
    call.attempts = 1;
}

/// Whether nothing is missing but who called the entry: one tree, whose root was called by a span that is not there.
fn is_headless(roots: &[(u32, Root)], records: &[SpanRecord]) -> bool {
    let &[(root, Root::Orphan)] = roots else { return false };
    records.get(root as usize).is_some_and(SpanRecord::is_called)
}
