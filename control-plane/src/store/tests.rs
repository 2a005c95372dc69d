//! What comes back after a restart, and what a damaged file is answered with.

use std::collections::HashMap;
use std::fs;

use emac_core::evidence::{Delta, HopDelta, JourneyDelta, Report};
use emac_core::id::{HopKey, JourneyName, WorkloadName};
use emac_core::outcome::{Outcome, OutcomeCounts};
use emac_core::sketch::Sketch;
use emac_core::units::{Micros, Millis};
use emac_proto::convert::NodeReport;
use proptest::prelude::*;
use redb::ReadableDatabase;

use super::flaky::{Fault, Flaky};
use super::*;
use crate::aggregate::Batch;
use crate::config::Capacity;
use crate::marks::{Mark, ReportStatus};
use crate::totals::LatencyTotals;

const SMALL: Capacity = Capacity {
    hops: 5,
    hops_per_workload: 3,
    hops_memory_mib: 16,
    journeys: 3,
    journeys_per_workload: 2,
    epochs: 1_000,
};

/// Memory, and the disk below it.
struct Twin {
    aggregate: RwLock<Aggregate>,
    store: Store,
}

impl Twin {
    fn new((store, stored): (Store, Stored)) -> Self {
        let aggregate = Aggregate::new(stored, Millis(5_000)).with_capacity(SMALL);
        Self { aggregate: RwLock::new(aggregate), store }
    }

    /// As the committer does.
    fn commit(&mut self, now: Micros, reports: Vec<NodeReport>) -> Result<Vec<ReportStatus>, CommitError> {
        let mut batch = Batch::new(&self.aggregate.read().unwrap(), now, 0, Generation(11));
        let verdicts = {
            let aggregate = self.aggregate.read().unwrap();
            let verdicts = reports.into_iter().map(|report| batch.add(&aggregate, report)).collect();
            batch.finish(&aggregate);
            verdicts
        };
        self.store.commit(batch.changes(), &self.aggregate)?;
        self.aggregate.write().unwrap().apply(now, batch);
        Ok(verdicts)
    }

    /// What a restart should find, but for generation and time served.
    fn memory(&self) -> Stored {
        let aggregate = self.aggregate.read().unwrap();
        let journeys =
            aggregate.journeys().iter().map(|(name, journey)| (name.clone(), journey.totals.clone()));
        let hops = aggregate.hops().iter().map(|(key, hop)| ((**key).clone(), hop.totals.clone()));
        Stored {
            marks: aggregate.marks().lives().clone(),
            floors: aggregate.marks().floors().clone(),
            floor: aggregate.marks().floor(),
            journeys: journeys.collect(),
            hops: hops.collect(),
            commit: aggregate.commit(),
            ..Stored::default()
        }
    }
}

fn bare(stored: Stored) -> Stored {
    Stored { generation: Generation(0), served: Micros(0), ..stored }
}

/// The report of that number: one to three calls, always the same.
fn report(node: u64, sequence: u64) -> NodeReport {
    let (mut outcomes, mut latency) = (OutcomeCounts::default(), Sketch::new());
    for call in 0..=sequence % 3 {
        outcomes.add(Outcome::ALL[((node + sequence) % 7) as usize]);
        latency.record(Micros(1 + (sequence * 7_919 + call * 104_729) % 3_000_000));
    }
    let workload = format!("shop/w{}", node % 3);
    let key = HopKey {
        journey: format!("j{}", sequence % 4),
        source: workload.clone(),
        destination: format!("h{}", sequence * node % 7),
        operation: String::new(),
    };
    let journey = JourneyDelta { outcomes, latency: latency.clone(), within_deadline: 1, degraded: 0 };
    let delta = Delta {
        journeys: [(JourneyName::new(&format!("j{}", sequence % 5)).unwrap(), journey)].into(),
        hops: [(key, HopDelta { outcomes, latency, retries: sequence, ..HopDelta::default() })].into(),
        ..Delta::default()
    };
    let report = Report { epoch: 1 + node, sequence, start_unix: Millis(0), end_unix: Millis(0), delta };
    NodeReport { node: format!("node-{node}"), workload: WorkloadName::new(&workload).unwrap(), report }
}

fn reopened(folder: &Path) -> Stored {
    Store::open(folder).unwrap().1
}

#[test]
fn what_was_committed_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("a/b");
    let mut twin = Twin::new(Store::open(&place).unwrap());
    assert_eq!(twin.memory(), Stored::default());
    for sequence in 1..=20 {
        twin.commit(Micros(sequence), (0..4).map(|node| report(node, sequence)).collect()).unwrap();
    }
    let memory = twin.memory();
    drop(twin);
    let stored = reopened(&place);
    assert_eq!((stored.generation, stored.served), (Generation(11), Micros(20)));
    assert_eq!(bare(stored), memory);
    let again = Twin::new(Store::open(&place).unwrap()).commit(Micros(0), vec![report(0, 20)]).unwrap();
    assert_eq!(again, [ReportStatus::Duplicate { sequence: 20 }]);
}

/// A row of each layout of schema 1, as it was written before.
mod old_layout {
    use super::*;

    #[derive(Clone, PartialEq, prost::Message)]
    struct Latency {
        #[prost(sint32, repeated, tag = "1")]
        index: Vec<i32>,
        #[prost(uint64, repeated, tag = "2")]
        count: Vec<u64>,
        #[prost(uint64, tag = "3")]
        sum_us: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Journey {
        #[prost(uint64, repeated, tag = "1")]
        outcomes: Vec<u64>,
        #[prost(uint64, tag = "2")]
        within_deadline: u64,
        #[prost(uint64, tag = "3")]
        degraded: u64,
        #[prost(message, optional, tag = "4")]
        latency: Option<Latency>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Hop {
        #[prost(uint64, repeated, tag = "1")]
        outcomes: Vec<u64>,
        #[prost(uint64, tag = "2")]
        retries: u64,
        #[prost(uint64, repeated, tag = "3")]
        decisions: Vec<u64>,
        #[prost(message, optional, tag = "4")]
        latency: Option<Latency>,
        #[prost(message, optional, tag = "5")]
        alternate_latency: Option<Latency>,
    }

    type Table<K, V> = redb::TableDefinition<'static, K, V>;

    pub(super) fn write(path: &Path) {
        let database = Database::create(path).unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let mut numbers = transaction.open_table(Table::<&str, u64>::new("numbers")).unwrap();
            for (name, number) in [("schema", 1), ("floor", 8), ("generation", 11), ("served", 12)] {
                numbers.insert(name, number).unwrap();
            }
            let mut marks = transaction.open_table(Table::<(&str, u64), (u64, u64)>::new("marks")).unwrap();
            marks.insert(("shop/front node", 9), (4, 5)).unwrap();
            let latency =
                || Some(Latency { index: vec![-1, 400, 864], count: vec![3, u64::MAX - 9, 1], sum_us: 77 });
            let outcomes = vec![1, 2, 3, 4, 5, 6, 7];
            let journey =
                Journey { outcomes: outcomes.clone(), within_deadline: 2, degraded: 1, latency: latency() };
            let mut journeys = transaction.open_table(Table::<&str, &[u8]>::new("journeys")).unwrap();
            journeys.insert("checkout", prost::Message::encode_to_vec(&journey).as_slice()).unwrap();
            let hop = Hop {
                outcomes,
                retries: 6,
                decisions: vec![1; 7],
                latency: latency(),
                alternate_latency: Some(Latency::default()),
            };
            let hops = Table::<(&str, &str, &str, &str), &[u8]>::new("hops");
            let mut hops = transaction.open_table(hops).unwrap();
            let row = prost::Message::encode_to_vec(&hop);
            hops.insert(("checkout", "shop/front", "cart", ""), row.as_slice()).unwrap();
        }
        transaction.commit().unwrap();
    }
}

#[test]
fn a_store_of_schema_1_is_taken_over_once() {
    let folder = tempfile::tempdir().unwrap();
    old_layout::write(&folder.path().join(FILE));
    let first = reopened(folder.path());
    assert_eq!((first.floor, first.generation, first.served), (8, Generation(11), Micros(12)));
    assert_eq!(first.marks[&("shop/front node".to_owned(), 9)], Mark { sequence: 4, seen: Micros(5) });
    let journey = first.journeys.values().next().unwrap();
    assert_eq!(journey.outcomes.to_array(), [1, 2, 3, 4, 5, 6, 7, 0]);
    assert_eq!((journey.within_deadline, journey.degraded), (2, 1));
    assert_eq!(journey.latency, LatencyTotals::from_buckets([(-1, 3), (400, u64::MAX - 9), (864, 1)]));
    let (key, hop) = first.hops.iter().next().unwrap();
    assert_eq!((key.source.as_str(), key.destination.as_str(), hop.retries), ("shop/front", "cart", 6));
    // From now on it is a store of this schema.
    let database = Database::open(folder.path().join(FILE)).unwrap();
    let tables: Vec<_> = database.begin_read().unwrap().list_tables().unwrap().collect();
    assert_eq!(tables.iter().filter(|table| redb::TableHandle::name(*table) == "hops").count(), 0);
    drop(database);
    assert_eq!(reopened(folder.path()), first);
    let mut twin = Twin::new(Store::open(folder.path()).unwrap());
    twin.commit(Micros(1), vec![report(0, 1)]).unwrap();
    let memory = twin.memory();
    drop(twin);
    assert_eq!(bare(reopened(folder.path())), memory);
}

/// Rows of versions that knew fewer outcomes, and of one that knows more.
#[test]
fn outcomes_that_an_older_version_did_not_know_are_none() {
    let row = |outcomes: Vec<u64>| {
        #[derive(Clone, PartialEq, prost::Message)]
        struct Row {
            #[prost(uint64, repeated, tag = "1")]
            outcomes: Vec<u64>,
        }
        prost::Message::encode_to_vec(&Row { outcomes })
    };
    let read = |outcomes| {
        super::row::decode_journey(&row(outcomes)).ok().map(|(totals, _)| totals.outcomes.to_array())
    };
    assert_eq!(read((1..=7).collect()), Some([1, 2, 3, 4, 5, 6, 7, 0]));
    assert_eq!(read((1..=8).collect()), Some([1, 2, 3, 4, 5, 6, 7, 8]));
    assert_eq!((read((1..=6).collect()), read((1..=9).collect())), (None, None));
}

#[test]
fn a_second_process_is_told_that_the_store_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Store::open(folder.path()).unwrap();
    assert!(matches!(Store::open(folder.path()), Err(OpenError::Locked { .. })));
}

#[test]
fn another_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let numbers = redb::TableDefinition::<&str, u64>::new("numbers");
    transaction.open_table(numbers).unwrap().insert("schema", 99).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(Store::open(folder.path()), Err(OpenError::Schema { found: 99, .. })));
}

/// Rows in every table and in the log.
fn fill(store: Store) {
    let mut twin = Twin::new((store, Stored::default()));
    twin.store.sweep_eagerly();
    for sequence in 1..=30 {
        twin.commit(Micros(sequence * 60_000_000), (0..4).map(|node| report(node, sequence)).collect())
            .unwrap();
    }
}

fn filled(folder: &Path) -> Stored {
    fill(Store::open(folder).unwrap().0);
    reopened(folder)
}

#[test]
fn a_damaged_file_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let path = folder.path().join(FILE);
    let good = fs::read(&path).unwrap();
    let mut zeroed = good.clone();
    zeroed[..512].fill(0);
    for bytes in [b"not a database".to_vec(), zeroed, good[..good.len() / 3].to_vec()] {
        fs::write(&path, &bytes).unwrap();
        let error = Store::open(folder.path()).map(|_| ()).unwrap_err();
        assert!(matches!(error, OpenError::Corrupted { .. }), "{error}");
        assert!(error.to_string().contains(FILE), "{error}");
    }
    fs::write(&path, good).unwrap();
    assert!(Store::open(folder.path()).is_ok());
}

/// One bit of the file is another: the store is the same (the bit was in no row), or it is not opened and the message says where the
/// damage is. It is never another store.
#[test]
fn a_flipped_bit_is_never_read_as_if_it_were_right() {
    let disk = Flaky::default();
    fill(disk.store());
    let (good, expected) = (disk.bytes(), disk.stored());
    let (mut random, mut same, mut told, mut rows) = (0xF11B_u64, 0, 0, HashMap::<&str, usize>::new());
    let used: Vec<_> = (0..good.len()).filter(|at| good[*at] != 0).collect();
    const TABLES: [&str; 4] = ["log.2", "hops.2", "journeys.2", "marks.2"];
    // Most of a small file is what commits before have left behind.
    for flips in 0.. {
        if flips >= 800 && TABLES.iter().all(|table| rows.contains_key(table)) {
            break;
        }
        assert!(flips < 10_000, "no bit of some table was hit: {rows:?}");
        let at = used[(emac_core::mix::next(&mut random) % used.len() as u64) as usize];
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (emac_core::mix::next(&mut random) % 8);
        match std::panic::catch_unwind(|| Flaky::read(bytes)) {
            Ok(Ok(stored)) => {
                assert_eq!(stored, expected, "a bit of byte {at}");
                same += 1;
            }
            Ok(Err(OpenError::Row { table, key, problem, .. })) => {
                assert!(!key.is_empty() && !problem.is_empty());
                *rows.entry(table).or_default() += 1;
            }
            // As `Store::open` answers a broken assertion of the database library.
            Ok(Err(_)) | Err(_) => told += 1,
        }
    }
    println!("unchanged: {same}, rows: {rows:?}, otherwise told: {told}");
}

/// The same on the disk, of a file that a killed process left: the database library has two states to choose from, and the older one is right too.
#[test]
fn a_flipped_bit_in_what_a_killed_process_left_never_brings_the_commit_before_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut twin = Twin::new(Store::open(folder.path()).unwrap());
    for sequence in 1..=20 {
        twin.commit(Micros(sequence), (0..4).map(|node| report(node, sequence)).collect()).unwrap();
    }
    // Where the last thing stored is a commit, its loss is told; where it is a generation, that is not lost.
    assert!(flips_of_what_was_left(folder.path(), &twin) > 20);
    twin.store.generations().reserve(Generation(4_000_000)).unwrap();
    assert_eq!(flips_of_what_was_left(folder.path(), &twin), 0);
}

/// Flips a bit of each byte of the head, which says what state counts, and of some of the rest. Returns how often the state before was refused.
fn flips_of_what_was_left(folder: &Path, twin: &Twin) -> usize {
    let copy = tempfile::tempdir().unwrap();
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let (database, last) = (read(FILE), read(super::witness::FILE));
    let open = |database: &[u8]| {
        fs::write(copy.path().join(FILE), database).unwrap();
        fs::write(copy.path().join(super::witness::FILE), &last).unwrap();
        Store::open(copy.path()).map(|(_, stored)| stored)
    };
    let whole = open(&database).unwrap();
    assert_eq!((whole.commit, bare(whole.clone())), (20, twin.memory()));
    let (mut random, mut refused) = (0x1A57_u64, 0);
    let used: Vec<_> = (0..database.len()).filter(|at| database[*at] != 0).collect();
    let rest = (0..200).map(|_| used[(emac_core::mix::next(&mut random) % used.len() as u64) as usize]);
    let rest: Vec<_> = rest.collect();
    for at in (0..512).filter(|at| database[*at] != 0).chain(rest) {
        let mut bytes = database.clone();
        bytes[at] ^= 1 << (emac_core::mix::next(&mut random) % 8);
        match open(&bytes) {
            Ok(stored) => assert_eq!(stored, whole, "a bit of byte {at}"),
            Err(OpenError::Older { found, expected, .. }) => {
                assert_eq!((found, expected), (19, 20));
                refused += 1;
            }
            Err(_) => {}
        }
    }
    refused
}

#[test]
fn an_older_copy_is_refused_and_a_store_that_is_gone_begins_anew_above_its_generations() {
    let folder = tempfile::tempdir().unwrap();
    let mut twin = Twin::new(Store::open(folder.path()).unwrap());
    twin.commit(Micros(1), vec![report(1, 1)]).unwrap();
    let copy = fs::read(folder.path().join(FILE)).unwrap();
    twin.commit(Micros(2), vec![report(1, 2)]).unwrap();
    twin.store.generations().reserve(Generation(50)).unwrap();
    drop(twin);
    fs::write(folder.path().join(FILE), copy).unwrap();
    let error = Store::open(folder.path()).map(|_| ()).unwrap_err().to_string();
    for part in [FILE, "ends with commit 1", "commit 2 was stored", "evidence.last to go on without"] {
        assert!(error.contains(part), "{error}");
    }
    fs::remove_file(folder.path().join(FILE)).unwrap();
    let stored = reopened(folder.path());
    assert!(stored.commit == 0 && stored.generation > Generation(50), "{stored:?}");
    // From here on it counts anew.
    assert!(Store::open(folder.path()).is_ok());
}

/// On the disk, through the door that people see.
#[test]
fn a_row_with_a_flipped_bit_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let path = folder.path().join(FILE);
    let good = fs::read(&path).unwrap();
    let part = "shop/w0 node-0";
    let text = good.windows(part.len()).enumerate().filter(|(_, bytes)| *bytes == part.as_bytes());
    let errors = text.filter_map(|(at, _)| {
        let mut bytes = good.clone();
        bytes[at + part.len() - 1] ^= 1;
        fs::write(&path, &bytes).unwrap();
        Store::open(folder.path()).map(|_| ()).err().map(|error| error.to_string())
    });
    let errors: Vec<_> = errors.collect();
    println!("{errors:#?}");
    let named = errors.iter().find(|error| error.contains("the row \"shop/w0 node-1 ")).unwrap();
    for part in ["marks.2", "is damaged", "checksum", FILE, "move it away"] {
        assert!(named.contains(part), "{named}");
    }
}

#[test]
fn a_place_that_is_no_directory_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(&file).map(|_| ()).unwrap_err();
    assert!(matches!(&error, OpenError::Io { path, .. } if *path == file), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0x5703), failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    /// Tables far too small, a disk that fails before or after the fact, and restarts at any time: a restart finds what memory held or, after a
    /// failure, that and the commit in doubt; and in the end every call of every report is counted once.
    #[test]
    fn a_restart_finds_what_memory_held(
        steps in prop::collection::vec((prop_oneof![5 => Just(0_usize), 1 => Just(1_usize), 1 => Just(2_usize)], 1_u64..5, prop_oneof![3 => 0_u64..60, 1 => 60_u64..300], prop_oneof![3 => Just(false), 1 => Just(true)]), 1..60),
    ) {
        let disk = Flaky::default();
        let mut twin = Twin::new((disk.store(), Stored::default()));
        let (mut next, mut now) = ([1_u64; 5], 0);
        for (fault, nodes, seconds, restart) in steps {
            now += seconds;
            disk.fail([Fault::None, Fault::Before, Fault::After][fault]);
            let reports = (0..nodes).map(|node| report(node, next[node as usize])).collect();
            let committed = twin.commit(Micros(now * 1_000_000), reports);
            let in_doubt = committed.is_err();
            for (node, verdict) in committed.into_iter().flatten().enumerate() {
                let is_counted = matches!(verdict, ReportStatus::Count { .. } | ReportStatus::Duplicate { .. });
                prop_assert!(is_counted, "{:?}", verdict);
                next[node] += 1;
            }
            disk.fail(Fault::None);
            if restart {
                let (stored, memory) = (bare(disk.stored()), twin.memory());
                if !in_doubt {
                    prop_assert_eq!(&stored, &memory);
                }
                prop_assert!(stored.commit == memory.commit || (in_doubt && stored.commit == memory.commit + 1));
                drop(twin);
                twin = Twin::new((disk.store(), disk.stored()));
                now = 0;
            }
        }
        twin.commit(Micros(now * 1_000_000), (0..5).map(|node| report(node, next[node as usize])).collect()).unwrap();
        prop_assert_eq!(bare(disk.stored()), twin.memory());
        let calls: u64 = (0..5).map(|node| (1..=next[node]).map(|sequence| 1 + sequence % 3).sum::<u64>()).sum();
        let memory = twin.memory();
        prop_assert_eq!(memory.hops.values().map(|hop| hop.outcomes.total()).sum::<u64>(), calls);
        prop_assert_eq!(memory.journeys.values().map(|journey| journey.latency.count()).sum::<u64>(), calls);
    }
}
