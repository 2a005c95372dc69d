//! From spans that an SDK printed to a candidate: a service asks a standby where its main database failed, and that is no retry.

use std::process::Command;

use emac_compile::model::CandidateModel;
use emac_document::{Limits, Problems, read_file, render_text};
use emac_tests::not_run;
use emac_tests::testbed::product;

use crate::packages::STANDBY;

const TEST: &str = "sdks::a_standby_that_is_asked_after_a_failure_is_a_fallback";

#[test]
fn a_standby_that_is_asked_after_a_failure_is_a_fallback() {
    for package in &STANDBY {
        match package.print().and_then(|text| Ok((text, product::emac()?))) {
            Ok((text, emac)) => {
                assert_eq!(structure(&text, Command::new(emac)), EXPECTED, "{}", package.name);
            }
            Err(why) => not_run(&format!("{TEST} ({})", package.name), &why.0),
        }
    }
}

const EXPECTED: &str = "Series(orders, Fallback(postgresql-shop-pg-main, postgresql-shop-pg-standby))";

/// What `emac discover` writes into the candidate.
fn structure(traces: &str, mut emac: Command) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("traces.txt"), traces).unwrap();
    let run = emac
        .args(["discover", "--traces", "traces.txt", "--out", "found"])
        .current_dir(folder.path())
        .output();
    let run = run.unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let problems = Problems::new();
    let file = folder.path().join("found/post-orders.candidate.yaml");
    let documents = read_file(&file, &Limits::default(), &problems);
    let candidate = documents.first().and_then(|document| CandidateModel::read(document, &problems));
    let candidate = candidate.unwrap_or_else(|| panic!("{}", render_text(&problems, false)));
    candidate.model().structure.as_ref().unwrap().to_string()
}
