//! `emac log`: how models came to be, newest first.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::exit::Exit;
use super::inputs::read_accepted;
use super::output::{Format, print_answer, print_line, valid};
use emac_compile::model::{Acceptance, AcceptedModel};
use emac_document::Problems;

/// Show the lineage of accepted models, newest first: who accepted which deltas, when, from which candidate
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  emac log journeys/checkout/model.yaml
  emac log journeys/*/model.yaml --format json")]
pub(super) struct Args {
    /// Accepted models
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Exit {
    let problems = Problems::new();
    let models = read_accepted(&args.models, &problems);
    let models = match valid(Some(models), &problems, args.format) {
        Ok(models) => models,
        Err(exit) => return exit,
    };
    match args.format {
        Format::Text => models.iter().for_each(show),
        Format::Json => {
            let models: Vec<Value> = models.iter().map(to_json).collect();
            print_answer(json!({"models": models}), &problems);
        }
    }
    Exit::Ok
}

/// Versions with how they came to be, newest first.
fn versions(model: &AcceptedModel) -> Vec<(&str, Option<&Acceptance>)> {
    let record = model.record();
    let newest = model.version().map(|version| (version, record.map(|record| &record.acceptance)));
    let lineage = record.map(|record| record.lineage.as_slice()).unwrap_or_default();
    let before = lineage.iter().rev().map(|one| (one.version.as_str(), one.acceptance.as_ref()));
    newest.into_iter().chain(before).collect()
}

fn show(model: &AcceptedModel) {
    print_line(format!("journey {}", model.model().journey));
    for (version, acceptance) in versions(model) {
        let Some(acceptance) = acceptance else {
            print_line(format!("version {version}\n  written by hand, not accepted with emac"));
            continue;
        };
        let Acceptance { at, by, candidate, deltas, .. } = acceptance;
        print_line(format!("version {version}\n  {at} by {by}, candidate {candidate}"));
        deltas.iter().for_each(|taken| print_line(format!("  {}  {}", taken.id, taken.change)));
    }
}

fn to_json(model: &AcceptedModel) -> Value {
    let entry = |(version, acceptance): &(&str, Option<&Acceptance>)| {
        let deltas = |acceptance: &Acceptance| {
            let one = acceptance.deltas.iter().map(|taken| json!({"id": taken.id, "change": taken.change}));
            one.collect::<Value>()
        };
        json!({
            "version": version,
            "parent": acceptance.and_then(|acceptance| acceptance.parent.as_deref()),
            "by": acceptance.map(|acceptance| acceptance.by.as_str()),
            "at": acceptance.map(|acceptance| acceptance.at.as_str()),
            "candidate": acceptance.map(|acceptance| acceptance.candidate.as_str()),
            "intent": acceptance.and_then(|acceptance| acceptance.intent.as_deref()),
            "deltas": acceptance.map(deltas),
        })
    };
    let versions = versions(model);
    json!({"journey": model.model().journey, "sealed": model.is_sealed(), "versions": versions.iter().map(entry).collect::<Value>()})
}
