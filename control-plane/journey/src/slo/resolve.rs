//! From a component's references to what it promises.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use emac_core::journey::ComponentName;
use emac_core::units::{Micros, Ratio};

use super::meaning::{self, Meaning, Within};
use super::{Budgeting, Indicator, Metric, Objective, RatioPart, Slo, Slos};
use crate::intent::{Component, Intent, SloRef, SloRole};
use emac_document::{Located, Problem, Problems, did_you_mean, format_duration};

/// What a component promises.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Promise {
    /// Share of good answers. All that is promised holds: of several indicators it is the lower end of what is left when their failures never meet
    /// (Frechet), `max(0, sum - (n - 1))`.
    pub availability: Option<Ratio>,
    /// Where the share comes from, such as `slo.cart.availability (slos/cart.yaml:1)`.
    pub availability_source: String,
    /// Shares of answers within a time, by time.
    pub latency: Vec<LatencyPoint>,
    /// What each objective that was referred to was taken as, in the order of the references.
    pub taken: Vec<Taken>,
}

/// What the components of a journey promise, by name.
pub type Promises = BTreeMap<ComponentName, Promise>;

/// At least this share of answers comes within this time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatencyPoint {
    /// The time.
    pub within: Micros,
    /// The share, of all answers.
    pub share: Ratio,
    /// Of which answers.
    pub counted: Counted,
}

/// Which answers within a time are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// Any, also failures that came quickly.
    AnyAnswer,
    /// Those that are good.
    GoodAnswer,
}

impl LatencyPoint {
    /// The share of all requests that are answered well within the time, of a component with this availability: where failures may have come
    /// quickly, at worst all of them did.
    pub fn good_share(&self, availability: f64) -> f64 {
        match self.counted {
            Counted::GoodAnswer => self.share.get(),
            Counted::AnyAnswer => frechet([self.share.get(), availability]),
        }
    }
}

/// What one objective of an SLO was taken as.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// The SLO, and behind a `#` its objective where it has several.
    pub slo: String,
    /// File and line of the SLO, such as `desk.yaml:12`.
    pub place: String,
    /// What it promises.
    pub as_what: AsWhat,
}

/// What an objective promises.
#[derive(Clone, Debug, PartialEq)]
pub enum AsWhat {
    /// A share of good answers.
    Availability(Ratio),
    /// A share of answers within a time.
    Latency(LatencyPoint),
    /// Nothing, and why.
    Nothing(String),
}

impl fmt::Display for Taken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({}): {}", self.slo, self.place, self.as_what)
    }
}

impl Taken {
    /// All of them in one line, without places: `desk-answers: availability 0.999; desk-quick: latency 0.95 within 300ms`.
    pub fn line(all: &[Self]) -> String {
        let short = |taken: &Self| format!("{}: {}", taken.slo, taken.as_what);
        all.iter().map(short).collect::<Vec<_>>().join("; ")
    }

    fn new(slo: &Slo, objective: &Objective, as_what: AsWhat) -> Self {
        Self { slo: numbered(slo, objective), place: short(&slo.place).to_owned(), as_what }
    }
}

impl fmt::Display for AsWhat {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Availability(share) => write!(out, "availability {}", share.get()),
            Self::Latency(LatencyPoint { within, share, counted }) => {
                let which = match counted {
                    Counted::AnyAnswer => "",
                    Counted::GoodAnswer => ", counting good answers only",
                };
                write!(out, "latency {} within {}{which}", share.get(), format_duration(*within))
            }
            Self::Nothing(why) => write!(out, "nothing, as {why}"),
        }
    }
}

impl Slos {
    /// What every component of an intent promises. A reference to nothing is a problem at its place, and one to an SLO that promises nothing a warning.
    ///
    /// Everything that is referred to holds. Of several targets of one indicator the highest counts; shares of good answers of several indicators are
    /// combined as [`Promise::availability`] says. A promise in the intent itself (`availability`) stands beside.
    pub fn resolve(&self, intent: &Intent, problems: &Problems) -> Promises {
        let promise = |(name, component): (&ComponentName, &Component)| {
            (name.clone(), self.promise(component, problems))
        };
        intent.components.iter().map(promise).collect()
    }

    /// What every objective of an SLO is taken as by itself, without a role.
    pub fn taken(slo: &Slo) -> Vec<Taken> {
        let of = |objective: &Objective| Taken::new(slo, objective, as_what(slo, objective, None).said);
        slo.objectives.iter().map(of).collect()
    }

    fn promise(&self, component: &Component, problems: &Problems) -> Promise {
        let mut promised = Promised::default();
        for reference in &component.slos {
            if let Some(slo) = self.referred(reference, problems) {
                promised.add(slo, reference, problems);
            }
        }
        let mut promise = promised.into_promise();
        if let Some(availability) = component.availability {
            promise.availability = Some(availability);
            promise.availability_source = "declared in the intent".to_owned();
        }
        promise
    }

    fn referred(&self, reference: &Located<SloRef>, problems: &Problems) -> Option<&Slo> {
        let SloRef { name, origin, .. } = &reference.value;
        let mut found = self.named(name);
        found.retain(|slo| origin.is_none_or(|origin| origin == slo.origin));
        // Its own name is meant before somebody's short one.
        if found.len() > 1 && found.iter().filter(|slo| slo.name == *name).count() == 1 {
            found.retain(|slo| slo.name == *name);
        }
        match found.as_slice() {
            [only] => return Some(only),
            [] => problems.push(self.dangling(reference)),
            several => problems.push(ambiguous(reference, several)),
        }
        None
    }

    fn dangling(&self, reference: &Located<SloRef>) -> Problem {
        let name = &reference.value.name;
        let help = if let Some(unread) = self.unread.iter().find(|unread| unread.name == *name) {
            let (place, version) = (short(&unread.place), &unread.version);
            format!(
                "the one in {place} is written in {version}, which is not read; write it in {}",
                super::API_VERSION
            )
        } else if let Some(near) = did_you_mean(name, self.names.keys().map(String::as_str)) {
            format!("did you mean `openslo:{near}`?")
        } else {
            "add its document under `slos` above the intent, or say where it is with --slo".to_owned()
        };
        reference.place(Problem::error(format!("there is no SLO `{name}`")).help(help))
    }
}

fn ambiguous(reference: &Located<SloRef>, several: &[&Slo]) -> Problem {
    let name = &reference.value.name;
    let places = several.iter().map(|slo| format!("`{}` ({})", slo.name, short(&slo.place)));
    let help = format!("it may be {}", places.collect::<Vec<_>>().join(" or "));
    reference.place(Problem::error(format!("there are {} SLOs `{name}`", several.len())).help(help))
}

/// What was referred to so far.
#[derive(Default)]
struct Promised<'a> {
    /// The highest target of each indicator that is a share of good answers.
    good: Vec<(&'a Slo, usize, Ratio)>,
    /// Shares within times, with what names the answers that they are shares of.
    within: Vec<(String, LatencyPoint)>,
    taken: Vec<Taken>,
}

impl<'a> Promised<'a> {
    fn add(&mut self, slo: &'a Slo, reference: &Located<SloRef>, problems: &Problems) {
        let objectives = select(slo, reference.value.objective.as_deref());
        if objectives.is_empty() {
            let wanted = reference.value.objective.as_deref().unwrap_or_default();
            let message = format!("the SLO `{}` has no objective `{wanted}`", slo.name);
            problems.push(reference.place(Problem::error(message).help(known_objectives(slo))));
        }
        for objective in objectives {
            self.add_objective(slo, objective, reference, problems);
        }
    }

    fn add_objective(
        &mut self,
        slo: &'a Slo,
        objective: &'a Objective,
        reference: &Located<SloRef>,
        problems: &Problems,
    ) {
        let Read { said, population, wrong, remark } = as_what(slo, objective, reference.value.role);
        match &said {
            AsWhat::Availability(share) => self.raise(slo, objective.indicator, *share),
            AsWhat::Latency(point) => self.within.push((population, *point)),
            AsWhat::Nothing(why) if reference.value.role != Some(SloRole::Neither) => {
                let message = format!("`{}` promises nothing here: {why}", numbered(slo, objective));
                let help = wrong.unwrap_or(HELP);
                let problem =
                    if wrong.is_some() { Problem::error(message) } else { Problem::warning(message) };
                problems.push(reference.place(problem.help(help)));
            }
            AsWhat::Nothing(_) => {}
        }
        if let Some(remark) = remark {
            problems
                .push(reference.place(Problem::warning(format!("`{}` {remark}", numbered(slo, objective)))));
        }
        self.taken.push(Taken::new(slo, objective, said));
    }

    /// Of one indicator every target holds, so the highest counts.
    fn raise(&mut self, slo: &'a Slo, indicator: usize, share: Ratio) {
        let same = |(known, of, _): &&mut (&Slo, usize, Ratio)| std::ptr::eq(*known, slo) && *of == indicator;
        match self.good.iter_mut().find(same) {
            Some((_, _, known)) if *known < share => *known = share,
            Some(_) => {}
            None => self.good.push((slo, indicator, share)),
        }
    }

    fn into_promise(self) -> Promise {
        let mut promise =
            Promise { latency: combined(&self.within), taken: self.taken, ..Promise::default() };
        let place = |slo: &Slo| format!("{} ({})", slo.name, short(&slo.place));
        match self.good.as_slice() {
            [] => {}
            [(slo, _, share)] => {
                (promise.availability, promise.availability_source) = (Some(*share), place(slo))
            }
            several => {
                let left = frechet(several.iter().map(|(_, _, share)| share.get()));
                promise.availability = Ratio::new(left).ok();
                let each = several.iter().map(|(slo, _, share)| format!("{} of {}", share.get(), place(slo)));
                let each = each.collect::<Vec<_>>().join(" and ");
                promise.availability_source = format!("all hold: {each}, so at worst {left}");
            }
        }
        promise
    }
}

const HELP: &str = "say what it is: {ref: 'openslo:name', role: availability}, or latency, or neither; of a threshold also its unit, by the annotation \
                    emac.dev/unit (s, ms, us, none)";

const MOMENTS: &str =
    "counts moments, not answers; its target is taken as a share of good answers, as its role says";

/// How an objective was read.
struct Read {
    said: AsWhat,
    /// See [`Within::population`].
    population: String,
    /// It contradicts the role, and what to do.
    wrong: Option<&'static str>,
    /// What a reader should know besides.
    remark: Option<&'static str>,
}

/// What an objective is taken as: by its role, else by how it is measured, else nothing.
fn as_what(slo: &Slo, objective: &Objective, role: Option<SloRole>) -> Read {
    let nothing = |why: String, wrong| Read {
        said: AsWhat::Nothing(why),
        population: String::new(),
        wrong,
        remark: None,
    };
    if role == Some(SloRole::Neither) {
        return nothing("its role is neither".to_owned(), None);
    }
    let (target, remark) = match share(slo, objective) {
        Ok(read) => read,
        Err(why) => return nothing(why, None),
    };
    let good = || Read { said: AsWhat::Availability(target), population: String::new(), wrong: None, remark };
    let fast = |Within { time, counted, population }: Within| Read {
        said: AsWhat::Latency(LatencyPoint { within: time, share: target, counted }),
        population,
        wrong: None,
        remark,
    };
    match (meaning::of(slo, objective), role) {
        (Meaning::Moments(_), Some(SloRole::Availability)) => Read { remark: Some(MOMENTS), ..good() },
        (Meaning::Good, None) | (_, Some(SloRole::Availability)) => good(),
        (Meaning::Within(within), _) | (Meaning::Unclear(_, Some(within)), Some(SloRole::Latency)) => {
            fast(within)
        }
        (Meaning::Good, Some(SloRole::Latency | SloRole::Neither)) => nothing(
            "its role is latency, and its indicator says no time".to_owned(),
            Some("leave the role out, or write it as a ratio of a histogram's buckets"),
        ),
        (Meaning::Moments(why) | Meaning::Unclear(why, _), Some(SloRole::Latency | SloRole::Neither)) => {
            nothing(why, Some("no role makes it a latency promise; role: neither leaves it out"))
        }
        (Meaning::Moments(why) | Meaning::Unclear(why, _), None) => nothing(why, None),
    }
}

/// The share of events that is promised. Where slices of time are counted it holds for even traffic only, and each good slice may have its own share of bad events.
fn share(slo: &Slo, objective: &Objective) -> Result<(Ratio, Option<&'static str>), String> {
    const SLICES: &str = "counts slices of time, not requests; its target times the share that makes a slice good is taken, as for even traffic";
    const AVERAGED: &str =
        "averages slices of time, not requests; its target is taken as it is, as for even traffic";
    const PROBES: &str = "counts probes, not requests; its target is taken as it is";
    const UNSAID: &str =
        "has no query that says what is counted; its target is taken as a share of good answers";
    let is_unsaid = |metric: &Metric| metric.texts.is_empty().then_some(UNSAID);
    let remark = slo.indicators.get(objective.indicator).and_then(|indicator| match indicator {
        Indicator::Probe(_) => Some(PROBES),
        Indicator::Ratio { part: RatioPart::Good(metric) | RatioPart::Bad(metric), .. }
        | Indicator::Raw { metric, .. } => is_unsaid(metric),
        Indicator::Threshold(_) | Indicator::Within { .. } | Indicator::Plugin(_) => None,
    });
    match (slo.budgeting, objective.slice_target) {
        (Budgeting::Occurrences, _) => Ok((objective.target, remark)),
        (Budgeting::RatioTimeslices, _) => Ok((objective.target, Some(AVERAGED))),
        (Budgeting::Timeslices, Some(slice)) => {
            let both = Ratio::new(rounded(objective.target.get() * slice.get())).unwrap_or_default();
            Ok((both, Some(SLICES)))
        }
        (Budgeting::Timeslices, None) => {
            Err("it counts slices of time and does not say (`timeSliceTarget`) which are good".to_owned())
        }
    }
}

/// `max(0, sum - (n - 1))`: what holds together at worst.
fn frechet(shares: impl IntoIterator<Item = f64>) -> f64 {
    let missing: f64 = shares.into_iter().map(|share| 1.0 - share).sum();
    rounded((1.0 - missing).max(0.0))
}

/// Twelve decimals, so that 0.97 and 0.9999 are 0.9699: far below any objective, far above the noise.
fn rounded(share: f64) -> f64 {
    (share * 1e12).round() / 1e12
}

/// Points of all populations together. Of the same answers each point holds by itself; of different ones (of reads and of writes, say) nobody knows how they
/// mix, so the shares that miss a time add up.
fn combined(points: &[(String, LatencyPoint)]) -> Vec<LatencyPoint> {
    let populations: BTreeSet<&str> = points.iter().map(|(population, _)| population.as_str()).collect();
    let mut times: Vec<_> = points.iter().map(|(_, point)| point).collect();
    times.sort_by_key(|point| (point.within, point.counted));
    if populations.len() < 2 {
        return times.into_iter().copied().collect();
    }
    let best = |population: &str, time: Micros| {
        let known = points.iter().filter(|(of, point)| of == population && point.within <= time);
        known.map(|(_, point)| point.share.get()).fold(0.0, f64::max)
    };
    let good = points.iter().all(|(_, point)| point.counted == Counted::GoodAnswer);
    let counted = if good { Counted::GoodAnswer } else { Counted::AnyAnswer };
    times.dedup_by_key(|point| point.within);
    let at = |point: &LatencyPoint| {
        let share =
            Ratio::new(frechet(populations.iter().map(|population| best(population, point.within)))).ok()?;
        (share > Ratio::default()).then_some(LatencyPoint { within: point.within, share, counted })
    };
    times.into_iter().filter_map(at).collect()
}

/// The objective of a name or number, or all of them.
fn select<'a>(slo: &'a Slo, wanted: Option<&str>) -> Vec<&'a Objective> {
    let Some(wanted) = wanted else { return slo.objectives.iter().collect() };
    let named = slo.objectives.iter().find(|objective| objective.name.as_deref() == Some(wanted));
    let numbered = || wanted.parse().ok().and_then(|number: usize| slo.objectives.get(number));
    named.or_else(numbered).into_iter().collect()
}

fn known_objectives(slo: &Slo) -> String {
    let labels = slo.objectives.iter().map(|objective| label(slo, objective));
    format!("it has: {}", labels.collect::<Vec<_>>().join(", "))
}

/// Its name, or its number.
fn label(slo: &Slo, objective: &Objective) -> String {
    let number = slo.objectives.iter().position(|one| std::ptr::eq(one, objective)).unwrap_or_default();
    objective.name.clone().unwrap_or_else(|| number.to_string())
}

/// The SLO, and behind a `#` which of its objectives where there are several.
fn numbered(slo: &Slo, objective: &Objective) -> String {
    let of = if slo.objectives.len() > 1 { format!("#{}", label(slo, objective)) } else { String::new() };
    format!("{}{of}", slo.name)
}

/// The place without its folders: reports must not differ by where a checkout lies.
fn short(place: &str) -> &str {
    place.rsplit(['/', '\\']).next().unwrap_or(place)
}
