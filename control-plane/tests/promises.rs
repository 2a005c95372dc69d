//! What is taken from SLO documents, and what is said of it, through the real binary.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use emac_document::{Limits, Problems, read_all, render_text};
use emac_journey::slo::{AsWhat, Slos};
use support::process::run;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    folder
}

/// An intent of one component with these references, and a latency objective.
fn intent(references: &str) -> String {
    format!(
        "apiVersion: emac.dev/v1alpha1\nkind: JourneyIntent\nmetadata: {{name: pay}}\nspec:\n  objectives:\n    availability: {{window: 30d, target: 0.9}}\n    latency: {{window: 30d, \
         objective: {{metric: p90, threshold: 400ms}}}}\n  operator: {{ref: till}}\n  components: {{till: {{failureDomains: [hall], atomicSLORef: {references}}}}}\n"
    )
}

const SLOTH: &str = "version: prometheus/v1
service: till
slos:
  - name: good
    objective: 99.5
    sli: {events: {error_query: 'sum(rate(x_total{code=~\"5..\"}[{{.window}}]))', total_query: 'sum(rate(x_total[{{.window}}]))'}}
";

const PYRRA: &str = "apiVersion: pyrra.dev/v1alpha1
kind: ServiceLevelObjective
metadata: {name: till-fast, namespace: shop}
spec:
  target: '95'
  window: 4w
  indicator: {latency: {success: {metric: 'x_seconds_bucket{le=\"0.25\"}'}, total: {metric: x_seconds_count}}}
";

const QUANTILE: &str = "apiVersion: openslo/v1
kind: SLO
metadata: {name: till-p99}
spec:
  service: till
  budgetingMethod: Occurrences
  indicator: {spec: {thresholdMetric: {metricSource: {type: Prometheus, spec: {query: 'histogram_quantile(0.99, rate(x_seconds_bucket[5m]))'}}}}}
  objectives: [{op: lt, value: 0.4, target: 0.99}]
";

const ALL: &str = "['sloth:good', 'pyrra:till-fast', 'openslo:till-p99']";

#[test]
fn what_was_taken_as_what_is_said_by_every_command() {
    let folder = folder(&[
        ("intent.yaml", &intent(ALL)),
        ("slos/sloth.yaml", SLOTH),
        ("slos/pyrra.yaml", PYRRA),
        ("slos/open.yaml", QUANTILE),
    ]);
    let why = "it compares a quantile, so its target counts moments and not answers";
    let line = format!(
        "till: till-good: availability 0.995; shop/till-fast: latency 0.95 within 250ms; till-p99: nothing, as {why}"
    );

    let (code, stdout, stderr) = run(folder.path(), &["check", "."]);
    let expected = format!(
        "ok: journey pay\n  {line}\nok: slo shop/till-fast: latency 0.95 within 250ms\nok: slo till-good: availability 0.995\nok: slo till-p99: nothing, as {why}\n"
    );
    assert_eq!((code, stdout), (0, expected));
    assert!(
        stderr.contains("warning: `till-p99` promises nothing here") && stderr.contains("intent.yaml:9:"),
        "{stderr}"
    );

    let (code, stdout, stderr) = run(folder.path(), &["compile", "--intent", "intent.yaml"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains(&format!("emac: {line}\n")) && stderr.contains("warning: `till-p99`"),
        "{stderr}"
    );
    assert!(stdout.contains("till-good (sloth.yaml:4): availability 0.995"), "{stdout}");

    let (_, stdout, stderr) = run(folder.path(), &["explain", "--intent", "intent.yaml"]);
    assert!(stderr.contains("warning: `till-p99`"), "{stderr}");
    for said in [
        "till: till-good (sloth.yaml:4): availability 0.995".to_owned(),
        "till: shop/till-fast (pyrra.yaml:1): latency 0.95 within 250ms".to_owned(),
        format!("till: till-p99 (open.yaml:1): nothing, as {why}"),
    ] {
        assert!(stdout.contains(&format!("    {said}\n")), "{said}: {stdout}");
    }

    let (code, stdout, _) = run(folder.path(), &["gate", "--intent", "intent.yaml"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("A- 0.99500000"), "{stdout}");
    // Of the 0.95 that come in time 0.005 may be failures.
    assert!(stdout.contains("between 94.50 % and 99.50 % finish within 400 ms"), "{stdout}");

    let (_, stdout, _) = run(folder.path(), &["check", "--format", "json", "."]);
    let answer: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(answer["taken"]["shop/till-fast"][0], "latency 0.95 within 250ms");
    assert_eq!(answer["promises"]["pay"]["till"][0], "till-good (sloth.yaml:4): availability 0.995");
}

#[test]
fn a_role_decides_and_is_checked() {
    let files = |references: &str| {
        folder(&[
            ("intent.yaml", &intent(references)),
            ("slos/sloth.yaml", SLOTH),
            ("slos/pyrra.yaml", PYRRA),
            ("slos/open.yaml", QUANTILE),
        ])
    };
    let gate = |references: &str| run(files(references).path(), &["gate", "--intent", "intent.yaml"]);
    // Whoever counts a late answer as a failure gets both: 0.995 + 0.95 - 1.
    let (code, stdout, _) = gate("['sloth:good', {ref: 'pyrra:till-fast', role: availability}]");
    assert!(code == 3 && stdout.contains("A- 0.94500000"), "{stdout}");
    let (_, stdout, stderr) = gate("['sloth:good', {ref: 'openslo:till-p99', role: neither}]");
    assert!(stdout.contains("A- 0.99500000") && stderr.is_empty(), "{stderr}");
    let (code, stdout, stderr) = gate("['sloth:good', {ref: 'openslo:till-p99', role: latency}]");
    assert_eq!((code, stdout.as_str()), (65, ""));
    assert!(stderr.contains("no role makes it a latency promise"), "{stderr}");
    let (code, _, stderr) = gate("['sloth:good', {ref: 'openslo:till-p99', role: latncy}]");
    assert!(code == 65 && stderr.contains("did you mean `latency`?"), "{stderr}");
    // A latency promise alone says nothing of the rest.
    let (code, stdout, _) = gate("'pyrra:till-fast'");
    assert_eq!((code, stdout.lines().next()), (3, Some("UNASSESSABLE pay")));
}

const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n";

#[test]
fn slos_of_one_name_are_told_apart_by_their_places() {
    let folder = folder(&[("a.yaml", SLOTH), ("b.yaml", &SLOTH.replace("99.5", "90"))]);
    let (code, stdout, stderr) = run(folder.path(), &["check", "."]);
    let expected = "ok: slo till-good (./a.yaml:4): availability 0.995\nok: slo till-good (./b.yaml:4): availability 0.9\n";
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, expected, ""));
    let (_, stdout, _) = run(folder.path(), &["check", "--format", "json", "."]);
    let answer: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(answer["taken"].as_object().unwrap().len(), 2);
}

#[test]
fn what_is_not_read_is_counted_by_kind() {
    let alpha = QUANTILE.replace("openslo/v1", "openslo/v1alpha").replace("till-p99", "old");
    let list = "[{apiVersion: openslo/v1, kind: Service}, {apiVersion: openslo/v1, kind: AlertPolicy}, {apiVersion: openslo/v1, kind: Service}]";
    let folder = folder(&[
        ("a/deployment.yaml", &format!("{DEPLOYMENT}---\n{DEPLOYMENT}")),
        ("b/alpha.yaml", &alpha),
        ("b/list.yaml", list),
        ("b/values.yaml", "replicas: 3\n"),
        ("b/slo.yaml", SLOTH),
    ]);
    let (code, stdout, stderr) = run(folder.path(), &["check", "."]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(
        stdout.lines().last(),
        Some(
            "not read: 1 AlertPolicy (openslo/v1), 2 Deployment (apps/v1), 1 SLO (openslo/v1alpha), 2 Service (openslo/v1), 1 without kind"
        )
    );
    assert!(
        stderr.contains("warning: the SLO `old` is written in openslo/v1alpha, which is not read"),
        "{stderr}"
    );
    let (code, stdout, stderr) = run(folder.path(), &["check", "a"]);
    assert_eq!((code, stdout.as_str()), (65, ""));
    assert!(stderr.contains("not read: 2 Deployment (apps/v1)"), "{stderr}");
}

#[test]
fn templates_of_charts_and_what_an_ignore_list_names_are_passed_over() {
    let template = "kind: {{ .Values.kind }}\n{{- range .Values.all }}\n- {{ . }}\n{{- end }}\n";
    let folder = folder(&[
        ("intent.yaml", &intent("'sloth:good'")),
        ("slos/sloth.yaml", SLOTH),
        ("chart/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n"),
        ("chart/values.yaml", "kind: Deployment\n"),
        ("chart/templates/deployment.yaml", template),
        ("chart/templates/tests/test.yaml", template),
        ("chart/charts/till/Chart.yaml", "apiVersion: v2\nname: till\n"),
        ("chart/charts/till/templates/service.yaml", template),
        ("plain/templates/broken.yaml", template),
        ("plain/kept/broken.yaml", template),
        ("plain/kept/intent.yaml", &intent("'sloth:good'").replace("name: pay", "name: kept")),
    ]);
    // Without a chart beside it a folder of that name is like any other.
    let (code, _, stderr) = run(folder.path(), &["check", "."]);
    assert_eq!((code, stderr.matches("error:").count()), (65, 4), "{stderr}");
    for passed in ["./chart/templates", "./chart/charts/till/templates"] {
        assert!(
            stderr.contains(&format!("note: {passed}: templates of a Helm chart are passed over")),
            "{stderr}"
        );
    }
    fs::write(folder.path().join(".emacignore"), "# not ours\n/plain/*/broken.yaml\nchart/\n").unwrap();
    let (code, stdout, stderr) = run(folder.path(), &["check", "."]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("ok: journey kept") && !stdout.contains("not read"), "{stdout}");
    // From below the list of the root holds, too, and a list further in has the last word.
    assert_eq!(run(folder.path(), &["check", "plain"]).0, 0);
    fs::write(folder.path().join("plain/kept/.emacignore"), "!broken.yaml\nintent.yaml\n").unwrap();
    let (code, _, stderr) = run(folder.path(), &["check", "."]);
    assert!(code == 65 && stderr.contains("plain/kept/broken.yaml"), "{stderr}");
    // Nobody names a file to have it left out.
    fs::write(folder.path().join(".emacignore"), "*\n").unwrap();
    assert_eq!(run(folder.path(), &["check", "intent.yaml"]).1, "ok: journey pay\n");
    let (code, _, stderr) = run(folder.path(), &["gate", "--intent", "intent.yaml"]);
    assert!(code == 65 && stderr.contains("there is no SLO `good`"), "an ignored SLO is none: {stderr}");
    fs::write(folder.path().join(".emacignore"), "a[\n{\n").unwrap();
    let (code, _, stderr) = run(folder.path(), &["check", "."]);
    assert!(code == 65 && stderr.contains(".emacignore"), "{stderr}");
}

/// Documents of Go modules that happen to be on this machine.
fn module(name: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("GOMODCACHE").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join("go/pkg/mod")))?;
    let folder = cache.join(Path::new(name).parent()?);
    let of_module = |path: &PathBuf| {
        path.file_name()?
            .to_str()?
            .strip_prefix(Path::new(name).file_name()?.to_str()?)?
            .strip_prefix('@')
            .map(drop)
    };
    let mut found: Vec<_> = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| of_module(path).is_some())
        .collect();
    found.sort();
    found.pop()
}

/// Every SLO of a folder, file by file: `name: what it promises`.
fn taken(folder: &Path) -> Vec<(String, AsWhat)> {
    let mut found = Vec::new();
    for file in emac_document::list_files(&[folder.to_owned()], &Problems::new()) {
        let problems = Problems::new();
        let documents = read_all(std::slice::from_ref(&file), &Limits::default(), &problems);
        let slos = Slos::read(&documents, &problems);
        assert_eq!(problems.errors(), 0, "{}: {}", file.display(), render_text(&problems, false));
        found.extend(slos.iter().flat_map(Slos::taken).map(|taken| (taken.slo, taken.as_what)));
    }
    found
}

#[test]
fn the_examples_of_sloth_and_pyrra_are_read() {
    for (name, examples, least) in
        [("github.com/slok/sloth", "examples", 16), ("github.com/pyrra-dev/pyrra", "examples", 30)]
    {
        let Some(module) = module(name) else {
            println!("not run: no module {name} in GOMODCACHE or ~/go/pkg/mod");
            continue;
        };
        let taken = taken(&module.join(examples));
        assert!(taken.len() >= least, "{name}: {} SLOs", taken.len());
        for (slo, as_what) in &taken {
            // Whoever wrote `latency` into a name measured one, with the exception of another system's function.
            let is_latency = matches!(as_what, AsWhat::Latency(_));
            let unread = matches!(as_what, AsWhat::Nothing(why) if why.contains("cannot be read"));
            assert!(is_latency == slo.contains("latency") || unread, "{name}: {slo}: {as_what}");
        }
    }
}

#[test]
fn the_stored_documents_of_sloth_are_read() {
    let root = std::env::var_os("EMAC_SHARED_DATA").map(PathBuf::from);
    let root =
        root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")));
    if !root.join("sloth").is_dir() {
        return println!("not run: no sloth under EMAC_SHARED_DATA or ../shared/data");
    }
    assert_eq!(taken(&root.join("sloth")).len(), 2);
    let (code, stdout, stderr) = run(&root, &["check", "sloth"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("SLO (openslo/v1alpha)"), "{stdout}");
}
