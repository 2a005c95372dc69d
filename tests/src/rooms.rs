//! A network, mounts and processes of a scenario's own.
//!
//! A scenario with other people's programs starts itself again in namespaces of its own. There every port is free, names are lines of our own `/etc/hosts`
//! (so that addresses in shipped manifests need not be changed), folders at fixed places touch nothing of the machine, and whatever is left
//! running ends with the first process.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// Set for the second start.
const INSIDE: &str = "EMAC_ROOM_INSIDE";

/// What a scenario needs around it.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Its name: of its folder in `target`, and before its messages.
    pub name: &'static str,
    /// Longest the whole scenario may take.
    pub limit: Duration,
    /// Names that mean this machine.
    pub hosts: &'static [&'static str],
    /// Commands that furnish it further.
    pub furnish: &'static [&'static [&'static str]],
}

/// Where this start is.
#[derive(Debug)]
pub enum Where {
    /// In the namespaces: play.
    Inside,
    /// Outside, and the other start has ended so.
    Ended(ExitCode),
    /// There can be no namespaces.
    NotRun(String),
}

impl Room {
    /// Where logs, keys and configuration of a run are kept.
    pub fn folder(&self) -> PathBuf {
        crate::target_dir().join(self.name)
    }

    /// Goes inside, and waits there for the end.
    pub fn enter(&self, arguments: &[String]) -> Where {
        if std::env::var_os(INSIDE).is_some() {
            return match self.furnished() {
                Ok(()) => Where::Inside,
                Err(error) => {
                    eprintln!("{}: {error}", self.name);
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
        Where::Ended(runtime.block_on(self.attend(command)))
    }

    /// Waits for the end, the limit, or somebody who wants it to end; nothing is left in either case.
    async fn attend(&self, command: Command) -> ExitCode {
        let mut command = tokio::process::Command::from(command);
        let mut child = match command.kill_on_drop(true).spawn() {
            Ok(child) => child,
            Err(error) => {
                eprintln!("{}: {error}", self.name);
                return ExitCode::FAILURE;
            }
        };
        let ended = tokio::select! {
            status = child.wait() => status.ok().and_then(|status| status.code()),
            _ = tokio::time::sleep(self.limit) => {
                eprintln!("{}: ended after {} s, the most it may take", self.name, self.limit.as_secs());
                None
            }
            _ = crate::supervise::asked_to_stop() => None,
        };
        let _ = child.kill().await;
        ended.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
    }

    /// Loopback, and names.
    fn furnished(&self) -> Result<(), String> {
        let folder = self.folder();
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let hosts = folder.join("hosts");
        fs::write(&hosts, format!("127.0.0.1 localhost {}\n", self.hosts.join(" ")))
            .map_err(|e| e.to_string())?;
        let hosts = hosts.display().to_string();
        let own =
            [&["ip", "link", "set", "lo", "up"][..], &["mount", "--bind", hosts.as_str(), "/etc/hosts"][..]];
        for line in own.into_iter().chain(self.furnish.iter().copied()) {
            let status =
                Command::new(line[0]).args(&line[1..]).status().map_err(|e| format!("{}: {e}", line[0]))?;
            if !status.success() {
                return Err(format!("`{}` failed", line.join(" ")));
            }
        }
        Ok(())
    }
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
