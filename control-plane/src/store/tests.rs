//! What comes back after a restart, and what a damaged file is answered with.

use std::fs;

use emac_core::outcome::{Outcome, OutcomeCounts};

use super::*;
use crate::totals::LatencyTotals;

fn changes() -> Changes {
    let mut outcomes = OutcomeCounts::default();
    outcomes.add(Outcome::Timeout);
    let latency = LatencyTotals::from_parts([(-1, 3), (400, u64::MAX - 9), (864, 1)], 77);
    let hop = HopKey { source: "shop/front".into(), destination: "cart".into(), ..HopKey::default() };
    let alternate_latency = LatencyTotals::default();
    Changes {
        marks: [(("node".to_string(), 9), Mark { sequence: 4, seen: Micros(5) })].into(),
        floor: 8,
        journeys: [(
            JourneyName::new("checkout").unwrap(),
            JourneyTotals { outcomes, within_deadline: 2, degraded: 1, latency: latency.clone() },
        )]
        .into(),
        hops: [(hop, HopTotals { outcomes, retries: 6, latency, alternate_latency, ..HopTotals::default() })]
            .into(),
        generation: Generation(11),
        served: Micros(12),
        ..Changes::default()
    }
}

#[test]
fn what_was_committed_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, stored) = Store::open(&folder.path().join("a/b")).unwrap();
    assert_eq!(stored, Stored::default());
    store.commit(&changes()).unwrap();
    drop(store);
    let (mut store, stored) = Store::open(&folder.path().join("a/b")).unwrap();
    let Changes { marks, floor, journeys, hops, generation, served, .. } = changes();
    assert_eq!(stored, Stored { marks, floor, journeys, hops, generation, served });
    store.commit(&Changes { forgotten: vec![("node".into(), 9)], floor: 9, ..Changes::default() }).unwrap();
    drop(store);
    let (_, stored) = Store::open(&folder.path().join("a/b")).unwrap();
    assert!(stored.marks.is_empty());
    assert_eq!(stored.floor, 9);
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
    let read =
        |outcomes| super::row::decode_journey(&row(outcomes)).ok().map(|totals| totals.outcomes.to_array());
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

#[test]
fn a_damaged_file_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(folder.path()).unwrap();
    store.commit(&changes()).unwrap();
    drop(store);
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

#[test]
fn a_place_that_is_no_directory_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(&file).map(|_| ()).unwrap_err();
    assert!(matches!(&error, OpenError::Io { path, .. } if *path == file), "{error}");
}
