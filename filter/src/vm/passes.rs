//! Which requests a filter of this VM has in hand: a mark on the stream that other filters, and later passes, see.
//!
//! A chain can hold two filters of EmaC (a plugin for a namespace and one for its gateway); the second steps aside. An internal redirect
//! sends one request through the chain twice; the second pass goes on with the first's time. The two look alike but for whether the first
//! is over, which only the VM that made the mark knows.
//!
//! Looking for marks and making them costs as much as anything else that is done to a request, and what is found changes only with the
//! configuration of listeners. So it is done for a thousand requests after a plugin was configured, after a second filter showed itself and after
//! a redirect; else for a few together now and then, among which a filter of the same VM that came without a configuration of its own is
//! seen, while one of another VM looks as it begins.

use emac_core::units::Micros;

use super::name::Name;
use crate::host::{Host, is_there, taken};

/// The property, in the state of the request.
pub const MARK: &str = "emac";
/// By which a second filter of another VM shows itself to the first.
const SECOND: &str = "emac.second";
/// Requests that are looked at after something new was seen: more than one period, so that a filter that begins sees the marks of one that
/// looks only now and then.
const NEWS: u32 = 1_024;
/// So often some requests are looked at where there are no news, and so many: in one chain the two filters of a VM come one after the other.
const PERIOD: u32 = 512;
const TOGETHER: u32 = 8;

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
#[derive(Debug)]
pub(crate) struct Passes {
    /// Odd: in use.
    uses: Vec<u32>,
    free: Vec<u32>,
    /// Requests still to be looked at.
    news: u32,
    /// Requests that came.
    came: u32,
}

impl Default for Passes {
    fn default() -> Self {
        Self { uses: Vec::new(), free: Vec::new(), news: NEWS, came: 0 }
    }
}

/// A place and its use, until [`Passes::leave`].
pub(crate) type Number = (u32, u32);

impl Passes {
    /// A plugin is configured: chains may be others. Marks outlive an internal redirect only if they are declared so; once a VM.
    pub(crate) fn configure(&mut self, host: &dyn Host) {
        host.keep_property(MARK);
        self.news = NEWS;
    }

    /// Takes a request in hand, unless another filter is seen to have it. The number is that of its mark, if it has one.
    pub(crate) fn enter(&mut self, host: &dyn Host, name: Name, now: Micros) -> (Pass, Option<Number>) {
        if !self.looks() {
            return (Pass::First, None);
        }
        let pass = self.look(host, name);
        match pass {
            Pass::First => {}
            Pass::Again(_) => self.news = NEWS,
            Pass::Second => {
                self.news = NEWS;
                host.set_property(SECOND, b"1");
                return (pass, None);
            }
        }
        let number = self.take();
        mark(host, name, number, if let Pass::Again(start) = pass { start } else { now });
        (pass, Some(number))
    }

    /// This pass is over.
    pub(crate) fn leave(&mut self, host: &dyn Host, number: Number) {
        self.give_back(number);
        if is_there(|read| host.property(&[SECOND], read)) {
            self.news = NEWS;
        }
    }

    /// This pass is over, and another of the same request, which began at `start`, follows at once.
    pub(crate) fn hand_over(&mut self, host: &dyn Host, name: Name, start: Micros) {
        let number = self.take();
        self.give_back(number);
        mark(host, name, number, start);
        self.news = NEWS;
    }

    fn looks(&mut self) -> bool {
        self.came = self.came.wrapping_add(1);
        let looks = self.news > 0 || self.came % PERIOD < TOGETHER;
        self.news = self.news.saturating_sub(1);
        looks
    }

    fn give_back(&mut self, (place, _): Number) {
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

fn mark(host: &dyn Host, name: Name, number: Number, start: Micros) {
    let mut mark = Vec::with_capacity(32);
    mark.extend_from_slice(&name.to_bytes());
    mark.extend_from_slice(&number.0.to_le_bytes());
    mark.extend_from_slice(&number.1.to_le_bytes());
    mark.extend_from_slice(&start.0.to_le_bytes());
    host.set_property(MARK, &mark);
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
        passes.leave(&host, number.unwrap());
        let (again, number) = passes.enter(&host, ours, Micros(90));
        assert_eq!(again, Pass::Again(Micros(5)), "redirected");
        passes.leave(&host, number.unwrap());
        assert_eq!(passes.enter(&host, ours, Micros(95)).0, Pass::Again(Micros(5)));
        let next = host.sibling();
        assert_eq!(passes.enter(&next, ours, Micros(95)).0, Pass::First, "another request");
    }

    /// Requests that end at once, each with a state of its own; how many of them the second of two filters saw.
    fn chain(first: &mut Passes, mut second: Option<(&mut Passes, Name)>, ours: Name, requests: u32) -> u32 {
        let seen = (0..requests).filter(|_| {
            let request = Fake::default();
            let (pass, number) = first.enter(&request, ours, Micros(5));
            assert_eq!(pass, Pass::First);
            let next = second.as_mut().map(|(second, name)| second.enter(&request, *name, Micros(5)));
            number.into_iter().for_each(|number| first.leave(&request, number));
            let (pass, number) = next.unwrap_or((Pass::First, None));
            if let (Some((second, _)), Some(number)) = (second.as_mut(), number) {
                second.leave(&request, number);
            }
            pass == Pass::Second
        });
        u32::try_from(seen.count()).unwrap()
    }

    #[test]
    fn a_filter_that_is_alone_soon_asks_nothing_and_learns_of_another() {
        let host = Fake::default();
        let (mut ours, mut theirs) = (Name::default(), Name::default());
        ours.draw(&host);
        theirs.draw(&host);
        let mut passes = Passes::default();
        chain(&mut passes, None, ours, 3 * NEWS);
        assert!(passes.news == 0 && passes.free.len() == 1);
        let mut asked = (0..PERIOD).filter(|_| passes.looks());
        assert_eq!(asked.by_ref().count(), TOGETHER as usize);
        // Another VM begins behind it: found within one period, and from then on always.
        let mut others = Passes::default();
        let found = chain(&mut passes, Some((&mut others, theirs)), ours, PERIOD);
        assert!((1..=PERIOD).contains(&found), "{found}");
        assert_eq!(chain(&mut passes, Some((&mut others, theirs)), ours, 9 * NEWS), 9 * NEWS);
    }

    #[test]
    fn a_redirect_is_one_request_also_where_nobody_looks() {
        let host = Fake::default();
        let mut ours = Name::default();
        ours.draw(&host);
        let mut passes = Passes::default();
        chain(&mut passes, None, ours, 3 * NEWS + TOGETHER);
        let (first, number) = passes.enter(&host, ours, Micros(5));
        assert_eq!((first, number), (Pass::First, None));
        passes.hand_over(&host, ours, Micros(5));
        assert_eq!(passes.enter(&host, ours, Micros(90)).0, Pass::Again(Micros(5)));
    }
}
