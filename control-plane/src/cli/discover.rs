//! `emac discover`: candidate models from traces, mesh and cluster configuration.

mod answer;
mod digest;
mod draft;
mod entries;
mod files;
mod records;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::inputs::read_accepted;
use super::output::{Format, complain, print_answer, print_text, valid};
use answer::Answer;
use serde_json::{Value, json};

use emac_compile::model::{AcceptedModel, CandidateModel, EvidenceRef, EvidenceSource};
use emac_discovery::discover::domains::ConfidenceProfile;
use emac_discovery::discover::observe::Observations;
use emac_discovery::discover::{
    Discovered, DiscoveryContext, DiscoveryEvidence, KnownTemplates, LeftOut, Wanted, complete_wanted,
    named_operations,
};
use emac_discovery::mesh::{self, MeshFacts};
use emac_document::{Problem, Problems};
use emac_journey::intent::{self, Intent};
use emac_trace::read::{FileProblem, Progress, ReadSettings, Summary, read_paths};
use emac_trace::{Assembled, Assembler, TraceLimits};

/// Discover journeys in traces: writes a candidate model and a picture for each, with evidence for every field
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["traces", "evidence"]))]
#[command(after_help = "Examples:
  emac discover --traces traces/ --out found/
  emac discover --intent journeys/checkout/intent.yaml --traces spans.json.gz --k8s manifests/ --out journeys/checkout/candidate.yaml
  emac discover --intent journeys/ --model journeys/checkout/model.yaml --traces traces/ --mesh istio/ --out found/ --format json
  emac discover --traces traces/ --entry 'front POST /checkout*' --out found/ --draft-intent journeys/
  emac discover --evidence http://127.0.0.1:8080 --intent journeys/ --out found/

Traces are OTLP (JSON, JSON lines, protobuf), Jaeger JSON or Zipkin v2 JSON, also in gzip; what a file is shows from its content.
With an output ending in .yaml the journey of the intent is written there; otherwise every journey into that folder.
Next: emac diff, then emac accept. A candidate has no effect until it is accepted.")]
pub(super) struct Args {
    /// Trace files, or directories of them
    #[arg(long, value_name = "PATH", num_args = 1..)]
    traces: Vec<PathBuf>,
    /// Hop records instead of traces: the address of a control plane that discovers, files with what its /api/v1/records answered, or its state directory
    #[arg(long, value_name = "URL or PATH", num_args = 1..)]
    evidence: Vec<String>,
    /// Intents (files or directories): they name the components and are compared with the traces
    #[arg(long, value_name = "PATH", num_args = 1..)]
    intent: Vec<PathBuf>,
    /// Accepted models that the candidates are compared with
    #[arg(long, value_name = "FILE", num_args = 1..)]
    model: Vec<PathBuf>,
    /// Istio objects or Envoy config dumps (files or directories)
    #[arg(long, value_name = "PATH", num_args = 1..)]
    mesh: Vec<PathBuf>,
    /// Kubernetes manifests (files or directories)
    #[arg(long, value_name = "PATH", num_args = 1..)]
    k8s: Vec<PathBuf>,
    /// Two names of one service: what is reported as NAME counts as OF
    #[arg(long, value_name = "NAME=OF", value_parser = alias)]
    alias: Vec<(String, String)>,
    /// Output of candidates and pictures: one .yaml file, or a directory
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Only journeys that enter there: a pattern of service and operation, such as 'front POST /checkout*'; the operation or the service alone will do
    #[arg(long, value_name = "PATTERN", value_parser = entries::pattern, num_args = 1..)]
    entry: Vec<glob::Pattern>,
    /// Most journeys that are written, the most frequent first, beside those of intents
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    max_journeys: usize,
    /// Write a first intent for each journey that has none: one .yaml file, or a directory. Numbers to decide are marked DECIDE
    #[arg(long, value_name = "PATH")]
    draft_intent: Option<PathBuf>,
    /// How confidence in failure domains is computed
    #[arg(long, value_enum, default_value_t)]
    profile: ProfileName,
    /// Use the readable part of damaged files
    #[arg(long)]
    partial: bool,
    /// Overwrite files that were edited by hand
    #[arg(long)]
    force: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Profiles by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum ProfileName {
    /// Posterior probabilities
    #[default]
    Calibrated,
    /// The paper's constants
    PaperV2,
}

/// What was read.
struct Inputs {
    intents: Vec<Intent>,
    accepted: Vec<AcceptedModel>,
    mesh: MeshFacts,
}

pub(super) fn run(args: &Args) -> Exit {
    match discovered(args) {
        Ok(()) => Exit::Ok,
        Err(exit) => exit,
    }
}

fn discovered(args: &Args) -> Result<(), Exit> {
    let problems = Problems::new();
    let inputs = read_inputs(args, &problems)?;
    let (mut assembled, evidence, source) = read_evidence(args, &inputs.intents, &problems)?;
    let (kept, mut none) = (named_operations(&inputs.intents), KnownTemplates::default());
    let (generalized, crowds) = assembled.consumer.generalize(&mut assembled.symbols, &kept, &mut none);
    let known = DiscoveryEvidence {
        observations: &assembled.consumer,
        symbols: &assembled.symbols,
        labels: &assembled.labels,
        mesh: &inputs.mesh,
        profile: args.profile.into(),
    };
    let intents: Vec<&Intent> = inputs.intents.iter().collect();
    let given = DiscoveryContext { intents: &intents, source, evidence: &evidence };
    let entry = |service: &str, operation: &str| entries::matches(&args.entry, service, operation);
    let wanted = Wanted { entry: &entry, undeclared_max: args.max_journeys };
    let (found, left) = complete_wanted(&known, &given, &wanted);
    if found.is_empty() {
        return Err(nothing_found(args.format, &assembled, &left, &problems));
    }
    let candidates = candidates(found, &inputs.accepted);
    let drafts = draft::drafts(args, &candidates, &known)?;
    let written = files::write(args, &candidates, &drafts)?;
    let answer = Answer {
        candidates: &candidates,
        written: &written,
        drafts: &drafts,
        quality: &assembled.quality,
        dropped: assembled.consumer.left(),
        passed_over: &inputs.mesh.passed_over,
        generalized: &generalized,
        crowds: &crowds,
        left: &left,
        stale: &files::stale(args, &written),
    };
    match args.format {
        Format::Text => print_text(&answer.text()),
        Format::Json => print_answer(answer.json(), &problems),
    }
    Ok(())
}

/// An answer without journeys still has the counts that say why.
fn nothing_found(
    format: Format,
    assembled: &Assembled<Observations>,
    left: &[LeftOut],
    problems: &Problems,
) -> Exit {
    let nothing = assembled.quality.spans == 0;
    let because = if nothing { "no span was read" } else { "no trace is complete" };
    let why = match left {
        [] => Problem::error(format!("no journey was found: {because}")),
        left => Problem::error(format!(
            "of {} journeys none is wanted: --entry matches no entry, or --max-journeys is 0; there are: {}",
            left.len(),
            listed(&left.iter().map(answer::entry_of).collect::<Vec<_>>())
        )),
    };
    match format {
        Format::Text => {
            complain(&why.message);
            complain(&assembled.quality);
        }
        Format::Json => {
            problems.push(why);
            let journeys: [Value; 0] = [];
            print_answer(json!({"journeys": journeys, "signal": assembled.quality.to_value()}), problems);
        }
    }
    Exit::InvalidInput
}

impl From<ProfileName> for ConfidenceProfile {
    fn from(name: ProfileName) -> Self {
        match name {
            ProfileName::Calibrated => Self::Calibrated,
            ProfileName::PaperV2 => Self::PaperV2,
        }
    }
}

/// Warnings are shown with those of the traces.
fn read_inputs(args: &Args, problems: &Problems) -> Result<Inputs, Exit> {
    let intents = intent::load(&args.intent, problems);
    let configuration: Vec<PathBuf> = args.mesh.iter().chain(&args.k8s).cloned().collect();
    let mesh = mesh::read(&configuration, problems);
    let accepted = read_accepted(&args.model, problems);
    if problems.errors() > 0 {
        return valid(None, problems, args.format);
    }
    Ok(Inputs { intents, accepted, mesh })
}

/// Candidates with the accepted model each is compared with.
fn candidates(found: Vec<Discovered>, accepted: &[AcceptedModel]) -> Vec<(Discovered, CandidateModel)> {
    let candidate = |one: Discovered| {
        let base = accepted.iter().find(|accepted| accepted.model().journey == one.name);
        let base = base.and_then(AcceptedModel::version).map(str::to_owned);
        let candidate = CandidateModel::new(one.model.clone(), base);
        (one, candidate)
    };
    found.into_iter().map(candidate).collect()
}

// === traces ===

type Evidence = (Assembled<Observations>, Vec<EvidenceRef>, EvidenceSource);

fn read_evidence(args: &Args, intents: &[Intent], problems: &Problems) -> Result<Evidence, Exit> {
    let mut assembler = Assembler::new(TraceLimits::default(), Observations::default());
    args.alias.iter().for_each(|(name, of)| assembler.alias(name, of));
    if args.traces.is_empty() {
        let evidence = records::read(&args.evidence, &mut assembler, problems);
        valid(Some(()), problems, args.format)?;
        return Ok((assembler.finish(), evidence, EvidenceSource::HopRecords));
    }
    let paths = args.traces.clone();
    let digests = std::thread::spawn(move || digest::of(&paths));
    let mut shown = Shown::new();
    let summary =
        read_paths(&args.traces, &settings(intents), &mut assembler, &mut |progress| shown.at(progress));
    shown.end();
    unread(&summary, args.partial, problems);
    let evidence = digests.join().unwrap_or_default();
    valid(Some(()), problems, args.format)?;
    Ok((assembler.finish(), evidence, EvidenceSource::Traces))
}

fn alias(text: &str) -> Result<(String, String), String> {
    match text.split_once('=').map(|(name, of)| (name.trim(), of.trim())) {
        Some((name, of)) if !name.is_empty() && !of.is_empty() && name != of => {
            Ok((name.to_owned(), of.to_owned()))
        }
        _ => Err("expected two different names, such as cart-svc=cart.shop".to_owned()),
    }
}

/// Labels that the intents' rules ask for, beside the usual ones.
fn settings(intents: &[Intent]) -> ReadSettings {
    let keys = intents.iter().flat_map(|intent| &intent.domains).filter_map(|rule| rule.key.clone());
    ReadSettings { label_keys: keys.collect(), ..ReadSettings::default() }
}

/// What could not be read. Files that were asked for are errors, unless their readable part will do.
fn unread(summary: &Summary, partial: bool, problems: &Problems) {
    for FileProblem { path, problem } in &summary.problems {
        let source = std::error::Error::source(problem).map(|source| format!(": {source}"));
        let message = format!("{problem}{}", source.unwrap_or_default());
        let problem = if partial {
            Problem::warning(message)
        } else {
            Problem::error(message)
                .help("nothing was written; to use the part that could be read, pass --partial")
        };
        problems.push(problem.in_file(path.display().to_string()));
    }
    if !summary.passed_over.is_empty() {
        let names: Vec<_> =
            summary.passed_over.iter().map(|passed| passed.path.display().to_string()).collect();
        problems.push(Problem::warning(format!("skipped, they contain no traces: {}", listed(&names))));
    }
}

/// The first few of many.
fn listed(names: &[String]) -> String {
    const TOLD_MAX: usize = 5;
    let told: Vec<_> = names.iter().take(TOLD_MAX).map(String::as_str).collect();
    match names.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
        Some(more) => format!("{} and {more} more", told.join(", ")),
        None => told.join(", "),
    }
}

/// One line on a terminal that says how far reading is.
struct Shown {
    terminal: bool,
    percent: u64,
}

impl Shown {
    fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), percent: u64::MAX }
    }

    fn at(&mut self, progress: Progress) {
        let percent = progress.bytes * 100 / progress.bytes_total.max(1);
        if self.terminal && percent != self.percent {
            self.percent = percent;
            let megabytes = progress.bytes >> 20;
            let _ = write!(
                io::stderr(),
                "\rreading traces: {percent} %, {megabytes} MiB, {} spans ",
                progress.spans
            );
        }
    }

    fn end(&self) {
        if self.terminal {
            let _ = writeln!(io::stderr());
        }
    }
}

/// Whether an output is one file rather than a folder.
fn is_file(out: &Path) -> bool {
    out.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}
