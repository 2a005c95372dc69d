//! `emac compile`: from an intent to everything that follows from it.

use std::path::PathBuf;

use super::exit::Exit;
use super::inputs::InputArgs;
use super::output::{Format, complain, print_answer, print_line, valid};
use emac_compile::compile::{Taken, derivation};
use emac_compile::emit::prometheus::Dialect;
use emac_compile::emit::write::{WriteError, Written, write};
use emac_compile::emit::{all, notes};
use emac_document::{Problems, to_yaml};

/// Compute bounds and budgets, and write rules, gates, dashboards and the derivation report
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  emac compile --intent journeys/checkout/intent.yaml --out journeys/checkout/compiled
  emac compile --intent intent.yaml --model candidate.yaml --preview --slo slos --out /tmp/preview

The derivation report is also written to standard output; notes on the artifacts end the output on standard error.")]
pub(super) struct Args {
    #[command(flatten)]
    inputs: InputArgs,
    /// Output directory of the artifacts; without it only the report is printed
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Format of the report
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
    /// Naming scheme of the Prometheus rules
    #[arg(long, value_enum, default_value_t)]
    dialect: DialectArg,
    /// Overwrite files that were edited by hand
    #[arg(long)]
    force: bool,
}

/// Form of the derivation report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ReportFormat {
    /// YAML.
    #[default]
    Yaml,
    /// JSON.
    Json,
}

/// Whose names rules bear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum DialectArg {
    /// The paper's.
    #[default]
    Emac,
    /// Sloth's.
    Sloth,
    /// Pyrra's.
    Pyrra,
}

impl From<DialectArg> for Dialect {
    fn from(dialect: DialectArg) -> Self {
        match dialect {
            DialectArg::Emac => Self::Emac,
            DialectArg::Sloth => Self::Sloth,
            DialectArg::Pyrra => Self::Pyrra,
        }
    }
}

pub(super) fn run(args: &Args) -> Exit {
    let format = match args.format {
        ReportFormat::Yaml => Format::Text,
        ReportFormat::Json => Format::Json,
    };
    let problems = Problems::new();
    let inputs = match valid(args.inputs.read(&problems), &problems, format) {
        Ok(inputs) => inputs,
        Err(exit) => return exit,
    };
    let compiled = inputs.compiled();
    complain(inputs.judged());
    for (name, leaf) in compiled.leaves.iter().filter(|(_, leaf)| !leaf.promises.is_empty()) {
        complain(format!("{name}: {}", Taken::line(&leaf.promises)));
    }
    if let Some(folder) = &args.out {
        let artifacts = match all(&compiled, args.dialect.into()) {
            Ok(artifacts) => artifacts,
            Err(error) => {
                complain(error);
                complain("nothing was written");
                return Exit::InvalidInput;
            }
        };
        match write(folder, &artifacts, args.force) {
            Ok(written) => tell(&written, &folder.display().to_string()),
            Err(error) => return refuse(&error),
        }
    }
    let report = derivation(&compiled);
    match args.format {
        ReportFormat::Yaml => print_line(to_yaml(&report, "").trim_end()),
        ReportFormat::Json => print_answer(report, &problems),
    }
    if args.out.is_some() {
        notes(&compiled, args.dialect.into()).iter().for_each(|note| complain(format!("note: {note}")));
    }
    Exit::Ok
}

fn tell(written: &Written, folder: &str) {
    let counts =
        [("changed", &written.changed), ("unchanged", &written.unchanged), ("removed", &written.removed)];
    let counts = counts.map(|(what, files)| format!("{} {what}", files.len()));
    complain(format!("{folder}: {}", counts.join(", ")));
}

fn refuse(error: &WriteError) -> Exit {
    complain(error);
    match error {
        WriteError::Edited { edited } => {
            edited.iter().for_each(|edit| complain(format!("\n{}", edit.diff)));
            complain("nothing was written; --force overwrites");
            Exit::InvalidInput
        }
        WriteError::Io { .. } | WriteError::Replace(_) => Exit::Runtime,
    }
}
