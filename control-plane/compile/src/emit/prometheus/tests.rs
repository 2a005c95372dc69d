use super::*;
use emac_document::to_yaml;
use emac_journey::intent::{AlertLabels, Alerts, BurnRate};

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
        latency: Some(LatencySli {
            name: "p99".to_owned(),
            quantile: Ratio::new(0.99).unwrap(),
            query: query("x=\"y\""),
            threshold: 0.4,
        }),
        policy: Policy::of(&Alerts::default(), period),
        naming: Naming::default(),
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
fn series_are_made_up_for_sums_of_series() {
    let with =
        |good: &str, total: &str| Sli { good: good.to_owned(), total: total.to_owned(), ..sli(0.99, 30) };
    let made = |good: &str, total: &str| {
        let tests = unit_tests(&with(good, total), Dialect::Emac, "r")?;
        let series = tests["tests"][0]["input_series"].as_array().unwrap().clone();
        Some(series.iter().map(|one| one["series"].as_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    let rate = |of: &str| format!("sum(rate({of}[{{{{.window}}}}]))");
    for (good, total, series) in [
        (
            rate("x{s=\"a\",code=~\"2..|3..\"}"),
            rate("x{s=\"a\"}"),
            vec!["x{code=\"200\",s=\"a\"}", "x{code=\"error\",s=\"a\"}"],
        ),
        (rate("good_total"), rate("all_total"), vec!["all_total{}", "good_total{}"]),
        (
            rate("x{code=~\"2..\"}") + "+" + &rate("x{code=~\"3..\"}"),
            rate("x"),
            vec!["x{code=\"200\"}", "x{code=\"error\"}"],
        ),
        (
            rate("x") + "-" + &rate("x{code=~\"5[0-9]{2}\"}"),
            rate("x"),
            vec!["x{code=\"500\"}", "x{code=\"error\"}"],
        ),
        (rate("ok"), format!("({} + {})", rate("ok"), rate("err")), vec!["err{}", "ok{}"]),
        (rate("h_bucket{le=\"0.4\"}"), rate("h_count"), vec!["h_bucket{le=\"0.4\"}", "h_count{}"]),
        (
            "rate(x{code!~'5..'}[{{.window}}])".to_owned(),
            "rate(x[{{.window}}])".to_owned(),
            vec!["x{code=\"500\"}", "x{code=\"500x\"}"],
        ),
    ] {
        assert_eq!(made(&good, &total).unwrap_or_default(), series, "{good} of {total}");
    }
    assert_eq!(made("sum(job:good:rate5m)", "sum(job:all:rate5m)"), None);
    assert_eq!(made("x", "y"), None);
}

#[test]
fn failures_are_counted_in_events() {
    let with =
        |good: &str, total: &str| Sli { good: good.to_owned(), total: total.to_owned(), ..sli(0.99, 30) };
    let page = |good: &str, total: &str| {
        let groups = groups(&with(good, total), Dialect::Emac);
        let page = groups.iter().flat_map(|group| &group.rules).find_map(|rule| match rule {
            Rule::Alert { alert, expr, .. } if alert == PAGE => Some(expr.clone()),
            _ => None,
        });
        page.unwrap()
    };
    let each = "(journey:check_out:slo_errors_per_request:ratio_rate1h * journey:check_out:requests:rate1h";
    for (of, by) in [("rate", " * 3600"), ("increase", "")] {
        let query = |metric: &str| format!("sum({of}({metric}[{{{{.window}}}}]))");
        let page = page(&query("good"), &query("all"));
        assert!(page.contains(&format!("{each}{by} >= 2.5)")), "{page}");
    }
    assert!(!page("avg_over_time(up[{{.window}}])", "1").contains(">= 2.5"), "nothing is counted");
}

#[test]
fn alerts_are_named_as_the_intent_says() {
    let mut sli = sli(0.995, 30);
    let labels = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into_iter().collect();
    let alerts = Alerts {
        name: Some("CheckoutIsDown".to_owned()),
        slo: Some("orders".to_owned()),
        runbook: Some("https://runbooks/checkout".to_owned()),
        common: AlertLabels { labels: labels("team", "shop"), ..AlertLabels::default() },
        page_alert: AlertLabels { labels: labels("severity", "critical"), ..AlertLabels::default() },
        ticket_alert: AlertLabels { disable: true, ..AlertLabels::default() },
        ..Alerts::default()
    };
    sli.naming = Naming::of(&alerts);
    for dialect in [Dialect::Emac, Dialect::Sloth, Dialect::Pyrra] {
        let text = to_yaml(&rule_file(&groups(&sli, dialect)), "");
        for part in [
            "alert: CheckoutIsDown",
            "orders",
            "runbook_url: https://runbooks/checkout",
            "team: shop",
            "severity: critical",
        ] {
            assert!(text.contains(part), "{dialect:?} {part}: {text}");
        }
        assert!(!text.contains("sloth_severity: ticket\n      annotations:\n        summary"), "{dialect:?}");
    }
}

/// `p99.9` is a quantile that people promise, and no part of a metric's name.
#[test]
fn every_quantile_has_a_series() {
    let mut sli = sli(0.99, 30);
    for (name, series) in [("p99.9", "latency_seconds:p99_9_5m"), ("p50", "latency_seconds:p50_5m")] {
        sli.latency.as_mut().unwrap().name = name.to_owned();
        for dialect in [Dialect::Emac, Dialect::Sloth, Dialect::Pyrra] {
            let groups = groups(&sli, dialect);
            assert_eq!(loadable(&groups), Ok(()), "{name} {dialect:?}");
            let text = rule_file(&groups).to_string();
            assert!(dialect != Dialect::Emac || text.contains(&format!("journey:check_out:{series} > 0.4")));
        }
    }
}

/// What promtool reads as a series, and what Prometheus leaves of labels.
#[test]
fn unit_tests_name_series_and_labels_as_prometheus_does() {
    let mut sli = sli(0.99, 30);
    sli.good = "sum(rate({__name__=\"http.ok\"}[{{ .window }}]))".to_owned();
    sli.total = "sum(rate(all[{{ .window }}]))".to_owned();
    let labels = [("slo".to_owned(), String::new()), ("team".to_owned(), "a".to_owned())].into();
    let common = AlertLabels { labels, ..AlertLabels::default() };
    sli.naming = Naming::of(&Alerts { common, ..Alerts::default() });
    let text = unit_tests(&sli, Dialect::Emac, "r").unwrap().to_string();
    assert!(text.contains(r#""series":"{__name__=\"http.ok\"}""#) && !text.contains("\"http.ok{"), "{text}");
    assert!(text.contains(r#""team":"a""#) && !text.contains(r#""slo":"""#), "{text}");
}
