//! The demo as a program: what it writes, and that Ctrl-C leaves nothing behind. What it shows is for `make demo` on a quiet
//! machine; numbers are not judged here.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use emac_tests::demo::{Mode, PHASES, Summary};
use emac_tests::testbed::product;
use rustix::process::{Pid, Signal, kill_process};

/// Long enough for a busy machine; only a hang ever waits so long.
const PATIENCE: Duration = Duration::from_secs(240);

/// Why the demo cannot run here.
fn missing() -> Option<String> {
    if emac_tests::envoy().is_none() {
        return Some("no Envoy: set ENVOY_BIN or run `make tools`".to_owned());
    }
    product::wasm().and_then(|_| product::emac()).err().map(|why| why.to_string())
}

fn demo(out: &Path, seconds: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_demo"))
        .args(["--phase-seconds", seconds, "--rate", "40", "--out"])
        .arg(out)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Command lines of living processes that name this directory, the demo's own excepted.
fn children_of(out: &Path) -> Vec<String> {
    let out = out.join("run").display().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
    lines.map(|l| String::from_utf8_lossy(&l).replace('\0', " ")).filter(|l| l.contains(&out)).collect()
}

fn wait(child: &mut Child, mut until: impl FnMut(&mut Child) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !until(child) {
        assert!(Instant::now() < end, "the demo hangs");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn ended(child: &mut Child) -> ExitStatus {
    wait(child, |c| c.try_wait().unwrap().is_some());
    child.wait().unwrap()
}

/// Standard error of a demo that cannot run: the program alone in an empty folder, with nothing on the PATH.
fn refused(folder: &Path, environment: &[(&str, &Path)]) -> String {
    let program = folder.join("demo");
    std::fs::copy(env!("CARGO_BIN_EXE_demo"), &program).unwrap();
    let mut command = Command::new(&program);
    command.current_dir(folder).env("PATH", "").env_remove("ENVOY_BIN").env_remove("EMAC_FILTER_WASM");
    command.args(["--out", "out"]).envs(environment.iter().copied());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!folder.join("out").exists(), "nothing was started");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn what_is_missing_is_said_all_at_once_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let said = refused(folder.path(), &[]);
    for part in ["checkout of EmaC", "EMAC_ROOT", "ENVOY_BIN", "make tools", "no `emac` beside"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.contains(&folder.path().display().to_string()), "{said}");
}

/// Wherever it was compiled and wherever it lies: tools are looked for in the checkout it is told of.
#[test]
fn tools_are_those_of_the_checkout_it_is_told_of() {
    let (folder, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for part in
        ["Cargo.lock", "filter/Cargo.toml", "tests/setup/tools.sh", ".tools/envoy/bin/envoy", "filter.wasm"]
    {
        let file = root.path().join(part);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "").unwrap();
    }
    let wasm = root.path().join("filter.wasm");
    let said = refused(folder.path(), &[("EMAC_ROOT", root.path()), ("EMAC_FILTER_WASM", &wasm)]);
    assert!(said.contains("no `emac` beside"), "{said}");
    assert!(!said.contains("checkout") && !said.contains("Envoy") && !said.contains("filter:"), "{said}");
    let none = root.path().join("none");
    let said = refused(
        folder.path(),
        &[("EMAC_ROOT", root.path()), ("EMAC_FILTER_WASM", &none), ("ENVOY_BIN", &none)],
    );
    assert_eq!(said.matches(&none.display().to_string()).count(), 2, "files are named: {said}");
}

#[test]
fn ctrl_c_ends_every_process_the_demo_started() {
    if let Some(why) = missing() {
        return emac_tests::not_run("ctrl_c_ends_every_process_the_demo_started", &why);
    }
    let out = tempfile::tempdir().unwrap();
    let mut child = demo(out.path(), "60");
    // Six Envoys and the control plane.
    wait(&mut child, |_| children_of(out.path()).len() >= 7);
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(ended(&mut child).code(), Some(130));
    assert_eq!(children_of(out.path()), Vec::<String>::new());
}

#[test]
fn a_short_run_writes_its_summary_and_report() {
    if let Some(why) = missing() {
        return emac_tests::not_run("a_short_run_writes_its_summary_and_report", &why);
    }
    let out = tempfile::tempdir().unwrap();
    let mut child = demo(out.path(), "1");
    assert!(ended(&mut child).success());
    let text = std::fs::read_to_string(out.path().join("summary.json")).unwrap();
    let summary: Summary = serde_json::from_str(&text).unwrap();
    assert_eq!(summary.phases.len(), 2 * PHASES.len());
    for mode in [Mode::Observe, Mode::Enforce] {
        for phase in &PHASES {
            assert_eq!(summary.row(phase.name, mode).unwrap().sent, 40, "{} {mode}", phase.name);
        }
    }
    let report = std::fs::read_to_string(out.path().join("report.html")).unwrap();
    assert_eq!(report.matches("<svg").count(), 3);
    assert!(!report.contains("http://") && !report.contains("https://"), "the page must need nothing else");
    assert_eq!(children_of(out.path()), Vec::<String>::new());
}
