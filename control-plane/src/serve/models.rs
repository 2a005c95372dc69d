//! What the plan in force was made from, where this process is one of several: the planner's intents and models, which need not be those of this replica's
//! own files.
//!
//! Files decide what is planned, those of the replica that plans. All replicas show the same, though: where a journey of the plan is not as the own files have
//! it, its text comes from NATS ([`Cluster::model`]), and what is shown says so. Nothing here changes what is planned.

use std::collections::BTreeMap;
use std::sync::Arc;

use emac_compile::declared::Declared;
use emac_core::id::JourneyName;
use tracing::warn;

use super::intents::Intents;
use super::state::Shared;
use crate::engine::nats::Cluster;
use crate::plan::{JourneyInput, PlanSnapshot};
use emac_document::{Problems, render_text};

/// Most journeys named in a line of the log.
const NAMED_MAX: usize = 20;

/// Where the text of a journey comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// This replica's own files.
    Files,
    /// NATS, where the replica that made the plan wrote it.
    Nats,
    /// Neither has it; the own files are shown where they have the journey at all.
    Unknown,
}

/// How this replica's files stand to the plan in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// The plan was made from the same.
    Equal,
    /// By the lineage of the accepted models, the plan's came after the own one.
    Older,
    /// The other way round.
    Newer,
    /// Something else, and nothing says which came first.
    Other,
    /// The plan has the journey, the files do not.
    Absent,
    /// The files have the journey, the plan does not.
    Unplanned,
}

/// Both, of one journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) source: Source,
    pub(super) own: Own,
}

/// What the plan in force was made from.
#[derive(Debug, Default)]
pub(super) struct InForce {
    /// Journeys of the plan, by name.
    pub(super) planned: Arc<[JourneyInput]>,
    /// Where each comes from; empty where all are this process's own.
    pub(super) origins: BTreeMap<JourneyName, Origin>,
    /// Texts from NATS, by digest.
    elsewhere: BTreeMap<String, Arc<Declared>>,
    made_from: MadeFrom,
}

/// What an [`InForce`] depends on.
#[derive(Clone, Debug, Default)]
struct MadeFrom {
    plan: Arc<PlanSnapshot>,
    intents: Arc<Intents>,
    models: u64,
}

impl Source {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Nats => "nats",
            Self::Unknown => "unknown",
        }
    }
}

impl Own {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Older => "older",
            Self::Newer => "newer",
            Self::Other => "other",
            Self::Absent => "absent",
            Self::Unplanned => "unplanned",
        }
    }
}

impl InForce {
    /// Of a process that is alone: its files are what it plans.
    pub(super) fn own(intents: &Intents) -> Self {
        Self { planned: Arc::clone(&intents.planned), ..Self::default() }
    }

    /// Where a journey comes from.
    pub(super) fn origin(&self, journey: &JourneyName) -> Origin {
        let own = Origin { source: Source::Files, own: Own::Equal };
        self.origins.get(journey).copied().unwrap_or(own)
    }

    /// Journeys that the own files have otherwise than the plan, with how.
    pub(super) fn differing(&self) -> impl Iterator<Item = (&JourneyName, Own)> {
        self.origins.iter().filter(|(_, origin)| origin.own != Own::Equal).map(|(name, it)| (name, it.own))
    }

    /// The text of a journey that comes from NATS.
    pub(super) fn elsewhere(&self, digest: &str) -> Option<&Arc<Declared>> {
        self.elsewhere.get(digest)
    }
}

impl MadeFrom {
    /// Whether the same follows from both. Cost: a comparison a journey, if there is another plan.
    fn is_same(&self, other: &Self) -> bool {
        let (one, another) = (&self.plan.journeys, &other.plan.journeys);
        let alike = || {
            one.len() == another.len()
                && one.iter().zip(another).all(|((name, one), (same, another))| {
                    name == same && one.declaration == another.declaration && one.model == another.model
                })
        };
        self.models == other.models
            && Arc::ptr_eq(&self.intents, &other.intents)
            && (Arc::ptr_eq(&self.plan, &other.plan) || alike())
    }
}

/// Notes anew what the plan in force was made from, if anything it depends on has changed. Only one may call it at a time.
///
/// Cost: a comparison a journey; where files differ, reading the texts that were not read before, and a copy of all inputs.
pub(super) fn renew(shared: &Shared, cluster: &Cluster) {
    // First, so that what comes meanwhile is seen the next time.
    let models = *cluster.models_changed().borrow();
    let made_from = MadeFrom { plan: shared.plan.load_full(), intents: shared.intents.load_full(), models };
    let before = shared.in_force.load();
    if !made_from.is_same(&before.made_from) {
        let mut compared = Compared::new(cluster, &before.elsewhere);
        let next = compared.all(&made_from.plan, &made_from.intents);
        shared.in_force.store(Arc::new(InForce { made_from, elsewhere: compared.read, ..next }));
    }
}

/// Says which journeys of the plan in force change because this replica plans from now on, by other files. It does so: files decide, but not silently.
pub(super) fn tell_takeover(cluster: &Cluster, plan: &PlanSnapshot, intents: &Intents) {
    let next = Compared::new(cluster, &BTreeMap::new()).all(plan, intents);
    let named = |own: Own| {
        let names: Vec<_> =
            next.differing().filter(|(_, it)| *it == own).map(|(name, _)| name.as_str()).collect();
        match names.len().saturating_sub(NAMED_MAX) {
            0 => names.join(", "),
            more => format!("{} and {more} more", names[..NAMED_MAX].join(", ")),
        }
    };
    let [removed, older, other, newer] = [Own::Absent, Own::Older, Own::Other, Own::Newer].map(named);
    if next.differing().any(|(_, own)| own != Own::Unplanned) {
        warn!(
            removed,
            older,
            other,
            newer,
            "this replica plans from now on, and its files are not those that the plan in force was made from: its files decide. `removed` are in no file of it \
             and lose their budgets, `older` have an accepted model before the one in force. Give all replicas the same journeys and models"
        );
    }
}

/// A plan compared with files.
struct Compared<'a> {
    cluster: &'a Cluster,
    before: &'a BTreeMap<String, Arc<Declared>>,
    /// Texts from NATS that were needed, by digest.
    read: BTreeMap<String, Arc<Declared>>,
}

impl<'a> Compared<'a> {
    fn new(cluster: &'a Cluster, before: &'a BTreeMap<String, Arc<Declared>>) -> Self {
        Self { cluster, before, read: BTreeMap::new() }
    }

    fn all(&mut self, plan: &PlanSnapshot, intents: &Intents) -> InForce {
        let own: BTreeMap<_, _> = intents.planned.iter().map(|input| (&input.name, input)).collect();
        let mut origins = BTreeMap::new();
        let mut planned = Vec::with_capacity(plan.journeys.len());
        for (name, journey) in &plan.journeys {
            let here = own.get(name).copied();
            let equal = here.is_some_and(|here| is_made_from(here, &journey.declaration, &journey.model));
            let there = if equal { None } else { self.read(name, &journey.declaration, &journey.model) };
            let origin = if equal {
                Origin { source: Source::Files, own: Own::Equal }
            } else {
                let source = if there.is_some() { Source::Nats } else { Source::Unknown };
                Origin { source, own: standing(intents, here, there.as_deref()) }
            };
            planned.extend(there.as_deref().and_then(JourneyInput::of).or_else(|| here.cloned()));
            origins.insert(name.clone(), origin);
        }
        for name in own.into_keys().filter(|name| !plan.journeys.contains_key(*name)) {
            origins.insert(name.clone(), Origin { source: Source::Files, own: Own::Unplanned });
        }
        let same = origins.values().all(|origin| origin.own == Own::Equal);
        // Before there is a plan there is nothing else to show.
        let planned =
            if same || plan.journeys.is_empty() { Arc::clone(&intents.planned) } else { planned.into() };
        InForce { planned, origins, ..InForce::default() }
    }

    /// The text that a plan names, from NATS.
    fn read(&mut self, name: &JourneyName, digest: &str, model: &str) -> Option<Arc<Declared>> {
        let known = self.read.get(digest).or_else(|| self.before.get(digest)).cloned();
        let declared = match known {
            Some(known) => known,
            None => Arc::new(read(name, model, &self.cluster.model(name.as_str(), digest)?)?),
        };
        self.read.insert(digest.to_owned(), Arc::clone(&declared));
        Some(declared)
    }
}

/// Whether an input is what a plan was made from. One of an earlier version says less.
fn is_made_from(input: &JourneyInput, declaration: &str, model: &str) -> bool {
    if declaration.is_empty() { input.model_digest == model } else { input.declaration == declaration }
}

fn standing(intents: &Intents, here: Option<&JourneyInput>, there: Option<&Declared>) -> Own {
    let Some(here) = here else { return Own::Absent };
    match (intents.declared(here.name.as_str()), there) {
        (Some(here), Some(there)) if here.is_older_than(there) => Own::Older,
        (Some(here), Some(there)) if there.is_older_than(here) => Own::Newer,
        _ => Own::Other,
    }
}

/// A text as a journey. What cannot be one is told: it has the digest that the plan names, so another version of this program wrote it.
fn read(name: &JourneyName, model: &str, text: &str) -> Option<Declared> {
    let problems = Problems::new();
    let declared = Declared::of_declaration(text, &format!("NATS, the model of {name}"), &problems);
    let declared = declared.filter(|it| it.intent.name == *name && it.structure_version() == model);
    if declared.is_none() {
        let problems = render_text(&problems, false);
        warn!(journey = %name, problems, "what the plan in force was made from cannot be read here; is this replica of another version?");
    }
    declared
}
