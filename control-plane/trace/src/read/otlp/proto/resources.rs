//! Resources, each looked at once: an exporter sends its own again with every batch, and a batch has but a few spans.

use hashbrown::HashMap;

use super::fields::{Field, Fields};
use super::span;
use crate::read::attributes::Attributes;
use crate::read::context::ReadContext;
use crate::read::found::Reporter;
use crate::read::keys::Keys;

/// Reporters by the bytes of their `Resource`. Labels of one that came again are counted when reading ends: [`Resources::settle`].
#[derive(Default)]
pub(super) struct Resources {
    known: HashMap<Box<[u8]>, Known>,
    bytes: usize,
}

struct Known {
    reporter: Reporter,
    /// How often it came after the first time.
    again: u64,
}

impl Resources {
    /// Most bytes kept: 40 000 resources of the usual length. Beyond them it begins anew.
    const BYTES_MAX: usize = 8 << 20;
    /// What one takes beside its own bytes.
    const ENTRY_BYTES: usize = 64;

    /// Who reports. A resource that is broken says as much as it says up to there.
    pub(super) fn reporter(&mut self, bytes: &[u8], context: &mut ReadContext<'_>) -> Reporter {
        if let Some(known) = self.known.get_mut(bytes) {
            known.again += 1;
            return known.reporter;
        }
        let reporter = Reporter::new(&attributes(bytes, &context.keys), context);
        let taken = bytes.len() + Self::ENTRY_BYTES;
        if self.bytes + taken > Self::BYTES_MAX {
            self.settle(context);
        }
        if taken <= Self::BYTES_MAX {
            self.bytes += taken;
            self.known.insert(bytes.into(), Known { reporter, again: 0 });
        }
        reporter
    }

    /// Counts what is not counted yet, and forgets everything.
    pub(super) fn settle(&mut self, context: &mut ReadContext<'_>) {
        self.bytes = 0;
        for (bytes, Known { reporter, again }) in self.known.drain().filter(|(_, known)| known.again > 0) {
            reporter.hand_on_labels(&attributes(&bytes, &context.keys), again, context);
        }
    }
}

fn attributes<'a>(bytes: &'a [u8], keys: &Keys) -> Attributes<'a> {
    let mut found = Attributes::default();
    for (number, value) in Fields::new(bytes).flatten() {
        if let (1, Field::Bytes(attribute)) = (number, value) {
            span::attribute(attribute, keys, &mut found);
        }
    }
    found
}
