//! Measurements: each is a section of `bench/results.md`, with everything it is compared with measured in the same run.

pub mod algebra;
pub mod compile;
pub mod discover;
pub mod envoy;
pub mod push;
pub mod reaction;
pub mod scale;
pub mod simulate;
pub mod sketch;
pub mod slack;
pub mod table;
pub mod timing;

/// One part of the report.
pub struct Section {
    /// Heading.
    pub title: &'static str,
    /// Markdown below it.
    pub body: String,
}

impl Section {
    /// The section as Markdown.
    pub fn markdown(&self) -> String {
        format!("## {}\n\n{}\n", self.title, self.body)
    }
}

/// The machine in a line or two: a number means nothing without it.
pub fn machine() -> String {
    let cpu_info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu_info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = model.trim_start_matches(['\t', ' ', ':']);
    format!("{model}, {cores} cores, {} {}", std::env::consts::OS, kernel.trim())
}
