//! `bench <what> [--out FILE]`: measures, side by side, and prints (or writes) Markdown.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use emac_tests::bench::{self, Section};
use emac_tests::wasm_host::filter_wasm;

/// Measurements, each beside what it is compared with, in one run.
///
/// Examples:
///   bench sketch
///   bench all --out bench/results.md
#[derive(Parser)]
#[command(verbatim_doc_comment)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Write the report here instead of printing it; notes kept below a line `## Tried` stay.
    #[arg(long, global = true)]
    out: Option<PathBuf>,
}

#[derive(Subcommand, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Everything.
    All,
    /// The sketch beside hdrhistogram, DDSketch and t-digest.
    Sketch,
    /// How long a fault takes to become an enforced budget.
    Reaction,
    /// Budgets from a plan to connected clients.
    Push,
    /// Bounds and bands of journeys of up to a thousand leaves.
    Algebra,
    /// Whole compiles of journeys of up to a thousand leaves.
    Compile,
    /// Bounds beside the best there are.
    Slack,
    /// Trials per second of the simulator.
    Simulate,
    /// Files of spans to candidates: rate, memory, growth.
    Discover,
    /// The filter in a real Envoy, beside a no-op module and a Lua filter.
    Envoy,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let report = report(arguments.what);
    let written = match &arguments.out {
        Some(path) => write(path, &report),
        None => {
            print!("{report}");
            Ok(())
        }
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn report(what: What) -> String {
    let wanted = |one| what == What::All || what == one;
    let mut sections = Vec::new();
    if wanted(What::Sketch) {
        eprintln!("bench: sketch");
        sections.push(bench::sketch::section());
    }
    if wanted(What::Push) {
        eprintln!("bench: push");
        sections.push(or_not_run("Push", bench::push::section().map_err(|e| e.to_string())));
    }
    if wanted(What::Algebra) {
        eprintln!("bench: algebra");
        sections.push(bench::algebra::section());
    }
    if wanted(What::Compile) {
        eprintln!("bench: compile");
        sections.push(bench::compile::section());
    }
    if wanted(What::Slack) {
        eprintln!("bench: slack");
        sections.push(bench::slack::section());
    }
    if wanted(What::Simulate) {
        eprintln!("bench: simulate");
        sections.push(bench::simulate::section());
    }
    if wanted(What::Discover) {
        eprintln!("bench: discovery");
        let section = bench::discover::section().map_err(|e| e.to_string());
        sections.push(or_not_run(bench::discover::TITLE, section));
    }
    if wanted(What::Envoy) {
        eprintln!("bench: filter in a real Envoy");
        sections.push(or_not_run(bench::envoy::TITLE, envoy()));
    }
    if wanted(What::Reaction) {
        eprintln!("bench: fault to enforced budget");
        sections.push(or_not_run(bench::reaction::TITLE, in_a_runtime(bench::reaction::section())));
    }
    let mut report = format!("# Measured\n\n`make bench` on {}.\n", bench::machine());
    sections.iter().for_each(|section| report.push_str(&format!("\n{}", section.markdown())));
    report
}

/// What cannot be measured here says why, in the report.
fn or_not_run(title: &'static str, result: Result<Section, String>) -> Section {
    result.unwrap_or_else(|why| Section { title, body: format!("not run: {why}") })
}

fn envoy() -> Result<Section, String> {
    let wasm = filter_wasm().map_err(|e| e.to_string())?;
    in_a_runtime(bench::envoy::section(&wasm))
}

fn in_a_runtime(section: impl Future<Output = Result<Section, String>>) -> Result<Section, String> {
    tokio::runtime::Runtime::new().map_err(|e| e.to_string())?.block_on(section)
}

/// Keeps what people wrote below `## Tried`, replaces the rest at once.
fn write(path: &Path, report: &str) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    let kept = std::fs::read_to_string(path)
        .ok()
        .and_then(|old| old.find("\n## Tried").map(|at| old[at..].to_owned()));
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, format!("{report}{}", kept.unwrap_or_default()))?;
    std::fs::rename(&temporary, path)
}
