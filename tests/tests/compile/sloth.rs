//! The `sloth` dialect beside what Sloth itself generates: every record under the same name and labels, and alerts that fire above the same
//! shares over the same windows. Beyond Sloth's: requests are recorded too, and the period's ratio weighs them, so those expressions differ.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use emac_compile::emit::prometheus::{Dialect, Naming, Policy, Sli, groups, rule_file};
use emac_core::units::{Micros, Ratio};
use emac_journey::intent::Alerts;
use emac_tests::{not_run, shared_data};
use serde_json::Value;

use crate::yaml;

const DAY: u64 = 86_400_000_000;

/// What `in-base.yaml` and `in-openslo.yaml` ask for: 99.9 % of the requests of one job.
fn ours(days: u64) -> Value {
    let query = |code: &str| {
        format!("sum(rate(http_request_duration_seconds_count{{job=\"myservice\"{code}}}[{{{{.window}}}}]))")
    };
    let period = Micros(days * DAY);
    let sli = Sli {
        journey: "svc01".to_owned(),
        metric: "svc01".to_owned(),
        target: Ratio::new(0.999).unwrap(),
        period,
        good: query(",code!~\"(5..|429)\""),
        total: query(""),
        latency: None,
        policy: Policy::of(&Alerts::default(), period),
        naming: Naming::default(),
    };
    rule_file(&groups(&sli, Dialect::Sloth))
}

/// The rules that Sloth made for one SLO, which is called `availability` here.
fn theirs(file: &Path, slo: &str) -> Value {
    let text = std::fs::read_to_string(file).unwrap();
    let rendered = text
        .replace("{{ .version }}", "v0")
        .replace("{{\"{{$labels.sloth_service}}\"}}", "service")
        .replace("{{\"{{$labels.sloth_slo}}\"}}", "slo");
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.yaml");
    std::fs::write(&rules, rendered.replace(&format!("svc01-{slo}"), "svc01-availability")).unwrap();
    let groups = yaml::documents(&rules)[0]["groups"].as_array().unwrap().clone();
    let of_slo = |group: &Value| group["name"].as_str().unwrap().ends_with("-svc01-availability");
    serde_json::json!({"groups": groups.into_iter().filter(of_slo).collect::<Vec<_>>()})
}

fn rules<'a>(file: &'a Value, kind: &'static str) -> impl Iterator<Item = &'a Value> {
    let groups = file["groups"].as_array().unwrap().iter();
    groups.flat_map(|group| group["rules"].as_array().unwrap()).filter(move |rule| rule.get(kind).is_some())
}

/// Sloth's own labels of a rule; `sloth_slo` is the SLO's name, and provenance is the generator's.
fn labels(rule: &Value) -> BTreeMap<&str, &str> {
    let own = ["sloth_id", "sloth_service", "sloth_window", "sloth_objective", "sloth_severity"];
    let labels = rule["labels"].as_object().unwrap().iter();
    labels
        .filter(|(name, _)| own.contains(&name.as_str()))
        .map(|(n, v)| (n.as_str(), v.as_str().unwrap()))
        .collect()
}

/// The number in `vector(a)` or `vector(a-b)`.
fn vector(rule: &Value) -> Option<f64> {
    let inner = rule["expr"].as_str()?.trim().strip_prefix("vector(")?.strip_suffix(')')?;
    let mut numbers = inner.split('-').map(|number| number.parse::<f64>().unwrap());
    let first = numbers.next()?;
    Some(numbers.fold(first, |left, right| left - right))
}

/// Window and threshold of every comparison `slo:sli_error:ratio_rate<window>{...} > (factor * budget)`; that there are a few failures is no such one.
fn thresholds(rule: &Value) -> BTreeMap<String, f64> {
    let text = rule["expr"].as_str().unwrap();
    let compared = text.split("slo:sli_error:ratio_rate").skip(1).filter_map(|part| {
        let (window, rest) = part.split_once('{').unwrap();
        let (_, rest) = rest.split_once("> (")?;
        let (product, _) = rest.split_once(')').unwrap();
        let factors = product.split('*').map(|factor| factor.trim().parse::<f64>().unwrap());
        Some((window.to_owned(), factors.product()))
    });
    compared.collect()
}

#[test]
fn the_sloth_dialect_is_sloths() {
    let test = "compile: the sloth dialect beside Sloth's own rules";
    let Some(data) = shared_data("sloth") else {
        return not_run(test, "no sloth goldens (EMAC_SHARED_DATA)");
    };
    for (days, file, slo) in [
        (30, "out-base.yaml.tpl", "slo1"),
        (28, "out-base-28d.yaml.tpl", "slo1"),
        (30, "out-openslo.yaml.tpl", "slo1-0"),
    ] {
        let (ours, theirs) = (ours(days), theirs(&data.join(file), slo));
        let names = |rules: &Value| -> BTreeSet<String> {
            self::rules(rules, "record").map(|rule| rule["record"].as_str().unwrap().to_owned()).collect()
        };
        let beyond: BTreeSet<_> = names(&ours).difference(&names(&theirs)).cloned().collect();
        assert!(
            beyond.iter().all(|name| name.starts_with("slo:sli_total:") || name.starts_with("slo:sli_good:"))
        );
        assert_eq!(names(&theirs).len(), 15, "{file}");
        for rule in self::rules(&theirs, "record") {
            let name = rule["record"].as_str().unwrap();
            let same = self::rules(&ours, "record").find(|own| own["record"] == rule["record"]);
            let same = same.unwrap_or_else(|| panic!("{file}: {name} is missing"));
            assert_eq!(labels(same), labels(rule), "{file}: {name}");
            let numbers = vector(same).zip(vector(rule));
            assert!(numbers.is_none_or(|(a, b)| (a - b).abs() < 1e-9), "{file}: {name}: {numbers:?}");
        }
        for rule in self::rules(&theirs, "alert") {
            let severity = &rule["labels"]["sloth_severity"];
            let same = self::rules(&ours, "alert").find(|own| {
                own["labels"]["sloth_severity"] == *severity && own["expr"].as_str().unwrap().contains("> (")
            });
            let (ours, theirs) = (thresholds(same.unwrap()), thresholds(rule));
            assert!(theirs.len() == 4 && ours.keys().eq(theirs.keys()), "{file}: {ours:?} {theirs:?}");
            assert!(
                ours.values().zip(theirs.values()).all(|(a, b)| (a - b).abs() < 1e-9),
                "{ours:?} {theirs:?}"
            );
        }
    }
}
