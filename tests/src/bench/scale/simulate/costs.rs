//! What one piece of work costs, each with where its figure comes from.

use super::queue::Nanos;

/// Processor time of single pieces of work, nanoseconds, and what else a size is computed from. Reports have ten hops, journeys nine leaves and ten
/// workloads.
///
/// The figures are of 100, 1 000 and 5 000 sidecars, or of none; ten thousand are what they are tried on.
#[derive(Clone, Debug, PartialEq)]
pub struct Costs {
    /// Reading, decoding and checking a report, until it is queued.
    pub receive: Nanos,
    /// Waking the stream of a report that is durable and sending the acknowledgement.
    pub answer: Nanos,
    /// Processor time of the committer for each transaction, whatever is in it.
    pub commit: Nanos,
    /// The same for each report in it.
    pub commit_report: Nanos,
    /// Time of a transaction in which the committer waits for the disk.
    pub flush: Nanos,
    /// Reading a journey's evidence and comparing it with its plan's, in every step.
    pub look: Nanos,
    /// Planning a journey that changed.
    pub plan: Nanos,
    /// Planning a journey again that did not.
    pub refresh: Nanos,
    /// Reading a journey's intent, when its file changed or the process starts, by one thread.
    pub read: Nanos,
    /// A journey's part of a change of another: its file is looked at, and what was read of it is taken over.
    pub copy: Nanos,
    /// A workload's part of publishing a plan in which it is as before.
    pub publish: Nanos,
    /// A workload's part of putting a new snapshot in force.
    pub put: Nanos,
    /// Encoding a workload's budgets anew.
    pub encode: Nanos,
    /// Waking a stream and sending budgets.
    pub send: Nanos,
    /// The client's part of a report, where it runs on the same cores.
    pub client_report: Nanos,
    /// The client's part of budgets, likewise.
    pub client_told: Nanos,
    /// Writing a file over another, likewise.
    pub write: Nanos,
    /// From the start of the process until it reads intents.
    pub start: Nanos,
    /// Bytes of a process without sidecars.
    pub bytes: f64,
    /// Bytes of each sidecar: its connection, its ten hops and its part of a journey.
    pub bytes_sidecar: f64,
}

/// A figure with where it comes from.
pub type Source = (&'static str, Nanos, &'static str);

impl Costs {
    /// As measured on AMD EPYC.
    pub const MEASURED: Self = Self {
        receive: 28_000,
        answer: 14_000,
        commit: 600_000,
        commit_report: 60_000,
        flush: 400_000,
        look: 50_000,
        plan: 500_000,
        refresh: 160_000,
        read: 280_000,
        copy: 21_000,
        publish: 500,
        put: 1_280,
        encode: 4_400,
        send: 20_000,
        client_report: 56_000,
        client_told: 20_000,
        write: 480_000,
        start: 30_000_000,
        bytes: 22e6,
        bytes_sidecar: 90_500.0,
    };

    /// Every time, in words.
    pub fn sources(&self) -> Vec<Source> {
        vec![
            (
                "a report read, decoded, checked",
                self.receive,
                "processor time of the two worker threads at 4 600 reports a second of 1 000 sidecars, 42 µs a report; two thirds of it",
            ),
            ("its acknowledgement", self.answer, "the other third; how it divides was not measured"),
            (
                "a transaction",
                self.commit,
                "processor time of the committer thread at 1 000 sidecars (106 transactions, 207 reports a second) and 5 000 (68 and 1 076; 87 and 1 073), solved for two unknowns",
            ),
            (
                "each report in it",
                self.commit_report,
                "the same; 57 µs at 1 000 sidecars with 280 reports a transaction",
            ),
            (
                "waiting for the disk",
                self.flush,
                "durable p50 of 100 sidecars less delay, transaction and report; taken as the same for every size of transaction",
            ),
            (
                "a look at a journey",
                self.look,
                "processor time of planning at 5 000 sidecars with `plan.period` 500 ms less that with 5 s: 55 µs a journey and step, less its workloads' publishing",
            ),
            (
                "a changed journey planned",
                self.plan,
                "processor time of changes of all of 100 and 500 journeys without sidecars, less reading and encoding",
            ),
            (
                "a journey planned again",
                self.refresh,
                "processor time of planning at 5 000 sidecars with `plan.period` 5 s, less its looks",
            ),
            (
                "an intent read",
                self.read,
                "processor time of a change of one of 100 and one of 500 journeys without sidecars, when all were read at every change",
            ),
            (
                "a journey beside one that changed",
                self.copy,
                "processor time of a change of one of 500 and one of 1 000 journeys without sidecars, less publishing",
            ),
            (
                "a workload published as before",
                self.publish,
                "`make bench`: 1.78 µs a workload with the next line; how it divides was not measured",
            ),
            ("a workload in a new snapshot", self.put, "the rest of the 1.78 µs"),
            (
                "budgets encoded",
                self.encode,
                "`make bench`: publishing 1 000 changed workloads of 1 000 less publishing one",
            ),
            (
                "a stream woken, budgets sent",
                self.send,
                "taken to be as much as the client's part; not measured by itself",
            ),
            ("client: a report", self.client_report, "processor time of the client at 5 000 sidecars"),
            (
                "client: budgets",
                self.client_told,
                "the times of changes of all at 1 000 and 5 000 sidecars, together with the line of sending; not measured by itself",
            ),
            (
                "client: a file written over another",
                self.write,
                "300 files timed, the quickest round: the file system brings what was renamed over another file to the disk",
            ),
            ("the process starts", self.start, "first plan of 100 sidecars"),
        ]
    }
}
