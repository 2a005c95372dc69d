//! Documentation that runs: every command of the guide, the pages on discovery and on a first gate and the README is run with the real binary and must print what stands there, and
//! every example of the reference is compiled.
//!
//! `EMAC_REGENERATE=1` writes the outputs anew; review the diff.

mod console;
mod reference;

use std::path::{Path, PathBuf};

use emac_compile::model::CANDIDATE_KIND;
use emac_control_plane::schema::{KINDS, field_table, operator_table};
use emac_journey::guard::SYMBOLS;
use similar::TextDiff;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The document says what it should, or comes to say it.
fn keep(path: &str, expected: &str) {
    if std::env::var_os("EMAC_REGENERATE").is_some() {
        std::fs::create_dir_all(root().join(path).parent().unwrap()).unwrap();
        std::fs::write(root().join(path), expected).unwrap();
    }
    let found = read(path);
    let diff = TextDiff::from_lines(found.as_str(), expected);
    let diff = diff.unified_diff().header("as written", "as it is").to_string();
    assert!(found == expected, "{path}; `make golden` writes it anew\n{diff}");
}

/// Copies a folder with all below it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Files below a folder, by their path from it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn the_guide_prints_what_it_shows() {
    let example = root().join("control-plane/examples/shop");
    let folder = tempfile::tempdir().unwrap();
    copy(&example.join("slos"), &folder.path().join("slos"));
    let text = console::run("docs/guide.md", &read("docs/guide.md"), folder.path());
    keep("docs/guide.md", &text);
    let written =
        files(folder.path()).into_iter().filter(|file| !file.starts_with("journeys/checkout/compiled"));
    let written: Vec<_> = written.collect();
    for file in &written {
        let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
        keep(&format!("control-plane/examples/shop/{}", file.display()), &text);
    }
    assert_eq!(files(&example), written, "the example is what the guide leaves behind");
}

/// Runs a page beside its example, whose `given` files it finds there; the example is what the page leaves behind.
fn page_with_example(page: &str, example: &str, given: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    for file in given {
        std::fs::copy(root().join(example).join(file), folder.path().join(file)).unwrap();
    }
    let text = console::run(page, &read(page), folder.path());
    keep(page, &text);
    let written = files(folder.path());
    for file in written.iter().filter(|file| !given.iter().any(|given| file == &Path::new(given))) {
        let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
        keep(&format!("{example}/{}", file.display()), &text);
    }
    assert_eq!(files(&root().join(example)), written, "the example is what the page leaves behind");
}

#[test]
fn the_page_on_discovery_prints_what_it_shows() {
    page_with_example("docs/discovery.md", "control-plane/examples/discovery", &["traces.jsonl.gz"]);
}

#[test]
fn the_page_on_a_first_gate_prints_what_it_shows() {
    let given = ["friday.json.gz", "monday.json.gz"];
    page_with_example("docs/first-gate.md", "control-plane/examples/first-gate", &given);
}

#[test]
fn the_readme_prints_what_it_shows() {
    let folder = tempfile::tempdir().unwrap();
    copy(&root().join("control-plane/examples"), &folder.path().join("control-plane/examples"));
    keep("README.md", &console::run("README.md", &read("README.md"), folder.path()));
}

#[test]
fn the_reference_says_what_the_code_does() {
    let symbols = SYMBOLS.map(|(name, kind, says)| format!("| `{name}` | {} | {says} |\n", kind.name()));
    let symbols = format!("| symbol | type | meaning |\n|---|---|---|\n{}", symbols.concat());
    let mut text = reference::compute(&read("docs/reference.md"));
    text = between(&text, "guard symbols", "end of symbols", &symbols);
    text = between(&text, "fields of operators", "end of fields", &operator_table());
    // Both kinds of model say the same.
    for kind in KINDS.iter().filter(|kind| kind.name != CANDIDATE_KIND) {
        text = between(&text, &format!("fields of {}", kind.name), "end of fields", &field_table(kind));
    }
    keep("docs/reference.md", &text);
}

/// The text with what stands between two marks replaced.
fn between(text: &str, begin: &str, end: &str, inside: &str) -> String {
    let (begin, end) = (format!("<!-- {begin} -->\n"), format!("<!-- {end} -->"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{begin} is missing"));
    let (_, after) = rest.split_once(&end).unwrap();
    format!("{before}{begin}{inside}{end}{after}")
}

#[test]
fn what_a_page_claims_is_replaced_by_what_is() {
    let folder = tempfile::tempdir().unwrap();
    let page = "# Page\n\n```yaml a/b.txt\none: 1\n```\n\n```console\n$ cat a/b.txt\ntwo: 2\n$ emac nonsense > /dev/null 2>&1; echo $?\n0\n```\n\nEnd.\n";
    let real = page.replace("two: 2", "one: 1").replace("$?\n0\n", "$?\n64\n");
    assert_eq!(console::run("page", page, folder.path()), real);
}
