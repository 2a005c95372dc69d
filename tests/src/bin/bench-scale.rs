//! `bench-scale [--sidecars N,N,...] [--out FILE]`: how a control plane keeps up; see [`emac_tests::bench::scale`].

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use emac_tests::bench::scale::{Measured, Plan, Programs, measure, table};

/// Measures the real `emac serve` under many sidecars on this machine, and prints (or writes) a table.
///
/// Examples:
///   bench-scale --sidecars 100
///   bench-scale --sidecars 1000,10000 --replicas 3
///   bench-scale --out bench/scale.md
#[derive(Parser)]
#[command(verbatim_doc_comment)]
struct Arguments {
    /// Sizes, one after the other. Each sidecar takes two descriptors here, one in each process.
    #[arg(long, value_delimiter = ',', default_value = "100,1000,5000,10000")]
    sidecars: Vec<usize>,
    /// Control planes: 1 keeps its evidence itself, several share a nats-server. One table each.
    #[arg(long, value_delimiter = ',', default_value = "1,3")]
    replicas: Vec<usize>,
    /// How often each sidecar reports, milliseconds.
    #[arg(long, default_value_t = 5_000)]
    report_ms: u64,
    /// How long the steady state is watched, seconds.
    #[arg(long, default_value_t = 30)]
    steady_s: u64,
    /// Changes of one journey.
    #[arg(long, default_value_t = 50)]
    single: usize,
    /// Changes of all journeys.
    #[arg(long, default_value_t = 10)]
    whole: usize,
    /// The binary; default: beside this one.
    #[arg(long)]
    emac: Option<PathBuf>,
    /// The nats-server; default: that of `make tools`, or the one on the PATH.
    #[arg(long)]
    nats: Option<PathBuf>,
    /// Replace the table below the line `## Measured` of this file; what stands above stays.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-scale: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let beside = std::env::current_exe()?.with_file_name("emac");
    let programs = Programs {
        emac: arguments.emac.clone().unwrap_or(beside),
        nats: arguments.nats.clone().or_else(emac_tests::nats_server),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut report = format!(
        "## Measured\n\n`make bench-scale` on {}; each sidecar reports ten hops every {} ms.\n",
        emac_tests::bench::machine(),
        arguments.report_ms,
    );
    for &replicas in &arguments.replicas {
        let mut measured: Vec<Measured> = Vec::new();
        for &sidecars in &arguments.sidecars {
            eprintln!("bench-scale: {sidecars} sidecars, {}", title(replicas));
            let plan = Plan {
                sidecars,
                replicas,
                report_every: Duration::from_millis(arguments.report_ms),
                steady: Duration::from_secs(arguments.steady_s),
                single_changes: arguments.single,
                whole_changes: arguments.whole,
            };
            measured.push(runtime.block_on(measure(&programs, &plan))?);
            eprintln!("{}", table(&measured));
        }
        report += &format!("\n### {}\n\n{}", title(replicas), table(&measured));
    }
    runtime.shutdown_background();
    let Some(path) = &arguments.out else {
        print!("{report}");
        return Ok(());
    };
    let before = std::fs::read_to_string(path).unwrap_or_else(|_| "# Scale\n\n".to_owned());
    let above = before.split("## Measured").next().unwrap_or_default();
    emac_document::replace_file(path, format!("{above}{report}").as_bytes())?;
    Ok(())
}

fn title(replicas: usize) -> String {
    match replicas {
        1 => "One replica with its own store".to_owned(),
        _ => format!("{replicas} replicas on one nats-server that syncs every write"),
    }
}
