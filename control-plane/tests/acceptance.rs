//! From candidate to accepted model through the real binary: diff, accept, log, verify, and what hands should not do.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use emac_control_plane::serve::Intents;
use emac_document::Problems;
use support::process::{emac, run};

const INTENT: &str = include_str!("../examples/checkout/intent.yaml");

/// What evidence says after payb moved onto paya's network; of one call nobody knows how sure it is.
const CANDIDATE: &str = "
apiVersion: emac.dev/v1alpha1
kind: DiscoveredJourneyModel
metadata: {name: checkout}
spec:
  topology: {edges: [{from: front, to: cart, callType: sync, probability: 1}]}
  failureDomains: {effective: {front: [k8s-zone-a], cart: [k8s-zone-a], pricing: [k8s-zone-a], cached-price: [], paya: [payment-network-a], payb: [payment-network-a]}}
  confidence: {overall: 0.95}
  fields:
    - about: domains
      of: payb
      status: identified
      confidence: 0.95
      samples: 3
      provenance: [{source: mesh, says: 'label network=a', file: payb.yaml, field: metadata.labels.network}]
  evidence: [{name: traces.json, source: traces, digest: '00'}]
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("intent.yaml"), INTENT).unwrap();
    fs::write(folder.path().join("candidate.yaml"), CANDIDATE).unwrap();
    folder
}

const ACCEPT: [&str; 7] =
    ["accept", "--candidate", "candidate.yaml", "--into", "model.yaml", "--at", "2026-01-31T12:00:00Z"];

fn accept(folder: &Path, more: &[&str]) -> (i32, String, String) {
    run(folder, &[&ACCEPT, more].concat())
}

fn json(folder: &Path, args: &[&str]) -> serde_json::Value {
    let (_, stdout, stderr) = run(folder, args);
    serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"))
}

fn version(folder: &Path) -> String {
    json(folder, &["log", "model.yaml", "--format", "json"])["models"][0]["versions"][0]["version"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The candidate as made from the model that is there now.
fn rebase(folder: &Path, replace: &[(&str, &str)]) {
    let text = CANDIDATE.replace("spec:\n", &format!("spec:\n  base: '{}'\n", version(folder)));
    let text = replace.iter().fold(text, |text, (old, new)| {
        assert!(text.contains(old), "{old}");
        text.replace(old, new)
    });
    fs::write(folder.join("candidate.yaml"), text).unwrap();
}

#[test]
fn a_difference_is_fit_for_a_pull_request() {
    let folder = folder();
    let diff = ["diff", "--intent", "intent.yaml", "--candidate", "candidate.yaml"];
    let (code, stdout, stderr) = run(folder.path(), &[&diff[..], &["--format", "markdown"]].concat());
    assert_eq!(code, 0, "{stderr}");
    insta::assert_snapshot!("diff_markdown", stdout);
    let (code, stdout, _) = run(folder.path(), &diff);
    assert_eq!(code, 0);
    insta::assert_snapshot!("diff_text", stdout);
    let answer = json(folder.path(), &[&diff[..], &["--format", "json"]].concat());
    let classes: Vec<_> =
        answer["deltas"].as_array().unwrap().iter().map(|delta| delta["impact"]["class"].clone()).collect();
    assert!(classes.contains(&"high".into()), "{classes:?}");
    let (code, stdout, _) =
        run(folder.path(), &["gate", "--intent", "intent.yaml", "--candidate", "candidate.yaml"]);
    assert_eq!(code, 3);
    assert!(
        stdout.contains("unresolved high-impact delta") && stdout.contains("failure domains of payb"),
        "{stdout}"
    );
}

#[test]
fn what_is_accepted_acts_and_has_a_lineage() {
    let folder = folder();
    let (code, stdout, stderr) = accept(folder.path(), &["--by", "ann"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("not accepted (unresolved)") && stdout.contains("call front -> cart"),
        "{stdout}"
    );
    let (code, stdout, _) = run(folder.path(), &["gate", "--intent", "intent.yaml", "--model", "model.yaml"]);
    assert_eq!((code, stdout.lines().next()), (2, Some("FAIL checkout")), "{stdout}");
    let first = version(folder.path());
    // The same candidate does not fit the model it has become.
    let (code, _, stderr) = accept(folder.path(), &["--by", "bob"]);
    assert_eq!(code, 65);
    assert!(stderr.contains("conflict: the acceptance is based on") && stderr.contains(&first), "{stderr}");
    rebase(folder.path(), &[]);
    let (code, _, stderr) = accept(folder.path(), &["--by", "bob"]);
    assert_eq!(code, 65, "only doubt is left: {stderr}");
    let (code, stdout, stderr) = accept(folder.path(), &["--by", "bob", "--unresolved"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("accepted 4 deltas"), "{stdout}");
    let log = json(folder.path(), &["log", "model.yaml", "--format", "json"]);
    let versions = log["models"][0]["versions"].as_array().unwrap();
    assert_eq!(
        (versions.len(), &versions[0]["parent"], &versions[1]["version"]),
        (2, &first.clone().into(), &first.into())
    );
    assert_eq!((versions[0]["by"].as_str(), versions[1]["by"].as_str()), (Some("bob"), Some("ann")));
    assert_eq!(run(folder.path(), &["verify", "--sealed", "model.yaml"]).0, 0);
    rebase(folder.path(), &[]);
    let (code, stdout, _) = accept(folder.path(), &["--by", "bob"]);
    assert_eq!((code, stdout.as_str()), (0, "nothing to accept: the candidate equals the model\n"));
}

#[test]
fn a_model_edited_by_hand_is_refused_everywhere_by_field() {
    let folder = folder();
    assert_eq!(accept(folder.path(), &["--by", "ann", "--unresolved"]).0, 0);
    let file = folder.path().join("model.yaml");
    let sealed = fs::read_to_string(&file).unwrap();
    let edited = sealed.replace("probability: 1", "probability: 0");
    assert_ne!(edited, sealed);
    fs::write(&file, &edited).unwrap();
    let model = ["--intent", "intent.yaml", "--model", "model.yaml"];
    let on = |command: &str, more: &[&str]| run(folder.path(), &[&[command], &model[..], more].concat());
    for (code, stdout, stderr) in [
        on("gate", &[]),
        on("explain", &[]),
        on("compile", &["--out", "out"]),
        on("diff", &["--candidate", "candidate.yaml"]),
        run(folder.path(), &["simulate", "--model", "model.yaml"]),
        run(folder.path(), &["verify", "model.yaml"]),
        run(folder.path(), &["log", "model.yaml"]),
        run(folder.path(), &["check", "model.yaml"]),
        accept(folder.path(), &["--by", "ann"]),
    ] {
        assert_eq!((code, stdout.as_str()), (65, ""), "{stderr}");
        assert!(stderr.contains("`spec.topology.edges[0].probability` was changed"), "{stderr}");
    }
    assert!(!folder.path().join("out").exists());
    assert_eq!(fs::read_to_string(&file).unwrap(), edited, "nothing is lost");
    // A seal that was cut out leaves a note.
    let cut: String = sealed
        .split("\nseal:")
        .next()
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with("  version:"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&file, cut).unwrap();
    assert!(
        json(folder.path(), &[&["gate"], &model[..], &["--format", "json"]].concat())["notes"]
            .to_string()
            .contains("no seal")
    );
    assert_eq!(run(folder.path(), &["verify", "model.yaml"]).0, 0);
    assert_eq!(run(folder.path(), &["verify", "--sealed", "model.yaml"]).0, 65);
}

#[test]
fn of_many_who_accept_at_once_one_is_first_and_all_others_are_told() {
    let folder = folder();
    assert_eq!(accept(folder.path(), &["--by", "ann"]).0, 0);
    let before = version(folder.path());
    for name in ["x", "y", "z", "u", "v"] {
        rebase(folder.path(), &[("k8s-zone-a", name)]);
        fs::rename(folder.path().join("candidate.yaml"), folder.path().join(format!("{name}.yaml"))).unwrap();
    }
    let start = |name: &str| {
        let candidate = format!("{name}.yaml");
        let args =
            ["accept", "--candidate", &candidate, "--into", "model.yaml", "--by", name, "--unresolved"];
        emac(folder.path(), &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = ["x", "y", "z", "u", "v"].map(start).into();
    let outputs: Vec<_> = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    let codes: Vec<_> = outputs.iter().filter_map(|output| output.status.code()).collect();
    assert_eq!(
        (codes.iter().filter(|code| **code == 0).count(), codes.iter().filter(|code| **code == 65).count()),
        (1, 4),
        "{codes:?}"
    );
    let late = outputs.iter().filter(|output| output.status.code() == Some(65));
    late.for_each(|output| {
        assert!(String::from_utf8_lossy(&output.stderr).contains("conflict: the acceptance"))
    });
    let log = json(folder.path(), &["log", "model.yaml", "--format", "json"]);
    assert_eq!(log["models"][0]["versions"][0]["parent"].as_str(), Some(before.as_str()));
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        !names.iter().any(|name| name.to_string_lossy().starts_with('.')),
        "nothing half-written: {names:?}"
    );
}

#[test]
fn chosen_deltas_and_nothing_else() {
    let folder = folder();
    let diff = ["diff", "--intent", "intent.yaml", "--candidate", "candidate.yaml", "--format", "json"];
    let answer = json(folder.path(), &diff);
    let id = |what: &str| {
        let deltas = answer["deltas"].as_array().unwrap();
        let found = deltas.iter().find(|delta| delta["what"].as_str().unwrap().contains(what));
        found.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let (code, _, stderr) = accept(folder.path(), &["--by", "ann", "--only", &id("call front")]);
    assert_eq!(code, 65);
    assert!(stderr.contains("is unresolved") && stderr.contains("--unresolved"), "{stderr}");
    let (code, _, stderr) = accept(folder.path(), &["--by", "ann", "--only", &id("redundancy of paya")]);
    assert_eq!(code, 65);
    assert!(stderr.contains("depends on"), "{stderr}");
    assert_eq!(accept(folder.path(), &["--by", "ann", "--only", "zzz"]).0, 65);
    assert_eq!(accept(folder.path(), &["--by", " "]).0, 65);
    assert_eq!(accept(folder.path(), &[]).0, 64, "an acceptance is somebody's");
    assert_eq!(accept(folder.path(), &["--policy"]).0, 65, "the intent allows no policy");
    assert!(!folder.path().join("model.yaml").exists());
    assert_eq!(accept(folder.path(), &["--by", "ann", "--only", &id("domains of payb")[..6]]).0, 0);
    let text = fs::read_to_string(folder.path().join("model.yaml")).unwrap();
    assert!(!text.contains("probability:") && text.contains("- payment-network-a"), "{text}");
    fs::remove_file(folder.path().join("intent.yaml")).unwrap();
    fs::remove_file(folder.path().join("model.yaml")).unwrap();
    let (code, _, stderr) = accept(folder.path(), &["--by", "ann"]);
    assert_eq!(code, 65);
    assert!(stderr.contains("--intent"), "{stderr}");
}

#[test]
fn a_policy_takes_what_the_intent_lets_it_take() {
    let folder = folder();
    let allowing = INTENT.replace("  governance:\n", "  governance:\n    autoAccept: {lowImpact: true}\n");
    assert_ne!(allowing, INTENT);
    fs::write(folder.path().join("intent.yaml"), allowing).unwrap();
    let (code, _, stderr) = accept(folder.path(), &["--policy"]);
    assert_eq!(code, 65);
    assert!(
        stderr.contains("no delta is identified, of sufficient confidence and of low impact"),
        "{stderr}"
    );
    let harmless = CANDIDATE.replace("payb: [payment-network-a]", "payb: [payment-network-c]");
    fs::write(folder.path().join("candidate.yaml"), harmless).unwrap();
    let (code, stdout, stderr) = accept(folder.path(), &["--policy"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("accepted 1 deltas"), "{stdout}");
    assert!(run(folder.path(), &["log", "model.yaml"]).1.contains("by policy"));
}

#[test]
fn two_lines_of_one_journey_are_noticed() {
    let folder = folder();
    let into = |name: &str, by: &str| {
        run(folder.path(), &["accept", "--candidate", "candidate.yaml", "--into", name, "--by", by])
    };
    assert_eq!((into("a.yaml", "ann").0, into("b.yaml", "bob").0), (0, 0));
    let (code, _, stderr) = run(folder.path(), &["verify", "a.yaml", "b.yaml"]);
    assert_eq!(code, 65);
    assert!(stderr.contains("neither comes from the other"), "{stderr}");
}

/// The paper's files, or `None` when they are not at hand.
fn paper() -> Option<PathBuf> {
    let root = std::env::var_os("EMAC_SHARED_DATA").map(PathBuf::from);
    let root =
        root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")));
    let folder = root.join("emac-checkout");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("not run: no emac-checkout under EMAC_SHARED_DATA or ../shared/data");
    None
}

#[test]
fn the_papers_drift_is_accepted_onto_its_baseline() {
    let Some(paper) = paper() else { return };
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| fs::copy(paper.join(from), folder.path().join(to)).unwrap();
    copy("v2/spec/emac.checkout.yaml", "intent.yaml");
    copy("replay/fixtures/accepted/baseline.accepted-model.yaml", "model.yaml");
    copy("replay/generated/models/payment_shared_fate_drift.discovered-model.yaml", "candidate.yaml");
    let slos = paper.join("v1/atomic");
    let args = ["--intent", "intent.yaml", "--model", "model.yaml", "--slo", slos.to_str().unwrap()];
    let answer = json(
        folder.path(),
        &[&["diff", "--candidate", "candidate.yaml", "--format", "json"], &args[..]].concat(),
    );
    let deltas = answer["deltas"].as_array().unwrap();
    assert_eq!(deltas.len(), 3, "{answer:#}");
    let impact = &deltas[2]["impact"];
    assert_eq!(
        (impact["A_minus"]["delta"].as_f64(), impact["class"].as_str()),
        (Some(-0.00496257), Some("high"))
    );
    assert_eq!(
        (answer["before"]["verdict"].as_str(), answer["after"]["verdict"].as_str()),
        // Of its latency objective nothing is known before, and what the bounds refuse after stays refused.
        (Some("REVIEW"), Some("FAIL"))
    );
    let parent = answer["before"]["version"].as_str().unwrap();
    let (code, stdout, stderr) = accept(folder.path(), &["--by", "ann", "--parent", &parent[..12]]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("accepted 3 deltas"), "{stdout}");
    assert!(run(folder.path(), &["log", "model.yaml"]).1.contains("written by hand"));
    assert_eq!(run(folder.path(), &[&["gate"], &args[..]].concat()).0, 2);
}

/// What `emac serve` would enforce of a folder: the structure, and what names it.
fn enforced(folder: &Path) -> (String, String) {
    let problems = Problems::new();
    let intents = Intents::load(&[folder.join("intent.yaml").display().to_string()], &problems).unwrap();
    (intents.planned[0].structure.to_string(), intents.planned[0].model_digest.clone())
}

/// What `emac gate` judges of it. Where the structure is the intent's own there is no seal, and the intent's digest names it.
fn judged(folder: &Path) -> (Option<String>, String) {
    let answer = json(folder, &["gate", "--intent", "intent.yaml", "--format", "json"]);
    let explained = json(folder, &["explain", "--intent", "intent.yaml", "--format", "json"]);
    let seal = answer["model"]["seal"].as_str().map(str::to_owned);
    (seal, explained["spec"]["expression"].as_str().unwrap().to_owned())
}

#[test]
fn the_gate_judges_the_model_that_the_server_enforces() {
    let folder = folder();
    let structured = CANDIDATE.replace(
        "  failureDomains:",
        "  expression: Series(front, Parallel(cart, Fallback(pricing, 0.5*cached-price)), Race(paya, payb))\n  failureDomains:",
    );
    fs::write(folder.path().join("candidate.yaml"), structured).unwrap();
    let (structure, digest) = enforced(folder.path());
    assert_eq!(judged(folder.path()), (None, structure.clone()));

    // Accepted beside the intent.
    let (code, _, stderr) = accept(folder.path(), &["--by", "ann", "--unresolved"]);
    assert_eq!(code, 0, "{stderr}");
    let accepted = enforced(folder.path());
    assert!(accepted.0 != structure && accepted.1 != digest);
    assert_eq!(judged(folder.path()), (Some(accepted.1.clone()), accepted.0.clone()));
    let (_, stdout, _) = run(folder.path(), &["gate", "--intent", "intent.yaml"]);
    assert!(stdout.contains(&format!("model model.yaml, seal {}", &accepted.1[..12])), "{stdout}");

    // In the file that the intent names.
    fs::rename(folder.path().join("model.yaml"), folder.path().join("agreed.yaml")).unwrap();
    let referred = INTENT.replace(
        "\nspec:\n",
        "\nspec:\n  evidence:\n    modelDiscovery:\n      discoveredModelRef: agreed.yaml\n",
    );
    assert_ne!(referred, INTENT);
    fs::write(folder.path().join("intent.yaml"), referred).unwrap();
    assert_eq!(enforced(folder.path()), accepted);
    assert_eq!(judged(folder.path()), (Some(accepted.1.clone()), accepted.0.clone()));

    // Of a component that the intent does not know: both fall back to the intent's structure.
    fs::rename(folder.path().join("agreed.yaml"), folder.path().join("model.yaml")).unwrap();
    let smaller = INTENT.replace("    payb:\n", "    payc:\n").replace("ref: payb,", "ref: payc,");
    fs::write(folder.path().join("intent.yaml"), smaller).unwrap();
    let (structure, _) = enforced(folder.path());
    assert!(structure.contains("payc"), "{structure}");
    assert_eq!(judged(folder.path()), (None, structure));
}

/// Standard output as JSON, and its `problems` as `severity: message`.
fn problems(folder: &Path, args: &[&str]) -> (serde_json::Value, Vec<String>) {
    let answer = json(folder, args);
    let problems = answer["problems"].as_array().unwrap_or_else(|| panic!("{args:?}: {answer:#}"));
    let told = problems
        .iter()
        .map(|one| format!("{}: {}", one["severity"].as_str().unwrap(), one["message"].as_str().unwrap()));
    (answer.clone(), told.collect())
}

#[test]
fn answers_for_programs_carry_what_people_are_warned_of() {
    let folder = folder();
    // Where the accepted model belongs stands the candidate.
    fs::copy(folder.path().join("candidate.yaml"), folder.path().join("model.yaml")).unwrap();
    let warning = "this model is a candidate that nobody has accepted: the structure that the intent of `checkout` declares acts";
    for command in ["gate", "compile", "explain", "diff"] {
        let mut args = vec![command, "--intent", "intent.yaml"];
        args.extend((command == "diff").then_some(["--candidate", "candidate.yaml"]).iter().flatten());
        let (code, _, stderr) = run(folder.path(), &args);
        assert!(stderr.contains("warning: model.yaml: this model is a candidate"), "{command}: {stderr}");
        args.extend(["--format", "json"]);
        let (answer, told) = problems(folder.path(), &args);
        assert_eq!(told, [format!("warning: {warning}")], "{command}");
        assert_eq!(answer["problems"][0]["file"], "model.yaml");
        let (json_code, _, stderr) = run(folder.path(), &args);
        assert_eq!(json_code, code);
        assert!(!stderr.contains("a candidate that nobody has accepted"), "{command}: {stderr}");
    }
    let (_, stdout, _) = run(folder.path(), &["gate", "--intent", "intent.yaml", "--format", "json"]);
    insta::assert_snapshot!("gate_json", stdout);
}

#[test]
fn every_answer_for_programs_is_an_object_with_problems() {
    let folder = folder();
    accept(folder.path(), &["--by", "ann"]);
    let structured = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/discovery/candidate.yaml");
    let simulate = ["simulate", "--model", structured, "--trials", "10", "--format", "json"];
    let commands: [&[&str]; 4] = [
        &simulate,
        &["log", "model.yaml", "--format", "json"],
        &["verify", "model.yaml", "--format", "json"],
        &["check", "intent.yaml", "--format", "json"],
    ];
    for args in commands {
        assert_eq!(problems(folder.path(), args).1, Vec::<String>::new(), "{args:?}");
    }
    fs::write(folder.path().join("broken.yaml"), "kind: [").unwrap();
    let broken: [&[&str]; 6] = [
        &["simulate", "--model", "broken.yaml", "--format", "json"],
        &["log", "broken.yaml", "--format", "json"],
        &["verify", "broken.yaml", "--format", "json"],
        &["check", "broken.yaml", "--format", "json"],
        &["gate", "--intent", "broken.yaml", "--format", "json"],
        &["replay", "absent", "--format", "json"],
    ];
    for args in broken {
        let told = problems(folder.path(), args).1;
        assert!(told.iter().any(|one| one.starts_with("error: ")), "{args:?}: {told:?}");
        assert_eq!(run(folder.path(), args).0, 65);
    }
}

#[test]
fn what_discovery_could_not_read_is_in_its_answer() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("traces")).unwrap();
    fs::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/examples/discovery/traces.jsonl.gz"),
        at("traces/traces.jsonl.gz"),
    )
    .unwrap();
    fs::write(at("traces/notes.txt"), "Recorded on a Friday.").unwrap();
    fs::write(at("torn.json"), "{\"resourceSpans\": [").unwrap();
    let discover = |more: &[&str]| {
        let args = ["discover", "--traces", "traces", "torn.json", "--out", "found", "--format", "json"];
        problems(folder.path(), &[&args[..], more].concat())
    };
    let (answer, told) = discover(&[]);
    assert_eq!((told.len(), &answer["journeys"]), (2, &serde_json::Value::Null), "{told:?}");
    assert!(told[0].starts_with("error: ends at byte 19"), "{told:?}");
    assert_eq!(
        answer["problems"][0]["help"],
        "nothing was written; to use the part that could be read, pass --partial"
    );
    assert!(!at("found").exists());
    let (answer, told) = discover(&["--partial"]);
    assert!(!answer["journeys"].as_array().unwrap().is_empty());
    assert!(told[0].starts_with("warning: ends at byte 19"), "{told:?}");
    assert_eq!(told[1], "warning: skipped, they contain no traces: traces/notes.txt");

    fs::write(at("torn.json"), "{\"resourceSpans\": []}").unwrap();
    fs::remove_dir_all(at("traces")).unwrap();
    fs::create_dir(at("traces")).unwrap();
    let (answer, told) = discover(&[]);
    assert_eq!(told, ["error: no journey was found: no span was read"]);
    assert!(answer["journeys"].as_array().unwrap().is_empty() && answer["signal"].is_object());
}

/// `emac accept` without --into, of a copy of the candidate in the folder.
fn accept_where_it_belongs(folder: &Path, more: &[&str]) -> (i32, String, String) {
    run(folder, &[&["accept", "--candidate", "candidate.yaml", "--by", "ann"], more].concat())
}

#[test]
fn an_accepted_model_goes_where_the_gate_looks() {
    let folder = folder();
    let (code, stdout, stderr) = accept_where_it_belongs(folder.path(), &[]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.starts_with("accepted 2 deltas into model.yaml, "), "{stdout}");
    assert!(judged(folder.path()).0.is_some(), "it acts");

    // Among intents of several journeys, and where the intent names another file.
    let login = INTENT.replace("name: checkout", "name: login");
    fs::write(folder.path().join("login.yaml"), login).unwrap();
    fs::remove_file(folder.path().join("model.yaml")).unwrap();
    let (code, stdout, _) = accept_where_it_belongs(folder.path(), &[]);
    assert!(code == 0 && stdout.contains("into checkout.model.yaml, "), "{stdout}");
    let named = INTENT.replace(
        "  governance:",
        "  evidence: {modelDiscovery: {discoveredModelRef: agreed.yaml}}\n  governance:",
    );
    fs::write(folder.path().join("intent.yaml"), named).unwrap();
    let (code, stdout, _) = accept_where_it_belongs(folder.path(), &[]);
    assert!(code == 0 && stdout.contains("into agreed.yaml, "), "{stdout}");
    assert!(judged(folder.path()).0.is_some());

    let empty = tempfile::tempdir().unwrap();
    fs::write(empty.path().join("candidate.yaml"), CANDIDATE).unwrap();
    let (code, _, stderr) = accept_where_it_belongs(empty.path(), &[]);
    assert_eq!(code, 65);
    assert!(stderr.contains("there is no intent.yaml beside candidate.yaml"), "{stderr}");
    assert!(stderr.contains("help: pass --intent, or --into with the file"), "{stderr}");
}

#[test]
fn a_file_that_nobody_reads_is_told_when_it_is_written() {
    let folder = folder();
    let (code, stdout, stderr) = accept_where_it_belongs(folder.path(), &["--into", "agreed.yaml"]);
    assert!(code == 0 && stdout.contains("into agreed.yaml, "), "{stdout}");
    assert!(
        stderr.contains("warning: agreed.yaml: `emac serve` and `emac gate` do not read this file"),
        "{stderr}"
    );
    assert!(stderr.contains("discoveredModelRef"), "{stderr}");
    // Another spelling of the right path, and a link to it, are the right path.
    std::os::unix::fs::symlink("model.yaml", folder.path().join("link.yaml")).unwrap();
    for into in ["./model.yaml", "link.yaml"] {
        let (_, _, stderr) = accept_where_it_belongs(folder.path(), &["--into", into]);
        assert!(!stderr.contains("do not read this file"), "{into}: {stderr}");
        assert!(folder.path().join("model.yaml").exists());
    }
}
