//! The summary for people, fit for a pull request.

use std::fmt::Write as _;

use super::Artifact;
use super::prometheus::{Dialect, Sli};
use crate::compile::{Bounds, Compiled, exact8};
use emac_document::format_duration;

/// Markdown.
pub(super) fn summary(
    compiled: &Compiled<'_>,
    sli: &Sli,
    dialect: Dialect,
    artifacts: &[Artifact],
) -> String {
    let mut text = format!("# Journey {}: {}\n\n", sli.journey, compiled.decision.verdict.label());
    if compiled.preview {
        text.push_str("**PREVIEW**: the model is a candidate that has not been accepted.\n\n");
    }
    let _ = writeln!(text, "`{}`\n\n![the journey](journey.svg)\n", compiled.structure);
    let window = format_duration(sli.period);
    let _ = writeln!(text, "Objective: {} of requests succeed over {window}.\n", percent(sli.target.get()));
    compiled.decision.reasons.iter().for_each(|reason| {
        let _ = writeln!(text, "- {reason}");
    });
    if let Some(bounds) = &compiled.bounds {
        numbers(&mut text, bounds);
        parts(&mut text, bounds);
    }
    let of_artifacts = super::notes(compiled, dialect);
    list(&mut text, "Notes", compiled.decision.notes.iter().chain(&of_artifacts).map(String::as_str));
    list(&mut text, "Generated", artifacts.iter().map(|artifact| artifact.path.as_str()));
    text
}

fn percent(share: f64) -> String {
    format!("{} %", (share * 1e8).round() / 1e6)
}

fn numbers(text: &mut String, bounds: &Bounds) {
    text.push_str("\n| availability if | lower | upper |\n|---|---|---|\n");
    let mut row = |name: &str, lo: f64, hi: f64| {
        let _ = writeln!(text, "| {name} | {} | {} |", exact8(lo), exact8(hi));
    };
    row(
        "components fail independently (A+ is the upper end)",
        bounds.independent.lo(),
        bounds.independent.hi(),
    );
    row(
        "components that share a failure domain may fail together (A- is the lower end)",
        bounds.domain_envelope.lo(),
        bounds.domain_envelope.hi(),
    );
    row("any dependence between failures", bounds.any_dependence.lo(), bounds.any_dependence.hi());
    if let Some(Ok(cause)) = bounds.common_cause {
        row("failure domains cause their stated share of failures (beta)", cause.lo(), cause.hi());
    }
    for (domain, beta) in &bounds.break_even {
        if let Some(beta) = beta {
            let _ = writeln!(
                text,
                "\nThe objective is met while `{domain}` causes less than {} of its members' failures.",
                percent(*beta)
            );
        }
    }
    if let Some(change) = &bounds.restoring {
        let (from, to) = (exact8(change.from), exact8(change.to));
        let _ = writeln!(
            text,
            "\nSmallest change that restores the objective: `{}` from {from} to {to}.",
            change.component
        );
    }
}

fn parts(text: &mut String, bounds: &Bounds) {
    text.push_str(
        "\n| component | availability gained if it never failed | unavailability allowed |\n|---|---|---|\n",
    );
    for part in bounds.attribution.iter().take(20) {
        let budget =
            bounds.budget.as_ref().and_then(|split| split.iter().find(|(name, _)| *name == part.component));
        let budget = budget.map_or_else(|| "-".to_owned(), |(_, share)| percent(*share));
        let _ = writeln!(text, "| {} | {} | {budget} |", part.component, percent(part.gain));
    }
}

fn list<'a>(text: &mut String, title: &str, items: impl Iterator<Item = &'a str>) {
    let items: Vec<_> = items.map(|item| format!("- {item}\n")).collect();
    if !items.is_empty() {
        let _ = write!(text, "\n## {title}\n\n{}", items.concat());
    }
}
