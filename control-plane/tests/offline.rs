//! The commands that need no mesh, through the real binary: exit codes, nothing half-written, hostile input.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::process::run;

const CHECKOUT: &str = include_str!("../examples/checkout/intent.yaml");

/// Without the objective of which nothing is known, which no gate passes: only a deadline is left.
const UNTIMED: [(&str, &str); 2] = [
    ("    latency:\n      window: 30d\n      objective: {metric: p99, threshold: 400ms}\n", ""),
    ("    runtime:\n", "    runtime:\n      deadline: 400ms\n"),
];

/// A folder with an intent (the example with some text replaced).
fn folder(replace: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = replace.iter().fold(CHECKOUT.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old}");
        text.replace(old, new)
    });
    fs::write(folder.path().join("intent.yaml"), text).unwrap();
    folder
}

fn gate(folder: &Path, more: &[&str]) -> (i32, String, String) {
    run(folder, &[&["gate", "--intent", "intent.yaml"], more].concat())
}

#[test]
fn a_gate_answers_with_its_exit_code() {
    let (code, stdout, _) = gate(folder(&[]).path(), &[]);
    assert_eq!((code, stdout.lines().next()), (3, Some("REVIEW checkout")), "latency is not known");
    assert!(stdout.contains("- p99 within 400 ms is not assessed"), "{stdout}");
    let (code, stdout, _) = gate(folder(&UNTIMED).path(), &[]);
    assert_eq!((code, stdout.lines().next()), (0, Some("PASS checkout")));
    let shared = folder(&[("[payment-network-a]", "[payment-network-b]")]);
    assert_eq!(gate(shared.path(), &[]).0, 2);
    let unstated = folder(&[("failureDomains: [payment-network-a]", "failureDomains: []")]);
    assert_eq!(gate(unstated.path(), &[]).0, 3);
    let unbound = folder(&[("availability: 0.9995", "kind: service")]);
    let (code, stdout, _) = gate(unbound.path(), &[]);
    assert_eq!((code, stdout.lines().next()), (3, Some("UNASSESSABLE checkout")));
    let broken = folder(&[("target: 0.995", "target: 1")]);
    let (code, stdout, stderr) = gate(broken.path(), &[]);
    assert_eq!((code, stdout.as_str()), (65, ""));
    assert!(stderr.contains("intent.yaml:11:15") && stderr.contains('^'), "{stderr}");
    let (code, stdout, stderr) = gate(folder(&UNTIMED).path(), &["--format", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, stderr.as_str(), answer["verdict"].as_str()), (0, "", Some("PASS")));
}

const CANDIDATE: &str = "
apiVersion: emac.dev/v1alpha1
kind: DiscoveredJourneyModel
metadata: {name: checkout}
spec:
  failureDomains: {effective: {front: [c], cart: [c], pricing: [c], cached-price: [x], paya: [a], payb: [b]}}
  confidence: {overall: 0.95}
";

#[test]
fn a_candidate_is_only_looked_at() {
    let folder = folder(&UNTIMED);
    fs::write(folder.path().join("candidate.yaml"), CANDIDATE).unwrap();
    let (code, _, stderr) = gate(folder.path(), &["--model", "candidate.yaml"]);
    assert_eq!(code, 65);
    assert!(stderr.contains("--preview"), "{stderr}");
    let (code, stdout, _) = gate(folder.path(), &["--model", "candidate.yaml", "--preview"]);
    assert_eq!((code, stdout.lines().next()), (3, Some("PREVIEW PASS checkout")), "a preview never passes");
    let args =
        ["compile", "--intent", "intent.yaml", "--model", "candidate.yaml", "--preview", "--out", "out"];
    assert_eq!(run(folder.path(), &args).0, 0);
    for file in [
        "derivation.yaml",
        "derivation.json",
        "summary.md",
        "prometheus/rules.yaml",
        "grafana/dashboard.json",
    ] {
        let text = fs::read_to_string(folder.path().join("out").join(file)).unwrap();
        assert!(text.contains("PREVIEW"), "{file}");
    }
    fs::write(folder.path().join("shared.yaml"), CANDIDATE.replace("paya: [a]", "paya: [b]")).unwrap();
    let (code, stdout, _) = gate(folder.path(), &["--candidate", "shared.yaml"]);
    assert_eq!(code, 3);
    assert!(stdout.contains("unresolved high-impact delta"), "{stdout}");
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path))
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()))
        }
    }
    found.sort();
    found
}

#[test]
fn compiling_twice_gives_the_same_bytes_and_keeps_what_was_edited() {
    let folder = folder(&[]);
    let compile = |more: &[&str]| {
        run(folder.path(), &[&["compile", "--intent", "intent.yaml", "--out", "out"], more].concat())
    };
    let out = folder.path().join("out");
    let (code, first, _) = compile(&[]);
    let written = files(&out);
    assert_eq!((code, written.len()), (0, 14));
    let (code, again, stderr) = compile(&[]);
    assert_eq!((code, &again, &files(&out)), (0, &first, &written));
    assert!(stderr.contains("0 changed, 14 unchanged"), "{stderr}");
    fs::write(out.join("prometheus/rules.yaml"), "groups: []\n").unwrap();
    let edited = files(&out);
    let (code, stdout, stderr) = compile(&["--dialect", "sloth"]);
    assert_eq!((code, stdout.as_str()), (65, ""));
    assert!(stderr.contains("-groups: []") && stderr.contains("--force"), "{stderr}");
    assert_eq!(files(&out), edited, "nothing half-written");
    assert_eq!(compile(&["--force"]).0, 0);
    assert_eq!(files(&out), written);
}

#[test]
fn hostile_files_are_refused_in_no_time() {
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned()
        + &"bcdefghij".chars().zip("abcdefghi".chars()).fold(String::new(), |text, (name, before)| {
            text + &format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 9].join(", "))
        });
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let wide = CHECKOUT.replace("- ref: front\n", &"- ref: front\n      ".repeat(100_000));
    for (name, text) in [
        ("bomb", bomb),
        ("deep", deep),
        ("wide", wide),
        ("empty", String::new()),
        ("binary", "\u{0}\u{1}".to_owned()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("intent.yaml"), text).unwrap();
        let (code, stdout, stderr) = gate(folder.path(), &[]);
        assert_eq!((code, stdout.as_str()), (65, ""), "{name}: {stderr}");
        assert!(stderr.contains("error") && stderr.len() < 20_000, "{name}: {stderr}");
        assert_eq!(run(folder.path(), &["compile", "--intent", "intent.yaml", "--out", "out"]).0, 65);
        assert!(!folder.path().join("out").exists(), "{name}");
    }
    let folder = folder(&[]);
    assert_eq!(gate(folder.path(), &["--model", "absent.yaml"]).0, 65);
    assert_eq!(gate(folder.path(), &["--evidence", "intent.yaml"]).0, 65);
    assert_eq!(gate(folder.path(), &["--slo", "absent"]).0, 65);
    assert_eq!(gate(folder.path(), &["--modle", "x"]).0, 64);
}

#[test]
fn a_gate_records_what_its_guards_were_told() {
    let guards = "    actions:\n      - {kind: promote, guard: 'A_minus >= 0.995 && no_unresolved_domain_conflict'}\n      - {kind: \
                  rollback, guard: 'burn(\"1h\") > 14.4'}\n    runtime:\n";
    let [latency, (_, deadline)] = UNTIMED;
    let folder = folder(&[latency, ("    runtime:\n", deadline), ("    runtime:\n", guards)]);
    let more = ["--ledger", "actions.jsonl", "--at", "2026-01-31T12:00:00Z", "--format", "json"];
    let (code, stdout, stderr) = gate(folder.path(), &more);
    assert_eq!(code, 0, "{stderr}");
    let answer: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let ledger = folder.path().join("actions.jsonl");
    let contents = emac_journey::guard::ledger::read(&ledger).unwrap();
    assert!(
        stderr.contains(&format!("2 entries added, 2 in total, last digest {}", contents.head.digest)),
        "{stderr}"
    );
    let recorded = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let text = fs::read_to_string(&ledger).unwrap();
    for (line, guard) in text.lines().map(recorded).zip(answer["guards"].as_array().unwrap()) {
        for field in ["action", "guard", "inputs", "answer"] {
            assert_eq!(line[field], guard[field], "{field}");
        }
        assert_eq!(
            (line["at"].as_str(), line["verdict"].as_str()),
            (Some("2026-01-31T12:00:00.000Z"), Some("PASS"))
        );
    }
    assert_eq!(
        text.lines().map(|line| recorded(line)["answer"].clone()).collect::<Vec<_>>(),
        ["allowed", "unknown"]
    );
    // A writer died half-way: its line goes aside, and the gate goes on.
    fs::write(&ledger, format!("{text}{{\"sequence\":3,")).unwrap();
    let (code, _, stderr) = gate(folder.path(), &more);
    assert!(code == 0 && stderr.contains("14 bytes of an incomplete last line"), "{stderr}");
    assert_eq!(fs::read_to_string(folder.path().join("actions.jsonl.torn")).unwrap(), "{\"sequence\":3,\n");
    // Somebody changed an answer: no gate goes on from there.
    let changed = fs::read_to_string(&ledger).unwrap().replacen("allowed", "denied", 1);
    fs::write(&ledger, &changed).unwrap();
    let (code, stdout, stderr) = gate(folder.path(), &more);
    assert_eq!((code, stdout.as_str()), (65, ""));
    assert!(stderr.contains("actions.jsonl:1: the line was changed"), "{stderr}");
    assert_eq!(fs::read_to_string(&ledger).unwrap(), changed);
}

#[test]
fn an_explanation_goes_from_leaf_to_decision() {
    let folder = folder(&[]);
    let (code, stdout, _) = run(folder.path(), &["explain", "--intent", "intent.yaml"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!("explain", stdout);
    let (code, stdout, _) = run(folder.path(), &["explain", "--intent", "intent.yaml", "--hop", "paya"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!("explain_hop", stdout);
    assert_eq!(run(folder.path(), &["explain", "--intent", "intent.yaml", "--hop", "payx"]).0, 65);
}

#[test]
fn simulations_repeat_themselves() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("model.yaml"),
        CANDIDATE.replace("  failureDomains", "  expression: Race(paya, payb)\n  failureDomains"),
    )
    .unwrap();
    let profile = "apiVersion: emac.dev/v1alpha1\nkind: SimulationProfile\nspec: {defaults: {nodeAvailability: 0.9}, failStop: {fractions: [0.5]}}\n";
    fs::write(folder.path().join("profile.yaml"), profile).unwrap();
    let args = [
        "simulate",
        "--model",
        "model.yaml",
        "--profile",
        "profile.yaml",
        "--trials",
        "5000",
        "--format",
        "json",
    ];
    let (code, first, _) = run(folder.path(), &args);
    assert_eq!((code, &run(folder.path(), &args).1), (0, &first));
    let answer: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!(answer["availability"][0]["exact"], 0.99);
    assert_eq!(answer["failStop"][0]["stopped"], 1);
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
fn the_papers_discovered_model_is_reviewed_and_with_less_doubt_fails() {
    let Some(paper) = paper() else { return };
    let model = paper.join("v1/model_discovery/discovered.checkout.yaml");
    let slos = paper.join("v1/atomic");
    for version in ["v1", "v2"] {
        let folder = tempfile::tempdir().unwrap();
        let text = fs::read_to_string(paper.join(version).join("spec/emac.checkout.yaml")).unwrap();
        fs::write(folder.path().join("intent.yaml"), &text).unwrap();
        let args = ["--model", model.to_str().unwrap(), "--slo", slos.to_str().unwrap(), "--preview"];
        let (code, stdout, _) = gate(folder.path(), &args);
        assert_eq!(code, 3, "{stdout}");
        assert!(
            stdout.contains("A+ 0.99747706")
                && stdout.contains("A- 0.99251449")
                && stdout.contains("confidence 0.78 is below 0.8"),
            "{stdout}"
        );
        let out = [&["compile", "--intent", "intent.yaml", "--out", "out"], &args[..]].concat();
        assert_eq!(run(folder.path(), &out).0, 0);
        let report = fs::read_to_string(folder.path().join("out/derivation.yaml")).unwrap();
        for part in [
            "      A_plus: 0.99747706\n      A_minus: 0.99251449\n",
            "      payment-network: 0.50040191\n",
            "    - kind: shared_fate_loss\n      of: Race(paya, payb)\n      value: 0.004975\n",
            "A- 0.99251449 is below the objective 0.99500000",
        ] {
            assert!(report.contains(part), "{part}{report}");
        }
        let lenient = text.replace(
            "evaluationMode: conservative",
            "evaluationMode: conservative\n    autoAcceptConfidence: 0.75",
        );
        fs::write(folder.path().join("intent.yaml"), lenient).unwrap();
        let (code, stdout, _) = gate(folder.path(), &args);
        assert_eq!(code, 2, "{stdout}");
    }
}
