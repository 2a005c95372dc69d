//! What `emac compile` writes for canaries, judged by programs of other origin: Argo Rollouts' own provider and conditions (`tests/setup/gates.sh` builds them),
//! and a real Prometheus with made-up series. Forms of SLIs ([`shapes`]) times what may happen ([`situations`]).

mod beside_sloth;
mod by_flagger;
mod dashboards;
mod latency;
mod live;
mod promql;
mod shapes;
mod situations;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use emac_compile::compile::{Given, Promises, compile, preview};
use emac_compile::emit::prometheus::{Dialect, Sli};
use emac_compile::emit::{Artifact, all, argo, flagger};
use emac_compile::model::{AcceptedModel, CandidateModel};
use emac_document::{Limits, Problems, Source, parse};
use emac_journey::intent;
use emac_journey::slo::Slos;
use emac_tests::{not_run, repo_root};
use live::Live;
use serde_json::Value;
use situations::Phase;

/// Artifacts of an intent.
fn artifacts(text: &str, dialect: Dialect) -> Vec<Artifact> {
    let problems = Problems::new();
    let documents = parse(&Source::new("intent.yaml", text), &Limits::default(), &problems);
    let intent =
        intent::read(&documents[0], &problems).unwrap_or_else(|| panic!("{text}\n{:?}", problems.list()));
    let promises: Promises = Slos::default().resolve(&intent, &Problems::new());
    let model = AcceptedModel::declared(&intent);
    all(&compile(&intent, &model, Given::promises(&promises)), dialect).unwrap()
}

/// What canaries are judged by, and nothing else of the artifacts: there are hundreds of them.
pub(crate) struct Gates {
    pub(crate) template: Value,
    pub(crate) metric_templates: Vec<Value>,
    pub(crate) canary: Value,
}

impl Gates {
    pub(crate) fn of(text: &str) -> Self {
        let problems = Problems::new();
        let documents = parse(&Source::new("intent.yaml", text), &Limits::default(), &problems);
        let intent =
            intent::read(&documents[0], &problems).unwrap_or_else(|| panic!("{text}\n{:?}", problems.list()));
        let promises: Promises = Slos::default().resolve(&intent, &Problems::new());
        let model = AcceptedModel::declared(&intent);
        let compiled = compile(&intent, &model, Given::promises(&promises));
        let sli = Sli::of(&compiled);
        Self {
            template: argo::analysis_template(&compiled, &sli),
            metric_templates: flagger::metric_templates(&compiled, &sli),
            canary: flagger::canary(&compiled, &sli),
        }
    }
}

fn text<'a>(artifacts: &'a [Artifact], path: &str) -> &'a str {
    &artifacts.iter().find(|artifact| artifact.path == path).unwrap().text
}

/// An intent with an SLI, and more of its objectives and its governance.
fn intent_of(good: &str, total: &str, more: &str) -> String {
    let quoted = |query: &str| serde_json::to_string(query).unwrap();
    format!(
        "apiVersion: emac.dev/v1alpha1
kind: JourneyIntent
metadata: {{name: booking}}
spec:
  objectives:
    availability:
      window: 30d
      target: 0.99
      sli:
        goodEventQuery: {}
        totalEventQuery: {}
  operator: {{type: series, steps: [{{ref: desk}}]}}
  components: {{desk: {{availability: 0.99999, failureDomains: [hall]}}}}
{more}",
        quoted(good),
        quoted(total)
    )
}

/// The program that takes measurements as Argo Rollouts does; without it a test is not run.
fn argo_measure(test: &str) -> Option<PathBuf> {
    let built = repo_root().join(".tools/gates/bin/argo-measure");
    let why = || std::fs::read_to_string(repo_root().join(".tools/gates/not-run.txt")).unwrap_or_default();
    if !built.is_file() {
        let why = why();
        not_run(test, if why.is_empty() { "no argo-measure (make e2e-gates builds it)" } else { why.trim() });
        return None;
    }
    Some(built)
}

/// Every metric of some templates measured once: phase and value by file and metric.
fn measure(
    program: &PathBuf,
    address: &str,
    templates: &[PathBuf],
) -> BTreeMap<(String, String), (String, String)> {
    let mut found = BTreeMap::new();
    for some in templates.chunks(200) {
        let output = Command::new(program).arg(address).args(some).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let of = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            let file = PathBuf::from(of("file")).file_stem().unwrap().to_string_lossy().into_owned();
            found.insert((file, of("metric")), (of("phase"), format!("{} {}", of("value"), of("message"))));
        }
    }
    found
}

/// The phase of a whole run: its worst measurement, as the controller has it.
fn whole<'a>(phases: impl Iterator<Item = &'a str>) -> Phase {
    let rank = |phase: &str| match phase {
        "Successful" => 0,
        "Inconclusive" => 1,
        "Error" => 2,
        "Failed" => 3,
        other => panic!("phase {other}"),
    };
    match phases.map(rank).max() {
        Some(0) => Phase::Successful,
        Some(1) => Phase::Inconclusive,
        Some(2) => Phase::Error,
        _ => Phase::Failed,
    }
}

#[test]
fn argo_rollouts_judges_every_shape_in_every_situation_as_it_must() {
    let test = "gates: AnalysisTemplates by Argo Rollouts' own provider";
    let (Some(program), Some(prometheus)) = (argo_measure(test), Live::binary(test)) else { return };
    let live = Live::start(&prometheus, &situations::series(), None);
    let folder = tempfile::tempdir().unwrap();
    let (mut templates, mut expected) = (Vec::new(), BTreeMap::new());
    for (number, shape) in shapes::SHAPES.iter().enumerate() {
        for situation in situations::SITUATIONS {
            let (good, total) = shape.of(situation.prefix);
            let gates = Gates::of(&intent_of(&good, &total, ""));
            let name = format!("{number:02}-{}", situation.prefix);
            let file = folder.path().join(format!("{name}.yaml"));
            // JSON is YAML.
            std::fs::write(&file, gates.template.to_string()).unwrap();
            templates.push(file);
            expected.insert(name, (shape, situation));
        }
    }
    // What is over soonest first: a busy machine takes minutes for all of them.
    templates
        .sort_by_key(|file| file.file_stem().is_none_or(|name| !name.to_string_lossy().ends_with("-one")));
    let measured = measure(&program, &live.address(), &templates);
    let mut wrong = Vec::new();
    for (name, (shape, situation)) in &expected {
        let of: Vec<_> = measured.iter().filter(|((file, _), _)| file == name).collect();
        assert!(of.len() >= 4, "{name}: {of:?}");
        let phase = whole(of.iter().map(|(_, (phase, _))| phase.as_str()));
        if phase != situation.expected_of(shape) {
            wrong.push(format!("{} in `{}`: {phase:?}, {of:?}", shape.good, situation.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), expected.len(), wrong.join("\n"));
    assert!(shapes::SHAPES.len() >= 30 && situations::SITUATIONS.len() >= 10);
}

#[test]
fn without_prometheus_nothing_passes() {
    let test = "gates: Prometheus away";
    let Some(program) = argo_measure(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (good, total) = shapes::SHAPES[0].of("healthy");
    let file = folder.path().join("away.yaml");
    std::fs::write(
        &file,
        text(&artifacts(&intent_of(&good, &total, ""), Dialect::Emac), "argo/analysis-template.yaml"),
    )
    .unwrap();
    let measured = measure(&program, "http://127.0.0.1:9", &[file]);
    assert!(measured.len() >= 4 && measured.values().all(|(phase, _)| phase == "Error"), "{measured:?}");
}

/// A preview is of a model that nobody accepted: its gate fails, its series are not those of the accepted one.
#[test]
fn a_preview_never_passes() {
    let test = "gates: previews";
    let (Some(program), Some(prometheus)) = (argo_measure(test), Live::binary(test)) else { return };
    let live = Live::start(&prometheus, &situations::series(), None);
    let (good, total) = shapes::SHAPES[0].of("healthy");
    let problems = Problems::new();
    let documents =
        parse(&Source::new("intent.yaml", intent_of(&good, &total, "")), &Limits::default(), &problems);
    let intent = intent::read(&documents[0], &problems).unwrap();
    let candidate = CandidateModel::new(AcceptedModel::declared(&intent).model().clone(), None);
    let promises: Promises = Slos::default().resolve(&intent, &Problems::new());
    let artifacts = all(&preview(&intent, &candidate, Given::promises(&promises)), Dialect::Emac).unwrap();
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("preview.yaml");
    std::fs::write(&path, text(&artifacts, "argo/analysis-template.yaml")).unwrap();
    let measured = measure(&program, &live.address(), &[path]);
    assert_eq!(whole(measured.values().map(|(phase, _)| phase.as_str())), Phase::Failed, "{measured:?}");
    for artifact in &artifacts {
        assert!(!artifact.text.contains("journey:booking:"), "{}", artifact.path);
    }
}
