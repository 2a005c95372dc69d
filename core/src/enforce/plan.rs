//! Budgets compiled for lookup, with what is left of each.

use alloc::vec::Vec;

use hashbrown::HashMap;

use super::RefusedBudgets;
use super::decision::HopState;
use crate::budget::lease::Validity;
use crate::budget::token_bucket::{Refill, TokenBucket};
use crate::budget::{
    Alone, Fallback, FallbackBudget, HopBudget, JourneyBudget, Mode, RetryBudget, SuccessPredicate,
    WorkloadBudgets,
};
use crate::entry::{CompiledEntry, Request};
use crate::id::JourneyName;
use crate::units::{Micros, Millis, Ppm};

/// What a workload knows of a journey.
#[derive(Debug)]
pub struct Journey {
    /// Its name.
    pub name: JourneyName,
    /// From the end of the request at the edge to the first byte of a useful answer.
    pub deadline: Millis,
    /// How far decisions go.
    pub mode: Mode,
    /// 0 is shed first.
    pub priority: u8,
    /// Share of traces recorded hop by hop.
    pub record: Ppm,
    entry: Vec<CompiledEntry>,
}

impl Journey {
    pub(super) fn is_entered_by(&self, request: &impl Request) -> bool {
        self.entry.iter().any(|rule| rule.matches(request))
    }

    fn new(at: usize, budget: &JourneyBudget) -> Result<Self, RefusedBudgets> {
        let compile = |(rule, entry)| {
            CompiledEntry::new(entry).map_err(|source| RefusedBudgets::Entry { journey: at, rule, source })
        };
        Ok(Self {
            name: budget.journey.clone(),
            deadline: budget.deadline,
            mode: budget.mode,
            priority: budget.priority,
            record: budget.record,
            entry: budget.entry.iter().enumerate().map(compile).collect::<Result<_, _>>()?,
        })
    }
}

/// A hop resolved once; out of date when the plan changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HopRef {
    revision: u32,
    /// `None`: no budget.
    index: Option<u32>,
}

impl HopRef {
    /// Whether the hop has a budget.
    pub const fn has_budget(self) -> bool {
        self.index.is_some()
    }
}

/// One hop's budget and what is left of it.
#[derive(Debug)]
pub(super) struct Hop {
    /// The lower of the hop's and the journey's.
    pub(super) mode: Mode,
    pub(super) journey_deadline: Millis,
    pub(super) timeout: Option<Millis>,
    pub(super) per_try_timeout: Option<Millis>,
    pub(super) reserve: Millis,
    pub(super) useful_min: Millis,
    pub(super) alone: Option<Alone>,
    pub(super) without_context: bool,
    pub(super) stream: bool,
    pub(super) fallback: Option<Fallback>,
    pub(super) success: SuccessPredicate,
    pub(super) retry: Option<Retries>,
    /// Of a degraded fallback.
    fallbacks: Option<TokenBucket>,
}

/// Retries are seen only after they were made, so what is spent beyond the tokens is owed and paid from later deposits before any
/// retry is allowed again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retries {
    budget: RetryBudget,
    bucket: TokenBucket,
    owed: u32,
}

impl Hop {
    fn new(budget: &HopBudget, journey: &Journey, workers: u32, before: Option<&Self>, now: Micros) -> Self {
        let fallback_budget = budget.fallback.as_ref().and_then(|fallback| fallback.budget);
        Self {
            mode: budget.mode.min(journey.mode),
            journey_deadline: journey.deadline,
            timeout: budget.timeout,
            per_try_timeout: budget.per_try_timeout,
            reserve: budget.reserve,
            useful_min: budget.useful_min,
            alone: budget.alone,
            without_context: budget.without_context,
            stream: budget.stream,
            fallback: budget.fallback.clone(),
            success: budget.success.clone(),
            retry: budget
                .retry
                .map(|retry| Retries::new(retry, workers, before.and_then(|hop| hop.retry), now)),
            fallbacks: fallback_budget.map(|budget| {
                let before = before.and_then(|hop| hop.fallbacks);
                bucket(refill_of_fallbacks(budget, workers), before, now)
            }),
        }
    }

    pub(super) fn deposit(&mut self, now: Micros) {
        if let Some(bucket) = &mut self.fallbacks {
            bucket.on_request(now);
        }
        if let Some(retry) = &mut self.retry {
            retry.deposit(now);
        }
    }

    fn share_among(&mut self, workers: u32) {
        let budget = self.fallback.as_ref().and_then(|fallback| fallback.budget);
        if let (Some(bucket), Some(budget)) = (&mut self.fallbacks, budget) {
            bucket.reconfigure(refill_of_fallbacks(budget, workers));
        }
        if let Some(retry) = &mut self.retry {
            retry.bucket.reconfigure(refill_of_retries(retry.budget, workers));
        }
    }

    pub(super) fn state(&self, validity: Validity) -> HopState {
        let spent = self.fallbacks.is_some_and(|bucket| !bucket.has_token()) || self.denies_retries();
        match validity {
            Validity::Held | Validity::Released => HopState::Stale,
            Validity::Fresh if spent => HopState::Exhausted,
            Validity::Fresh => HopState::Fresh,
        }
    }

    pub(super) fn denies_retries(&self) -> bool {
        // Debts are paid first: while a token is left, nothing is owed.
        self.retry.is_some_and(|retry| !retry.bucket.has_token())
    }

    pub(super) fn max_retries(&self) -> Option<u32> {
        self.retry.map(|retry| retry.budget.max_retries).filter(|&max| max > 0)
    }

    /// An equal alternate is free.
    pub(super) fn pay_fallback(&mut self) -> bool {
        self.fallbacks.as_mut().is_none_or(TokenBucket::try_take)
    }

    /// Whether [`Hop::pay_fallback`] would succeed.
    pub(super) fn could_pay_fallback(&self) -> bool {
        self.fallbacks.is_none_or(|bucket| bucket.has_token())
    }

    pub(super) fn refund_fallback(&mut self) {
        if let Some(bucket) = &mut self.fallbacks {
            bucket.give_back();
        }
    }

    pub(super) fn owe_retries(&mut self, retries: u32) {
        if let Some(retry) = &mut self.retry {
            retry.owed = retry.owed.saturating_add(retries);
            retry.pay();
        }
    }
}

impl Retries {
    fn new(budget: RetryBudget, workers: u32, before: Option<Self>, now: Micros) -> Self {
        let bucket = bucket(refill_of_retries(budget, workers), before.map(|retry| retry.bucket), now);
        Self { budget, bucket, owed: before.map_or(0, |retry| retry.owed) }
    }

    fn deposit(&mut self, now: Micros) {
        self.bucket.on_request(now);
        self.pay();
    }

    /// Bounded by the burst: a token a turn.
    fn pay(&mut self) {
        while self.owed > 0 && self.bucket.try_take() {
            self.owed -= 1;
        }
    }
}

/// A worker's part: its share of requests is its own, but what does not depend on requests is divided. At least one token, so that
/// with more workers than tokens the burst is a little more than what was asked for. It bounds what may hide an outage: rounded down.
fn refill_of_fallbacks(budget: FallbackBudget, workers: u32) -> Refill {
    Refill { share: budget.share, floor_milli_per_s: 0, burst: (budget.burst / workers.max(1)).max(1) }
}

/// What a quiet hop is promised is rounded up, never to nothing: the parts of `n` workers sum to at least the whole and to less than
/// `n` more.
fn refill_of_retries(budget: RetryBudget, workers: u32) -> Refill {
    Refill {
        share: budget.ratio,
        floor_milli_per_s: part(budget.floor_milli_per_s, workers),
        burst: part(budget.burst, workers),
    }
}

fn part(whole: u32, workers: u32) -> u32 {
    whole.div_ceil(workers.max(1))
}

fn bucket(refill: Refill, before: Option<TokenBucket>, now: Micros) -> TokenBucket {
    match before {
        Some(mut bucket) => {
            bucket.reconfigure(refill);
            bucket
        }
        None => TokenBucket::new(refill, now),
    }
}

/// Everything under one generation.
#[derive(Debug, Default)]
pub(super) struct Plan {
    revision: u32,
    journeys: Vec<Journey>,
    hops: Vec<Hop>,
    /// Keys are bytes, as in the filter's other tables: one kind of table, one copy of its code in the module.
    index: HashMap<Vec<u8>, u32>,
    operations: bool,
}

impl Plan {
    /// The next plan; hops known to this one keep what is left of their budgets.
    pub(super) fn succeed(
        &self,
        budgets: &WorkloadBudgets,
        workers: u32,
        now: Micros,
    ) -> Result<Self, RefusedBudgets> {
        let journeys = budgets.journeys.iter().enumerate();
        let mut next = Self {
            revision: self.revision.wrapping_add(1),
            journeys: journeys.map(|(at, journey)| Journey::new(at, journey)).collect::<Result<_, _>>()?,
            ..Self::default()
        };
        for (at, budget) in budgets.hops.iter().enumerate() {
            let name = budget.journey.as_str();
            let journey = next.journey(name).ok_or(RefusedBudgets::UnknownJourney { hop: at })?;
            let key = key(name, &budget.destination, &budget.operation);
            let before = self.index.get(&key).and_then(|&index| self.hops.get(index as usize));
            let hop = Hop::new(budget, journey, workers, before, now);
            next.index.insert(key, u32::try_from(next.hops.len()).unwrap_or(u32::MAX));
            next.hops.push(hop);
            next.operations |= !budget.operation.is_empty();
        }
        Ok(next)
    }

    pub(super) fn share_among(&mut self, workers: u32) {
        self.hops.iter_mut().for_each(|hop| hop.share_among(workers));
    }

    pub(super) fn journeys(&self) -> &[Journey] {
        &self.journeys
    }

    pub(super) fn journey(&self, name: &str) -> Option<&Journey> {
        self.journeys.iter().find(|journey| journey.name.as_str() == name)
    }

    pub(super) fn resolve(&self, journey: &str, destination: &str, operation: &str) -> HopRef {
        let find = |operation| self.index.get(&key(journey, destination, operation)).copied();
        let own = if operation.is_empty() { None } else { find(operation) };
        HopRef { revision: self.revision, index: own.or_else(|| find("")) }
    }

    /// The hop that takes calls without context: that of the only journey that says so.
    pub(super) fn resolve_without_context(&self, destination: &str, operation: &str) -> HopRef {
        let names = self.journeys.iter().map(|journey| journey.name.as_str());
        let resolved = names.map(|name| self.resolve(name, destination, operation));
        let mut taking = resolved.filter(|&hop| self.hop(hop).is_some_and(|hop| hop.without_context));
        let alone = taking.next().filter(|_| taking.next().is_none());
        alone.unwrap_or(HopRef { revision: self.revision, index: None })
    }

    pub(super) const fn tells_operations_apart(&self) -> bool {
        self.operations
    }

    pub(super) fn is_current(&self, hop: HopRef) -> bool {
        hop.revision == self.revision
    }

    pub(super) fn hop(&self, hop: HopRef) -> Option<&Hop> {
        hop.index.filter(|_| self.is_current(hop)).and_then(|index| self.hops.get(index as usize))
    }

    pub(super) fn hop_mut(&mut self, hop: HopRef) -> Option<&mut Hop> {
        let current = self.is_current(hop);
        hop.index.filter(|_| current).and_then(|index| self.hops.get_mut(index as usize))
    }
}

/// A zero byte occurs in none of the parts that matter, so keys cannot be confused.
fn key(journey: &str, destination: &str, operation: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(journey.len() + destination.len() + operation.len() + 2);
    for part in [journey, "\0", destination, "\0", operation] {
        key.extend_from_slice(part.as_bytes());
    }
    key
}
