//! The true structure of a journey: the language's operators, and what the language leaves open.
//!
//! A [`Step`] is what a service does after its own work. Its meaning as an expression is [`Step::expr`]; how it really runs (who waits for
//! whom, what happens to losers) is the business of [`execute`](super::execute), which knows nothing of inference.

use emac_core::journey::{Alternative, Choice, ComponentName, Expr, Join, Probability};
use emac_core::units::{Millis, Ratio};

use super::service::{Service, ServiceId};

/// A call, and what the callee does with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Who is called.
    pub service: ServiceId,
    /// What it does after its own work; `None`: nothing more.
    pub body: Option<Box<Step>>,
}

/// What becomes of calls whose answers are not needed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Losers {
    /// Nobody stops them.
    LeftRunning,
    /// The caller hangs up; the callee works on.
    HungUp,
    /// The caller hangs up, and so does the callee on its own calls, all the way down.
    Cancelled,
}

/// What a service does after its own work.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Calls a service.
    Call(Call),
    /// One after the other, up to the first failure.
    Series(Vec<Self>),
    /// At the same time.
    Parallel {
        /// How many must succeed.
        join: Join,
        /// Mean time from one's start to the next one's, nanoseconds: what makes truly parallel calls overlap seldom.
        spread_ns: f64,
        /// Returns when the outcome is known, not when everybody has answered.
        fail_fast: bool,
        /// What becomes of those it does not wait for.
        losers: Losers,
        /// At least two.
        branches: Vec<Self>,
    },
    /// The first good answer wins.
    Race {
        /// The n-th starts n delays after the first unless an answer came; zero: all at once.
        delay: Millis,
        /// What becomes of the others.
        losers: Losers,
        /// At least two.
        branches: Vec<Self>,
    },
    /// The next one when the one before has failed; at least two.
    Fallback(Vec<Self>),
    /// One of the choices.
    Branch {
        /// Number within the journey, under which a [`Run`](super::execute::Run) counts what was chosen.
        id: usize,
        /// Probability and what happens; `None`: nothing.
        choices: Vec<(f64, Option<Self>)>,
    },
    /// Again after a failure.
    Retry {
        /// Tries in all.
        attempts: u32,
        /// Pause before the next try, nanoseconds.
        backoff_ns: f64,
        /// What is tried.
        body: Box<Self>,
    },
    /// The same several times.
    Repeat {
        /// How often.
        count: u32,
        /// What.
        body: Box<Self>,
    },
    /// Started and not waited for.
    Async {
        /// Through a queue (producer and consumer), not as a request.
        message: bool,
        /// What.
        body: Box<Self>,
    },
    /// Given up after a while.
    Timeout {
        /// How long.
        after: Millis,
        /// What becomes of what is given up.
        losers: Losers,
        /// What.
        body: Box<Self>,
    },
}

impl Call {
    /// The callee's own leaf, then its calls.
    pub fn expr(&self, services: &[Service]) -> Expr {
        let own = Expr::Leaf(name(&services[self.service]));
        match &self.body {
            None => own,
            Some(body) => Expr::Series(vec![own.clone(), body.expr(services, &own)]),
        }
    }
}

impl Step {
    /// A call of a service that calls nobody.
    pub const fn call(service: ServiceId) -> Self {
        Self::Call(Call { service, body: None })
    }

    /// As an expression. `caller` stands for a choice in which nothing happens: whoever calls nobody is only itself, and a component that
    /// occurs twice is one event.
    pub fn expr(&self, services: &[Service], caller: &Expr) -> Expr {
        let all = |steps: &[Self]| steps.iter().map(|step| step.expr(services, caller)).collect::<Vec<_>>();
        let one = |step: &Self| Box::new(step.expr(services, caller));
        match self {
            Self::Call(call) => call.expr(services),
            Self::Series(steps) => Expr::Series(all(steps)),
            Self::Parallel { join, branches, .. } => Expr::Parallel { join: *join, branches: all(branches) },
            Self::Race { delay, branches, .. } => Expr::Race { delay: *delay, branches: all(branches) },
            Self::Fallback(steps) => fallback(all(steps)),
            Self::Branch { choices, .. } => {
                let expr = |step: &Option<Self>| step.as_ref().map_or_else(|| caller.clone(), |s| *one(s));
                Expr::Branch(choices.iter().map(|(p, step)| choice(*p, expr(step))).collect())
            }
            Self::Retry { attempts, body, .. } => {
                Expr::Retry { attempts: *attempts, per_try_timeout: None, body: one(body) }
            }
            Self::Repeat { count, body } => Expr::Repeat { count: *count, body: one(body) },
            Self::Async { body, .. } => Expr::Async(one(body)),
            Self::Timeout { after, body, .. } => Expr::Timeout { after: *after, body: one(body) },
        }
    }

    /// Direct operands.
    pub fn children(&self) -> Vec<&Self> {
        match self {
            Self::Call(_) => Vec::new(),
            Self::Series(all) | Self::Fallback(all) => all.iter().collect(),
            Self::Parallel { branches, .. } | Self::Race { branches, .. } => branches.iter().collect(),
            Self::Branch { choices, .. } => choices.iter().filter_map(|(_, step)| step.as_ref()).collect(),
            Self::Retry { body, .. }
            | Self::Repeat { body, .. }
            | Self::Async { body, .. }
            | Self::Timeout { body, .. } => vec![body],
        }
    }

    /// Direct operands, to be changed.
    pub(super) fn children_mut(&mut self) -> Vec<&mut Self> {
        match self {
            Self::Call(_) => Vec::new(),
            Self::Series(all) | Self::Fallback(all) => all.iter_mut().collect(),
            Self::Parallel { branches, .. } | Self::Race { branches, .. } => branches.iter_mut().collect(),
            Self::Branch { choices, .. } => {
                choices.iter_mut().filter_map(|(_, step)| step.as_mut()).collect()
            }
            Self::Retry { body, .. }
            | Self::Repeat { body, .. }
            | Self::Async { body, .. }
            | Self::Timeout { body, .. } => vec![body],
        }
    }

    /// Calls that the service itself makes, in reading order.
    pub fn calls(&self) -> Vec<&Call> {
        match self {
            Self::Call(call) => vec![call],
            other => other.children().into_iter().flat_map(Self::calls).collect(),
        }
    }
}

fn name(service: &Service) -> ComponentName {
    ComponentName::new(&service.name).unwrap_or_else(|error| unreachable!("{error}"))
}

fn choice(p: f64, expr: Expr) -> Choice {
    Choice { probability: Probability::exactly(Ratio::new(p).unwrap_or(Ratio::ZERO)), expr }
}

fn fallback(mut steps: Vec<Expr>) -> Expr {
    let rest = steps.split_off(1);
    let alternates = rest.into_iter().map(|expr| Alternative { weight: Ratio::ONE, expr }).collect();
    let primary = steps.pop().unwrap_or_else(|| unreachable!("a fallback has a primary"));
    Expr::Fallback { primary: Box::new(primary), alternates }
}
