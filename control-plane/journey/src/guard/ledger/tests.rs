use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::guard::{Answer, Guard, Known};

/// An answer of the guard `A_minus >= 0.995` to some value.
fn record(a_minus: Option<f64>) -> Record {
    let guard = Guard::new("A_minus >= 0.995").unwrap();
    Record {
        at_unix_ms: 1_769_860_800_000,
        journey: "checkout".to_owned(),
        intent: "9a".to_owned(),
        model: "41".to_owned(),
        preview: false,
        verdict: "PASS".to_owned(),
        action: "promote".to_owned(),
        evaluation: guard.evaluate(|_| a_minus.map(Known::Number)),
    }
}

fn written(path: &Path, values: &[f64]) -> Vec<Record> {
    let records: Vec<_> = values.iter().map(|value| record(Some(*value))).collect();
    Ledger::open(path).unwrap().append(&records).unwrap();
    records
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("actions.jsonl");
    (folder, path)
}

fn why(path: &Path) -> String {
    read(path).unwrap_err().to_string().split_once(".jsonl:").unwrap().1.to_owned()
}

#[test]
fn what_was_recorded_is_read_in_order() {
    let (_folder, path) = file();
    let mut records = written(&path, &[0.997_477_06, 0.992_514_49]);
    records.push(record(None));
    Ledger::open(&path).unwrap().append(&records[2..]).unwrap();
    let contents = read(&path).unwrap();
    assert_eq!(contents.entries.iter().map(|entry| entry.record.clone()).collect::<Vec<_>>(), records);
    let answers = contents.entries.iter().map(|entry| entry.record.evaluation.answer.clone());
    let unknown = Answer::Unknown("not known: A_minus".to_owned());
    assert_eq!(answers.collect::<Vec<_>>(), [Answer::Allowed, Answer::Denied, unknown]);
    assert_eq!(contents.entries[0].record.evaluation.inputs["A_minus"], json!(0.997_477_06));
    assert_eq!((contents.torn, contents.head.sequence), (0, 3));
    assert_eq!(contents.entries[2].previous, contents.entries[1].digest);
    assert_eq!(contents.head.digest, contents.entries[2].digest);
}

/// Anybody can check a line with `sha256sum`: so the format is fixed to the byte.
#[test]
fn a_line_is_what_it_was() {
    let (_folder, path) = file();
    written(&path, &[0.997_477_06]);
    insta::assert_snapshot!(std::fs::read_to_string(&path).unwrap());
}

#[test]
fn a_changed_removed_or_moved_line_is_told() {
    let (_folder, path) = file();
    written(&path, &[0.99, 0.996, 0.997, 0.998]);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let told = |lines: &[&str]| {
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        why(&path)
    };
    let allowed = lines[0].replace("denied", "allowed");
    assert!(told(&[&allowed, lines[1]]).starts_with("1: the line was changed"));
    assert!(
        told(&[lines[0], lines[2], lines[3]])
            .starts_with("2: line 3 of the chain stands here, 2 is expected")
    );
    assert!(told(&[lines[1], lines[0]]).starts_with("1: line 2"));
    assert!(told(&[lines[0], lines[0]]).starts_with("2: line 1"));
    assert!(told(&[lines[0], "{}"]).starts_with("2: no line of a ledger"));
    // A broken chain is not continued.
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(Ledger::open(&path), Err(LedgerError::Broken { line: 2, .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    // Cut off at the end the chain holds; the last digest kept elsewhere tells.
    std::fs::write(&path, lines[..3].join("\n") + "\n").unwrap();
    assert_eq!(read(&path).unwrap().head.sequence, 3);
}

#[test]
fn a_writer_that_dies_leaves_a_line_that_is_moved_aside() {
    let (folder, path) = file();
    written(&path, &[0.99, 0.996]);
    let text = std::fs::read(&path).unwrap();
    let first = text.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for cut in first + 1..text.len() {
        std::fs::write(&path, &text[..cut]).unwrap();
        let torn = (cut - first) as u64;
        let contents = read(&path).unwrap();
        assert_eq!((contents.entries.len(), contents.torn), (1, torn));
        let mut ledger = Ledger::open(&path).unwrap();
        assert_eq!((ledger.recovered(), ledger.head().sequence), (torn, 1));
        ledger.append(&[record(Some(0.996))]).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), text);
    }
    let aside = std::fs::read_to_string(folder.path().join("actions.jsonl.torn")).unwrap();
    assert_eq!(aside.lines().count(), text.len() - first - 1);
}

#[test]
fn writers_wait_for_each_other() {
    let (_folder, path) = file();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10).for_each(|i| drop(written(&path, &[f64::from(i), 0.5]))));
        }
    });
    assert_eq!(read(&path).unwrap().head.sequence, 80);
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0x1ED6), failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn one_changed_byte_is_always_noticed(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (_folder, path) = file();
        written(&path, &[0.99, 0.996, 0.997]);
        let mut text = std::fs::read(&path).unwrap();
        let last = text.len() - 1;
        // The very last byte is the end of the line: without it the line counts as never finished.
        let place = place.index(last);
        prop_assume!(text[place] != byte);
        text[place] = byte;
        std::fs::write(&path, &text).unwrap();
        prop_assert!(read(&path).is_err());
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (_folder, path) = file();
        std::fs::write(&path, &bytes).unwrap();
        let _ = read(&path);
        let _ = Ledger::open(&path);
    }
}
