//! `bench <what> [--out FILE]`: measures, side by side, and prints (or writes) Markdown.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use emac_tests::bench::{self, Section};

/// Measurements, each beside what it is compared with, in one run.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Write the report here instead of printing it.
    #[arg(long, global = true)]
    out: Option<PathBuf>,
}

#[derive(Subcommand)]
enum What {
    /// Everything.
    All,
    /// The sketch beside hdrhistogram, DDSketch and t-digest.
    Sketch,
    /// Budgets from a plan to connected clients.
    Push,
}

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let arguments = Arguments::parse();
    let sections: Vec<Section> = match arguments.what {
        What::All => vec![bench::sketch::section(), bench::push::section()?],
        What::Sketch => vec![bench::sketch::section()],
        What::Push => vec![bench::push::section()?],
    };
    let mut report = format!("# Measured\n\nOn {}.\n", bench::machine());
    sections.iter().for_each(|section| report.push_str(&format!("\n{}", section.markdown())));
    match arguments.out {
        Some(path) => write(&path, &report)?,
        None => print!("{report}"),
    }
    Ok(())
}

fn write(path: &std::path::Path, report: &str) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(path, report)
}
