//! Random SLO documents, from a generator that knows nothing of the compiler: whatever is written for Prometheus loads there and passes its own unit
//! tests, or the document was refused with a place. `EMAC_RANDOM_SLOS` sets how many.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use emac_compile::compile::{Given, compile};
use emac_compile::emit::all;
use emac_compile::emit::prometheus::Dialect;
use emac_compile::model::AcceptedModel;
use emac_document::{Limits, Problems, Source, parse};
use emac_journey::intent;
use emac_journey::slo::Slos;
use emac_tests::{not_run, promtool};
use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::DIALECTS;

/// As many as take half a minute, most of it for unit tests; `EMAC_RANDOM_SLOS=200` takes some minutes.
const DOCUMENTS: u64 = 15;

/// Texts that some reader between here and an alert might take for something else.
const NASTY: [&str; 16] = [
    "plain",
    "with \"double\" and 'single' quotes",
    "braces {a} [b] (c)",
    "a: b, - c # d",
    "line one\nline two\n",
    "\ttab and trailing space ",
    "Ärger in Zürich, 負荷, 🔥",
    "back\\slash \\n \\x",
    "`backquotes`",
    "100 % of <b>requests</b> & more",
    "{{ $value | humanizePercentage }} of {{ $labels.severity }}",
    "$value and $labels.x",
    "yes",
    "0123",
    "null",
    "%!s(MISSING) ${HOME}",
];

fn nasty(rng: &mut Rng) -> String {
    match rng.u8(0..10) {
        0 => "long ".repeat(60),
        1 => String::new(),
        _ => (*one(rng, &NASTY)).to_owned(),
    }
}

fn one<'a, T>(rng: &mut Rng, of: &'a [T]) -> &'a T {
    &of[rng.usize(0..of.len())]
}

fn maybe(rng: &mut Rng, of: &mut Map<String, Value>, key: &str, value: impl FnOnce(&mut Rng) -> Value) {
    if rng.bool() {
        let value = value(rng);
        of.insert(key.to_owned(), value);
    }
}

/// A target with as many digits as people write, and some that they do not.
fn target(rng: &mut Rng) -> Value {
    match rng.u8(0..4) {
        0 => json!(one(rng, &[0.5, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999, 0.99999])),
        1 => json!(one(rng, &["99.9%", "99.95 %", "90%"])),
        _ => json!(1.0 - 0.5 * 10f64.powf(-4.7 * rng.f64())),
    }
}

fn duration(rng: &mut Rng) -> String {
    const DURATIONS: [&str; 24] = [
        "1h", "2h", "90m", "3h", "6h", "8h", "12h", "1d", "36h", "2d", "3d", "5d", "1w", "168h", "10d", "2w",
        "20d", "28d", "30d", "4w", "720h", "60d", "90d", "1d12h",
    ];
    (*one(rng, &DURATIONS)).to_owned()
}

/// Windows of pairs, the shortest first.
const WINDOWS: [&str; 16] =
    ["1m", "2m", "3m", "5m", "301s", "7m", "10m", "30m", "45m", "1h", "61m", "90m", "2h", "6h", "1d", "3d"];

/// Queries of good and of all events, in the forms that people write.
fn queries(rng: &mut Rng) -> (String, String) {
    const W: &str = "[{{ .window }}]";
    let metric =
        *one(rng, &["http_requests_total", "x", "a:b:c", "grpc_server_handled_total", "_m", "calls_count"]);
    let good = *one(
        rng,
        &[
            r#"code!~"5..""#,
            r#"code=~"2..|3..""#,
            r#"code=~'[23][0-9]{2}'"#,
            r#"code!~`5\d\d`"#,
            r#"status="ok""#,
            r#"code!="500""#,
            r#"error=''"#,
            r#"result="it's {{ good }}""#,
            r#"code=~"(2|3)\\d+|404""#,
            r#"grpc_code="OK", "#,
        ],
    );
    let job = *one(rng, &["", r#"job="a", "#, r#"route=~"/v[12]/.*", "#, r#"job!="","#, r#"zone=~"a|b","#]);
    let function = *one(rng, &["rate", "rate", "rate", "increase"]);
    let by = *one(
        rng,
        &["", "", "", " by (zone)", " without (pod, code, status, error, result, grpc_code)", " by ()"],
    );
    let sum = |selector: &str| format!("sum{by} ({function}({metric}{{{selector}}}{W}))");
    let (ok, all) = (sum(&format!("{job}{good}")), sum(job));
    match rng.u8(0..26) {
        0..=5 => (ok, all),
        6 => (format!("{all} - {}", sum(&format!(r#"{job}code=~"5..""#))), all),
        7 => (
            format!("{} + {}", sum(&format!(r#"{job}code=~"2..""#)), sum(&format!(r#"{job}code=~"3..""#))),
            all,
        ),
        8 => (ok.clone(), format!("{ok} + {}", sum(&format!(r#"{job}code="500""#)))),
        9 => (format!("({ok} or vector(0)) # of good ones: [ ( {{"), format!("# all\n{all}")),
        10 => (format!("scalar({ok})"), format!("scalar({all})")),
        11 => {
            (format!("{function}({metric}{{{job}{good}}}{W})"), format!("{function}({metric}{{{job}}}{W})"))
        }
        12 => (
            format!("sum(rate(lat_seconds_bucket{{{job}le=\"0.3\"}}{W}))"),
            format!("sum(rate(lat_seconds_count{{{job}}}{W}))"),
        ),
        13 => (
            format!("sum(rate(lat_bucket{{le=\"0.3\"}}{W}))"),
            format!("sum(rate(lat_bucket{{le=\"+Inf\"}}{W}))"),
        ),
        14 => (
            format!("sum(sum_over_time({metric}:ok:rate1m{W}))"),
            format!("sum(sum_over_time({metric}:all:rate1m{W}))"),
        ),
        15 => (
            format!("sum({metric}:ok:rate{{{{.window}}}})"),
            format!("sum({metric}:all:rate{{{{.window}}}})"),
        ),
        16 => (
            format!("sum(rate({metric}{{{good}}}{W} offset 1m))"),
            format!("sum(rate({metric}{W} offset 1m))"),
        ),
        17 => (
            format!("sum(count_over_time((probe{{{job}}} == 1)[{{{{ .window }}}}:1m]))"),
            format!("sum(count_over_time(probe{{{job}}}[{{{{ .window }}}}:1m]))"),
        ),
        18 => (
            format!("sum(histogram_count(rate(native{{{good}}}{W})))"),
            format!("sum(histogram_count(rate(native{W})))"),
        ),
        19 => (format!("0.5 * {ok} + 0.5 * {ok}"), format!("({all})")),
        20 => (
            format!("sum(rate({{\"__name__\"=\"{metric}\",{good}}}{W}))").replace("\"__name__\"", "__name__"),
            format!("sum(rate({metric}{W}))"),
        ),
        21 => (format!("clamp_max({ok}, 1e9)"), format!("clamp_min({all}, 0)")),
        22..=24 => match rng.u8(0..5) {
            0 => (ok, "vector(1)".to_owned()),
            1 => (ok, format!("{all} or vector(0)")),
            2 => (ok, format!("({all} or vector(1))")),
            3 => (
                format!("sum by (le) (rate(lat_bucket{{le=\"0.3\"}}{W}))"),
                format!("sum by (le) (rate(lat_bucket{{le=\"+Inf\"}}{W}))"),
            ),
            _ => (
                format!("sum by (code) (rate(x{{code!~\"5..\"}}{W}))"),
                format!("sum by (code) (rate(x{W}))"),
            ),
        },
        // Mistakes: told, with a place.
        _ => match rng.u8(0..8) {
            0 => (format!("sum(rate({metric}[{{{{ .windows }}}}]))"), all),
            1 => (format!("sum(rate({metric}[5m]))"), all),
            2 => (format!("sum(rate({metric}{W})"), all),
            3 => (format!("sum(rate({{\"http.requests\"}}{W}))"), all),
            4 => ("up".to_owned(), "count(up)".to_owned()),
            5 => (format!("rate({metric}{{code=~\"5**\"}}{W})"), all),
            6 => (String::new(), all),
            _ => (format!("{metric}{W}"), all),
        },
    }
}

fn latency_query(rng: &mut Rng, share: &str) -> String {
    const FORMS: [&str; 7] = [
        "histogram_quantile(SHARE, sum(rate(lat_bucket[{{ .window }}])) by (le))",
        "histogram_quantile(SHARE, sum by (le, zone) (rate(lat_seconds_bucket{job='a'}[{{.window}}])))",
        "(histogram_quantile(SHARE, sum(rate(native[{{ .window }}])))) # native",
        "job:latency:p99_{{ .window }}",
        "max(quantile_over_time(SHARE, seconds[{{ .window }}]))",
        "histogram_quantile(SHARE, rate(lat_bucket{route=~\"/v[12]/.*\"}[{{ .window }}]))",
        "scalar(histogram_quantile(SHARE, sum by (le) (rate(lat_bucket[{{ .window }}]))))",
    ];
    one(rng, &FORMS).replace("SHARE", share)
}

fn objectives(rng: &mut Rng) -> Value {
    let mut availability = json!({"window": duration(rng), "target": target(rng)});
    if rng.u8(0..5) > 0 {
        let (good, total) = queries(rng);
        availability["sli"] = json!({"goodEventQuery": good, "totalEventQuery": total});
    }
    let mut objectives = json!({"availability": availability});
    if rng.bool() {
        let (name, share) = *one(
            rng,
            &[("p50", "0.5"), ("p90", "0.9"), ("p95", "0.95"), ("p99", "0.99"), ("p99.9", "0.999")],
        );
        let threshold = *one(rng, &["1ms", "25ms", "400ms", "1s", "1500ms", "10s", "3m"]);
        objectives["latency"] =
            json!({"window": duration(rng), "objective": {"metric": name, "threshold": threshold}});
        if rng.bool() {
            objectives["latency"]["evidence"] = json!({"promql": latency_query(rng, share)});
        }
    }
    objectives
}

fn texts(rng: &mut Rng, names: &[&str]) -> Value {
    let mut texts = Map::new();
    for name in names {
        maybe(rng, &mut texts, name, |rng| json!(nasty(rng)));
    }
    Value::Object(texts)
}

fn alerts(rng: &mut Rng) -> Value {
    let refused = *one(rng, &["sloth_id", "long", "le", "le", "le", "le", "le", "le", "le", "le"]);
    let labels = ["team", "severity", "slo", "__tenant", "le", refused];
    let annotations = ["summary", "description", "runbook_url", "x_1"];
    let mut alerts = Map::new();
    maybe(rng, &mut alerts, "sloBudgetWindow", |rng| json!(duration(rng)));
    maybe(rng, &mut alerts, "name", |rng| json!(nasty(rng)));
    maybe(rng, &mut alerts, "slo", |rng| json!(one(rng, &["availability", "a.b-c_d", "X", "0"])));
    maybe(rng, &mut alerts, "runbook", |rng| json!(nasty(rng)));
    maybe(rng, &mut alerts, "labels", |rng| texts(rng, &labels));
    maybe(rng, &mut alerts, "annotations", |rng| texts(rng, &annotations));
    for kind in ["pageAlert", "ticketAlert"] {
        maybe(rng, &mut alerts, kind, |rng| {
            let disable = rng.u8(0..6) == 0;
            json!({"labels": texts(rng, &labels), "annotations": texts(rng, &annotations), "disable": disable})
        });
    }
    maybe(rng, &mut alerts, "burnRatePolicy", |rng| {
        let pair = |rng: &mut Rng| {
            let factor = match rng.u8(0..3) {
                0 => *one(rng, &[1.0, 14.4, 6.0, 0.5, 1000.0]),
                _ => 10f64.powf(3.0 * rng.f64() - 1.0),
            };
            let at = rng.usize(0..WINDOWS.len() - 1);
            let long = if rng.u8(0..5) == 0 {
                duration(rng)
            } else {
                WINDOWS[rng.usize(at + 1..WINDOWS.len())].to_owned()
            };
            json!({"burnRate": factor, "longWindow": long, "shortWindow": WINDOWS[at]})
        };
        let pairs = |rng: &mut Rng| (0..rng.u8(0..4)).map(|_| pair(rng)).collect::<Vec<_>>();
        json!({"page": pairs(rng), "ticket": pairs(rng)})
    });
    Value::Object(alerts)
}

/// An intent, and the SLOs that its components refer to. JSON is YAML.
fn document(seed: u64) -> String {
    let rng = &mut Rng::with_seed(seed);
    let names = [
        "desk",
        "cart_v2",
        "Desk.API",
        "a",
        "x-1",
        "hall.of.fame",
        "very-long-name-of-a-component-that-has-many-letters",
    ];
    let mut chosen: Vec<_> = names.to_vec();
    rng.shuffle(&mut chosen);
    chosen.truncate(rng.usize(1..4));
    let component = |(place, name): (usize, &&str)| {
        let of = match place {
            1 => json!({"atomicSLORef": "openslo:shop.slo", "failureDomains": ["hall"]}),
            2 => json!({"atomicSLORef": {"ref": "sloth:shop-requests", "role": "availability"}}),
            _ => json!({"availability": 0.9999, "failureDomains": ["hall", "zone"]}),
        };
        ((*name).to_owned(), of)
    };
    let components: Map<_, _> = chosen.iter().enumerate().map(component).collect();
    let refs: Vec<_> = chosen.iter().map(|name| json!({"ref": name})).collect();
    let operator = match chosen.len() {
        2 if rng.bool() => json!({"type": "race", "branches": refs}),
        _ => json!({"type": "series", "steps": refs}),
    };
    let mut governance = Map::new();
    maybe(rng, &mut governance, "alerts", alerts);
    maybe(rng, &mut governance, "progressiveDelivery", |rng| {
        json!({
            "provider": one(rng, &["argo-rollouts", "flagger"]),
            "gate": {"maxCanaryBurnRate": 0.5 + 20.0 * rng.f64(), "maxP99LatencySeconds": one(rng, &[0.05, 1.0, 2.5])},
        })
    });
    let name =
        *one(rng, &["booking", "b", "check-out-2", "a-journey-with-a-name-that-is-rather-long-for-one"]);
    let intent = json!({
        "apiVersion": "emac.dev/v1alpha1", "kind": "JourneyIntent",
        "metadata": {"name": name},
        "spec": {"objectives": objectives(rng), "operator": operator, "components": components, "governance": governance},
    });
    let slo = json!({
        "apiVersion": "openslo/v1", "kind": "SLO", "metadata": {"name": "shop.slo"},
        "spec": {
            "service": "shop", "budgetingMethod": "Occurrences",
            "indicator": {"spec": {"ratioMetric": {
                "good": {"metricSource": {"type": "Prometheus", "spec": {"query": "sum(rate(ok[30d]))"}}},
                "total": {"metricSource": {"type": "Prometheus", "spec": {"query": "sum(rate(all[30d]))"}}},
            }}},
            "objectives": [{"target": 0.5 + 0.49 * rng.f64()}],
        },
    });
    let sloth = json!({
        "version": "prometheus/v1", "service": "shop",
        "slos": [{
            "name": "requests", "objective": 50.0 + 49.0 * rng.f64(),
            "sli": {"events": {"error_query": "sum(rate(bad[{{.window}}]))", "total_query": "sum(rate(all[{{.window}}]))"}},
        }],
    });
    format!("{intent}\n---\n{slo}\n---\n{sloth}\n")
}

/// What `compile` makes of a document; why it makes nothing.
fn compiled(text: &str, dialect: Dialect) -> Result<BTreeMap<String, String>, String> {
    let problems = Problems::new();
    let documents = parse(&Source::new("slo.yaml", text), &Limits::default(), &problems);
    let slos = Slos::read(&documents, &problems);
    let intent = intent::read(&documents[0], &problems);
    let promises = intent.as_ref().map(|intent| slos.resolve(intent, &problems)).unwrap_or_default();
    if problems.errors() > 0 {
        let list = problems.list();
        let errors = list.iter().filter(|problem| problem.severity == emac_document::Severity::Error);
        let mut told = String::new();
        for problem in errors {
            assert!(problem.location().is_some(), "without a place: {} in {text}", problem.message);
            told = format!("{told}{}; ", problem.message);
        }
        return Err(told);
    }
    let intent = intent.unwrap();
    let model = AcceptedModel::declared(&intent);
    let compiled = compile(&intent, &model, Given::promises(&promises));
    let artifacts =
        all(&compiled, dialect).map_err(|error| format!("UNLOADABLE {dialect:?} {error} {text}"))?;
    Ok(artifacts.into_iter().map(|artifact| (artifact.path, artifact.text)).collect())
}

/// Runs promtool over many files; the ones that it refuses one by one, with what it says.
fn refused(promtool: &Path, command: &str, files: &[PathBuf]) -> Vec<String> {
    let run = |files: &[PathBuf]| {
        let folder = files[0].parent().unwrap();
        let output =
            Command::new(promtool).args([command, "rules"]).args(files).current_dir(folder).output().unwrap();
        let said =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.success(), said)
    };
    if files.is_empty() || run(files).0 {
        return Vec::new();
    }
    let each = files.iter().map(|file| (file, run(std::slice::from_ref(file))));
    each.filter(|(_, (good, _))| !good)
        .map(|(file, (_, said))| format!("{}\n{said}", file.display()))
        .collect()
}

#[test]
fn what_is_written_for_random_documents_loads_and_passes() {
    let test = "compile: random SLO documents by promtool";
    let count = std::env::var("EMAC_RANDOM_SLOS").ok().map_or(DOCUMENTS, |count| count.parse().unwrap());
    let temporary = tempfile::tempdir().unwrap();
    let folder = match std::env::var_os("EMAC_RANDOM_KEEP") {
        Some(keep) => PathBuf::from(keep),
        None => temporary.path().to_owned(),
    };
    let (mut rules, mut tests, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    let mut reasons = Vec::new();
    for seed in 0..count {
        // Every dialect gets a third of them.
        let dialect = DIALECTS[(seed / 2) as usize % 3];
        match compiled(&document(seed), dialect) {
            Err(why) => reasons.push(format!("{seed}: {why}")),
            Ok(artifacts) => {
                let place = folder.join(format!("{seed}-{dialect:?}"));
                std::fs::create_dir_all(&place).unwrap();
                for (name, into) in [("rules.yaml", &mut rules), ("rules.test.yaml", &mut tests)] {
                    let Some(text) = artifacts.get(&format!("prometheus/{name}")) else { continue };
                    std::fs::write(place.join(name), text).unwrap();
                    into.push(place.join(name));
                }
            }
        }
    }
    let accepted = count as usize - reasons.len();
    println!(
        "{count} documents: {accepted} compiled, {} with unit tests; refused:\n{}",
        tests.len(),
        reasons.join("\n")
    );
    // That is the last resort, for what no reader refused with its place.
    assert!(reasons.iter().all(|why| !why.contains("UNLOADABLE")));
    assert!(accepted * 2 > count as usize, "the generator writes nonsense: {reasons:#?}");
    let Some(promtool) = promtool() else { return not_run(test, "no promtool") };
    for (command, files) in [("check", &rules), ("test", &tests)] {
        wrong.extend(refused(&promtool, command, files));
    }
    assert!(
        wrong.is_empty(),
        "{} of {} files:\n{}",
        wrong.len(),
        rules.len() + tests.len(),
        wrong.join("\n")
    );
}
