//! The contract of the command line, through the real binary: exit codes, streams, diagnostics to the letter.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use support::process::{PATIENCE, Serving, emac, run};
use support::{Sidecar, api, report};

const INTENT: &str = include_str!("../examples/checkout/intent.yaml");

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn usage_is_64_and_help_is_0() {
    let here = Path::new(".");
    for args in [
        &[][..],
        &["sevre"],
        &["serve", "--grpc", "localhost"],
        &["check"],
        &["status", "--server", "ftp://x"],
    ] {
        let (code, stdout, stderr) = run(here, args);
        assert_eq!((code, stdout.as_str()), (64, ""), "{args:?}: {stderr}");
        assert!(!stderr.is_empty() && !stderr.contains('\u{1b}'), "{args:?}: {stderr}");
    }
    for args in
        [&["--help"][..], &["serve", "--help"], &["status", "--help"], &["check", "--help"], &["--version"]]
    {
        let (code, stdout, stderr) = run(here, args);
        assert_eq!((code, stderr.as_str()), (0, ""), "{args:?}");
        assert!(stdout.contains("Examples:") || args == ["--version"], "{stdout}");
    }
}

#[test]
fn the_version_names_what_it_was_built_from() {
    let (code, stdout, _) = run(Path::new("."), &["--version"]);
    // A debug build says so instead of its commit; an archive has none.
    let version = concat!("emac ", env!("CARGO_PKG_VERSION"));
    let commit = stdout.trim_end().strip_prefix(version).unwrap().trim();
    let commit = commit.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(commit);
    assert_eq!(code, 0);
    if std::env::var_os("EMAC_COMMIT").is_some() {
        return;
    }
    let is_commit = commit.len() >= 7 && commit.chars().all(|c| c.is_ascii_hexdigit());
    assert!(
        if cfg!(debug_assertions) { commit == "debug" } else { is_commit || commit.is_empty() },
        "{stdout}"
    );
}

#[test]
fn a_broken_configuration_and_a_broken_intent_are_65_with_every_problem() {
    let broken = INTENT.replace("target: 0.995", "target: 99.5").replace("- ref: front", "- ref: frnt");
    let folder = folder(&[
        (
            "config.yaml",
            "apiVersion: emac.dev/v1alpha1\nkind: ControlPlaneConfig\nlisten: {grcp: \"127.0.0.1:0\"}\nplan: {period: 1}\n",
        ),
        (
            "good.yaml",
            "apiVersion: emac.dev/v1alpha1\nkind: ControlPlaneConfig\nintents: [\"intent.yaml\", \"none/*.yaml\"]\n",
        ),
        ("intent.yaml", &broken),
    ]);
    let (code, stdout, stderr) = run(folder.path(), &["serve", "--config", "config.yaml"]);
    assert_eq!((code, stdout.as_str()), (65, ""));
    insta::assert_snapshot!("broken_configuration", stderr);
    let (code, _, stderr) = run(folder.path(), &["serve", "--config", "good.yaml"]);
    assert_eq!(code, 65);
    insta::assert_snapshot!("broken_intent", stderr);
    let (code, _, stderr) = run(folder.path(), &["serve", "--config", "missing.yaml"]);
    assert_eq!(code, 65);
    insta::assert_snapshot!("missing_configuration", stderr);
}

#[test]
fn check_says_what_is_valid_and_what_is_not() {
    let config = "apiVersion: emac.dev/v1alpha1\nkind: ControlPlaneConfig\n";
    let good = folder(&[("emac.yaml", config), ("intent.yaml", INTENT), ("notes.txt", "ignored")]);
    let (code, stdout, stderr) = run(good.path(), &["check", "."]);
    assert_eq!(
        (code, stdout.as_str(), stderr.as_str()),
        (0, "ok: journey checkout\nok: configuration ./emac.yaml\n", "")
    );
    let (code, _, stderr) = run(good.path(), &["check", "notes.txt"]);
    assert_eq!(code, 65, "{stderr}");

    let bad = folder(&[
        ("a.yaml", &format!("{config}porstFile: x\n")),
        ("b.yaml", &INTENT.replacen("kind: external", "kid: external", 1)),
    ]);
    let (code, stdout, stderr) = run(bad.path(), &["check", "--format", "json", "a.yaml", "b.yaml"]);
    assert_eq!((code, stderr.as_str()), (65, ""));
    let answer: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(answer["valid"], false);
    let helps: Vec<&str> =
        answer["problems"].as_array().unwrap().iter().map(|it| it["help"].as_str().unwrap()).collect();
    assert_eq!(helps, ["did you mean `kind`?", "did you mean `portsFile`?"]);
}

#[test]
fn what_is_outside_the_input_is_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = folder(&[("file", "")]);
    let (code, _, stderr) =
        run(folder.path(), &["serve", "--identity", "none", "--grpc", &address, "--http", "127.0.0.1:0"]);
    assert_eq!(code, 1);
    assert!(stderr.contains(&format!("emac: cannot listen on {address}: ")), "{stderr}");
    let any = ["serve", "--identity", "none", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let (code, _, stderr) = run(folder.path(), &[&any[..], &["--state", "file"]].concat());
    assert_eq!((code, stderr.contains("emac: file: ")), (1, true), "{stderr}");
    let (code, _, stderr) = run(folder.path(), &[&any[..], &["--ports-file", "no/such/ports.json"]].concat());
    assert_eq!((code, stderr.contains("emac: cannot write no/such/ports.json: ")), (1, true), "{stderr}");
    drop(taken);
    let (code, stdout, stderr) = run(folder.path(), &["status", "--server", &format!("http://{address}")]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.starts_with(&format!("emac: http://{address}/: ")), "{stderr}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_belongs_to_one_process_and_status_shows_it() {
    let folder = folder(&[]);
    let mut serving = Serving::start(folder.path(), &["--state", "state"]).await;
    let any =
        ["serve", "--identity", "none", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--state", "state"];
    let (code, _, stderr) = run(folder.path(), &any);
    assert_eq!(code, 1);
    assert!(stderr.contains("evidence.redb is in use by another process"), "{stderr}");

    Sidecar::connect(serving.grpc).await.unwrap().send(report("node-1", 7, 1, 10)).await.unwrap();
    let server = format!("http://{}", serving.http);
    let (code, stdout, _) = run(folder.path(), &["status", "--server", &server]);
    assert_eq!(code, 0);
    assert!(
        stdout.contains("checkout  -     10        50.00 %") && stdout.contains("node-1  shop/front"),
        "{stdout}"
    );
    let (code, stdout, _) = run(folder.path(), &["status", "--server", &server, "--format", "json"]);
    let status: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &status["hops"]["hops"][0]["total"]["requests"]), (0, &serde_json::json!(10)));
    serving.signal("INT");
    assert_eq!(serving.wait(), Some(0));
}

/// The next line that holds some text; fails at the end of the stream.
fn line_with(lines: &mut impl Iterator<Item = std::io::Result<String>>, text: &str) {
    let found = lines.by_ref().map_while(Result::ok).any(|line| line.contains(text));
    assert!(found, "no line with {text:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_outlives_the_control_plane_but_not_its_reader() {
    let folder = folder(&[]);
    let mut serving = Serving::start(folder.path(), &[]).await;
    let server = format!("http://{}", serving.http);
    let mut watch = emac(folder.path(), &["status", "--server", &server, "--watch"]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut shown = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut said = BufReader::new(watch.stderr.take().unwrap()).lines();
    line_with(&mut shown, "plan generation");
    line_with(&mut shown, "plan generation");
    serving.kill();
    line_with(&mut said, "emac: http://");
    line_with(&mut said, "emac: http://");
    drop(shown);
    let begun = Instant::now();
    let ended = loop {
        if let Some(ended) = watch.try_wait().unwrap() {
            break ended;
        }
        if begun.elapsed() > PATIENCE {
            watch.kill().unwrap();
            panic!("the watch goes on although nobody reads it");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(ended.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_reads_the_intents_again() {
    let folder = folder(&[("intent.yaml", INTENT)]);
    let mut serving = Serving::start(folder.path(), &["--intent", "intent.yaml"]).await;
    serving.signal("HUP");
    let taken = r#"emac_intent_reloads_total{result="taken"}"#;
    while support::scrape(serving.http).await[taken] < 1.0 {
        tokio::task::yield_now().await;
    }
    while api(serving.http, "plan").await["journeys"]["checkout"]["deadline_ms"] != 400 {
        tokio::task::yield_now().await;
    }
    serving.signal("TERM");
    assert_eq!(serving.wait(), Some(0));
}
