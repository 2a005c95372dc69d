//! The process: its build, what it uses of the machine, in the names that every Prometheus client library has.

use std::fs;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::super::exposition::MetricFamily;
use super::super::state::Shared;
use super::{counter, gauge};

pub(super) fn families(shared: &Shared) -> Vec<MetricFamily> {
    let mut build = gauge("emac_build_info", "1; the version and the architecture that this was built for.");
    build.gauge(&[("version", env!("CARGO_PKG_VERSION")), ("arch", std::env::consts::ARCH)], 1.0);
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let mut cpu = counter("process_cpu_seconds_total", "Processor time used, user and system, in seconds.");
    cpu.counter_f64(&[], used.tv_sec as f64 + used.tv_nsec as f64 / 1e9);
    let began = shared.began_unix_ms as f64 / 1e3;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |name: &str| field(&status, name).map(|kib| kib * 1_024.0);
    let open = fs::read_dir("/proc/self/fd").ok().map(|open| open.count() as f64);
    let most = getrlimit(Resource::Nofile).current.map(|most| most as f64);
    let gauges = [
        ("process_start_time_seconds", "Start of the process as Unix time.", Some(began)),
        ("process_resident_memory_bytes", "Resident memory in bytes.", kib("VmRSS")),
        ("process_virtual_memory_bytes", "Virtual memory in bytes.", kib("VmSize")),
        ("process_threads", "Threads of the process.", field(&status, "Threads")),
        ("process_open_fds", "Open file descriptors.", open),
        ("process_max_fds", "Most file descriptors that may be open.", most),
    ];
    let said = gauges.into_iter().filter_map(|(name, help, value)| {
        let mut family = gauge(name, help);
        family.gauge(&[], value?);
        Some(family)
    });
    [build, cpu].into_iter().chain(said).collect()
}

/// A number of `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.8 writes it.
    #[test]
    fn numbers_are_found_by_name() {
        let status = "Name:\temac\nVmPeak:\t  900 kB\nVmSize:\t  812 kB\nVmRSS:\t   400 kB\nThreads:\t5\n";
        assert_eq!((field(status, "VmRSS"), field(status, "Threads")), (Some(400.0), Some(5.0)));
        assert_eq!((field(status, "Vm"), field("", "VmRSS")), (None, None));
    }
}
