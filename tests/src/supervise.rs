//! Child processes: started with their output in a file, ended by their own process group and nothing else.
//!
//! Each child leads its own process group, so that a terminal's Ctrl-C reaches only us and we end the children in order;
//! dropping a [`Process`] kills its group and waits. Where `setpriv` exists the kernel also kills the child when the thread that
//! started it dies, so that even a SIGKILL of the parent leaves nothing behind: start processes from a thread that lives as
//! long as they should. Signals go by process-group id of a child not yet waited for, which no other process can have taken over.

mod ports;

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

pub use ports::{Reserved, reserve};

/// Longest tail of a log that an error message carries.
const LOG_TAIL_BYTES: usize = 2_000;

/// What to start.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Names the log file and the error messages.
    pub name: String,
    /// Executable.
    pub program: PathBuf,
    /// Arguments.
    pub args: Vec<String>,
    /// Added to the inherited environment.
    pub env: Vec<(String, String)>,
    /// `<name>.log` in here takes standard output and standard error, appended over restarts.
    pub log_dir: PathBuf,
}

/// A running child and the right to end it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Spec {
    /// A program without arguments, logging into `log_dir`.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>, log_dir: impl Into<PathBuf>) -> Self {
        let (name, program, log_dir) = (name.into(), program.into(), log_dir.into());
        Self { name, program, args: Vec::new(), env: Vec::new(), log_dir }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: Into<String>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts it. Errors are those of creating the log file and of spawning.
    pub fn start(&self) -> io::Result<Process> {
        std::fs::create_dir_all(&self.log_dir)?;
        let log = self.log_dir.join(format!("{}.log", self.name));
        let out = File::options().create(true).append(true).open(&log)?;
        let child = self
            .command()
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0)
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", self.program.display())))?;
        Ok(Process { name: self.name.clone(), child, log, ended: None })
    }

    fn command(&self) -> Command {
        let mut command = match death_signal_wrapper() {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.args(&self.args).envs(self.env.iter().map(|(k, v)| (k, v)));
        command
    }
}

impl Process {
    /// Process id; also the id of its process group.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The end of its output, for error messages.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let from = text.len().saturating_sub(LOG_TAIL_BYTES);
        String::from_utf8_lossy(&text[from..]).into_owned()
    }

    /// How it ended, or `None` while it runs.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// SIGKILL to the group, and wait: the "kill -9" of the scenarios.
    pub fn kill(&mut self) {
        if self.exited().is_none() {
            self.signal(Signal::KILL);
            self.ended = self.child.wait().ok();
        }
    }

    /// SIGTERM, up to `patience` to end by itself, then SIGKILL. Returns how it ended.
    pub async fn terminate(&mut self, patience: Duration) -> Option<ExitStatus> {
        self.ask_to_end();
        let until = Instant::now() + patience;
        while self.exited().is_none() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.kill();
        self.ended
    }

    /// SIGTERM without waiting.
    pub fn ask_to_end(&mut self) {
        if self.exited().is_none() {
            self.signal(Signal::TERM);
        }
    }

    /// SIGSTOP: connections stay open and nobody answers.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT after [`Process::freeze`].
    pub fn thaw(&mut self) {
        self.signal(Signal::CONT);
    }

    /// User and system CPU time of the process so far (all threads); resolution 10 ms. `None` once it has ended.
    pub fn cpu_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        // The command name may hold spaces; fields are counted after its closing bracket, where state is number 3.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 = [11, 12].iter().filter_map(|&i| fields.get(i)?.parse::<u64>().ok()).sum();
        Some(Duration::from_millis(ticks * 10))
    }

    /// Resident memory in bytes. `None` once it has ended.
    pub fn rss_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
    }

    /// Its name, as given.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            // An error means that it has just ended by itself.
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Resolves when somebody wants this program to end: SIGINT (Ctrl-C), SIGTERM or SIGHUP.
pub async fn asked_to_stop() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}

fn death_signal_wrapper() -> Option<&'static Path> {
    ["/usr/bin/setpriv", "/bin/setpriv"].map(Path::new).into_iter().find(|p| p.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(dir: &Path) -> Process {
        Spec::new("sleeper", "/bin/sh", dir).args(["-c", "echo up; sleep 600 & wait"]).start().unwrap()
    }

    #[test]
    fn drop_ends_the_whole_group() {
        let dir = tempfile::tempdir().unwrap();
        let process = sleeper(dir.path());
        let pid = process.pid();
        drop(process);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn output_lands_in_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Spec::new("echo", "/bin/echo", dir.path()).args(["hello"]).start().unwrap();
        while process.exited().is_none() {
            std::thread::yield_now();
        }
        assert_eq!(process.log_tail(), "hello\n");
    }

    #[tokio::test]
    async fn terminate_is_obeyed() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = sleeper(dir.path());
        let status = process.terminate(Duration::from_secs(10)).await.unwrap();
        assert!(!status.success());
    }

    #[test]
    fn a_missing_program_is_named() {
        let dir = tempfile::tempdir().unwrap();
        // With the wrapper the child itself fails to execute; either way nothing is left running.
        match Spec::new("none", "/no/such/program", dir.path()).start() {
            Err(e) => assert!(e.to_string().contains("/no/such/program")),
            Ok(mut process) => {
                while process.exited().is_none() {
                    std::thread::yield_now();
                }
                assert!(process.log_tail().contains("/no/such/program"));
            }
        }
    }
}
