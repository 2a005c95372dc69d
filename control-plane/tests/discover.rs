//! `emac discover` and its files, through the real binary: ids in names, entries, bounds, drafts, and what stands in the folder already.

mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;
use support::process::run;

/// Lines of OTLP JSON: a request of each operation of `front`, which calls `db` and what is given beside it.
fn traces(requests: &[(String, &[&str])]) -> String {
    let mut text = String::new();
    for (number, (operation, calls)) in (1_u64..).zip(requests) {
        let begin = 1_770_000_000_000_000_000 + number * 1_000_000_000;
        let span = |id: usize, parent: &str, name: &str, start: u64, end: u64| {
            let name = Value::from(name);
            format!(
                r#"{{"traceId": "{number:032x}", "spanId": "{id:016x}", "parentSpanId": "{parent}", "name": {name}, "kind": 2, "startTimeUnixNano": "{}", "endTimeUnixNano": "{}"}}"#,
                begin + start,
                begin + end
            )
        };
        let of = |service: &str, span: String| {
            let service = Value::from(service);
            format!(
                r#"{{"resource": {{"attributes": [{{"key": "service.name", "value": {{"stringValue": {service}}}}}]}}, "scopeSpans": [{{"spans": [{span}]}}]}}"#
            )
        };
        let calls: Vec<&str> = ["db"].iter().chain(*calls).copied().collect();
        let end = 2_000_000 * (calls.len() as u64 + 1);
        let mut all = vec![of("front", span(1, "", operation, 0, end))];
        for (at, call) in (1_usize..).zip(&calls) {
            let start = 2_000_000 * at as u64;
            all.push(of(call, span(at + 1, "0000000000000001", "get", start, start + 1_000_000)));
        }
        let _ = writeln!(text, r#"{{"resourceSpans": [{}]}}"#, all.join(", "));
    }
    text
}

fn folder(requests: &[(String, &[&str])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("traces.jsonl"), traces(requests)).unwrap();
    folder
}

/// Exit code, what is said, and the answer for programs.
fn discover(folder: &Path, more: &[&str]) -> (i32, String, Value) {
    let args = [&["discover", "--traces", "traces.jsonl", "--out", "found"], more].concat();
    let (code, text, problem) = run(folder, &args);
    let (_, json, _) = run(folder, &[&args[..], &["--format", "json"]].concat());
    (code, text + &problem, serde_json::from_str(&json).unwrap_or_default())
}

fn names(answer: &Value) -> Vec<&str> {
    answer["journeys"].as_array().unwrap().iter().map(|one| one["journey"].as_str().unwrap()).collect()
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A word of five letters.
fn word(number: u32) -> String {
    (0..5).map(|at| char::from(b'a' + (number / 5_u32.pow(at) % 5) as u8 + at as u8)).collect()
}

#[test]
fn thousands_of_paths_are_one_operation_and_it_is_said() {
    let mut requests: Vec<(String, &[&str])> =
        (0..2_000).map(|n| (format!("GET /users/{}", word(n)), &["mail"][..])).collect();
    requests.extend((0..200).map(|_| ("GET /users/me".to_owned(), &[][..])));
    let folder = folder(&requests);
    let (code, said, answer) = discover(folder.path(), &[]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(names(&answer), ["get-users-id", "get-users-me"]);
    assert!(said.contains("front: 2000 operations taken for GET /users/{id} ("), "{said}");
    assert!(said.contains("Series(front, db, mail)") && said.contains("2000 traces"), "{said}");
    assert_eq!(
        (&answer["templates"][0]["template"], &answer["templates"][0]["operations"]),
        (&"GET /users/{id}".into(), &2_000.into())
    );
}

#[test]
fn an_entry_is_chosen_and_the_others_are_named() {
    let requests: Vec<_> = ["GET /", "GET /cart", "POST /checkout"]
        .iter()
        .flat_map(|operation| (0..20).map(|_| ((*operation).to_owned(), &[][..])))
        .collect();
    let folder = folder(&requests);
    let (code, said, answer) = discover(folder.path(), &["--entry", "front POST *"]);
    assert_eq!((code, names(&answer)), (0, vec!["post-checkout"]));
    assert!(
        said.contains("2 journeys enter elsewhere (--entry): get (entry front GET /, 20 traces), get-cart"),
        "{said}"
    );
    assert_eq!(files(&folder.path().join("found")), ["post-checkout.candidate.yaml", "post-checkout.svg"]);
    let (code, said, answer) = discover(folder.path(), &["--entry", "back *"]);
    assert_eq!(code, 65);
    assert!(said.contains("of 3 journeys none is wanted") && said.contains("front POST /checkout"), "{said}");
    assert_eq!(answer["problems"][0]["severity"], "error");
    let (code, said, _) = discover(folder.path(), &["--entry", "a[b"]);
    assert!(code == 64 && said.contains("at byte 1"), "{said}");
}

#[test]
fn the_number_of_files_is_bounded_and_what_is_there_stays() {
    let requests: Vec<_> =
        (0..8).flat_map(|n| (0..10 + n).map(move |_| (format!("GET /{}", word(n)), &[][..]))).collect();
    let folder = folder(&requests);
    let (_, _, answer) = discover(folder.path(), &[]);
    let all: Vec<String> = names(&answer).into_iter().map(str::to_owned).collect();
    assert_eq!(all.len(), 8);
    fs::write(folder.path().join("found/notes.txt"), "mine").unwrap();
    let (code, said, answer) = discover(folder.path(), &["--max-journeys", "3"]);
    assert_eq!(
        (code, names(&answer)),
        (0, all.iter().take(3).map(String::as_str).collect()),
        "the same names"
    );
    assert!(
        said.contains(
            "5 more journeys were found and not written (--max-journeys writes more, --entry chooses): "
        ),
        "{said}"
    );
    assert!(said.contains("of other runs, left as they are: found/"), "{said}");
    assert_eq!(
        (answer["notWritten"].as_array().unwrap().len(), answer["ofOtherRuns"].as_array().unwrap().len()),
        (5, 5)
    );
    assert_eq!(files(&folder.path().join("found")).len(), 17);
    assert_eq!(fs::read_to_string(folder.path().join("found/notes.txt")).unwrap(), "mine");
}

#[test]
fn a_draft_is_an_intent_that_gates_and_is_never_overwritten() {
    let requests: Vec<_> = (0..60)
        .map(|_| ("\u{6ce8}\u{6587}\n x: #".to_owned(), &["\u{68da}", "\u{7a0e} \u{1f4b6}"][..]))
        .collect();
    let folder = folder(&requests);
    let (code, said, answer) = discover(folder.path(), &["--draft-intent", "journeys"]);
    assert_eq!((code, names(&answer)), (0, vec!["x"]), "{said}");
    let intent = "journeys/x/intent.yaml";
    let (code, text, problem) = run(folder.path(), &["check", intent]);
    assert_eq!((code, problem.as_str()), (0, ""), "{text}");
    let (code, text, problem) = run(folder.path(), &["gate", "--intent", intent]);
    assert_eq!(code, 0, "{text}{problem}");
    // Two services whose letters no name may have are two components, and each finds its spans again.
    let args = ["discover", "--traces", "traces.jsonl", "--intent", "journeys", "--out", "found"];
    let (_, again, _) = run(folder.path(), &args);
    assert!(again.contains("x (declared; 60 traces") && !again.contains('!'), "{again}");

    fs::write(folder.path().join(intent), "decided").unwrap();
    let (_, said, answer) = discover(folder.path(), &["--draft-intent", "journeys", "--force"]);
    assert!(
        said.contains("no draft of an intent: journeys/x/intent.yaml is there already, and stays"),
        "{said}"
    );
    assert_eq!(answer["journeys"][0]["draft"]["written"], false);
    assert_eq!(fs::read_to_string(folder.path().join(intent)).unwrap(), "decided");
}

#[test]
fn one_file_is_for_one_draft() {
    let requests: Vec<_> =
        ["GET /a", "GET /b"].iter().flat_map(|one| (0..5).map(|_| ((*one).to_owned(), &[][..]))).collect();
    let folder = folder(&requests);
    let (code, said, _) = discover(folder.path(), &["--draft-intent", "intent.yaml"]);
    assert!(code == 64 && said.contains("give a folder, or choose one with --entry"), "{said}");
    assert!(!folder.path().join("found").exists(), "nothing is written then");
    let (code, said, _) = discover(folder.path(), &["--draft-intent", "intent.yaml", "--entry", "GET /b"]);
    assert!(code == 0 && folder.path().join("intent.yaml").exists(), "{said}");
}

#[test]
fn evidence_that_is_none_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let head = r#"{"kind": "HopRecords", "enabled": true, "records": 1, "overwritten": 0}"#;
    for (text, says) in [
        (
            format!("{head}\n{{\"node\": 1}}\n"),
            "a line is no hop record: line 2: `outcome` is null, expected text",
        ),
        (format!("{head}\n"), "has no hop records"),
        (head.replace("true", "false"), "keeps no hop records, because it does not discover"),
        ("hello".to_owned(), "line 1: no JSON"),
        (String::new(), "has no hop records"),
    ] {
        fs::write(folder.path().join("records.jsonl"), text).unwrap();
        let (code, _, problem) =
            run(folder.path(), &["discover", "--evidence", "records.jsonl", "--out", "found"]);
        let problem = problem.replace("\n  | ", " ");
        assert!(code == 65 && problem.contains(says), "{says}: {problem}");
    }
    for (evidence, says) in
        [("ftp://x", "is no address of a control plane"), ("nowhere.jsonl", "No such file")]
    {
        let (code, _, problem) = run(folder.path(), &["discover", "--evidence", evidence, "--out", "found"]);
        assert!(code == 65 && problem.contains(says), "{problem}");
    }
    let both = ["discover", "--evidence", "a", "--traces", "b", "--out", "found"];
    assert_eq!(run(folder.path(), &both).0, 64);
    let (code, _, problem) = run(folder.path(), &["discover", "--out", "found"]);
    assert!(code == 64 && problem.contains("--evidence"), "{problem}");
}
