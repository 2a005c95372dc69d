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
