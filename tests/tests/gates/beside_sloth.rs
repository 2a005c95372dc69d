//! Alerts beside Sloth's own: `sloth generate` and `emac compile` make rules of the same SLOs, and one rule engine (promtool's, which is Prometheus's)
//! evaluates both over the same outages, minute by minute. Compared are the first and the last minute at which each pages or opens a ticket, and
//! that neither is silent in between. Where the two differ on purpose [`REASONS`] says why, and docs/comparison.md says it to readers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use emac_compile::emit::prometheus::Dialect;
use emac_tests::{not_run, promtool, repo_root};
use serde_json::{Value, json};

use super::{artifacts, text};

/// An objective in percent, over days.
struct Slo {
    percent: &'static str,
    ratio: &'static str,
    days: u64,
}

const SLOS: [Slo; 4] = [
    Slo { percent: "99.9", ratio: "0.999", days: 30 },
    Slo { percent: "99.99", ratio: "0.9999", days: 28 },
    Slo { percent: "97.5", ratio: "0.975", days: 7 },
    Slo { percent: "90", ratio: "0.9", days: 90 },
];

/// Who makes rules. Every dialect of ours is looked at for the first SLO.
const MAKERS: [(&str, Option<Dialect>); 4] = [
    ("sloth", None),
    ("emac", Some(Dialect::Emac)),
    ("emac-sloth", Some(Dialect::Sloth)),
    ("emac-pyrra", Some(Dialect::Pyrra)),
];

fn makers(slo: usize) -> &'static [(&'static str, Option<Dialect>)] {
    if slo == 0 { &MAKERS } else { &MAKERS[..2] }
}

/// A series of requests: its labels, and what it has counted at a step; `None` where it has no sample.
struct Counted {
    labels: &'static str,
    at: Box<dyn Fn(u64) -> Option<f64> + Send>,
}

/// What happens. The fault lasts from a minute to another.
struct Outage {
    name: &'static str,
    /// Seconds between scrapes.
    step: u64,
    minutes: u64,
    from: u64,
    until: u64,
    /// For how many of the SLOs.
    slos: usize,
    /// What must come of it at 99.9 %.
    page: Page,
    series: Vec<Counted>,
}

/// Whether somebody is called.
#[derive(Clone, Copy, Debug)]
enum Page {
    Never,
    /// From so many minutes after the fault begins at the latest, to its end.
    Within(u64),
}

/// Requests of a pod that runs from a minute to another, so many a minute by minute.
fn pod(
    step: u64,
    labels: &'static str,
    (from, until): (u64, u64),
    a_minute: impl Fn(u64) -> f64 + Send + 'static,
) -> Counted {
    let at = move |at: u64| {
        let minute = at * step / 60;
        let alive = (from..until).contains(&minute);
        let counted = |n: u64| a_minute(n * step / 60) * step as f64 / 60.0;
        alive.then(|| (from * 60 / step + 1..=at).map(counted).sum::<f64>().floor())
    };
    Counted { labels, at: Box::new(at) }
}

const GOOD: &str = r#"code="200",pod="a""#;
const BAD: &str = r#"code="500",pod="a""#;
const ALWAYS: (u64, u64) = (0, u64::MAX);

/// A share of 600 requests a minute that fail for some time; `quiet` minutes pass before.
fn share(name: &'static str, of: f64, from: u64, until: u64, minutes: u64) -> Outage {
    let failing = move |minute: u64| if (from..until).contains(&minute) { of } else { 0.0 };
    let series = vec![
        pod(60, GOOD, ALWAYS, move |minute| 600.0 * (1.0 - failing(minute))),
        pod(60, BAD, ALWAYS, move |minute| 600.0 * failing(minute)),
    ];
    Outage { name, step: 60, minutes, from, until, slos: 1, page: Page::Within(2), series }
}

fn outages() -> Vec<Outage> {
    let mut all = vec![
        Outage { slos: SLOS.len(), ..share("total outage, and recovery", 1.0, 120, 240, 420) },
        Outage { slos: SLOS.len(), ..share("one zone of two fails, and recovery", 0.5, 120, 240, 420) },
        Outage { page: Page::Never, ..share("all is well", 0.0, 0, 0, 120) },
        Outage {
            name: "total outage, success series never existed",
            series: vec![pod(60, BAD, ALWAYS, |_| 600.0)],
            ..share("", 1.0, 0, 360, 360)
        },
        Outage {
            name: "all pods replaced by failing ones",
            series: vec![
                pod(60, GOOD, (0, 60), |_| 600.0),
                pod(60, r#"code="500",pod="b""#, (60, u64::MAX), |_| 600.0),
            ],
            ..share("", 1.0, 60, 420, 420)
        },
        Outage {
            name: "a bad deploy: a third of the pods fail everything, rolled back after 40 minutes",
            series: vec![
                pod(60, GOOD, ALWAYS, |_| 400.0),
                pod(60, r#"code="200",pod="b""#, (0, 60), |_| 200.0),
                pod(60, r#"code="500",pod="c""#, (60, 100), |_| 200.0),
                pod(60, r#"code="200",pod="d""#, (100, u64::MAX), |_| 200.0),
            ],
            ..share("", 0.0, 60, 100, 240)
        },
        Outage {
            name: "a blip of 30 seconds",
            step: 15,
            series: vec![
                pod_by_step(15, GOOD, |at| if (480..482).contains(&at) { 0.0 } else { 150.0 }),
                pod_by_step(15, BAD, |at| if (480..482).contains(&at) { 150.0 } else { 0.0 }),
            ],
            page: Page::Never,
            ..share("", 0.0, 120, 121, 240)
        },
        Outage {
            name: "40 requests an hour, all failing",
            series: vec![pod(60, BAD, ALWAYS, |_| 40.0 / 60.0)],
            page: Page::Within(6),
            ..share("", 1.0, 0, 360, 360)
        },
        Outage {
            name: "40 requests an hour that begin to fail",
            series: vec![
                pod(60, GOOD, ALWAYS, |minute| if minute < 120 { 40.0 / 60.0 } else { 0.0 }),
                pod(60, BAD, ALWAYS, |minute| if minute < 120 { 0.0 } else { 40.0 / 60.0 }),
            ],
            page: Page::Within(6),
            ..share("", 1.0, 120, 480, 480)
        },
        Outage {
            name: "40 requests an hour, one of them fails",
            series: vec![
                pod(60, GOOD, ALWAYS, |_| 40.0 / 60.0),
                pod(60, BAD, ALWAYS, |minute| f64::from(u8::from(minute == 120))),
            ],
            page: Page::Never,
            ..share("", 0.0, 120, 121, 480)
        },
        Outage {
            name: "no traffic",
            series: vec![pod(60, GOOD, ALWAYS, |_| 0.0), pod(60, BAD, ALWAYS, |_| 0.0)],
            page: Page::Never,
            ..share("", 0.0, 0, 0, 120)
        },
        Outage { name: "no metrics", page: Page::Never, series: Vec::new(), ..share("", 0.0, 0, 0, 120) },
    ];
    // Shares over an hour and six of them reach 14.4 and 6 times the budget after some time only.
    let burn = |name, of, from, page| Outage { page, ..share(name, of, from, 480, 600) };
    all.push(burn("a burn of 2 at 99.9 %", 0.002, 120, Page::Never));
    all.push(burn("a burn of 7 at 99.9 %", 0.007, 20, Page::Within(125)));
    all.push(burn("a burn of 20 at 99.9 %", 0.02, 120, Page::Within(44)));
    all
}

fn pod_by_step(step: u64, labels: &'static str, each: impl Fn(u64) -> f64 + Send + 'static) -> Counted {
    let _ = step;
    Counted { labels, at: Box::new(move |at| Some((1..=at).map(&each).sum::<f64>())) }
}

/// Why ours differ from Sloth's, which docs/comparison.md tells: outage, SLO, urgency, and how.
const REASONS: [(&str, usize, &str, Differs); 7] = [
    // A page that needs more failures than there are requests never fires there; here it does on an outage.
    ("total outage, and recovery", 3, "page", Differs::OnlyOurs),
    // One failure of a few requests calls nobody: three are waited for, at 40 requests an hour for three minutes.
    ("40 requests an hour, all failing", 0, "page", Differs::Later(3)),
    ("40 requests an hour, all failing", 0, "ticket", Differs::Later(3)),
    ("40 requests an hour that begin to fail", 0, "page", Differs::Later(3)),
    ("40 requests an hour that begin to fail", 0, "ticket", Differs::Later(3)),
    ("40 requests an hour, one of them fails", 0, "page", Differs::OnlyTheirs),
    ("40 requests an hour, one of them fails", 0, "ticket", Differs::OnlyTheirs),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Differs {
    Not,
    OnlyOurs,
    OnlyTheirs,
    /// Begins by so many minutes later, and ends at the same one.
    Later(u64),
}

impl Outage {
    /// What is not as it must be: each maker beside Sloth, and all of them beside [`Outage::page`].
    fn wrong(&self, fired: &Timeline) -> Vec<String> {
        let mut wrong = Vec::new();
        for (number, asked) in SLOS.iter().enumerate().take(self.slos) {
            for urgency in ["page", "ticket"] {
                let of = |maker: &str| fired.get(&(format!("{maker}/{number}"), urgency.to_owned())).copied();
                let reason = REASONS.iter().find(|(outage, slo, what, _)| {
                    *outage == self.name && *slo == number && *what == urgency
                });
                let differs = reason.map_or(Differs::Not, |(.., differs)| *differs);
                for (maker, _) in &makers(number)[1..] {
                    let (theirs, ours) = (of("sloth"), of(maker));
                    let right = match (differs, theirs, ours) {
                        (Differs::Not, theirs, ours) => theirs == ours,
                        (Differs::OnlyOurs, None, Some(ours)) => ours.is_unbroken(),
                        (Differs::OnlyTheirs, Some(_), None) => true,
                        (Differs::Later(by), Some(theirs), Some(ours)) => {
                            ours.is_unbroken()
                                && ours.last == theirs.last
                                && (theirs.first + 1..=theirs.first + by).contains(&ours.first)
                        }
                        _ => false,
                    };
                    if !right {
                        wrong.push(format!(
                            "{}, {}: {urgency} of {maker} {ours:?}, Sloth's {theirs:?}",
                            self.name, asked.percent
                        ));
                    }
                }
            }
        }
        let page = fired.get(&("emac/0".to_owned(), "page".to_owned())).copied();
        let within = |begins: u64, ends: std::ops::RangeInclusive<u64>| {
            page.is_some_and(|page| {
                page.is_unbroken()
                    && (self.from..=self.from + begins).contains(&page.first)
                    && ends.contains(&page.last)
            })
        };
        let right = match self.page {
            Page::Never => page.is_none(),
            Page::Within(minutes) if self.until == self.minutes => {
                within(minutes, self.minutes..=self.minutes)
            }
            // The pair of six hours and half an hour is the last to end.
            Page::Within(minutes) => within(minutes, self.until..=self.until + 30),
        };
        if !right {
            wrong.push(format!("{} [{}..{}]: pages {page:?}", self.name, self.from, self.until));
        }
        wrong
    }

    /// In promtool's notation: a series that ends is marked as ended, as when its target goes away.
    fn input(&self) -> Vec<Value> {
        let one = |series: &Counted| {
            let (mut values, mut was) = (String::new(), false);
            for step in 0..=self.minutes * 60 / self.step {
                let value = (series.at)(step);
                let _ = match value {
                    Some(value) => write!(values, "{value} "),
                    None if was => write!(values, "stale "),
                    None => write!(values, "_ "),
                };
                was = value.is_some();
            }
            json!({"series": format!("desk_total{{{}}}", series.labels), "values": values.trim_end()})
        };
        self.series.iter().map(one).collect()
    }
}

/// The program Sloth; without it a test is not run.
fn sloth(test: &str) -> Option<PathBuf> {
    let built = repo_root().join(".tools/gates/bin/sloth");
    if built.is_file() {
        return Some(built);
    }
    not_run(test, "no sloth (make e2e-gates builds it)");
    None
}

const GOOD_QUERY: &str = r#"sum(rate(desk_total{code!~"5.."}[{{.window}}]))"#;
const BAD_QUERY: &str = r#"sum(rate(desk_total{code=~"5.."}[{{.window}}]))"#;
const TOTAL_QUERY: &str = "sum(rate(desk_total[{{.window}}]))";

/// What Sloth makes of an SLO, in a file.
fn theirs(sloth: &Path, folder: &Path, number: usize, slo: &Slo) -> PathBuf {
    let windows = folder.join(format!("windows-{}", slo.days));
    std::fs::create_dir_all(&windows).unwrap();
    let window = |percent: u64, short: &str, long: &str| json!({"errorBudgetPercent": percent, "shortWindow": short, "longWindow": long});
    let days = |days: u64| if days.is_multiple_of(7) { format!("{}w", days / 7) } else { format!("{days}d") };
    // JSON is YAML, but Sloth looks for these lines to tell what a file is.
    let catalogue = json!({
        "sloPeriod": days(slo.days),
        "page": {"quick": window(2, "5m", "1h"), "slow": window(5, "30m", "6h")},
        "ticket": {"quick": window(10, "2h", "1d"), "slow": window(10, "6h", "3d")},
    });
    let catalogue = format!("apiVersion: sloth.slok.dev/v1\nkind: AlertWindows\nspec: {catalogue}\n");
    std::fs::write(windows.join("windows.yaml"), catalogue).unwrap();
    let slos = json!([{
        "name": "requests",
        "objective": slo.percent.parse::<f64>().unwrap(),
        "sli": {"events": {"error_query": BAD_QUERY, "total_query": TOTAL_QUERY}},
        "alerting": {
            "name": format!("Sloth{number}"),
            "labels": {"who": format!("sloth/{number}")},
            "page_alert": {"labels": {"urgency": "page"}},
            "ticket_alert": {"labels": {"urgency": "ticket"}},
        },
    }]);
    let spec = format!("version: prometheus/v1\nservice: desk{number}\nslos: {slos}\n");
    let (input, out) =
        (folder.join(format!("in-{number}.yaml")), folder.join(format!("sloth-{number}.yaml")));
    std::fs::write(&input, spec).unwrap();
    let output = Command::new(sloth)
        .args(["generate", "--no-log", "--default-slo-period", &days(slo.days), "--slo-period-windows-path"])
        .arg(&windows)
        .arg("-i")
        .arg(&input)
        .arg("-o")
        .arg(&out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    out
}

/// What we make of the same SLO.
fn ours(folder: &Path, number: usize, slo: &Slo, maker: &str, dialect: Dialect) -> PathBuf {
    let quoted = |query: &str| serde_json::to_string(query).unwrap();
    let intent = format!(
        "apiVersion: emac.dev/v1alpha1
kind: JourneyIntent
metadata: {{name: {maker}-{number}}}
spec:
  objectives:
    availability:
      window: {}d
      target: {}
      sli:
        goodEventQuery: {}
        totalEventQuery: {}
  governance:
    alerts:
      labels: {{who: {maker}/{number}}}
      pageAlert: {{labels: {{urgency: page}}}}
      ticketAlert: {{labels: {{urgency: ticket}}}}
  operator: {{type: series, steps: [{{ref: desk}}]}}
  components: {{desk: {{availability: 0.99999, failureDomains: [hall]}}}}
",
        slo.days,
        slo.ratio,
        quoted(GOOD_QUERY),
        quoted(TOTAL_QUERY),
    );
    let file = folder.join(format!("{maker}-{number}.yaml"));
    std::fs::write(&file, text(&artifacts(&intent, dialect), "prometheus/rules.yaml")).unwrap();
    file
}

/// When alerts fired: first and last minute, and at how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fired {
    first: u64,
    last: u64,
    minutes: u64,
}

impl Fired {
    /// Silent at no minute in between.
    fn is_unbroken(self) -> bool {
        self.minutes == self.last - self.first + 1
    }
}

/// Who fired what, by maker with the SLO's number, and urgency.
type Timeline = BTreeMap<(String, String), Fired>;

/// Lets promtool evaluate the rules over an outage. It tells results only where they are not what was expected: expected is nothing.
fn evaluate(promtool: &Path, folder: &Path, rules: &[(PathBuf, Vec<String>)], outage: &Outage) -> Timeline {
    let range = format!("[{}m:1m]", outage.minutes + 1);
    // promtool takes few samples for one query.
    let asked = MAKERS.iter().flat_map(|(maker, _)| {
        let firing = format!("ALERTS{{alertstate=\"firing\",alertname!~\".*Absent\",who=~\"{maker}/.*\"}}");
        [
            format!("min by (who, urgency) (min_over_time(timestamp({firing}){range}))"),
            format!("max by (who, urgency) (max_over_time(timestamp({firing}){range}))"),
            format!("count_over_time(max by (who, urgency) ({firing}){range})"),
        ]
    });
    let ask = |expr: &String| json!({"expr": expr, "eval_time": format!("{}m", outage.minutes)});
    let file = json!({
        "rule_files": rules.iter().map(|(file, _)| file).collect::<Vec<_>>(),
        // Otherwise groups are evaluated in any order, and alerts may be a minute late.
        "group_eval_order": rules.iter().flat_map(|(_, groups)| groups).collect::<Vec<_>>(),
        "evaluation_interval": "1m",
        "tests": [{
            "interval": format!("{}s", outage.step),
            "input_series": outage.input(),
            "promql_expr_test": asked.map(|expr| ask(&expr)).collect::<Vec<_>>(),
        }],
    });
    let path = folder.join(format!("{}.test.yaml", outage.name.replace(|c: char| !c.is_alphanumeric(), "-")));
    std::fs::write(&path, file.to_string()).unwrap();
    let output = Command::new(promtool).args(["test", "rules"]).arg(&path).output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let mut timeline = Timeline::new();
    if output.status.success() {
        return timeline;
    }
    assert!(!said.contains("err:"), "{said}");
    let put: [fn(&mut Fired, u64); 3] = [
        |fired, value| fired.first = value / 60,
        |fired, value| fired.last = value / 60,
        |fired, value| fired.minutes = value,
    ];
    // Of what nothing was found nothing is told.
    let told =
        said.lines().map(str::trim).filter(|line| line.starts_with("expr:") || line.starts_with("got:"));
    let mut put_next = put[0];
    for line in told {
        let Some(result) = line.strip_prefix("got:") else {
            let kind =
                ["\"min by", "\"max by", "\"count_over"].iter().position(|kind| line.contains(kind)).unwrap();
            put_next = put[kind];
            continue;
        };
        for sample in result.split('{').skip(1) {
            let (labels, value) = sample.split_once('}').unwrap();
            let label = |name: &str| {
                let (_, rest) =
                    labels.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("{sample}"));
                rest.split('"').next().unwrap_or_default().to_owned()
            };
            let number: f64 = value.trim().trim_end_matches(',').parse().unwrap_or_else(|_| panic!("{said}"));
            put_next(timeline.entry((label("who"), label("urgency"))).or_default(), number as u64);
        }
    }
    timeline
}

#[test]
fn alerts_begin_and_end_with_sloths() {
    let test = "gates: alerts beside Sloth's";
    let (Some(sloth), Some(promtool)) = (sloth(test), promtool()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let of_slo = |(number, slo): (usize, &Slo)| {
        let file = |(maker, dialect): &(&str, Option<Dialect>)| {
            let file = match dialect {
                None => theirs(&sloth, folder.path(), number, slo),
                Some(dialect) => ours(folder.path(), number, slo, maker, *dialect),
            };
            let groups = groups(&file);
            (file, groups)
        };
        makers(number).iter().map(file).collect::<Vec<_>>()
    };
    let rules: Vec<_> = SLOS.iter().enumerate().map(of_slo).collect();
    let (all, wrong) = (Mutex::new(outages().into_iter()), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let Some(outage) = all.lock().unwrap().next() else { return };
            let fired = evaluate(&promtool, folder.path(), &rules[..outage.slos].concat(), &outage);
            wrong.lock().unwrap().extend(outage.wrong(&fired));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Names of a rule file's groups, in order.
fn groups(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let name = |line: &str| {
        line.trim_start().strip_prefix("- name: ").map(|name| name.trim_matches(['"', '\'']).to_owned())
    };
    text.lines().filter_map(name).collect()
}
