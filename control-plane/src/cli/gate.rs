//! `emac gate`: PASS, FAIL or REVIEW as an exit code.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::exit::Exit;
use super::inputs::{InputArgs, JudgedModel, read_candidate};
use super::output::{Format, complain, print_answer, print_line, valid};
use emac_compile::accept::{Delta, Proposal, Shift};
use emac_compile::compile::{Compiled, Verdict, exact8, guard_report};
use emac_document::Problems;
use emac_journey::guard::ledger::{Ledger, LedgerError, Record};

/// Decide whether a journey's objectives hold: exit 0 PASS, 2 FAIL, 3 REVIEW
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  emac gate --intent journeys/checkout/intent.yaml
  emac gate --intent journeys/checkout/intent.yaml --model accepted-elsewhere.yaml
  emac gate --intent intent.yaml --slo slos --format json
  emac gate --intent intent.yaml --ledger actions.jsonl

Without --model the gate judges what `emac serve` enforces, and says which model that is.
With --ledger, what every guard was told and said is on the disk before anything is printed; a ledger whose chain is broken
is refused (65), one that cannot be written ends the gate (1).")]
pub(super) struct Args {
    #[command(flatten)]
    inputs: InputArgs,
    /// Candidate to consider beside the model: if it would change A- by 0.001 or more, PASS becomes REVIEW
    #[arg(long, value_name = "FILE", conflicts_with = "preview")]
    candidate: Option<PathBuf>,
    /// Append the inputs and results of action guards to this ledger file
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Exit {
    let problems = Problems::new();
    let inputs = args.inputs.read(&problems);
    let candidate = args.candidate.as_ref().and_then(|file| read_candidate(file, &problems));
    let inputs = match valid(inputs, &problems, args.format) {
        Ok(inputs) => inputs,
        Err(exit) => return exit,
    };
    let mut compiled = inputs.compiled();
    if let Some(candidate) = &candidate {
        let pending = inputs.proposal(candidate).map(|proposal| pending(&proposal)).unwrap_or_default();
        compiled = compiled.beside(&inputs.preview_of(candidate)).held_up(pending);
    }
    if let Some(file) = &args.ledger
        && let Err(error) = record(file, &compiled.records(inputs.now_unix_ms()))
    {
        complain(&error);
        return match error {
            LedgerError::Broken { .. } => Exit::InvalidInput,
            LedgerError::Io { .. } => Exit::Runtime,
        };
    }
    match args.format {
        Format::Text => show(&compiled, &inputs.judged()),
        Format::Json => print_answer(answer(&compiled, &inputs.judged()), &problems),
    }
    exit(&compiled)
}

/// Deltas of high or unknown impact, each with what it would do.
fn pending(proposal: &Proposal<'_>) -> Vec<String> {
    let said = |delta: &Delta| {
        let (id, change) = (&delta.id, &delta.change);
        match delta.impact.as_ref().map(|impact| &impact.a_minus) {
            Some(Ok(Shift { before, after })) => {
                let (before, after) = (exact8(*before), exact8(*after));
                format!(
                    "unresolved high-impact delta {id} ({change}): A- would change from {before} to {after}"
                )
            }
            Some(Err(reason)) => format!("unresolved delta {id} ({change}) of unknown impact: {reason}"),
            None => format!("unresolved delta {id} ({change})"),
        }
    };
    proposal.pending().map(said).collect()
}

/// Before anything acts on the answers.
fn record(file: &Path, records: &[Record]) -> Result<(), LedgerError> {
    let mut ledger = Ledger::open(file)?;
    if ledger.recovered() > 0 {
        let bytes = ledger.recovered();
        complain(format!("{}: {bytes} bytes of an incomplete last line moved to .torn", file.display()));
    }
    let head = ledger.append(records)?;
    let count = records.len();
    complain(format!(
        "{}: {count} entries added, {} in total, last digest {}",
        file.display(),
        head.sequence,
        head.digest
    ));
    Ok(())
}

/// A preview never passes, and what cannot be assessed is for a person.
fn exit(compiled: &Compiled<'_>) -> Exit {
    match compiled.decision.verdict {
        Verdict::Pass if !compiled.preview => Exit::Ok,
        Verdict::Fail => Exit::Fail,
        Verdict::Pass | Verdict::Review | Verdict::Unassessable => Exit::Review,
    }
}

fn show(compiled: &Compiled<'_>, judged: &JudgedModel) {
    let mark = if compiled.preview { "PREVIEW " } else { "" };
    print_line(format!("{mark}{} {}", compiled.decision.verdict.label(), compiled.intent.name));
    print_line(judged);
    if let Some(bounds) = &compiled.bounds {
        print_line(format!("A+ {}  if components fail independently", exact8(bounds.a_plus())));
        let minus = exact8(bounds.a_minus());
        print_line(format!(
            "A- {minus}  lower end if components that share a failure domain may fail together"
        ));
    }
    compiled.decision.reasons.iter().for_each(|reason| print_line(format!("- {reason}")));
    for (action, evaluation) in &compiled.guards {
        let (answer, why) = evaluation.answer.said();
        let why = why.map_or_else(String::new, |why| format!(", {why}"));
        print_line(format!("guard of {action}: {answer}{why}"));
    }
}

fn answer(compiled: &Compiled<'_>, judged: &JudgedModel) -> serde_json::Value {
    let ends = compiled.bounds.as_ref().map(|bounds| (bounds.a_plus(), bounds.a_minus()));
    let round = |value: f64| (value * 1e8).round() / 1e8;
    let guards = compiled.guards.iter().map(|(action, evaluation)| guard_report(action, evaluation));
    json!({
        "journey": compiled.intent.name.as_str(),
        "model": judged.json(),
        "verdict": compiled.decision.verdict.label(),
        "preview": compiled.preview,
        "A_plus": ends.map(|(plus, _)| round(plus)),
        "A_minus": ends.map(|(_, minus)| round(minus)),
        "confidence": compiled.model.confidence.overall.map(emac_core::units::Ratio::get),
        "reasons": compiled.decision.reasons,
        "notes": compiled.decision.notes,
        "guards": guards.collect::<Vec<_>>(),
    })
}
