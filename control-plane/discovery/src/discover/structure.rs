//! How the calls of one caller combine: operators from many requests.
//!
//! A [`Log`] holds, for one caller, how its calls lay in time in each sampled request. The way from there follows inductive process discovery (Leemans,
//! Fahland, van der Aalst, "Discovering Block-Structured Process Models from Event Logs", 2013), with calls that have a length and an outcome
//! in the place of single events:
//!
//! 1. `race`: groups of which the caller needs only the first k answers; what lost is cut off at the moment it was not needed any more.
//! 2. `fallback`: calls made only after another had failed are set aside.
//! 3. `cut`: what remains is divided, again and again, into choices (never together), steps (always in one order, never overlapping) and branches
//!    (at the same time); one call alone is looked at for `repetition`.
//! 4. The alternates are put back around the smallest part that they stand in for, and the whole is written in its one spelling (`normal`).
//!
//! A relation between two calls holds over all requests or not at all: truly parallel calls overlap in a single trace as rarely as one time in four.
//! What is seen too rarely to be told is said so in the [`Support`], not guessed.

mod cut;
mod fallback;
mod log;
mod normal;
mod race;
mod relation;
mod repetition;
mod support;

use emac_core::journey::Join;

pub use log::{Activity, Event, Log, Run};
pub use support::{Share, Support};

/// How calls combine.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Which operator.
    pub block: Block,
    /// What it rests on.
    pub support: Support,
}

/// The operators of `emac_core::journey::Expr` over the calls of one caller.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// One call.
    Call(Activity),
    /// An answer kept in the caller's sidecar in the place of this call's.
    Kept(Activity),
    /// Nothing is called: a way that a choice may take.
    Nothing,
    /// One after the other.
    Series(Vec<Node>),
    /// At the same time.
    Parallel(Join, Vec<Node>),
    /// The first good answer wins; the second starts this many milliseconds after the first.
    Race(u64, Vec<Node>),
    /// The next only after the one before failed.
    Fallback(Box<Node>, Vec<Node>),
    /// One of them.
    Branch(Vec<(Share, Node)>),
    /// Again after a failure; most tries seen.
    Retry(u32, Box<Node>),
    /// Again after a success.
    Repeat(u32, Box<Node>),
    /// Given up after so many milliseconds.
    Timeout(u64, Box<Node>),
    /// Not waited for.
    Async(Box<Node>),
}

/// Requests that must show a thing before it is said to be: one may be an accident, two a coincidence.
pub const SUPPORT_MIN: u64 = 3;

/// One request in so many may break a rule that holds: clocks and instrumentation err, and a span is lost now and then. More often than that it
/// is no rule. Of 2 048 sampled requests that lets ten err.
const NOISE_PART: u64 = 200;

/// Infers the structure of one caller; `None` when it calls nobody. O(requests · calls² + calls³).
pub fn infer(mut log: Log) -> Option<Node> {
    let races = race::cut_losers(&mut log);
    whole(log, &races).map(normal::spelling)
}

/// The structure once it is known which answers are not needed.
fn whole(log: Log, races: &race::Races) -> Option<Node> {
    let (log, alternates) = fallback::set_aside(log, races);
    let node = cut::divide(&log, races)?;
    Some(fallback::put_back(node, alternates))
}

impl Node {
    fn new(block: Block, support: Support) -> Self {
        Self { block, support }
    }

    /// Parts in order.
    pub fn children(&self) -> Vec<&Self> {
        match &self.block {
            Block::Call(_) | Block::Kept(_) | Block::Nothing => Vec::new(),
            Block::Series(all) | Block::Parallel(_, all) | Block::Race(_, all) => all.iter().collect(),
            Block::Fallback(primary, alternates) => std::iter::once(&**primary).chain(alternates).collect(),
            Block::Branch(choices) => choices.iter().map(|(_, node)| node).collect(),
            Block::Retry(_, body) | Block::Repeat(_, body) | Block::Timeout(_, body) | Block::Async(body) => {
                vec![body]
            }
        }
    }

    /// Parts in order, to be changed.
    pub(in crate::discover) fn children_mut(&mut self) -> Vec<&mut Self> {
        match &mut self.block {
            Block::Call(_) | Block::Kept(_) | Block::Nothing => Vec::new(),
            Block::Series(all) | Block::Parallel(_, all) | Block::Race(_, all) => all.iter_mut().collect(),
            Block::Fallback(primary, alternates) => {
                std::iter::once(&mut **primary).chain(alternates).collect()
            }
            Block::Branch(choices) => choices.iter_mut().map(|(_, node)| node).collect(),
            Block::Retry(_, body) | Block::Repeat(_, body) | Block::Timeout(_, body) | Block::Async(body) => {
                vec![body]
            }
        }
    }

    /// Calls from left to right.
    pub fn activities(&self) -> Vec<Activity> {
        match &self.block {
            Block::Call(activity) => vec![*activity],
            _ => self.children().into_iter().flat_map(Self::activities).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
