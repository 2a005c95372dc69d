//! What goes wrong in files, through the real binary: each with its exit code, the place, and nothing written.

mod support;

use std::fs;
use std::path::Path;

use support::process::run;

const CHECKOUT: &str = include_str!("../examples/checkout/intent.yaml");

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// The example with one text in place of another.
fn with(old: &str, new: &str) -> String {
    assert!(CHECKOUT.contains(old), "{old}");
    CHECKOUT.replacen(old, new, 1)
}

/// `check`, `compile` and `gate` refuse the intent, say `told` on standard error, and leave nothing behind.
fn refused(name: &str, intent: &str, told: &str) {
    let folder = folder(&[("intent.yaml", intent)]);
    for args in [
        &["check", "intent.yaml"][..],
        &["compile", "--intent", "intent.yaml", "--out", "out"],
        &["gate", "--intent", "intent.yaml", "--ledger", "ledger.jsonl"],
    ] {
        let (code, stdout, stderr) = run(folder.path(), args);
        assert_eq!((code, stdout.as_str()), (65, ""), "{name} {args:?}: {stderr}");
        assert!(stderr.contains(told), "{name} {args:?}: {stderr}");
        assert!(stderr.contains("intent.yaml") && stderr.len() < 20_000, "{name} {args:?}: {stderr}");
    }
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["intent.yaml"], "{name}");
}

#[test]
fn fields_units_and_references_are_told_with_their_place() {
    for (name, old, new, told) in [
        ("duplicate key", "  name: checkout", "  name: checkout\n  name: again", "`name`"),
        ("duplicate component", "    cart:\n", "    paya: {availability: 0.9}\n    cart:\n", "`paya`"),
        (
            "unknown field",
            "window: 30d\n      target",
            "windoww: 30d\n      target",
            "did you mean `window`?",
        ),
        ("unknown version", "emac.dev/v1alpha1", "emac.dev/v9", "emac.dev/v9"),
        ("no unit", "window: 30d\n      target", "window: 30\n      target", "unit"),
        ("wrong unit", "threshold: 400ms", "threshold: 400parsec", "is not a unit of time"),
        ("percent of what", "share: 20%", "share: 20", "intent.yaml:57"),
        ("dangling reference", "{ref: payb, weight: 1}", "{ref: payc, weight: 1}", "payc"),
        ("dangling SLO", "      availability: 0.9995\n", "      atomicSLORef: openslo:nowhere\n", "nowhere"),
        ("target of 0", "target: 0.995", "target: 0", "intent.yaml:11:15"),
        ("target of 1", "target: 0.995", "target: 1", "intent.yaml:11:15"),
        ("target above 1", "target: 0.995", "target: 99.5", "intent.yaml:11:15"),
        ("NaN", "target: 0.995", "target: .nan", "intent.yaml:11:15"),
        ("infinite", "availability: 0.9995", "availability: .inf", "intent.yaml"),
        ("negative", "availability: 0.9995", "availability: -0.1", "intent.yaml"),
        ("not text", "name: checkout", "name: [checkout]", "intent.yaml:6"),
        ("tab", "  name: checkout", "\tname: checkout", "intent.yaml:6"),
        ("unclosed", "{ref: payb, weight: 1}", "{ref: payb, weight: 1", "intent.yaml"),
    ] {
        // A dangling SLO is only told where SLOs are looked for: `check` does not know where others keep theirs.
        if name == "dangling SLO" {
            let folder = folder(&[("intent.yaml", &with(old, new))]);
            let (code, _, stderr) =
                run(folder.path(), &["compile", "--intent", "intent.yaml", "--out", "out"]);
            assert!(code == 65 && stderr.contains(told) && !folder.path().join("out").exists(), "{stderr}");
            continue;
        }
        refused(name, &with(old, new), told);
    }
}

#[test]
fn ill_typed_expressions_are_told_with_a_reason() {
    let step = |step: &str| with("      - ref: front\n", &format!("      - ref: front\n      - {step}\n"));
    let choices = |a: &str, b: &str| {
        step(&format!(
            "{{type: branch, choices: [{{probability: {a}, ref: front}}, {{probability: {b}, ref: cart}}]}}"
        ))
    };
    refused("off by 1e-9", &choices("0.5", "0.500000001"), "add up to 1");
    refused("off by -1e-9", &choices("0.5", "0.499999999"), "add up to 1");
    for (name, text, told) in [
        ("empty", "{type: series, steps: []}", "no operands"),
        (
            "at least 3 of 2",
            "{type: parallel, join: {atLeast: 3}, branches: [{ref: front}, {ref: cart}]}",
            "atLeast",
        ),
        ("timeout of zero", "{type: timeout, after: 0s, ref: cart}", "above zero"),
        (
            "async in race",
            "{type: race, branches: [{type: async, ref: cart}, {ref: front}]}",
            "async inside race",
        ),
        ("unknown operator", "{type: paralell, branches: [{ref: cart}]}", "parallel"),
    ] {
        refused(name, &step(text), told);
    }
    // Components that are made of each other.
    let circle = with(
        "  components:\n",
        "  components:\n    a: {operator: {type: series, steps: [{ref: b}]}}\n    b: {operator: {type: series, steps: [{ref: a}]}}\n",
    );
    refused("circle", &circle.replacen("      - ref: front\n", "      - ref: a\n", 1), "a");
}

#[test]
fn too_much_of_anything_is_refused_in_no_time() {
    let operator = |text: &str| {
        let (before, rest) = CHECKOUT.split_once("  operator:\n").unwrap();
        let (_, after) = rest.split_once("  components:\n").unwrap();
        format!("{before}  operator: {text}\n  components:\n{after}")
    };
    let bomb = "bomb: &a [x, x, x, x, x, x, x, x, x]\n".to_owned()
        + &"bcdefghij".chars().zip("abcdefghi".chars()).fold(String::new(), |text, (name, before)| {
            text + &format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 9].join(", "))
        });
    let levels = 10_000;
    for (name, text) in [
        ("bomb", bomb),
        ("merge bomb", format!("{CHECKOUT}x: &x {{<<: *x}}\n")),
        ("flow", "[".repeat(levels) + &"]".repeat(levels)),
        ("flow maps", "{a: ".repeat(levels) + "1" + &"}".repeat(levels)),
        ("block", (0..levels).map(|level| " ".repeat(level.min(2_000)) + "-\n").collect()),
        ("text", operator(&format!("{}front{}", "Series(".repeat(levels), ")".repeat(levels)))),
        (
            "operators",
            operator(&format!(
                "{}{{ref: front}}{}",
                "{type: series, steps: [".repeat(levels),
                "]}".repeat(levels)
            )),
        ),
        (
            "leaves",
            operator(&format!("{{type: series, steps: [{}]}}", vec!["{ref: front}"; 100_000].join(", "))),
        ),
        ("leaves in text", operator(&format!("Series({})", vec!["front"; 100_000].join(", ")))),
        ("long line", CHECKOUT.replace("name: checkout", &format!("name: {}", "x".repeat(1 << 20)))),
        ("large", "# ".to_owned() + &"x".repeat(17 << 20)),
        ("many documents", "--- {}\n".repeat(300_000) + "a: [\n"),
    ] {
        refused(name, &text, "error");
    }
}

/// A hundred thousand components that nothing uses are no journey either.
#[test]
fn a_hundred_thousand_components_end_in_an_answer() {
    let many: String = (0..100_000).map(|i| format!("    unused-{i}: {{availability: 0.9}}\n")).collect();
    let folder = folder(&[("intent.yaml", &with("  components:\n", &format!("  components:\n{many}")))]);
    let (code, _, stderr) = run(folder.path(), &["check", "intent.yaml"]);
    assert!(code == 0 || code == 65, "{code}");
    assert!(stderr.len() < 100_000, "{} bytes of diagnostics", stderr.len());
}

#[test]
fn one_name_for_two_journeys_is_told_across_files() {
    let folder = folder(&[("a/intent.yaml", CHECKOUT), ("b/intent.yaml", CHECKOUT)]);
    let (code, stdout, stderr) = run(folder.path(), &["check", "."]);
    assert_eq!((code, stdout.as_str()), (65, ""));
    assert!(
        stderr.contains("checkout") && stderr.contains("a/intent.yaml") && stderr.contains("b/intent.yaml"),
        "{stderr}"
    );
    fs::write(folder.path().join("two.yaml"), format!("{CHECKOUT}---\n{CHECKOUT}")).unwrap();
    let (code, _, stderr) = run(folder.path(), &["gate", "--intent", "two.yaml"]);
    assert_eq!(code, 65, "{stderr}");
}

#[test]
fn what_cannot_be_read_is_told() {
    let folder = folder(&[("ok/intent.yaml", CHECKOUT), ("file", "x")]);
    std::os::unix::fs::symlink("loop", folder.path().join("loop")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("ok/gone.yaml")).unwrap();
    let told = |path: &str, told: &str| {
        let (code, stdout, stderr) = run(folder.path(), &["check", path]);
        assert_eq!((code, stdout.as_str()), (65, ""), "{path}");
        assert!(stderr.contains(told), "{path}: {stderr}");
        assert_eq!(run(folder.path(), &["gate", "--intent", path]).0, 65, "{path}");
    };
    told("absent", "absent: cannot be read: No such file");
    told("loop", "symbolic link");
    told("file/below", "Not a directory");
    told("ok", "gone.yaml");
    // A pipe that lies about is not waited for.
    let pipe = folder.path().join("pipes");
    fs::create_dir(&pipe).unwrap();
    let made = std::process::Command::new("mkfifo").arg(pipe.join("x.yaml")).status().unwrap();
    assert!(made.success());
    let (code, _, stderr) = run(folder.path(), &["check", "pipes"]);
    assert!(code == 65 && stderr.contains("neither a file nor a directory"), "{stderr}");
}

/// Root may read everything, so this asks as somebody who may not.
#[test]
fn a_directory_without_permission_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder(&[("closed/intent.yaml", CHECKOUT)]);
    let closed = folder.path().join("closed");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let program = folder.path().join("emac");
    fs::copy(env!("CARGO_BIN_EXE_emac"), &program).unwrap();
    let as_root = fs::read_dir(&closed).is_ok();
    let mut command =
        std::process::Command::new(if as_root { Path::new("setpriv") } else { program.as_path() });
    if as_root {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
    }
    let output = command.args(["check", "closed"]).current_dir(folder.path()).output();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    let Ok(output) = output else {
        return println!("not run: root without setpriv cannot ask as somebody else");
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(65), "{stderr}");
    assert!(stderr.contains("closed: cannot be listed: Permission denied"), "{stderr}");
}

#[test]
fn wrong_command_lines_are_usage_errors() {
    let folder = folder(&[("intent.yaml", CHECKOUT)]);
    for args in [
        &["compile"][..],
        &["compile", "--intent", "intent.yaml", "--dialect", "nagios"],
        &["gate", "--intent", "intent.yaml", "--at", "yesterday"],
        &["gate", "--intent", "intent.yaml", "--candidate", "x", "--preview"],
        &["simulate", "--model", "m.yaml", "--trials", "0"],
        &["chekc", "intent.yaml"],
    ] {
        let (code, stdout, stderr) = run(folder.path(), args);
        assert_eq!((code, stdout.as_str()), (64, ""), "{args:?}: {stderr}");
    }
}

/// Where the output cannot be written nothing is, and it is no fault of the input.
#[test]
fn output_that_cannot_be_written_is_a_runtime_failure() {
    let folder = folder(&[("intent.yaml", CHECKOUT), ("out", "a file")]);
    let (code, stdout, stderr) = run(folder.path(), &["compile", "--intent", "intent.yaml", "--out", "out"]);
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    assert_eq!(fs::read_to_string(folder.path().join("out")).unwrap(), "a file");
    let (code, stdout, _) =
        run(folder.path(), &["gate", "--intent", "intent.yaml", "--ledger", "absent/ledger.jsonl"]);
    assert_eq!((code, stdout.as_str()), (1, ""), "no answer that is not recorded");
}

/// Models, evidence and profiles are read as carefully as intents.
#[test]
fn other_documents_are_refused_too() {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let folder = folder(&[
        ("intent.yaml", CHECKOUT),
        ("deep.yaml", &deep),
        (
            "twice.yaml",
            "apiVersion: emac.dev/v1alpha1\nkind: DiscoveredJourneyModel\nkind: AcceptedJourneyModel\n",
        ),
        (
            "evidence.yaml",
            "apiVersion: emac.dev/v1alpha1\nkind: JourneyEvidence\nmetadata: {name: checkout}\nspec: {components: {paya: {requests: 10, good: 11}}}\n",
        ),
        (
            "slo.yaml",
            "apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: a}\nspec: {objectives: [{target: 1.5}]}\n",
        ),
        (
            "profile.yaml",
            "apiVersion: emac.dev/v1alpha1\nkind: SimulationProfile\nspec: {nodes: {a: {replicas: -1}}}\n",
        ),
        (
            "model.yaml",
            "apiVersion: emac.dev/v1alpha1\nkind: DiscoveredJourneyModel\nmetadata: {name: checkout}\nspec: {expression: 'Series(a, Race(b))', confidence: {overall: 1.5}}\n",
        ),
    ]);
    for args in [
        &["gate", "--intent", "intent.yaml", "--model", "deep.yaml"][..],
        &["gate", "--intent", "intent.yaml", "--model", "twice.yaml"],
        &["gate", "--intent", "intent.yaml", "--model", "model.yaml", "--preview"],
        &["gate", "--intent", "intent.yaml", "--candidate", "deep.yaml"],
        &["gate", "--intent", "intent.yaml", "--evidence", "deep.yaml"],
        &["gate", "--intent", "intent.yaml", "--evidence", "evidence.yaml"],
        &["compile", "--intent", "intent.yaml", "--slo", "slo.yaml", "--out", "out"],
        &["simulate", "--model", "deep.yaml"],
        &["simulate", "--model", "model.yaml", "--profile", "profile.yaml"],
        &["replay", "absent"],
    ] {
        let (code, stdout, stderr) = run(folder.path(), args);
        assert_eq!((code, stdout.as_str()), (65, ""), "{args:?}: {stderr}");
        assert!(!stderr.is_empty() && !folder.path().join("out").exists(), "{args:?}");
    }
}
