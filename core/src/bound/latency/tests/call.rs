//! What happens when every call's fate is known: the slow exact twin of the bands.

use std::prelude::v1::*;
use std::vec;

use crate::bound::View;
use crate::journey::{ComponentName, Expr, Join};
use crate::units::Micros;

/// How a call or a part of the journey went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::bound) enum Went {
    /// Answered well after so long.
    Well(u64),
    /// Failed after so long; `None`: it never ends.
    Badly(Option<u64>),
}

/// Which call: component, operands on the way to it, tries on the way to it.
pub(in crate::bound) type Call<'a> = (&'a ComponentName, Vec<usize>);

/// Gives each call its fate.
pub(in crate::bound) struct World<'a> {
    pub(in crate::bound) fate: &'a mut dyn FnMut(Call<'_>) -> Mixed,
    pub(in crate::bound) lean: f64,
    pub(in crate::bound) view: View,
}

/// What may happen, with its probability, independently of all other draws.
pub(in crate::bound) type Mixed = Vec<(f64, Went)>;

impl World<'_> {
    /// What happens, with the probabilities of the draws that are independent of everything: branches, and whether a degraded answer
    /// is accepted.
    pub(in crate::bound) fn play(&mut self, expr: &Expr, place: &[usize]) -> Mixed {
        let at = |i: usize| place.iter().copied().chain([i]).collect::<Vec<_>>();
        match expr {
            Expr::Leaf(name) => (self.fate)((name, place.to_vec())),
            Expr::Series(steps) => {
                let parts: Vec<(&Expr, Vec<usize>)> =
                    steps.iter().enumerate().map(|(i, e)| (e, at(i))).collect();
                self.sequence(&parts)
            }
            Expr::Repeat { count, body } => {
                let parts: Vec<(&Expr, Vec<usize>)> =
                    (0..*count).map(|i| (&**body, at(i as usize))).collect();
                self.sequence(&parts)
            }
            Expr::Parallel { join, branches } => {
                let k = match join {
                    Join::All => branches.len(),
                    Join::AtLeast(k) => *k as usize,
                };
                let parts: Vec<Mixed> =
                    branches.iter().enumerate().map(|(i, e)| self.play(e, &at(i))).collect();
                product(&parts, &|all| at_least(k, all))
            }
            Expr::Race { delay, branches } => {
                let late = |i: usize, went: Went| match went {
                    Went::Well(t) => Went::Well(t + i as u64 * delay.to_micros().0),
                    Went::Badly(end) => Went::Badly(end.map(|t| t + i as u64 * delay.to_micros().0)),
                };
                let parts: Vec<Mixed> = branches
                    .iter()
                    .enumerate()
                    .map(|(i, e)| self.play(e, &at(i)).into_iter().map(|(p, w)| (p, late(i, w))).collect())
                    .collect();
                product(&parts, &|all| at_least(1, all))
            }
            Expr::Fallback { primary, alternates } => {
                let rungs = core::iter::once((&**primary, 1.0))
                    .chain(alternates.iter().map(|a| (&a.expr, a.weight.get())));
                let rungs: Vec<(Mixed, f64)> =
                    rungs.enumerate().map(|(i, (e, w))| (self.play(e, &at(i)), w)).collect();
                ladder(&rungs)
            }
            Expr::Retry { attempts, per_try_timeout, body } => {
                let tries = (0..*attempts).map(|i| {
                    let one = self.play(body, &at(i as usize));
                    (per_try_timeout.map_or(one.clone(), |t| cut(one, t.to_micros().0)), 1.0)
                });
                ladder(&tries.collect::<Vec<_>>())
            }
            Expr::Timeout { after, body } => cut(self.play(body, &at(0)), after.to_micros().0),
            Expr::Async(body) => {
                let body = self.play(body, &at(0));
                if self.view == View::Immediate { vec![(1.0, Went::Well(0))] } else { body }
            }
            Expr::Branch(choices) => {
                let fill = |order: &mut dyn Iterator<Item = usize>| {
                    let mut q: Vec<f64> = choices.iter().map(|c| c.probability.lo()).collect();
                    let mut free = 1.0 - q.iter().sum::<f64>();
                    for i in order {
                        let extra = (choices[i].probability.hi() - q[i]).min(free).max(0.0);
                        q[i] += extra;
                        free -= extra;
                    }
                    q
                };
                let (a, b) = (fill(&mut (0..choices.len())), fill(&mut (0..choices.len()).rev()));
                let q = a.iter().zip(&b).map(|(a, b)| a + self.lean * (b - a)).collect::<Vec<_>>();
                let mut mixed = vec![];
                for (i, (choice, q)) in choices.iter().zip(q).enumerate() {
                    mixed.extend(self.play(&choice.expr, &at(i)).into_iter().map(|(p, went)| (p * q, went)));
                }
                mixed
            }
        }
    }

    fn sequence(&mut self, parts: &[(&Expr, Vec<usize>)]) -> Mixed {
        let mut so_far = vec![(1.0, Went::Well(0))];
        for (expr, place) in parts {
            let step = self.play(expr, place);
            so_far = product(&[so_far, step], &|both| match (both[0], both[1]) {
                (Went::Well(a), Went::Well(b)) => Went::Well(a + b),
                (Went::Well(a), Went::Badly(b)) => Went::Badly(b.map(|b| a + b)),
                (bad, _) => bad,
            });
        }
        so_far
    }
}

fn cut(mixed: Mixed, after: u64) -> Mixed {
    let one = |went| match went {
        Went::Well(t) if t <= after => Went::Well(t),
        Went::Badly(Some(t)) if t <= after => Went::Badly(Some(t)),
        _ => Went::Badly(Some(after)),
    };
    mixed.into_iter().map(|(p, went)| (p, one(went))).collect()
}

fn at_least(k: usize, all: &[Went]) -> Went {
    let mut well: Vec<u64> =
        all.iter().filter_map(|w| if let Went::Well(t) = w { Some(*t) } else { None }).collect();
    well.sort_unstable();
    match well.get(k - 1) {
        Some(&t) => Went::Well(t),
        None => {
            let end = |w: &Went| match *w {
                Went::Well(t) => Some(t),
                Went::Badly(t) => t,
            };
            Went::Badly(all.iter().map(end).try_fold(0, |most: u64, t| t.map(|t| most.max(t))))
        }
    }
}

/// One after the other until one goes well; a degraded answer is accepted with its weight.
fn ladder(rungs: &[(Mixed, f64)]) -> Mixed {
    let mut open = vec![(1.0, Some(0_u64))];
    let mut done = vec![];
    for (mixed, weight) in rungs {
        let mut next = vec![];
        for &(p, start) in &open {
            let Some(start) = start else {
                done.push((p, Went::Badly(None)));
                continue;
            };
            for &(q, went) in mixed {
                match went {
                    Went::Well(t) => {
                        done.push((p * q * weight, Went::Well(start + t)));
                        done.push((p * q * (1.0 - weight), Went::Badly(Some(start + t))));
                    }
                    Went::Badly(end) => next.push((p * q, end.map(|t| start + t))),
                }
            }
        }
        open = next;
    }
    done.extend(open.into_iter().map(|(p, end)| (p, Went::Badly(end))));
    merged(done)
}

fn product(parts: &[Mixed], join: &dyn Fn(&[Went]) -> Went) -> Mixed {
    let mut all: Vec<(f64, Vec<Went>)> = vec![(1.0, vec![])];
    for part in parts {
        all = all
            .iter()
            .flat_map(|(p, went)| {
                part.iter().map(move |(q, one)| (p * q, went.iter().copied().chain([*one]).collect()))
            })
            .collect();
    }
    merged(all.into_iter().map(|(p, went)| (p, join(&went))).collect())
}

/// Equal outcomes counted once, impossible ones left out.
fn merged(mixed: Mixed) -> Mixed {
    let mut merged: Mixed = vec![];
    for (p, went) in mixed.into_iter().filter(|(p, _)| *p > 0.0) {
        match merged.iter_mut().find(|(_, held)| *held == went) {
            Some((held, _)) => *held += p,
            None => merged.push((p, went)),
        }
    }
    merged
}

/// Share that went well by a time; `None`: ever.
pub(in crate::bound) fn well_by(mixed: &Mixed, time: Option<Micros>) -> f64 {
    let timely = |went: &Went| matches!(went, Went::Well(t) if time.is_none_or(|time| *t <= time.0));
    mixed.iter().filter(|(_, went)| timely(went)).map(|(p, _)| p).sum()
}
