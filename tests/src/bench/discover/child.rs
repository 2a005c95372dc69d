//! A run of the real binary, and what it used.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Failure;
use crate::testbed::product;

/// What a run used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// Seconds on the clock.
    pub(super) wall_s: f64,
    /// Seconds on processors, all threads together.
    pub(super) cpu_s: f64,
    /// Most memory held at a time, megabytes.
    pub(super) peak_mb: f64,
}

/// How often a running child is looked at. Its memory only grows by the peak, so what is missed is the last moment's.
const LOOK: Duration = Duration::from_millis(2);
/// The kernel counts processor time in hundredths of a second (`USER_HZ`, the same on every Linux).
const TICKS_PER_S: f64 = 100.0;

/// `emac discover` of one file.
pub(super) fn discover(file: &Path, dir: &Path) -> Result<Usage, Failure> {
    let emac = product::emac().map_err(|why| why.to_string())?;
    let log = std::fs::File::create(dir.join("log"))?;
    let mut command = Command::new(emac);
    command.arg("discover").arg("--traces").arg(file).arg("--out").arg(dir.join("model")).arg("--force");
    command.stdout(Stdio::null()).stderr(log);
    let begin = Instant::now();
    let mut child = command.spawn()?;
    let mut usage = Usage { wall_s: 0.0, cpu_s: 0.0, peak_mb: 0.0 };
    let status = loop {
        look(&child, &mut usage);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(LOOK);
    };
    usage.wall_s = begin.elapsed().as_secs_f64();
    // A run too short to be counted in ticks was on a processor all the time.
    usage.cpu_s = if usage.cpu_s < 0.1 { usage.wall_s } else { usage.cpu_s };
    if status.success() {
        return Ok(usage);
    }
    let said = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
    Err(format!("emac discover: {status}: {}", said.lines().next().unwrap_or_default()).into())
}

fn look(child: &Child, usage: &mut Usage) {
    let of = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap_or_default();
    usage.peak_mb = peak_mb(&of("status")).map_or(usage.peak_mb, |mb| mb.max(usage.peak_mb));
    usage.cpu_s = cpu_s(&of("stat")).map_or(usage.cpu_s, |s| s.max(usage.cpu_s));
}

/// `VmHWM:     1234 kB`.
fn peak_mb(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? * 1_024.0 / 1e6)
}

/// utime and stime, the 14th and 15th field; the second, the name, may contain spaces and ends with the last parenthesis.
fn cpu_s(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / TICKS_PER_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_read() {
        assert_eq!(peak_mb("VmPeak:\t 9 kB\nVmHWM:\t    2000 kB\n"), Some(2.048));
        let stat = "12 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0";
        assert_eq!(cpu_s(stat), Some(3.0));
        assert_eq!((peak_mb(""), cpu_s("")), (None, None));
    }
}
