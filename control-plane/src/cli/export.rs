//! `emac export`: a journey for other tools to compute.

use std::path::PathBuf;

use super::exit::Exit;
use super::inputs::InputArgs;
use super::output::{Format, complain, print_text, valid};
use emac_compile::export::open_psa;
use emac_document::{Problems, replace_file};

/// Write a journey for other tools: its failure as a fault tree, components independent
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  emac export --format open-psa --intent journeys/checkout/intent.yaml
  emac export --format open-psa --intent intent.yaml --out checkout.xml && scram --bdd --importance 1 checkout.xml")]
pub(super) struct Args {
    #[command(flatten)]
    inputs: InputArgs,
    /// Format
    #[arg(long, value_enum)]
    format: ExportFormat,
    /// Output file; without it the export is written to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What other tools read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ExportFormat {
    /// Fault tree in the Model Exchange Format of Open-PSA (XML), as `scram` reads it.
    OpenPsa,
}

pub(super) fn run(args: &Args) -> Exit {
    let problems = Problems::new();
    let inputs = match valid(args.inputs.read(&problems), &problems, Format::Text) {
        Ok(inputs) => inputs,
        Err(exit) => return exit,
    };
    let compiled = inputs.compiled();
    let exported = match args.format {
        ExportFormat::OpenPsa => open_psa(&compiled),
    };
    let text = match exported {
        Ok(text) => text,
        Err(error) => {
            complain(error);
            return Exit::InvalidInput;
        }
    };
    complain(inputs.judged());
    let Some(file) = &args.out else {
        print_text(&text);
        return Exit::Ok;
    };
    match replace_file(file, text.as_bytes()) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            complain(error);
            Exit::Runtime
        }
    }
}
