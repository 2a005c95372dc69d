use serde_json::Value;

use super::*;
use crate::document::to_yaml;
use crate::intent::Alerts;

const DAY: u64 = 86_400_000_000;

fn sli(target: f64, days: u64) -> Sli {
    let query = |labels: &str| format!("sum(rate(journey_requests_total{{{labels}}}[{{{{ .window }}}}]))");
    let period = Micros(days * DAY);
    Sli {
        journey: "check-out".to_owned(),
        metric: "check_out".to_owned(),
        target: Ratio::new(target).unwrap(),
        period,
        good: query("journey=\"check-out\",result=\"success\""),
        total: query("journey=\"check-out\""),
        latency: Some(LatencySli { name: "p99".to_owned(), query: query("x=\"y\""), threshold: 0.4 }),
        policy: Policy::of(&Alerts::default(), period),
    }
}

#[test]
fn rules_in_the_papers_names() {
    insta::assert_snapshot!(to_yaml(&rule_file(&groups(&sli(0.995, 30), Dialect::Emac)), ""));
}

#[test]
fn unit_tests_expect_what_the_policy_says() {
    let tests = |target| unit_tests(&sli(target, 30), Dialect::Emac, "rules.yaml").unwrap();
    let expected = |tests: &Value, case: &str, alert: &str| {
        let cases = tests["tests"].as_array().unwrap();
        let case = cases.iter().find(|test| test["name"] == case).unwrap();
        let asked = case["alert_rule_test"].as_array().unwrap();
        asked.iter().find(|one| one["alertname"] == alert).unwrap()["exp_alerts"].as_array().unwrap().len()
    };
    let (page, ticket) = ("CheckOutErrorBudgetBurnTooFast", "CheckOutErrorBudgetBurnSustained");
    let strict = tests(0.999);
    assert_eq!(
        (expected(&strict, "2 % of requests fail", page), expected(&strict, "2 % of requests fail", ticket)),
        (1, 1)
    );
    let loose = tests(0.995);
    assert_eq!(
        (expected(&loose, "2 % of requests fail", page), expected(&loose, "2 % of requests fail", ticket)),
        (0, 1)
    );
    assert_eq!(expected(&loose, "failures just above the page threshold", page), 1);
    assert_eq!(expected(&loose, "there is no traffic", page), 0);
    assert_eq!(expected(&loose, "the metric is absent", "CheckOutJourneyMetricsAbsent"), 1);
}

#[test]
fn every_dialect_has_every_window_and_the_target() {
    for (dialect, error) in [
        (Dialect::Emac, "slo_errors_per_request:ratio_rate"),
        (Dialect::Sloth, "slo:sli_error:ratio_rate"),
        (Dialect::Pyrra, "journey_requests:burnrate"),
    ] {
        let text = to_yaml(&rule_file(&groups(&sli(0.995, 30), dialect)), "");
        for window in ["5m", "30m", "1h", "2h", "6h", "1d", "3d"] {
            assert!(text.contains(&format!("{error}{window}\n")), "{dialect:?} {window}");
        }
        assert!(text.contains("vector(0.995)") && !text.contains("0.005000000000000004"), "{dialect:?}");
    }
}

#[test]
fn series_are_made_up_for_ordinary_queries_only() {
    let with =
        |good: &str, total: &str| Sli { good: good.to_owned(), total: total.to_owned(), ..sli(0.99, 30) };
    let made = |good, total| {
        unit_tests(&with(good, total), Dialect::Emac, "r")
            .map(|tests| tests["tests"][0]["input_series"].clone())
    };
    let series =
        made("sum(rate(x{s=\"a\",code=~\"2..|3..\"}[{{.window}}]))", "sum(rate(x{s=\"a\"}[{{.window}}]))")
            .unwrap();
    assert_eq!(series[0]["series"], "x{code=\"200\",s=\"a\"}");
    assert_eq!(series[1]["series"], "x{code=\"error\",s=\"a\"}");
    let series = made("sum(rate(good_total[{{.window}}]))", "sum(rate(all_total[{{.window}}]))").unwrap();
    assert_eq!((&series[0]["series"], &series[1]["series"]), (&"good_total{}".into(), &"all_total{}".into()));
    assert_eq!(made("sum(rate(x{code=~\"[23]..\"}[{{.window}}]))", "sum(rate(x[{{.window}}]))"), None);
    assert_eq!(made("x", "y"), None);
}
