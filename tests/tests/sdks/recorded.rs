//! `recorded.txt`: what packages wrote, for machines that have not all languages, and for versions that nobody fetches any more.

use std::fmt;
use std::path::PathBuf;

use emac_tests::repo_root;

/// One header that went in, and what came out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    pub(crate) package: String,
    pub(crate) given: String,
    pub(crate) out: String,
}

const BETWEEN: &str = " | ";

impl Line {
    /// Members of `out` that come in any order are written in one.
    pub(crate) fn new(package: &str, given: &str, out: &str) -> Self {
        let mut members: Vec<&str> = out.split(',').collect();
        if ["go ", "rust "].iter().any(|language| package.starts_with(language)) {
            members.sort_unstable();
        }
        Self { package: package.to_owned(), given: given.to_owned(), out: members.join(",") }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { package, given, out } = self;
        f.write_str(format!("{package}{BETWEEN}{given}{BETWEEN}{out}").trim_end())
    }
}

/// All that is recorded.
pub(crate) fn lines() -> Vec<Line> {
    let text = std::fs::read_to_string(path()).unwrap();
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(parse).collect()
}

/// Packages whose propagator leaves out the properties of a member.
pub(crate) fn drops_properties(package: &str) -> bool {
    package == "dotnet OpenTelemetry.Api 1.18.0"
}

/// What packages wrote just now is what is recorded of them; with `EMAC_REGENERATE` it is recorded.
pub(crate) fn are(fresh: Vec<Line>) {
    let ran = |line: &&Line| fresh.iter().any(|other| other.package == line.package);
    let lines = lines();
    let of_them: Vec<Line> = lines.iter().filter(ran).cloned().collect();
    if of_them == fresh {
        return;
    }
    assert!(
        std::env::var_os("EMAC_REGENERATE").is_some(),
        "recorded.txt is not what packages write; EMAC_REGENERATE=1 cargo test -p emac-tests --test sdks, and review"
    );
    let text = std::fs::read_to_string(path()).unwrap();
    let head: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
    let rest = lines.iter().filter(|line| !ran(line)).chain(&fresh).map(ToString::to_string);
    let all: Vec<String> = head.into_iter().map(str::to_owned).chain(rest).collect();
    std::fs::write(path(), all.join("\n") + "\n").unwrap();
}

fn parse(line: &str) -> Line {
    let fields: Vec<&str> = line.split(BETWEEN.trim_end()).collect();
    let [package, given, out] = fields.as_slice() else { panic!("not `package | in | out`: {line}") };
    Line { package: (*package).to_owned(), given: given.trim().to_owned(), out: out.trim().to_owned() }
}

fn path() -> PathBuf {
    repo_root().join("tests/tests/sdks/recorded.txt")
}
