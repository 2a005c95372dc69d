//! `emac diff`: what a candidate would change.

use std::path::PathBuf;

use super::exit::Exit;
use super::inputs::{InputArgs, read_candidate};
use super::output::{Format, print_answer, print_text, valid};
use emac_compile::accept::{Comparison, markdown, text, to_json};
use emac_document::{Problem, Problems};

/// Show what a candidate would change: typed deltas with evidence, confidence and impact on A- and p99
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  emac diff --intent journeys/checkout/intent.yaml --model journeys/checkout/model.yaml --candidate journeys/checkout/candidate.yaml
  emac diff --intent intent.yaml --candidate candidate.yaml --format markdown > comment.md

Default model: the accepted model beside the intent, else what the intent declares. Differences are no failure: the exit code is 0.
A- is the lower end of the availability if components that share a failure domain may fail together.
To accept some of the deltas: emac accept --only ID.")]
pub(super) struct Args {
    #[command(flatten)]
    inputs: InputArgs,
    /// Candidate model
    #[arg(long, value_name = "FILE", conflicts_with = "preview")]
    candidate: PathBuf,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: DiffFormat,
}

/// Form of a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum DiffFormat {
    /// For a terminal
    #[default]
    Text,
    /// For programs
    Json,
    /// For a pull request
    Markdown,
}

pub(super) fn run(args: &Args) -> Exit {
    let format = if args.format == DiffFormat::Json { Format::Json } else { Format::Text };
    match answer(args, format) {
        Ok(()) => Exit::Ok,
        Err(exit) => exit,
    }
}

fn answer(args: &Args, format: Format) -> Result<(), Exit> {
    let problems = Problems::new();
    let (inputs, candidate) = (args.inputs.read(&problems), read_candidate(&args.candidate, &problems));
    if let (Some(inputs), Some(candidate)) = (&inputs, &candidate) {
        let (journey, declared) = (&candidate.model().journey, &inputs.intent().name);
        if journey.as_str() != declared.as_str() {
            let message = format!("the candidate belongs to journey {journey}, the intent to {declared}");
            problems.push(Problem::error(message).in_file(args.candidate.display().to_string()));
        }
    }
    let (inputs, candidate) = valid(inputs.zip(candidate), &problems, format)?;
    let Some(proposal) = inputs.proposal(&candidate) else { return Err(Exit::Usage) };
    let (before, after) = (inputs.compiled(), inputs.preview_of(&candidate));
    let comparison = Comparison { proposal: &proposal, before: &before, after: &after };
    match args.format {
        DiffFormat::Text => print_text(&text(&comparison)),
        DiffFormat::Json => print_answer(to_json(&comparison), &problems),
        DiffFormat::Markdown => print_text(&markdown(&comparison)),
    }
    Ok(())
}
