//! Files of other people in which many pages stand behind one operation, or one callee behind several callers, where they are at hand.

use std::path::PathBuf;

use emac_compile::emit::{ModelCaptions, draw_journey};
use emac_compile::model::EvidenceSource;
use emac_discovery::discover::observe::Observations;
use emac_discovery::discover::{Discovered, DiscoveryContext, discover};
use emac_tests::{not_run, shared_data};
use emac_trace::read::{ReadSettings, read_paths};
use emac_trace::{Assembler, TraceLimits};

fn found(name: &str) -> Option<Vec<Discovered>> {
    let file =
        shared_data("field").map(|folder| folder.join("traces").join(name)).filter(|file| file.exists());
    let Some(file) = file else {
        not_run("discover: pages", &format!("no {name} (EMAC_SHARED_DATA)"));
        return None;
    };
    let paths: [PathBuf; 1] = [file];
    let mut assembler = Assembler::new(TraceLimits::default(), Observations::default());
    let summary = read_paths(&paths, &ReadSettings::default(), &mut assembler, &mut |_| {});
    assert!(summary.problems.is_empty(), "{:?}", summary.problems);
    let assembled = assembler.finish();
    let given = DiscoveryContext { intents: &[], source: EvidenceSource::Traces, evidence: &[] };
    Some(discover(&assembled.consumer, &assembled.symbols, &given))
}

#[test]
fn five_pages_behind_one_operation_are_five_series() {
    let Some(found) = found("08-pages-behind-one-operation.json.gz") else { return };
    let said = |one: &Discovered| (one.name.clone(), one.traces, one.structure().unwrap().to_string());
    let found: Vec<_> = found.iter().map(said).collect();
    let expected = [
        ("gate-ads-hints", 192, "Series(gate, goods, money/money/List, cart, money/money/Conv, hints, ads)"),
        ("gate-goods-all", 159, "Series(gate, money/money/List, goods, cart, money/money/Conv, ads)"),
        ("gate-ship", 77, "Series(gate, money/money/List, cart, hints, ship, money/money/Conv)"),
        ("gate-cart-add", 45, "Series(gate, goods, cart)"),
        ("gate-pay", 27, "Series(gate, pay, hints, money)"),
    ];
    let expected = expected.map(|(name, traces, text)| (name.to_owned(), traces, text.to_owned()));
    assert_eq!(found, expected);
}

/// `audit` is called by `left` in 20 of 100 requests and by `right` in 70.
#[test]
fn a_picture_shows_the_share_of_each_caller() {
    let Some(found) = found("07-picture-share-of-shared-callee.json") else { return };
    let [one] = &found[..] else { panic!("{}", found.len()) };
    let svg = draw_journey(one.structure().unwrap(), &ModelCaptions::new(&one.model));
    let texts: Vec<&str> = svg
        .lines()
        .filter(|line| line.starts_with("<text"))
        .map(|line| line.trim_end_matches("</text>").rsplit_once('>').unwrap().1)
        .collect();
    let expected = [
        [
            "gate",
            "left",
            "100.0 %",
            "one of (20.0 %, 80.0 %; seen)",
            "audit",
            "20.0 %",
            "80.0 %: nothing more",
        ],
        ["right", "100.0 %", "one of (70.0 %, 30.0 %; seen)", "audit", "70.0 %", "30.0 %: nothing more", ""],
    ];
    let expected: Vec<_> = expected.concat().into_iter().filter(|text| !text.is_empty()).collect();
    assert_eq!(texts, expected);
}
