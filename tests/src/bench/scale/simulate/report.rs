//! The section of the report.

use std::fmt::Write as _;

use super::costs::Costs;
use super::mesh::LANES;
use super::queue::Nanos;
use super::{Changes, Predicted, SECOND, Setting, predict};

const SEED: u64 = 7;
/// Of a transaction as large as it can be.
const BATCH_MAX: f64 = 512.0;
const SIZES: [usize; 2] = [100_000, 1_000_000];
const CORES: [usize; 3] = [2, 8, 32];

/// What was measured of a size, on two cores that the clients shared: seconds, cores and megabytes.
struct Tried {
    sidecars: usize,
    /// First plan; one changed, p50 and p99; all changed, p99; durable, p50 and p99; cores; megabytes.
    measured: [f64; 8],
}

/// One replica, from the table above in this file.
const TRIED: [Tried; 4] = [
    Tried { sidecars: 100, measured: [0.07, 0.02, 0.02, 0.04, 0.006, 0.008, 0.02, 34.0] },
    Tried { sidecars: 1_000, measured: [0.07, 0.02, 0.03, 0.12, 0.006, 0.008, 0.11, 105.0] },
    Tried { sidecars: 5_000, measured: [0.28, 0.04, 0.07, 0.53, 0.005, 0.010, 0.24, 406.0] },
    Tried { sidecars: 10_000, measured: [0.53, 0.06, 0.13, 1.11, 0.005, 0.014, 0.44, 783.0] },
];
const ROWS: [(&str, &str); 8] = [
    ("first plan", "s"),
    ("one journey changed, p50", "s"),
    ("one journey changed, p99", "s"),
    ("all changed, p99", "s"),
    ("report to durable, p50", "s"),
    ("report to durable, p99", "s"),
    ("server, steady", "cores"),
    ("memory", "MB"),
];

/// All of it. Cost: a minute or two of one core.
pub fn section(costs: &Costs) -> String {
    let mut out = String::from(
        "## Simulated\n\n`bench-scale --simulate`: [docs/scale.md](../docs/scale.md) says what is simulated and what is not. The same seed gives the same \
         figures on every machine.\n\n### What a piece of work costs\n\nOn AMD EPYC, processor time of threads (`/proc/PID/task/*/schedstat`), in single runs of 14 s while other work had its part of the two cores, of a build \
         with jemalloc.\n\n| work | µs | from |\n|---|---|---|\n",
    );
    for (work, cost, from) in costs.sources() {
        let _ = writeln!(out, "| {work} | {} | {from} |", cost as f64 / 1e3);
    }
    let _ = writeln!(
        out,
        "| memory | {:.0} MB and {:.1} KB a sidecar | resident at 100, 1 000 and 5 000 sidecars |",
        costs.bytes / 1e6,
        costs.bytes_sidecar / 1e3
    );
    out += &tried(costs);
    out += &ahead(costs);
    out + &limits(costs)
}

fn setting(sidecars: usize, cores: usize, shared: bool) -> Setting {
    Setting { sidecars, cores, report_every: 5 * SECOND, queue: 1_024, delay: 5_000_000, shared, seed: SEED }
}

/// Beside what was measured.
fn tried(costs: &Costs) -> String {
    let mut out = String::from(
        "\n### Predicted and measured\n\nTwo cores, which the clients share. The costs are of the first three sizes; 10 000 is the trial.\n\n| predicted / measured |",
    );
    let predicted = TRIED.map(|tried| {
        let found = predict(&setting(tried.sidecars, 2, true), costs, Changes { single: 20, whole: 4 });
        (figures(&found), tried)
    });
    predicted.iter().for_each(|(_, tried)| out.push_str(&format!(" {} sidecars |", tried.sidecars)));
    out.push_str(" off at 10 000 |\n|---|---|---|---|---|---|\n");
    for (place, (name, unit)) in ROWS.iter().enumerate() {
        let _ = write!(out, "| {name}, {unit} |");
        for (found, tried) in &predicted {
            let _ = write!(out, " {} / {} |", shown(found[place]), shown(Some(tried.measured[place])));
        }
        let last =
            predicted.last().and_then(|(found, tried)| Some(found[place]? / tried.measured[place] - 1.0));
        let _ = writeln!(out, " {} |", last.map_or("-".to_owned(), |off| format!("{:+.0} %", 100.0 * off)));
    }
    out
}

fn figures(found: &Predicted) -> [Option<f64>; 8] {
    [
        found.first_plan,
        found.single.map(|times| times[0]),
        found.single.map(|times| times[1]),
        found.whole,
        found.durable.map(|times| times[0]),
        found.durable.map(|times| times[1]),
        // The clients' is not the server's.
        Some(found.used.iter().take(LANES.len() - 1).sum()),
        Some(found.bytes / 1e6),
    ]
}

/// Beyond what was measured.
fn ahead(costs: &Costs) -> String {
    let mut out = String::from(
        "\n### Predicted\n\nReports every 5 s; the server has the cores to itself; files that change are there at once. `never`: not within a minute. `evidence.queue` and \
         `evidence.commitDelay` as by default, `connections.open` and `evidence.capacity` raised as far as needed. Watched for ten seconds, from the tenth after all came: where more is asked than can be done, waits still grow then, and those of reports \
         not answered yet are in no quantile.\n\n|",
    );
    let cells: Vec<_> = SIZES.iter().flat_map(|size| CORES.map(|cores| (*size, cores))).collect();
    cells.iter().for_each(|(sidecars, cores)| out.push_str(&format!(" | {sidecars}, {cores} cores")));
    let found = all_of(&cells, costs);
    out.push_str(&format!(" |\n|---|{}\n", "---|".repeat(found.len())));
    let mut row = |name: &str, value: &dyn Fn(&Predicted) -> String| {
        let values: Vec<String> = found.iter().map(value).collect();
        let _ = writeln!(out, "| {name} | {} |", values.join(" | "));
    };
    let time = |time: Option<f64>| time.map_or("never".to_owned(), |time| format!("{} s", shown(Some(time))));
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    row("reports durable a second", &|it| format!("{:.0}", it.reports_per_s));
    row("report to durable, p50", &|it| time(it.durable.map(|times| times[0])));
    row("report to durable, p99", &|it| time(it.durable.map(|times| times[1])));
    row("refused for a full queue", &|it| percent(it.refused));
    row("sent again though counted", &|it| percent(it.again));
    row("first plan", &|it| time(it.first_plan));
    row("one journey changed, longest of 3", &|it| time(it.single.map(|times| times[1])));
    row("all changed", &|it| time(it.whole));
    for (place, lane) in LANES.iter().enumerate().take(LANES.len() - 1) {
        row(&format!("cores of {lane}"), &|it| format!("{:.2}", it.used[place]));
    }
    row("all cores, used", &|it| percent(it.used.iter().sum::<f64>() / it.cores as f64));
    row("committer, used", &|it| percent(it.committer));
    row("longest look at all journeys", &|it| time(Some(it.look)));
    row("memory", &|it| format!("{:.0} GB", it.bytes / 1e9));
    out
}

/// Each on a thread of its own: they share nothing, so their figures do not depend on it.
fn all_of(cells: &[(usize, usize)], costs: &Costs) -> Vec<Predicted> {
    std::thread::scope(|scope| {
        let one = |(sidecars, cores): (usize, usize)| {
            let found = predict(&setting(sidecars, cores, false), costs, Changes { single: 3, whole: 1 });
            eprintln!("bench-scale: {sidecars} sidecars on {cores} cores are simulated");
            found
        };
        let running: Vec<_> = cells.iter().map(|cell| scope.spawn(move || one(*cell))).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// At which size each part is full, as if alone.
fn limits(costs: &Costs) -> String {
    let every = 5.0;
    let ns = |cost: Nanos| cost as f64 / 1e9;
    let transaction = ns(costs.commit + costs.flush) + BATCH_MAX * ns(costs.commit_report);
    let look = |cores: f64, limit: f64| 10.0 * limit * cores / ns(costs.look);
    type Full<'a> = (&'a str, Box<dyn Fn(f64) -> f64 + 'a>);
    let parts: [Full<'_>; 5] = [
        ("`evidence.capacity` (131 072 hops) as by default", Box::new(|_| 13_107.0)),
        ("`connections.open` (65 536) as by default", Box::new(|_| 65_536.0)),
        (
            "a look takes a second: what moved is planned so often only",
            Box::new(move |cores| look(cores, 1.0)),
        ),
        ("the committer, one thread", Box::new(move |_| every * BATCH_MAX / transaction)),
        (
            "cores, by reports alone",
            Box::new(move |cores| every * cores / ns(costs.receive + costs.answer + costs.commit_report)),
        ),
    ];
    let mut out = String::from(
        "\n### Full at so many sidecars\n\nEach part as if alone.\n\n| part | 2 cores | 8 cores | 32 cores |\n|---|---|---|---|\n",
    );
    for (name, full) in &parts {
        let _ = write!(out, "| {name} |");
        CORES.iter().for_each(|cores| out.push_str(&format!(" {} |", rounded(full(*cores as f64)))));
        out.push('\n');
    }
    let [start, change] = [costs.read, costs.copy].map(|each| rounded(10.0 / ns(each)));
    let _ = writeln!(
        out,
        "| a start reads intents for a second (one thread) | {start} | {start} | {start} |\n\
         | a change looks at files and copies for a second (one thread) | {change} | {change} | {change} |"
    );
    let renewal = rounded(0.25 / ns(costs.publish + costs.put));
    let _ = writeln!(
        out,
        "| a look at all leases takes the quarter of a second between two (one thread) | {renewal} | {renewal} | {renewal} |"
    );
    out
}

/// Two digits, in groups of three.
fn rounded(value: f64) -> String {
    let unit = 10_f64.powf(value.log10().floor() - 1.0);
    let digits = format!("{:.0}", (value / unit).round() * unit);
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(" ")
}

fn shown(value: Option<f64>) -> String {
    match value {
        None => "never".to_owned(),
        Some(value) if value < 0.1 => format!("{value:.3}"),
        Some(value) if value < 10.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.0}"),
    }
}
