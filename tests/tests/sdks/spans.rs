//! What console exporters print is read: the published packages themselves print it here. Fixtures of the same shape stand beside the readers.

use std::collections::BTreeMap;

use emac_tests::not_run;
use emac_trace::read::{ReadSettings, read_source};
use emac_trace::{Assembler, Trace, TraceLimits};

use crate::packages::PRINTERS;

/// Every call as `callee operation outcome`, and how many traces there are.
fn calls(text: &str, package: &str) -> (Vec<String>, Vec<String>) {
    let mut found = Vec::new();
    let mut assembler =
        Assembler::new(TraceLimits::default(), |trace: &Trace, symbols: &emac_trace::Symbols| {
            for call in &trace.calls {
                let (service, operation) = (symbols.text(call.service), symbols.text(call.operation));
                found.push(format!("{service} {operation} {:?} {:?}", call.kind, call.outcome));
            }
        });
    let read = read_source(text.as_bytes(), &ReadSettings::default(), &mut assembler);
    assert_eq!(read.unwrap_or_else(|why| panic!("{package}: {why}\n{text}")), (5, 0), "{package}");
    let assembled = assembler.finish();
    let zones: BTreeMap<&str, &str> = assembled
        .labels
        .iter()
        .filter(|(_, key, _, _)| *key == "cloud.availability_zone")
        .map(|(service, _, value, _)| (assembled.symbols.text(service), value))
        .collect();
    assert_eq!(
        zones,
        BTreeMap::from([("cart", "eu-1a"), ("front", "eu-1a"), ("worker", "eu-1a")]),
        "{package}"
    );
    let links = assembled.quality.links.iter().map(|link| format!("{} -> {}", link.from, link.to)).collect();
    (found, links)
}

#[test]
fn what_console_exporters_print_is_read() {
    for package in &PRINTERS {
        let text = match package.print() {
            Ok(text) => text,
            Err(why) => {
                not_run(&format!("sdks::what_console_exporters_print_is_read ({})", package.name), &why.0);
                continue;
            }
        };
        let (mut found, links) = calls(&text, package.name);
        found.sort();
        let expected = [
            "cart GET /cart/{id} Request Error",
            "front POST /checkout Request Good",
            "kafka:orders  Message Good",
            "worker orders process Message Good",
        ];
        assert_eq!(found, expected, "{}", package.name);
        assert_eq!(links, ["front kafka:orders -> worker orders process"], "{}", package.name);
    }
}
