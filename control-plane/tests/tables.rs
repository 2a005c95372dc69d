//! What ten thousand workloads with ten hops each cost: memory, and the time of commits. Run by hand, because it prints figures:
//!
//! `cargo test --release -p emac-control-plane --test tables -- --ignored --nocapture`

use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use emac_control_plane::aggregate::{Aggregate, Batch};
use emac_control_plane::marks::ReportStatus;
use emac_control_plane::store::Store;
use emac_core::evidence::{Delta, HopDelta, JourneyDelta, Report};
use emac_core::id::{HopKey, JourneyName, WorkloadName};
use emac_core::outcome::{Outcome, OutcomeCounts};
use emac_core::sketch::Sketch;
use emac_core::units::{Generation, Micros, Millis};
use emac_proto::convert::NodeReport;

const WORKLOADS: u64 = 10_000;
const HOPS: u64 = 10;
/// Reports in a transaction.
const BATCH: usize = 512;
/// Seconds of one report a second from each.
const SECONDS: u64 = 20;

/// A report with ten hops of some twenty calls each, as a sidecar sends it: latencies spread over two octaves, by the seed.
fn report(workload: u64, sequence: u64, random: &mut u64) -> NodeReport {
    let name = format!("shop-{}/service-{workload}", workload % 20);
    let hops = (0..HOPS).map(|hop| {
        let (mut outcomes, mut latency) = (OutcomeCounts::default(), Sketch::new());
        let calls = 10 + emac_core::mix::next(random) % 20;
        for _ in 0..calls {
            outcomes.add(Outcome::Success);
            latency.record(Micros(20_000 + emac_core::mix::next(random) % 60_000));
        }
        let key = HopKey {
            journey: "checkout".into(),
            source: name.clone(),
            destination: format!("callee-{hop}.shop.svc.cluster.local"),
            operation: String::new(),
        };
        (key, HopDelta { outcomes, latency, ..HopDelta::default() })
    });
    let hops = hops.collect();
    let journey = JourneyDelta::default();
    let journeys = [(JourneyName::new("checkout").unwrap(), journey)].into();
    let delta = Delta { hops, journeys, ..Delta::default() };
    let report = Report {
        epoch: 1_700_000_000_000_000_000,
        sequence,
        start_unix: Millis(0),
        end_unix: Millis(1_000),
        delta,
    };
    let workload = WorkloadName::new(&name).unwrap();
    NodeReport {
        node: format!("sidecar~10.0.0.1~service-{workload}-7d4b9c6f5-x2x7k.shop~shop.svc.cluster.local"),
        workload,
        report,
    }
}

/// Resident and largest resident memory of this process, in MB.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
    };
    (field("VmRSS:"), field("VmHWM:"))
}

#[derive(Default)]
struct Times {
    build: Vec<Duration>,
    store: Vec<Duration>,
    apply: Vec<Duration>,
}

fn show(name: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let sum: Duration = times.iter().sum();
    println!("  {name}: median {:?}, p99 {:?}, most {:?}, in all {sum:?}", at(0.5), at(0.99), at(1.0));
}

#[test]
#[ignore = "prints figures; takes a minute"]
fn ten_thousand_workloads_with_ten_hops_each() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, stored) = Store::open(folder.path()).unwrap();
    let aggregate = Arc::new(RwLock::new(Aggregate::new(stored, Millis(5_000))));
    let (before, _) = memory();
    let (mut random, mut times) = (0x5eed_u64, Times::default());
    let cpu = cpu_time();
    let mut making = Duration::ZERO;
    for second in 1..=SECONDS {
        for first in (0..WORKLOADS).step_by(BATCH) {
            let now = Micros(second * 1_000_000 + first * 100);
            let begun = cpu_time();
            let workloads = first..(first + BATCH as u64).min(WORKLOADS);
            let reports: Vec<_> = workloads.map(|workload| report(workload, second, &mut random)).collect();
            making += cpu_time() - begun;
            let at = Instant::now();
            let batch = {
                let aggregate = aggregate.read().unwrap();
                let mut batch = Batch::new(&aggregate, now, 1_790_000_000_000, Generation(1));
                for report in reports {
                    assert!(matches!(batch.add(&aggregate, report), ReportStatus::Count { .. }));
                }
                batch.finish(&aggregate);
                batch
            };
            times.build.push(at.elapsed());
            let at = Instant::now();
            store.commit(batch.changes(), &aggregate).unwrap();
            times.store.push(at.elapsed());
            let at = Instant::now();
            aggregate.write().unwrap().apply(now, batch);
            times.apply.push(at.elapsed());
        }
    }
    let used = cpu_time() - cpu - making;
    let fill = aggregate.read().unwrap().fill();
    let (rss, most) = memory();
    println!("{WORKLOADS} workloads with {HOPS} hops, {SECONDS} s of one report a second each: {fill:?}");
    println!(
        "  memory: {before} MB before, {rss} MB after, {most} MB at most; {} bytes a hop by its own count",
        fill.hop_bytes as u64 / (WORKLOADS * HOPS)
    );
    println!("  CPU: {:.2} cores for 10 000 reports a second", used.as_secs_f64() / SECONDS as f64);
    show("build", &mut times.build);
    show("store", &mut times.store);
    show("apply", &mut times.apply);
    println!("  file: {} MB", std::fs::metadata(folder.path().join("evidence.redb")).unwrap().len() >> 20);
    let at = Instant::now();
    let lately = aggregate.read().unwrap().lately(Micros((SECONDS + 1) * 1_000_000));
    println!("  lately of all {} hops: {:?}", lately.len(), at.elapsed());
    drop((store, lately));
    let totals: u64 = calls(&aggregate.read().unwrap());
    drop(aggregate);
    let at = Instant::now();
    let (store, stored) = Store::open(folder.path()).unwrap();
    println!("  open: {:?}", at.elapsed());
    let again = Aggregate::new(stored, Millis(5_000));
    println!("  from open to memory: {:?}", at.elapsed());
    assert_eq!(calls(&again), totals);
    assert_eq!(fill.hops as u64, WORKLOADS * HOPS);
    assert!(rss < 1_024);
    drop(store);
}

fn calls(aggregate: &Aggregate) -> u64 {
    aggregate.hops().values().map(|hop| hop.totals.outcomes.total()).sum()
}

/// Time on a CPU of all threads of this process.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
