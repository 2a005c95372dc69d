//! The failure of a journey as a fault tree, in the Model Exchange Format of Open-PSA (2.0d), which tools of probabilistic risk analysis read.
//!
//! Failures are events: of a component, at its unavailability (the lower end of its availability); of a degraded answer that does not count; of an answer that
//! comes too late; and which way a branch goes. All are independent, so that the tree's top event has the probability 1 - A that is reported for
//! independence. Where a component is tried several times, and asked nowhere else, each try has an event of its own. What is not waited for cannot fail
//! the answer and is left out. Failure domains are not exported: a reader of the tree computes without common causes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use emac_core::bound::{View, seen};
use emac_core::journey::{Alternative, Choice, ComponentName, Expr, Join};

use crate::compile::{Bounds, Compiled};

/// Why a journey is no fault tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotExported {
    /// Some component has no availability.
    #[error("the journey is UNASSESSABLE: the availability of some component is unknown")]
    Unassessable,
    /// A later answer counts for more than an earlier one: the journey could fail because a component works.
    #[error("a fallback's alternates are worth more than what stands before them, which no fault tree says")]
    RisingWeights,
}

/// The fault tree as XML; the same input gives the same bytes.
///
/// # Errors
/// [`NotExported`].
pub fn open_psa(compiled: &Compiled<'_>) -> Result<String, NotExported> {
    let bounds = compiled.bounds.as_ref().ok_or(NotExported::Unassessable)?;
    let mut tree = Tree::new(compiled, bounds);
    let top = tree.fails(compiled.structure.root(), &Place::default())?;
    Ok(tree.write(compiled, &top))
}

/// A formula over events.
#[derive(Clone, Debug, PartialEq)]
enum Gate {
    Never,
    Always,
    Event(usize),
    Not(usize),
    Or(Vec<Self>),
    And(Vec<Self>),
    /// At least so many.
    AtLeast(usize, Vec<Self>),
}

/// Something that happens with a probability.
struct Event {
    name: String,
    label: String,
    probability: f64,
}

/// Where in the expression, and in which tries.
#[derive(Clone, Default)]
struct Place<'a> {
    path: Vec<usize>,
    /// For each repetition around it: whose state is each try's own, and which try.
    tries: Vec<(BTreeSet<&'a ComponentName>, u32)>,
    /// Components that several operands of a node around it ask: one state for all that is below.
    held: BTreeSet<&'a ComponentName>,
}

impl<'a> Place<'a> {
    fn child(&self, operand: usize) -> Self {
        let mut path = self.path.clone();
        path.push(operand);
        Self { path, tries: self.tries.clone(), held: self.held.clone() }
    }

    /// Below a node: of a branch only one operand is asked.
    fn below(&self, expr: &'a Expr) -> Self {
        let mut place = self.clone();
        if matches!(expr, Expr::Branch(_)) {
            return place;
        }
        let mut once = BTreeSet::new();
        for operand in expr.children() {
            let asked: BTreeSet<_> = seen(operand, View::Immediate).into_iter().collect();
            place.held.extend(asked.into_iter().filter(|name| !once.insert(*name)));
        }
        place
    }

    fn within(&self, own: &BTreeSet<&'a ComponentName>, number: u32) -> Self {
        let mut place = self.child(0);
        place.tries.push((own.clone(), number));
        place
    }

    /// ` (try 2)`, of those tries that `counts` says.
    fn suffix(&self, counts: impl Fn(&BTreeSet<&'a ComponentName>) -> bool) -> String {
        let numbers = self.tries.iter().filter(|(own, _)| counts(own)).map(|(_, number)| number.to_string());
        let numbers: Vec<_> = numbers.collect();
        if numbers.is_empty() { String::new() } else { format!(" (try {})", numbers.join(".")) }
    }
}

struct Tree<'a> {
    compiled: &'a Compiled<'a>,
    /// Availability of every operator by itself, if components fail independently.
    values: BTreeMap<&'a [usize], f64>,
    events: Vec<Event>,
    by_label: BTreeMap<String, usize>,
}

impl<'a> Tree<'a> {
    fn new(compiled: &'a Compiled<'a>, bounds: &'a Bounds) -> Self {
        let values = bounds.nodes.iter().map(|node| (node.path.as_slice(), node.independent.lo())).collect();
        Self { compiled, values, events: Vec::new(), by_label: BTreeMap::new() }
    }

    /// When a part fails. Recursive: a checked expression is at most [`Expr::DEPTH_MAX`] deep.
    fn fails(&mut self, expr: &'a Expr, place: &Place<'a>) -> Result<Gate, NotExported> {
        let place = &place.below(expr);
        match expr {
            Expr::Leaf(name) => Ok(self.component(name, place)),
            Expr::Series(all) | Expr::Parallel { join: Join::All, branches: all } => {
                Ok(or(self.each(all, place)?))
            }
            Expr::Race { branches, .. } => Ok(and(self.each(branches, place)?)),
            Expr::Parallel { join: Join::AtLeast(k), branches } => {
                let failures = branches.len() + 1 - (*k as usize).min(branches.len());
                Ok(at_least(failures, self.each(branches, place)?))
            }
            Expr::Fallback { primary, alternates } => self.fallback(primary, alternates, place),
            Expr::Branch(choices) => self.branch(choices, place),
            Expr::Retry { attempts, per_try_timeout, body } => {
                let late = per_try_timeout.is_some().then(|| self.try_in_time(*attempts, body, place));
                let one = |tree: &mut Self, place: &Place<'a>| {
                    let fails = tree.fails(body, place)?;
                    Ok(or(vec![fails, tree.late(late.unwrap_or(1.0), place)]))
                };
                Ok(and(self.tries(*attempts, body, place, one)?))
            }
            Expr::Repeat { count, body } => {
                Ok(or(self.tries(*count, body, place, |tree, place| tree.fails(body, place))?))
            }
            Expr::Timeout { body, .. } => {
                let inside = place.child(0);
                let in_time = share(self.value(expr, &place.path), self.value(body, &inside.path));
                Ok(or(vec![self.fails(body, &inside)?, self.late(in_time, place)]))
            }
            Expr::Async(_) => Ok(Gate::Never),
        }
    }

    fn each(&mut self, all: &'a [Expr], place: &Place<'a>) -> Result<Vec<Gate>, NotExported> {
        all.iter().enumerate().map(|(operand, expr)| self.fails(expr, &place.child(operand))).collect()
    }

    fn component(&mut self, name: &'a ComponentName, place: &Place<'a>) -> Gate {
        let availability = self.compiled.leaves.get(name).and_then(|leaf| leaf.availability);
        let failure = 1.0 - availability.map_or(0.0, |availability| availability.lo());
        let suffix = place.suffix(|own| own.contains(name));
        self.event(format!("{name}{suffix}"), failure)
    }

    /// All tries, each with events of its own for what is asked nowhere else.
    fn tries(
        &mut self,
        count: u32,
        body: &'a Expr,
        place: &Place<'a>,
        one: impl Fn(&mut Self, &Place<'a>) -> Result<Gate, NotExported>,
    ) -> Result<Vec<Gate>, NotExported> {
        let asked = seen(body, View::Immediate).into_iter();
        let own: BTreeSet<_> = asked.filter(|name| !place.held.contains(*name)).collect();
        (1..=count).map(|number| one(self, &place.within(&own, number))).collect()
    }

    /// An answer of the first alternates counts; of those behind a weight it counts as often as the weight says, and of those behind a smaller one as often of
    /// these: `w2 / w1`.
    fn fallback(
        &mut self,
        primary: &'a Expr,
        alternates: &'a [Alternative],
        place: &Place<'a>,
    ) -> Result<Gate, NotExported> {
        let mut before = 1.0;
        let mut counts = Vec::new();
        for (number, alternate) in alternates.iter().enumerate() {
            let weight = alternate.weight.get();
            if weight > before {
                return Err(NotExported::RisingWeights);
            }
            let suffix = place.suffix(|_| true);
            let label = format!("alternate {} of {} does not count{suffix}", number + 1, at(&place.path));
            counts.push((
                self.event(label, 1.0 - share(weight, before)),
                self.fails(&alternate.expr, &place.child(number + 1))?,
            ));
            before = weight;
        }
        let rest = counts
            .into_iter()
            .rev()
            .fold(Gate::Always, |rest, (uncounted, fails)| or(vec![uncounted, and(vec![fails, rest])]));
        Ok(and(vec![self.fails(primary, &place.child(0))?, rest]))
    }

    /// The first choice is taken as often as its probability says, each later one as often of what is left. Of an interval its middle is taken.
    fn branch(&mut self, choices: &'a [Choice], place: &Place<'a>) -> Result<Gate, NotExported> {
        let middle = |choice: &Choice| f64::midpoint(choice.probability.lo(), choice.probability.hi());
        let total: f64 = choices.iter().map(middle).sum();
        let mut left = 1.0;
        let mut taken = Vec::new();
        for (number, choice) in choices.iter().enumerate() {
            let probability = share(middle(choice), total);
            let label = format!("way {} of {}{}", number + 1, at(&place.path), place.suffix(|_| true));
            let last = number + 1 == choices.len();
            let way = if last { Gate::Always } else { self.event(label, share(probability, left)) };
            taken.push((way, self.fails(&choice.expr, &place.child(number))?));
            left = (left - probability).max(0.0);
        }
        Ok(taken.into_iter().rev().fold(Gate::Never, |rest, (way, fails)| match way {
            Gate::Event(event) => or(vec![and(vec![way, fails]), and(vec![Gate::Not(event), rest])]),
            Gate::Never => rest,
            _ => fails,
        }))
    }

    fn late(&mut self, in_time: f64, place: &Place<'a>) -> Gate {
        let label = format!("{} is too late{}", at(&place.path), place.suffix(|_| true));
        self.event(label, 1.0 - in_time)
    }

    /// Share of one try's good answers that come in its time, from what all tries are worth together.
    fn try_in_time(&self, attempts: u32, body: &Expr, place: &Place<'_>) -> f64 {
        let all = self.values.get(place.path.as_slice()).copied().unwrap_or(1.0);
        let one = 1.0 - (1.0 - all).max(0.0).powf(1.0 / f64::from(attempts.max(1)));
        let whole = self.value(body, &place.child(0).path);
        // What differs by rounding differs by nothing.
        if one > whole - 1e-9 { 1.0 } else { share(one, whole) }
    }

    fn value(&self, expr: &Expr, path: &[usize]) -> f64 {
        match expr {
            Expr::Leaf(name) => {
                let availability = self.compiled.leaves.get(name).and_then(|leaf| leaf.availability);
                availability.map_or(0.0, |availability| availability.lo())
            }
            _ => self.values.get(path).copied().unwrap_or(1.0),
        }
    }

    fn event(&mut self, label: String, probability: f64) -> Gate {
        // Less than the noise of a subtraction.
        let probability = (probability.clamp(0.0, 1.0) * 1e15).round() / 1e15;
        if probability <= 0.0 {
            return Gate::Never;
        }
        if probability >= 1.0 {
            return Gate::Always;
        }
        if let Some(&known) = self.by_label.get(&label) {
            return Gate::Event(known);
        }
        let name = self.name(&label);
        self.by_label.insert(label.clone(), self.events.len());
        self.events.push(Event { name, label, probability });
        Gate::Event(self.events.len() - 1)
    }

    /// A name that the format takes: a letter, then letters, digits and single underscores.
    fn name(&self, label: &str) -> String {
        let mut name = String::new();
        for letter in label.chars() {
            match letter {
                letter if letter.is_ascii_alphanumeric() => name.push(letter),
                _ if !name.ends_with('_') => name.push('_'),
                _ => {}
            }
        }
        let name = name.trim_matches('_');
        let name = if name.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
            name.to_owned()
        } else {
            format!("c_{name}")
        };
        let taken =
            |name: &str| name == TOP || self.events.iter().any(|event| event.name.eq_ignore_ascii_case(name));
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        std::iter::once(name.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(name)
    }

    // === writing ===

    fn write(&self, compiled: &Compiled<'_>, top: &Gate) -> String {
        let journey = compiled.intent.name.as_str();
        let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<opsa-mef>\n".to_owned();
        let mark = if compiled.preview { "PREVIEW " } else { "" };
        let name = self.name(journey);
        let _ = writeln!(xml, "  <define-fault-tree name=\"{name}_fails\">");
        let _ = writeln!(xml, "    <label>{}</label>", escaped(&format!("{mark}journey {journey} fails")));
        let _ = writeln!(xml, "    <define-gate name=\"{TOP}\">");
        let _ = writeln!(xml, "      <label>{}</label>", escaped(&compiled.structure.to_string()));
        self.formula(top, 3, &mut xml);
        xml.push_str("    </define-gate>\n");
        for event in &self.events {
            let Event { name, label, probability } = event;
            let _ = writeln!(xml, "    <define-basic-event name=\"{name}\">");
            let _ = writeln!(xml, "      <label>{}</label>", escaped(label));
            let _ = writeln!(xml, "      <float value=\"{probability}\"/>");
            xml.push_str("    </define-basic-event>\n");
        }
        xml.push_str("  </define-fault-tree>\n</opsa-mef>\n");
        xml
    }

    fn formula(&self, gate: &Gate, depth: usize, xml: &mut String) {
        let indent = "  ".repeat(depth);
        let name = |event: usize| self.events.get(event).map_or("", |event| event.name.as_str());
        let (open, close, all) = match gate {
            Gate::Never | Gate::Always => {
                let _ = writeln!(xml, "{indent}<constant value=\"{}\"/>", *gate == Gate::Always);
                return;
            }
            Gate::Event(event) => {
                let _ = writeln!(xml, "{indent}<basic-event name=\"{}\"/>", name(*event));
                return;
            }
            Gate::Not(event) => {
                let _ = writeln!(xml, "{indent}<not><basic-event name=\"{}\"/></not>", name(*event));
                return;
            }
            Gate::Or(all) => ("or".to_owned(), "or", all),
            Gate::And(all) => ("and".to_owned(), "and", all),
            Gate::AtLeast(least, all) => (format!("atleast min=\"{least}\""), "atleast", all),
        };
        let _ = writeln!(xml, "{indent}<{open}>");
        all.iter().for_each(|one| self.formula(one, depth + 1, xml));
        let _ = writeln!(xml, "{indent}</{close}>");
    }
}

/// Name of the gate that is the journey's failure.
const TOP: &str = "top";

/// `operand 1.0`, or the whole.
fn at(path: &[usize]) -> String {
    if path.is_empty() {
        return "the whole".to_owned();
    }
    let path: Vec<_> = path.iter().map(usize::to_string).collect();
    format!("operand {}", path.join("."))
}

fn share(part: f64, of: f64) -> f64 {
    if of > 0.0 { (part / of).clamp(0.0, 1.0) } else { 0.0 }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

// === formulas without constants, and without what stands there twice ===

fn or(all: Vec<Gate>) -> Gate {
    let all = distinct(all.into_iter().filter(|gate| *gate != Gate::Never).collect());
    match all.len() {
        0 => Gate::Never,
        _ if all.contains(&Gate::Always) => Gate::Always,
        1 => all.into_iter().next().unwrap_or(Gate::Never),
        _ => Gate::Or(all),
    }
}

fn and(all: Vec<Gate>) -> Gate {
    let all = distinct(all.into_iter().filter(|gate| *gate != Gate::Always).collect());
    match all.len() {
        0 => Gate::Always,
        _ if all.contains(&Gate::Never) => Gate::Never,
        1 => all.into_iter().next().unwrap_or(Gate::Always),
        _ => Gate::And(all),
    }
}

/// Where operands have an event in common it is written as a sum of products: readers refuse the same event twice, and SCRAM 0.16.2 is wrong about operands that turn
/// out to be the same one.
fn at_least(least: usize, all: Vec<Gate>) -> Gate {
    let always = all.iter().filter(|gate| **gate == Gate::Always).count();
    let all: Vec<_> = all.into_iter().filter(|gate| !matches!(gate, Gate::Always | Gate::Never)).collect();
    let least = least.saturating_sub(always);
    if least == 0 {
        return Gate::Always;
    }
    if least > all.len() {
        return Gate::Never;
    }
    if least == 1 {
        return or(all);
    }
    if least == all.len() {
        return and(all);
    }
    if all.len() > EXPANDED_MAX || !shares_events(&all) {
        return Gate::AtLeast(least, all);
    }
    // With the first, one less of the rest; without it, all of them of the rest.
    let (first, rest) =
        (all.first().cloned().unwrap_or(Gate::Never), all.get(1..).unwrap_or_default().to_vec());
    or(vec![and(vec![first, at_least(least - 1, rest.clone())]), at_least(least, rest)])
}

/// Operands of a sum of products: at most 2^12 of them.
const EXPANDED_MAX: usize = 12;

fn shares_events(all: &[Gate]) -> bool {
    let mut seen = BTreeSet::new();
    all.iter().any(|gate| {
        let mut own = BTreeSet::new();
        events_of(gate, &mut own);
        own.into_iter().any(|event| !seen.insert(event))
    })
}

fn events_of(gate: &Gate, found: &mut BTreeSet<usize>) {
    match gate {
        Gate::Never | Gate::Always => {}
        Gate::Event(event) | Gate::Not(event) => drop(found.insert(*event)),
        Gate::Or(all) | Gate::And(all) | Gate::AtLeast(_, all) => {
            all.iter().for_each(|one| events_of(one, found))
        }
    }
}

fn distinct(all: Vec<Gate>) -> Vec<Gate> {
    let mut kept: Vec<Gate> = Vec::with_capacity(all.len());
    for gate in all {
        if !kept.contains(&gate) {
            kept.push(gate);
        }
    }
    kept
}
