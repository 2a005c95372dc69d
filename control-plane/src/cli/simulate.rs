//! `emac simulate`: what a model's availability would be, and what is left when containers are stopped.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::exit::Exit;
use super::output::{Format, complain, print_answer, print_line, valid};
use emac_compile::model::{AcceptedModel, CANDIDATE_KIND, CandidateModel, Model};
use emac_compile::simulate::{
    Estimate, Profile, SimulationSettings, StopAmount, SweepPoint, World, availability, fail_stop, read,
    threads, to_json,
};
use emac_document::{Document, Limits, Problem, Problems, read_file};

/// Simulate a model by Monte Carlo: failures of replicas, calls and domains, fail-stop sweeps, with confidence intervals
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  emac simulate --model journeys/checkout/model.yaml --profile what-if.yaml
  emac simulate --model model.yaml --trials 1000000 --seed 7 --format json")]
pub(super) struct Args {
    /// Model, accepted or candidate
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Simulation profile: replicas, availabilities, domains, endpoints, containers to stop
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Number of trials per estimate
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    trials: u64,
    /// Seed; the same seed gives the same numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Exit {
    let problems = Problems::new();
    let model = model(&args.model, &problems);
    let profile = match &args.profile {
        Some(file) => first(file, &problems).and_then(|document| read(&document, &problems)),
        None => Some(Profile::default()),
    };
    let (model, profile) = match valid(model.zip(profile), &problems, args.format) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let world = match profile.world(&model) {
        Ok(world) => world,
        Err(error) => {
            complain(error);
            return Exit::InvalidInput;
        }
    };
    answer(args, &profile, &world, &problems);
    Exit::Ok
}

/// A candidate will do: nothing is decided here.
fn model(file: &Path, problems: &Problems) -> Option<Model> {
    let document = first(file, problems)?;
    if document.is_kind(CANDIDATE_KIND) {
        return CandidateModel::read(&document, problems).map(|model| model.model().clone());
    }
    AcceptedModel::read(&document, problems).map(|model| model.model().clone())
}

fn first(file: &Path, problems: &Problems) -> Option<Document> {
    let before = problems.errors();
    let document = read_file(file, &Limits::default(), problems).into_iter().next();
    if document.is_none() && problems.errors() == before {
        problems
            .push(Problem::error("there is no document in this file").in_file(file.display().to_string()));
    }
    document
}

fn answer(args: &Args, profile: &Profile, world: &World, problems: &Problems) {
    let settings = SimulationSettings { trials: args.trials, seed: args.seed, threads: threads() };
    let estimates = availability(world, settings);
    let sweep = fail_stop(world, &profile.stops, settings);
    match args.format {
        Format::Json => print_answer(document(args, world, &estimates, &sweep), problems),
        Format::Text => {
            estimates.iter().for_each(|estimate| print_line(line(estimate)));
            for point in &sweep {
                print_line(format!("{} of {} containers stopped", point.stopped, world.containers()));
                point.estimates.iter().for_each(|estimate| print_line(format!("  {}", line(estimate))));
            }
        }
    }
}

fn line(estimate: &Estimate) -> String {
    let (lo, hi) = estimate.interval;
    let exact = estimate.exact.map_or_else(String::new, |exact| format!("  exact {exact:.8}"));
    format!("{} {:.6}  95 % [{lo:.6}, {hi:.6}]{exact}", estimate.endpoint, estimate.mean)
}

fn document(args: &Args, world: &World, estimates: &[Estimate], sweep: &[SweepPoint]) -> Value {
    let point = |point: &SweepPoint| {
        let fraction = match point.stop {
            StopAmount::Fraction(share) => Some(share),
            StopAmount::Count(_) => None,
        };
        json!({"fraction": fraction, "stopped": point.stopped, "estimates": to_json(&point.estimates)})
    };
    json!({
        "trials": args.trials,
        "seed": args.seed,
        "containers": world.containers(),
        "availability": to_json(estimates),
        "failStop": sweep.iter().map(point).collect::<Vec<_>>(),
    })
}
