//! What `emac compile` writes is what its readers' machines accept: rules and their unit tests by promtool, Kubernetes objects and SLOs by our
//! own small schemas of their kinds (`tests/tests/schemas/written`), and by those of their makers where they are at hand. In every dialect, for
//! the examples and for the paper's two journeys.

#[path = "../deploy/crds.rs"]
mod crds;
mod random;
mod sloth;
#[path = "../schemas/written.rs"]
mod written;
#[path = "../deploy/yaml.rs"]
mod yaml;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crds::Crds;
use emac_compile::compile::{Given, Promises, compile, preview};
use emac_compile::emit::prometheus::Dialect;
use emac_compile::emit::write::write;
use emac_compile::emit::{Artifact, all};
use emac_compile::model::{AcceptedModel, CandidateModel};
use emac_document::{Limits, Problems, read_all, read_file};
use emac_journey::intent::{self, Intent};
use emac_journey::slo::Slos;
use emac_tests::{not_run, promtool, repo_root, shared_data};
use serde_json::{Value, json};
use written::{Written, kind_of};

const DIALECTS: [Dialect; 3] = [Dialect::Emac, Dialect::Sloth, Dialect::Pyrra];

/// An intent and what its components promise.
struct Journey {
    name: &'static str,
    intent: Intent,
    promises: Promises,
    candidate: Option<CandidateModel>,
}

impl Journey {
    fn read(name: &'static str, file: &Path, slos: &[PathBuf], model: Option<PathBuf>) -> Self {
        let problems = Problems::new();
        let documents = read_file(file, &Limits::default(), &problems);
        let intent = intent::of(&documents, &problems).remove(0);
        let slos = Slos::read(&read_all(slos, &Limits::default(), &problems), &problems);
        let promises = slos.resolve(&intent, &problems);
        let candidate = model.map(|file| {
            let documents = read_file(&file, &Limits::default(), &problems);
            CandidateModel::read(&documents[0], &problems).unwrap()
        });
        assert_eq!(problems.errors(), 0, "{:?}", problems.list());
        Self { name, intent, promises, candidate }
    }

    fn artifacts(&self, dialect: Dialect) -> Vec<Artifact> {
        let given = Given::promises(&self.promises);
        let declared = AcceptedModel::declared(&self.intent);
        let compiled = match &self.candidate {
            Some(model) => preview(&self.intent, model, given),
            None => compile(&self.intent, &declared, given),
        };
        all(&compiled, dialect).unwrap()
    }
}

/// The example, and two stricter copies of it (for one of which 2 % of errors page at 10 times the budget).
fn own_journeys() -> Vec<Journey> {
    let example = repo_root().join("control-plane/examples/checkout/intent.yaml");
    let mut journeys = vec![Journey::read("example", &example, &[], None)];
    let folder = tempfile::tempdir().unwrap();
    for (name, target) in [("strict", "target: 0.999"), ("less-strict", "target: 0.998")] {
        let file = folder.path().join(name);
        let text = std::fs::read_to_string(&example).unwrap().replace("target: 0.995", target);
        std::fs::write(&file, text).unwrap();
        journeys.push(Journey::read(name, &file, &[], None));
    }
    journeys
}

/// Ours, and the paper's two with the discovered model where they are at hand.
fn journeys(test: &str) -> Vec<Journey> {
    let mut journeys = own_journeys();
    match shared_data("emac-checkout") {
        None => not_run(test, "no emac-checkout (EMAC_SHARED_DATA)"),
        Some(data) => {
            let model = data.join("v1/model_discovery/discovered.checkout.yaml");
            for (name, file) in
                [("paper-v1", "v1/spec/emac.checkout.yaml"), ("paper-v2", "v2/spec/emac.checkout.yaml")]
            {
                journeys.push(Journey::read(
                    name,
                    &data.join(file),
                    &[data.join("v1/atomic")],
                    Some(model.clone()),
                ));
            }
        }
    }
    journeys
}

fn run(promtool: &Path, folder: &Path, args: &[&str]) -> (bool, String) {
    let output = Command::new(promtool).args(args).current_dir(folder).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.success(), text.concat())
}

#[test]
fn promtool_accepts_the_rules_and_their_tests_pass() {
    let test = "compile: rules and their unit tests";
    let Some(promtool) = promtool() else { return not_run(test, "no promtool") };
    for journey in journeys(test) {
        let own = journey.candidate.is_none();
        for dialect in DIALECTS.into_iter().filter(|dialect| own || *dialect == Dialect::Emac) {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), &journey.artifacts(dialect), false).unwrap();
            let rules = folder.path().join("prometheus");
            for args in [["check", "rules", "rules.yaml"], ["test", "rules", "rules.test.yaml"]] {
                let (good, text) = run(&promtool, &rules, &args);
                assert!(good, "{} {dialect:?} {args:?}: {text}", journey.name);
            }
        }
    }
}

/// The unit tests can fail: with the alerts' factors raised they do.
#[test]
fn rules_that_never_fire_fail_their_tests() {
    let test = "compile: spoilt rules are found";
    let Some(promtool) = promtool() else { return not_run(test, "no promtool") };
    let journeys = journeys(test);
    for dialect in DIALECTS {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &journeys[1].artifacts(dialect), false).unwrap();
        let rules = folder.path().join("prometheus");
        let text = std::fs::read_to_string(rules.join("rules.yaml")).unwrap();
        let spoilt = text.replace("(14.4 *", "(1400.4 *").replace("(6 *", "(600 *");
        assert_ne!(spoilt, text, "{dialect:?}");
        std::fs::write(rules.join("rules.yaml"), spoilt).unwrap();
        let (good, text) = run(&promtool, &rules, &["test", "rules", "rules.test.yaml"]);
        assert!(!good && text.contains("2 % of requests fail"), "{dialect:?}: {text}");
    }
}

/// Documents of every YAML artifact.
fn objects(journey: &Journey) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = journey.artifacts(Dialect::Emac);
    write(folder.path(), &artifacts, false).unwrap();
    let files = artifacts.iter().filter(|artifact| artifact.path.ends_with(".yaml"));
    files.flat_map(|artifact| yaml::documents(&folder.path().join(&artifact.path))).collect()
}

/// An action of the intent's governance: a guard, and a step for the rollout.
const ACTION: &str = "evaluationMode: conservative
    actions:
      - kind: promote
        guard: A_minus >= objective && conf(delta) >= 0.8 && no_unresolved_domain_conflict
        parameterBounds: {maxTrafficStep: 0.5}";

/// Our journeys, and the example with a guard.
fn journeys_with_guards() -> Vec<Journey> {
    let example = std::fs::read_to_string(repo_root().join("control-plane/examples/checkout/intent.yaml"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guarded");
    let guarded = example.unwrap().replace("evaluationMode: conservative", ACTION);
    std::fs::write(&file, guarded).unwrap();
    own_journeys().into_iter().chain([Journey::read("guarded", &file, &[], None)]).collect()
}

/// Objects of other people's kinds; of a Rollout only a part is written, which is given its kind here.
fn foreign_objects(journey: &Journey) -> Vec<Value> {
    let mut objects = objects(journey);
    for object in &mut objects {
        if object.pointer("/spec/strategy").is_some() {
            object["apiVersion"] = json!("argoproj.io/v1alpha1");
            object["kind"] = json!("Rollout");
            object["metadata"] = json!({});
        }
    }
    objects.retain(|object| object["kind"].is_string() && object["apiVersion"] != "emac.dev/v1alpha1");
    objects
}

/// Needs nothing of anybody: on every clone.
#[test]
fn objects_keep_to_our_schemas_of_their_kinds() {
    let written = Written::read();
    let mut kinds = BTreeSet::new();
    for journey in journeys_with_guards() {
        for object in foreign_objects(&journey) {
            let problems = written.problems(&object);
            assert!(problems.is_empty(), "{}: {problems:#?}\n{object:#}", journey.name);
            kinds.insert(kind_of(&object).1);
        }
    }
    let expected = [
        "AnalysisTemplate",
        "Canary",
        "ConfigMap",
        "MetricTemplate",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "PrometheusRule",
        "Rollout",
        "SLO",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    assert!(kinds.iter().eq(expected.iter()), "{kinds:?}");
}

/// The schemas can refuse.
#[test]
fn spoilt_objects_do_not_keep_to_our_schemas() {
    let written = Written::read();
    for object in foreign_objects(&journeys_with_guards()[3]) {
        written.refuses_plain_mistakes(&object);
    }
}

/// Argo's, Flagger's and the Prometheus operator's definitions, where they are at hand.
fn crds(test: &str) -> Option<Crds> {
    let Some(data) = shared_data("crds") else {
        not_run(test, "no CRD schemas (EMAC_SHARED_DATA); our own were asked");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let flagger = std::fs::read_to_string(data.join("flagger/crd.yaml")).unwrap();
    std::fs::write(folder.path().join("crd.yaml"), indent_quoted(&flagger)).unwrap();
    let [argo, prometheus] = ["argo-rollouts", "prometheus-operator"].map(|folder| data.join(folder));
    Some(Crds::read(&[argo, prometheus, folder.path().to_owned()]))
}

#[test]
fn our_schemas_take_only_what_the_kinds_own_take() {
    let Some(crds) = crds("compile: our schemas against CRD schemas") else { return };
    let written = Written::read();
    let (mut taken, mut refused) = (0, 0);
    for object in foreign_objects(&own_journeys()[0]) {
        // Half a Rollout is none yet: what it lacks is the reader's own.
        let theirs = |copy: &Value| {
            let problems = crds.problems(copy)?.into_iter();
            Some(problems.filter(|p| object["kind"] != "Rollout" || !p.contains("required")).collect())
        };
        let (more_taken, more_refused) = written.held_against(&object, theirs);
        (taken, refused) = (taken + more_taken, refused + more_refused);
    }
    assert!(taken > 50 && refused > 1_000, "{taken} taken, {refused} refused");
}

#[test]
fn kubernetes_objects_keep_to_their_schemas() {
    let test = "compile: objects against CRD schemas";
    let Some(crds) = crds(test) else { return };
    for journey in journeys(test) {
        let objects = objects(&journey);
        let checked: Vec<_> = objects.iter().filter_map(|object| crds.problems(object)).collect();
        let problems: Vec<_> = checked.iter().flatten().collect();
        assert!(problems.is_empty(), "{}: {problems:#?}", journey.name);
        // PrometheusRule, AnalysisTemplate, six MetricTemplates and a Canary; of a preview one more.
        let preview = usize::from(journey.candidate.is_some());
        assert_eq!(checked.len(), 9 + preview, "{}", journey.name);
    }
}

/// Go's YAML lets a quoted text go on at its key's own indentation, YAML 1.2 does not.
fn indent_quoted(text: &str) -> String {
    let mut quoted = false;
    let line = |line: &str| {
        let indent = if quoted { "  " } else { "" };
        quoted = if quoted { !line.ends_with('\'') } else { line.contains(": '") && !line.ends_with('\'') };
        format!("{indent}{line}\n")
    };
    text.lines().map(line).collect()
}

#[test]
fn slos_keep_to_openslos_schema() {
    let test = "compile: SLOs against OpenSLO's schema";
    let Some(data) = shared_data("openslo-schema") else {
        return not_run(test, "no OpenSLO schemas (EMAC_SHARED_DATA); our own was asked");
    };
    let folder = data.join("v1-7ee2e02");
    let parts = std::fs::read_dir(folder.join("parts")).unwrap().map(|entry| json(&entry.unwrap().path()));
    let parts: Vec<_> = parts.map(|part| (part["$id"].as_str().unwrap().to_owned(), part)).collect();
    let registry = jsonschema::Registry::new().extend(parts).unwrap().prepare().unwrap();
    let root = json(&folder.join("openslo.schema.json"));
    let validator = jsonschema::options().with_registry(&registry).build(&root).unwrap();
    for journey in journeys(test) {
        let slos: Vec<_> =
            objects(&journey).into_iter().filter(|object| object["apiVersion"] == "openslo/v1").collect();
        assert_eq!(slos.len(), 2);
        for slo in &slos {
            let problems: Vec<_> = validator.iter_errors(slo).map(|error| error.to_string()).collect();
            assert!(problems.is_empty(), "{}: {problems:#?}", journey.name);
            let theirs = |copy: &Value| Some(validator.iter_errors(copy).map(|e| e.to_string()).collect());
            assert!(Written::read().held_against(slo, theirs).0 > 0);
        }
        let mut broken = slos[0].clone();
        broken["spec"]["objectives"][0]["target"] = 1.into();
        assert!(!validator.is_valid(&broken), "the schema can refuse");
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
