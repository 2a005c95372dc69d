//! Windows of hop records against intents, accepted models and manifests.

mod templates;

use emac_core::id::HopKey;
use emac_core::outcome::Outcome as Ended;
use proptest::prelude::*;

use super::*;
use crate::mesh;
use emac_compile::accept::ChangeKind;
use emac_compile::declared::Files;
use emac_compile::model::Status as Sureness;
use emac_document::Problems;
use emac_document::{Limits, Source, parse};
use emac_journey::slo::Slos;

const BEGIN_MS: u64 = 1_700_000_000_000;
const WINDOW_MS: u64 = 60_000;
const TRACES: u64 = 40;

fn settings() -> WatchSettings {
    WatchSettings {
        window: Millis(WINDOW_MS),
        step: Millis(WINDOW_MS),
        silence: Millis(1_000),
        traces_min: 20,
        recurrence: Recurrence::default(),
    }
}

/// The checkout of the examples with payment networks read from labels, and changes to its text.
fn intent(changes: &[(&str, &str)]) -> Intent {
    let networks = [
        ("[payment-network-a]", "[payment-network]"),
        ("[payment-network-b]", "[payment-network]"),
        (
            "- {name: payment-network-a, kind: declared}",
            "- {name: payment-network, kind: inferred, source: kubernetes, key: network}",
        ),
        ("      - {name: payment-network-b, kind: declared}\n", ""),
    ];
    let text = include_str!("../../../examples/checkout/intent.yaml").to_owned();
    let text = networks.iter().chain(changes).fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    let problems = Problems::new();
    let documents = parse(&Source::new("intent.yaml", text), &Limits::default(), &problems);
    emac_journey::intent::read(&documents[0], &problems)
        .unwrap_or_else(|| panic!("{}", emac_document::render_text(&problems, false)))
}

fn mesh(of_payb: &str) -> MeshFacts {
    let pod = |name: &str, network: &str| {
        let pod = |n: u64| {
            format!(
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}-{n}, namespace: shop, ownerReferences: [{{kind: StatefulSet, \
                 name: {name}}}], labels: {{network: {network}}}}}\nspec: {{}}\n"
            )
        };
        (0..4).map(pod).collect::<String>()
    };
    let problems = Problems::new();
    let facts = mesh::read_text("pods.yaml", &(pod("paya", "a") + &pod("payb", of_payb)), &problems);
    assert_eq!(problems.errors(), 0);
    facts
}

/// Both sides of a call.
fn call(trace: u64, from: &str, to: &str, start_ms: u64, ms: u64) -> [(String, HopRecord); 2] {
    let record = |inbound: bool| HopRecord {
        trace_id: u128::from(trace + 1).to_be_bytes(),
        parent_span_id: 1_u64.to_be_bytes(),
        hop: HopKey {
            journey: "checkout".into(),
            source: if inbound { String::new() } else { format!("shop/{from}") },
            destination: if inbound { format!("shop/{to}") } else { to.into() },
            operation: String::new(),
        },
        start_unix_us: start_ms * 1_000 + u64::from(inbound),
        duration: Micros(ms * 1_000 - 2 * u64::from(inbound)),
        outcome: Ended::Success,
        attempts: 1,
        status: 200,
        inbound,
        request_id: [0; 16],
        ended_by: emac_core::outcome::EndedBy::Unknown,
    };
    [(format!("{from}-1"), record(false)), (format!("{to}-1"), record(true))]
}

/// One checkout; `swapped`: paya before cart and pricing. The slower of these two is now the one and now the other, and what follows waits for it.
fn checkout(trace: u64, at_ms: u64, swapped: bool) -> Vec<(String, HopRecord)> {
    let (cart, pricing) = if trace.is_multiple_of(3) { (20, 34) } else { (33, 20) };
    let (first, second) = if swapped { (40, 5) } else { (5, 40 + trace % 2) };
    let end = if swapped { first + 2 + cart.max(pricing) } else { second + 30 };
    let calls = [
        call(trace, "edge", "front", at_ms, end + 4),
        call(trace, "front", "cart", at_ms + first, cart),
        call(trace, "front", "pricing", at_ms + first + trace % 3, pricing),
        call(trace, "front", "paya", at_ms + second, 30),
    ];
    calls.into_iter().flatten().collect()
}

fn declared(intent: &Intent, accepted: Option<&AcceptedModel>) -> Declared {
    let promises = Slos::default().resolve(intent, &Problems::new());
    let files = Files {
        intent: "intent.yaml".into(),
        model: "model.yaml".into(),
        candidate: "candidate.yaml".into(),
        is_referred: false,
    };
    Declared::new(intent.clone(), accepted.cloned(), promises, files)
}

/// What the watch asks for.
#[derive(Debug, PartialEq)]
struct Told {
    candidate: Option<CandidateModel>,
    accepted: Option<AcceptedModel>,
}

/// A watch with its clock.
struct Bench {
    watch: Watch,
    at: u64,
    traces: u64,
}

impl Bench {
    fn new(intent: &Intent) -> Self {
        let mut watch = Watch::new(settings(), Moment { at: Micros(0), unix_ms: BEGIN_MS });
        watch.expect(&[declared(intent, None)]);
        Self { watch, at: 0, traces: 0 }
    }

    fn now(&self) -> Moment {
        Moment { at: Micros(self.at * 1_000), unix_ms: BEGIN_MS + self.at }
    }

    /// A window with so many checkouts, `age_ms` old when they are reported, and its end.
    fn window(
        &mut self,
        traces: u64,
        (age_ms, swapped): (u64, bool),
        intent: &Intent,
        accepted: Option<&AcceptedModel>,
        mesh: &MeshFacts,
    ) -> Option<Told> {
        for _ in 0..traces {
            self.at += 100;
            let now = self.now();
            for (node, record) in checkout(self.traces, now.unix_ms - age_ms, swapped) {
                self.watch.hop(&node, &record, now);
            }
            self.traces += 1;
        }
        self.at = (self.at / WINDOW_MS + 1) * WINDOW_MS;
        let now = self.now();
        assert!(self.watch.is_due(now));
        let journeys = [declared(intent, accepted)];
        self.watch
            .close(now, &journeys, mesh)
            .pop()
            .map(|due| Told { candidate: due.candidate, accepted: due.accepted })
    }

    fn said(&self) -> JourneyStatus {
        self.watch.status().journeys["checkout"].clone()
    }
}

const GOOD: (u64, bool) = (200, false);

fn payb(outcome: Option<Told>) -> Option<String> {
    let candidate = outcome?.candidate?;
    let (name, finding) = candidate.model().domains.iter().find(|(name, _)| name.as_str() == "payb")?;
    Some(format!("{name} {:?} {:?}", finding.status, finding.domains))
}

#[test]
fn the_journey_is_found_from_hop_records_and_a_moved_network_after_it_recurred() {
    let intent = intent(&[]);
    let (a, b) = (mesh("a"), mesh("b"));
    let mut bench = Bench::new(&intent);
    assert_eq!(bench.window(TRACES, GOOD, &intent, None, &b), None, "one window proposes nothing");
    let first = bench.window(TRACES, GOOD, &intent, None, &b).and_then(|outcome| outcome.candidate).unwrap();
    let observed = bench.said().observed.unwrap();
    assert_eq!(observed.expression, Some(intent.structure.to_string()));
    assert_eq!((observed.source, observed.traces), (EvidenceSource::HopRecords, TRACES));
    assert_eq!(first.model().structure, Some(intent.structure.clone()));
    // Nothing new: the same file.
    assert_eq!(bench.window(TRACES, GOOD, &intent, None, &b), None);
    assert_eq!(bench.window(TRACES, GOOD, &intent, None, &a), None, "once is no drift");
    let moved = payb(bench.window(TRACES, GOOD, &intent, None, &a));
    assert_eq!(moved.as_deref(), Some("payb Identified {\"payment-network:a\"}"));
    let status = bench.said();
    let shared = status
        .deltas
        .iter()
        .find(|delta| delta.kind == ChangeKind::FailureDomain && delta.change.contains("payb"));
    let shared = shared.unwrap();
    assert_eq!(shared.status, Sureness::Identified);
    assert!(
        shared.provenance.iter().any(|one| one
            .place
            .as_ref()
            .is_some_and(|(file, field)| file == "pods.yaml" && field.ends_with("labels.network"))),
        "{shared:?}"
    );
}

/// paya fails, and the sidecar asks payb.
fn helped(trace: u64, at_ms: u64) -> Vec<(String, HopRecord)> {
    let mut records = checkout(trace, at_ms, false);
    let paya = records.split_off(6);
    // No timer: payb is asked when paya has failed, be it soon or late.
    let failed_ms = 72 + trace % 7 * 4;
    for (_, front) in records.iter_mut().take(2) {
        front.duration = Micros(front.duration.0 + (failed_ms - 46) * 1_000);
    }
    let [mut asked, mut served] = [paya[0].clone(), paya[1].clone()];
    (asked.1.outcome, asked.1.duration) = (Ended::Alternate, Micros((failed_ms - 18) * 1_000));
    served.1.outcome = Ended::Error;
    let [_, mut other] = call(trace, "front", "payb", at_ms + failed_ms, 20);
    other.1.hop.destination = "shop/payb".into();
    records.extend([asked, served, other]);
    records
}

#[test]
fn an_alternate_that_sidecars_asked_is_seen_with_all_confidence_that_acceptance_asks() {
    let intent = intent(&[]);
    let b = mesh("b");
    let mut bench = Bench::new(&intent);
    for trace in 0..3 * TRACES {
        bench.at += 100;
        let now = bench.now();
        let began = now.unix_ms - 200;
        let records =
            if trace % 2 == 0 { helped(1_000 + trace, began) } else { checkout(1_000 + trace, began, false) };
        records.iter().for_each(|(node, record)| bench.watch.hop(node, record, now));
    }
    bench.window(0, GOOD, &intent, None, &b);
    let observed = bench.said().observed.unwrap();
    assert_eq!(observed.expression, Some(intent.structure.to_string()));
    assert!(observed.confidence >= Some(0.8), "{observed:#?}");
    let (_, why) =
        observed.operators.iter().find(|(operator, _)| operator == "Fallback(paya, payb)").unwrap();
    assert_eq!(why[0].source, EvidenceSource::HopRecords);
}

#[test]
fn a_window_with_too_few_traces_neither_proposes_nor_withdraws() {
    let intent = intent(&[]);
    let b = mesh("b");
    let mut bench = Bench::new(&intent);
    assert_eq!(bench.window(19, GOOD, &intent, None, &b), None);
    assert_eq!(bench.said().said, "too few traces: 19, a window needs 20");
    for _ in 0..2 {
        bench.window(TRACES, GOOD, &intent, None, &b);
    }
    let before = bench.said();
    assert!(!before.deltas.is_empty());
    for _ in 0..5 {
        assert_eq!(bench.window(0, GOOD, &intent, None, &b), None);
    }
    let after = bench.said();
    assert_eq!((after.deltas, after.candidate), (before.deltas, before.candidate));
    assert_eq!(after.said, "too few traces: 0, a window needs 20");
}

#[test]
fn evidence_that_is_too_old_is_refused_and_counted() {
    let intent =
        intent(&[("  operator:", "  evidence: {modelDiscovery: {freshness: {maxAge: 1h}}}\n  operator:")]);
    let b = mesh("b");
    let mut bench = Bench::new(&intent);
    for _ in 0..3 {
        assert_eq!(bench.window(TRACES, (3_700_000, false), &intent, None, &b), None);
    }
    let status = bench.watch.status();
    assert_eq!((status.stale, status.traces), (3 * TRACES * 8, 0));
    bench.window(TRACES, (3_500_000, false), &intent, None, &b);
    assert_eq!(bench.watch.status().traces, TRACES);
}

#[test]
fn once_accepted_it_is_proposed_no_more() {
    let intent = intent(&[]);
    let b = mesh("b");
    let mut bench = Bench::new(&intent);
    bench.window(TRACES, GOOD, &intent, None, &b);
    let candidate =
        bench.window(TRACES, GOOD, &intent, None, &b).and_then(|outcome| outcome.candidate).unwrap();
    let declared = AcceptedModel::declared(&intent);
    let proposal = emac_compile::accept::Proposal::new(&declared, &candidate, Some(&intent));
    let all = emac_compile::accept::Selection::new(&proposal, &[], true).unwrap();
    let consent = emac_compile::accept::Consent { by: "ann", at: "2026-01-31T12:00:00Z" };
    let accepted = proposal.accept(&all, Some(&intent), consent).unwrap();
    let next = bench
        .window(TRACES, GOOD, &intent, Some(&accepted), &b)
        .and_then(|outcome| outcome.candidate)
        .unwrap();
    assert_eq!(next.base(), accepted.version());
    assert_eq!((bench.said().deltas, bench.said().base.as_deref()), (Vec::new(), accepted.version()));
    assert_eq!(bench.window(TRACES, GOOD, &intent, Some(&accepted), &b), None);
}

#[test]
fn a_policy_agrees_to_what_is_sure_and_matters_little_where_the_intent_says_so() {
    let allowing = [(
        "    evaluationMode: conservative",
        "    autoAccept: {lowImpact: true}\n    evaluationMode: conservative",
    )];
    for (changes, agrees) in [(&allowing[..], true), (&[], false)] {
        let intent = intent(changes);
        let b = mesh("b");
        let mut bench = Bench::new(&intent);
        bench.window(TRACES, GOOD, &intent, None, &b);
        let outcome = bench.window(TRACES, GOOD, &intent, None, &b).unwrap();
        let Some(accepted) = outcome.accepted else {
            assert!(!agrees, "{:?}", bench.said().policy);
            assert!(bench.said().policy.unwrap().contains("does not allow acceptance"));
            continue;
        };
        assert!(agrees);
        let acceptance = &accepted.record().unwrap().acceptance;
        assert_eq!((acceptance.by.as_str(), acceptance.parent.as_deref()), ("policy", None));
        assert!(acceptance.deltas.iter().any(|delta| delta.change.contains("call front -> cart")));
        // Separate networks move A- by more than a policy may.
        assert!(acceptance.deltas.iter().all(|delta| !delta.change.contains("failure domains")));
        bench.window(TRACES, GOOD, &intent, Some(&accepted), &b);
        assert!(bench.said().deltas.iter().any(|delta| delta.change.contains("failure domains of payb")));
    }
}

#[test]
fn spans_of_tracing_are_watched_too_and_the_source_that_saw_more_is_believed() {
    use emac_trace::{Span, SpanId, SpanKind, SpanOutcome, TraceId};
    let intent = intent(&[]);
    let mut bench = Bench::new(&intent);
    for trace in 0..TRACES {
        bench.at += 100;
        let now = bench.now();
        let mut sink = bench.watch.spans(now);
        let start_ns = i64::try_from((now.unix_ms - 200) * 1_000_000).unwrap();
        for (id, parent, service) in [(1, None, "front"), (2, Some(1), "cart")] {
            let (service, operation) = (sink.symbols().of(service), sink.symbols().of("op"));
            sink.span(Span {
                trace: TraceId(u128::from(trace) + 1),
                id: SpanId(id),
                parent: parent.map(SpanId),
                kind: SpanKind::Server,
                service,
                operation,
                peer: emac_trace::Symbol::NONE,
                instance: emac_trace::Symbol::NONE,
                start_ns: start_ns + i64::try_from(id).unwrap() * 1_000_000,
                duration_ns: 50_000_000 / i64::try_from(id).unwrap(),
                outcome: SpanOutcome::Good,
                status: 200,
                by_proxy: false,
                to_store: false,
                attempt: 0,
                shared: false,
            });
        }
    }
    let b = mesh("b");
    bench.window(0, GOOD, &intent, None, &b);
    let traced = bench.watch.status();
    assert_eq!(traced.traces, TRACES);
    bench.window(TRACES, GOOD, &intent, None, &b);
    assert_eq!(bench.said().observed.unwrap().source, EvidenceSource::HopRecords);
}

/// Steps of a third of a window.
fn thirds() -> WatchSettings {
    WatchSettings { step: Millis(WINDOW_MS / 3), ..settings() }
}

impl Bench {
    /// One that goes on where `self` stopped, after so long; what it could not take up.
    fn restarted(self, settings: WatchSettings, after_ms: u64, intent: &Intent) -> (Self, Vec<Forgotten>) {
        let memory = Memory::read(self.watch.memory(self.now()).as_bytes()).unwrap();
        let journeys = [declared(intent, None)];
        let mut next = Self { at: self.at + after_ms, ..self };
        let now = next.now();
        let (watch, forgotten) = Watch::restore(settings, &memory, now, &journeys);
        next.watch = watch;
        next.watch.replayed(now, 0);
        next.watch.expect(&journeys);
        (next, forgotten)
    }

    fn known(&self) -> JourneyStatus {
        self.watch.status().journeys.get("checkout").cloned().unwrap_or_default()
    }

    /// A step of a third of a window, with so many checkouts.
    fn third(&mut self, traces: u64, intent: &Intent, mesh: &MeshFacts) -> Option<Told> {
        for _ in 0..traces {
            self.at += 10;
            let now = self.now();
            for (node, record) in checkout(self.traces, now.unix_ms - 200, false) {
                self.watch.hop(&node, &record, now);
            }
            self.traces += 1;
        }
        self.at = (self.at / (WINDOW_MS / 3) + 1) * (WINDOW_MS / 3);
        let (now, journeys) = (self.now(), [declared(intent, None)]);
        assert!(self.watch.is_due(now));
        let mut due = self.watch.close(now, &journeys, mesh);
        due.pop().map(|due| Told { candidate: due.candidate, accepted: due.accepted })
    }
}

#[test]
fn overlapping_windows_see_a_step_more_than_once_and_count_it_once() {
    let intent = intent(&[]);
    let (a, b) = (mesh("a"), mesh("b"));
    let mut bench = Bench::new(&intent);
    bench.watch = Watch::new(thirds(), Moment { at: Micros(0), unix_ms: BEGIN_MS });
    let each = TRACES / 2;
    let said = |bench: &Bench| (bench.watch.status().windows, bench.watch.status().traces);
    // Two steps are no window; with the third one ends, and then one with each step, of all its traces.
    for windows in [0, 0, 1, 2, 3] {
        assert_eq!(bench.third(each, &intent, &b), None, "nothing has recurred");
        assert_eq!(said(&bench).0, windows);
    }
    assert_eq!(said(&bench).1, 5 * each, "each trace is one trace");
    assert_eq!(bench.said().observed.unwrap().traces, 3 * each);
    // The sixth step ends the first window that shares nothing with the first.
    let first = bench.third(each, &intent, &b).and_then(|told| told.candidate);
    assert!(first.is_some(), "{:?} {:?}", bench.said(), bench.watch.journeys["checkout"]);
    // The configuration changes: three windows see it that share requests, and the fourth is the second of its own.
    let moved: Vec<bool> = (0..4)
        .map(|_| payb(bench.third(each, &intent, &a)).is_some_and(|text| text.contains("payment-network:a")))
        .collect();
    assert_eq!(moved, [false, false, false, true]);
}

#[test]
fn a_restart_forgets_nothing() {
    let intent = intent(&[]);
    let b = mesh("b");
    for restart_after in 0..4 {
        let mut bench = Bench::new(&intent);
        let mut candidates = Vec::new();
        for window in 0..4 {
            if window == restart_after {
                let before = bench.known();
                let (next, forgotten) = bench.restarted(settings(), 500, &intent);
                assert_eq!(forgotten, Vec::new());
                bench = next;
                let after = bench.known();
                assert_eq!(
                    (&after.deltas, &after.together, &after.candidate),
                    (&before.deltas, &before.together, &before.candidate)
                );
                assert_eq!(
                    (after.said, after.windows, after.confidence),
                    (before.said, before.windows, before.confidence)
                );
            }
            candidates.push(
                bench.window(TRACES, GOOD, &intent, None, &b).and_then(|told| told.candidate).is_some(),
            );
        }
        assert_eq!(candidates, [false, true, false, false], "restarted before window {restart_after}");
        let status = bench.watch.status();
        assert_eq!((status.windows, status.traces), (4, 4 * TRACES));
    }
}

#[test]
fn a_restart_in_the_middle_of_a_window_loses_none_of_its_requests() {
    let intent = intent(&[]);
    let b = mesh("b");
    let mut bench = Bench::new(&intent);
    bench.window(TRACES, GOOD, &intent, None, &b);
    // Half of a window, as a log would keep it.
    let mut log = Vec::new();
    for trace in 0..TRACES / 2 {
        bench.at += 100;
        let now = bench.now();
        for (node, record) in checkout(5_000 + trace, now.unix_ms - 200, false) {
            bench.watch.hop(&node, &record, now);
            log.push((now, node, record));
        }
    }
    let memory = Memory::read(bench.watch.memory(bench.now()).as_bytes()).unwrap();
    // The clock of durations begins anew; the calendar went on.
    let later = Moment { at: Micros(WINDOW_MS * 10_000), unix_ms: bench.now().unix_ms + 5_000 };
    let journeys = [declared(&intent, None)];
    let (mut watch, forgotten) = Watch::restore(settings(), &memory, later, &journeys);
    assert_eq!((forgotten, watch.resumes_at()), (Vec::new(), BEGIN_MS + WINDOW_MS));
    let mut opened = 0;
    for (at, node, record) in &log {
        watch.replay_at(later.back_to(at.unix_ms), &mut opened);
        watch.hop(node, record, later);
    }
    watch.replayed(later, opened);
    let left = WINDOW_MS - (later.unix_ms - BEGIN_MS - WINDOW_MS);
    let moment = |ms| Moment { at: later.at.after(Micros(ms * 1_000)), unix_ms: later.unix_ms + ms };
    assert!(
        !watch.is_due(moment(left - 1)) && watch.is_due(moment(left)),
        "the window ends when it would have"
    );
    watch.close(moment(left), &journeys, &b);
    let seen = watch.status().journeys["checkout"].observed.clone().unwrap();
    assert_eq!((seen.traces, watch.status().windows), (TRACES / 2, 2));
}

#[test]
fn what_cannot_be_taken_up_again_is_told_and_the_watch_goes_on() {
    let intent = intent(&[]);
    let b = mesh("b");
    for (bytes, says) in [
        (&b""[..], "no JSON"),
        (b"{\"format\": 1", "no JSON"),
        (b"{}", "no `format`"),
        (b"{\"format\": 2}", "format 2, this version reads 1"),
        (b"[]", "no `format`"),
    ] {
        let Forgotten(reason) = Memory::read(bytes).unwrap_err();
        assert!(reason.contains(says), "{reason}");
    }
    let mut bench = Bench::new(&intent);
    for _ in 0..3 {
        bench.window(TRACES, GOOD, &intent, None, &b);
    }
    let (now, text) = (bench.now(), bench.watch.memory(bench.now()));
    let journeys = [declared(&intent, None)];
    let restore = |text: &str, settings, now| {
        let memory = Memory::read(text.as_bytes()).unwrap();
        let (watch, forgotten) = Watch::restore(settings, &memory, now, &journeys);
        (watch.status(), forgotten.into_iter().map(|one| one.0).collect::<Vec<_>>().join("; "))
    };
    // A byte of a model; the intent; the length of windows.
    let changed = text.replacen("overlapping in 40", "overlapping in 41", 1);
    assert_ne!(changed, text);
    let (status, said) = restore(&changed, settings(), now);
    assert!(said.contains("journey checkout: a remembered model cannot be read"), "{said}");
    assert!(status.journeys.is_empty() && status.windows == 3);
    let (status, said) = restore(&text.replacen(&intent.digest, "0", 1), settings(), now);
    assert!(said.contains("its intent has changed") && status.journeys.is_empty(), "{said}");
    let (status, said) = restore(&text, thirds(), now);
    assert!(said.contains("another length") && status.journeys.is_empty(), "{said}");
    // Fields that are there and mean nothing.
    for (key, value) in [
        ("open_unix_ms", "7"),
        ("journeys", "[]"),
        ("step", "\"x\""),
        ("traces", "-1"),
        ("undeclared", "{\"seen\": 7, \"told\": []}"),
    ] {
        let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
        document[key] = serde_json::from_str(value).unwrap();
        restore(&document.to_string(), settings(), now);
    }
    // Numbers at their ends.
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    for key in ["step", "windows", "traces", "stale", "saved_unix_ms"] {
        document[key] = u64::MAX.into();
    }
    document["open_unix_ms"] = serde_json::json!([0, u64::MAX]);
    let memory = Memory::read(document.to_string().as_bytes()).unwrap();
    let (mut watch, _) = Watch::restore(settings(), &memory, now, &journeys);
    watch.replayed(now, 0);
    watch.close(now, &journeys, &b);
    assert!(watch.status().windows > 0);
    // A calendar that went back opens no window in the future.
    let before = Moment { unix_ms: BEGIN_MS - 1, ..now };
    let memory = Memory::read(text.as_bytes()).unwrap();
    let (watch, _) = Watch::restore(settings(), &memory, before, &journeys);
    assert_eq!(watch.resumes_at(), BEGIN_MS - 1);
    assert!(!watch.is_due(before));
}

#[test]
fn what_is_proposed_says_what_it_would_do_alone_and_together() {
    let intent = intent(&[]);
    let (a, b) = (mesh("a"), mesh("b"));
    let mut bench = Bench::new(&intent);
    for _ in 0..2 {
        bench.window(TRACES, GOOD, &intent, None, &b);
    }
    for _ in 0..3 {
        bench.window(TRACES, GOOD, &intent, None, &a);
    }
    let status = bench.said();
    // As `emac diff` computes it from the candidate that was written.
    let declared = declared(&intent, None);
    let accepted = AcceptedModel::declared(&intent);
    let given = Given { promises: &declared.promises, evidence: None, now_unix_ms: 0 };
    let made = bench.watch.journeys["checkout"].candidate.clone().unwrap();
    let mut proposal = emac_compile::accept::Proposal::new(&accepted, &made, Some(&intent));
    proposal.predict(&intent, given);
    let expected: Vec<_> =
        proposal.deltas.iter().map(|delta| (delta.id.to_string(), delta.impact.clone())).collect();
    let seen: Vec<_> = status.deltas.iter().map(|delta| (delta.id.clone(), delta.impact.clone())).collect();
    assert_eq!(seen, expected);
    let domain = status.deltas.iter().find(|delta| delta.change.contains("failure domains of payb")).unwrap();
    assert!(domain.impact.as_ref().unwrap().a_minus.is_ok());
    let together = status.together.unwrap();
    let before = emac_compile::compile::preview(&intent, &made, given);
    let after = together.impact.a_minus.clone().unwrap().after;
    assert_eq!(after, before.bounds.as_ref().unwrap().a_minus());
    assert_eq!(together.decision.1, before.decision.verdict.label());
}

#[test]
fn an_edge_says_what_the_mesh_and_the_sidecar_did_to_its_calls() {
    let intent = intent(&[]);
    let b = mesh("b");
    let mut bench = Bench::new(&intent);
    for trace in 0..TRACES {
        bench.at += 100;
        let now = bench.now();
        let mut records = checkout(7_000 + trace, now.unix_ms - 200, false);
        // The call of cart, tried twice by the mesh; the call of paya, cut at the budget after always the same time.
        records[2].1.attempts = 3;
        (records[6].1.outcome, records[6].1.ended_by) = (Ended::Timeout, emac_core::outcome::EndedBy::Filter);
        records.iter().for_each(|(node, record)| bench.watch.hop(node, record, now));
    }
    bench.window(0, GOOD, &intent, None, &b);
    let seen = &bench.watch.journeys["checkout"];
    let model = seen.window_models().last().unwrap().to_text();
    assert!(model.contains("the mesh tried 40 of the calls again, by its own configuration"), "{model}");
    assert!(model.contains("the sidecar cut 40 of the calls at the journey's budget"), "{model}");
    let expression = bench.said().observed.unwrap().expression.unwrap();
    assert!(!expression.contains("Retry") && !expression.contains("Timeout"), "{expression}");
}

#[test]
fn requests_that_nobody_declared_are_proposed_once_they_have_recurred() {
    let intent = intent(&[]);
    let b = mesh("b");
    let mut bench = Bench::new(&intent);
    let mut proposals = Vec::new();
    for window in 0..4 {
        for trace in 0..TRACES {
            bench.at += 100;
            let now = bench.now();
            let number = 9_000 + window * TRACES + trace;
            let began = now.unix_ms - 200;
            let calls = [
                call(number, "edge", "orders", began, 100),
                call(number, "orders", "stock", began + 5, 20),
                call(number, "orders", "prices", began + 5 + trace % 3, 20),
            ];
            for (at, (node, mut record)) in calls.into_iter().flatten().enumerate() {
                record.hop.journey = emac_core::context::UNDECLARED.into();
                record.hop.operation = if at == 0 { "GET /orders/{id}".into() } else { String::new() };
                bench.watch.hop(&node, &record, now);
            }
            // Entries that are asked for once or twice are no journeys.
            if trace < 40 {
                for (node, mut record) in call(50_000 + number, "edge", "front", now.unix_ms - 200, 50) {
                    record.hop.journey = emac_core::context::UNDECLARED.into();
                    record.hop.operation =
                        if record.inbound { String::new() } else { format!("GET /scan-{trace}.php") };
                    bench.watch.hop(&node, &record, now);
                }
            }
        }
        bench.window(0, GOOD, &intent, None, &b);
        proposals.push(bench.watch.take_proposals());
    }
    let names: Vec<Vec<String>> =
        proposals.iter().map(|all| all.iter().map(|one| one.model().journey.to_string()).collect()).collect();
    assert_eq!(names[0], Vec::<String>::new(), "once is no recurrence");
    assert_eq!((names[1].len(), names[2].len(), names[3].len()), (1, 0, 0), "{names:?}");
    let status = bench.watch.status();
    let orders = &status.undeclared[0];
    assert_eq!((orders.traces, orders.proposed, orders.entry.1.as_str()), (TRACES, true, "GET /orders/{id}"));
    assert!(orders.expression.as_ref().unwrap().contains("Parallel(shop/prices, shop/stock)"), "{orders:?}");
    assert_eq!(status.undeclared.len(), Undeclared::JOURNEYS_MAX);
    assert_eq!(status.undeclared_left_out, 41 - Undeclared::JOURNEYS_MAX as u64);
    assert!(status.undeclared[1..].iter().all(|one| !one.proposed));
}

/// Candidates that a sequence of windows gives: payb on network a or b.
fn candidates(windows: &[bool]) -> Vec<Option<String>> {
    let intent = intent(&[]);
    let mut bench = Bench::new(&intent);
    let facts = [mesh("b"), mesh("a")];
    let each = windows.iter().map(|&moved| {
        let outcome = bench.window(TRACES, GOOD, &intent, None, &facts[usize::from(moved)]);
        outcome.and_then(|outcome| outcome.candidate).map(|candidate| candidate.to_text())
    });
    each.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0x3A7C), failure_persistence: None, ..ProptestConfig::with_cases(6) })]

    /// A network that flaps does not flap the model: a candidate is written when what lasts has changed, and only then; and again the same bytes.
    #[test]
    fn a_flapping_network_does_not_flap_the_model(windows in prop::collection::vec(any::<bool>(), 1..12)) {
        let written = candidates(&windows);
        prop_assert_eq!(&written, &candidates(&windows));
        let (mut twin, mut before) = (Recurring::default(), None);
        for (at, (&moved, candidate)) in windows.iter().zip(&written).enumerate() {
            twin.window(&Recurrence::default(), at as u64, std::collections::BTreeSet::from([moved.to_string(), "other".to_owned()]));
            let kept = (at > 0).then(|| twin.kept().clone());
            prop_assert_eq!(candidate.is_some(), kept != before, "window {}", at);
            before = kept;
        }
    }
}
