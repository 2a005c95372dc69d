//! What was found, for people and for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::files::Written;
use emac_compile::model::{CandidateModel, Field, Model, Status};
use emac_discovery::discover::Discovered;
use emac_discovery::discover::observe::Left;
use emac_trace::SignalQuality;

/// Most doubtful fields that are told one by one; the file has all.
const DOUBTS_MAX: usize = 8;

/// Everything there is to say.
pub(super) struct Answer<'a> {
    pub(super) candidates: &'a [(Discovered, CandidateModel)],
    /// As `candidates`.
    pub(super) written: &'a [Option<Written>],
    pub(super) quality: &'a SignalQuality,
    /// What did not fit.
    pub(super) left: Left,
    /// Objects of mesh and cluster that were passed over, by kind.
    pub(super) passed_over: &'a BTreeMap<String, u64>,
}

impl Answer<'_> {
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}\n", self.quality.to_string().trim_end());
        for (count, what) in self.left_out().into_iter().filter(|(count, _)| *count > 0) {
            let _ = writeln!(text, "dropped, over the limit: {count} {what}");
        }
        if !self.passed_over.is_empty() {
            let kinds: Vec<_> =
                self.passed_over.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            let _ = writeln!(text, "mesh and cluster: passed over, not understood: {}", kinds.join(", "));
        }
        for ((one, candidate), written) in self.candidates.iter().zip(self.written) {
            let _ = writeln!(text, "\n{}", journey(one, candidate.model(), written.as_ref()));
        }
        text
    }

    fn left_out(&self) -> [(u64, &'static str); 4] {
        let Left { sites, shapes, fan_out, deep } = self.left;
        [
            (sites, "calls at sites beyond the limit"),
            (shapes, "traces of shapes beyond the limit"),
            (fan_out, "calls of callers with too many calls"),
            (deep, "calls nested too deeply"),
        ]
    }

    pub(super) fn json(&self) -> Value {
        let journeys = self.candidates.iter().zip(self.written).map(|((one, candidate), written)| {
            let model = candidate.model();
            json!({
                "journey": one.name,
                "declared": one.declared.is_some(),
                "entry": {"service": one.entry.0, "operation": one.entry.1},
                "traces": one.traces,
                "expression": model.structure.as_ref().map(ToString::to_string),
                "confidence": model.confidence.overall.map(emac_core::units::Ratio::get),
                "version": candidate.version(),
                "unresolved": doubtful(model),
                "disagreements": model.disagreements.len(),
                "candidate": written.as_ref().map(|written| written.candidate.display().to_string()),
                "picture": written.as_ref().map(|written| written.picture.display().to_string()),
            })
        });
        let Left { sites, shapes, fan_out, deep } = self.left;
        json!({
            "journeys": journeys.collect::<Vec<_>>(),
            "signal": self.quality.to_value(),
            "passedOver": self.passed_over,
            "leftOut": {"sites": sites, "shapes": shapes, "fanOut": fan_out, "deep": deep},
        })
    }
}

fn journey(one: &Discovered, model: &Model, written: Option<&Written>) -> String {
    let declared = if one.declared.is_some() { "declared" } else { "proposed: not declared" };
    let confidence = model.confidence.overall.map_or(0.0, emac_core::units::Ratio::get);
    let structure = model.structure.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut text = format!(
        "{} ({declared}; {} traces, entry {} {})\n  {structure}\n  confidence {confidence:.2}",
        one.name, one.traces, one.entry.0, one.entry.1
    );
    match written {
        Some(written) => {
            let (candidate, picture) = (written.candidate.display(), written.picture.display());
            let _ = write!(text, "; candidate {candidate}, picture {picture}");
        }
        None => text.push_str("; not written: the output file is for the declared journey"),
    }
    let doubtful = doubtful(model);
    for field in doubtful.iter().take(DOUBTS_MAX) {
        let _ = write!(text, "\n  - {field}");
    }
    if let Some(more) = doubtful.len().checked_sub(DOUBTS_MAX).filter(|more| *more > 0) {
        let _ = write!(text, "\n  - {more} more in the file");
    }
    for disagreement in &model.disagreements {
        let (field, declared, observed) =
            (&disagreement.field, &disagreement.declared, &disagreement.observed);
        let _ = write!(text, "\n  ! {field}: the intent declares {declared}, evidence shows {observed}");
    }
    text
}

/// Fields that may not act, with why. Domains bear on bounds where components stand in for each other, and are told there alone.
fn doubtful(model: &Model) -> Vec<String> {
    let redundant: BTreeSet<_> = model.redundancy.iter().flat_map(|redundancy| &redundancy.group).collect();
    let bears = |field: &Field| !matches!(field, Field::Domains(name) if !redundant.contains(name));
    let doubtful =
        model.findings.iter().filter(|(field, finding)| finding.status != Status::Identified && bears(field));
    let told = doubtful.map(|(field, finding)| {
        let says: Vec<_> = finding.provenance.iter().map(|one| one.says.as_str()).collect();
        format!("{} {field} ({:.2}): {}", finding.status.label(), finding.confidence.get(), says.join("; "))
    });
    told.collect()
}
