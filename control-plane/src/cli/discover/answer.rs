//! What was found, for people and for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::draft::Draft;
use super::files::Written;
use emac_compile::model::{CandidateModel, Field, Model, Status};
use emac_discovery::discover::observe::Left;
use emac_discovery::discover::{Crowd, Discovered, Generalized, LeftOut};
use emac_trace::SignalQuality;

/// Most doubtful fields that are told one by one; the file has all.
const DOUBTS_MAX: usize = 8;

/// Everything there is to say.
pub(super) struct Answer<'a> {
    pub(super) candidates: &'a [(Discovered, CandidateModel)],
    /// As `candidates`.
    pub(super) written: &'a [Option<Written>],
    /// Intents that were drafted.
    pub(super) drafts: &'a [Draft],
    pub(super) quality: &'a SignalQuality,
    /// What did not fit.
    pub(super) dropped: Left,
    /// Objects of mesh and cluster that were passed over, by kind.
    pub(super) passed_over: &'a BTreeMap<String, u64>,
    /// Operations that became one.
    pub(super) generalized: &'a [Generalized],
    /// Operations that look alike and stay apart.
    pub(super) crowds: &'a [Crowd],
    /// Journeys that were found and not wanted.
    pub(super) left: &'a [LeftOut],
    /// Candidates of other runs in the folder.
    pub(super) stale: &'a [PathBuf],
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
        self.names(&mut text);
        for ((one, candidate), written) in self.candidates.iter().zip(self.written) {
            let _ = writeln!(text, "\n{}", journey(one, candidate.model(), written.as_ref()));
            for draft in self.drafts.iter().filter(|draft| draft.journey == one.name) {
                let _ = writeln!(text, "  {draft}");
            }
        }
        self.not_written(&mut text);
        text
    }

    /// What was made of names with ids in them.
    fn names(&self, text: &mut String) {
        const TOLD_MAX: usize = 10;
        for Generalized { service, template, operations, examples } in self.generalized.iter().take(TOLD_MAX)
        {
            let _ = writeln!(
                text,
                "{}",
                one_line(&format!(
                    "{service}: {operations} operations taken for {template} ({})",
                    some_of(examples, *operations)
                ))
            );
        }
        if let Some(more) = self.generalized.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
            let _ = writeln!(
                text,
                "{more} more templates were made of operations with ids; --format json has all"
            );
        }
        for Crowd { service, template, operations, examples } in self.crowds.iter().take(TOLD_MAX) {
            let _ = writeln!(
                text,
                "{}",
                one_line(&format!(
                    "{service}: {operations} operations {template} stay apart ({}); if these are ids, let spans say the route (http.route)",
                    some_of(examples, *operations)
                ))
            );
        }
    }

    /// Journeys that are not among the files, and files that are none of these journeys.
    fn not_written(&self, text: &mut String) {
        let told = |all: &[&LeftOut]| super::listed(&all.iter().map(|one| entry_of(one)).collect::<Vec<_>>());
        let (number, entry): (Vec<_>, Vec<_>) = self.left.iter().partition(|one| one.for_number);
        if !number.is_empty() {
            let _ = writeln!(
                text,
                "\n{} more journeys were found and not written (--max-journeys writes more, --entry chooses): {}",
                number.len(),
                told(&number)
            );
        }
        if !entry.is_empty() {
            let _ = writeln!(text, "\n{} journeys enter elsewhere (--entry): {}", entry.len(), told(&entry));
        }
        if !self.stale.is_empty() {
            let names: Vec<_> = self.stale.iter().map(|path| path.display().to_string()).collect();
            let _ = writeln!(text, "\nof other runs, left as they are: {}", super::listed(&names));
        }
    }

    fn left_out(&self) -> [(u64, &'static str); 4] {
        let Left { sites, shapes, fan_out, deep } = self.dropped;
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
                "draft": self.drafts.iter().find(|draft| draft.journey == one.name).map(Draft::to_value),
            })
        });
        let Left { sites, shapes, fan_out, deep } = self.dropped;
        json!({
            "journeys": journeys.collect::<Vec<_>>(),
            "signal": self.quality.to_value(),
            "passedOver": self.passed_over,
            "templates": self.generalized.iter().map(|one| alike(&one.service, &one.template, one.operations, &one.examples)).collect::<Vec<_>>(),
            "alike": self.crowds.iter().map(|one| alike(&one.service, &one.template, one.operations, &one.examples)).collect::<Vec<_>>(),
            "notWritten": self.left.iter().map(left_out).collect::<Vec<_>>(),
            "ofOtherRuns": self.stale.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
            "leftOut": {"sites": sites, "shapes": shapes, "fanOut": fan_out, "deep": deep},
        })
    }
}

fn alike(service: &str, template: &str, operations: u64, examples: &[String]) -> Value {
    json!({"service": service, "template": template, "operations": operations, "examples": examples})
}

fn left_out(one: &LeftOut) -> Value {
    json!({
        "journey": one.name,
        "entry": {"service": one.entry.0, "operation": one.entry.1},
        "traces": one.traces,
        "why": if one.for_number { "number" } else { "entry" },
    })
}

/// A journey that was left out, with where it enters.
pub(super) fn entry_of(one: &LeftOut) -> String {
    let (service, operation) = &one.entry;
    format!("{} (entry {}, {} traces)", one.name, one_line(&format!("{service} {operation}")), one.traces)
}

/// Names come from traces: nothing in them ends a line or commands a terminal.
pub(super) fn one_line(text: &str) -> String {
    let ends = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.chars().map(|c| if ends(c) { ' ' } else { c }).collect()
}

/// Examples, with a sign that there are more.
fn some_of(examples: &[String], all: u64) -> String {
    let more = if all > examples.len() as u64 { ", ..." } else { "" };
    format!("{}{more}", examples.join(", "))
}

fn journey(one: &Discovered, model: &Model, written: Option<&Written>) -> String {
    let declared = if one.declared.is_some() { "declared" } else { "proposed: not declared" };
    let confidence = model.confidence.overall.map_or(0.0, emac_core::units::Ratio::get);
    let structure = model.structure.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut text = format!(
        "{} ({declared}; {} traces, entry {})\n  {structure}\n  confidence {confidence:.2}",
        one.name,
        one.traces,
        one_line(&format!("{} {}", one.entry.0, one.entry.1))
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
