//! Grows the true structure of journeys at random, out of a pool of services.
//!
//! Each service stands in a journey once: two calls of one service are one event, which is a different question (`shared` lets
//! *journeys* share services). What may stand in for others fails often enough to be seen doing so.

use emac_core::journey::Join;
use emac_core::units::Millis;

use super::draw::Draw;
use super::service::{Service, ServiceId};
use super::settings::{Operators, Settings};
use super::step::{Call, Losers, Step};
use super::tune::UNTUNED;

/// Grows one journey after the other.
pub(super) struct Grower<'a> {
    settings: &'a Settings,
    draw: Draw,
    /// All services so far; leaves of journeys grown so far may be shared.
    pub(super) services: Vec<Service>,
    leaves: Vec<ServiceId>,
    /// Of the journey that is being grown.
    members: Vec<ServiceId>,
    branches: usize,
    /// Inside a race nothing is async.
    races: usize,
}

/// An operator to be grown.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Call,
    Parallel,
    AtLeast,
    Race,
    Hedge,
    Fallback,
    FallbackAfterTimeout,
    Branch,
    Optional,
    Retry,
    Repeat,
    Forget,
    Message,
    Timeout,
}

impl Kind {
    const UNARY: [Self; 2] = [Self::Retry, Self::Repeat];

    fn weights(operators: &Operators) -> [(Self, f64); 14] {
        [
            (Self::Call, operators.call),
            (Self::Parallel, operators.parallel),
            (Self::AtLeast, operators.at_least),
            (Self::Race, operators.race),
            (Self::Hedge, operators.hedge),
            (Self::Fallback, operators.fallback),
            (Self::FallbackAfterTimeout, operators.fallback_after_timeout),
            (Self::Branch, operators.branch),
            (Self::Optional, operators.optional),
            (Self::Retry, operators.retry),
            (Self::Repeat, operators.repeat),
            (Self::Forget, operators.forget),
            (Self::Message, operators.message),
            (Self::Timeout, operators.timeout),
        ]
    }

    /// Fewest and most operands.
    const fn operands(self) -> (usize, usize) {
        match self {
            Self::Parallel => (2, 4),
            Self::AtLeast => (3, 4),
            Self::Race | Self::Hedge | Self::Fallback | Self::Branch => (2, 3),
            Self::FallbackAfterTimeout => (2, 2),
            _ => (1, 1),
        }
    }

    /// Most services beside one for each operand. Choices are small beside what they share: two large halves that are never together are
    /// two journeys, as far as anybody can tell.
    const fn more(self) -> usize {
        if matches!(self, Self::Branch | Self::Optional) { 1 } else { 6 }
    }

    /// Its answers may be replaced by others'.
    const fn stands_in(self) -> bool {
        matches!(
            self,
            Self::AtLeast
                | Self::Race
                | Self::Hedge
                | Self::Fallback
                | Self::FallbackAfterTimeout
                | Self::Retry
        )
    }

    const fn is_async(self) -> bool {
        matches!(self, Self::Forget | Self::Message)
    }
}

impl<'a> Grower<'a> {
    pub(super) fn new(settings: &'a Settings) -> Self {
        Self {
            settings,
            draw: Draw::new(settings.seed, "grow", 0),
            services: Vec::new(),
            leaves: Vec::new(),
            members: Vec::new(),
            branches: 0,
            races: 0,
        }
    }

    /// A service that is nobody's callee.
    pub(super) fn root(&mut self) -> ServiceId {
        let id = self.services.len();
        let mut service = Service::new(id, &mut self.draw);
        service.name = format!("front-{id}");
        service.wraps = self.draw.chance(self.settings.signals.internal);
        self.services.push(service);
        id
    }

    /// A journey of `leaves` services, the root included.
    pub(super) fn journey(&mut self, root: ServiceId, leaves: usize) -> Call {
        self.members = vec![root];
        self.branches = 0;
        let body = (leaves > 1).then(|| Box::new(self.body(leaves - 1, self.settings.depth - 1)));
        Call { service: root, body }
    }

    /// Steps over `room` services, at least 1.
    fn body(&mut self, mut room: usize, depth: usize) -> Step {
        let mut steps = Vec::new();
        while room > 0 {
            let (step, used) = self.step(room, depth);
            steps.push(step);
            room -= used;
        }
        match steps.pop() {
            Some(only) if steps.is_empty() => only,
            last => {
                steps.extend(last);
                Step::Series(steps)
            }
        }
    }

    /// One operator over at most `room` services; how many it used.
    fn step(&mut self, room: usize, depth: usize) -> (Step, usize) {
        let kind = self.kind(room);
        let (fewest, most) = kind.operands();
        let operands = fewest + self.draw.below(most.min(room) - fewest + 1);
        // Below the deepest level nobody calls anybody: each operand is one service.
        let more = if depth == 0 { 0 } else { kind.more().min(room - operands) };
        let used = operands + self.draw.below(more + 1);
        self.races += usize::from(matches!(kind, Kind::Race | Kind::Hedge));
        let shares = self.draw.split(used, operands);
        let operands = shares.into_iter().map(|share| self.operand(kind, share, depth)).collect();
        self.races -= usize::from(matches!(kind, Kind::Race | Kind::Hedge));
        (self.operator(kind, operands), used)
    }

    fn kind(&mut self, room: usize) -> Kind {
        let in_race = self.races > 0;
        let allowed = |kind: Kind| kind.operands().0 <= room && !(in_race && kind.is_async());
        let weights = Kind::weights(&self.settings.operators)
            .map(|(kind, weight)| if allowed(kind) { weight } else { 0.0 });
        let at = self.draw.weighted(weights.into_iter());
        Kind::weights(&self.settings.operators)[at].0
    }

    /// A call, or sometimes two in series, or a call that is retried or repeated.
    fn operand(&mut self, of: Kind, share: usize, depth: usize) -> Step {
        let nested = of != Kind::Call && self.draw.chance(self.settings.nested);
        if nested && share > 1 {
            let first = Step::Call(self.call(of, 1, depth));
            return Step::Series(vec![first, Step::Call(self.call(of, share - 1, depth))]);
        }
        let unary = Kind::UNARY[self.draw.below(2)];
        let allowed = Kind::weights(&self.settings.operators).iter().any(|(k, w)| *k == unary && *w > 0.0);
        if nested && allowed && of.operands().0 > 1 && !of.stands_in() {
            let call = Step::Call(self.call(unary, share, depth));
            return self.operator(unary, vec![call]);
        }
        Step::Call(self.call(of, share, depth))
    }

    /// A call of a service that, with those it calls, is `share` services.
    fn call(&mut self, of: Kind, share: usize, depth: usize) -> Call {
        let service = self.service(of, share == 1);
        let body = (share > 1 && depth > 0).then(|| Box::new(self.body(share - 1, depth - 1)));
        Call { service, body }
    }

    fn service(&mut self, of: Kind, leaf: bool) -> ServiceId {
        let shared = leaf && !of.stands_in() && !of.is_async() && self.draw.chance(self.settings.shared);
        let known = shared && !self.leaves.is_empty();
        let id = if known { self.leaves[self.draw.below(self.leaves.len())] } else { self.fresh(of, leaf) };
        let id = if self.members.contains(&id) { self.fresh(of, leaf) } else { id };
        self.members.push(id);
        id
    }

    fn fresh(&mut self, of: Kind, leaf: bool) -> ServiceId {
        let id = self.services.len();
        let mut service = Service::new(id, &mut self.draw);
        service.database = leaf && !of.is_async() && self.draw.chance(self.settings.signals.databases);
        service.wraps = !leaf && self.draw.chance(self.settings.signals.internal);
        if of.stands_in() {
            service.make_flaky(&mut self.draw);
        }
        self.services.push(service);
        if leaf && !of.stands_in() && !of.is_async() {
            self.leaves.push(id);
        }
        id
    }

    fn losers(&mut self) -> Losers {
        [Losers::LeftRunning, Losers::HungUp, Losers::Cancelled][self.draw.below(3)]
    }

    fn operator(&mut self, kind: Kind, mut operands: Vec<Step>) -> Step {
        let losers = self.losers();
        match kind {
            Kind::Call => operands.swap_remove(0),
            Kind::Parallel => self.parallel(Join::All, losers, operands),
            Kind::AtLeast => {
                let k = 2 + self.draw.below(operands.len() - 2) as u32;
                self.parallel(Join::AtLeast(k), losers, operands)
            }
            Kind::Race => Step::Race { delay: Millis(0), losers, branches: operands },
            Kind::Hedge => Step::Race { delay: UNTUNED, losers, branches: operands },
            Kind::Fallback => Step::Fallback(operands),
            Kind::FallbackAfterTimeout => {
                let primary = Box::new(operands.remove(0));
                operands.insert(0, Step::Timeout { after: UNTUNED, losers, body: primary });
                Step::Fallback(operands)
            }
            Kind::Branch | Kind::Optional => self.branch(operands),
            _ => self.unary(kind, losers, Box::new(operands.swap_remove(0))),
        }
    }

    fn unary(&mut self, kind: Kind, losers: Losers, body: Box<Step>) -> Step {
        match kind {
            Kind::Repeat => Step::Repeat { count: 2 + self.draw.below(3) as u32, body },
            Kind::Forget => Step::Async { message: false, body },
            Kind::Message => Step::Async { message: true, body },
            Kind::Timeout => Step::Timeout { after: UNTUNED, losers, body },
            _ => {
                let attempts = 2 + self.draw.below(2) as u32;
                Step::Retry { attempts, backoff_ns: self.draw.between(1e6, 2e7), body }
            }
        }
    }

    fn parallel(&mut self, join: Join, losers: Losers, branches: Vec<Step>) -> Step {
        // From an event loop's microseconds to threads that start when they can.
        let spread_ns = self.draw.lognormal(3e5, 1.2).min(6e6);
        Step::Parallel { join, spread_ns, fail_fast: self.draw.chance(0.5), losers, branches }
    }

    fn branch(&mut self, operands: Vec<Step>) -> Step {
        let id = self.branches;
        self.branches += 1;
        let mut choices: Vec<_> = operands.into_iter().map(|step| (0.0, Some(step))).collect();
        if choices.len() == 1 {
            choices.push((0.0, None));
        }
        let weights: Vec<f64> = choices.iter().map(|_| self.draw.between(0.2, 1.0)).collect();
        let sum: f64 = weights.iter().sum();
        let mut left = 1.0;
        // Whole percents, so that they add up to 1 as the language asks.
        for (choice, weight) in choices.iter_mut().zip(&weights).skip(1) {
            choice.0 = (100.0 * weight / sum).round().max(1.0) / 100.0;
            left -= choice.0;
        }
        choices[0].0 = (left * 100.0).round() / 100.0;
        Step::Branch { id, choices }
    }
}
