//! Tries that are spans of their own, and tries that are not.
//!
//! A client that tries again says in each span which try it is. If the tries before are there too, each span is one try; if they are not, they
//! happened within the span (a proxy or a library below it tried again).

use std::collections::HashMap;

use crate::assemble::SpanRecord;
use crate::{Call, Symbol};

/// Calls whose caller said that it tried again.
#[derive(Debug, Default)]
pub(super) struct Resent {
    calls: Vec<(u32, u8)>,
}

impl Resent {
    pub(super) fn clear(&mut self) {
        self.calls.clear();
    }

    pub(super) fn saw(&mut self, call: u32, caller: &SpanRecord) {
        if caller.attempt > 1 {
            self.calls.push((call, caller.attempt));
        }
    }

    /// Decides which tries were calls of their own. O(calls) if there are any.
    pub(super) fn settle(&self, calls: &mut [Call]) {
        if self.calls.is_empty() {
            return;
        }
        let mut alike: HashMap<(Option<u32>, Symbol, Symbol), u32> = HashMap::new();
        calls.iter().for_each(|call| *alike.entry(key(call)).or_default() += 1);
        for &(index, attempt) in &self.calls {
            let Some(call) = calls.get_mut(index as usize) else { continue };
            let alone = alike.get(&key(call)) == Some(&1);
            let within = if alone { u16::from(attempt) } else { 1 };
            call.attempts = call.attempts.max(within);
        }
    }
}

fn key(call: &Call) -> (Option<u32>, Symbol, Symbol) {
    (call.parent, call.service, call.operation)
}
