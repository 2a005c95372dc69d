//! `bench-scale [--sidecars N,N,...] [--simulate] [--out FILE]`: how a control plane keeps up; see [`emac_tests::bench::scale`].

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use emac_tests::bench::scale::simulate::{costs::Costs, section};
use emac_tests::bench::scale::{Measured, Plan, Programs, measure, table};

/// Measures the real `emac serve` under many sidecars on this machine, and prints (or writes) a table.
///
/// Examples:
///   bench-scale --sidecars 100
///   bench-scale --sidecars 1000,10000 --replicas 3
///   bench-scale --out bench/scale.md
///   bench-scale --simulate --out bench/scale.md
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
    /// Measure nothing: predict 100 000 and 1 000 000 sidecars from what single pieces of work cost.
    #[arg(long)]
    simulate: bool,
    /// Replace the part below the line `## Measured` of this file, or `## Simulated`; what else it has stays.
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

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.simulate {
        return give(&section(&Costs::MEASURED), arguments.out.as_deref());
    }
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
    give(&report, arguments.out.as_deref())
}

/// Prints a section, or puts it into a file in the place of the one of the same heading, else at the end.
fn give(section: &str, out: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = out else {
        print!("{section}");
        return Ok(());
    };
    let before = std::fs::read_to_string(path).unwrap_or_else(|_| "# Scale\n".to_owned());
    emac_document::replace_file(path, replaced(&before, section).as_bytes())?;
    Ok(())
}

/// A text with a section in the place of that of the same heading, which goes to the next heading of its level.
fn replaced(text: &str, section: &str) -> String {
    let heading = section.lines().next().unwrap_or_default();
    let is_heading = |line: &str| line.starts_with("## ");
    let lines: Vec<&str> = text.lines().collect();
    let begin = lines.iter().position(|line| *line == heading).unwrap_or(lines.len());
    let rest = lines.iter().skip(begin + 1).position(|line| is_heading(line));
    let (above, below) = (&lines[..begin], rest.map_or(&[][..], |rest| &lines[begin + 1 + rest..]));
    let parts = [above.join("\n"), section.to_owned(), below.join("\n")];
    let parts: Vec<&str> = parts.iter().map(|part| part.trim_end()).filter(|part| !part.is_empty()).collect();
    parts.join("\n\n") + "\n"
}

fn title(replicas: usize) -> String {
    match replicas {
        1 => "One replica with its own store".to_owned(),
        _ => format!("{replicas} replicas on one nats-server that syncs every write"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_takes_the_place_of_its_like_and_of_nothing_else() {
        let text = "# Scale\n\nWhy.\n\n## Measured\n\nold\n\n### Part\n\nold\n\n## Simulated\n\nkept\n";
        let now = replaced(text, "## Measured\n\nnew\n");
        assert_eq!(now, "# Scale\n\nWhy.\n\n## Measured\n\nnew\n\n## Simulated\n\nkept\n");
        assert_eq!(replaced("# Scale\n", "## Simulated\n\nnew\n"), "# Scale\n\n## Simulated\n\nnew\n");
        assert_eq!(replaced(&now, "## Simulated\n\nnew\n"), now.replace("kept", "new"));
    }
}
