//! What Prometheus scrapes of the pods: requests by code as an application counts them, and what a sidecar and the control plane say of the journey. Counters
//! follow from how long a group's pods run, and how their version answers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use emac_tests::kube::{Told, told};
use emac_tests::supervise::reserve;

use crate::pods::Group;

/// How a version answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answers {
    Well,
    /// Nothing ever succeeded: there is no series of successes.
    AllFail,
    /// There is one, which stands still.
    AllFailBeside,
    TwoPercentFail,
    /// Thirty requests in five minutes.
    OneOfThirtyFails,
    /// Forty of them.
    FortyFail,
    /// Well, and after so many seconds nobody measures it any more.
    VanishAfter(u64),
    /// Nobody ever measures it.
    Unmeasured,
}

impl Answers {
    /// Requests by code after so many seconds.
    fn counts(self, seconds: f64) -> Vec<(&'static str, f64)> {
        let each = |per_second: f64| (seconds * per_second).floor();
        match self {
            Self::Well => vec![("200", each(50.0))],
            Self::AllFail => vec![("500", each(50.0))],
            Self::AllFailBeside => vec![("200", 7.0), ("500", each(50.0))],
            Self::TwoPercentFail => vec![("200", each(49.0)), ("500", each(1.0))],
            Self::OneOfThirtyFails => {
                vec![("200", each(29.0 / 300.0)), ("500", (seconds / 20.0).floor().min(1.0))]
            }
            Self::FortyFail => vec![("503", each(40.0 / 300.0))],
            Self::VanishAfter(end) if seconds < end as f64 => vec![("200", each(50.0))],
            Self::VanishAfter(_) | Self::Unmeasured => Vec::new(),
        }
    }
}

/// Buckets of the sidecars' histograms, in milliseconds: Envoy's own.
const BUCKETS: [f64; 12] = [0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0];
/// Every answer takes so long, in milliseconds.
const LATENCY: f64 = 20.0;

#[derive(Debug, Default)]
struct State {
    /// Each with when its first pod was there.
    groups: BTreeMap<String, (Group, Instant)>,
    /// By scenario: the version that runs, and the one that comes.
    answers: BTreeMap<String, (Answers, Answers)>,
}

/// The target.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

impl Series {
    pub(crate) fn start(answers: BTreeMap<String, (Answers, Answers)>) -> Told<Self> {
        let reserved = reserve().map_err(told)?;
        let port = reserved.port();
        let listener = reserved.into_listener();
        let state = Arc::new(Mutex::new(State { answers, ..State::default() }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let text = shared.lock().unwrap_or_else(PoisonError::into_inner).text();
                // A scraper that went away comes again.
                let _ = answer(stream, &text);
            }
        });
        Ok(Self { port, state })
    }

    /// Which pods there are now.
    pub(crate) fn set(&self, groups: Vec<Group>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let mut before = std::mem::take(&mut state.groups);
        let since = |group: Group| {
            let born = before.remove(&group.name).map_or(now, |(_, born)| born);
            (group.name.clone(), (group, born))
        };
        state.groups = groups.into_iter().map(since).collect();
    }
}

fn answer(mut stream: TcpStream, text: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    // Requests of a scraper fit; what it asks for does not matter.
    let _ = stream.read(&mut [0; 4096])?;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    )
}

impl State {
    fn text(&self) -> String {
        let mut text = String::new();
        // What the control plane adds up, of all pods: it knows no label of theirs.
        let mut sums: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        for (group, born) in self.groups.values() {
            let service = group.service();
            let Some(&(old, new)) = self.answers.get(service) else { continue };
            // Before Flagger has made its copy, the old version's pods have the label of the canary; what they counted then, five minutes ago or less,
            // would be the canary's.
            let before = group.labels.get("app").is_some_and(|app| app == service);
            let how = match group.version.as_str() {
                "1" if before => Answers::Unmeasured,
                "1" => old,
                _ => new,
            };
            // The labels that the scrape configuration keeps.
            let kept = group.labels.iter().filter(|(name, _)| ["app", "rollout"].contains(&name.as_str()));
            let labels: String = kept.map(|(name, value)| format!(",{name}=\"{value}\"")).collect();
            let labels = format!("{labels},pod=\"{}-0\"", group.name);
            for (code, count) in how.counts(born.elapsed().as_secs_f64()) {
                let result = if code == "200" { "success" } else { "error" };
                let _ = writeln!(
                    text,
                    "http_requests_total{{service=\"{service}\",code=\"{code}\"{labels}}} {count}"
                );
                let _ = writeln!(
                    text,
                    "journey_requests_total{{journey=\"{service}\",result=\"{result}\"{labels}}} {count}"
                );
                *sums.entry((service, result)).or_default() += count;
                if result == "success" {
                    histogram(&mut text, "journey_latency_milliseconds", 1.0, service, &labels, count);
                }
            }
        }
        for ((service, result), count) in sums {
            let _ =
                writeln!(text, "journey_requests_total{{journey=\"{service}\",result=\"{result}\"}} {count}");
            if result == "success" {
                histogram(&mut text, "journey_latency_seconds", 1e-3, service, "", count);
            }
        }
        text
    }
}

fn histogram(text: &mut String, name: &str, unit: f64, service: &str, labels: &str, count: f64) {
    for end in BUCKETS {
        let within = if LATENCY <= end { count } else { 0.0 };
        let _ =
            writeln!(text, "{name}_bucket{{journey=\"{service}\",le=\"{}\"{labels}}} {within}", end * unit);
    }
    let _ = writeln!(text, "{name}_bucket{{journey=\"{service}\",le=\"+Inf\"{labels}}} {count}");
    let _ = writeln!(text, "{name}_count{{journey=\"{service}\"{labels}}} {count}");
    let _ = writeln!(text, "{name}_sum{{journey=\"{service}\"{labels}}} {}", count * LATENCY * unit);
}
