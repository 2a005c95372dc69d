//! Which requests a filter of this VM has in hand: a mark on the stream that other filters, and later passes, see.
//!
//! A chain can hold two filters of EmaC (a plugin for a namespace and one for its gateway); the second steps aside. An internal redirect
//! sends one request through the chain twice; the second pass goes on with the first's time. The two look alike but for whether the first
//! is over, which only the VM that made the mark knows.

use emac_core::units::Micros;

use super::name::Name;
use crate::host::{Host, taken};

/// The property, in the state of the request.
const MARK: &str = "emac";

/// How a request comes to a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// For the first time.
    First,
    /// Again; it began then.
    Again(Micros),
    /// While another filter has it in hand.
    Second,
}

/// The requests in hand: places that are used again and again, each counting its users.
#[derive(Debug, Default)]
pub(crate) struct Passes {
    /// Odd: in use.
    uses: Vec<u32>,
    free: Vec<u32>,
}

/// A place and its use, until [`Passes::leave`].
pub(crate) type Number = (u32, u32);

impl Passes {
    /// Marks outlive an internal redirect only if they are declared so; once a VM.
    pub(crate) fn configure(host: &dyn Host) {
        host.keep_property(MARK);
    }

    /// Takes a request in hand, unless another filter has it.
    pub(crate) fn enter(&mut self, host: &dyn Host, name: Name, now: Micros) -> (Pass, Option<Number>) {
        let pass = self.look(host, name);
        if pass == Pass::Second {
            return (pass, None);
        }
        let number = self.take();
        let start = if let Pass::Again(start) = pass { start } else { now };
        let mut mark = Vec::with_capacity(32);
        mark.extend_from_slice(&name.to_bytes());
        mark.extend_from_slice(&number.0.to_le_bytes());
        mark.extend_from_slice(&number.1.to_le_bytes());
        mark.extend_from_slice(&start.0.to_le_bytes());
        host.set_property(MARK, &mark);
        (pass, Some(number))
    }

    /// This pass is over.
    pub(crate) fn leave(&mut self, (place, _): Number) {
        if let Some(uses) = self.uses.get_mut(place as usize) {
            *uses = uses.wrapping_add(1);
            self.free.push(place);
        }
    }

    fn take(&mut self) -> Number {
        let place = self.free.pop().unwrap_or_else(|| {
            self.uses.push(0);
            u32::try_from(self.uses.len() - 1).unwrap_or(u32::MAX)
        });
        let uses = self.uses.get_mut(place as usize);
        let used = uses.map_or(1, |uses| {
            *uses = uses.wrapping_add(1);
            *uses
        });
        (place, used)
    }

    fn look(&self, host: &dyn Host, name: Name) -> Pass {
        taken(|read| host.property(&[MARK], read), |mark| self.read(mark, name)).unwrap_or(Pass::First)
    }

    fn read(&self, mark: &[u8], name: Name) -> Pass {
        let part = |at: usize| mark.get(at..)?.first_chunk().copied().map(u32::from_le_bytes);
        let start = mark.get(24..).and_then(<[u8]>::first_chunk).copied().map(u64::from_le_bytes);
        let (Some(vm), Some(place), Some(used), Some(start)) = (mark.get(..16), part(16), part(20), start)
        else {
            return Pass::First;
        };
        let open = self.uses.get(place as usize) == Some(&used);
        // Of another VM's passes nothing is known; two filters in one chain are the usual reason to meet them.
        if vm != name.to_bytes() || open { Pass::Second } else { Pass::Again(Micros(start)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fake;

    #[test]
    fn a_second_filter_is_told_from_a_second_pass() {
        let host = Fake::default();
        let (mut ours, mut theirs) = (Name::default(), Name::default());
        ours.draw(&host);
        theirs.draw(&host);
        let (mut passes, mut others) = (Passes::default(), Passes::default());
        let (first, number) = passes.enter(&host, ours, Micros(5));
        assert_eq!(first, Pass::First);
        assert_eq!(passes.enter(&host, ours, Micros(6)), (Pass::Second, None), "the same VM");
        assert_eq!(others.enter(&host, theirs, Micros(6)), (Pass::Second, None), "another VM");
        passes.leave(number.unwrap());
        let (again, number) = passes.enter(&host, ours, Micros(90));
        assert_eq!(again, Pass::Again(Micros(5)), "redirected");
        passes.leave(number.unwrap());
        assert_eq!(passes.enter(&host, ours, Micros(95)).0, Pass::Again(Micros(5)));
        let next = host.sibling();
        assert_eq!(passes.enter(&next, ours, Micros(95)).0, Pass::First, "another request");
    }
}
