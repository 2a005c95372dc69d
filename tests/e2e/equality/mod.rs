use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::common::module;
use case::{Case, Cases, PATIENCE, Side, Talk};
use envoy::Proxy;
use kind::{Bounds, Client, Kind, Mark};
use seen::Seen;

mod case;
mod envoy;
mod http1;
mod http2;
mod kind;
mod kinds;
mod others;
mod seen;
mod streams;
mod torn;

/// Kinds at once; their runs come on top.
const AT_ONCE: usize = 6;

/// Kinds of one Envoy: each is a hop with a context and one without, and a proxy tells 256 hops apart.
const KINDS_MAX: usize = 75;

/// What one Envoy is told.
#[derive(Debug, Clone, Copy)]
struct Setting {
    mode: &'static str,
    /// Hops have budgets.
    budgets: bool,
    workers: u32,
    /// Contexts come in the form of version 1, which is still read.
    old_contexts: bool,
}

impl Setting {
    /// In what decides about requests.
    fn differs(&self, other: &Self) -> bool {
        (self.mode, self.budgets, self.workers) != (other.mode, other.budgets, other.workers)
    }
}

/// Every run of one kind: what both ends saw.
struct Outcome {
    case: Arc<Case>,
    client: Seen,
    requests: Vec<Seen>,
    /// Of the clock, before and after.
    span: (u64, u64),
}

fn table() -> &'static [Kind] {
    static TABLE: OnceLock<Vec<Kind>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let only = std::env::var("EMAC_EQUALITY_ONLY").unwrap_or_default();
        let wanted = |kind: &Kind| only.is_empty() || only.split(',').any(|part| kind.name.contains(part));
        kinds::all().into_iter().filter(wanted).collect()
    })
}

impl Outcome {
    /// Both ends in one text.
    fn lines(&self) -> Vec<String> {
        let client = self.client.told().into_iter().map(|line| format!("client   {line}"));
        let requests = self.requests.iter().enumerate();
        let upstream = requests.flat_map(|(i, seen)| {
            seen.told().into_iter().map(move |line| format!("upstream {} {line}", i + 1))
        });
        client.chain(upstream).collect()
    }

    /// What is wrong with the contexts that the upstream got, whatever the plain path says.
    fn context_problems(&self) -> Vec<String> {
        let Case { kind, side, talk, .. } = &*self.case;
        let mut problems = Vec::new();
        for context in self.requests.iter().flat_map(|request| &request.contexts) {
            let Some((left, absolute)) = deadline_of(context) else {
                problems.push(format!("unreadable context {context}"));
                continue;
            };
            if left == 0 {
                problems.push(format!("deadline 0 on the wire: {context}"));
            }
            let (before, after) = self.span;
            let most = self.case.deadline_ms();
            let inside = matches!(side, Side::Inbound | Side::Entry);
            let fits = if inside { (before..=after + most).contains(&left) } else { left <= most };
            if inside != absolute || !fits {
                problems.push(format!("context {context} after {side:?} {talk:?}"));
            }
            if *talk == Talk::Silent && !side.is_edge() {
                problems.push(format!("a context from nowhere: {context}"));
            }
        }
        let expects = !(kind.tunnel && matches!(side, Side::Inbound | Side::Entry));
        let expects = expects && (*talk == Talk::Live || (side.is_edge() && kind.journey));
        let carried = self.requests.iter().filter(|request| !request.contexts.is_empty()).count();
        if kind.outcome.is_none() && self.requests.iter().any(|request| !request.contexts.is_empty()) {
            problems.push("a context where there is no journey".to_owned());
        }
        if expects && *side != Side::Plain && kind.outcome.is_some() && carried < self.requests.len() {
            problems.push(format!("{carried} of {} requests carry a context", self.requests.len()));
        }
        problems
    }
}

/// Milliseconds of a context, and whether they are absolute.
fn deadline_of(context: &str) -> Option<(u64, bool)> {
    let (head, _) = context.split_once(';').unwrap_or((context, ""));
    if let Some(rest) = head.strip_prefix("v1:") {
        let ms = rest.split(':').nth(1)?.parse().ok()?;
        return Some((ms, ms > 120_000));
    }
    let field = head.strip_prefix("v2.")?.split('.').nth(1)?;
    let (mark, ms) = field.split_at_checked(1)?;
    Some((ms.parse().ok()?, mark == "a"))
}

async fn drive(proxy: &Proxy, case: Arc<Case>) -> Outcome {
    let before = case::now_ms();
    let address = proxy.address(case.side);
    let client = match &case.kind.client {
        Client::Http1 { .. } => http1::drive(address, &case).await,
        Client::Http2 { .. } => http2::drive(address, &case).await,
    };
    let requests = case.requests().await;
    Outcome { case, client, requests, span: (before, case::now_ms()) }
}

/// Runs of one kind.
fn runs_of(kind: &Kind) -> Vec<(Side, Talk)> {
    let wanted =
        |&(side, talk): &(Side, Talk)| !kind.only_silent || (talk == Talk::Silent && !side.is_edge());
    RUNS.into_iter().filter(wanted).collect()
}

/// Plain first.
const RUNS: [(Side, Talk); 10] = [
    (Side::Plain, Talk::Silent),
    (Side::Inbound, Talk::Silent),
    (Side::Inbound, Talk::Live),
    (Side::Outbound, Talk::Silent),
    (Side::Outbound, Talk::Live),
    (Side::Twice, Talk::Live),
    (Side::Edge, Talk::Silent),
    (Side::Edge, Talk::Foreign),
    (Side::Entry, Talk::Silent),
    (Side::Entry, Talk::Foreign),
];

/// All runs of a kind, in the order of [`RUNS`]. Gives its turn away when it only waits.
async fn drive_all(
    proxy: Arc<Proxy>,
    cases: Arc<Cases>,
    kind: &'static Kind,
    turn: Option<OwnedSemaphorePermit>,
) -> Vec<Outcome> {
    if kind.primed {
        for side in envoy::SIDES {
            http1::prime(proxy.address(side), kind).await;
        }
    }
    if kind.alone {
        let mut outcomes = Vec::new();
        for (side, talk) in runs_of(kind) {
            outcomes.push(drive(&proxy, cases.open(kind, side, talk)).await);
        }
        return outcomes;
    }
    let mut runs = JoinSet::new();
    for (number, (side, talk)) in runs_of(kind).into_iter().enumerate() {
        let (proxy, case) = (Arc::clone(&proxy), cases.open(kind, side, talk));
        let begun = Arc::clone(&case);
        runs.spawn(async move { (number, Some(drive(&proxy, case).await)) });
        // What has begun to be answered needs no more of the machine until its next piece.
        runs.spawn(async move {
            begun.client.wait(Mark::Head).await;
            (number, None)
        });
    }
    let mut outcomes: Vec<(usize, Outcome)> = Vec::new();
    let (mut turn, mut begun) = (turn, 0);
    while let Some(Ok((number, outcome))) = runs.join_next().await {
        match outcome {
            Some(outcome) => outcomes.push((number, outcome)),
            None => begun += 1,
        }
        if begun == runs_of(kind).len() && kind.bounds == Bounds::Tight {
            turn = None;
        }
    }
    drop(turn);
    outcomes.sort_by_key(|(number, _)| *number);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Every kind in one setting; what is wrong, in words.
async fn problems_in(setting: Setting, envoy: &Path, wasm: &Path) -> Vec<String> {
    let mut parts = JoinSet::new();
    for (number, kinds) in table().chunks(KINDS_MAX).enumerate() {
        let (envoy, wasm) = (envoy.to_path_buf(), wasm.to_path_buf());
        parts.spawn(async move { (number, problems_of(kinds, setting, envoy, &wasm).await) });
    }
    let mut parts = parts.join_all().await;
    parts.sort();
    parts.into_iter().flat_map(|(_, problems)| problems).collect()
}

/// The same for the kinds of one Envoy.
async fn problems_of(kinds: &'static [Kind], setting: Setting, envoy: PathBuf, wasm: &Path) -> Vec<String> {
    let cases = Arc::new(Cases::new(setting.old_contexts));
    let proxy = match Proxy::start(envoy, wasm, setting, kinds, &cases).await {
        Ok(proxy) => Arc::new(proxy),
        Err(error) => panic!("{error}"),
    };
    let mut results = Vec::new();
    // Tight bounds are kept apart from megabytes: what the machine owes must not look like what the filter did.
    for bounds in [Bounds::Generous, Bounds::Tight] {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut all = JoinSet::new();
        for kind in kinds.iter().filter(|kind| kind.bounds == bounds) {
            let (proxy, cases, turns) = (Arc::clone(&proxy), Arc::clone(&cases), Arc::clone(&turns));
            all.spawn(async move {
                let turn = turns.acquire_owned().await.ok();
                (kind, drive_all(proxy, cases, kind, turn).await)
            });
        }
        results.extend(all.join_all().await);
    }
    results.sort_by_key(|(kind, _)| kinds.iter().position(|other| other.name == kind.name));
    let mut problems: Vec<String> =
        results.iter().flat_map(|(kind, outcomes)| differences(kind, outcomes, setting)).collect();
    problems.extend(miscounts(&proxy, kinds, setting).await);
    // Workers report on their own; what has not come by then does not come.
    let right = || async { journey_miscounts(&proxy, kinds, setting).await.is_empty() };
    if !emac_tests::testbed::wait_until(PATIENCE / 2, right).await {
        problems.extend(journey_miscounts(&proxy, kinds, setting).await);
    }
    problems.extend(flag_problems(&proxy, kinds));
    problems.extend(proxy.complaints());
    problems
}

fn differences(kind: &Kind, outcomes: &[Outcome], setting: Setting) -> Vec<String> {
    let mut problems = Vec::new();
    let Some((plain, filtered)) = outcomes.split_first() else { return problems };
    if plain.requests.len() != kind.reached {
        let seen = plain.lines().join("\n    ");
        problems.push(format!(
            "{}: {} requests reached the upstream\n    {seen}",
            kind.name,
            plain.requests.len()
        ));
    }
    let plain = plain.lines();
    if std::env::var_os("EMAC_EQUALITY_SHOW").is_some() {
        println!("== {}\n    {}", kind.name, plain.join("\n    "));
    }
    for outcome in filtered {
        let Case { side, talk, .. } = &*outcome.case;
        let lines = outcome.lines();
        let name = format!("{} [{} {side:?} {talk:?}]", kind.name, setting.mode);
        if lines != plain {
            problems.push(format!("{name}: differs from plain\n{}", seen::diff(&plain, &lines)));
        }
        problems.extend(outcome.context_problems().into_iter().map(|problem| format!("{name}: {problem}")));
    }
    problems
}

/// Counters of hops, by kind and outcome, against what was sent.
async fn miscounts(proxy: &Proxy, kinds: &[Kind], setting: Setting) -> Vec<String> {
    type Counts = BTreeMap<(String, String), u64>;
    let mut expected = Counts::new();
    for kind in kinds {
        let Some(outcome) = kind.outcome else { continue };
        // Two runs outbound with a context; at the gateway, where the request is a journey, two more.
        let runs = if kind.journey { 4 } else { 2 };
        let key = (kind.destination().to_owned(), outcome.to_owned());
        *expected.entry(key).or_default() += (runs * kind.requests) as u64;
    }
    let count = || async {
        let stats = proxy.stats().await.unwrap_or_default();
        let mut counts = Counts::new();
        for sample in stats.select("emac_hop_requests_total", &[]) {
            let label = |name| sample.labels.get(name).cloned().unwrap_or_default();
            if label("journey").is_empty() {
                continue;
            }
            *counts.entry((label("destination"), label("outcome"))).or_default() += sample.value as u64;
        }
        counts
    };
    let settled = || async { count().await == expected };
    if emac_tests::testbed::wait_until(PATIENCE / 2, settled).await {
        return Vec::new();
    }
    let counted = count().await;
    let keys: std::collections::BTreeSet<_> = expected.keys().chain(counted.keys()).collect();
    let of = |counts: &Counts, key| counts.get(key).copied().unwrap_or_default();
    keys.into_iter()
        .filter(|key| of(&expected, key) != of(&counted, key))
        .map(|key| {
            let ((kind, outcome), expected, counted) = (key, of(&expected, key), of(&counted, key));
            format!("{kind} [{}]: counted {counted} `{outcome}`, not {expected}", setting.mode)
        })
        .collect()
}

/// Journeys that began at the edge, and what must never be counted where all is well.
async fn journey_miscounts(proxy: &Proxy, kinds: &[Kind], setting: Setting) -> Vec<String> {
    let stats = proxy.stats().await.unwrap_or_default();
    let mut problems = Vec::new();
    for (journey, bounds) in [("checkout", Bounds::Generous), ("tight", Bounds::Tight)] {
        let on_it = kinds.iter().filter(|kind| kind.journey && kind.bounds == bounds);
        // At both edges, without a context and with one from outside.
        let expected = 4 * on_it.map(|kind| kind.requests).sum::<usize>();
        let counted = stats.sum("journey_requests_total", &[("journey", journey)]);
        if counted != expected as f64 {
            problems.push(format!("journey {journey} [{}]: counted {counted}, not {expected}", setting.mode));
        }
    }
    if stats.sum("emac_second_filter_total", &[]) == 0.0 {
        problems.push("no second filter was noticed".to_owned());
    }
    const NEVER: [&str; 4] = [
        "emac_internal_errors_total",
        "emac_dropped_total",
        "emac_overflow_total",
        "emac_context_late_total",
    ];
    for name in NEVER {
        let counted = stats.sum(name, &[]);
        if counted != 0.0 {
            problems.push(format!("{name} [{}]: counted {counted}", setting.mode));
        }
    }
    problems
}

/// A row of the table of response flags is what it says it is.
fn flag_problems(proxy: &Proxy, kinds: &[Kind]) -> Vec<String> {
    let flags = proxy.flags();
    let mut problems = Vec::new();
    for (kind, flag) in kinds.iter().filter_map(|kind| Some((kind, kind.flag?))) {
        let case = format!("{}.Plain.Silent", kind.name);
        let logged = flags.get(&case).map_or("", String::as_str);
        if !logged.split(',').any(|logged| logged == flag) {
            problems.push(format!("{}: Envoy's flags are {logged:?}, not {flag}", kind.name));
        }
    }
    problems
}

/// Settings share the machine with other scenarios, not with each other.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What is wrong in these settings, once all were looked at.
async fn in_settings(test: &str, settings: &[Setting]) {
    let Some(wasm) = module(test) else { return };
    let Some(envoy) = emac_tests::envoy() else {
        return emac_tests::not_run(test, "no Envoy: run `make tools`, or set ENVOY_BIN");
    };
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut report = Vec::new();
    for setting in settings {
        let problems = problems_in(*setting, &envoy, &wasm).await;
        if !problems.is_empty() {
            report.push(format!("{} problems in {setting:?}\n{}", problems.len(), problems.join("\n")));
        }
    }
    assert!(report.is_empty(), "{}", report.join("\n\n"));
}

const OBSERVING: Setting = Setting { mode: "observe", budgets: true, workers: 1, old_contexts: true };
const ENFORCING: Setting = Setting { mode: "enforce", budgets: true, workers: 1, old_contexts: false };
const WITH_FOUR: Setting = Setting { workers: 4, ..ENFORCING };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn observing_nothing_is_changed() {
    in_settings("equality::observing_nothing_is_changed", &[OBSERVING]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enforcing_nothing_is_changed() {
    in_settings("equality::enforcing_nothing_is_changed", &[ENFORCING]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enforcing_with_four_workers_nothing_is_changed() {
    in_settings("equality::enforcing_with_four_workers_nothing_is_changed", &[WITH_FOUR]).await;
}

/// The other nine, some three minutes: only when `EMAC_EQUALITY` is `all`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_every_other_setting_nothing_is_changed() {
    if std::env::var("EMAC_EQUALITY").as_deref() != Ok("all") {
        return;
    }
    let mut settings = Vec::new();
    for mode in ["observe", "dry-run", "enforce"] {
        for (budgets, workers) in [(true, 1), (true, 4), (false, 1), (false, 4)] {
            settings.push(Setting { mode, budgets, workers, old_contexts: !budgets });
        }
    }
    settings.retain(|setting| [OBSERVING, ENFORCING, WITH_FOUR].iter().all(|short| short.differs(setting)));
    in_settings("equality::in_every_other_setting_nothing_is_changed", &settings).await;
}
