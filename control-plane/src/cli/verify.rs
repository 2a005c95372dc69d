//! `emac verify`: do the seals hold, and is every chain whole?

use std::path::{Path, PathBuf};

use serde_json::json;

use super::exit::Exit;
use super::inputs::read_models;
use super::output::{Format, print_answer, print_line, show_problems};
use emac_compile::model::{AcceptedModel, CandidateModel};
use emac_document::{Problem, Problems};

/// Check seals and lineage of models: a model edited by hand is refused, and the field is named
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  emac verify journeys/checkout/model.yaml
  emac verify --sealed journeys/*/model.yaml --format json

Of several files of one journey each must be in the lineage of the newest. A file without a seal is told; with --sealed it is refused.
A seal notices edits, it is no signature: who may change the file is decided where it lives.")]
pub(super) struct Args {
    /// Models, accepted ones and candidates
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// Refuse files without a seal
    #[arg(long)]
    sealed: bool,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A model that was read: its file, its version, and whether that is sealed.
type Verified<'a> = (&'a Path, String, bool);

pub(super) fn run(args: &Args) -> Exit {
    let problems = Problems::new();
    let mut accepted = Vec::new();
    let mut verified = Vec::new();
    for file in &args.models {
        for model in read_models(file, &problems) {
            let (version, is_sealed) = seal_of(&model);
            if args.sealed && !is_sealed {
                problems.push(unsealed(file));
            }
            verified.push((file.as_path(), version, is_sealed));
            accepted.extend(model.ok().map(|model| (file.as_path(), model)));
        }
    }
    accepted.iter().for_each(|(file, model)| check_chain(file, model, &problems));
    check_lines(&accepted, &problems);
    tell(&verified, &problems, args.format);
    if problems.errors() == 0 { Exit::Ok } else { Exit::InvalidInput }
}

/// A model's version, and whether its file says it, and truly.
fn seal_of(model: &Result<AcceptedModel, CandidateModel>) -> (String, bool) {
    match model {
        Ok(model) => (model.version().unwrap_or_default().to_owned(), model.is_sealed()),
        Err(candidate) => (candidate.version().to_owned(), candidate.is_sealed()),
    }
}

fn unsealed(file: &Path) -> Problem {
    let problem = Problem::error("this model has no seal").help("accept it anew with `emac accept`");
    problem.in_file(file.display().to_string())
}

fn tell(verified: &[Verified<'_>], problems: &Problems, format: Format) {
    let valid = problems.errors() == 0;
    match format {
        Format::Json => {
            let models: Vec<_> = verified.iter().map(verified_json).collect();
            print_answer(json!({"valid": valid, "models": models}), problems);
        }
        Format::Text => {
            if !problems.is_empty() {
                show_problems(problems, Format::Text);
            }
            for (file, version, is_sealed) in verified.iter().filter(|_| valid) {
                let seal = if *is_sealed { "sealed" } else { "without a seal" };
                print_line(format!("ok: {} {seal}, version {version}", file.display()));
            }
        }
    }
}

fn verified_json((file, version, is_sealed): &Verified<'_>) -> serde_json::Value {
    json!({"file": file.display().to_string(), "version": version, "sealed": is_sealed})
}

fn check_chain(file: &Path, model: &AcceptedModel, problems: &Problems) {
    if let Some(Err(field)) = model.record().map(|record| record.check_chain()) {
        let message = format!("the lineage is broken: {field} does not name the version before it");
        problems.push(Problem::error(message).in_file(file.display().to_string()));
    }
}

/// Of two files of one journey one must come from the other.
fn check_lines(accepted: &[(&Path, AcceptedModel)], problems: &Problems) {
    let descends = |model: &AcceptedModel, from: &AcceptedModel| {
        let lineage = model.record().map(|record| record.lineage.as_slice()).unwrap_or_default();
        let version = from.version().unwrap_or_default();
        model.version() == Some(version) || lineage.iter().any(|ancestor| ancestor.version == version)
    };
    for (place, (file, model)) in accepted.iter().enumerate() {
        for (other_file, other) in accepted.iter().skip(place + 1) {
            let same_journey = model.model().journey == other.model().journey;
            if same_journey && !descends(model, other) && !descends(other, model) {
                let message = format!(
                    "two models of journey {} of which neither comes from the other: {} and this",
                    model.model().journey,
                    file.display()
                );
                problems.push(Problem::error(message).in_file(other_file.display().to_string()));
            }
        }
    }
}
