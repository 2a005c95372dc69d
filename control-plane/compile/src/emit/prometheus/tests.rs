use super::*;
use emac_document::to_yaml;
use emac_journey::intent::{Alerts, BurnRate};

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

/// Whether an alert is expected in the case whose name begins so.
fn expected(sli: &Sli, case: &str, alert: &str) -> bool {
    let tests = unit_tests(sli, Dialect::Emac, "rules.yaml").unwrap();
    let cases = tests["tests"].as_array().unwrap();
    let case = cases.iter().find(|test| test["name"].as_str().unwrap().starts_with(case)).unwrap();
    let asked = case["alert_rule_test"].as_array().unwrap();
    let asked = asked.iter().find(|one| one["alertname"] == alert).unwrap();
    !asked["exp_alerts"].as_array().unwrap().is_empty()
}

const PAGE: &str = "CheckOutErrorBudgetBurnTooFast";
const TICKET: &str = "CheckOutErrorBudgetBurnSustained";

#[test]
fn two_percent_page_where_the_budget_burns_faster_than_a_page_asks() {
    // Pages above 6 times the budget: 2 % are 20 times that of 0.999, 10 of 0.998, 6.67 of 0.997, 5 of 0.996, 4 of 0.995.
    for (target, pages) in [(0.999, true), (0.998, true), (0.997, true), (0.996, false), (0.995, false)] {
        let sli = sli(target, 30);
        let fires = |alert| expected(&sli, "2 % of requests fail", alert);
        assert_eq!((fires(PAGE), fires(TICKET)), (pages, true), "{target}");
        assert!(expected(&sli, "failures just above the page threshold", PAGE), "{target}");
        for quiet in ["there is no traffic", "all is well", "one of very few", "failures well within"] {
            assert!(!expected(&sli, quiet, PAGE) && !expected(&sli, quiet, TICKET), "{target} {quiet}");
        }
        assert!(expected(&sli, "the metric is absent", "CheckOutJourneyMetricsAbsent"));
    }
    // No error rate at all burns six times a budget of 20 %; a budget of 0.01 % needs more traffic than usual.
    let names = |target| unit_tests(&sli(target, 30), Dialect::Emac, "r").unwrap().to_string();
    assert!(!names(0.8).contains("just above the page") && names(0.8).contains("just above the ticket"));
    assert!(expected(&sli(0.9999, 30), "failures just above the page threshold", PAGE));
    assert!(!expected(&sli(0.9999, 30), "failures well within", TICKET));
}

#[test]
fn a_stated_policy_is_obeyed_to_the_letter() {
    let rate = |rate, long, short| BurnRate { rate, long: Micros(long), short: Micros(short) };
    let mut sli = sli(0.995, 30);
    let alerts = Alerts { page: vec![rate(3.0, DAY, DAY / 12)], ..Alerts::default() };
    sli.policy = Policy::of(&alerts, sli.period);
    assert_eq!(sli.policy.all().len(), 1, "no ticket is stated, none is made");
    assert!(expected(
        &sli,
        "2 % of requests fail; burn rate 4: a page (above 3), no ticket (the policy has none)",
        PAGE
    ));
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
