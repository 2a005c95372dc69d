//! One journey over many windows.

use std::collections::{BTreeSet, VecDeque};

use emac_core::units::Ratio;
use serde_json::{Value, json};

use super::memory::{self, Forgotten};
use super::propose::{candidate, field_of, names};
use super::recurring::Recurring;
use super::status::{DeltaStatus, JourneyStatus, Observed, TogetherStatus};
use super::{Recurrence, WatchSettings};
use emac_compile::accept::{Consent, Proposal, allowed};
use emac_compile::compile::Given;
use emac_compile::declared::Declared;
use emac_compile::model::{AcceptedModel, CandidateModel, EvidenceSource, Field, Model};
use emac_document::format_timestamp;
use emac_journey::intent::Intent;

/// Version of the accepted model, and names of changes to it.
pub(super) type MadeOf = (Option<String>, BTreeSet<String>);

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
    /// What the remembered windows saw, newest last; as many as `recurring` remembers.
    seen: VecDeque<CandidateModel>,
    /// What the candidate was made of: the accepted model, and names of changes.
    made_of: Option<MadeOf>,
    /// The candidate as it was last handed out.
    pub(super) candidate: Option<CandidateModel>,
    /// The policy was asked about it.
    asked: bool,
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
    /// Nothing seen, in windows of so many steps.
    pub(super) fn new(intent: &Intent, steps: u64) -> Self {
        Self {
            intent: intent.digest.clone(),
            base: None,
            recurring: Recurring::new(steps),
            seen: VecDeque::new(),
            made_of: None,
            candidate: None,
            asked: false,
            status: JourneyStatus { said: "no window completed yet".to_owned(), ..JourneyStatus::default() },
        }
    }

    /// What each remembered window saw, oldest first.
    #[cfg(test)]
    pub(super) fn window_models(&self) -> impl Iterator<Item = &CandidateModel> {
        self.seen.iter()
    }

    /// What is written down of it, see [`super::memory`].
    pub(super) fn memory(&self) -> Value {
        let seen =
            self.recurring.seen().iter().zip(&self.seen).map(
                |((step, names), model)| json!({"step": step, "names": names, "model": model.document()}),
            );
        let made_of = self.made_of.as_ref().map(|(base, names)| json!({"base": base, "names": names}));
        json!({
            "intent": self.intent,
            "base": self.base,
            "spoken": self.status.windows,
            "said": self.status.said,
            "kept": self.recurring.kept(),
            "seen": seen.collect::<Vec<_>>(),
            "candidate": self.candidate.as_ref().map(CandidateModel::document),
            "made_of": made_of,
            "confidence": self.status.confidence,
        })
    }

    /// As it was written down, weighed by what is promised and accepted now.
    pub(super) fn restore(
        written: &Value,
        settings: &WatchSettings,
        journey: &Declared,
        given: Given<'_>,
    ) -> Result<Self, Forgotten> {
        let intent = &journey.intent;
        let mut watched = Self::new(intent, settings.steps());
        let text = |value: &Value| value.as_str().map(str::to_owned);
        if text(&written["intent"]).as_ref() != Some(&intent.digest) {
            return Err(Forgotten("its intent has changed since".to_owned()));
        }
        let (mut keys, mut seen) = (VecDeque::new(), VecDeque::new());
        for window in memory::list(&written["seen"]) {
            let step = window["step"].as_u64();
            let step = step.ok_or_else(|| Forgotten("a window without `step`".to_owned()))?;
            keys.push_back((step, memory::words(&window["names"])));
            seen.push_back(memory::candidate(&window["model"])?);
        }
        watched.recurring = Recurring::restored(settings.steps(), keys, memory::words(&written["kept"]));
        watched.seen = seen;
        watched.tell_waiting(&settings.recurrence);
        watched.base = text(&written["base"]);
        watched.status.base.clone_from(&watched.base);
        watched.status.windows = written["spoken"].as_u64().unwrap_or_default();
        watched.status.said = text(&written["said"]).unwrap_or_default();
        watched.status.confidence = written["confidence"].as_f64();
        if let Some(made_of) = written["made_of"].as_object() {
            let made = memory::candidate(&written["candidate"])?;
            watched.made_of = Some((
                made_of.get("base").and_then(text),
                memory::words(made_of.get("names").unwrap_or(&Value::Null)),
            ));
            if made.base() == journey.agreed().version() {
                // The policy is asked at the next window's end: whether it was before is not known.
                watched.predict(&made, journey.agreed(), intent, given);
            }
            watched.candidate = Some(made);
        }
        Ok(watched)
    }

    pub(super) fn status(&self) -> JourneyStatus {
        self.status.clone()
    }

    /// Takes the window `number`; `found`: what it saw of this journey, if anything.
    pub(super) fn judge(
        &mut self,
        settings: &WatchSettings,
        (number, found): (u64, Option<WindowModel>),
        journey: &Declared,
        given: Given<'_>,
    ) -> Judged {
        let (intent, before) = (&journey.intent, journey.agreed());
        if self.intent != intent.digest {
            *self = Self::new(intent, settings.steps());
        }
        self.follow(&settings.recurrence, before, intent);
        let traces = found.as_ref().map_or(0, |found| found.traces);
        match found.filter(|found| found.traces >= settings.traces_min) {
            Some(found) => self.take(&settings.recurrence, (number, found), before, intent),
            None => {
                self.status.said =
                    format!("too few traces: {traces}, a window needs {}", settings.traces_min);
            }
        }
        let mut judged = Judged::default();
        if self.recurring.windows() >= settings.recurrence.windows as usize {
            self.propose(before, intent, given, &mut judged);
        }
        self.tell_waiting(&settings.recurrence);
        judged
    }

    fn tell_waiting(&mut self, settings: &Recurrence) {
        let waiting = self.recurring.waiting(settings).into_iter();
        self.status.waiting = waiting.map(|(name, seen)| (field_of(&name).to_owned(), seen)).collect();
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

    fn take(
        &mut self,
        settings: &Recurrence,
        (number, found): (u64, WindowModel),
        before: &AcceptedModel,
        intent: &Intent,
    ) {
        self.status.windows += 1;
        self.status.observed = Some(found.observed());
        let seen = CandidateModel::new(found.model, None);
        self.recurring.window(settings, number, names(before, &seen, intent));
        self.seen.push_back(seen);
        while self.seen.len() > self.recurring.seen().len() {
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
            if let Some(made) = self.candidate.take() {
                judged.accepted = self.weigh(&made, before, intent, given, false);
                self.candidate = Some(made);
            }
            return;
        }
        self.status.confidence = confidence;
        let made = CandidateModel::new(model, self.base.clone());
        judged.accepted = self.weigh(&made, before, intent, given, true);
        self.made_of = made_of;
        self.candidate = Some(made.clone());
        judged.candidate = Some(made);
    }

    /// What the candidate would do to the journey's numbers, and what the policy says of it. It is asked when the candidate is new, or when what it would
    /// do has changed: with other promises the same change may matter more, or less.
    fn weigh(
        &mut self,
        made: &CandidateModel,
        before: &AcceptedModel,
        intent: &Intent,
        given: Given<'_>,
        is_new: bool,
    ) -> Option<AcceptedModel> {
        let known = std::mem::take(&mut self.status.deltas);
        let proposal = self.predict(made, before, intent, given);
        let asks = is_new || !self.asked || known != self.status.deltas;
        self.asked = true;
        if asks { self.by_policy(&proposal, intent, given) } else { None }
    }

    fn predict<'a>(
        &mut self,
        made: &'a CandidateModel,
        before: &'a AcceptedModel,
        intent: &Intent,
        given: Given<'_>,
    ) -> Proposal<'a> {
        let mut proposal = Proposal::new(before, made, Some(intent));
        proposal.predict(intent, given);
        self.status.deltas = proposal.deltas.iter().map(DeltaStatus::of).collect();
        let together = (!proposal.deltas.is_empty()).then(|| proposal.together(intent, given));
        self.status.together = together.map(TogetherStatus::of);
        self.status.candidate = Some(made.version().to_owned());
        proposal
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
