//! A network, mounts and processes of the scenario's own.
//!
//! Istio's agents listen on every address, want their folder at `/var/lib/istio/data`, and resolve the registry's name: in namespaces of
//! our own none of that touches the machine, every port is free, and whatever is left running ends with the first process. The
//! image's address need not even be changed: `registry.example` is a line of our own `/etc/hosts`.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// Set for the second start.
const INSIDE: &str = "EMAC_ISTIO_INSIDE";
/// Longest the whole scenario may take.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// Where this start is.
pub(crate) enum Where {
    /// In the namespaces: play.
    Inside,
    /// Outside, and the other start has ended so.
    Ended(ExitCode),
    /// There can be no namespaces.
    NotRun(String),
}

/// Where logs, keys and configuration of a run are kept: `target/e2e-istio`.
pub(crate) fn folder() -> PathBuf {
    emac_tests::target_dir().join("e2e-istio")
}

/// Goes inside, and waits there for the end.
pub(crate) fn enter(arguments: &[String]) -> Where {
    if std::env::var_os(INSIDE).is_some() {
        return match furnish() {
            Ok(()) => Where::Inside,
            Err(error) => {
                eprintln!("istio: {error}");
                Where::Ended(ExitCode::FAILURE)
            }
        };
    }
    let spaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    // Root as we are, or root of a user namespace.
    let flags = [&[][..], &["--map-root-user"][..]].into_iter().find(|user| can_unshare(user, &spaces));
    let Some(user) = flags else {
        return Where::NotRun("no right to make namespaces (unshare)".to_owned());
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Where::NotRun(error.to_string()),
    };
    let Ok(program) = std::env::current_exe() else {
        return Where::NotRun("the program does not know its own path".to_owned());
    };
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "unshare"]).args(user).args(spaces).arg("--").arg(program);
    command.args(arguments).env(INSIDE, "1").process_group(0);
    Where::Ended(runtime.block_on(attend(command)))
}

/// Waits for the end, the limit, or somebody who wants it to end; nothing is left in either case.
async fn attend(command: Command) -> ExitCode {
    let mut command = tokio::process::Command::from(command);
    let mut child = match command.kill_on_drop(true).spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("istio: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = tokio::select! {
        status = child.wait() => status.ok().and_then(|status| status.code()),
        _ = tokio::time::sleep(LIMIT) => {
            eprintln!("istio: ended after {} s, the most it may take", LIMIT.as_secs());
            None
        }
        _ = emac_tests::supervise::asked_to_stop() => None,
    };
    let _ = child.kill().await;
    ended.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn can_unshare(user: &[&str], spaces: &[&str]) -> bool {
    let mut command = Command::new("unshare");
    command.args(user).args(spaces).args([
        "--",
        "sh",
        "-c",
        "ip link set lo up && mount -t tmpfs tmpfs /mnt",
    ]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Loopback, a `/var/lib` of our own, and names.
fn furnish() -> Result<(), String> {
    let folder = folder();
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let hosts = folder.join("hosts");
    fs::write(&hosts, format!("127.0.0.1 localhost {}\n", crate::registry::HOST))
        .map_err(|e| e.to_string())?;
    let hosts = hosts.display().to_string();
    for line in [
        &["ip", "link", "set", "lo", "up"][..],
        &["mount", "-t", "tmpfs", "tmpfs", "/var/lib"],
        &["mkdir", "-p", "/var/lib/istio/data"],
        &["mount", "--bind", &hosts, "/etc/hosts"],
    ] {
        let status =
            Command::new(line[0]).args(&line[1..]).status().map_err(|e| format!("{}: {e}", line[0]))?;
        if !status.success() {
            return Err(format!("`{}` failed", line.join(" ")));
        }
    }
    Ok(())
}
