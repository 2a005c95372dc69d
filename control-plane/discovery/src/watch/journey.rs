//! One journey over many windows.

use std::collections::{BTreeSet, VecDeque};

use emac_core::units::Ratio;

use super::propose::{candidate, field_of, names};
use super::recurring::Recurring;
use super::status::{DeltaStatus, JourneyStatus, Observed};
use super::{Recurrence, WatchSettings};
use emac_compile::accept::{Consent, Proposal, allowed};
use emac_compile::compile::Given;
use emac_compile::declared::Declared;
use emac_compile::model::{AcceptedModel, CandidateModel, EvidenceSource, Field, Model};
use emac_document::format_timestamp;
use emac_journey::intent::Intent;

/// What a window saw of a journey.
pub(super) struct WindowModel {
    pub(super) source: EvidenceSource,
    /// Whole traces.
    pub(super) traces: u64,
    pub(super) model: Model,
}

/// What is new at a window's end.
#[derive(Default)]
pub(super) struct Judged {
    pub(super) candidate: Option<CandidateModel>,
    pub(super) accepted: Option<AcceptedModel>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Watched {
    /// Digest of the intent; another one is another journey.
    intent: String,
    base: Option<String>,
    recurring: Recurring,
    /// What the remembered windows saw, newest last.
    seen: VecDeque<CandidateModel>,
    /// What the candidate was made of: the accepted model, and names of changes.
    made_of: Option<(Option<String>, BTreeSet<String>)>,
    status: JourneyStatus,
}

impl WindowModel {
    /// Which of two sources is believed: the one that saw more components, then more traces.
    pub(super) fn is_better_than(&self, other: &Self) -> bool {
        let coverage = |found: &Self| found.model.edge_coverage.map_or(0.0, Ratio::get);
        (coverage(self), self.traces) > (coverage(other), other.traces)
    }

    fn observed(&self) -> Observed {
        let operators = self.model.findings.iter().filter_map(|(field, finding)| match field {
            Field::Operator(text) => Some((text.clone(), finding.provenance.clone())),
            _ => None,
        });
        Observed {
            source: self.source,
            traces: self.traces,
            expression: self.model.structure.as_ref().map(ToString::to_string),
            operators: operators.collect(),
            confidence: self.model.confidence.overall.map(Ratio::get),
            disagreements: self.model.disagreements.clone(),
        }
    }
}

/// By how much a window must be surer for the candidate to be written anew: confidence only rises so, and by few steps.
const SURER: f64 = 0.05;

fn is_surer(now: Option<f64>, before: Option<f64>) -> bool {
    now.is_some_and(|now| before.is_none_or(|before| now >= before + SURER))
}

impl Watched {
    pub(super) fn new(intent: &Intent) -> Self {
        Self {
            intent: intent.digest.clone(),
            base: None,
            recurring: Recurring::default(),
            seen: VecDeque::new(),
            made_of: None,
            status: JourneyStatus { said: "no window completed yet".to_owned(), ..JourneyStatus::default() },
        }
    }

    pub(super) fn status(&self) -> JourneyStatus {
        self.status.clone()
    }

    /// Takes a window; `found`: what it saw of this journey, if anything.
    pub(super) fn judge(
        &mut self,
        settings: &WatchSettings,
        found: Option<WindowModel>,
        journey: &Declared,
        given: Given<'_>,
    ) -> Judged {
        let (intent, before) = (&journey.intent, journey.agreed());
        if self.intent != intent.digest {
            *self = Self::new(intent);
        }
        self.follow(&settings.recurrence, before, intent);
        let traces = found.as_ref().map_or(0, |found| found.traces);
        match found.filter(|found| found.traces >= settings.traces_min) {
            Some(found) => self.take(&settings.recurrence, found, before, intent),
            None => {
                self.status.said =
                    format!("too few traces: {traces}, a window needs {}", settings.traces_min);
            }
        }
        let mut judged = Judged::default();
        if self.recurring.windows() >= settings.recurrence.windows as usize {
            self.propose(before, intent, given, &mut judged);
        }
        let waiting = self.recurring.waiting(&settings.recurrence).into_iter();
        self.status.waiting = waiting.map(|(name, seen)| (field_of(&name).to_owned(), seen)).collect();
        judged
    }

    /// Compares what is remembered anew when the accepted model has changed.
    fn follow(&mut self, settings: &Recurrence, before: &AcceptedModel, intent: &Intent) {
        let version = before.version().map(str::to_owned);
        if self.base != version {
            let windows: Vec<_> = self.seen.iter().map(|seen| names(before, seen, intent)).collect();
            self.recurring.rename(settings, windows);
            self.base = version;
        }
        self.status.base.clone_from(&self.base);
    }

    fn take(&mut self, settings: &Recurrence, found: WindowModel, before: &AcceptedModel, intent: &Intent) {
        self.status.windows += 1;
        self.status.observed = Some(found.observed());
        let seen = CandidateModel::new(found.model, None);
        self.recurring.window(settings, names(before, &seen, intent));
        self.seen.push_back(seen);
        while self.seen.len() > settings.remembered() {
            self.seen.pop_front();
        }
        let (proposed, traces) = (self.recurring.kept().len(), found.traces);
        self.status.said = format!("{traces} traces processed, {proposed} changes proposed");
    }

    /// Makes a new candidate when what is proposed has changed, or when the same can be said with more confidence. Where two changes of one field are proposed, because evidence wavers, the newest window
    /// decides once, and its word stands until one of the two is withdrawn.
    fn propose(&mut self, before: &AcceptedModel, intent: &Intent, given: Given<'_>, judged: &mut Judged) {
        let made_of = Some((self.base.clone(), self.recurring.kept().clone()));
        let windows: Vec<&CandidateModel> = self.seen.iter().collect();
        let model = match candidate(before, &windows, self.recurring.kept(), intent) {
            Ok(model) => model,
            Err(reason) => {
                self.status.said = format!("the proposed changes do not form a valid model yet: {reason}");
                return;
            }
        };
        let confidence = model.confidence.overall.map(Ratio::get);
        if self.made_of == made_of && !is_surer(confidence, self.status.confidence) {
            return;
        }
        self.status.confidence = confidence;
        let made = CandidateModel::new(model, self.base.clone());
        let mut proposal = Proposal::new(before, &made, Some(intent));
        proposal.predict(intent, given);
        self.status.deltas = proposal.deltas.iter().map(DeltaStatus::of).collect();
        self.status.candidate = Some(made.version().to_owned());
        judged.accepted = self.by_policy(&proposal, intent, given);
        self.made_of = made_of;
        judged.candidate = Some(made);
    }

    /// The model that the intent lets a policy agree to.
    fn by_policy(
        &mut self,
        proposal: &Proposal<'_>,
        intent: &Intent,
        given: Given<'_>,
    ) -> Option<AcceptedModel> {
        self.status.policy = None;
        if proposal.deltas.is_empty() {
            return None;
        }
        let at = format_timestamp(given.now_unix_ms);
        let agreed = allowed(proposal, intent, given).map_err(|reason| reason.to_string()).and_then(|all| {
            let consent = Consent { by: "policy", at: &at };
            proposal.accept(&all, Some(intent), consent).map_err(|refusal| refusal.to_string())
        });
        agreed.map_err(|reason| self.status.policy = Some(reason)).ok()
    }
}
